/* Statistics of latents and the layout in an artifact: what is read, what is refused, what is written again. */
#include "spoilt_model.h"

#include "data_files.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

static const spoilt_model rows[] = {
    {META, "latents.rows", NULL, 0, 0, 0, RA_ERR_FORMAT, {"metadata have no latents.rows"}},
    {META, "latents.rows", "0", 0, 0, 0, RA_ERR_FORMAT, {"latents.rows is \"0\"", "at least 1"}},
    {META, "latents.rows", "10x", 0, 0, 0, RA_ERR_FORMAT, {"\"10x\""}},
    {META, "latents.rows", "9", 0, 0, 0, RA_ERR_FORMAT, {"latents.count holds 10 at [3]", "0 to 9"}},
    {DROP, "latents.count", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"latents.count"}},
    {DROP, "latents.mean", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"latents.mean"}},
    {DROP, "latents.top_value", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"latents.top_value"}},
    {SHAPE, "latents.count", NULL, 6, 0, 0, RA_ERR_DTYPE, {"latents.count has the type F32", "I64"}},
    {SHAPE, "latents.mean", NULL, 5, 0, 0, RA_ERR_SHAPE, {"latents.mean has the shape [5]", "[6]"}},
    {SHAPE, "latents.max", NULL, 6, 1, 0, RA_ERR_SHAPE, {"latents.max has the shape [6, 1]", "[6]"}},
    {SHAPE,
     "latents.top_value",
     NULL,
     6,
     3,
     0,
     RA_ERR_SHAPE,
     {"latents.top_value has the shape [6, 3]", "[6, 2]"}},
    {SET, "latents.count", NULL, 0, 0, -1, RA_ERR_FORMAT, {"latents.count holds -1 at [0]", "0 to 10"}},
    {SET, "latents.count", NULL, 3, 0, 11, RA_ERR_FORMAT, {"latents.count holds 11 at [3]"}},
    {SET, "latents.count", NULL, 0, 0, 4, RA_ERR_FORMAT, {"latent 0 adds up to 3", "latents.count, 4"}},
    {SET, "latents.mean", NULL, 2, 0, NAN, RA_ERR_NOT_FINITE, {"latents.mean", "[2]"}},
    {SET, "latents.max", NULL, 2, 0, INFINITY, RA_ERR_NOT_FINITE, {"latents.max", "[2]"}},
    {SET, "latents.energy", NULL, 4, 0, -1, RA_ERR_FORMAT, {"latents.energy holds -1 at [4]"}},
    {SET, "latents.histogram_top", NULL, 4, 0, -2, RA_ERR_FORMAT, {"latents.histogram_top holds -2 at [4]"}},
    {SET, "latents.histogram", NULL, 5, 0, -3, RA_ERR_FORMAT, {"latents.histogram holds -3 at [1, 1]"}},
    {SET, "latents.histogram", NULL, 5, 0, 9e18, RA_ERR_FORMAT, {"latents.histogram holds 9", "0 to 10"}},
    {SET,
     "latents.top_row",
     NULL,
     0,
     0,
     -2,
     RA_ERR_FORMAT,
     {"latents.top_row holds -2 at [0, 0]", "from 0 on"}},
    {SET, "latents.top_row", NULL, 0, 0, -1, RA_ERR_FORMAT, {"latents.top_row holds 0 at [0, 1]", "only -1"}},
    {SET, "latents.top_row", NULL, 5, 0, 1, RA_ERR_FORMAT, {"more rows of latent 2", "count, 1"}},
    {SET, "latents.top_value", NULL, 1, 0, 3, RA_ERR_FORMAT, {"latents.top_value holds 3 at [0, 1]"}},
    {LINES,
     "latents.top_labels",
     "a\tb\n",
     0,
     0,
     0,
     RA_ERR_SHAPE,
     {"latents.top_labels has 1 lines", "latent"}},
    {LINES, "latents.top_labels", "\t\n\t\n\t\n\n\t\n\t\n", 0, 0, 0, RA_ERR_SHAPE, {"line 4", "expected 2"}},
    {SHAPE, "atoms.layout", NULL, 6, 3, 0, RA_ERR_SHAPE, {"atoms.layout has the shape [6, 3]", "[6, 2]"}},
    {SHAPE, "atoms.layout", NULL, 5, 2, 0, RA_ERR_SHAPE, {"atoms.layout has the shape [5, 2]", "[6, 2]"}},
    {SET, "atoms.layout", NULL, 7, 0, NAN, RA_ERR_NOT_FINITE, {"atoms.layout", "[3, 1]"}},
};

START_TEST(test_refuses_statistics_that_break_the_format) {
    spoilt_model_is_refused(model_file_measured, &rows[_i]);
}
END_TEST

static void check_measured(const ra_model *model) {
    const ra_latent_statistics *latents = ra_model_latent_statistics(model);
    ra_latent_example one;
    float place[2];
    ck_assert(ra_model_get_info(model)->has_statistics && ra_model_get_info(model)->has_layout);
    ck_assert_ptr_nonnull(latents);
    ck_assert_uint_eq(latents->rows, FILE_ROWS);
    ck_assert_uint_eq(latents->concepts, FILE_K);
    ck_assert_uint_eq(latents->bins, FILE_BINS);
    ck_assert_int_eq(latents->count[3], 10);
    ck_assert_float_eq(latents->energy[5], 0.75f);
    ck_assert_int_eq(latents->histogram[3 * FILE_BINS + 3], 4);
    ck_assert(ra_latent_statistics_example(latents, 3, 1, &one));
    ck_assert_uint_eq(one.row, 7);
    ck_assert_float_eq(one.value, 3.5f);
    ck_assert_str_eq(one.label, "fox");
    ck_assert(!ra_latent_statistics_example(latents, 3, 2, &one));
    ck_assert(!ra_latent_statistics_example(latents, 1, 0, &one));
    ck_assert(ra_latent_statistics_example(latents, 4, 1, &one));
    ck_assert_ptr_null(one.label); /* an empty label is no label */
    ck_assert(ra_model_atom_layout(model, 4, place));
    ck_assert_float_eq(place[0], -0.25f);
    ck_assert_float_eq(place[1], -1);
}

START_TEST(test_statistics_are_opened_and_written_again) {
    model_file file = {0};
    model_file_measured(&file);
    ra_model *model = model_open(model_file_write(&file, "measured.safetensors"));
    check_measured(model);
    ra_ok(ra_model_save(model, test_path("half.safetensors"), RA_F16, &err));
    ra_model *half = model_open(test_path("half.safetensors"));
    check_measured(half);
    ra_model_release(half);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

START_TEST(test_a_model_without_them_says_so) {
    model_file file = {0};
    float place[2];
    model_file_artifact(&file);
    ra_model *model = model_open(model_file_write(&file, "plain.safetensors"));
    ck_assert_ptr_null(ra_model_latent_statistics(model));
    ck_assert(!ra_model_atom_layout(model, 0, place));
    ck_assert(!ra_model_get_info(model)->has_statistics && !ra_model_get_info(model)->has_layout);
    ra_model_release(model);
    model_file_put_text(&file, "latents.top_labels", "\t\n\t\n\t\n\t\n\t\n\t\n");
    ra_fails(ra_model_open(model_file_write(&file, "alone.safetensors"), NULL, &model, &err), RA_ERR_FORMAT,
             "latents.top_labels without latents.top_row");
    model_file_release(&file);
}
END_TEST

/* A checkpoint may have been trained since it was measured, so its statistics do not count. */
START_TEST(test_a_checkpoint_has_no_statistics) {
    static const float zeros[FILE_K * 2];
    model_file file = {0};
    model_file_checkpoint(&file);
    model_file_put(&file, "latents.mean", RA_F32, 1, FILE_K, 0, zeros);
    model_file_put(&file, "atoms.layout", RA_F32, 2, FILE_K, 2, zeros);
    ra_model *model = model_open(model_file_write(&file, "checkpoint.safetensors"));
    ck_assert(!ra_model_get_info(model)->has_statistics && !ra_model_get_info(model)->has_layout);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

START_TEST(test_additions_take_the_place_of_what_is_there) {
    static const float places[FILE_K * 2] = {1, -1};
    model_file file = {0};
    float place[2];
    model_file_measured(&file);
    const char *path = model_file_write(&file, "measured.safetensors");
    ra_model *model = model_open(path);
    ra_latent_statistics fewer = *ra_model_latent_statistics(model);
    fewer.concepts = FILE_K - 1;
    ra_fails(ra_model_save_with(model, &(ra_model_additions){.statistics = &fewer}, path, RA_F32, &err),
             RA_ERR_SHAPE, "6 latents; statistics of 5");
    ra_ok(ra_model_save_with(model, &(ra_model_additions){.layout = places}, path, RA_F32, &err));
    check_measured(model); /* it still reads the deleted file */
    ra_model *changed = model_open(path);
    ck_assert(ra_model_atom_layout(changed, 0, place));
    ck_assert_float_eq(place[1], -1);
    ck_assert_int_eq(ra_model_latent_statistics(changed)->count[3], 10);
    ra_model_release(changed);
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
    model_file_measured(&file);
    const char *path = model_file_write(&file, "measured.safetensors"),
               *target = test_path("out.safetensors");
    fails_at_each_allocation(open_and_save(path, target, &err));
    model_file_release(&file);
}
END_TEST

TEST_CASES_LOOP(open_latents_spoilt, 0, sizeof rows / sizeof *rows,
                test_refuses_statistics_that_break_the_format)
TEST_CASES(open_latents, test_statistics_are_opened_and_written_again, test_a_model_without_them_says_so,
           test_a_checkpoint_has_no_statistics, test_additions_take_the_place_of_what_is_there,
           test_every_allocation_may_fail)
