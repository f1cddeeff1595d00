/* Contrasts of two sets of data: figures against plain loops, and how often intervals hold. */
#include "model_files.h"

#include "data_files.h"
#include "ra_memory.h"
#include "ra_metrics.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { K = 80, ROWS = 600, FEWER = 400 };

static float a[ROWS * K], b[ROWS * K];

/* A model whose codes are its inputs, where those are positive, and whose atoms have the norm 2. */
static ra_model *transparent(void) {
    static float atoms[K * K], weight[K * K], bias[K];
    model_file file = {0};
    for (size_t k = 0; k < K; k++) atoms[k * K + k] = 2, weight[k * K + k] = 1;
    model_file_put(&file, "dictionary", RA_F32, 2, K, K, atoms);
    model_file_put(&file, "encoder.final_block.0.weight", RA_F32, 2, K, K, weight);
    model_file_put(&file, "encoder.final_block.0.bias", RA_F32, 1, K, 0, bias);
    model_file_text(&file, "sae", "relu");
    ra_model *model = model_open(model_file_write(&file, "transparent.safetensors"));
    model_file_release(&file);
    return model;
}

/* How often latent k is active, in either set. */
static double often(size_t k, int set) {
    double share = 0.02 + 0.3 * (double)(k % 10) / 10;
    return k % 3 == 0 && set == 1 ? share / 4 : share;
}

/* Codes with an exponential distribution of mean 1, or 1.5 for every fifth latent in the second set. */
static double mean_code(size_t k, int set) {
    return k % 5 == 0 && set == 1 ? 1.5 : 1;
}

static void fill(float *x, size_t rows, int set, uint64_t seed) {
    static float u[2 * ROWS * K];
    test_fill(u, 2 * rows * K, seed);
    for (size_t i = 0; i < rows * K; i++) {
        size_t k = i % K;
        double chance = ((double)u[2 * i] + 1) / 2, code = -log(((double)u[2 * i + 1] + 1) / 2 + 1e-9);
        x[i] = chance < often(k, set) ? (float)(code * mean_code(k, set)) : -1;
    }
}

static const ra_contrast *measure(ra_model *model, const ra_contrasting_options *options, size_t rows_a,
                                  size_t rows_b, size_t step, ra_contrasting **contrasting) {
    const ra_contrast *contrast = NULL;
    ra_ok(ra_contrasting_new(model, options, contrasting, &err));
    for (int set = 0; set < 2; set++)
        for (size_t from = 0, rows = set ? rows_b : rows_a; from < rows; from += step)
            ra_ok(ra_contrasting_add(*contrasting, set, (set ? b : a) + from * K,
                                     rows - from < step ? rows - from : step, &err));
    ra_ok(ra_contrasting_finish(*contrasting, &contrast, &err));
    return contrast;
}

static ra_contrasting_options plain(void) {
    return (ra_contrasting_options){.name = "test", .sets = {{.name = "A"}, {.name = "B"}}};
}

START_TEST(test_figures_equal_plain_loops) {
    ra_model *model = transparent();
    ra_contrasting_options options = plain();
    fill(a, ROWS, 0, 1);
    fill(b, FEWER, 1, 2);
    for (size_t r = 0; r < ROWS; r++) a[r * K + 7] = -1; /* dead on A */
    for (size_t r = 0; r < FEWER; r++) b[r * K + 9] = -1;
    for (size_t r = 0; r < ROWS; r++) a[r * K + 9] = r % 100 == 0 ? 1 : -1; /* six times in all */
    for (size_t step = 1; step <= ROWS; step += 599) {
        ra_contrasting *contrasting = NULL;
        const ra_contrast *contrast = measure(model, &options, ROWS, FEWER, step, &contrasting);
        ck_assert_str_eq(contrast->a, "A");
        ck_assert_uint_eq(contrast->rows[0], ROWS);
        ck_assert_uint_eq(contrast->units[1], FEWER);
        size_t tested = 0;
        ck_assert_double_eq(contrast->confidence, 0.95);
        for (size_t k = 0; k < K; k++) {
            ra_contrast_latent latent = ra_contrast_of(contrast, k);
            double sum[2] = {0};
            size_t count[2] = {0};
            for (size_t r = 0; r < ROWS; r++)
                sum[0] += fmax(0, (double)a[r * K + k]), count[0] += a[r * K + k] > 0;
            for (size_t r = 0; r < FEWER; r++)
                sum[1] += fmax(0, (double)b[r * K + k]), count[1] += b[r * K + k] > 0;
            double energy[2] = {2 * sum[0] / ROWS, 2 * sum[1] / FEWER};
            double frequency[2] = {(double)count[0] / ROWS, (double)count[1] / FEWER};
            ck_assert_uint_eq(latent.count[0], count[0]);
            ck_assert_uint_eq(latent.count[1], count[1]);
            ck_assert_double_eq_tol((double)latent.energy.a, energy[0], 1e-6);
            ck_assert_double_eq_tol((double)latent.energy.difference, energy[0] - energy[1], 1e-6);
            ck_assert_double_eq_tol((double)latent.frequency.b, frequency[1], 1e-6);
            ck_assert_double_eq_tol((double)latent.frequency.difference, frequency[0] - frequency[1], 1e-6);
            ck_assert_double_eq_tol((double)latent.relative,
                                    (energy[0] - energy[1]) / (energy[0] + energy[1]), 1e-5);
            bool known = count[0] + count[1] >= RA_CONTRAST_LEAST;
            tested += known;
            ck_assert(k != 9 || !known);
            if (!known) {
                ck_assert(isnan(latent.energy.low) && isnan(latent.frequency.high));
                ck_assert_float_eq(contrast->energy[k * RA_CONTRAST_COLUMNS + RA_CONTRAST_HIGH], FLT_MAX);
                continue;
            }
            ck_assert(latent.energy.low < latent.energy.difference &&
                      latent.energy.difference < latent.energy.high);
            ck_assert(latent.frequency.low < latent.frequency.difference);
        }
        ck_assert_uint_eq(contrast->intervals, 2 * tested);
        ck_assert(ra_contrast_of(contrast, 7).energy.high < 0); /* dead on one side only */
        ra_contrasting_free(contrasting);
    }
    ra_model_release(model);
}
END_TEST

/* Newcombe 1998, table II, method 10: 56/70 - 48/80, 9/10 - 3/10 and 5/56 - 0/29, to four digits. */
START_TEST(test_frequencies_have_newcombes_interval) {
    static const struct {
        size_t x, m, y, n;
        double low, high;
    } cases[] = {
        {56, 70, 48, 80, 0.0524, 0.3339}, {9, 10, 3, 10, 0.1705, 0.8090}, {5, 56, 0, 29, -0.0381, 0.1926}};
    ra_model *model = transparent();
    ra_contrasting_options options = plain();
    options.each = true;
    for (size_t c = 0; c < 3; c++) {
        ra_contrasting *contrasting = NULL;
        for (size_t i = 0; i < ROWS * K; i++) a[i] = b[i] = -1;
        for (size_t r = 0; r < cases[c].x; r++) a[r * K] = 1;
        for (size_t r = 0; r < cases[c].y; r++) b[r * K] = 1;
        for (size_t r = 0; r < 10; r++)
            a[r * K + 1] = 1; /* another latent, which has an interval in any case */
        const ra_contrast *contrast = measure(model, &options, cases[c].m, cases[c].n, 50, &contrasting);
        ra_contrast_latent latent = ra_contrast_of(contrast, 0);
        if (cases[c].x + cases[c].y >= RA_CONTRAST_LEAST) {
            ck_assert_double_eq_tol((double)latent.frequency.low, cases[c].low, 5e-5);
            ck_assert_double_eq_tol((double)latent.frequency.high, cases[c].high, 5e-5);
        } else
            ck_assert(isnan(latent.frequency.low));
        ra_contrasting_free(contrasting);
    }
    ra_model_release(model);
}
END_TEST

/* Over many latents and samples: of intervals of 95 % each nearly so many hold; of those that are to hold at once, all do in
 * nearly all samples. */
START_TEST(test_intervals_hold_as_often_as_they_say) {
    enum { SAMPLES = 12 };
    ra_model *model = transparent();
    size_t energy[2] = {0}, frequency[2] = {0}, known[2] = {0}, whole = 0;
    for (int each = 0; each < 2; each++)
        for (uint64_t sample = 0; sample < SAMPLES; sample++) {
            ra_contrasting *contrasting = NULL;
            ra_contrasting_options options = plain();
            options.each = each;
            fill(a, ROWS, 0, 100 + 2 * sample);
            fill(b, FEWER, 1, 101 + 2 * sample);
            const ra_contrast *contrast = measure(model, &options, ROWS, FEWER, ROWS, &contrasting);
            bool all = true;
            for (size_t k = 0; k < K; k++) {
                ra_contrast_latent latent = ra_contrast_of(contrast, k);
                double gap = often(k, 0) - often(k, 1),
                       length = 2 * (often(k, 0) * mean_code(k, 0) - often(k, 1) * mean_code(k, 1));
                if (isnan(latent.energy.low)) continue;
                bool e = (double)latent.energy.low <= length && length <= (double)latent.energy.high,
                     f = (double)latent.frequency.low <= gap && gap <= (double)latent.frequency.high;
                known[each]++;
                energy[each] += e;
                frequency[each] += f;
                all &= e && f;
            }
            if (!each) whole += all;
            ra_contrasting_free(contrasting);
        }
    double energies = (double)energy[1] / (double)known[1],
           frequencies = (double)frequency[1] / (double)known[1];
    ck_assert_msg(energies > 0.93 && energies < 0.98, "%.3f of the energies are within", energies);
    ck_assert_msg(frequencies > 0.93 && frequencies < 0.98, "%.3f of the frequencies are within",
                  frequencies);
    ck_assert_msg(whole >= SAMPLES - 2, "in %zu of %d samples all hold", whole, SAMPLES);
    ra_model_release(model);
}
END_TEST

/* Rows that repeat within an item say nothing new. */
START_TEST(test_rows_of_an_item_count_as_one_observation) {
    enum { ITEM = 4, ITEMS = 100 };
    ra_model *model = transparent();
    ra_contrasting_options options = plain();
    ra_contrasting *one = NULL, *items = NULL, *rows = NULL;
    fill(a, ITEMS, 0, 5);
    fill(b, ITEMS, 1, 6);
    const ra_contrast *single = measure(model, &options, ITEMS, ITEMS, ITEMS, &one);
    for (size_t r = ITEMS * ITEM; r-- > 0;) {
        memmove(a + r * K, a + r / ITEM * K, K * sizeof *a);
        memmove(b + r * K, b + r / ITEM * K, K * sizeof *b);
    }
    const ra_contrast *apart = measure(model, &options, ITEMS * ITEM, ITEMS * ITEM, 33, &rows);
    options.sets[0].item_rows = options.sets[1].item_rows = ITEM;
    const ra_contrast *together = measure(model, &options, ITEMS * ITEM, ITEMS * ITEM, 33, &items);
    ck_assert_uint_eq(together->rows[0], ITEMS * ITEM);
    ck_assert_uint_eq(together->units[0], ITEMS);
    for (size_t k = 0; k < K; k++) {
        ra_contrast_latent x = ra_contrast_of(single, k), y = ra_contrast_of(together, k),
                           z = ra_contrast_of(apart, k);
        ck_assert_uint_eq(y.count[0], ITEM * x.count[0]);
        if (isnan(x.energy.low)) continue;
        ck_assert_double_eq_tol((double)y.energy.low, (double)x.energy.low, 1e-5);
        ck_assert_double_eq_tol((double)y.energy.high, (double)x.energy.high, 1e-5);
        ck_assert_double_eq_tol((double)y.frequency.low, (double)x.frequency.low, 2e-3); /* n - 1 */
        ck_assert(z.energy.high - z.energy.low < 0.8f * (x.energy.high - x.energy.low));
        ck_assert(z.frequency.high - z.frequency.low < 0.8f * (x.frequency.high - x.frequency.low));
    }
    ra_contrasting_free(one);
    ra_contrasting_free(rows);
    ra_contrasting_free(items);
    ra_model_release(model);
}
END_TEST

START_TEST(test_what_cannot_be_contrasted) {
    static const char *const bad[] = {"", "a b", "a.b", "a/b",
                                      "0123456789012345678901234567890123456789012345678901234567890123X"};
    ra_model *model = transparent();
    ra_contrasting *contrasting = NULL;
    const ra_contrast *contrast;
    ra_contrasting_options options = plain();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        options.name = bad[i];
        ra_fails(ra_contrasting_new(model, &options, &contrasting, &err), RA_ERR_ARGUMENT, "cannot be named");
    }
    options = plain();
    options.confidence = 1;
    ra_fails(ra_contrasting_new(model, &options, &contrasting, &err), RA_ERR_ARGUMENT, "confidence of 1");
    options.confidence = 0.9;
    ra_ok(ra_contrasting_new(model, &options, &contrasting, &err));
    fill(a, 5, 0, 1);
    ra_ok(ra_contrasting_add(contrasting, 0, a, 5, &err));
    ra_fails(ra_contrasting_finish(contrasting, &contrast, &err), RA_ERR_STATE, "B has none");
    ra_contrasting_free(contrasting);
    ra_model_release(model);
    model_file file = {0};
    model_file_put(&file, "dictionary", RA_F32, 2, 2, 2, (float[]){1, 0, 0, 1});
    model = model_open(model_file_write(&file, "bare.safetensors"));
    ra_fails(ra_contrasting_new(model, &options, &contrasting, &err), RA_ERR_STATE, "no encoder");
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

static ra_status measure_few(ra_model *model, ra_error *err) {
    ra_contrasting_options options = plain();
    ra_contrasting *contrasting = NULL;
    const ra_contrast *contrast;
    ra_status status = ra_contrasting_new(model, &options, &contrasting, err);
    for (int set = 0; set < 2 && status == RA_OK; set++)
        status = ra_contrasting_add(contrasting, set, a, 5, err);
    if (status == RA_OK) status = ra_contrasting_finish(contrasting, &contrast, err);
    ra_contrasting_free(contrasting);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    ra_model *model = transparent();
    fill(a, 5, 0, 1);
    fails_at_each_allocation(measure_few(model, &err));
    ra_model_release(model);
}
END_TEST

TEST_CASES(contrast, test_figures_equal_plain_loops, test_frequencies_have_newcombes_interval,
           test_intervals_hold_as_often_as_they_say, test_rows_of_an_item_count_as_one_observation,
           test_what_cannot_be_contrasted, test_every_allocation_may_fail)
