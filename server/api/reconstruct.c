#include "api/forms.h"

static ra_status run(api_call *call, const ra_codes *codes, ra_error *err) {
    scratch *mine = NULL;
    void *block = NULL;
    size_t d = api_info(call)->dimensions;
    ra_status status = scratch_get(&mine, err);
    if (status == RA_OK)
        status = scratch_reserve(mine, SCRATCH_NUMBERS, codes->rows * d, sizeof(float), &block, err);
    float *x_hat = block;
    computation wanted = {.kind = COMPUTE_RECONSTRUCT, .codes = codes, .x_hat = x_hat};
    if (status == RA_OK) status = api_compute(call, &wanted, err);
    if (status == RA_OK) status = api_check_finite("reconstructions", x_hat, codes->rows * d, err);
    if (status != RA_OK) return status;
    return forms_reply_matrix(call, "reconstructions", x_hat, codes->rows, d, err);
}

ra_status api_reconstruct(api_call *call, ra_error *err) {
    latents_request latents;
    ra_status status = forms_latents(call, &latents, err);
    if (status != RA_OK) return status;
    status = run(call, &latents.codes, err);
    latents_request_release(&latents);
    return status;
}
