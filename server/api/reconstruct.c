#include "api/forms.h"

static ra_status run(api_call *call, const ra_codes *codes, ra_error *err) {
    float *x_hat;
    size_t d = api_info(call)->dimensions, numbers = codes->rows * d;
    RA_TRY(scratch_numbers(numbers, &x_hat, err));
    computation wanted = {.kind = COMPUTE_RECONSTRUCT, .codes = codes, .x_hat = x_hat};
    RA_TRY(api_compute(call, &wanted, err));
    RA_TRY(api_check_finite("reconstructions", x_hat, numbers, err));
    return forms_reply_matrix(call, "reconstructions", x_hat, codes->rows, d, err);
}

ra_status api_reconstruct(api_call *call, ra_error *err) {
    latents_request latents;
    RA_TRY(forms_latents(call, &latents, err));
    ra_status status = run(call, &latents.codes, err);
    latents_request_release(&latents);
    return status;
}
