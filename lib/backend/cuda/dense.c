/* The operations on dense memory that return nothing to the host: each is one launch (rows.cu, elementwise.cu,
 * adam.cu). */
#include "backend/cuda/operations.h"

#include <math.h>

_Static_assert((int)RA_CUDA_ROW_STILL == (int)RA_ROW_STILL, "launch.h repeats it for C++");
_Static_assert((int)CUDA_PROJECT_UNIT_L1 == (int)RA_PROJECT_UNIT_L1, "launch.h repeats it for C++");

cuda_width cuda_width_of(ra_dtype dtype) {
    return dtype == RA_F32 ? CUDA_WIDTH_F32 : dtype == RA_F16 ? CUDA_WIDTH_F16 : CUDA_WIDTH_BF16;
}

ra_status cuda_project_simplex(ra_backend_stream *s, float *W, size_t rows, size_t n, ra_error *err) {
    cudaError_t code = ra_cuda_project_rows(s->handle, CUDA_PROJECT_SIMPLEX, 0, W, rows, n);
    return cuda_check(s->context, code, "a projection onto the simplex", err);
}

ra_status cuda_project_ball(ra_backend_stream *s, float *R, size_t rows, size_t n, float radius,
                            ra_error *err) {
    cudaError_t code = ra_cuda_project_rows(s->handle, CUDA_PROJECT_BALL, radius, R, rows, n);
    return cuda_check(s->context, code, "a projection into the ball", err);
}

ra_status cuda_axpby(ra_backend_stream *s, float alpha, const float *x, float beta, float *y, size_t n,
                     ra_error *err) {
    cudaError_t code = ra_cuda_axpby(s->handle, alpha, x, beta, y, n);
    return cuda_check(s->context, code, "a sum of arrays", err);
}

ra_status cuda_relu(ra_backend_stream *s, const float *x, float *y, size_t n, ra_error *err) {
    return cuda_check(s->context, ra_cuda_relu(s->handle, x, y, n), "a relu", err);
}

ra_status cuda_widen(ra_backend_stream *s, ra_dtype dtype, const void *source, float *target, size_t n,
                     ra_error *err) {
    if (!ra_dtype_is_float(dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "numbers of type %s cannot be widened: expected F32, F16 or BF16",
                ra_dtype_name(dtype));
    cudaError_t code = ra_cuda_widen(s->handle, cuda_width_of(dtype), source, target, n);
    return cuda_check(s->context, code, "a conversion", err);
}

ra_status cuda_broadcast_row(ra_backend_stream *s, const float *row, float *y, size_t rows, size_t n,
                             ra_error *err) {
    return cuda_check(s->context, ra_cuda_broadcast_row(s->handle, row, y, rows, n, n), "copies of a row",
                      err);
}

ra_status cuda_gather_rows(ra_backend_stream *s, float scale, const float *source, const int32_t *rows,
                           size_t count, size_t n, float *target, ra_error *err) {
    cudaError_t code = ra_cuda_gather_rows(s->handle, scale, source, rows, count, n, target);
    return cuda_check(s->context, code, "a copy of rows", err);
}

ra_status cuda_adam(ra_backend_stream *s, const ra_adam_step *step, float *parameter, const float *gradient,
                    const int32_t *gradient_row, float *first, float *second, size_t rows, size_t n,
                    ra_error *err) {
    cuda_adam_factors factors = {.scale = (float)step->grad_scale,
                                 .rest1 = (float)(1 - step->beta1),
                                 .beta2 = (float)step->beta2,
                                 .rest2 = (float)(1 - step->beta2),
                                 .rate = (float)(step->lr / step->bias1),
                                 .root = (float)(1 / sqrt(step->bias2)),
                                 .epsilon = (float)step->epsilon,
                                 .keep = (float)(1 - step->lr * step->decay),
                                 .projection = (cuda_projection)step->projection,
                                 .radius = step->radius};
    cudaError_t code =
        ra_cuda_adam(s->handle, factors, parameter, gradient, gradient_row, first, second, rows, n);
    return cuda_check(s->context, code, "a step of Adam", err);
}
