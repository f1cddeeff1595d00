/* What it costs to compare two dictionaries at the method's documented size: the exact assignment alone, on
 * costs of three kinds, and all of `rasae compare`.
 *
 *     build/tests/bench_compare [THREADS [K]]
 *
 * K = 10,000 concepts unless it is given, d = 768. The hidden permutation of the noisy copy has to be found before its time is
 * printed; that the assignments are optimal is what tests/unit/lib/metrics/test_assignment.c is about. */
#include "ra.h"

#include "base/pool.h"
#include "base/random.h"
#include "app/start.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { D = 768, GROUPS = 200 };

static size_t K = 10000;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(ra_status status, const ra_error *err) {
    if (status == RA_OK) return;
    fprintf(stderr, "bench_compare: %s\n", err->message);
    exit(1);
}

static void *room(size_t count, size_t size) {
    void *block = ra_malloc(count, size);
    if (!block) exit(1);
    return block;
}

static float normal(ra_random *random) {
    double radius = sqrt(-2 * log(1 - ra_random_unit(random)));
    return (float)(radius * cos(6.283185307179586 * ra_random_unit(random)));
}

static void unit_rows(float *x) {
    for (size_t k = 0; k < K; k++) {
        double square = 0;
        for (size_t j = 0; j < D; j++) square += (double)x[k * D + j] * (double)x[k * D + j];
        for (size_t j = 0; j < D; j++) x[k * D + j] = (float)((double)x[k * D + j] / sqrt(square));
    }
}

typedef struct pair {
    float *A, *B;
    uint64_t *order; /* atom i of A is atom order[i] of B, where that is so */
} pair;

static void independent(pair *p, ra_random *random) {
    for (size_t i = 0; i < K * D; i++) p->B[i] = normal(random);
}

/* Half of an atom's square is noise. */
static void noisy_copy(pair *p, ra_random *random) {
    for (size_t k = 0; k < K; k++)
        for (size_t j = 0; j < D; j++)
            p->B[p->order[k] * D + j] = p->A[k * D + j] + normal(random) / sqrtf(D);
}

/* Both from the same few directions, so that fifty atoms of either suit each other. */
static void grouped(pair *p, ra_random *random) {
    float *center = room((size_t)GROUPS * D, sizeof *center);
    for (size_t i = 0; i < (size_t)GROUPS * D; i++) center[i] = normal(random);
    for (size_t k = 0; k < K; k++)
        for (size_t j = 0; j < D; j++) {
            p->A[k * D + j] = center[k % GROUPS * D + j] + normal(random) / 2;
            p->B[k * D + j] = center[k % GROUPS * D + j] + normal(random) / 2;
        }
    ra_free(center);
}

static const struct kind {
    const char *name;
    void (*fill)(pair *p, ra_random *random);
    bool hidden; /* the order has to be found */
} kinds[] = {{"independent random atoms", independent, false},
             {"a noisy copy in another order", noisy_copy, true},
             {"200 directions with 50 atoms each", grouped, false}};

static void run(ra_backend *backend, const struct kind *kind, pair *p, float *cost, int32_t *match) {
    ra_error err = {0};
    ra_random random;
    double total, start;
    ra_random_seed(&random, 1);
    for (size_t i = 0; i < K * D; i++) p->A[i] = normal(&random);
    unit_rows(p->A);
    ra_random_permutation(&random, p->order, K);
    kind->fill(p, &random);
    unit_rows(p->A);
    unit_rows(p->B);
    must(ra_backend_gemm(backend, false, true, K, K, D, -1, p->A, D, p->B, D, 0, cost, K, &err), &err);
    start = now();
    must(ra_assignment(cost, K, match, &total, &err), &err);
    double assigned = now() - start;
    for (size_t k = 0; kind->hidden && k < K; k++)
        if ((uint64_t)match[k] != p->order[k]) {
            fprintf(stderr, "bench_compare: the hidden order was not found\n");
            exit(1);
        }
    ra_comparison comparison;
    start = now();
    must(ra_compare(backend, p->A, p->B, K, D, NULL, &comparison, &err), &err);
    printf("%-36s %8.2f s %8.2f s   stability %.4f\n", kind->name, assigned, now() - start,
           comparison.stability_with_flips);
    ra_comparison_release(&comparison);
}

int main(int argc, char **argv) {
    start_with_blas(argv);
    ra_error err = {0};
    ra_backend *backend = NULL;
    const ra_backend_options options = {.threads = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 0};
    if (argc > 2) K = (size_t)strtoul(argv[2], NULL, 10);
    must(ra_backend_open("cpu", &options, &backend, &err), &err);
    pair p = {room(K * D, sizeof *p.A), room(K * D, sizeof *p.B), room(K, sizeof *p.order)};
    float *cost = room(K * K, sizeof *cost);
    int32_t *match = room(K, sizeof *match);
    printf(
        "Comparing two dictionaries of %zu atoms of %d dimensions, %zu threads, OpenBLAS's kernels for %s: "
        "one exact "
        "assignment, and all figures\n",
        K, D, ra_pool_threads(ra_backend_pool(backend)), openblas_get_corename());
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) run(backend, &kinds[i], &p, cost, match);
    ra_free(match);
    ra_free(cost);
    ra_free(p.order);
    ra_free(p.B);
    ra_free(p.A);
    ra_backend_release(backend);
    return 0;
}
