/* Infer of the Open Inference Protocol: latents in, reconstructions out.
 *
 * The reply is packed only for clients that ask for it, in gzip or in zlib's deflate, which are the two that
 * its clients unpack; the header says where the JSON ends before packing.
 */
#include "api/api.h"
#include "codec/negotiate.h"
#include "codec/oip/reply.h"
#include "codec/oip/request.h"

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

static ra_status reconstruct(const api_call *call, const ra_codes *codes, float **x_hat, ra_error *err) {
    size_t numbers = codes->rows * api_info(call)->dimensions;
    RA_TRY(api_check_size(numbers * sizeof(float), err));
    RA_TRY(scratch_numbers(numbers, x_hat, err));
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

static ra_status reply(api_call *call, const oip_infer_request *infer, const float *x_hat, ra_error *err) {
    text *out = api_json(call);
    size_t json_size = oip_put_infer(out, &(oip_infer_reply){.name = call->dictionary->name,
                                                             .generation = call->dictionary->generation,
                                                             .id = infer->id,
                                                             .binary = infer->binary,
                                                             .x_hat = x_hat,
                                                             .rows = infer->codes.rows,
                                                             .dimensions = api_info(call)->dimensions});
    RA_TRY(api_check_reply(call, err));
    if (out->failed) return RA_OK; /* becomes 503 */
    if (infer->binary) {
        char digits[24];
        snprintf(digits, sizeof digits, "%zu", json_size);
        call->response->content_type = "application/octet-stream";
        http_response_header(call->response, "Inference-Header-Content-Length", digits);
    }
    pack(call->request, call->response);
    return RA_OK;
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

ra_status api_oip_infer(api_call *call, ra_error *err) {
    uint64_t from = statistics_now(), took;
    ra_status status = run(call, from, err);
    statistics_lap(from, &took);
    if (status != RA_OK) statistics_failed(call->dictionary->inference, took);
    return status;
}
