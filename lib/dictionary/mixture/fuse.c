/* The eval-mode fuse of mixtures, from file views: D = e^m (W C + Relax bounded by delta). W is small, so it is
 * done in one piece; every point of an atom is in its provenance. */
#include "dictionary/mixture/mixture.h"
#include "dictionary/provenance.h"
#include "ra_memory.h"

#include <math.h>

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

/* W as codes: a row of points with their weights for each atom. */
static ra_status list_points(const int32_t *index, const float *weight, size_t K, size_t T, size_t N,
                             ra_codes *mixture, ra_error *err) {
    size_t entries = 0;
    RA_TRY(ra_codes_reserve(mixture, K, N, K * T, err));
    for (size_t k = 0; k < K; k++) {
        for (size_t t = 0; t < T && index[k * T + t] >= 0; t++) {
            if (weight[k * T + t] == 0) continue;
            mixture->index[entries] = index[k * T + t];
            mixture->value[entries++] = weight[k * T + t];
        }
        mixture->start[k + 1] = entries;
    }
    return RA_OK;
}

ra_status ra_mixture_fuse(ra_backend *backend, const ra_tensor *index, const ra_tensor *weight,
                          const ra_tensor *C, const ra_tensor *Relax, float multiplier, float delta, float *D,
                          const ra_provenance *provenance, ra_error *err) {
    size_t K = index->shape[0], T = index->shape[1], d = C->shape[1];
    ra_backend *host = NULL;
    ra_codes points = {0};
    float *copy = NULL, *relax = ra_malloc(K * d, sizeof *relax), *w = ra_malloc(K * T, sizeof *w);
    ra_mixture mixture = {
        .atoms = K, .most = T, .points = C->shape[0], .dimensions = d, .weight = w, .relax = relax};
    ra_fused fused = {
        .mixture = &points, .C = C, .Relax = Relax, .scale = expf(multiplier), .delta = delta, .D = D};
    ra_status status = RA_OK;
    if (!relax || !w)
        RA_TRY_OUT(status, ra_error_set(err, RA_ERR_MEMORY, "out of memory: the relaxations need %zu bytes",
                                        K * d * sizeof *relax));
    mixture.index = (int32_t *)index->data; /* is only read */
    ra_convert_to_f32(weight->dtype, weight->data, w, K * T);
    ra_convert_to_f32(Relax->dtype, Relax->data, relax, K * d);
    RA_TRY_OUT(status, ra_mixture_check(mixture.index, w, K, T, C->shape[0], err));
    RA_TRY_OUT(status, as_f32(C, "the points", &copy, &mixture.C, err));
    RA_TRY_OUT(status, ra_backend_open_host(backend, &host, err));
    RA_TRY_OUT(status, ra_backend_project_ball(host, relax, K, d, delta, err));
    RA_TRY_OUT(status, ra_backend_mixture_compose(host, &mixture, NULL, K, fused.scale, D, err));
    RA_TRY_OUT(status, list_points(mixture.index, w, K, T, C->shape[0], &points, err));
    RA_TRY_OUT(status, ra_provenance_measure(provenance, &fused, ra_backend_pool(host), err));
out:
    ra_backend_release(host);
    ra_codes_release(&points);
    ra_free(copy);
    ra_free(relax);
    ra_free(w);
    return status;
}
