/* gpu.h - the parts of bench_gpu: what is on the device, the operations over it (gpu_operations.c), and
 * whether they are right (gpu_check.c). Failures end the program. */
#ifndef TESTS_BENCH_GPU_H
#define TESTS_BENCH_GPU_H

#include "ra.h"
#include "ra_backend.h"
#include "ra_memory.h"
#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>

enum { RANK = 32, SEQUENCE = (1 << 20) + 1, MOST_RUNS = 9, STEPS = 8 };

typedef struct bench {
    ra_backend *backend, *tf32;
    size_t rows, d, K, active, square; /* B, d, K, k; square: of the products that are the limit */
    int runs;
    ra_random random;
    float *D, *grad, *m, *v;     /* [K,d] */
    void *half;                  /* [K,d] in bfloat16 */
    float *x, *x_hat;            /* [B,d] */
    float *pre, *g;              /* [B,K] */
    float *value, *latent, *one; /* [entries], [K], [B] */
    int32_t *atoms;              /* [K] 0, 1, .. */
    float *path, *room, *push;
    double *factors, *sums; /* [B] ones; [2,K] */
    void *host;             /* [B,d] numbers */
    ra_codes codes;
    ra_codes kept, over; /* on the device */
    double gbytes, tflops, tflops_tf32;
} bench;

typedef void work(bench *b);

static inline void must(ra_status status, const ra_error *err) {
    if (status == RA_OK) return;
    fprintf(stderr, "bench_gpu: %s\n", err->message);
    exit(1);
}

static inline void must_be(bool right, const char *what) {
    if (right) return;
    fprintf(stderr, "bench_gpu: %s is wrong\n", what);
    exit(1);
}

/* A call of the table: CALL(b, relu, x, y, n) */
#define CALL(b, operation, ...)                                                                              \
    do {                                                                                                     \
        ra_error err_ = {0};                                                                                 \
        must(ra_backend_##operation((b)->backend, __VA_ARGS__, &err_), &err_);                               \
    } while (0)

static inline void wait(bench *b) {
    ra_error err = {0};
    must(ra_backend_synchronize(b->backend, &err), &err);
}

static inline void *host_block(size_t count, size_t size) {
    void *block = ra_calloc(count, size);
    if (!block) exit(1);
    return block;
}

/* gpu_operations.c: the median of several runs; the table of all; those that the limits and the checks are
 * made of */
double seconds(bench *b, work *run);
void print_table(bench *b);
work copy, square, square_tf32, encode, dense, top_k, decode, decode_half;

/* gpu_check.c */
void check_products_and_selections(bench *b);

#endif
