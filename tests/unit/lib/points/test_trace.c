/* Traces against brute force: greedy choice among all rows, and nonnegative least squares by looking at every
 * subset of the chosen rows: lib/points/{trace,nnls}.c. */
#include "data_files.h"

#include "points/nnls.h"
#include "ra_memory.h"
#include "ra_trace.h"

#include <math.h>
#include <string.h>

enum { ROWS = 300, D = 12, K = 17, R = 4 };

/* ---- nonnegative least squares -------------------------------------------------------------------------- */

/* G x = c by elimination; false where it has no single solution. */
static bool eliminate(const double *G, const double *c, int n, const int *set, int m, double *x) {
    double A[8][9];
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < m; j++) A[i][j] = G[set[i] * n + set[j]];
        A[i][m] = c[set[i]];
    }
    for (int i = 0; i < m; i++) {
        int pivot = i;
        for (int r = i; r < m; r++)
            if (fabs(A[r][i]) > fabs(A[pivot][i])) pivot = r;
        if (fabs(A[pivot][i]) < 1e-9) return false;
        for (int j = 0; j <= m; j++) {
            double swap = A[i][j];
            A[i][j] = A[pivot][j], A[pivot][j] = swap;
        }
        for (int r = 0; r < m; r++)
            for (int j = m; r != i && j >= i; j--) A[r][j] -= A[r][i] / A[i][i] * A[i][j];
    }
    for (int i = 0; i < m; i++) x[i] = A[i][m] / A[i][i];
    return true;
}

static double value_of(const double *G, const double *c, int n, const double *w) {
    double value = 0;
    for (int i = 0; i < n; i++) {
        value -= c[i] * w[i];
        for (int j = 0; j < n; j++) value += w[i] * G[i * n + j] * w[j] / 2;
    }
    return value;
}

/* The least over every subset whose solution is nonnegative. */
static double least_of(const double *G, const double *c, int n) {
    double least = 0;
    for (int subset = 1; subset < 1 << n; subset++) {
        int set[8], m = 0;
        double x[8], w[8] = {0};
        bool nonnegative = true;
        for (int i = 0; i < n; i++)
            if (subset >> i & 1) set[m++] = i;
        if (!eliminate(G, c, n, set, m, x)) continue;
        for (int i = 0; i < m; i++) {
            nonnegative &= x[i] >= 0;
            w[set[i]] = x[i];
        }
        if (nonnegative) least = fmin(least, value_of(G, c, n, w));
    }
    return least;
}

/* Vectors of a few dimensions, so that some depend on others. */
static void problem(int n, int d, uint64_t seed, double *G, double *c) {
    float v[8 * 8], target[8];
    test_fill(v, (size_t)(n * d), seed);
    test_fill(target, (size_t)d, seed + 1000);
    for (int i = 0; i < n; i++) {
        c[i] = 0;
        for (int e = 0; e < d; e++) c[i] += (double)v[i * d + e] * target[e];
        for (int j = 0; j < n; j++) {
            G[i * n + j] = 0;
            for (int e = 0; e < d; e++) G[i * n + j] += (double)v[i * d + e] * v[j * d + e];
        }
    }
}

START_TEST(test_weights_are_the_best_of_every_subset) {
    double G[64], c[8], w[8];
    for (int n = 1; n <= 8; n++)
        for (int d = 2; d <= 8; d += 3)
            for (uint64_t seed = 1; seed <= 20; seed++) {
                problem(n, d, seed * 7 + (uint64_t)n, G, c);
                ra_nnls(G, n, c, n, w);
                for (int i = 0; i < n; i++) ck_assert(w[i] >= 0);
                double got = value_of(G, c, n, w), least = least_of(G, c, n);
                ck_assert_msg(fabs(got - least) <= 1e-7 * (1 + fabs(least)),
                              "n %d, d %d, seed %d: %g, not %g", n, d, (int)seed, got, least);
            }
}
END_TEST

START_TEST(test_what_cannot_help_has_no_weight) {
    const double G[] = {1, 1, 0, 1, 1, 0, 0, 0, 1}, c[] = {-1, -1, 0};
    double w[3] = {5, 5, 5};
    ra_nnls(G, 3, c, 3, w);
    for (int i = 0; i < 3; i++) ck_assert_double_eq(w[i], 0);
}
END_TEST

/* ---- traces -------------------------------------------------------------------------------------------- */

static void unit(const float *x, double *out) {
    double norm = 0;
    for (int e = 0; e < D; e++) norm += (double)x[e] * x[e];
    for (int e = 0; e < D; e++) out[e] = x[e] / sqrt(norm);
}

/* The same method in plain loops: rows chosen for an atom, its cosine. */
static size_t trace_plainly(const float *rows, const float *atom, int64_t *chosen, double *cosine) {
    double rest[D], v[R][D], G[R * R], c[R], w[R] = {0};
    size_t n = 0;
    for (int e = 0; e < D; e++) rest[e] = atom[e];
    while (n < R) {
        double best = 1e-9;
        int64_t row = -1;
        for (int64_t i = 0; i < ROWS; i++) {
            double u[D], product = 0;
            unit(rows + i * D, u);
            for (int e = 0; e < D; e++) product += u[e] * rest[e];
            if (product > best) best = product, row = i;
        }
        if (row < 0) break;
        chosen[n] = row;
        unit(rows + row * D, v[n++]);
        for (size_t i = 0; i < n; i++) {
            c[i] = 0;
            for (int e = 0; e < D; e++) c[i] += v[i][e] * (double)atom[e];
            for (size_t j = 0; j < n; j++) {
                G[i * n + j] = 0;
                for (int e = 0; e < D; e++) G[i * n + j] += v[i][e] * v[j][e];
            }
        }
        ra_nnls(G, (int)n, c, (int)n, w);
        for (int e = 0; e < D; e++) {
            rest[e] = atom[e];
            for (size_t i = 0; i < n; i++) rest[e] -= w[i] * v[i][e];
        }
    }
    double mix = 0, cross = 0, whole = 0;
    for (int e = 0; e < D; e++) {
        mix += pow(atom[e] - rest[e], 2), whole += pow(atom[e], 2);
        cross += (atom[e] - rest[e]) * atom[e];
    }
    *cosine = cross / sqrt(mix * whole);
    return n;
}

static const struct {
    const char *device;
    size_t threads;
} runs[] = {{"reference", 1}, {"cpu", 1}, {"cpu", 3}};

START_TEST(test_traces_are_those_of_plain_loops) {
    float rows[ROWS * D], atoms[K * D];
    test_fill(rows, ROWS * D, 1);
    test_fill(atoms, K * D, 2);
    ra_data *data = data_of(rows, ROWS, D);
    ra_backend *backend = backend_of(runs[_i].device, runs[_i].threads);
    const ra_tensor tensor = ra_tensor_2d(RA_F32, atoms, K, D);
    ra_trace trace;
    ra_ok(ra_trace_atoms(backend, &tensor, data, &(ra_trace_options){.rows = R}, &trace, &err));
    ck_assert_uint_eq(trace.atoms, K);
    ck_assert_uint_eq(trace.rows, R);
    ck_assert_uint_eq(trace.searched, ROWS);
    for (size_t k = 0; k < K; k++) {
        int64_t chosen[R];
        double cosine, sum = 0, shares = 0;
        size_t n = trace_plainly(rows, atoms + k * D, chosen, &cosine), kept = 0;
        ck_assert_double_eq_tol(trace.cosine[k], cosine, 1e-5);
        for (size_t t = 0; t < R && trace.row[k * R + t] >= 0; t++, kept++) {
            bool found = false;
            for (size_t i = 0; i < n; i++) found |= chosen[i] == trace.row[k * R + t];
            ck_assert(found);
            ck_assert(trace.weight[k * R + t] > 0);
            ck_assert(t == 0 || trace.contribution[k * R + t] <= trace.contribution[k * R + t - 1]);
            sum += trace.weight[k * R + t];
            shares += trace.contribution[k * R + t];
        }
        ck_assert_uint_gt(kept, 0);
        ck_assert_double_eq_tol(sum, 1, 1e-5);
        ck_assert_double_eq_tol(shares, cosine * cosine, 1e-5);
    }
    ra_trace_release(&trace);
    ra_backend_release(backend);
    ra_data_free(data);
}
END_TEST

enum { MANY_ROWS = 5000, MANY = 60, WIDE = 70, KINDS = 3 };

/* The row of the largest cosine, by plain loops; *cosine <- that. */
static int64_t best_row(const float *rows, const float *atom, double *cosine) {
    int64_t best = -1;
    *cosine = -1;
    for (int64_t i = 0; i < MANY_ROWS; i++) {
        double product = 0, x = 0, y = 0;
        for (int e = 0; e < WIDE; e++) {
            double a = (double)atom[e], b = (double)rows[i * WIDE + e];
            product += a * b, x += a * a, y += b * b;
        }
        double here = product / sqrt(x * y);
        if (here > *cosine) *cosine = here, best = i;
    }
    return best;
}

/* Enough dimensions for products in 8 bits, where the processor has them: of numbers alike, of a few large ones, and of
 * rows that are nearly the same, of which 8 bits rule out too few. */
START_TEST(test_the_best_of_many_rows_is_found) {
    static float rows[MANY_ROWS * WIDE], atoms[MANY * WIDE];
    test_fill(rows, MANY_ROWS * WIDE, 6);
    test_fill(atoms, MANY * WIDE, 7);
    for (size_t i = 0; i < MANY_ROWS * WIDE; i++) {
        if (_i == 1 && i % WIDE == 5) rows[i] *= 30;
        if (_i == 2) rows[i] = 1 + 1e-3f * rows[i];
    }
    for (size_t k = 0; _i == 1 && k < MANY; k++) atoms[k * WIDE + 5] *= 30;
    ra_data *data = data_of(rows, MANY_ROWS, WIDE);
    const ra_tensor tensor = ra_tensor_2d(RA_F32, atoms, MANY, WIDE);
    ra_trace one, first;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        ra_backend *backend = backend_of(runs[i].device, runs[i].threads);
        ra_ok(ra_trace_atoms(backend, &tensor, data, &(ra_trace_options){.rows = 1}, &one, &err));
        for (size_t k = 0; k < MANY; k++) {
            double cosine;
            int64_t row = best_row(rows, atoms + k * WIDE, &cosine);
            ck_assert_double_eq_tol(one.cosine[k], fmax(cosine, 0), 1e-5);
            if (_i < 2) ck_assert_int_eq(one.row[k], row);
        }
        ra_trace_release(&one);
        ra_ok(ra_trace_atoms(backend, &tensor, data, NULL, &one, &err));
        for (size_t k = 0; i && k < MANY; k++) ck_assert_float_eq_tol(one.cosine[k], first.cosine[k], 1e-5f);
        if (i > 1)
            ck_assert_mem_eq(one.row, first.row,
                             MANY * one.rows * sizeof *one.row); /* threads change nothing */
        if (i) ra_trace_release(&first);
        first = one;
        ra_backend_release(backend);
    }
    ra_trace_release(&first);
    ra_data_free(data);
}
END_TEST

/* An atom that is a mixture of two rows is traced to them, whatever its length; one of zeros to none. */
START_TEST(test_a_mixture_of_rows_is_found_again) {
    float rows[ROWS * D], atoms[3 * D] = {0};
    test_fill(rows, ROWS * D, 3);
    for (int e = 0; e < D; e++) {
        atoms[e] = 50 * (3 * rows[7 * D + e] + rows[90 * D + e]);
        atoms[D + e] = 1e-6f * rows[11 * D + e];
    }
    ra_data *data = data_of(rows, ROWS, D);
    ra_backend *backend = backend_of("cpu", 2);
    const ra_tensor tensor = ra_tensor_2d(RA_F32, atoms, 3, D);
    ra_trace trace;
    ra_ok(ra_trace_atoms(backend, &tensor, data, NULL, &trace, &err));
    ck_assert_uint_eq(trace.rows, RA_TRACE_ROWS_DEFAULT);
    ck_assert_int_eq(trace.row[0], 7);
    ck_assert_float_eq_tol(trace.cosine[0], 1, 1e-3f);
    ck_assert_int_eq(trace.row[5], 11);
    ck_assert_float_eq_tol(trace.weight[5], 1, 1e-3f);
    ck_assert_float_eq_tol(trace.cosine[1], 1, 1e-6f);
    ck_assert_int_eq(trace.row[10], -1);
    ck_assert_float_eq(trace.cosine[2], 0);
    ra_trace_release(&trace);
    ra_backend_release(backend);
    ra_data_free(data);
}
END_TEST

/* Every seventh row is looked at, and numbers are those of the files. */
START_TEST(test_a_part_of_the_rows_can_be_searched) {
    float rows[ROWS * D];
    test_fill(rows, ROWS * D, 4);
    ra_data *data = data_of(rows, ROWS, D);
    ra_backend *backend = backend_of("cpu", 1);
    const ra_tensor tensor = ra_tensor_2d(RA_F32, rows, 30, D);
    ra_trace trace;
    ra_ok(ra_trace_atoms(backend, &tensor, data, &(ra_trace_options){.rows = 2, .searched = 100}, &trace,
                         &err));
    ck_assert_uint_eq(trace.searched, 100);
    for (size_t k = 0; k < 30; k++) {
        ck_assert_int_eq(trace.row[2 * k] % 3, 0);
        if (k % 3 == 0) ck_assert_int_eq(trace.row[2 * k], (int64_t)k);
    }
    ra_trace_release(&trace);
    ra_backend_release(backend);
    ra_data_free(data);
}
END_TEST

static bool stop_at_once(void *context, uint64_t done, uint64_t total) {
    *(bool *)context = done < total;
    return false;
}

START_TEST(test_what_cannot_be_traced_is_refused) {
    float rows[ROWS * D];
    test_fill(rows, ROWS * D, 5);
    ra_data *data = data_of(rows, ROWS, D);
    ra_backend *backend = backend_of("cpu", 1);
    const ra_tensor wide = ra_tensor_2d(RA_F32, rows, 4, D + 1), good = ra_tensor_2d(RA_F32, rows, 4, D);
    bool called = false;
    ra_trace trace;
    ra_fails(ra_trace_atoms(backend, &wide, data, NULL, &trace, &err), RA_ERR_SHAPE, "[4, 13], expected");
    ra_fails(ra_trace_atoms(backend, &good, data, &(ra_trace_options){.rows = 33}, &trace, &err),
             RA_ERR_ARGUMENT, "33 rows per atom");
    ra_fails(ra_trace_atoms(backend, &good, data,
                            &(ra_trace_options){.progress = stop_at_once, .context = &called}, &trace, &err),
             RA_ERR_CANCELED, "stopped");
    ck_assert(called);
    ck_assert_ptr_null(trace.row);
    fails_at_each_allocation(ra_trace_atoms(backend, &good, data, NULL, &trace, &err));
    ra_trace_release(&trace);
    ra_backend_release(backend);
    ra_data_free(data);
}
END_TEST

TEST_CASES_LOOP(trace_rows, 0, sizeof runs / sizeof *runs, test_traces_are_those_of_plain_loops)
TEST_CASES_LOOP(trace_many, 30, KINDS, test_the_best_of_many_rows_is_found)
TEST_CASES(trace_atoms, test_weights_are_the_best_of_every_subset, test_what_cannot_help_has_no_weight,
           test_a_mixture_of_rows_is_found_again, test_a_part_of_the_rows_can_be_searched,
           test_what_cannot_be_traced_is_refused)
