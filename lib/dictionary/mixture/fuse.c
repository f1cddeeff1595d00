/* The eval-mode fuse of mixtures, from file views: D = e^m (W C + Relax bounded by delta). W is small, so it is
 * done in one piece; every point of an atom is in its provenance. */
#include "dictionary/mixture/mixture.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

/* A tensor in any float type as float32 of the host: as it is, or converted into *copy. */
static ra_status as_f32(const ra_tensor *tensor, const char *what, float **copy, const float **values,
                        ra_error *err) {
    size_t n = ra_tensor_elements(tensor);
    *values = tensor->data;
    if (tensor->dtype == RA_F32) return RA_OK;
    *copy = ra_malloc(n, sizeof **copy);
    if (!*copy) RA_FAIL_MEMORY(err, what, n * sizeof **copy);
    ra_convert_to_f32(tensor->dtype, tensor->data, *copy, n);
    *values = *copy;
    return RA_OK;
}

ra_status ra_mixture_fuse(ra_backend *backend, const ra_tensor *index, const ra_tensor *weight,
                          const ra_tensor *C, const ra_tensor *Relax, float multiplier, float delta, float *D,
                          ra_provenance *provenance, ra_error *err) {
    size_t K = index->shape[0], T = index->shape[1], d = C->shape[1];
    ra_backend *host = NULL;
    float *copy = NULL, *relax = ra_malloc(K * d, sizeof *relax);
    double *norms = ra_malloc(K, sizeof *norms);
    ra_mixture mixture = {.atoms = K, .most = T, .points = C->shape[0], .dimensions = d, .relax = relax};
    ra_status status = RA_OK;
    if (!relax || !norms)
        RA_TRY_OUT(status, ra_error_set(err, RA_ERR_MEMORY, "out of memory: the relaxations need %zu bytes",
                                        K * d * sizeof *relax));
    memcpy(provenance->index, index->data, K * T * sizeof *provenance->index);
    ra_convert_to_f32(weight->dtype, weight->data, provenance->weight, K * T);
    ra_convert_to_f32(Relax->dtype, Relax->data, relax, K * d);
    RA_TRY_OUT(status, ra_mixture_check(provenance->index, provenance->weight, K, T, C->shape[0], err));
    RA_TRY_OUT(status, as_f32(C, "the points", &copy, &mixture.C, err));
    mixture.index = provenance->index;
    mixture.weight = provenance->weight;
    RA_TRY_OUT(status, ra_backend_open_host(backend, &host, err));
    RA_TRY_OUT(status, ra_backend_project_ball(host, relax, K, d, delta, err));
    RA_TRY_OUT(status, ra_backend_row_norms(host, relax, K, d, false, norms, err));
    for (size_t k = 0; k < K; k++) provenance->relaxation_norm[k] = (float)norms[k];
    RA_TRY_OUT(status, ra_backend_mixture_compose(host, &mixture, NULL, K, expf(multiplier), D, err));
out:
    ra_backend_release(host);
    ra_free(copy);
    ra_free(relax);
    ra_free(norms);
    return status;
}
