/* The memory of a pass: what the forward pass leaves for the backward one. */
#include "sae/sae.h"
#include "ra_memory.h"

void ra_sae_pass_release(ra_sae_pass *pass) {
    if (pass->backend) {
        float *blocks[] = {pass->pre,  pass->x_hat,   pass->linear, pass->mean,
                           pass->rstd, pass->scratch, pass->dvalue};
        for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
            ra_backend_deallocate(pass->backend, blocks[i]);
        ra_backend_release(pass->backend);
    }
    if (pass->pursuit) ra_pursuit_release(pass->pursuit);
    ra_free(pass->pursuit);
    ra_codes_release(&pass->codes);
    ra_free(pass->sums);
    ra_free(pass->packed.index);
    ra_free(pass->atom_list);
    ra_free(pass->active);
    *pass = (ra_sae_pass){0};
}

ra_status ra_sae_pass_grow(ra_sae_pass *pass, float **block, size_t n, ra_error *err) {
    void *fresh = NULL;
    RA_TRY(ra_backend_allocate(pass->backend, n * sizeof(float), &fresh, err));
    ra_backend_deallocate(pass->backend, *block);
    *block = fresh;
    return RA_OK;
}

const ra_codes *ra_sae_pass_codes(const ra_sae_pass *pass) {
    return pass->atoms ? &pass->packed : &pass->codes;
}
