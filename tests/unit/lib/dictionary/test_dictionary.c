/* The dictionary layer against the reference (lib/dictionary/{archetypal,fuse,plain}.c): projection, fuse,
 * forward, gradients, and that the fuse never uses an old W. */
#include "devices.h"
#include "golden.h"
#include "ra_dictionary.h"
#include "ra_memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const cases[] = {"dict-basic", "dict-one", "dict-tight"};
enum { CASES = sizeof cases / sizeof *cases, RUNS = DEVICES * CASES };

typedef struct fixture {
    ra_backend *backend;
    ra_safetensors *checkpoint, *expected;
    ra_dictionary *dictionary;
    size_t K, N, d;
} fixture;

static void copy(const ra_dictionary *dictionary, const char *name, const float *values) {
    size_t count;
    const ra_parameter *p = ra_dictionary_parameters(dictionary, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(p[i].name, name) == 0) {
            ra_ok(ra_backend_put(ra_dictionary_backend(dictionary), p[i].value, values,
                                 ra_parameter_size(&p[i]) * sizeof(float), &err));
            return;
        }
    ck_abort_msg("no parameter %s", name);
}

static const ra_parameter *parameter(const ra_dictionary *dictionary, const char *name) {
    size_t count;
    const ra_parameter *p = ra_dictionary_parameters(dictionary, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(p[i].name, name) == 0) return &p[i];
    ck_abort_msg("no parameter %s", name);
    return NULL;
}

static fixture open_case(int run) {
    fixture f = {0};
    const char *name = cases[run % CASES];
    f.backend = device_open(run / CASES, 2);
    f.checkpoint = golden_open(name, ".checkpoint.safetensors");
    f.expected = golden_open(name, ".expected.safetensors");
    f.K = golden_rows(f.checkpoint, "dictionary.W");
    f.N = golden_cols(f.checkpoint, "dictionary.W");
    f.d = golden_cols(f.checkpoint, "dictionary.C");
    float delta = strtof(ra_safetensors_metadata(f.checkpoint, "delta"), NULL);
    bool multiplier = strcmp(ra_safetensors_metadata(f.checkpoint, "use_multiplier"), "true") == 0;
    ra_ok(ra_archetypal_dictionary_new(f.backend, f.d, f.K, ra_safetensors_find(f.checkpoint, "dictionary.C"),
                                       delta, multiplier, &f.dictionary, &err));
    static const char *const names[] = {"dictionary.W", "dictionary.Relax", "dictionary.multiplier"};
    for (size_t i = 0; i < 3; i++) copy(f.dictionary, names[i], golden_values(f.checkpoint, names[i], NULL));
    ra_dictionary_changed(f.dictionary);
    return f;
}

static void close_case(fixture *f) {
    ra_dictionary_free(f->dictionary);
    ra_safetensors_free(f->checkpoint);
    ra_safetensors_free(f->expected);
    ra_backend_release(f->backend);
}

/* n numbers of backend memory against the reference's. */
static void block_close(const fixture *f, const float *block, size_t n, const char *name, double tolerance) {
    float *values = device_numbers(f->backend, block, n);
    golden_close(values, f->expected, name, tolerance);
    ra_free(values);
}

static void parameter_close(const fixture *f, const char *parameter_name, bool gradient, const char *name,
                            double tolerance) {
    const ra_parameter *p = parameter(f->dictionary, parameter_name);
    block_close(f, gradient ? p->gradient : p->value, ra_parameter_size(p), name, tolerance);
}

START_TEST(test_golden_projection_fuse_and_forward) {
    fixture f = open_case(_i);
    size_t rows = golden_rows(f.expected, "z"), n = rows * f.d;
    const float *z = golden_values(f.expected, "z", NULL), *D;
    ra_buffer x_hat = {0}, dense = {0};
    ra_codes codes = {0};
    ra_ok(ra_buffer_reserve(&x_hat, f.backend, n, &err));
    ra_ok(ra_codes_from_dense(&codes, z, rows, f.K, &err));

    ra_ok(ra_dictionary_forward(f.dictionary, &codes, x_hat.data, &err));
    block_close(&f, x_hat.data, n, "x_hat_train", 1e-6);
    parameter_close(&f, "dictionary.W", false, "W_projected", 1e-6);
    parameter_close(&f, "dictionary.Relax", false, "Relax_projected", 1e-6);

    ra_dictionary_set_training(f.dictionary, false);
    ra_ok(ra_dictionary_get(f.dictionary, &D, &err));
    block_close(&f, D, f.K * f.d, "fused", 1e-6);
    ra_ok(ra_dictionary_forward_dense(f.dictionary, device_put(&dense, f.backend, z, rows * f.K), rows,
                                      x_hat.data, &err));
    block_close(&f, x_hat.data, n, "x_hat_eval", 1e-6);

    ra_codes_release(&codes);
    ra_buffer_release(&x_hat);
    ra_buffer_release(&dense);
    close_case(&f);
}
END_TEST

START_TEST(test_golden_gradients) {
    fixture f = open_case(_i);
    size_t rows = golden_rows(f.expected, "z"), n = rows * f.d;
    const float *target = golden_values(f.expected, "target", NULL);
    ra_buffer z = {0}, g = {0}, dD = {0}, wanted = {0};
    double error;
    device_put(&z, f.backend, golden_values(f.expected, "z", NULL), rows * f.K);
    device_put(&wanted, f.backend, target, n);
    ra_ok(ra_buffer_reserve(&g, f.backend, n, &err));
    ra_ok(ra_buffer_reserve(&dD, f.backend, f.K * f.d, &err));
    ra_ok(ra_dictionary_forward_dense(f.dictionary, z.data, rows, g.data, &err));
    ra_ok(ra_backend_squared_error(f.backend, g.data, wanted.data, n, 2.0 / (double)n, g.data, &error, &err));
    ra_ok(ra_backend_gemm(f.backend, true, false, f.K, f.d, rows, 1, z.data, f.K, g.data, f.d, 0, dD.data,
                          f.d, &err));
    ra_ok(ra_dictionary_backward(f.dictionary, dD.data, &err));
    parameter_close(&f, "dictionary.W", true, "grad.W", 1e-5);
    parameter_close(&f, "dictionary.Relax", true, "grad.Relax", 1e-5);
    if (parameter(f.dictionary, "dictionary.multiplier")->gradient)
        parameter_close(&f, "dictionary.multiplier", true, "grad.multiplier", 1e-5);
    else
        ck_assert_ptr_null(ra_safetensors_find(f.expected, "grad.multiplier"));
    ra_buffer *const blocks[] = {&z, &g, &dD, &wanted};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) ra_buffer_release(blocks[i]);
    close_case(&f);
}
END_TEST

START_TEST(test_golden_fuse_from_file_views) {
    fixture f = open_case(_i);
    ra_provenance p;
    ra_ok(ra_provenance_init(&p, f.K, 3, &err));
    float *D = ra_malloc(f.K * f.d, sizeof *D);
    float delta = strtof(ra_safetensors_metadata(f.checkpoint, "delta"), NULL);
    ra_ok(ra_dictionary_fuse(f.backend, ra_safetensors_find(f.checkpoint, "dictionary.W"),
                             ra_safetensors_find(f.checkpoint, "dictionary.C"),
                             ra_safetensors_find(f.checkpoint, "dictionary.Relax"),
                             golden_scalar(f.checkpoint, "dictionary.multiplier"), delta, D, &p, &err));
    golden_close(D, f.expected, "fused", 1e-6);
    const float *W = golden_values(f.expected, "W_projected", NULL),
                *R = golden_values(f.expected, "Relax_projected", NULL);
    for (size_t k = 0; k < f.K; k++) {
        double norm = 0;
        for (size_t j = 0; j < f.d; j++) norm += (double)R[k * f.d + j] * (double)R[k * f.d + j];
        ck_assert_float_eq_tol(p.relaxation_norm[k], (float)sqrt(norm), 1e-5f);
        for (size_t t = 0; t < 3; t++) {
            int32_t point = p.index[k * 3 + t];
            if (point >= 0) ck_assert_float_eq_tol(p.weight[k * 3 + t], W[k * f.N + (size_t)point], 1e-6f);
        }
    }
    ra_provenance_release(&p);
    ra_free(D);
    close_case(&f);
}
END_TEST

START_TEST(test_the_fuse_is_fresh_after_every_change) {
    fixture f = open_case(_i);
    const float *D;
    float before, after, multiplier;
    float *block = parameter(f.dictionary, "dictionary.multiplier")->value;
    ra_dictionary_set_training(f.dictionary, false);
    ra_ok(ra_dictionary_get(f.dictionary, &D, &err));
    ra_ok(ra_backend_get(f.backend, &before, D, sizeof before, &err));
    ra_ok(ra_backend_get(f.backend, &multiplier, block, sizeof multiplier, &err));
    multiplier += 1;
    ra_ok(ra_backend_put(f.backend, block, &multiplier, sizeof multiplier, &err));
    ra_dictionary_changed(f.dictionary);
    ra_ok(ra_dictionary_get(f.dictionary, &D, &err));
    ra_ok(ra_backend_get(f.backend, &after, D, sizeof after, &err));
    ck_assert_float_eq_tol(after, before * expf(1), 1e-5f * fabsf(before) + 1e-12f);
    close_case(&f);
}
END_TEST

/* The loss sum(G * D) has dD = G, so a step along one parameter must change it by its gradient. */
START_TEST(test_finite_differences) {
    enum { K = 5, N = 7, D_ = 4 };
    ra_backend *backend = device_open(_i % 2, 1); /* one whose memory the host may read */
    float C[N * D_], G[K * D_];
    test_fill(C, N * D_, 1);
    test_fill(G, K * D_, 2);
    ra_dictionary *dictionary = NULL;
    ra_tensor points = ra_tensor_2d(RA_F32, C, N, D_);
    if (_i < 2)
        ra_ok(ra_archetypal_dictionary_new(backend, D_, K, &points, 0.5f, true, &dictionary, &err));
    else
        ra_ok(ra_plain_dictionary_new(backend, D_, K, RA_DICTIONARY_IDENTITY, NULL, true, 3, &dictionary,
                                      &err));
    size_t count;
    const float *D;
    const ra_parameter *p = ra_dictionary_parameters(dictionary, &count);
    for (size_t i = 0; i < count; i++)
        if (p[i].gradient)
            for (size_t j = 0; j < ra_parameter_size(&p[i]); j++)
                p[i].value[j] += 0.1f * (float)((j * 7 + i) % 5);
    ra_dictionary_changed(dictionary);
    ra_ok(ra_dictionary_get(dictionary, &D, &err));
    ra_ok(ra_dictionary_backward(dictionary, G, &err));
    for (size_t i = 0; i < count; i++) {
        if (!p[i].gradient) continue;
        for (size_t j = 0; j < ra_parameter_size(&p[i]); j++) {
            /* Gradients do not pass through the projection: the differences are those of D as a function of
             * the projected parameters, computed here in double precision. */
            double change[2];
            for (int side = 0; side < 2; side++) {
                double h = side ? -1e-4 : 1e-4, sum = 0;
                for (size_t k = 0; k < K; k++)
                    for (size_t c = 0; c < D_; c++) {
                        double value = 0, m;
                        if (_i < 2) {
                            for (size_t n = 0; n < N; n++)
                                value +=
                                    ((double)p[0].value[k * N + n] + (i == 0 && j == k * N + n ? h : 0)) *
                                    (double)C[n * D_ + c];
                            value += (double)p[1].value[k * D_ + c] + (i == 1 && j == k * D_ + c ? h : 0);
                            m = (double)p[2].value[0] + (i == 2 ? h : 0);
                        } else {
                            value = (double)p[0].value[k * D_ + c] + (i == 0 && j == k * D_ + c ? h : 0);
                            m = (double)p[1].value[0] + (i == 1 ? h : 0);
                        }
                        sum += exp(m) * value * (double)G[k * D_ + c];
                    }
                change[side] = sum;
            }
            double slope = (change[0] - change[1]) / 2e-4;
            ck_assert_double_eq_tol((double)p[i].gradient[j], slope, 1e-4 * (1 + fabs(slope)));
        }
    }
    ra_dictionary_free(dictionary);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_delta_zero_is_the_pure_archetypal_dictionary) {
    enum { K = 3, N = 3, D_ = 2 };
    static const float C[N * D_] = {1, 2, 3, 4, 5, 6};
    ra_backend *backend = device_open(_i % 2, 1);
    ra_dictionary *dictionary = NULL;
    ra_tensor points = ra_tensor_2d(RA_F32, C, N, D_);
    const float *D;
    size_t count;
    ra_ok(ra_archetypal_dictionary_new(backend, D_, K, &points, 0, true, &dictionary, &err));
    ra_dictionary_parameters(dictionary, &count)[1].value[2] =
        9; /* Relax: one row moves, the others stay at zero */
    ra_dictionary_changed(dictionary);
    ra_ok(ra_dictionary_get(dictionary, &D, &err));
    for (size_t i = 0; i < N * D_; i++)
        ck_assert_float_eq_tol(D[i], C[i], 1e-6f); /* W = eye: the points; no NaN */
    ra_dictionary_free(dictionary);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_plain_normalizations) {
    static const struct {
        ra_dictionary_kind kind;
        float expected[4];
    } table[] = {
        {RA_DICTIONARY_L2, {0.6f, 0.8f, 0, 1}},
        {RA_DICTIONARY_MAX_L2, {0.6f, 0.8f, 0, 0.4f}},
        {RA_DICTIONARY_L1, {3 / 7.0f, 4 / 7.0f, 0, 1}},
        {RA_DICTIONARY_MAX_L1, {3 / 7.0f, 4 / 7.0f, 0, 2 / 7.0f}},
        {RA_DICTIONARY_IDENTITY, {3, 4, 0, 2}},
    };
    static const float weights[4] = {3, 4, 0, 2};
    ra_backend *backend = device_open(_i, 1);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ra_dictionary *dictionary = NULL;
        ra_tensor view = ra_tensor_2d(RA_F32, weights, 2, 2);
        const float *D;
        ra_ok(ra_plain_dictionary_new(backend, 2, 2, table[i].kind, &view, false, 0, &dictionary, &err));
        ra_ok(ra_dictionary_get(dictionary, &D, &err));
        float *values = device_numbers(backend, D, 4);
        assert_close(values, table[i].expected, 4, 1e-6);
        ra_free(values);
        ra_dictionary_free(dictionary);
    }
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_refuses_what_does_not_fit) {
    static const float C[4] = {0};
    ra_backend *backend = NULL;
    ra_dictionary *dictionary = NULL;
    ra_ok(ra_backend_open("reference", NULL, &backend, &err));
    ra_tensor points = ra_tensor_2d(RA_F32, C, 2, 2), integers = ra_tensor_2d(RA_I32, C, 2, 2);
    ra_fails(ra_archetypal_dictionary_new(backend, 2, 0, &points, 1, true, &dictionary, &err),
             RA_ERR_ARGUMENT, "concepts");
    ra_fails(ra_archetypal_dictionary_new(backend, 0, 2, &points, 1, true, &dictionary, &err), RA_ERR_SHAPE,
             "[2, 2]");
    ra_fails(ra_archetypal_dictionary_new(backend, 3, 2, &points, 1, true, &dictionary, &err), RA_ERR_SHAPE,
             "[N, 3]");
    ra_fails(ra_archetypal_dictionary_new(backend, 2, 2, &integers, 1, true, &dictionary, &err), RA_ERR_DTYPE,
             "I32");
    ra_fails(ra_archetypal_dictionary_new(backend, 2, 2, &points, -1, true, &dictionary, &err),
             RA_ERR_ARGUMENT, "delta");
    ra_fails(ra_archetypal_dictionary_new(backend, 2, 2, &points, NAN, true, &dictionary, &err),
             RA_ERR_ARGUMENT, "delta");
    ra_ok(ra_archetypal_dictionary_new(backend, 2, 3, &points, 1, true, &dictionary,
                                       &err)); /* K > N is allowed */
    ra_codes codes = {0};
    float x_hat[2];
    ra_ok(ra_codes_from_dense(&codes, C, 1, 4, &err));
    ra_fails(ra_dictionary_forward(dictionary, &codes, x_hat, &err), RA_ERR_SHAPE, "4 latents");
    ra_codes_release(&codes);
    ra_dictionary_free(dictionary);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_every_failing_allocation_leaves_nothing_behind) {
    static float C[6];
    ra_backend *backend = NULL;
    ra_ok(ra_backend_open("reference", NULL, &backend, &err));
    ra_tensor points = ra_tensor_2d(RA_F32, C, 3, 2);
    for (size_t n = 1;; n++) {
        ra_dictionary *dictionary = NULL;
        ra_error err = {0};
        ra_memory_fail_at(n);
        ra_status status = ra_archetypal_dictionary_new(backend, 2, 3, &points, 1, true, &dictionary, &err);
        ra_memory_fail_at(0);
        if (status == RA_OK) {
            ck_assert_uint_gt(n, 5);
            ra_dictionary_free(dictionary);
            break;
        }
        ck_assert_int_eq(status, RA_ERR_MEMORY);
        ck_assert_str_ne(err.message, "");
        ck_assert_ptr_null(dictionary);
    }
    ra_backend_release(backend);
}
END_TEST

TEST_CASES_LOOP(dictionary, 20, RUNS, test_golden_projection_fuse_and_forward, test_golden_gradients,
                test_golden_fuse_from_file_views, test_the_fuse_is_fresh_after_every_change)
TEST_CASES_LOOP(dictionary_kinds, 0, 4, test_finite_differences,
                test_delta_zero_is_the_pure_archetypal_dictionary)
TEST_CASES_LOOP(dictionary_plain, 20, DEVICES, test_plain_normalizations)
TEST_CASES(dictionary_edges, test_refuses_what_does_not_fit,
           test_every_failing_allocation_leaves_nothing_behind)
