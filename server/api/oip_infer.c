/* Infer of the Open Inference Protocol: latents in, reconstructions out; or inputs in, codes out, of the model
 * NAME.encode. Its tensors are rectangular, so the codes of a row are padded with the index -1, which the other model
 * takes for padding, to as many as the longest row has.
 *
 * The reply is packed only for clients that ask for it, in gzip or in zlib's deflate, which are the two that
 * its clients unpack; the header says where the JSON ends before packing.
 */
#include "api/codes.h"
#include "api/forms.h"
#include "codec/negotiate.h"
#include "codec/oip/reply.h"
#include "codec/oip/request.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static ra_status parse(const api_call *call, oip_infer_request *infer, ra_error *err) {
    const http_request *request = call->request;
    size_t json_size;
    RA_TRY(oip_json_size(request->headers[HTTP_INFERENCE_LENGTH], request->body_size, &json_size, err));
    return oip_infer_parse(request->body, request->body_size, json_size, api_info(call)->concepts,
                           call->server->max_rows, infer, err);
}

static ra_status reconstruct(api_call *call, const ra_codes *codes, float **x_hat, ra_error *err) {
    size_t numbers = codes->rows * api_info(call)->dimensions;
    RA_TRY(api_check_size(numbers * sizeof(float), err));
    RA_TRY(forms_reply_numbers(call, numbers, x_hat, err));
    computation wanted = {.kind = COMPUTE_RECONSTRUCT, .codes = codes, .x_hat = *x_hat};
    RA_TRY(api_compute(call, &wanted, err));
    return api_check_finite(OIP_OUTPUT_NAME, *x_hat, numbers, err);
}

/* When memory is short the reply stays as it is. */
static void pack(const http_request *request, http_response *response) {
    content_coding coding =
        coding_choose(request->headers[HTTP_ACCEPT_ENCODING], 1u << CODING_GZIP | 1u << CODING_DEFLATE);
    text plain = response->body;
    if (coding == CODING_IDENTITY || plain.failed) return;
    if (content_pack(coding, plain.data, plain.size, &response->spare, NULL) != RA_OK) return;
    response->body = response->spare;
    response->spare = plain;
    http_response_header(response, "Content-Encoding", content_coding_name(coding));
}

/* The reply is written, its first json_size bytes are JSON. */
static ra_status finish_reply(api_call *call, size_t json_size, ra_error *err) {
    RA_TRY(api_check_reply(call, err));
    if (call->response->body.failed) return RA_OK; /* becomes 503 */
    if (json_size < call->response->body.size) {
        char digits[24];
        snprintf(digits, sizeof digits, "%zu", json_size);
        call->response->content_type = "application/octet-stream";
        http_response_header(call->response, "Inference-Header-Content-Length", digits);
    }
    pack(call->request, call->response);
    return RA_OK;
}

static ra_status reply(api_call *call, const oip_infer_request *infer, const float *x_hat, ra_error *err) {
    text *out = api_json(call);
    size_t json_size = oip_put_infer(out, &(oip_infer_reply){.name = call->dictionary->name,
                                                             .generation = call->dictionary->generation,
                                                             .id = infer->id,
                                                             .binary = infer->binary,
                                                             .x_hat = x_hat,
                                                             .rows = infer->codes.rows,
                                                             .dimensions = api_info(call)->dimensions});
    return finish_reply(call, json_size, err);
}

/* Nanoseconds that the request waited for a compute thread. */
static uint64_t queued(const http_stages *stages) {
    return stages->queued && stages->computing > stages->queued ? (stages->computing - stages->queued) * 1000
                                                                : 0;
}

static ra_status run(api_call *call, uint64_t from, ra_error *err) {
    oip_infer_request infer;
    float *x_hat;
    ra_status status;
    statistics_clock clock = {.queue = queued(&call->request->stages)};
    RA_TRY(parse(call, &infer, err));
    from = statistics_lap(from, &clock.compute_input);
    RA_TRY_OUT(status, reconstruct(call, &infer.codes, &x_hat, err));
    from = statistics_lap(from, &clock.compute_infer);
    RA_TRY_OUT(status, reply(call, &infer, x_hat, err));
    statistics_lap(from, &clock.compute_output);
    statistics_succeeded(call->dictionary->inference, &clock, infer.codes.rows);
out:
    oip_infer_request_release(&infer);
    return status;
}

/* ---- encode -------------------------------------------------------------------------------------------- */

static ra_status parse_inputs(const api_call *call, oip_encode_request *encode, ra_error *err) {
    const http_request *request = call->request;
    size_t json_size;
    RA_TRY(oip_json_size(request->headers[HTTP_INFERENCE_LENGTH], request->body_size, &json_size, err));
    return oip_encode_parse(request->body, request->body_size, json_size, api_info(call)->dimensions,
                            call->server->max_rows, encode, err);
}

static size_t longest(const int64_t *start, size_t rows) {
    size_t most = 1;
    for (size_t row = 0; row < rows; row++)
        if ((size_t)(start[row + 1] - start[row]) > most) most = (size_t)(start[row + 1] - start[row]);
    return most;
}

/* indices, values [rows, width] <- the codes, each row padded. */
static void pad(const code_texts *codes, size_t rows, size_t width, int64_t *indices, float *values) {
    const int64_t *start = (const void *)codes->start.data;
    const int32_t *index = (const void *)codes->index.data;
    const float *value = (const void *)codes->value.data;
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0, n = (size_t)(start[row + 1] - start[row]); i < width; i++) {
            indices[row * width + i] = i < n ? index[(size_t)start[row] + i] : -1;
            values[row * width + i] = i < n ? value[(size_t)start[row] + i] : 0;
        }
}

static ra_status reply_codes(api_call *call, const oip_encode_request *encode, const code_texts *codes,
                             ra_error *err) {
    size_t rows = encode->inputs.rows, width = longest((const void *)codes->start.data, rows);
    size_t item = sizeof(int64_t) + sizeof(float);
    RA_TRY(api_check_size(rows * width * item, err));
    int64_t *indices = ra_malloc(rows * width, item);
    if (!indices) RA_FAIL_MEMORY(err, "the codes of a reply", rows * width * item);
    float *values = (float *)(indices + rows * width);
    char name[OIP_MODEL_NAME_SIZE];
    pad(codes, rows, width, indices, values);
    size_t json_size =
        oip_put_encode(api_json(call), &(oip_encode_reply){.name = api_oip_name(call, name),
                                                           .generation = call->dictionary->generation,
                                                           .id = encode->id,
                                                           .wanted = encode->wanted,
                                                           .binary = encode->binary,
                                                           .indices = indices,
                                                           .values = values,
                                                           .rows = rows,
                                                           .width = width});
    ra_free(indices);
    return finish_reply(call, json_size, err);
}

static ra_status run_encode(api_call *call, uint64_t from, ra_error *err) {
    oip_encode_request encode;
    code_texts codes = {0};
    ra_status status;
    statistics_clock clock = {.queue = queued(&call->request->stages)};
    RA_TRY(parse_inputs(call, &encode, err));
    from = statistics_lap(from, &clock.compute_input);
    RA_TRY_OUT(status, code_texts_encode(call, &encode.inputs, &codes, err));
    from = statistics_lap(from, &clock.compute_infer);
    RA_TRY_OUT(status, reply_codes(call, &encode, &codes, err));
    statistics_lap(from, &clock.compute_output);
    statistics_succeeded(call->dictionary->encoding, &clock, encode.inputs.rows);
out:
    code_texts_release(&codes);
    oip_encode_request_release(&encode);
    return status;
}

ra_status api_oip_infer(api_call *call, ra_error *err) {
    uint64_t from = statistics_now(), took;
    ra_status status = call->encodes ? run_encode(call, from, err) : run(call, from, err);
    statistics_lap(from, &took);
    if (status != RA_OK)
        statistics_failed(call->encodes ? call->dictionary->encoding : call->dictionary->inference, took);
    return status;
}
