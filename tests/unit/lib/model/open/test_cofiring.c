/* Latents that are active together and examples by quantile in an artifact (lib/model/open/{cofiring,quantiles}.c): what is
 * read, what is refused, what is written again. */
#include "spoilt_model.h"

#include "data_files.h"
#include "ra_memory.h"

#include <math.h>
#include <stdio.h>

enum { T = 2, Q = 2, S = 2 };

/* The artifact of statistics with lists of the latents 0, 3 and 4, and rows of two quantiles. */
static void with_lists(model_file *file) {
    static const int32_t atom[FILE_K * T] = {3, 4, -1, -1, -1, -1, 0, 4, 3, -1, -1, -1};
    static const int64_t count[FILE_K * T] = {3, 2, 0, 0, 0, 0, 3, 2, 2, 0, 0, 0};
    static const float correlation[FILE_K * T] = {0.5f, -0.25f, 0, 0, 0, 0, 0.5f, 0.25f, 0.25f, 0, 0, 0};
    static const float bound[FILE_K * (Q + 1)] = {1, 2, 2.5f, 0, 0, 0, 0.5f, 0.5f, 0.5f,
                                                  1, 2, 3.5f, 1, 1, 1, 3,    3,    3};
    static const int64_t row[FILE_K * Q * S] = {0, -1, 9, 5, -1, -1, -1, -1, -1, -1, 4, -1,
                                                1, 3,  2, 7, 3,  -1, 8,  -1, -1, -1, 5, -1};
    static const float value[FILE_K * Q * S] = {1,    0,    2.5f, 2, 0, 0, 0, 0, 0, 0, 0.5f, 0,
                                                1.5f, 1.5f, 3.5f, 3, 1, 0, 1, 0, 0, 0, 3,    0};
    model_file_measured(file);
    for (int m = 0; m < RA_COFIRING_MEASURES; m++) {
        static char names[RA_COFIRING_MEASURES][3][64];
        const char *measure = ra_cofiring_measure_name((ra_cofiring_measure)m);
        snprintf(names[m][0], 64, "latents.cofiring.%s.atom", measure);
        snprintf(names[m][1], 64, "latents.cofiring.%s.count", measure);
        snprintf(names[m][2], 64, "latents.cofiring.%s.correlation", measure);
        model_file_put(file, names[m][0], RA_I32, 2, FILE_K, T, atom);
        model_file_put(file, names[m][1], RA_I64, 2, FILE_K, T, count);
        model_file_put(file, names[m][2], RA_F32, 2, FILE_K, T, correlation);
    }
    model_file_put(file, "latents.quantile_bound", RA_F32, 2, FILE_K, Q + 1, bound);
    model_file_put(file, "latents.quantile_row", RA_I64, 2, FILE_K, Q * S, row);
    model_file_put(file, "latents.quantile_value", RA_F32, 2, FILE_K, Q * S, value);
    model_file_put_text(file, "latents.quantile_labels",
                        "cat\t\tdog\towl\n\t\t\t\n\t\t\t\na\tb\tc\td\n\t\t\t\n\t\t\t\n");
    model_file_text(file, "latents.cofiring.least", "2");
    model_file_text(file, "latents.item_shape", "2x2");
}

static const spoilt_model rows[] = {
    {META,
     "latents.cofiring.least",
     NULL,
     0,
     0,
     0,
     RA_ERR_FORMAT,
     {"metadata have no latents.cofiring.least"}},
    {META, "latents.cofiring.least", "0", 0, 0, 0, RA_ERR_FORMAT, {"least is \"0\"", "at least 1"}},
    {META, "latents.cofiring.least", "3", 0, 0, 0, RA_ERR_FORMAT, {"count.count holds 2 at [0, 1]", "3 to"}},
    {DROP, "latents.cofiring.pmi.atom", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"latents.cofiring.pmi.atom"}},
    {DROP,
     "latents.cofiring.correlation.correlation",
     NULL,
     0,
     0,
     0,
     RA_ERR_NOT_FOUND,
     {"correlation.correlation"}},
    {SHAPE, "latents.cofiring.pmi.count", NULL, 6, 2, 0, RA_ERR_DTYPE, {"pmi.count has the type F32", "I64"}},
    {SHAPE, "latents.cofiring.count.correlation", NULL, 6, 3, 0, RA_ERR_SHAPE, {"[6, 3]", "[6, 2]"}},
    {SET,
     "latents.cofiring.pmi.atom",
     NULL,
     0,
     0,
     6,
     RA_ERR_FORMAT,
     {"pmi.atom holds 6 at [0, 0]", "below 6"}},
    {SET, "latents.cofiring.pmi.atom", NULL, 0, 0, -2, RA_ERR_FORMAT, {"pmi.atom holds -2 at [0, 0]"}},
    {SET,
     "latents.cofiring.pmi.atom",
     NULL,
     0,
     0,
     0,
     RA_ERR_FORMAT,
     {"pmi.atom holds 0 at [0, 0]", "other latents"}},
    {SET,
     "latents.cofiring.pmi.atom",
     NULL,
     0,
     0,
     -1,
     RA_ERR_FORMAT,
     {"pmi.atom holds 4 at [0, 1]", "only -1"}},
    {SET,
     "latents.cofiring.pmi.count",
     NULL,
     1,
     0,
     3,
     RA_ERR_FORMAT,
     {"pmi.count holds 3 at [0, 1]", "2 to 2"}},
    {SET, "latents.cofiring.pmi.count", NULL, 0, 0, 1, RA_ERR_FORMAT, {"pmi.count holds 1 at [0, 0]"}},
    {SET,
     "latents.cofiring.pmi.correlation",
     NULL,
     0,
     0,
     1.5,
     RA_ERR_FORMAT,
     {"holds 1.5 at [0, 0]", "-1 to 1"}},
    {SET, "latents.cofiring.pmi.correlation", NULL, 6, 0, NAN, RA_ERR_FORMAT, {"at [3, 0]", "-1 to 1"}},
    {SET,
     "latents.cofiring.count.atom",
     NULL,
     7,
     0,
     5,
     RA_ERR_FORMAT,
     {"count.count holds 2 at [3, 1]", "2 to 1"}},
    {SET,
     "latents.cofiring.correlation.correlation",
     NULL,
     0,
     0,
     -0.5,
     RA_ERR_FORMAT,
     {"not in order at [0, 1]"}},
    {DROP, "latents.quantile_bound", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"latents.quantile_bound"}},
    {SHAPE, "latents.quantile_bound", NULL, 6, 1, 0, RA_ERR_SHAPE, {"4 columns for 0 quantiles"}},
    {SHAPE, "latents.quantile_bound", NULL, 6, 4, 0, RA_ERR_SHAPE, {"4 columns for 3 quantiles"}},
    {SHAPE, "latents.quantile_value", NULL, 6, 3, 0, RA_ERR_SHAPE, {"[6, 3]", "[6, 4]"}},
    {SET, "latents.quantile_bound", NULL, 0, 0, -1, RA_ERR_FORMAT, {"quantile_bound holds -1 at [0, 0]"}},
    {SET, "latents.quantile_bound", NULL, 2, 0, 1.5, RA_ERR_FORMAT, {"holds 1.5 at [0, 2]", "ascending"}},
    {SET, "latents.quantile_bound", NULL, 2, 0, NAN, RA_ERR_NOT_FINITE, {"quantile_bound", "[0, 2]"}},
    {SET, "latents.quantile_row", NULL, 0, 0, -2, RA_ERR_FORMAT, {"quantile_row holds -2 at [0, 0]"}},
    {SET,
     "latents.quantile_row",
     NULL,
     2,
     0,
     -1,
     RA_ERR_FORMAT,
     {"quantile_row holds 5 at [0, 3]", "only -1"}},
    {SET, "latents.quantile_value", NULL, 0, 0, 3, RA_ERR_FORMAT, {"holds 3 at [0, 0]", "from 1 to 2"}},
    {SET,
     "latents.quantile_value",
     NULL,
     12,
     0,
     1.25,
     RA_ERR_FORMAT,
     {"holds 1.5 at [3, 1]", "largest first"}},
    {SET, "latents.quantile_value", NULL, 0, 0, INFINITY, RA_ERR_NOT_FINITE, {"quantile_value", "[0, 0]"}},
    {LINES, "latents.quantile_labels", "a\tb\n", 0, 0, 0, RA_ERR_SHAPE, {"quantile_labels has 1 lines"}},
    {META, "latents.item_shape", "0", 0, 0, 0, RA_ERR_FORMAT, {"item_shape is \"0\"", "16x16"}},
    {META, "latents.item_shape", "4x", 0, 0, 0, RA_ERR_FORMAT, {"item_shape is \"4x\""}},
    {META, "latents.item_shape", "4x0", 0, 0, 0, RA_ERR_FORMAT, {"item_shape is \"4x0\""}},
    {META, "latents.item_shape", "4x4x4", 0, 0, 0, RA_ERR_FORMAT, {"item_shape is \"4x4x4\""}},
    {META, "latents.item_shape", "-4", 0, 0, 0, RA_ERR_FORMAT, {"item_shape is \"-4\""}},
};

START_TEST(test_refuses_lists_that_break_the_format) {
    spoilt_model_is_refused(with_lists, &rows[_i]);
}
END_TEST

static void check_lists(const ra_model *model) {
    const ra_latent_statistics *latents = ra_model_latent_statistics(model);
    ra_latent_partner partner;
    ra_latent_example one;
    ck_assert_ptr_nonnull(latents);
    ck_assert_uint_eq(latents->cofiring.partners, T);
    ck_assert_uint_eq(latents->cofiring.least, 2);
    ck_assert(ra_latent_statistics_partner(latents, RA_COFIRING_PMI, 0, 1, &partner));
    ck_assert_uint_eq(partner.latent, 4);
    ck_assert_uint_eq(partner.count, 2);
    ck_assert_double_eq_tol(partner.lift, 2.0 * FILE_ROWS / (3 * 2), 1e-12);
    ck_assert_double_eq_tol(partner.pmi, log(2.0 * FILE_ROWS / (3 * 2)), 1e-12);
    ck_assert_float_eq(partner.correlation, -0.25f);
    ck_assert(!ra_latent_statistics_partner(latents, RA_COFIRING_PMI, 1, 0, &partner));
    ck_assert(!ra_latent_statistics_partner(latents, RA_COFIRING_COUNT, 4, 1, &partner));
    ck_assert_uint_eq(latents->quantiles.count, Q);
    ck_assert_uint_eq(latents->quantiles.rows, S);
    ck_assert(ra_latent_statistics_quantile_example(latents, 3, 1, 1, &one));
    ck_assert(one.row == 7 && one.item == 1 && one.position == 3);
    ck_assert_float_eq(one.value, 3);
    ck_assert_str_eq(one.label, "d");
    ck_assert(!ra_latent_statistics_quantile_example(latents, 0, 0, 1, &one));
    ck_assert(!ra_latent_statistics_quantile_example(latents, 2, 0, 0, &one));
    ck_assert(latents->items.rows == 4 && latents->items.width == 2);
    ck_assert(ra_latent_statistics_example(latents, 0, 0, &one));
    ck_assert(one.row == 9 && one.item == 2 && one.position == 1);
}

START_TEST(test_lists_are_opened_and_written_again) {
    model_file file = {0};
    with_lists(&file);
    ra_model *model = model_open(model_file_write(&file, "lists.safetensors"));
    check_lists(model);
    ra_ok(ra_model_save(model, test_path("half.safetensors"), RA_F16, &err));
    ra_model *half = model_open(test_path("half.safetensors"));
    check_lists(half);
    ra_model_release(half);
    ra_model_release(model);
    model_file_text(&file, "latents.item_shape", "5");
    model = model_open(model_file_write(&file, "sequence.safetensors"));
    ra_ok(ra_model_save(model, test_path("again.safetensors"), RA_F32, &err));
    ra_model_release(model);
    model = model_open(test_path("again.safetensors"));
    ck_assert_uint_eq(ra_model_latent_statistics(model)->items.rows, 5);
    ck_assert_uint_eq(ra_model_latent_statistics(model)->items.width, 0);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

START_TEST(test_new_statistics_replace_the_lists) {
    model_file file = {0};
    with_lists(&file);
    ra_model *model = model_open(model_file_write(&file, "lists.safetensors"));
    ra_latent_statistics bare = *ra_model_latent_statistics(model);
    bare.cofiring.partners = bare.quantiles.count = bare.items.rows = 0;
    bare.quantiles.label = NULL;
    ra_ok(ra_model_save_with(model, &(ra_model_additions){.statistics = &bare}, test_path("bare.safetensors"),
                             RA_F32, &err));
    ra_model_release(model);
    model = model_open(test_path("bare.safetensors"));
    const ra_latent_statistics *latents = ra_model_latent_statistics(model);
    ck_assert(latents->rows == FILE_ROWS && !latents->cofiring.partners && !latents->quantiles.count &&
              !latents->items.rows);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

static ra_status open_and_save(const char *path, const char *target, ra_error *err) {
    ra_model *model = NULL;
    ra_status status = ra_model_open(path, NULL, &model, err);
    if (status == RA_OK) status = ra_model_save(model, target, RA_F32, err);
    ra_model_release(model);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    model_file file = {0};
    with_lists(&file);
    const char *path = model_file_write(&file, "lists.safetensors"), *target = test_path("out.safetensors");
    fails_at_each_allocation(open_and_save(path, target, &err));
    model_file_release(&file);
}
END_TEST

TEST_CASES_LOOP(open_cofiring_spoilt, 0, sizeof rows / sizeof *rows, test_refuses_lists_that_break_the_format)
TEST_CASES(open_cofiring, test_lists_are_opened_and_written_again, test_new_statistics_replace_the_lists,
           test_every_allocation_may_fail)
