#include "backend_pair.h"

#include <math.h>

const size_t backend_sizes[SIZES] = {1, 2, 3, 15, 64, 67, 300};
static const size_t emulated_sizes[EMULATED_SIZES] = {1, 3, 64, 67};
static const shape large[LARGE] = {{3, 700, 40, 0}, {2, 1029, 300, 0}, {5, 9, 1100, 0}, {3, 40, 1300, 0}};

static shape from_grid(int i, const size_t *of, int count, int device) {
    return (shape){of[i % count], of[i / count % count], of[i / count / count], device};
}

shape shape_of_case(int i) {
    if (i < GRID) return from_grid(i, backend_sizes, SIZES, 0);
    if ((i -= GRID) < EMULATED_GRID) return from_grid(i, emulated_sizes, EMULATED_SIZES, 1);
    shape chosen = large[(i - EMULATED_GRID) % LARGE];
    chosen.device = (i - EMULATED_GRID) / LARGE;
    return chosen;
}

pair pair_open(int device) {
    pair p = {0};
    p.oracle = device_open(DEVICE_REFERENCE, 1);
    p.tested = device_open(DEVICE_CPU + device, 2);
    return p;
}

void pair_close(pair *p) {
    ra_backend_release(p->oracle);
    ra_backend_release(p->tested);
}

void *pair_put(const pair *p, const void *host, size_t bytes) {
    void *block = NULL;
    ra_ok(ra_backend_allocate(p->tested, bytes, &block, &err));
    ra_ok(ra_backend_upload(p->tested, block, host, bytes, &err));
    return block;
}

void pair_set(const pair *p, void *block, const void *host, size_t bytes) {
    ra_ok(ra_backend_upload(p->tested, block, host, bytes, &err));
}

void pair_get(const pair *p, void *host, const void *block, size_t bytes) {
    ra_ok(ra_backend_download(p->tested, host, block, bytes, &err));
    ra_ok(ra_backend_synchronize(p->tested, &err));
}

void pair_drop(const pair *p, void *const *blocks) {
    for (; *blocks; blocks++) ra_backend_deallocate(p->tested, *blocks);
}

void forget(void *const *blocks) {
    for (; *blocks; blocks++) ra_free(*blocks);
}

float *numbers(size_t n, uint64_t seed) {
    float *values = ra_malloc(n ? n : 1, sizeof *values);
    ck_assert_ptr_nonnull(values);
    test_fill(values, n, seed);
    return values;
}

ra_codes some_codes(size_t rows, size_t K, float share, uint64_t seed) {
    float *z = numbers(rows * K, seed), *u = numbers(rows * K, seed + 100);
    ra_codes codes = {0};
    for (size_t i = 0; i < rows * K; i++)
        if ((u[i] + 1) / 2 >= share) z[i] = 0;
    ra_ok(ra_codes_from_dense(&codes, z, rows, K, &err));
    ra_free(z);
    ra_free(u);
    return codes;
}

void assert_doubles_close(const double *a, const double *b, size_t n, double tolerance) {
    double gap = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        gap += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    double error = sqrt(gap) / (size > 0 ? sqrt(size) : 1);
    ck_assert_msg(error <= tolerance, "relative error %.3g, at most %.3g is allowed", error, tolerance);
}
