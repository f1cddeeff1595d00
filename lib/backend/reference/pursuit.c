/* Matching pursuit: the reference backend. sae/pursuit.c derives the gradient. */
#include "backend/reference/reference.h"

#include <string.h>

ra_status reference_pursue(void *self, ra_backend_stream *stream, const ra_pursuit_path *path,
                           const float *gram, size_t t, size_t count, float *scores, ra_error *err) {
    (void)self, (void)stream, (void)err;
    size_t K = path->concepts, d = path->dimensions, last = t + count;
    for (size_t b = 0; b < path->rows; b++)
        for (size_t step = t; step < last; step++) {
            float *row = scores + b * K, *residual = path->residual + b * d;
            size_t atom = 0;
            for (size_t j = 1; j < K; j++) atom = row[j] > row[atom] ? j : atom;
            float value = row[atom];
            path->atom[b * path->steps + step] = (int32_t)atom;
            path->value[b * path->steps + step] = value;
            for (size_t i = 0; i < d; i++) residual[i] -= value * path->D[atom * d + i];
            for (size_t j = 0; step + 1 < last && j < K; j++) row[j] -= value * gram[atom * K + j];
        }
    return RA_OK;
}

ra_status reference_pursue_backward(void *self, ra_backend_stream *stream, const ra_pursuit_path *path,
                                    const float *g, size_t first, size_t rows, float *scratch, float *push,
                                    ra_error *err) {
    (void)self, (void)stream, (void)err;
    size_t d = path->dimensions;
    for (size_t row = 0; row < rows; row++) {
        float *r = scratch + row * 2 * d, *rho = r + d;
        memcpy(r, path->residual + (first + row) * d, d * sizeof *r);
        memset(rho, 0, d * sizeof *rho);
        for (size_t t = path->steps; t-- > 0;) {
            size_t step = (first + row) * path->steps + t;
            const float *D = path->D + (size_t)path->atom[step] * d;
            float v = path->value[step], *out = push + (row * path->steps + t) * d;
            double dv = g[step];
            for (size_t i = 0; i < d; i++) dv -= (double)rho[i] * D[i];
            for (size_t i = 0; i < d; i++) {
                r[i] += v * D[i];
                out[i] = (float)dv * r[i] - v * rho[i];
                rho[i] += (float)dv * D[i];
            }
        }
    }
    return RA_OK;
}
