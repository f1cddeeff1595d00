/* Codes to activations: a product with a sparse matrix, which the backend does straight from D as it is. */
#include "model/model.h"

#include <math.h>

/* Indices and values are the caller's promise, kept by every producer of codes here. They are looked at all
 * the same: one comparison beside d multiplications, and a broken promise would read outside of D. */
static ra_status check_codes(const ra_model *model, const ra_codes *codes, ra_error *err) {
    size_t concepts = model->info.concepts;
    if (codes->latents != concepts)
        RA_FAIL(err, RA_ERR_SHAPE, "the codes have %zu latents; expected %zu, the atoms of %s",
                codes->latents, concepts, model->info.path);
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++) {
            if (codes->index[e] < 0 || (size_t)codes->index[e] >= concepts)
                RA_FAIL(err, RA_ERR_ARGUMENT, "row %zu of the codes has the index %d; expected 0 to %zu", b,
                        codes->index[e], concepts - 1);
            if (!isfinite(codes->value[e]))
                RA_FAIL(err, RA_ERR_NOT_FINITE, "row %zu of the codes has no finite value for latent %d", b,
                        codes->index[e]);
        }
    return RA_OK;
}

ra_status ra_model_decode(const ra_model *model, const ra_codes *codes, float *x_hat, ra_error *err) {
    RA_TRY(check_codes(model, codes, err));
    if (codes->rows == 0) return RA_OK;
    return ra_backend_operations(model->backend)
        ->decode(ra_backend_self(model->backend), NULL, codes, model->dictionary.dtype,
                 model->dictionary.data, model->info.dimensions, x_hat, err);
}

ra_status ra_model_reconstruct(const ra_model *model, ra_workspace *workspace, const ra_codes *codes,
                               float *x_hat, ra_error *err) {
    (void)workspace; /* decoding needs no scratch of ours */
    RA_TRY(ra_model_decode(model, codes, x_hat, err));
    ra_model_unstandardize(model, x_hat, codes->rows);
    return RA_OK;
}
