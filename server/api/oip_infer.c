/* The Open Inference Protocol's infer: latents in, reconstructions out.
 *
 * The reply is packed only when the client asks, in gzip or zlib's deflate, the two that its clients unpack;
 * the header says where the JSON ends before packing. */
#include "api/api.h"
#include "codec/oip/reply.h"
#include "codec/oip/request.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static ra_status parse(const api_call *call, oip_infer_request *infer, ra_error *err) {
    const http_request *request = call->request;
    size_t json_size;
    ra_status status =
        oip_json_size(request->headers[HTTP_INFERENCE_LENGTH], request->body_size, &json_size, err);
    if (status != RA_OK) return status;
    return oip_infer_parse(request->body, request->body_size, json_size, api_info(call)->concepts,
                           call->server->max_rows, infer, err);
}

static ra_status reconstruct(const api_call *call, const ra_codes *codes, float **x_hat, ra_error *err) {
    scratch *mine = NULL;
    void *block = NULL;
    size_t numbers = codes->rows * api_info(call)->dimensions;
    ra_status status = api_check_size(numbers * sizeof(float), err);
    if (status == RA_OK) status = scratch_get(&mine, err);
    if (status == RA_OK) status = scratch_reserve(mine, SCRATCH_NUMBERS, numbers, sizeof(float), &block, err);
    *x_hat = block;
    computation wanted = {.kind = COMPUTE_RECONSTRUCT, .codes = codes, .x_hat = block};
    if (status == RA_OK) status = api_compute(call, &wanted, err);
    return status == RA_OK ? api_check_finite(OIP_OUTPUT_NAME, block, numbers, err) : status;
}

/* The coding of `list`, a value of Accept-Encoding, that the reply gets: gzip before deflate. */
static content_coding wanted_coding(const char *list) {
    content_coding best = CODING_IDENTITY;
    while (list && *list) {
        list += strspn(list, ", \t");
        size_t size = strcspn(list, ",; \t"), whole = strcspn(list, ",");
        const char *q = memmem(list, whole, "q=", 2);
        bool refused = q && strspn(q + 2, "0.") == strcspn(q + 2, ", \t");
        if (!refused && size == 4 && strncasecmp(list, "gzip", size) == 0) best = CODING_GZIP;
        if (!refused && size == 7 && strncasecmp(list, "deflate", size) == 0 && best == CODING_IDENTITY)
            best = CODING_DEFLATE;
        list += whole;
    }
    return best;
}

/* Without memory for it the reply goes out as it is. */
static void pack(const http_request *request, http_response *response) {
    content_coding coding = wanted_coding(request->headers[HTTP_ACCEPT_ENCODING]);
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
    ra_status status = api_check_reply(call, err);
    if (status != RA_OK || out->failed) return status;
    if (infer->binary) {
        char digits[24];
        snprintf(digits, sizeof digits, "%zu", json_size);
        call->response->content_type = "application/octet-stream";
        http_response_header(call->response, "Inference-Header-Content-Length", digits);
    }
    pack(call->request, call->response);
    return RA_OK;
}

/* Nanoseconds that it waited for a compute thread. */
static uint64_t queued(const http_stages *stages) {
    return stages->queued && stages->computing > stages->queued ? (stages->computing - stages->queued) * 1000
                                                                : 0;
}

static ra_status run(api_call *call, uint64_t from, ra_error *err) {
    oip_infer_request infer;
    float *x_hat = NULL;
    statistics_clock clock = {.queue = queued(&call->request->stages)};
    ra_status status = parse(call, &infer, err);
    if (status != RA_OK) return status;
    from = statistics_lap(from, &clock.compute_input);
    status = reconstruct(call, &infer.codes, &x_hat, err);
    from = statistics_lap(from, &clock.compute_infer);
    if (status == RA_OK) status = reply(call, &infer, x_hat, err);
    statistics_lap(from, &clock.compute_output);
    if (status == RA_OK) statistics_succeeded(call->dictionary->inference, &clock, infer.codes.rows);
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
