/* A dictionary of mixtures as it is trained: what it starts as, how its atoms are split, how candidates come in,
 * from memory and from a source, and what a file may hold: lib/dictionary/mixture/{mixture,price,source,fuse}.c. */
#include "data_files.h"
#include "devices.h"
#include "ra_dictionary.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

enum { K = 6, D = 8, T = 3 };

static ra_dictionary *make(ra_backend *backend, const float *points, size_t N, float delta, double share) {
    ra_dictionary *dictionary = NULL;
    const ra_tensor tensor = ra_tensor_2d(RA_F32, points, N, D);
    ra_ok(ra_mixture_dictionary_new(backend, D, K, T, &tensor, delta, share, true, &dictionary, &err));
    ck_assert_uint_eq(ra_dictionary_mixture(dictionary), T);
    return dictionary;
}

static const ra_parameter *parameter(const ra_dictionary *dictionary, const char *name) {
    size_t count;
    const ra_parameter *list = ra_dictionary_parameters(dictionary, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name + strlen("dictionary."), name) == 0) return &list[i];
    ck_abort_msg("no parameter %s", name);
}

static void get(const ra_dictionary *dictionary, const char *name, void *values) {
    const ra_parameter *p = parameter(dictionary, name);
    ra_ok(
        ra_backend_get(ra_dictionary_backend(dictionary), values, p->value, ra_parameter_size(p) * 4, &err));
}

static void put(ra_dictionary *dictionary, const char *name, const void *values) {
    const ra_parameter *p = parameter(dictionary, name);
    ra_ok(
        ra_backend_put(ra_dictionary_backend(dictionary), p->value, values, ra_parameter_size(p) * 4, &err));
    ra_dictionary_changed(dictionary);
}

static void read_atoms(ra_dictionary *dictionary, float *atoms) {
    const float *D_k;
    ra_ok(ra_dictionary_get(dictionary, &D_k, &err));
    ra_ok(ra_backend_get(ra_dictionary_backend(dictionary), atoms, D_k, K * D * sizeof(float), &err));
}

static double length(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return sqrt(sum);
}

START_TEST(test_atoms_start_on_their_points_at_unit_length) {
    float points[4 * D], atoms[K * D];
    double mean = 0;
    ra_backend *backend = device_open(_i, 1);
    test_fill(points, 4 * D, 1);
    for (size_t j = 0; j < 4; j++) mean += length(points + j * D, D) / 4;
    ra_dictionary *dictionary = make(backend, points, 4, 10, 0);
    read_atoms(dictionary, atoms);
    for (size_t k = 0; k < K; k++)
        for (size_t e = 0; e < D; e++)
            ck_assert_float_eq_tol(atoms[k * D + e], k < 4 ? points[k * D + e] / (float)mean : 0, 1e-5f);
    ck_assert_double_eq_tol(*parameter(dictionary, "Relax")->rate, mean, 1e-6);
    ra_dictionary_free(dictionary);
    ra_backend_release(backend);
}
END_TEST

/* A step of the optimizer moves the atom through Relax; the gradient of Relax is that of the atom. */
START_TEST(test_the_atom_is_what_the_optimizer_moves) {
    float points[K * D], relax[K * D], before[K * D], after[K * D], dD[2 * D];
    const int32_t some[] = {1, 4};
    const float *selected;
    ra_backend *backend = device_open(_i, 1);
    test_fill(points, K * D, 2);
    test_fill(relax, K * D, 3);
    test_fill(dD, 2 * D, 4);
    ra_dictionary *dictionary = make(backend, points, K, 100, 0);
    float scale = expf(-logf((float)*parameter(dictionary, "Relax")->rate));
    read_atoms(dictionary, before);
    put(dictionary, "Relax", relax);
    read_atoms(dictionary, after);
    for (size_t i = 0; i < K * D; i++) ck_assert_float_eq_tol(after[i], before[i] + scale * relax[i], 1e-5f);
    ra_ok(ra_dictionary_select(dictionary, some, 2, &selected, &err));
    ra_ok(ra_backend_get(backend, before, selected, 2 * D * sizeof(float), &err));
    for (size_t e = 0; e < D; e++) {
        ck_assert_float_eq_tol(before[e], after[D + e], 1e-6f);
        ck_assert_float_eq_tol(before[D + e], after[4 * D + e], 1e-6f);
    }
    float *room = ra_dictionary_gradient_memory(dictionary);
    ra_ok(ra_backend_put(backend, room, dD, sizeof dD, &err));
    ra_ok(ra_dictionary_backward(dictionary, room, &err));
    ra_ok(ra_backend_get(backend, before, room, sizeof dD, &err));
    for (size_t i = 0; i < 2 * D; i++) ck_assert_float_eq_tol(before[i], scale * dD[i], 1e-5f);
    ra_dictionary_free(dictionary);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_the_relaxation_is_bounded_and_pulled_back_until_the_aim_is_met) {
    float points[K * D], relax[K * D], state[2];
    ra_backend *backend = device_open(_i, 1);
    test_fill(points, K * D, 5);
    ra_dictionary *dictionary = make(backend, points, K, 0.5f, 0.99);
    float length_before = 0.5f, pull_before = 0;
    for (size_t step = 1; step <= 5; step++) {
        get(dictionary, "Relax", relax);
        if (step == 1) test_fill(relax, K * D, 6);
        put(dictionary, "Relax", relax);
        ra_dictionary_moved(dictionary, step, 0.1);
        ra_ok(ra_dictionary_project(dictionary, &err));
        get(dictionary, "Relax", relax);
        get(dictionary, "mixture", state);
        float now = (float)length(relax, D);
        ck_assert_float_le(now, step == 1 ? 0.5001f : length_before);
        ck_assert_float_gt(state[1], pull_before); /* far below the aim: it grows */
        length_before = now;
        pull_before = state[1];
    }
    memset(relax, 0, sizeof relax); /* all atoms are points: it fades */
    put(dictionary, "Relax", relax);
    ra_dictionary_moved(dictionary, 6, 0.1);
    ra_ok(ra_dictionary_project(dictionary, &err));
    get(dictionary, "mixture", state);
    ck_assert_float_lt(state[1], pull_before);
    ra_dictionary_free(dictionary);
    ra_backend_release(backend);
}
END_TEST

/* ---- candidates ---------------------------------------------------------------------------------------- */

enum { MANY = 9000 }; /* more than two chunks */

static ra_status read_candidates(void *context, const uint64_t *numbers, size_t n, float *rows,
                                 ra_error *err) {
    (void)err;
    for (size_t i = 0; i < n; i++) {
        ck_assert(i == 0 || numbers[i] > numbers[i - 1]);
        memcpy(rows + i * D, (const float *)context + numbers[i] * D, D * sizeof(float));
    }
    return RA_OK;
}

/* Atom k is set to the mean of three candidates that it has not got. */
static size_t wanted(size_t k, size_t t) {
    return 1000 + 1300 * k + 97 * t;
}

static void aim_at_candidates(ra_dictionary *dictionary, const float *candidates) {
    float relax[K * D];
    for (size_t k = 0; k < K; k++)
        for (size_t e = 0; e < D; e++) {
            float mean = 0;
            for (size_t t = 0; t < T; t++) mean += candidates[wanted(k, t) * D + e] / T;
            relax[k * D + e] = mean - candidates[k * D + e];
        }
    put(dictionary, "Relax", relax);
}

/* What is left of the atoms after so many steps in which nothing moves. */
static double rest_after(ra_dictionary *dictionary, size_t first, size_t steps) {
    float relax[K * D];
    for (size_t step = first; step < first + steps; step++) {
        ra_dictionary_moved(dictionary, step, 1e-9);
        ra_ok(ra_dictionary_project(dictionary, &err));
    }
    get(dictionary, "Relax", relax);
    return length(relax, K * D);
}

START_TEST(test_points_come_in_from_memory_and_from_a_source_alike) {
    float *candidates = ra_malloc(MANY * D, sizeof *candidates), atoms[2][K * D];
    test_fill(candidates, MANY * D, 7);
    ra_backend *backend = device_open(_i, 2);
    double rest[2];
    int32_t index[2][K * T];
    const ra_point_source source = {MANY, read_candidates, candidates};
    uint64_t first[K] = {0, 1, 2, 3, 4, 5};
    for (int with_source = 0; with_source < 2; with_source++) {
        ra_dictionary *dictionary = make(backend, candidates, with_source ? K : MANY, 100, 0);
        if (with_source) ra_ok(ra_mixture_set_source(dictionary, &source, first, &err));
        aim_at_candidates(dictionary, candidates);
        read_atoms(dictionary, atoms[0]);
        double before = rest_after(dictionary, 1, 1);
        rest[with_source] = rest_after(dictionary, 2, 60);
        ck_assert_double_lt(rest[with_source], 0.5 * before);
        read_atoms(dictionary, atoms[1]); /* which points it has does not change an atom */
        assert_close(atoms[1], atoms[0], K * D, 1e-5);
        ra_mixture_points points;
        ra_ok(ra_mixture_points_get(dictionary, &points, &err));
        get(dictionary, "W.index", index[with_source]);
        ck_assert(with_source == (points.count > 0));
        for (size_t i = 0; with_source && i < K * T; i++)
            index[1][i] = index[1][i] < 0 ? -1 : (int32_t)points.number[points.index[i]];
        for (size_t j = 0; j < points.count; j++) {
            ck_assert(j == 0 || points.number[j] > points.number[j - 1]);
            ck_assert_mem_eq(points.vectors + j * D, candidates + points.number[j] * D, D * sizeof(float));
        }
        ra_mixture_points_release(&points);
        ra_dictionary_free(dictionary);
    }
    ck_assert_mem_eq(index[0], index[1], sizeof index[0]);
    ck_assert_double_eq_tol(rest[0], rest[1], 1e-6);
    ra_backend_release(backend);
    ra_free(candidates);
}
END_TEST

/* The memory of a dictionary with a source follows from K and T, not from the number of candidates. */
START_TEST(test_a_source_takes_no_memory_for_its_candidates) {
    float points[K * D];
    uint64_t numbers[K] = {0};
    ra_backend *backend = device_open(DEVICE_CPU, 1);
    test_fill(points, K * D, 8);
    ra_dictionary *dictionary = make(backend, points, K, 1, 0);
    const ra_point_source source = {(size_t)1 << 40, read_candidates, NULL};
    ra_ok(ra_mixture_set_source(dictionary, &source, numbers, &err));
    ck_assert_uint_le(parameter(dictionary, "C")->shape[0], K * T + K);
    ra_fails(ra_mixture_set_source(dictionary, &source, numbers, &err), RA_ERR_STATE, "has none");
    ra_dictionary_free(dictionary);
    ra_backend_release(backend);
}
END_TEST

/* ---- what cannot be ------------------------------------------------------------------------------------ */

static const struct {
    int32_t index[T];
    float weight[T];
    const char *message;
} spoilt[] = {
    {{7, -1, -1}, {1, 0, 0}, "holds 7 for point 0 of atom 2"},
    {{-2, -1, -1}, {1, 0, 0}, "holds -2"},
    {{0, 0, -1}, {0.5f, 0.5f, 0}, "different numbers"},
    {{0, -1, 1}, {0.5f, 0, 0.5f}, "holds 1 for point 2"},
    {{0, 1, -1}, {-0.5f, 1.5f, 0}, "holds -0.5"},
    {{0, 1, -1}, {NAN, 1, 0}, "finite number"},
};

START_TEST(test_a_file_that_cannot_be_is_refused) {
    float points[K * D], weight[K * T] = {0};
    int32_t index[K * T];
    ra_backend *backend = device_open(DEVICE_CPU, 1);
    test_fill(points, K * D, 9);
    ra_dictionary *dictionary = make(backend, points, K, 1, 0);
    for (size_t i = 0; i < K * T; i++) index[i] = i % T ? -1 : (int32_t)(i / T), weight[i] = i % T == 0;
    memcpy(index + 2 * T, spoilt[_i].index, sizeof spoilt[_i].index);
    memcpy(weight + 2 * T, spoilt[_i].weight, sizeof spoilt[_i].weight);
    put(dictionary, "W.index", index);
    put(dictionary, "W.weight", weight);
    ra_fails(ra_dictionary_loaded(dictionary, &err), RA_ERR_FORMAT, spoilt[_i].message);
    ra_dictionary_free(dictionary);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_wrong_calls_and_short_memory_are_said) {
    float points[K * D];
    ra_dictionary *dictionary = NULL;
    ra_backend *backend = device_open(DEVICE_CPU, 1);
    test_fill(points, K * D, 10);
    const ra_tensor tensor = ra_tensor_2d(RA_F32, points, K, D);
    ra_fails(ra_mixture_dictionary_new(backend, D, K, 0, &tensor, 1, 0, true, &dictionary, &err),
             RA_ERR_ARGUMENT, "0 points per atom");
    ra_fails(
        ra_mixture_dictionary_new(backend, D, K, RA_MIXTURE_MOST + 1, &tensor, 1, 0, true, &dictionary, &err),
        RA_ERR_ARGUMENT, "33 points per atom");
    ra_fails(ra_mixture_dictionary_new(backend, D, K, T, &tensor, 1, 1.5, true, &dictionary, &err),
             RA_ERR_ARGUMENT, "hull share is 1.5");
    ra_fails(ra_mixture_dictionary_new(backend, D, K, T, &tensor, -1, 0, true, &dictionary, &err),
             RA_ERR_ARGUMENT, "delta is -1");
    fails_at_each_allocation(
        ra_mixture_dictionary_new(backend, D, K, T, &tensor, 1, 0.9, true, &dictionary, &err));
    ra_dictionary_moved(dictionary, 1, 0.1);
    fails_at_each_allocation(ra_dictionary_project(dictionary, &err));
    ra_dictionary_free(dictionary);
    ra_backend_release(backend);
}
END_TEST

TEST_CASES_LOOP(mixture_devices, 0, DEVICES, test_atoms_start_on_their_points_at_unit_length,
                test_the_atom_is_what_the_optimizer_moves,
                test_the_relaxation_is_bounded_and_pulled_back_until_the_aim_is_met,
                test_points_come_in_from_memory_and_from_a_source_alike)
TEST_CASES_LOOP(mixture_files, 0, sizeof spoilt / sizeof *spoilt, test_a_file_that_cannot_be_is_refused)
TEST_CASES(mixture_dictionary, test_a_source_takes_no_memory_for_its_candidates,
           test_wrong_calls_and_short_memory_are_said)
