/* operations.h - the arithmetic of the table (ra_backend.h says what each computes). One file a family. */
#ifndef RA_BACKEND_CUDA_OPERATIONS_H
#define RA_BACKEND_CUDA_OPERATIONS_H

#include "backend/cuda/context.h"

/* gemm.c: cuda_product() is cuda_gemm() on an entered stream */
typedef struct cuda_factor {
    const float *numbers;
    size_t ld; /* length of its rows in memory */
    bool transposed;
} cuda_factor;
ra_status cuda_product(ra_backend_stream *entered, const cuda_factor *a, const cuda_factor *b, size_t m,
                       size_t n, size_t k, float alpha, float beta, float *c, size_t ldc, ra_error *err);
ra_status cuda_gemm(void *self, ra_backend_stream *stream, bool transpose_a, bool transpose_b, size_t m,
                    size_t n, size_t k, float alpha, const float *a, size_t lda, const float *b, size_t ldb,
                    float beta, float *c, size_t ldc, ra_error *err);

/* dense.c */
cuda_width cuda_width_of(ra_dtype dtype); /* of F32, F16 or BF16 */
ra_status cuda_project_simplex(void *self, ra_backend_stream *stream, float *W, size_t rows, size_t n,
                               ra_error *err);
ra_status cuda_project_ball(void *self, ra_backend_stream *stream, float *R, size_t rows, size_t n,
                            float radius, ra_error *err);
ra_status cuda_combine(void *self, ra_backend_stream *stream, float alpha, const float *x, float beta,
                       float *y, size_t n, ra_error *err);
ra_status cuda_widen(void *self, ra_backend_stream *stream, ra_dtype dtype, const void *source, float *target,
                     size_t n, ra_error *err);
ra_status cuda_spread(void *self, ra_backend_stream *stream, const float *row, float *y, size_t rows,
                      size_t n, ra_error *err);
ra_status cuda_relu(void *self, ra_backend_stream *stream, const float *x, float *y, size_t n, ra_error *err);
ra_status cuda_gather(void *self, ra_backend_stream *stream, const float *source, const int32_t *rows,
                      size_t count, size_t n, float *target, ra_error *err);
ra_status cuda_adam_step(void *self, ra_backend_stream *stream, const ra_adam_step *step, float *parameter,
                         const float *gradient, const int32_t *place, float *first, float *second,
                         size_t rows, size_t n, ra_error *err);

/* sums.c */
ra_status cuda_dot(void *self, ra_backend_stream *stream, const float *x, const float *y, size_t n,
                   double *sum, ra_error *err);
ra_status cuda_squared_error(void *self, ra_backend_stream *stream, const float *a, const float *b, size_t n,
                             double scale, float *g, double *sum, ra_error *err);
ra_status cuda_row_norms(void *self, ra_backend_stream *stream, const float *x, size_t rows, size_t n,
                         bool l1, double *norms, ra_error *err);
ra_status cuda_scale_rows(void *self, ra_backend_stream *stream, const double *factor, float *x, size_t rows,
                          size_t n, ra_error *err);

/* columns.c */
ra_status cuda_column_sums(void *self, ra_backend_stream *stream, const float *x, size_t rows, size_t n,
                           const double *center, double *sums, ra_error *err);
ra_status cuda_norm_sums(void *self, ra_backend_stream *stream, const ra_norm *norm, const float *u,
                         const float *dy, size_t rows, size_t n, double *sums, ra_error *err);
ra_status cuda_kernel_sums(void *self, ra_backend_stream *stream, ra_kernel kernel, float bandwidth,
                           const float *pre, const float *g, const float *thresholds, size_t rows, size_t n,
                           double *sums, ra_error *err);

/* norms.c */
ra_status cuda_row_statistics(void *self, ra_backend_stream *stream, const float *u, size_t rows, size_t n,
                              double epsilon, float *mean, float *rstd, ra_error *err);
ra_status cuda_normalize(void *self, ra_backend_stream *stream, const ra_norm *norm, const float *u, float *y,
                         size_t rows, size_t n, ra_error *err);
ra_status cuda_norm_backward(void *self, ra_backend_stream *stream, const ra_norm *norm, const float *u,
                             const double *sums, double count, float *dy, size_t rows, size_t n,
                             ra_error *err);

/* products.c */
ra_status cuda_decode(void *self, ra_backend_stream *stream, const ra_codes *codes, ra_dtype dtype,
                      const void *D, size_t d, float *x_hat, ra_error *err);
ra_status cuda_decode_gradient(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *g,
                               const float *D, size_t d, float *dvalue, ra_error *err);
ra_status cuda_accumulate(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *value,
                          const float *x, size_t d, float *out, ra_error *err);

/* entries.c */
ra_status cuda_latent_sums(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *value,
                           float *out, ra_error *err);
ra_status cuda_pick(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *dense,
                    float beta, float *value, ra_error *err);
ra_status cuda_put(void *self, ra_backend_stream *stream, const ra_codes *codes, float alpha,
                   const float *value, float *dense, ra_error *err);

/* pursuit.c */
ra_status cuda_pursue(void *self, ra_backend_stream *stream, const ra_pursuit_path *path, const float *gram,
                      size_t t, float *scores, ra_error *err);
ra_status cuda_pursue_back(void *self, ra_backend_stream *stream, const ra_pursuit_path *path, const float *g,
                           size_t first, size_t rows, float *room, float *push, ra_error *err);

/* selections.c */
ra_status cuda_top_k(void *self, ra_backend_stream *stream, const float *scores, size_t rows, size_t n,
                     size_t k, float above, ra_codes *codes, ra_error *err);
ra_status cuda_threshold(void *self, ra_backend_stream *stream, const float *scores, size_t rows, size_t n,
                         const float *thresholds, float threshold, ra_codes *codes, ra_error *err);
ra_status cuda_kth_largest(void *self, ra_backend_stream *stream, const float *scores, size_t n, size_t k,
                           float *value, ra_error *err);

#endif
