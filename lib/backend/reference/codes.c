/* Sparse codes: the reference backend. */
#include "backend/reference/reference.h"

ra_status reference_decode(void *self, ra_backend_stream *stream, const ra_codes *codes, ra_dtype dtype,
                           const void *D, size_t d, float *x_hat, ra_error *err) {
    (void)self, (void)stream, (void)err;
    size_t size = ra_dtype_size(dtype);
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t j = 0; j < d; j++) {
            double sum = 0;
            for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++) {
                float atom;
                ra_convert_to_f32(dtype, (const char *)D + ((size_t)codes->index[e] * d + j) * size, &atom,
                                  1);
                sum += (double)codes->value[e] * atom;
            }
            x_hat[b * d + j] = (float)sum;
        }
    return RA_OK;
}

ra_status reference_decode_gradient(void *self, ra_backend_stream *stream, const ra_codes *codes,
                                    const float *g, const float *D, size_t d, float *dvalue, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++) {
            double sum = 0;
            for (size_t j = 0; j < d; j++) sum += (double)g[b * d + j] * D[(size_t)codes->index[e] * d + j];
            dvalue[e] = (float)sum;
        }
    return RA_OK;
}

ra_status reference_accumulate(void *self, ra_backend_stream *stream, const ra_codes *codes,
                               const float *value, const float *x, size_t d, float *out, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++)
            for (size_t j = 0; j < d; j++) out[(size_t)codes->index[e] * d + j] += value[e] * x[b * d + j];
    return RA_OK;
}

ra_status reference_latent_sums(void *self, ra_backend_stream *stream, const ra_codes *codes,
                                const float *value, float *out, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t k = 0; k < codes->latents; k++) {
        double sum = 0;
        for (size_t e = 0; e < ra_codes_entries(codes); e++)
            if ((size_t)codes->index[e] == k) sum += value[e];
        out[k] = (float)sum;
    }
    return RA_OK;
}

ra_status reference_gather_entries(void *self, ra_backend_stream *stream, const ra_codes *codes,
                                   const float *dense, float beta, float *value, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++)
            value[e] =
                dense[b * codes->latents + (size_t)codes->index[e]] + (beta != 0 ? beta * value[e] : 0);
    return RA_OK;
}

ra_status reference_magnitudes(void *self, ra_backend_stream *stream, const ra_codes *codes, float scale,
                               float *gradient, double *sum, ra_error *err) {
    (void)self, (void)stream, (void)err;
    *sum = 0;
    for (size_t e = 0; e < ra_codes_entries(codes); e++) {
        float z = codes->value[e];
        *sum += z < 0 ? -(double)z : (double)z;
        gradient[e] = z < 0 ? -scale : scale;
    }
    return RA_OK;
}

ra_status reference_scatter_entries(void *self, ra_backend_stream *stream, const ra_codes *codes, float alpha,
                                    const float *value, float *dense, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++)
            dense[b * codes->latents + (size_t)codes->index[e]] += alpha * value[e];
    return RA_OK;
}
