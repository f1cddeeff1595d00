/* What k-means costs, beside what the machine can do.
 *
 *     build/tests/bench_kmeans [DATA [CLUSTERS [THREADS [lloyd|minibatch [ITERATIONS [TOLERANCE]]]]]]
 *
 * DATA: a .npy or .safetensors [rows, d]; without it the words of tests/data, with 1,000 clusters. 0 stands
 * for the default of a number. Before anything is timed, the inertia of a first run is held against one that
 * is computed row by row. Then one JSON object: the times of seeding, iterating and searching the nearest
 * rows of the points, the inertia after each iteration with the seconds until then, and GFLOP/s.
 * "pairs_gflops" is what the iterations would need if every row were held against every center, so it may
 * exceed the peak: most pairs are skipped. kmeans_peers.py runs this beside other programs. */
#include "ra.h"

#include "base/random.h"
#include "app/start.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 4096, SIDE = 2048, PEAK_RUNS = 5 };

typedef struct bench {
    ra_data *data;
    ra_backend *backend;
    ra_kmeans_options options;
    double start, last;
    double cpu_start, cpu; /* seconds of all threads */
    size_t count;          /* of the history: one entry an assignment */
    size_t iteration[MOST];
    double seconds[MOST], inertia[MOST];
} bench;

static double read_clock(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double now(void) {
    return read_clock(CLOCK_MONOTONIC);
}

static void must(ra_status status, const ra_error *err) {
    if (status == RA_OK) return;
    fprintf(stderr, "bench_kmeans: %s\n", err->message);
    exit(1);
}

/* The entries of iteration 0 are those of seeding, the last of them of the seeds that were assigned. */
static bool follow(void *context, const ra_kmeans_progress *progress) {
    bench *b = context;
    b->last = now();
    b->cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID) - b->cpu_start;
    if (progress->iteration == 0) b->count = 0;
    if (b->count == MOST) return true;
    b->iteration[b->count] = progress->iteration;
    b->seconds[b->count] = b->last - b->start;
    b->inertia[b->count++] = progress->inertia;
    return true;
}

/* The inertia of some points, without anything that k-means is made of. */
static double inertia_of(const bench *b, const ra_matrix *points) {
    size_t d = points->cols;
    float *row = ra_malloc(d, sizeof *row);
    double total = 0;
    if (!row) exit(1);
    for (size_t i = 0; i < ra_data_rows(b->data); i++) {
        double nearest = INFINITY;
        ra_data_read(b->data, i, 1, row);
        for (size_t c = 0; c < points->rows; c++) {
            const float *point = ra_matrix_row(points, c);
            double sum = 0;
            for (size_t j = 0; j < d && sum < nearest; j++) {
                double gap = (double)row[j] - (double)point[j];
                sum += gap * gap;
            }
            nearest = fmin(nearest, sum);
        }
        total += nearest;
    }
    ra_free(row);
    return total;
}

static void check(bench *b) {
    ra_error err = {0};
    ra_points points;
    ra_kmeans_options few = b->options;
    few.clusters = few.clusters < 20 ? few.clusters : 20;
    few.progress = NULL;
    must(ra_points_kmeans(b->backend, b->data, &few, &points, &err), &err);
    double expected = inertia_of(b, &points.vectors);
    if (fabs(points.inertia / expected - 1) > 1e-9) {
        fprintf(stderr, "bench_kmeans: the inertia is %.17g, expected %.17g\n", points.inertia, expected);
        exit(1);
    }
    ra_points_release(&points);
}

/* GFLOP/s of OpenBLAS with its own threads, the best of several. */
static double peak(int threads) {
    size_t values = (size_t)SIDE * SIDE;
    float *a = ra_malloc(values, sizeof *a), *c = ra_malloc(values, sizeof *c);
    double best = INFINITY;
    if (!a || !c) exit(1);
    ra_random random;
    ra_random_seed(&random, 1);
    for (size_t i = 0; i < values; i++) a[i] = (float)ra_random_unit(&random);
    openblas_set_num_threads(threads);
    for (int i = 0; i < PEAK_RUNS; i++) {
        double start = now();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, SIDE, SIDE, SIDE, 1, a, SIDE, a, SIDE, 0, c,
                    SIDE);
        best = fmin(best, now() - start);
    }
    ra_free(a);
    ra_free(c);
    return 2.0 * SIDE * SIDE * SIDE / best / 1e9;
}

static void print(const bench *b, const ra_points *points, double end, double limit) {
    double rows = (double)ra_data_rows(b->data), d = (double)points->vectors.cols;
    double pairs = (double)b->count * rows * (double)points->vectors.rows;
    printf("{\"rows\": %.0f, \"dimensions\": %.0f, \"clusters\": %zu, \"kernels\": \"%s\", ", rows, d,
           points->vectors.rows, openblas_get_corename());
    printf("\"cpu_seconds\": %.4f, ", b->cpu);
    printf("\"seconds\": %.4f, \"seed_seconds\": %.4f, \"iterate_seconds\": %.4f, \"rows_seconds\": %.4f, ",
           b->last - b->start, b->seconds[0], b->last - b->start - b->seconds[0], end - b->last);
    printf("\"iterations\": %zu, \"inertia\": %.9g, \"pairs_gflops\": %.1f, \"rows_gflops\": %.1f, "
           "\"peak_gflops\": %.1f, \"history\": [",
           points->iterations, points->inertia, 2 * pairs * d / (b->last - b->start - b->seconds[0]) / 1e9,
           2 * rows * (double)points->vectors.rows * d / (end - b->last) / 1e9, limit);
    for (size_t i = 0; i < b->count; i++)
        printf("%s[%.4f, %.9g]", i ? ", " : "", b->seconds[i], b->inertia[i]);
    printf("]}\n");
}

/* Argument i as a number; 0 when it is not there. */
static double number(int argc, char **argv, int i) {
    return argc > i ? strtod(argv[i], NULL) : 0;
}

int main(int argc, char **argv) {
    start_with_blas(argv);
    static bench b;
    ra_error err = {0};
    ra_points points;
    const char *path = argc > 1 ? argv[1] : "tests/data/words.safetensors";
    ra_backend_options machine = {.threads = (size_t)number(argc, argv, 3)};
    must(ra_data_open(&path, 1, NULL, &b.data, &err), &err);
    must(ra_backend_open("cpu", &machine, &b.backend, &err), &err);
    b.options = (ra_kmeans_options){
        .method = argc > 4 && strcmp(argv[4], "minibatch") == 0 ? RA_KMEANS_MINIBATCH : RA_KMEANS_LLOYD,
        .clusters = argc > 2 ? (size_t)number(argc, argv, 2) : 1000,
        .max_iterations = (size_t)number(argc, argv, 5),
        .tolerance = number(argc, argv, 6),
        .seed = 1,
        .progress = follow,
        .context = &b,
    };
    check(&b);
    double limit = peak(machine.threads ? (int)machine.threads : openblas_get_num_procs());
    openblas_set_num_threads(1); /* as the backend has it */
    b.cpu_start = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    b.start = now();
    must(ra_points_kmeans(b.backend, b.data, &b.options, &points, &err), &err);
    print(&b, &points, now(), limit);
    ra_points_release(&points);
    ra_backend_release(b.backend);
    ra_data_free(b.data);
    return 0;
}
