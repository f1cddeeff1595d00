/* The course of the training in a model: what is read of checkpoints and artifacts, what is refused, what is written again. */
#include "spoilt_model.h"

#include <math.h>
#include <string.h>

enum { BINS = 3, COLUMNS = RA_TRAINING_COLUMNS };

static const float course[BINS * COLUMNS] = {
    8,     512,   0.5f,   0.25f,  4,
    1,     0.5f,  0.01f,  0.125f, /* step, rows, loss, r2, l0, gradient, dead, lr, r2 */
    16,    512,   0.25f,  NAN,    4,
    0.5f,  0.25f, 0.01f,  0.5f, /* nothing varied */
    20,    256,   0.125f, 0.75f,  3,
    0.25f, 0,     0.001f, 0.625f};

static void with_course(model_file *file) {
    model_file_artifact(file);
    model_file_put(file, "train.history", RA_F32, 2, BINS, COLUMNS, course);
}

static const spoilt_model rows[] = {
    {SHAPE, "train.history", NULL, 3, 8, 0, RA_ERR_SHAPE, {"[3, 8]", "[any, 9]"}},
    {SHAPE, "train.history", NULL, 27, 0, 0, RA_ERR_SHAPE, {"[27]", "[any, 9]"}},
    {SHAPE, "train.history", NULL, 2049, 9, 0, RA_ERR_SHAPE, {"2049 rows", "at most 2048"}},
    {TYPE, "train.history", NULL, RA_I32, 0, 0, RA_ERR_DTYPE, {"type I32", "F32"}},
    {SET, "train.history", NULL, 2, 0, NAN, RA_ERR_NOT_FINITE, {"[0, 2]"}},
    {SET, "train.history", NULL, 8, 0, INFINITY, RA_ERR_NOT_FINITE, {"[0, 8]"}},
    {SET, "train.history", NULL, 0, 0, 0, RA_ERR_FORMAT, {"step 0 at [0, 0]", "from 1 on"}},
    {SET, "train.history", NULL, 18, 0, 9, RA_ERR_FORMAT, {"step 9 at [2, 0]", "in order"}},
};

START_TEST(test_refuses_a_course_that_breaks_the_format) {
    spoilt_model_is_refused(with_course, &rows[_i]);
}
END_TEST

static void check_course(const ra_model *model) {
    size_t bins;
    const float *found = ra_model_training(model, &bins);
    ck_assert_uint_eq(bins, BINS);
    ck_assert_uint_eq(ra_model_get_info(model)->training_bins, BINS);
    for (size_t i = 0; i < BINS * COLUMNS; i++)
        ck_assert(found[i] == course[i] || (isnan(found[i]) && isnan(course[i])));
}

START_TEST(test_a_course_is_opened_and_kept) {
    model_file file = {0};
    with_course(&file);
    ra_model *model = model_open(model_file_write(&file, "one.safetensors"));
    model_file_release(&file);
    check_course(model);
    ra_ok(ra_model_save(model, test_path("two.safetensors"), RA_F16, &err));
    ra_model *two = model_open(test_path("two.safetensors"));
    check_course(two);
    ra_model_release(two);
    ra_model_release(model);
}
END_TEST

START_TEST(test_that_of_a_checkpoint_is_in_doubles) {
    double wide[BINS * COLUMNS];
    model_file file = {0};
    for (size_t i = 0; i < BINS * COLUMNS; i++) wide[i] = (double)course[i];
    model_file_checkpoint(&file);
    model_file_put(&file, "train.history", RA_F64, 2, BINS, COLUMNS, wide);
    ra_model *model = model_open(model_file_write(&file, "checkpoint.safetensors"));
    model_file_release(&file);
    check_course(model);
    ra_ok(ra_model_save(model, test_path("fused.safetensors"), RA_F32, &err));
    ra_model *fused = model_open(test_path("fused.safetensors"));
    check_course(fused);
    ra_model_release(fused);
    ra_model_release(model);
}
END_TEST

START_TEST(test_without_one_it_is_unknown) {
    size_t bins = 7;
    model_file file = {0};
    model_file_artifact(&file);
    ra_model *model = model_open(model_file_write(&file, "none.safetensors"));
    model_file_release(&file);
    ck_assert_ptr_null(ra_model_training(model, &bins));
    ck_assert_uint_eq(bins, 0);
    ra_model_release(model);
}
END_TEST

START_TEST(test_columns_have_names) {
    for (size_t i = 0; i < COLUMNS; i++)
        for (size_t j = 0; j < i; j++) ck_assert_str_ne(ra_training_names[i], ra_training_names[j]);
    ck_assert_str_eq(ra_training_names[RA_TRAINING_STEP], "step");
    ck_assert_str_eq(ra_training_names[RA_TRAINING_R2_PER_DIMENSION], "r2_per_dimension");
}
END_TEST

TEST_CASES_LOOP(model_training_spoilt, 0, sizeof rows / sizeof *rows,
                test_refuses_a_course_that_breaks_the_format)
TEST_CASES(model_training, test_a_course_is_opened_and_kept, test_that_of_a_checkpoint_is_in_doubles,
           test_without_one_it_is_unknown, test_columns_have_names)
