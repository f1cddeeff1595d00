/* The eval-mode fuse from file views: D = e^m (project(W) C + project(Relax)), with the provenance of each
 * atom.
 *
 * W is the large one: [32000, 32000] is 4 GB in a published checkpoint, of which people keep only D. It is
 * read once, a block of rows at a time, straight from the mapping; no copy of it is ever whole. */
#include "ra_dictionary.h"
#include "base/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_FLOATS = 1 << 24, BLOCK_ROWS = 2048 };

typedef struct share {
    float weight;
    int32_t point;
} share;

static int by_falling_weight(const void *a, const void *b) {
    const share *x = a, *y = b;
    if (x->weight != y->weight) return x->weight < y->weight ? 1 : -1;
    return (x->point > y->point) - (x->point < y->point);
}

/* The T largest weights of projected rows [rows, N], atoms numbered from `first`. */
static ra_status note_archetypes(ra_backend *backend, const float *W, size_t rows, size_t N, size_t first,
                                 ra_provenance *provenance, ra_codes *codes, share *shares, ra_error *err) {
    size_t T = provenance->count;
    RA_TRY(
        ra_backend_operations(backend)->top_k(ra_backend_self(backend), NULL, W, rows, N, T, 0, codes, err));
    for (size_t i = 0; i < rows; i++) {
        size_t count = codes->start[i + 1] - codes->start[i];
        for (size_t t = 0; t < count; t++)
            shares[t] = (share){codes->value[codes->start[i] + t], codes->index[codes->start[i] + t]};
        qsort(shares, count, sizeof *shares, by_falling_weight);
        for (size_t t = 0; t < T; t++) {
            provenance->index[(first + i) * T + t] = t < count ? shares[t].point : -1;
            provenance->weight[(first + i) * T + t] = t < count ? shares[t].weight : 0;
        }
    }
    return RA_OK;
}

static double row_norm(const float *row, size_t n) {
    double sum = 0;
    for (size_t j = 0; j < n; j++) sum += (double)row[j] * (double)row[j];
    return sqrt(sum);
}

static ra_status check_shapes(const ra_tensor *W, const ra_tensor *C, const ra_tensor *Relax, ra_error *err) {
    char w[64], c[64], r[64];
    if (W->rank != 2 || C->rank != 2 || Relax->rank != 2 || W->shape[1] != C->shape[0] ||
        W->shape[0] != Relax->shape[0] || C->shape[1] != Relax->shape[1])
        RA_FAIL(err, RA_ERR_SHAPE,
                "W %s, C %s and Relax %s do not fit together, expected [K, N], [N, d] and [K, d]",
                ra_shape_text(W->rank, W->shape, w, sizeof w), ra_shape_text(C->rank, C->shape, c, sizeof c),
                ra_shape_text(Relax->rank, Relax->shape, r, sizeof r));
    return RA_OK;
}

ra_status ra_dictionary_fuse(ra_backend *backend, const ra_tensor *W, const ra_tensor *C,
                             const ra_tensor *Relax, float multiplier, float delta, float *D,
                             ra_provenance *provenance, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(backend);
    void *self = ra_backend_self(backend);
    RA_TRY(check_shapes(W, C, Relax, err));
    if (!ops->host_memory)
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "fusing from a file needs a CPU backend, got %s", ops->name);
    if (!(delta >= 0)) RA_FAIL(err, RA_ERR_ARGUMENT, "delta is %g, expected at least 0", (double)delta);
    size_t K = W->shape[0], N = W->shape[1], d = C->shape[1], T = provenance ? provenance->count : 0;
    size_t block = BLOCK_FLOATS / (N ? N : 1);
    block = block < 1 ? 1 : block > BLOCK_ROWS ? BLOCK_ROWS : block;
    block = block > K ? K : block;
    float scale = expf(multiplier), *weights = ra_malloc(block * N, sizeof *weights), *points = NULL;
    share *shares = ra_malloc(T, sizeof *shares);
    ra_codes codes = {0};
    ra_status status = RA_OK;
    if (C->dtype != RA_F32) points = ra_malloc(N * d, sizeof *points);
    if (!weights || !shares || (C->dtype != RA_F32 && !points)) {
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: fusing needs blocks of %zu bytes",
                              block * N * sizeof(float));
        goto out;
    }
    if (points) ra_convert_to_f32(C->dtype, C->data, points, N * d);
    const float *c = points ? points : C->data;
    for (size_t first = 0; first < K; first += block) {
        size_t rows = K - first < block ? K - first : block;
        float *out = D + first * d;
        ra_convert_to_f32(W->dtype, (const char *)W->data + first * N * ra_dtype_size(W->dtype), weights,
                          rows * N);
        ra_convert_to_f32(Relax->dtype, (const char *)Relax->data + first * d * ra_dtype_size(Relax->dtype),
                          out, rows * d);
        RA_TRY_OUT(status, ops->project_simplex(self, NULL, weights, rows, N, err));
        RA_TRY_OUT(status, ops->project_ball(self, NULL, out, rows, d, delta, err));
        if (provenance) {
            for (size_t i = 0; i < rows; i++)
                provenance->relaxation_norm[first + i] = (float)row_norm(out + i * d, d);
            RA_TRY_OUT(status,
                       note_archetypes(backend, weights, rows, N, first, provenance, &codes, shares, err));
        }
        RA_TRY_OUT(status, ops->gemm(self, NULL, false, false, rows, d, N, scale, weights, N, c, d, scale,
                                     out, d, err));
    }
out:
    ra_codes_release(&codes);
    ra_free(shares);
    ra_free(points);
    ra_free(weights);
    return status;
}
