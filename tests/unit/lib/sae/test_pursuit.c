/* Matching pursuit against its definition in plain loops, over a grid of shapes; its special cases; the same
 * bytes with any number of threads. test_losses.c and a golden run test its gradient. */
#include "devices.h"
#include "ra_memory.h"
#include "sae/pursuit.h"

#include <math.h>
#include <string.h>

static const struct {
    size_t concepts, dimensions, rows, steps;
} shapes[] = {{1, 1, 1, 1}, {5, 3, 2, 4}, {40, 16, 9, 6}, {17, 8, 33, 17}, {200, 24, 70, 8}, {33, 5, 3, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes, RUNS = 2 * DEVICES * SHAPES };

typedef struct problem {
    ra_backend *backend;
    size_t K, d, B, k;
    float *D, *x, *scores; /* in host memory; each run copies them to the device */
    ra_buffer on_D, on_x, on_scores;
    ra_pursuit pursuit;
    ra_codes codes;
} problem;

static problem make(int device, size_t threads, size_t K, size_t d, size_t B, size_t k) {
    problem p = {.K = K, .d = d, .B = B, .k = k};
    p.backend = device_open(device, threads);
    p.D = ra_malloc(K * d, sizeof *p.D);
    p.x = ra_malloc(B * d, sizeof *p.x);
    p.scores = ra_malloc(B * K, sizeof *p.scores);
    test_fill(p.D, K * d, 3);
    test_fill(p.x, B * d, 4);
    for (size_t i = 0; i < K; i++) { /* unit atoms, the usual case for a pursuit */
        double square = 1e-12;
        for (size_t j = 0; j < d; j++) square += (double)p.D[i * d + j] * (double)p.D[i * d + j];
        for (size_t j = 0; j < d; j++) p.D[i * d + j] /= (float)sqrt(square);
    }
    return p;
}

static ra_status run(problem *p, bool training, ra_error *err) {
    for (size_t b = 0; b < p->B; b++)
        for (size_t j = 0; j < p->K; j++) {
            double sum = 0;
            for (size_t i = 0; i < p->d; i++) sum += (double)p->x[b * p->d + i] * (double)p->D[j * p->d + i];
            p->scores[b * p->K + j] = (float)sum;
        }
    const float *D = device_put(&p->on_D, p->backend, p->D, p->K * p->d),
                *x = device_put(&p->on_x, p->backend, p->x, p->B * p->d);
    float *scores = device_put(&p->on_scores, p->backend, p->scores, p->B * p->K);
    return ra_pursuit_run(&p->pursuit, ra_backend_default_stream(p->backend), D, p->K, p->d, x, p->B, p->k,
                          training, scores, &p->codes, err);
}

static void release(problem *p) {
    ra_pursuit_release(&p->pursuit);
    ra_buffer_release(&p->on_D);
    ra_buffer_release(&p->on_x);
    ra_buffer_release(&p->on_scores);
    ra_codes_release(&p->codes);
    ra_free(p->D);
    ra_free(p->x);
    ra_free(p->scores);
    ra_backend_release(p->backend);
}

/* z [K], r [d] of one row, by the definition. */
static void define(const problem *p, const float *x, double *z, double *r) {
    for (size_t j = 0; j < p->K; j++) z[j] = 0;
    for (size_t i = 0; i < p->d; i++) r[i] = (double)x[i];
    for (size_t t = 0; t < p->k; t++) {
        size_t best = 0;
        double value = -INFINITY;
        for (size_t j = 0; j < p->K; j++) {
            double sum = 0;
            for (size_t i = 0; i < p->d; i++) sum += r[i] * (double)p->D[j * p->d + i];
            if (sum > value) {
                best = j;
                value = sum;
            }
        }
        z[best] += value;
        for (size_t i = 0; i < p->d; i++) r[i] -= value * (double)p->D[best * p->d + i];
    }
}

START_TEST(test_definition) {
    size_t s = (size_t)_i % SHAPES;
    problem p = make(_i / SHAPES % DEVICES, 2, shapes[s].concepts, shapes[s].dimensions, shapes[s].rows,
                     shapes[s].steps);
    bool training = _i / (DEVICES * SHAPES);
    double *z = ra_malloc(p.K, sizeof *z), *r = ra_malloc(p.d, sizeof *r);
    float *dense = ra_malloc(p.B * p.K, sizeof *dense), *expected = ra_malloc(p.B * p.K, sizeof *expected);
    float *rest = ra_malloc(p.B * p.d, sizeof *rest);
    ra_ok(run(&p, training, &err));
    ck_assert_uint_eq(p.codes.rows, p.B);
    ck_assert_uint_eq(p.codes.latents, p.K);
    for (size_t b = 0; b < p.B; b++) {
        ck_assert_uint_le(p.codes.start[b + 1] - p.codes.start[b], p.k);
        for (size_t e = p.codes.start[b] + 1; e < p.codes.start[b + 1]; e++)
            ck_assert_int_lt(p.codes.index[e - 1], p.codes.index[e]);
        define(&p, p.x + b * p.d, z, r);
        for (size_t j = 0; j < p.K; j++) expected[b * p.K + j] = (float)z[j];
        for (size_t i = 0; i < p.d; i++) rest[b * p.d + i] = (float)r[i];
    }
    ra_codes_to_dense(&p.codes, dense);
    assert_close(dense, expected, p.B * p.K, 2e-6);
    float *residual = device_numbers(p.backend, p.pursuit.residual.data, p.B * p.d);
    for (size_t i = 0; i < p.B * p.d; i++) ck_assert_float_eq_tol(residual[i], rest[i], 1e-5f);
    ra_free(residual);
    ra_free(z);
    ra_free(r);
    ra_free(dense);
    ra_free(expected);
    ra_free(rest);
    release(&p);
}
END_TEST

/* Both ways to compute the dot products, chosen by the shape, select the same atoms. */
START_TEST(test_gram_matrix_and_products_agree) {
    problem p = make(DEVICE_CPU, 2, 30, 12, 64, 10); /* 30 < 9 * 64: training uses the Gram matrix */
    ra_ok(run(&p, true, &err));
    ck_assert_ptr_nonnull(p.pursuit.gram.data);
    float *with = ra_malloc(p.B * p.K, sizeof *with), *without = ra_malloc(p.B * p.K, sizeof *without);
    ra_codes_to_dense(&p.codes, with);
    ra_pursuit_release(&p.pursuit);
    ra_ok(run(&p, false, &err));
    ck_assert_ptr_null(p.pursuit.gram.data);
    ra_codes_to_dense(&p.codes, without);
    assert_close(with, without, p.B * p.K, 2e-6);
    ra_free(with);
    ra_free(without);
    release(&p);
}
END_TEST

START_TEST(test_an_atom_may_be_taken_again) {
    problem p = make(DEVICE_CPU, 1, 1, 1, 1, 3);
    p.D[0] = 0.5f;
    p.x[0] = 8;
    ra_ok(run(&p, false, &err)); /* 4, then 3 of what is left, then 2.25 */
    ck_assert_uint_eq(ra_codes_entries(&p.codes), 1);
    ck_assert_float_eq(p.codes.value[0], 9.25f);
    ck_assert_float_eq(p.pursuit.residual.data[0], 8 - 9.25f * 0.5f);
    release(&p);
}
END_TEST

/* The largest dot product may be negative, and then so is the code; the largest absolute one does not
 * count. */
START_TEST(test_the_sign_counts) {
    static const float D[2][2] = {{1, 0}, {0, 1}};
    problem p = make(DEVICE_CPU, 1, 2, 2, 2, 1);
    memcpy(p.D, D, sizeof D);
    const float x[2][2] = {{-3, -1}, {-5, 2}};
    memcpy(p.x, x, sizeof x);
    ra_ok(run(&p, false, &err));
    ck_assert_uint_eq(ra_codes_entries(&p.codes), 2);
    ck_assert_int_eq(p.codes.index[0], 1);
    ck_assert_float_eq(p.codes.value[0], -1);
    ck_assert_int_eq(p.codes.index[1], 1);
    ck_assert_float_eq(p.codes.value[1], 2);
    release(&p);
}
END_TEST

/* A row of zeros has no codes; in training it keeps the atoms that were taken, because they get gradients. */
START_TEST(test_an_input_of_zeros) {
    problem p = make(DEVICE_CPU, 1, 4, 3, 2, 3);
    memset(p.x, 0, p.B * p.d * sizeof *p.x);
    ra_ok(run(&p, false, &err));
    ck_assert_uint_eq(ra_codes_entries(&p.codes), 0);
    ra_ok(run(&p, true, &err));
    ck_assert_uint_eq(ra_codes_entries(&p.codes), 2);
    ck_assert_float_eq(p.codes.value[0], 0);
    release(&p);
}
END_TEST

START_TEST(test_a_pursuit_may_be_canceled) {
    problem p = make(DEVICE_CPU, 1, 4, 3, 2, 3);
    atomic_bool canceled = true;
    p.pursuit.canceled = &canceled;
    ra_fails(run(&p, false, &err), RA_ERR_CANCELED, "the pursuit was canceled");
    atomic_store(&canceled, false);
    ra_ok(run(&p, false, &err));
    release(&p);
}
END_TEST

START_TEST(test_threads_change_nothing) {
    float *dD[2], *dvalue = ra_malloc(64 * 10, sizeof *dvalue);
    problem p[2];
    test_fill(dvalue, 64 * 10, 9);
    for (size_t i = 0; i < 2; i++) {
        p[i] = make(DEVICE_CPU, 1 + 2 * i, 50, 12, 64, 10);
        dD[i] = ra_calloc(50 * 12, sizeof **dD);
        ra_ok(run(&p[i], true, &err));
        ra_ok(ra_pursuit_backward(&p[i].pursuit, p[i].backend, p[i].on_D.data, 12, &p[i].codes, dvalue, dD[i],
                                  &err));
    }
    size_t entries = ra_codes_entries(&p[0].codes);
    ck_assert_mem_eq(p[0].codes.start, p[1].codes.start, 65 * sizeof(size_t));
    ck_assert_mem_eq(p[0].codes.value, p[1].codes.value, entries * sizeof(float));
    ck_assert_mem_eq(dD[0], dD[1], 50 * 12 * sizeof(float));
    ck_assert_float_ne(dD[0][0], 0);
    for (size_t i = 0; i < 2; i++) {
        ra_free(dD[i]);
        release(&p[i]);
    }
    ra_free(dvalue);
}
END_TEST

START_TEST(test_every_allocation_may_fail) {
    problem p = make(DEVICE_REFERENCE, 1, 6, 4, 8, 5);
    static float dD[6 * 4], dvalue[8 * 5];
    size_t failures = 0;
    ra_ok(run(&p, true, &err)); /* the test's own memory exists from now on */
    ra_status status = RA_ERR_MEMORY;
    for (size_t n = 1; status != RA_OK; n++) {
        ra_error err = {0};
        ra_pursuit_release(&p.pursuit);
        ra_codes_release(&p.codes);
        (void)ra_memory_fail_at(n);
        status = run(&p, true, &err);
        if (status == RA_OK)
            status = ra_pursuit_backward(&p.pursuit, p.backend, p.on_D.data, 4, &p.codes, dvalue, dD, &err);
        (void)ra_memory_fail_at(0);
        if (status == RA_OK) break;
        ck_assert_int_eq(status, RA_ERR_MEMORY);
        ck_assert_ptr_nonnull(strstr(err.message, "memory"));
        failures++;
    }
    ck_assert_uint_ge(failures, 6);
    release(&p);
}
END_TEST

TEST_CASES_LOOP(pursuit_definition, 0, RUNS, test_definition)
TEST_CASES(pursuit, test_gram_matrix_and_products_agree, test_an_atom_may_be_taken_again,
           test_the_sign_counts, test_an_input_of_zeros, test_a_pursuit_may_be_canceled,
           test_threads_change_nothing, test_every_allocation_may_fail)
