/* The operations on dense memory that give nothing to the host: each is a launch (rows.cu, elementwise.cu,
 * adam.cu). */
#include "backend/cuda/operations.h"

#include <math.h>

_Static_assert((int)RA_CUDA_ROW_STILL == (int)RA_ROW_STILL, "launch.h repeats it for C++");

static ra_status finish(ra_backend_stream *entered, cudaError_t code, const char *what, ra_error *err) {
    return cuda_leave(entered, cuda_check(entered->context, code, what, err));
}

cuda_width cuda_width_of(ra_dtype dtype) {
    return dtype == RA_F32 ? CUDA_WIDTH_F32 : dtype == RA_F16 ? CUDA_WIDTH_F16 : CUDA_WIDTH_BF16;
}

ra_status cuda_project_simplex(void *self, ra_backend_stream *stream, float *W, size_t rows, size_t n,
                               ra_error *err) {
    ra_backend_stream *s;
    RA_TRY(cuda_enter(self, stream, &s, err));
    return finish(s, ra_cuda_project_simplex(s->handle, W, rows, n), "a projection onto the simplex", err);
}

ra_status cuda_project_ball(void *self, ra_backend_stream *stream, float *R, size_t rows, size_t n,
                            float radius, ra_error *err) {
    ra_backend_stream *s;
    RA_TRY(cuda_enter(self, stream, &s, err));
    return finish(s, ra_cuda_project_ball(s->handle, R, rows, n, radius), "a projection into the ball", err);
}

ra_status cuda_combine(void *self, ra_backend_stream *stream, float alpha, const float *x, float beta,
                       float *y, size_t n, ra_error *err) {
    ra_backend_stream *s;
    RA_TRY(cuda_enter(self, stream, &s, err));
    return finish(s, ra_cuda_combine(s->handle, alpha, x, beta, y, n), "a sum of blocks", err);
}

ra_status cuda_relu(void *self, ra_backend_stream *stream, const float *x, float *y, size_t n,
                    ra_error *err) {
    ra_backend_stream *s;
    RA_TRY(cuda_enter(self, stream, &s, err));
    return finish(s, ra_cuda_relu(s->handle, x, y, n), "a relu", err);
}

ra_status cuda_widen(void *self, ra_backend_stream *stream, ra_dtype dtype, const void *source, float *target,
                     size_t n, ra_error *err) {
    ra_backend_stream *s;
    if (!ra_dtype_is_float(dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "numbers of type %s cannot be widened: expected F32, F16 or BF16",
                ra_dtype_name(dtype));
    RA_TRY(cuda_enter(self, stream, &s, err));
    return finish(s, ra_cuda_widen(s->handle, cuda_width_of(dtype), source, target, n), "a conversion", err);
}

ra_status cuda_spread(void *self, ra_backend_stream *stream, const float *row, float *y, size_t rows,
                      size_t n, ra_error *err) {
    ra_backend_stream *s;
    RA_TRY(cuda_enter(self, stream, &s, err));
    return finish(s, ra_cuda_spread(s->handle, row, y, rows, n), "copies of a row", err);
}

ra_status cuda_gather(void *self, ra_backend_stream *stream, const float *source, const int32_t *rows,
                      size_t count, size_t n, float *target, ra_error *err) {
    ra_backend_stream *s;
    RA_TRY(cuda_enter(self, stream, &s, err));
    return finish(s, ra_cuda_gather(s->handle, source, rows, count, n, target), "a copy of rows", err);
}

ra_status cuda_adam_step(void *self, ra_backend_stream *stream, const ra_adam_step *step, float *parameter,
                         const float *gradient, const int32_t *place, float *first, float *second,
                         size_t rows, size_t n, ra_error *err) {
    ra_backend_stream *s;
    cuda_adam factors = {.scale = (float)step->grad_scale,
                         .rest1 = (float)(1 - step->beta1),
                         .beta2 = (float)step->beta2,
                         .rest2 = (float)(1 - step->beta2),
                         .rate = (float)(step->lr / step->bias1),
                         .root = (float)(1 / sqrt(step->bias2)),
                         .epsilon = (float)step->epsilon,
                         .keep = (float)(1 - step->lr * step->decay)};
    RA_TRY(cuda_enter(self, stream, &s, err));
    return finish(s, ra_cuda_adam(s->handle, factors, parameter, gradient, place, first, second, rows, n),
                  "a step of Adam", err);
}
