/* Latents that are active together (lib/metrics/{cofiring,by_latent,kept_codes}.c) against dense matrices and plain
 * loops, with the codes in memory, in a file, and encoded again for each band. */
#include "harness.h"

#include "data_files.h"
#include "metrics/by_latent.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

enum { ROWS = 400, K = 40, T = 5, LEAST = 3, ALWAYS = 11, CONSTANT = 12, DEAD = 7 };

static float z[ROWS * K];

/* Latent 11 hardly varies about a large mean, 12 does not at all, 7 is dead, 5 and 6 are together more than by chance,
 * 3 has negative codes, 20 and 21 are active once, in the same row. */
static void fill(void) {
    test_fill(z, ROWS * K, 3);
    for (size_t i = 0; i < ROWS * K; i++) {
        size_t k = i % K;
        float noise = z[i];
        z[i] = noise > 0.6f ? noise + 0.5f : 0;
        if (k == 3) z[i] = -z[i];
        if (k == ALWAYS) z[i] = 1000 + noise / 1024;
        if (k == CONSTANT) z[i] = 2;
        if (k == DEAD || k == 20 || k == 21) z[i] = 0;
        if (k == 6 && z[i - 1] != 0 && noise > -0.5f) z[i] = z[i - 1] + 0.1f * noise;
    }
    z[100 * K + 20] = z[100 * K + 21] = 1;
}

typedef struct dense {
    int64_t count[K * K];
    double correlation[K * K];
} dense;

static dense *measure_dense(void) {
    dense *d = ra_calloc(1, sizeof *d);
    double mean[K] = {0};
    for (size_t i = 0; i < ROWS * K; i++) mean[i % K] += (double)z[i] / ROWS;
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < K; j++) {
            double ij = 0, ii = 0, jj = 0;
            for (size_t b = 0; b < ROWS; b++) {
                double x = (double)z[b * K + i] - mean[i], y = (double)z[b * K + j] - mean[j];
                ij += x * y;
                ii += x * x;
                jj += y * y;
                d->count[i * K + j] += z[b * K + i] != 0 && z[b * K + j] != 0;
            }
            bool varies = i != CONSTANT && j != CONSTANT && i != DEAD && j != DEAD;
            d->correlation[i * K + j] = varies ? ij / sqrt(ii * jj) : 0;
        }
    return d;
}

static double lift_of(const dense *d, size_t i, size_t j) {
    return (double)d->count[i * K + j] * ROWS / ((double)d->count[i * K + i] * (double)d->count[j * K + j]);
}

/* What a list is ordered by; 0: it is not in the list. */
static double key_of(const dense *d, size_t m, size_t i, size_t j, size_t least) {
    if (i == j || d->count[i * K + j] < (int64_t)least) return 0;
    if (m == RA_COFIRING_COUNT) return (double)d->count[i * K + j];
    if (m == RA_COFIRING_PMI) return lift_of(d, i, j) > 1 ? lift_of(d, i, j) : 0;
    return fmax(0, d->correlation[i * K + j]);
}

static void check_list(const dense *d, const ra_latent_statistics *view, ra_cofiring_measure m, size_t i,
                       size_t least) {
    ra_latent_partner partner;
    bool taken[K] = {false};
    for (size_t t = 0; t < T; t++) {
        size_t best = K;
        for (size_t j = 0; j < K; j++)
            if (!taken[j] && key_of(d, m, i, j, least) > 1e-9 &&
                (best == K || key_of(d, m, i, j, least) > key_of(d, m, i, best, least) * (1 + 1e-9)))
                best = j;
        ck_assert_msg(ra_latent_statistics_partner(view, m, i, t, &partner) == (best < K), "%s of %zu at %zu",
                      ra_cofiring_measure_name(m), i, t);
        if (best == K) break;
        taken[best] = true;
        ck_assert_uint_eq(partner.latent, best);
        ck_assert_int_eq((int64_t)partner.count, d->count[i * K + best]);
        ck_assert_double_eq_tol(partner.lift, lift_of(d, i, best), 1e-12 * partner.lift);
        ck_assert_double_eq_tol(partner.pmi, log(lift_of(d, i, best)), 1e-12);
        ck_assert_double_eq_tol((double)partner.correlation, d->correlation[i * K + best], 1e-6);
    }
    ck_assert(!ra_latent_statistics_partner(view, m, i, T, &partner));
}

typedef struct found {
    ra_by_latent by;
    ra_latent_sums sums;
    ra_latent_statistics view;
    size_t passes;
} found;

/* By the rows `step` at a time, with as many passes as it wants. */
static ra_status find(const ra_by_latent_options *options, size_t step, ra_pool *pool, found *f,
                      ra_error *err) {
    const double norm[K] = {0};
    const ra_latent_rows names = {0};
    ra_codes codes = {0};
    bool again = true;
    ra_status status;
    *f = (found){.passes = 0};
    RA_TRY_OUT(status, ra_latent_sums_init(&f->sums, K, 1, err));
    RA_TRY_OUT(status, ra_by_latent_init(&f->by, K, options, err));
    for (; again; f->passes++) {
        for (size_t from = 0; from < ROWS; from += step) {
            size_t rows = ROWS - from < step ? ROWS - from : step;
            RA_TRY_OUT(status, ra_codes_from_dense(&codes, z + from * K, rows, K, err));
            if (f->passes == 0) ra_latent_sums_add(&f->sums, &codes);
            RA_TRY_OUT(status, ra_by_latent_add(&f->by, pool, &codes, f->passes == 0, err));
        }
        again = false;
        RA_TRY_OUT(status, ra_by_latent_next_pass(&f->by, pool, &f->sums, &names, &again, err));
    }
    RA_TRY_OUT(status, ra_latent_sums_view(&f->sums, norm, &names, &f->view, err));
    status = ra_by_latent_view(&f->by, pool, &f->sums, &names, &f->view, err);
out:
    ra_codes_release(&codes);
    return status;
}

static void forget(found *f) {
    ra_by_latent_release(&f->by);
    ra_latent_sums_release(&f->sums);
}

/* All in memory; bands of few latents; one latent at a time; the last two also with a file. */
static const struct how {
    size_t bytes;
    bool file;
} hows[] = {{1 << 20, false}, {3500, false}, {1, false}, {3500, true}, {1, true}, {1 << 20, true}};
enum { HOWS = sizeof hows / sizeof *hows };

static ra_by_latent_options options_of(size_t m, size_t quantiles) {
    return (ra_by_latent_options){.partners = T,
                                  .least = LEAST,
                                  .quantiles = quantiles,
                                  .quantile_rows = 2,
                                  .bytes = hows[m].bytes,
                                  .folder = hows[m].file ? test_folder() : NULL};
}

START_TEST(test_the_strongest_partners_equal_dense_matrices) {
    found f;
    ra_pool *pool = NULL;
    fill();
    dense *d = measure_dense();
    ra_ok(ra_pool_new(3, 0, &pool, &err));
    for (size_t m = 0; m < HOWS; m++)
        for (size_t step = 1; step <= ROWS; step = step * 20) {
            const ra_by_latent_options options = options_of(m, 0);
            ra_ok(find(&options, step, step == 1 ? NULL : pool, &f, &err));
            ck_assert_uint_eq(f.passes, m == 1 ? 1 + K / 4 : m == 2 ? 1 + K : 1);
            ck_assert(f.by.kept.on_disk == (hows[m].file && hows[m].bytes < 1 << 20));
            ck_assert_uint_eq(f.view.cofiring.least, LEAST);
            for (size_t i = 0; i < K; i++)
                for (int list = 0; list < RA_COFIRING_MEASURES; list++)
                    check_list(d, &f.view, (ra_cofiring_measure)list, i, LEAST);
            forget(&f);
        }
    ra_free(d);
    ra_pool_free(pool);
}
END_TEST

/* Always active latents are partners of all by count, and of none by the other measures. */
START_TEST(test_what_is_always_active_dominates_counts_only) {
    found f;
    ra_latent_partner one;
    fill();
    ra_ok(
        find(&(ra_by_latent_options){.partners = T, .least = LEAST, .bytes = 1 << 20}, ROWS, NULL, &f, &err));
    for (size_t i = 0; i < K; i++) {
        if (i == DEAD || i == 20 || i == 21) continue;
        ck_assert(ra_latent_statistics_partner(&f.view, RA_COFIRING_COUNT, i, 0, &one));
        ck_assert(one.latent == ALWAYS || (one.latent == CONSTANT && i == ALWAYS));
        for (size_t t = 0; ra_latent_statistics_partner(&f.view, RA_COFIRING_PMI, i, t, &one); t++)
            ck_assert(one.latent != ALWAYS && one.latent != CONSTANT && one.lift > 1);
    }
    ck_assert(ra_latent_statistics_partner(&f.view, RA_COFIRING_PMI, 5, 0, &one));
    ck_assert_uint_eq(one.latent, 6);
    ck_assert(ra_latent_statistics_partner(&f.view, RA_COFIRING_CORRELATION, 6, 0, &one));
    ck_assert_uint_eq(one.latent, 5);
    ck_assert(!ra_latent_statistics_partner(&f.view, RA_COFIRING_PMI, 20, 0, &one)); /* once is not enough */
    forget(&f);
    ra_ok(find(&(ra_by_latent_options){.partners = T, .least = 1, .bytes = 1 << 20}, ROWS, NULL, &f, &err));
    ck_assert(ra_latent_statistics_partner(&f.view, RA_COFIRING_PMI, 20, 0, &one));
    ck_assert_uint_eq(one.latent, 21);
    ck_assert_double_eq(one.lift, ROWS);
    forget(&f);
}
END_TEST

START_TEST(test_bands_and_calls_change_no_bit) {
    found whole, part;
    fill();
    ra_by_latent_options options = options_of(0, 4);
    ra_ok(find(&options, ROWS, NULL, &whole, &err));
    for (size_t m = 1; m < HOWS; m++) {
        options = options_of(m, 4);
        ra_ok(find(&options, 33, NULL, &part, &err));
        for (size_t list = 0; list < RA_COFIRING_MEASURES; list++) {
            const ra_latent_cofiring *a = &whole.view.cofiring, *b = &part.view.cofiring;
            ck_assert_mem_eq(a->atom[list], b->atom[list], K * T * sizeof **a->atom);
            ck_assert_mem_eq(a->count[list], b->count[list], K * T * sizeof **a->count);
            ck_assert_mem_eq(a->correlation[list], b->correlation[list], K * T * sizeof **a->correlation);
        }
        const ra_latent_quantiles *a = &whole.view.quantiles, *b = &part.view.quantiles;
        ck_assert_mem_eq(a->bound, b->bound, K * 5 * sizeof *a->bound);
        ck_assert_mem_eq(a->row, b->row, (size_t)K * 4 * 2 * sizeof *a->row);
        ck_assert_mem_eq(a->value, b->value, (size_t)K * 4 * 2 * sizeof *a->value);
        forget(&part);
    }
    forget(&whole);
}
END_TEST

static ra_status find_and_forget(const ra_by_latent_options *options, ra_error *err) {
    found f;
    ra_status status = find(options, 100, NULL, &f, err);
    forget(&f);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    fill();
    for (size_t m = 0; m < HOWS; m++) {
        ra_by_latent_options options = options_of(m, 4);
        if (hows[m].bytes < 4096) options.bytes = 4096; /* not forty bands */
        fails_at_each_allocation(find_and_forget(&options, &err));
    }
    ra_by_latent_options options = options_of(3, 4);
    options.folder = "no such folder";
    ra_fails(find_and_forget(&options, &err), RA_ERR_IO, "in no such folder failed: No such file");
}
END_TEST

TEST_CASES(cofiring, test_the_strongest_partners_equal_dense_matrices,
           test_what_is_always_active_dominates_counts_only, test_bands_and_calls_change_no_bit,
           test_every_allocation_may_fail)
