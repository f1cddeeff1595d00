/* LayerNorm and BatchNorm (norms.cu). */
#include "backend/cuda/operations.h"

static cuda_norm on_device(const ra_norm *norm) {
    return (cuda_norm){norm->mean, norm->rstd, norm->gamma, norm->beta};
}

ra_status cuda_layer_norm(ra_backend_stream *s, const float *u, size_t rows, size_t n, double epsilon,
                          const float *gamma, const float *beta, float *mean, float *rstd, float *y,
                          ra_error *err) {
    const cuda_norm norm = {mean, rstd, gamma, beta};
    cudaError_t code = ra_cuda_layer_norm(s->handle, norm, u, rows, n, epsilon, mean, rstd, y);
    return cuda_check(s->context, code, "a norm of rows", err);
}

ra_status cuda_normalize(ra_backend_stream *s, const ra_norm *norm, double epsilon, const float *u, float *y,
                         size_t rows, size_t n, ra_error *err) {
    cudaError_t code = ra_cuda_normalize(s->handle, on_device(norm), epsilon, u, y, rows, n);
    return cuda_check(s->context, code, "a norm", err);
}

ra_status cuda_norm_backward(ra_backend_stream *s, const ra_norm *norm, const float *u, const double *sums,
                             double count, float *dy, size_t rows, size_t n, ra_error *err) {
    void *scratch = NULL;
    size_t bytes = 2 * n * sizeof *sums;
    if (rows == 0 || n == 0) return RA_OK;
    if (!norm->by_row) {
        RA_TRY(cuda_scratch(s, bytes, &scratch, err));
        RA_TRY(cuda_upload_parts(s, scratch, &(cuda_part){sums, bytes}, 1, err));
    }
    cudaError_t code =
        ra_cuda_norm_backward(s->handle, norm->by_row, on_device(norm), u, scratch, count, dy, rows, n);
    return cuda_check(s->context, code, "the gradient of a norm", err);
}
