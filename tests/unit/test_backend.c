/* Every operation of every backend against the reference backend, over a grid of shapes; plugins; thread
 * independence. */
#include "harness.h"
#include "ra_backend.h"
#include "ra_memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t sizes[] = {1, 2, 3, 15, 64, 67, 300};
enum { SIZES = sizeof sizes / sizeof *sizes, GRID = SIZES * SIZES * SIZES };

/* What is tested. The second is the CUDA plugin over an emulated device (tests/emulation/), whose memory the
 * host cannot touch; every thread of its kernels is run on its own, twice, so its grid is smaller. Another
 * one takes its place when RASAE_TEST_DEVICE names it (make check-gpu). */
static const char *const devices[] = {"cpu", "cuda-emulated"};
static const size_t emulated_sizes[] = {1, 3, 64, 67};
enum {
    DEVICES = sizeof devices / sizeof *devices,
    EMULATED_SIZES = sizeof emulated_sizes / sizeof *emulated_sizes,
    EMULATED_GRID = EMULATED_SIZES * EMULATED_SIZES * EMULATED_SIZES,
};

typedef struct shape {
    size_t first, second, third;
    int device;
} shape;

/* Where a kernel's block goes over a row in several tiles, and a row is cut among several blocks. */
static const shape large[] = {{3, 700, 40, 0}, {2, 1029, 300, 0}, {5, 9, 1100, 0}, {3, 40, 1300, 0}};
enum { LARGE = sizeof large / sizeof *large, CASES = GRID + EMULATED_GRID + LARGE * DEVICES };

static shape from_grid(int i, const size_t *of, int count, int device) {
    return (shape){of[i % count], of[i / count % count], of[i / count / count], device};
}

static shape shape_of_case(int i) {
    if (i < GRID) return from_grid(i, sizes, SIZES, 0);
    if ((i -= GRID) < EMULATED_GRID) return from_grid(i, emulated_sizes, EMULATED_SIZES, 1);
    shape chosen = large[(i - EMULATED_GRID) % LARGE];
    chosen.device = (i - EMULATED_GRID) / LARGE;
    return chosen;
}

typedef struct pair {
    ra_backend *oracle, *tested;
    const ra_backend_ops *a, *b;
    void *self_a, *self_b;
} pair;

static pair open_pair(int device) {
    pair p = {0};
    ra_ok(ra_backend_open("reference", NULL, &p.oracle, &err));
    const char *instead = getenv("RASAE_TEST_DEVICE"), *name = device && instead ? instead : devices[device];
    ra_ok(ra_backend_open(name, &(ra_backend_options){.threads = 2}, &p.tested, &err));
    p.a = ra_backend_operations(p.oracle);
    p.b = ra_backend_operations(p.tested);
    p.self_a = ra_backend_self(p.oracle);
    p.self_b = ra_backend_self(p.tested);
    return p;
}

static void close_pair(pair *p) {
    ra_backend_release(p->oracle);
    ra_backend_release(p->tested);
}

/* A block of the tested backend with these bytes in it. */
static void *put(const pair *p, const void *host, size_t bytes) {
    void *block = NULL;
    ra_ok(p->b->allocate(p->self_b, bytes, &block, &err));
    ra_ok(p->b->upload(p->self_b, NULL, block, host, bytes, &err));
    return block;
}

static void set(const pair *p, void *block, const void *host, size_t bytes) {
    ra_ok(p->b->upload(p->self_b, NULL, block, host, bytes, &err));
}

static void get(const pair *p, void *host, const void *block, size_t bytes) {
    ra_ok(p->b->download(p->self_b, NULL, host, block, bytes, &err));
    ra_ok(p->b->synchronize(p->self_b, NULL, &err));
}

/* Frees blocks of the tested backend and of the host; the lists end with NULL. */
static void drop(const pair *p, void *const *blocks) {
    for (; *blocks; blocks++) p->b->deallocate(p->self_b, *blocks);
}

static void forget(void *const *blocks) {
    for (; *blocks; blocks++) ra_free(*blocks);
}

#define BLOCKS(...) ((void *const[]){__VA_ARGS__, NULL})

static float *numbers(size_t n, uint64_t seed) {
    float *values = ra_malloc(n ? n : 1, sizeof *values);
    ck_assert_ptr_nonnull(values);
    test_fill(values, n, seed);
    return values;
}

static void assert_codes_equal(const ra_codes *a, const ra_codes *b) {
    ck_assert_uint_eq(a->rows, b->rows);
    ck_assert_uint_eq(a->latents, b->latents);
    ck_assert_mem_eq(a->start, b->start, (a->rows + 1) * sizeof *a->start);
    size_t entries = ra_codes_entries(a);
    if (!entries) return;
    ck_assert_mem_eq(a->index, b->index, entries * sizeof *a->index);
    ck_assert_mem_eq(a->value, b->value, entries * sizeof *a->value);
}

START_TEST(test_gemm) {
    shape s = shape_of_case(_i);
    pair p = open_pair(s.device);
    size_t m = s.first, n = s.second, k = s.third;
    float *a = numbers(m * k, 1), *b = numbers(k * n, 2), *c = numbers(m * n, 3), *d = numbers(m * n, 3);
    float *on_a = put(&p, a, m * k * sizeof *a), *on_b = put(&p, b, k * n * sizeof *b),
          *on_d = put(&p, d, m * n * sizeof *d);
    for (int variant = 0; variant < 8; variant++) {
        bool ta = variant & 1, tb = variant & 2;
        float beta = variant & 4 ? 0.5f : 0;
        size_t lda = ta ? m : k, ldb = tb ? k : n;
        if (beta == 0) { /* beta 0 must not read C */
            c[0] = NAN;
            set(&p, on_d, c, sizeof *c);
        }
        ra_ok(p.a->gemm(p.self_a, NULL, ta, tb, m, n, k, 1.5f, a, lda, b, ldb, beta, c, n, &err));
        ra_ok(p.b->gemm(p.self_b, NULL, ta, tb, m, n, k, 1.5f, on_a, lda, on_b, ldb, beta, on_d, n, &err));
        get(&p, d, on_d, m * n * sizeof *d);
        assert_close(d, c, m * n, 1e-5);
    }
    drop(&p, BLOCKS(on_a, on_b, on_d));
    forget(BLOCKS(a, b, c, d));
    close_pair(&p);
}
END_TEST

START_TEST(test_gemm_in_many_tiles) {
    for (int device = 0; device < DEVICES; device++) {
        pair p = open_pair(device);
        enum { M = 700, N = 1100, K = 33 };
        float *a = numbers(M * K, 1), *b = numbers(K * N, 2), *c = numbers(M * N, 3), *d = numbers(M * N, 3);
        float *on_a = put(&p, a, M * K * sizeof *a), *on_b = put(&p, b, K * N * sizeof *b),
              *on_d = put(&p, d, M * N * sizeof *d);
        ra_ok(p.a->gemm(p.self_a, NULL, false, false, M, N, K, 1, a, K, b, N, 1, c, N, &err));
        ra_ok(p.b->gemm(p.self_b, NULL, false, false, M, N, K, 1, on_a, K, on_b, N, 1, on_d, N, &err));
        get(&p, d, on_d, M * N * sizeof *d);
        assert_close(d, c, M * N, 1e-6);
        drop(&p, BLOCKS(on_a, on_b, on_d));
        forget(BLOCKS(a, b, c, d));
        close_pair(&p);
    }
}
END_TEST

START_TEST(test_projections_combine_and_dot) {
    pair p = open_pair(_i / (SIZES * SIZES));
    size_t rows = sizes[_i % SIZES], n = sizes[_i / SIZES % SIZES], size = rows * n,
           bytes = size * sizeof(float);
    float *x = numbers(size, 1), *y = numbers(size, 1), *z = numbers(size, 2);
    memset(x, 0, n * sizeof *x); /* a zero row */
    float *on_y = put(&p, x, bytes), *on_z = put(&p, z, bytes);
    ra_ok(p.a->project_simplex(p.self_a, NULL, x, rows, n, &err));
    ra_ok(p.b->project_simplex(p.self_b, NULL, on_y, rows, n, &err));
    get(&p, y, on_y, bytes);
    assert_close(y, x, size, 1e-6);
    for (int i = 0; i < 3; i++) {
        float radius = (float)i * 0.4f;
        test_fill(x, size, 4);
        set(&p, on_y, x, bytes);
        ra_ok(p.a->project_ball(p.self_a, NULL, x, rows, n, radius, &err));
        ra_ok(p.b->project_ball(p.self_b, NULL, on_y, rows, n, radius, &err));
        get(&p, y, on_y, bytes);
        assert_close(y, x, size, 1e-6);
    }
    static const float factors[][2] = {{1, 0}, {0, 2}, {0, 0}, {0.5f, -1}};
    for (size_t i = 0; i < 4; i++) {
        test_fill(x, size, 5);
        if (factors[i][1] == 0) x[0] = NAN;
        set(&p, on_y, x, bytes);
        bool used = factors[i][0] != 0;
        ra_ok(p.a->combine(p.self_a, NULL, factors[i][0], used ? z : NULL, factors[i][1], x, size, &err));
        ra_ok(
            p.b->combine(p.self_b, NULL, factors[i][0], used ? on_z : NULL, factors[i][1], on_y, size, &err));
        get(&p, y, on_y, bytes);
        assert_close(y, x, size, 1e-6);
    }
    double a, b;
    ra_ok(p.a->dot(p.self_a, NULL, z, z, size, &a, &err));
    ra_ok(p.b->dot(p.self_b, NULL, on_z, on_z, size, &b, &err));
    ck_assert_double_eq_tol(a, b, 1e-10 * a);
    drop(&p, BLOCKS(on_y, on_z));
    forget(BLOCKS(x, y, z));
    close_pair(&p);
}
END_TEST

/* Three steps with a gradient for all rows, and three in which only every second row of the first half has
 * one, packed; the other rows of that half go on by their momentum, the rest is untouched as long as its
 * moments are zeros. */
START_TEST(test_gather_and_adam) {
    pair p = open_pair(_i / (SIZES * SIZES));
    size_t rows = sizes[_i % SIZES], n = sizes[_i / SIZES % SIZES], size = rows * n, packed = 0,
           bytes = size * sizeof(float);
    float *x = numbers(size, 1), *y = numbers(size, 1), *z = numbers(size, 2), *some = numbers(size, 7);
    float *first[2] = {ra_calloc(size, 4), ra_calloc(size, 4)},
          *second[2] = {ra_calloc(size, 4), ra_calloc(size, 4)};
    int32_t *place = ra_malloc(rows, sizeof *place), *chosen = ra_malloc(rows, sizeof *chosen);
    for (size_t i = 0; i < rows; i++) {
        place[i] = i > rows / 2 ? RA_ROW_UNTOUCHED : i % 2 ? RA_ROW_STILL : (int32_t)packed;
        if (place[i] >= 0) chosen[packed++] = (int32_t)i;
    }
    float *on_y = put(&p, y, bytes), *on_z = put(&p, z, bytes), *on_some = put(&p, some, bytes),
          *on_first = put(&p, first[1], bytes), *on_second = put(&p, second[1], bytes);
    int32_t *on_place = put(&p, place, rows * sizeof *place),
            *on_chosen = put(&p, chosen, packed * sizeof *chosen);
    ra_ok(p.a->gather(p.self_a, NULL, z, chosen, packed, n, some, &err));
    for (size_t i = 0; i < packed; i++)
        ck_assert_mem_eq(some + i * n, z + (size_t)chosen[i] * n, n * sizeof *z);
    test_fill(some, size, 7);
    ra_ok(p.b->gather(p.self_b, NULL, on_z, on_chosen, packed, n, on_some, &err));
    get(&p, some, on_some, bytes);
    for (size_t i = 0; i < packed; i++)
        ck_assert_mem_eq(some + i * n, z + (size_t)chosen[i] * n, n * sizeof *z);
    for (int step = 1; step <= 6; step++) {
        ra_adam_step s = {1e-2, 0.9, 0.999, 1e-8, 1 - pow(0.9, step), 1 - pow(0.999, step), 0.7, 0};
        s.decay = step % 2 ? 0 : 0.1;
        bool part = step <= 3;
        ra_ok(p.a->adam(p.self_a, NULL, &s, x, part ? some : z, part ? place : NULL, first[0], second[0],
                        rows, n, &err));
        ra_ok(p.b->adam(p.self_b, NULL, &s, on_y, part ? on_some : on_z, part ? on_place : NULL, on_first,
                        on_second, rows, n, &err));
        get(&p, y, on_y, bytes);
        if (step == 1 && rows > 2) { /* without decay an untouched row stays as it is */
            float *start = numbers(size, 1);
            ck_assert_mem_eq(y + (rows - 1) * n, start + (rows - 1) * n, n * sizeof *y);
            ra_free(start);
        }
    }
    get(&p, first[1], on_first, bytes);
    get(&p, second[1], on_second, bytes);
    assert_close(y, x, size, 1e-6);
    assert_close(first[1], first[0], size, 1e-6);
    assert_close(second[1], second[0], size, 1e-6);
    drop(&p, BLOCKS(on_y, on_z, on_some, on_first, on_second, on_place, on_chosen));
    forget(BLOCKS(first[0], first[1], second[0], second[1], place, chosen, some, x, y, z));
    close_pair(&p);
}
END_TEST

/* Codes of a given share of active latents. */
static ra_codes some_codes(size_t rows, size_t K, float share, uint64_t seed) {
    float *z = numbers(rows * K, seed), *u = numbers(rows * K, seed + 100);
    ra_codes codes = {0};
    for (size_t i = 0; i < rows * K; i++)
        if ((u[i] + 1) / 2 >= share) z[i] = 0;
    ra_ok(ra_codes_from_dense(&codes, z, rows, K, &err));
    ra_free(z);
    ra_free(u);
    return codes;
}

START_TEST(test_sparse_products) {
    shape chosen = shape_of_case(_i);
    pair p = open_pair(chosen.device);
    size_t rows = chosen.first, K = chosen.second, d = chosen.third, bytes = rows * d * sizeof(float),
           all = K * d * sizeof(float);
    float *D = numbers(K * d, 1), *g = numbers(rows * d, 2), *x = numbers(rows * d, 3),
          *y = numbers(rows * d, 3);
    float *out[2] = {numbers(K * d, 4), numbers(K * d, 4)};
    void *narrow = ra_malloc(K * d, 2);
    float *on_D = put(&p, D, all), *on_g = put(&p, g, bytes), *on_y = put(&p, y, bytes),
          *on_out = put(&p, out[1], all);
    void *on_narrow = put(&p, D, K * d * 2);
    static const float shares[] = {0, 0.05f, 0.6f, 1.1f}; /* none, sparse, the dense path, all */
    for (size_t s = 0; s < 4; s++) {
        ra_codes codes = some_codes(rows, K, shares[s], s);
        size_t entries = ra_codes_entries(&codes);
        float *v[2] = {numbers(entries, 5), numbers(entries, 6)},
              *on_v = put(&p, v[1], entries * sizeof *v[1]);
        ra_ok(p.a->decode(p.self_a, NULL, &codes, RA_F32, D, d, x, &err));
        ra_ok(p.b->decode(p.self_b, NULL, &codes, RA_F32, on_D, d, on_y, &err));
        get(&p, y, on_y, bytes);
        assert_close(y, x, rows * d, 2e-6);
        for (ra_dtype dtype = RA_F16; dtype <= RA_BF16; dtype++) {
            ra_convert_from_f32(dtype, D, narrow, K * d);
            set(&p, on_narrow, narrow, K * d * 2);
            ra_ok(p.a->decode(p.self_a, NULL, &codes, dtype, narrow, d, x, &err));
            ra_ok(p.b->decode(p.self_b, NULL, &codes, dtype, on_narrow, d, on_y, &err));
            get(&p, y, on_y, bytes);
            assert_close(y, x, rows * d, 2e-6);
        }
        ra_ok(p.a->decode_gradient(p.self_a, NULL, &codes, g, D, d, v[0], &err));
        ra_ok(p.b->decode_gradient(p.self_b, NULL, &codes, on_g, on_D, d, on_v, &err));
        get(&p, v[1], on_v, entries * sizeof *v[1]);
        assert_close(v[1], v[0], entries, 2e-5); /* a few dot products may cancel */
        /* values from the backend, and the codes' own, which are the host's */
        ra_ok(p.a->accumulate(p.self_a, NULL, &codes, v[0], g, d, out[0], &err));
        ra_ok(p.a->accumulate(p.self_a, NULL, &codes, codes.value, g, d, out[0], &err));
        set(&p, on_v, v[0], entries * sizeof *v[0]);
        ra_ok(p.b->accumulate(p.self_b, NULL, &codes, on_v, on_g, d, on_out, &err));
        ra_ok(p.b->accumulate(p.self_b, NULL, &codes, codes.value, on_g, d, on_out, &err));
        get(&p, out[1], on_out, all);
        assert_close(out[1], out[0], K * d, 2e-6);
        drop(&p, BLOCKS(on_v));
        forget(BLOCKS(v[0], v[1]));
        ra_codes_release(&codes);
    }
    drop(&p, BLOCKS(on_D, on_g, on_y, on_out, on_narrow));
    forget(BLOCKS(D, g, x, y, out[0], out[1], narrow));
    close_pair(&p);
}
END_TEST

START_TEST(test_selections) {
    shape s = shape_of_case(_i);
    pair p = open_pair(s.device);
    size_t rows = s.first, n = s.second, k = s.third;
    float *scores = numbers(rows * n, 7), *thresholds = numbers(n, 8);
    float *on_scores = put(&p, scores, rows * n * sizeof *scores),
          *on_thresholds = put(&p, thresholds, n * sizeof *thresholds);
    for (int coarse = 0; coarse < 2; coarse++) { /* rounded scores have many ties, and zeros of both signs */
        for (size_t i = 0; coarse && i < rows * n; i++) scores[i] = roundf(scores[i] * 4) / 4;
        set(&p, on_scores, scores, rows * n * sizeof *scores);
        ra_codes a = {0}, b = {0};
        static const float bars[] = {-2, 0, 0.5f};
        for (size_t i = 0; i < 3; i++) {
            ra_ok(p.a->top_k(p.self_a, NULL, scores, rows, n, k, bars[i], &a, &err));
            ra_ok(p.b->top_k(p.self_b, NULL, on_scores, rows, n, k, bars[i], &b, &err));
            assert_codes_equal(&a, &b);
            ra_ok(p.a->threshold(p.self_a, NULL, scores, rows, n, NULL, bars[i], &a, &err));
            ra_ok(p.b->threshold(p.self_b, NULL, on_scores, rows, n, NULL, bars[i], &b, &err));
            assert_codes_equal(&a, &b);
        }
        ra_ok(p.a->threshold(p.self_a, NULL, scores, rows, n, thresholds, 0, &a, &err));
        ra_ok(p.b->threshold(p.self_b, NULL, on_scores, rows, n, on_thresholds, 0, &b, &err));
        assert_codes_equal(&a, &b);
        if (k <= rows * n) {
            float x, y;
            ra_ok(p.a->kth_largest(p.self_a, NULL, scores, rows * n, k, &x, &err));
            ra_ok(p.b->kth_largest(p.self_b, NULL, on_scores, rows * n, k, &y, &err));
            ck_assert(x == y);
        }
        ra_codes_release(&a);
        ra_codes_release(&b);
    }
    drop(&p, BLOCKS(on_scores, on_thresholds));
    forget(BLOCKS(scores, thresholds));
    close_pair(&p);
}
END_TEST

START_TEST(test_results_do_not_depend_on_the_number_of_threads) {
    enum { B = 600, K = 700, D_ = 90, TOP = 20 };
    float *x = numbers(B * D_, 1), *E = numbers(K * D_, 2), *first = NULL;
    for (size_t threads = 1; threads <= 4; threads++) {
        ra_backend *backend = NULL;
        ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = threads}, &backend, &err));
        const ra_backend_ops *ops = ra_backend_operations(backend);
        void *self = ra_backend_self(backend);
        float *pre = numbers(B * K, 3), *out = ra_calloc(K * D_, sizeof *out);
        ra_codes codes = {0};
        ra_ok(ops->gemm(self, NULL, false, true, B, K, D_, 1, x, D_, E, D_, 0, pre, K, &err));
        ra_ok(ops->top_k(self, NULL, pre, B, K, TOP, 0, &codes, &err));
        ra_ok(ops->accumulate(self, NULL, &codes, codes.value, x, D_, out, &err));
        if (!first)
            first = out;
        else {
            ck_assert_mem_eq(out, first, K * D_ * sizeof *out);
            ra_free(out);
        }
        ra_codes_release(&codes);
        ra_free(pre);
        ra_backend_release(backend);
    }
    ra_free(first);
    ra_free(x);
    ra_free(E);
}
END_TEST

START_TEST(test_devices_by_name) {
    ra_backend *backend = NULL;
    ra_fails(ra_backend_open("", NULL, &backend, &err), RA_ERR_ARGUMENT, "unknown device");
    ra_fails(ra_backend_open("../evil", NULL, &backend, &err), RA_ERR_ARGUMENT, "unknown device");
    ra_fails(ra_backend_open("cpu:x", NULL, &backend, &err), RA_ERR_ARGUMENT, "after the colon");
    ra_fails(ra_backend_open("nosuch", NULL, &backend, &err), RA_ERR_DEVICE, "librasae-nosuch.so");
    ck_assert_ptr_null(backend);
    ra_ok(ra_backend_open("auto", NULL, &backend, &err)); /* always finds something */
    ra_backend_release(backend);
}
END_TEST

/* tests/plugin/example.c: the reference backend under another name, built as a plugin. */
START_TEST(test_a_plugin_is_loaded_by_name) {
    ra_backend *backend = NULL;
    ra_ok(ra_backend_open("example:3", NULL, &backend, &err));
    ck_assert_str_eq(ra_backend_name(backend), "example");
    float a[2] = {3, 4};
    double sum;
    ra_ok(ra_backend_operations(backend)->dot(ra_backend_self(backend), NULL, a, a, 2, &sum, &err));
    ck_assert_double_eq(sum, 25);
    ra_backend_release(backend);
    ra_fails(ra_backend_open("example-old", NULL, &backend, &err), RA_ERR_DEVICE, "version 0");
    ra_fails(ra_backend_open("example-idle", NULL, &backend, &err), RA_ERR_DEVICE,
             "the example has no device");
}
END_TEST

START_TEST(test_failing_allocations_are_reported) {
    pair p = open_pair(0);
    float scores[64];
    test_fill(scores, 64, 1);
    for (size_t n = 1; n <= 3; n++) {
        ra_codes codes = {0};
        ra_memory_fail_at(n);
        ra_status status = p.b->top_k(p.self_b, NULL, scores, 8, 8, 2, 0, &codes, NULL);
        ra_memory_fail_at(0);
        ck_assert_int_eq(status, RA_ERR_MEMORY);
        ra_codes_release(&codes);
    }
    float value;
    ra_memory_fail_at(1);
    ck_assert_int_eq(p.b->kth_largest(p.self_b, NULL, scores, 64, 3, &value, NULL), RA_ERR_MEMORY);
    ra_memory_fail_at(0);
    close_pair(&p);
}
END_TEST

TEST_CASES_LOOP(backend, 60, CASES, test_gemm, test_sparse_products, test_selections)
TEST_CASES_LOOP(backend_rows, 60, SIZES *SIZES *DEVICES, test_projections_combine_and_dot,
                test_gather_and_adam)
TEST_CASES_SLOW(backend_whole, 60, test_gemm_in_many_tiles,
                test_results_do_not_depend_on_the_number_of_threads, test_devices_by_name,
                test_a_plugin_is_loaded_by_name, test_failing_allocations_are_reported)
