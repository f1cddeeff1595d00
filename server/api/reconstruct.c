#include "api/api.h"
#include "codec/json_requests.h"

static ra_status run(api_call *call, const ra_codes *codes, ra_error *err) {
    scratch *mine = NULL;
    void *block = NULL;
    size_t d = api_info(call)->dimensions;
    ra_status status = scratch_get(&mine, err);
    if (status == RA_OK)
        status = scratch_reserve(mine, SCRATCH_NUMBERS, codes->rows * d, sizeof(float), &block, err);
    float *x_hat = block;
    if (status == RA_OK) status = ra_model_reconstruct(api_model(call), mine->workspace, codes, x_hat, err);
    if (status == RA_OK) status = api_check_finite("reconstructions", x_hat, codes->rows * d, err);
    if (status != RA_OK) return status;
    text *out = api_json(call);
    put_open(out, '{');
    put_key(out, "reconstructions");
    put_open(out, '[');
    for (size_t row = 0; row < codes->rows && status == RA_OK; row++) {
        put_numbers(out, x_hat + row * d, d);
        status = api_check_reply(call, err);
    }
    put_close(out, ']');
    put_close(out, '}');
    return status;
}

ra_status api_reconstruct(api_call *call, ra_error *err) {
    latents_request latents;
    ra_status status = json_latents_parse(call->request->body, call->request->body_size,
                                          api_info(call)->concepts, call->engine->max_rows, &latents, err);
    if (status != RA_OK) return status;
    status = run(call, &latents.codes, err);
    latents_request_release(&latents);
    return status;
}
