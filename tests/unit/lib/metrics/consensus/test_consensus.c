/* What runs have in common, against plain loops: lib/metrics/consensus/{ward,consensus,agreement,start}.c. The command
 * has more of the checkpoint (tests/cli/test_consensus.py). */
#include "data_files.h"

#include "metrics/consensus/consensus.h"
#include "ra_memory.h"
#include "ra_metrics.h"

#include <math.h>
#include <string.h>

/* ---- Ward's hierarchy ----------------------------------------------------------------------------------- */

/* Joins the two groups of least distance, n - K times, looking at all pairs each time. */
static void brute_ward(const float *x, size_t n, size_t d, size_t K, int32_t *group) {
    static double mean[64 * 8];
    double size[64];
    int32_t of[64];
    for (size_t i = 0; i < n; i++) {
        of[i] = (int32_t)i;
        size[i] = 1;
        for (size_t j = 0; j < d; j++) mean[i * d + j] = (double)x[i * d + j];
    }
    for (size_t left = n; left > K; left--) {
        size_t a = 0, b = 0;
        double least = INFINITY;
        for (size_t i = 0; i < n; i++)
            for (size_t k = i + 1; k < n; k++) {
                double gap = 0;
                if (of[i] != (int32_t)i || of[k] != (int32_t)k) continue;
                for (size_t j = 0; j < d; j++) gap += pow(mean[i * d + j] - mean[k * d + j], 2);
                gap *= size[i] * size[k] / (size[i] + size[k]);
                if (gap < least) least = gap, a = i, b = k;
            }
        for (size_t j = 0; j < d; j++)
            mean[a * d + j] = (mean[a * d + j] * size[a] + mean[b * d + j] * size[b]) / (size[a] + size[b]);
        size[a] += size[b];
        for (size_t i = 0; i < n; i++)
            if (of[i] == (int32_t)b) of[i] = (int32_t)a;
    }
    int32_t count = 0;
    for (size_t i = 0; i < n; i++) group[i] = of[i] == (int32_t)i ? count++ : group[of[i]];
}

START_TEST(test_the_hierarchy_is_that_of_all_pairs) {
    enum { N = 60, D = 5 };
    float x[N * D], work[N * D];
    int32_t group[N], expected[N];
    test_fill(x, N * D, (uint64_t)_i + 1);
    for (size_t K = 1; K <= N; K += 1 + (size_t)_i) {
        memcpy(work, x, sizeof x);
        ra_ok(ra_ward(NULL, work, N, D, K, group, &err));
        brute_ward(x, N, D, K, expected);
        for (size_t i = 0; i < N; i++) ck_assert_int_eq(group[i], expected[i]);
    }
}
END_TEST

/* Equal rows are at distance 0 of each other, so chains meet ties all the time. */
START_TEST(test_equal_rows_make_one_group) {
    enum { N = 60, D = 4, DIFFERENT = 6 };
    float x[N * D];
    int32_t group[N];
    test_fill(x, DIFFERENT * D, 3);
    for (size_t i = DIFFERENT; i < N; i++) memcpy(x + i * D, x + i % DIFFERENT * D, D * sizeof *x);
    ra_ok(ra_ward(NULL, x, N, D, DIFFERENT, group, &err));
    for (size_t i = 0; i < N; i++) ck_assert_int_eq(group[i], (int32_t)(i % DIFFERENT));
}
END_TEST

/* ---- the groups ---------------------------------------------------------------------------------------- */

enum { K = 9, D = 24, RUNS = 5 };

/* RUNS dictionaries of the same K directions in other orders, lengths and with noise. */
static void planted(float *truth, ra_matrix *runs, float noise) {
    static float moved[D];
    test_fill(truth, K * D, 11);
    for (size_t r = 0; r < RUNS; r++) {
        ra_ok(ra_matrix_init(&runs[r], K, D, &err));
        for (size_t k = 0; k < K; k++) {
            float *atom = ra_matrix_row(&runs[r], k);
            size_t from = (k + 2 * r) % K;
            test_fill(moved, D, 100 * (r + 1) + k);
            for (size_t j = 0; j < D; j++)
                atom[j] = (truth[from * D + j] + noise * moved[j]) * (float)(k + 1);
        }
    }
}

static void release(ra_matrix *runs, size_t count) {
    for (size_t r = 0; r < count; r++) ra_matrix_release(&runs[r]);
}

static double cosine(const float *x, const float *y) {
    double xx = 0, yy = 0, xy = 0;
    for (size_t j = 0; j < D; j++) {
        xx += (double)x[j] * (double)x[j];
        yy += (double)y[j] * (double)y[j];
        xy += (double)x[j] * (double)y[j];
    }
    return xy / sqrt(xx * yy);
}

START_TEST(test_the_groups_are_the_directions_that_all_runs_have) {
    float truth[K * D];
    ra_matrix runs[RUNS];
    ra_consensus c;
    planted(truth, runs, 0.3f);
    ra_backend *backend = backend_of("cpu", 2);
    ra_ok(ra_consensus_find(backend, runs, RUNS, K, &c, &err));
    ck_assert_uint_eq(c.members, RUNS * K);
    for (size_t r = 0; r < RUNS; r++)
        for (size_t k = 0; k < K; k++) {
            /* groups are numbered in the order of their first atoms, those of run 0 */
            ck_assert_int_eq(c.group[r * K + k], (int32_t)((k + 2 * r) % K));
            ck_assert_int_eq(c.seen[k], RUNS);
        }
    double alone = 0, together = 0;
    for (size_t k = 0; k < K; k++) {
        alone += cosine(ra_matrix_row(&runs[0], k), truth + k * D) / K;
        together += cosine(ra_matrix_row(&c.atoms, k), truth + k * D) / K;
        ck_assert_double_eq_tol(cosine(ra_matrix_row(&c.atoms, k), ra_matrix_row(&c.atoms, k)), 1, 1e-6);
    }
    ck_assert_double_gt(together, alone);
    ra_consensus_release(&c);
    release(runs, RUNS);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_an_atom_of_zeros_is_in_no_group_and_threads_change_nothing) {
    float truth[K * D];
    ra_matrix runs[RUNS];
    ra_consensus one, two;
    planted(truth, runs, 0.9f);
    memset(ra_matrix_row(&runs[2], 4), 0, D * sizeof(float));
    ra_backend *single = backend_of("cpu", 1), *several = backend_of("cpu", 3);
    ra_ok(ra_consensus_find(single, runs, RUNS, K + 3, &one, &err));
    ra_ok(ra_consensus_find(several, runs, RUNS, K + 3, &two, &err));
    ck_assert_int_eq(one.group[2 * K + 4], -1);
    ck_assert_mem_eq(one.group, two.group, RUNS * K * sizeof *one.group);
    ck_assert_mem_eq(one.atoms.data, two.atoms.data, (K + 3) * D * sizeof(float));
    ra_consensus_release(&one);
    ra_consensus_release(&two);
    release(runs, RUNS);
    ra_backend_release(single);
    ra_backend_release(several);
}
END_TEST

START_TEST(test_what_cannot_be_joined_is_refused) {
    float truth[K * D];
    ra_matrix runs[RUNS];
    ra_consensus c;
    planted(truth, runs, 0.1f);
    ra_backend *backend = backend_of("cpu", 1);
    ra_fails(ra_consensus_find(backend, runs, 1, K + 1, &c, &err), RA_ERR_ARGUMENT, "expected at least 10");
    runs[1].cols--;
    ra_fails(ra_consensus_find(backend, runs, 2, K, &c, &err), RA_ERR_SHAPE, "run 2 has atoms of 23");
    runs[1].cols++;
    runs[1].data[D + 2] = NAN;
    ra_fails(ra_consensus_find(backend, runs, 2, K, &c, &err), RA_ERR_NOT_FINITE, "atom 1, dimension 2");
    release(runs, RUNS);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_the_groups_that_most_runs_have_are_kept) {
    float truth[K * D];
    ra_matrix runs[RUNS];
    ra_consensus c;
    ra_agreement a;
    planted(truth, runs, 0.1f);
    for (size_t k = 0; k < 3; k++) test_fill(ra_matrix_row(&runs[4], k), D, 500 + k);
    ra_backend *backend = backend_of("cpu", 1);
    ra_ok(ra_consensus_find(backend, runs, RUNS, K, &c, &err));
    ra_ok(ra_agreement_measure(backend, c.atoms.data, K, D, runs, RUNS, 0.9, &a, &err));
    ra_ok(ra_consensus_keep(&c, &a, K - 3, &err));
    ck_assert(a.atoms == K - 3 && c.atoms.rows == K - 3);
    for (size_t g = 0; g < K - 3; g++) {
        size_t members = 0;
        ck_assert_float_eq(a.share[g], 1);
        for (size_t i = 0; i < RUNS * K; i++) {
            const float *atom = ra_matrix_row(&runs[i / K], i % K);
            members += c.group[i] == (int32_t)g && cosine(atom, ra_matrix_row(&c.atoms, g)) > 0.9;
        }
        ck_assert_uint_ge(members, RUNS);
    }
    ra_fails(ra_consensus_keep(&c, &a, K, &err), RA_ERR_ARGUMENT,
             "9 atoms cannot be kept of a consensus of 6");
    ra_agreement_release(&a);
    ra_consensus_release(&c);
    release(runs, RUNS);
    ra_backend_release(backend);
}
END_TEST

/* ---- agreement ----------------------------------------------------------------------------------------- */

START_TEST(test_agreement_counts_the_runs_that_have_an_atom) {
    float truth[K * D];
    ra_matrix runs[RUNS];
    ra_agreement a;
    planted(truth, runs, 0);
    for (size_t k = 2; k < K; k++) test_fill(ra_matrix_row(&runs[3], k), D, 1000 + k); /* has few of them */
    ra_backend *backend = backend_of("cpu", 1);
    ra_ok(ra_agreement_measure(backend, truth, K, D, runs, RUNS, 0.9, &a, &err));
    ck_assert(a.atoms == K && a.runs == RUNS && a.level == 0.9);
    for (size_t k = 0; k < K; k++) {
        bool everywhere = k == 6 || k == 7; /* rows 0 and 1 of run 3 */
        ck_assert_float_eq_tol(a.share[k], everywhere ? 1.0f : 0.8f, 1e-6f);
        ck_assert(everywhere ? a.cosine[k] > 1 - 1e-6f : a.cosine[k] < 1 - 1e-3f);
    }
    ra_agreement_release(&a);
    release(runs, RUNS);
    ra_backend_release(backend);
}
END_TEST

/* With one run of as many atoms the cosines are those of ra_compare(); a run with fewer has no match for some. */
START_TEST(test_agreement_is_the_best_match_one_to_one) {
    float A[K * D];
    ra_matrix run;
    ra_agreement a;
    ra_comparison c;
    ra_backend *backend = backend_of("cpu", 1);
    test_fill(A, K * D, 5);
    ra_ok(ra_matrix_init(&run, K, D, &err));
    test_fill(run.data, K * D, 6);
    ra_ok(ra_agreement_measure(backend, A, K, D, &run, 1, RA_AGREEMENT_LEVEL, &a, &err));
    ra_ok(ra_compare(backend, A, run.data, K, D, NULL, &c, &err));
    for (size_t k = 0; k < K; k++) ck_assert_float_eq_tol(a.cosine[k], c.match_cosine[k], 1e-6f);
    ra_agreement_release(&a);
    run.rows = 2;
    ra_ok(ra_agreement_measure(backend, A, K, D, &run, 1, 0.1, &a, &err));
    size_t matched = 0;
    for (size_t k = 0; k < K; k++) matched += a.cosine[k] != 0;
    ck_assert_uint_eq(matched, 2);
    ra_agreement_release(&a);
    run.cols--;
    ra_fails(ra_agreement_measure(backend, A, K, D, &run, 1, 0.1, &a, &err), RA_ERR_SHAPE,
             "run 0 has 2 atoms of 23");
    run.cols++;
    ra_comparison_release(&c);
    ra_matrix_release(&run);
    ra_backend_release(backend);
}
END_TEST

/* ---- memory --------------------------------------------------------------------------------------------- */

/* A checkpoint of mixtures of the rows of `atoms`, as much of it as a consensus reads. */
static const char *write_run(const char *name, const ra_matrix *atoms) {
    static int32_t index[K * 2];
    static float weight[K * 2], relax[K * D];
    const float zero = 0;
    ra_safetensors_writer *writer = NULL;
    const char *path = test_path(name);
    for (int32_t k = 0; k < K; k++) {
        index[2 * k] = k;
        index[2 * k + 1] = -1;
        weight[2 * k] = 1;
    }
    const struct {
        const char *name;
        ra_tensor tensor;
    } tensors[] = {{"dictionary.W.index", ra_tensor_2d(RA_I32, index, K, 2)},
                   {"dictionary.W.weight", ra_tensor_2d(RA_F32, weight, K, 2)},
                   {"dictionary.C", ra_tensor_2d(RA_F32, atoms->data, K, D)},
                   {"dictionary.Relax", ra_tensor_2d(RA_F32, relax, K, D)},
                   {"encoder.final_block.0.weight", ra_tensor_2d(RA_F32, atoms->data, K, D)},
                   {"dictionary.multiplier", {.dtype = RA_F32, .data = &zero}}};
    ra_ok(ra_safetensors_writer_new(&writer, &err));
    ra_ok(ra_safetensors_writer_metadata(writer, "delta", "1.5", &err));
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        ra_ok(ra_safetensors_writer_tensor(writer, tensors[i].name, &tensors[i].tensor, &err));
    ra_ok(ra_safetensors_writer_write(writer, path, &err));
    ra_safetensors_writer_free(writer);
    return path;
}

static ra_status all_of_it(ra_backend *backend, const ra_matrix *runs, const char *const *paths,
                           const char *output, ra_error *err) {
    ra_consensus c = {0};
    ra_agreement a = {0};
    ra_status status = ra_consensus_find(backend, runs, 3, K, &c, err);
    if (status == RA_OK)
        status = ra_agreement_measure(backend, c.atoms.data, K, D, runs, 3, RA_AGREEMENT_LEVEL, &a, err);
    if (status == RA_OK) status = ra_consensus_keep(&c, &a, K - 1, err);
    if (status == RA_OK) status = ra_consensus_write(&c, paths, &a, output, err);
    ra_agreement_release(&a);
    ra_consensus_release(&c);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    float truth[K * D];
    ra_matrix runs[RUNS];
    const char *paths[3];
    if (_i > 0) return;
    planted(truth, runs, 0.2f);
    for (size_t r = 0; r < 3; r++) paths[r] = write_run(r == 0 ? "a" : r == 1 ? "b" : "c", &runs[r]);
    const char *output = test_path("start.safetensors");
    ra_backend *backend = backend_of("cpu", 1);
    fails_at_each_allocation(all_of_it(backend, runs, paths, output, &err));
    ra_safetensors *file = NULL;
    ra_ok(ra_safetensors_open(output, &file, &err));
    ck_assert_str_eq(ra_safetensors_metadata(file, "consensus.runs"), "3");
    ck_assert_str_eq(ra_safetensors_metadata(file, "delta"), "1.5");
    ck_assert_uint_eq(ra_safetensors_find(file, "dictionary.W.index")->shape[0], K - 1);
    ra_safetensors_free(file);
    release(runs, RUNS);
    ra_backend_release(backend);
}
END_TEST

TEST_CASES_LOOP(consensus, 0, 3, test_the_hierarchy_is_that_of_all_pairs, test_equal_rows_make_one_group,
                test_the_groups_are_the_directions_that_all_runs_have,
                test_an_atom_of_zeros_is_in_no_group_and_threads_change_nothing,
                test_what_cannot_be_joined_is_refused, test_the_groups_that_most_runs_have_are_kept,
                test_agreement_counts_the_runs_that_have_an_atom, test_agreement_is_the_best_match_one_to_one,
                test_every_allocation_may_fail)
