/* What serving and training cost at the method's documented size, beside what the machine can do.
 *
 *     build/tests/bench_model [THREADS]
 *
 * K = 10,000 concepts, d = 768, N = 1,000 points, k = 50 active latents, batches of 1,024. Each line: the
 * fastest and the median of several runs, and the achieved share of the measured limit (reading an array of the
 * dictionary's size again and again, on all threads, for what is bound by memory: a large cache helps both sides;
 * OpenBLAS's own sgemm for what is bound by arithmetic). Results are checked against plain
 * loops before anything is timed. Of what takes one row, each run takes another one. */
#include "ra.h"

#include "base/pool.h"
#include "base/random.h"

#include "app/start.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { K = 10000, D = 768, N = 1000, ACTIVE = 50, BATCH = 1024, FEW = 64, MANY = 256, RUNS = 9 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(ra_status status, const ra_error *err) {
    if (status == RA_OK) return;
    fprintf(stderr, "bench_model: %s\n", err->message);
    exit(1);
}

static float *numbers(size_t n, uint64_t seed) {
    ra_random random;
    ra_random_seed(&random, seed);
    float *values = ra_malloc(n, sizeof *values);
    if (!values) exit(1);
    for (size_t i = 0; i < n; i++) values[i] = (float)(ra_random_unit(&random) - 0.5);
    return values;
}

static int rising(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct bench {
    ra_backend *backend;
    float *D, *x, *x_hat, *pre, *W, *C;
    ra_codes one, codes;  /* of one input, of a batch */
    ra_codes rows[BATCH]; /* those of the batch, one by one */
    ra_codes few[BATCH / FEW], many[BATCH / MANY];
    size_t turn;
    double gflops, gbytes; /* measured limits */
    uint32_t seen[64];     /* results of reading: without them a compiler could leave it out */
} bench;

typedef void work(bench *b);

/* operations or bytes a run; 0: not of that kind */
static void line(bench *b, const char *name, work *run, double flop, double bytes) {
    double times[RUNS];
    size_t repeat = 1;
    run(b); /* warm up */
    double start = now();
    run(b);
    while ((double)repeat * (now() - start) < 2e-3 && repeat < 4096)
        repeat *= 2; /* at least a millisecond a sample */
    for (int i = 0; i < RUNS; i++) {
        start = now();
        for (size_t r = 0; r < repeat; r++) run(b);
        times[i] = (now() - start) / (double)repeat;
    }
    qsort(times, RUNS, sizeof *times, rising);
    double median = times[RUNS / 2], rate = flop > 0 ? flop / median / 1e9 : bytes / median / 1e9;
    double limit = flop > 0 ? b->gflops : b->gbytes;
    printf("%-44s %10.1f %10.1f us", name, times[0] * 1e6, median * 1e6);
    if (limit > 0 && rate > 0)
        printf("  %7.1f %s  %3.0f %% of the limit", rate, flop > 0 ? "GFLOP/s" : "GB/s   ",
               100 * rate / limit);
    printf("\n");
}

enum { PARTS = 64 };

static void read_part(void *context, size_t part) {
    bench *b = context;
    const float *from = b->D + (size_t)K * D / PARTS * part;
    uint32_t lane[64] = {0}, all = 0;
    for (size_t i = 0; i < (size_t)K * D / PARTS; i += 64)
        for (size_t l = 0; l < 64; l++) {
            uint32_t bits;
            memcpy(&bits, from + i + l, sizeof bits);
            lane[l] |= bits;
        }
    for (size_t l = 0; l < 64; l++) all |= lane[l];
    b->seen[part] = all;
}

static void read_all(bench *b) {
    ra_pool_run(ra_backend_pool(b->backend), PARTS, read_part, b);
}

static void peak(bench *b) {
    ra_error err;
    must(ra_backend_gemm(b->backend, false, true, BATCH, K, D, 1, b->x, D, b->D, D, 0, b->pre, K, &err),
         &err);
}

/* The limit: OpenBLAS with its own threads. */
static void openblas(bench *b) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, BATCH, K, D, 1, b->x, D, b->D, D, 0, b->pre, K);
}

static void fuse(bench *b) {
    ra_error err;
    must(ra_backend_gemm(b->backend, false, false, K, D, N, 1, b->W, N, b->C, D, 0, b->pre, D, &err), &err);
}

static size_t next_row(bench *b) {
    return b->turn = (b->turn + 1) % BATCH;
}

static void reconstruct_one(bench *b) {
    ra_error err;
    must(ra_backend_decode(b->backend, &b->rows[next_row(b)], RA_F32, b->D, D, b->x_hat, &err), &err);
}

/* Of the parts of a batch of `rows` each, the next one. */
static void reconstruct_some(bench *b, ra_codes *parts, size_t rows) {
    ra_error err;
    b->turn = (b->turn + rows) % BATCH;
    must(ra_backend_decode(b->backend, &parts[b->turn / rows], RA_F32, b->D, D, b->x_hat, &err), &err);
}

static void reconstruct_few(bench *b) {
    reconstruct_some(b, b->few, FEW);
}

static void reconstruct_many(bench *b) {
    reconstruct_some(b, b->many, MANY);
}

static void reconstruct_batch(bench *b) {
    ra_error err;
    must(ra_backend_decode(b->backend, &b->codes, RA_F32, b->D, D, b->x_hat, &err), &err);
}

/* One atom after the other. */
static void saxpy_one(bench *b) {
    const ra_codes *codes = &b->rows[next_row(b)];
    memset(b->x_hat, 0, D * sizeof *b->x_hat);
    for (size_t e = 0; e < codes->start[1]; e++)
        cblas_saxpy(D, codes->value[e], b->D + (size_t)codes->index[e] * D, 1, b->x_hat, 1);
}

static void encode_one(bench *b) {
    ra_error err;
    const float *x = b->x + next_row(b) * D;
    must(ra_backend_gemm(b->backend, false, true, 1, K, D, 1, x, D, b->D, D, 0, b->pre, K, &err), &err);
    must(ra_backend_top_k(b->backend, b->pre, 1, K, ACTIVE, 0, &b->one, &err), &err);
}

static void select_batch(bench *b) {
    ra_error err;
    must(ra_backend_top_k(b->backend, b->pre, BATCH, K, ACTIVE, 0, &b->codes, &err), &err);
}

static void check_row(const bench *b, size_t row, const float *x_hat) {
    double error = 0, norm = 0;
    for (size_t j = 0; j < D; j++) {
        double sum = 0;
        for (size_t e = b->codes.start[row]; e < b->codes.start[row + 1]; e++)
            sum += (double)b->codes.value[e] * (double)b->D[(size_t)b->codes.index[e] * D + j];
        error += pow(sum - (double)x_hat[j], 2);
        norm += sum * sum;
    }
    if (error <= 1e-12 * norm) return;
    fprintf(stderr, "bench_model: the sparse product is wrong\n");
    exit(1);
}

static void check_decode(bench *b) {
    work *const single[] = {reconstruct_one, saxpy_one};
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        single[i](b);
        check_row(b, b->turn, b->x_hat);
    }
    b->turn = FEW;
    reconstruct_few(b);
    check_row(b, b->turn, b->x_hat);
    reconstruct_batch(b);
    for (size_t row = 0; row < BATCH; row += 100) check_row(b, row, b->x_hat + row * D);
}

/* parts <- the codes of the batch, `rows` rows each. */
static void divide(bench *b, size_t rows, ra_codes *parts) {
    ra_error err;
    for (size_t i = 0; i < BATCH / rows; i++)
        must(ra_codes_slice(&b->codes, i * rows, rows, &parts[i], &err), &err);
}

static double fastest(bench *b, work *run) {
    double best = INFINITY;
    for (int i = 0; i < RUNS; i++) {
        double start = now();
        run(b);
        double seconds = now() - start;
        if (seconds < best) best = seconds;
    }
    return best;
}

int main(int argc, char **argv) {
    start_with_blas(argv);
    ra_error err;
    static bench b;
    size_t threads = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 0;
    must(ra_backend_open("cpu", &(ra_backend_options){.threads = threads}, &b.backend, &err), &err);
    b.D = numbers((size_t)K * D, 1);
    b.x = numbers((size_t)BATCH * D, 2);
    b.x_hat = numbers((size_t)BATCH * D, 3);
    b.pre = numbers((size_t)BATCH * K > (size_t)K * D ? (size_t)BATCH * K : (size_t)K * D, 4);
    b.W = numbers((size_t)K * N, 5);
    b.C = numbers((size_t)N * D, 6);
    peak(&b);
    select_batch(&b);
    divide(&b, 1, b.rows);
    divide(&b, FEW, b.few);
    divide(&b, MANY, b.many);
    encode_one(&b);
    check_decode(&b);
    b.gbytes = 1.0 * K * D * sizeof(float) / fastest(&b, read_all) / 1e9;
    openblas_set_num_threads((int)ra_pool_threads(ra_backend_pool(b.backend)));
    b.gflops = 2.0 * BATCH * K * D / fastest(&b, openblas) / 1e9;
    openblas_set_num_threads(1);
    printf("K %d, d %d, N %d, %d active latents, batch %d; OpenBLAS for %s; reading %.1f GB/s, sgemm %.0f "
           "GFLOP/s\n\n",
           K, D, N, ACTIVE, BATCH, openblas_get_corename(), b.gbytes, b.gflops);
    printf("%-44s %10s %10s\n", "", "fastest", "median");
    line(&b, "reconstruct one, 50 active", reconstruct_one, 0, 0);
    line(&b, "the same by OpenBLAS, an saxpy per atom", saxpy_one, 0, 0);
    b.turn = 0;
    line(&b, "reconstruct 64, 50 active each", reconstruct_few, 0, 0);
    line(&b, "reconstruct 256, 50 active each", reconstruct_many, 0, 0);
    line(&b, "encode one (product and top-k)", encode_one, 0, (double)K * D * 4);
    line(&b, "reconstruct 1,024, 50 active each", reconstruct_batch, 0, 0);
    line(&b, "encode 1,024: product", peak, 2.0 * BATCH * K * D, 0);
    line(&b, "encode 1,024: top-k", select_batch, 0, (double)BATCH * K * 4);
    line(&b, "fuse: W C", fuse, 2.0 * K * D * N, 0);
    return 0;
}
