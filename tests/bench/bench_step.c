/* What a training step costs, beside the products that it cannot do without.
 *
 *     build/tests/bench_step [CONCEPTS [POINTS [DIMENSIONS [BATCH [ACTIVE [ROUNDS]]]]]]
 *
 * One thread. A round takes three steps of a dense W, three of mixtures of 8 points, and OpenBLAS's x E^T and the
 * gradient of E as a dense product, (dz)^T x, all by turns; each step gets other rows. Times are those of the thread's
 * processor, so that other programs on the machine count less. First the losses of both kinds must fall. Prints
 * medians and the ratios of the rounds: median, least, largest. */
#include "ra.h"

#include "app/start.h"
#include "base/random.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KINDS = 2, STEPS = 3, FEW = 8, MOST_ROUNDS = 64, BATCHES = 4 };

typedef struct side {
    ra_sae *sae;
    ra_trainer *trainer;
    double first, last;           /* losses */
    double seconds[MOST_ROUNDS];  /* of one step, in each round */
    double relative[MOST_ROUNDS]; /* to both products */
} side;

typedef struct bench {
    size_t K, N, d, B, k, rounds;
    ra_backend *backend;
    float *points, *x; /* [N,d], [BATCHES B,d] */
    float *E, *pre;    /* [K,d], [B,K] */
    side sides[KINDS];
    double product[MOST_ROUNDS], both[MOST_ROUNDS];
} bench;

static const char *const kinds[KINDS] = {"dense W", "8 points per atom"};

static void must(ra_status status, const ra_error *err) {
    if (status == RA_OK) return;
    fprintf(stderr, "bench_step: %s\n", err->message);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *numbers(size_t n, uint64_t seed) {
    float *values = ra_malloc(n, sizeof *values);
    ra_random random;
    if (!values) exit(1);
    ra_random_seed(&random, seed);
    for (size_t i = 0; i < n; i++) values[i] = (float)(2 * ra_random_unit(&random) - 1);
    return values;
}

/* Rows that are mixtures of three points, and a little noise. */
static void make_data(bench *b) {
    ra_random random;
    ra_random_seed(&random, 3);
    b->points = numbers(b->N * b->d, 1);
    b->x = numbers(BATCHES * b->B * b->d, 2);
    for (size_t i = 0; i < BATCHES * b->B; i++)
        for (size_t j = 0; j < 3; j++) {
            size_t point = (size_t)(ra_random_unit(&random) * (double)b->N);
            for (size_t c = 0; c < b->d; c++)
                b->x[i * b->d + c] = 0.2f * b->x[i * b->d + c] + b->points[point * b->d + c];
        }
    b->E = numbers(b->K * b->d, 4);
    b->pre = numbers(b->B * b->K, 5);
}

static void open_side(bench *b, size_t kind) {
    ra_error err = {0};
    ra_dictionary *dictionary = NULL;
    const ra_tensor points = ra_tensor_2d(RA_F32, b->points, b->N, b->d);
    if (kind == 0)
        must(ra_archetypal_dictionary_new(b->backend, b->d, b->K, &points, 1, true, &dictionary, &err), &err);
    else
        must(ra_mixture_dictionary_new(b->backend, b->d, b->K, FEW, &points, 1, 0.9, true, &dictionary, &err),
             &err);
    must(ra_archetypal_dictionary_init(dictionary, RA_INIT_RANDOM, 6, &err), &err);
    ra_sae_settings sae = {.known = 1u << RA_SET_SAE | 1u << RA_SET_TOP_K, .sae = RA_SAE_TOPK, .top_k = b->k};
    ra_sae_settings_defaults(&sae);
    must(ra_sae_new(&sae, dictionary, 7, &b->sides[kind].sae, &err), &err);
    ra_train_settings train = {.batch_size = b->B, .steps = 1 << 20, .lr = 1e-3};
    const ra_settings_table *table = ra_train_settings_table();
    static const char *const set[] = {"batch_size", "steps", "lr"};
    for (size_t i = 0; i < 3; i++) train.known |= 1u << ra_setting_by_key(table, set[i]);
    must(ra_trainer_new(b->sides[kind].sae, &train, BATCHES * b->B, &b->sides[kind].trainer, &err), &err);
}

static double steps(bench *b, size_t kind, size_t count) {
    ra_error err = {0};
    ra_train_progress progress = {0};
    side *s = &b->sides[kind];
    double start = now();
    for (size_t i = 0; i < count; i++) {
        size_t batch = ra_trainer_done(s->trainer) % BATCHES;
        must(ra_trainer_step(s->trainer, b->x + batch * b->B * b->d, b->B, &progress, &err), &err);
        if (s->first == 0) s->first = progress.loss;
        s->last = progress.loss;
    }
    return (now() - start) / (double)count;
}

static void products(bench *b, size_t round) {
    int K = (int)b->K, d = (int)b->d, B = (int)b->B;
    const float *x = b->x + round % BATCHES * b->B * b->d;
    double start = now();
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, B, K, d, 1, x, d, b->E, d, 0, b->pre, K);
    b->product[round] = now() - start;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, K, d, B, 1, b->pre, K, x, d, 0, b->E, d);
    b->both[round] = now() - start;
    for (size_t i = 0; i < b->K * b->d; i++) b->E[i] = (float)(i % 13) - 6;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the values; their median. */
static double median(double *values, size_t n) {
    qsort(values, n, sizeof *values, ascending);
    return values[n / 2];
}

static size_t number(int argc, char **argv, int i, size_t otherwise) {
    return argc > i ? strtoul(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
    start_with_blas(argv);
    static bench b;
    ra_error err = {0};
    b.K = number(argc, argv, 1, 10000);
    b.N = number(argc, argv, 2, 1000);
    b.d = number(argc, argv, 3, 768);
    b.B = number(argc, argv, 4, 1024);
    b.k = number(argc, argv, 5, 50);
    b.rounds = number(argc, argv, 6, 7);
    if (b.rounds == 0 || b.rounds > MOST_ROUNDS) return 2;
    must(ra_backend_open("cpu", &(ra_backend_options){.threads = 1}, &b.backend, &err), &err);
    make_data(&b);
    for (size_t kind = 0; kind < KINDS; kind++) {
        open_side(&b, kind);
        steps(&b, kind, 2 * BATCHES);
        if (b.sides[kind].last < b.sides[kind].first) continue;
        fprintf(stderr, "bench_step: %s: the loss went from %g to %g\n", kinds[kind], b.sides[kind].first,
                b.sides[kind].last);
        return 1;
    }
    for (size_t round = 0; round < b.rounds; round++) {
        products(&b, round);
        for (size_t kind = 0; kind < KINDS; kind++) {
            side *s = &b.sides[kind];
            s->seconds[round] = steps(&b, kind, STEPS);
            s->relative[round] = s->seconds[round] / b.both[round];
        }
    }
    double product = median(b.product, b.rounds), both = median(b.both, b.rounds);
    printf("a training step: d %zu, K %zu, %zu active, N %zu, batch %zu, one thread, OpenBLAS's kernels for "
           "%s\n",
           b.d, b.K, b.k, b.N, b.B, openblas_get_corename());
    printf("  x E^T %.1f ms (%.0f GFLOP/s), with the gradient of E as a dense product %.1f ms\n",
           1e3 * product, 2e-9 * (double)b.B * (double)b.K * (double)b.d / product, 1e3 * both);
    for (size_t kind = 0; kind < KINDS; kind++) {
        side *s = &b.sides[kind];
        double step = median(s->seconds, b.rounds), ratio = median(s->relative, b.rounds);
        printf("  a step, %s: %.1f ms, %.2f x both products (%.2f to %.2f)\n", kinds[kind], 1e3 * step, ratio,
               s->relative[0], s->relative[b.rounds - 1]);
        ra_trainer_free(s->trainer);
        ra_sae_free(s->sae);
    }
    float *const memory[] = {b.points, b.x, b.E, b.pre};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) ra_free(memory[i]);
    ra_backend_release(b.backend);
    return 0;
}
