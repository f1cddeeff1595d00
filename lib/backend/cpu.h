/* cpu.h - the parts of the CPU backend: one file a family of operations, all over one thread pool.
 *
 * Work is cut into parts by shape alone (ra_pool_run), so results are bit-identical for any number of
 * threads. */
#ifndef RA_BACKEND_CPU_H
#define RA_BACKEND_CPU_H

#include "backend/backend.h"

typedef struct cpu_context {
    ra_pool *pool;
} cpu_context;

/* cpu_gemm.c */
void cpu_gemm_prepare(void);
ra_status cpu_gemm(void *self, ra_backend_stream *stream, bool transpose_a, bool transpose_b, size_t m,
                   size_t n, size_t k, float alpha, const float *a, size_t lda, const float *b, size_t ldb,
                   float beta, float *c, size_t ldc, ra_error *err);

/* cpu_rows.c */
ra_status cpu_project_simplex(void *self, ra_backend_stream *stream, float *W, size_t rows, size_t n,
                              ra_error *err);
ra_status cpu_project_ball(void *self, ra_backend_stream *stream, float *R, size_t rows, size_t n,
                           float radius, ra_error *err);
ra_status cpu_combine(void *self, ra_backend_stream *stream, float alpha, const float *x, float beta,
                      float *y, size_t n, ra_error *err);
ra_status cpu_dot(void *self, ra_backend_stream *stream, const float *x, const float *y, size_t n,
                  double *sum, ra_error *err);
ra_status cpu_gather(void *self, ra_backend_stream *stream, const float *source, const int32_t *rows,
                     size_t count, size_t n, float *target, ra_error *err);

/* cpu_adam.c */
ra_status cpu_adam(void *self, ra_backend_stream *stream, const ra_adam_step *step, float *parameter,
                   const float *gradient, const int32_t *place, float *first, float *second, size_t rows,
                   size_t n, ra_error *err);

/* cpu_codes.c */
ra_status cpu_decode(void *self, ra_backend_stream *stream, const ra_codes *codes, ra_dtype dtype,
                     const void *D, size_t d, float *x_hat, ra_error *err);
ra_status cpu_decode_gradient(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *g,
                              const float *D, size_t d, float *dvalue, ra_error *err);
ra_status cpu_accumulate(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *value,
                         const float *x, size_t d, float *out, ra_error *err);

/* cpu_select.c */
ra_status cpu_top_k(void *self, ra_backend_stream *stream, const float *scores, size_t rows, size_t n,
                    size_t k, float above, ra_codes *codes, ra_error *err);
ra_status cpu_threshold(void *self, ra_backend_stream *stream, const float *scores, size_t rows, size_t n,
                        const float *thresholds, float threshold, ra_codes *codes, ra_error *err);
ra_status cpu_kth_largest(void *self, ra_backend_stream *stream, const float *scores, size_t n, size_t k,
                          float *value, ra_error *err);

#endif
