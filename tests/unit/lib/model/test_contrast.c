/* Contrasts in an artifact: what is read, what is refused, what is written again. */
#include "spoilt_model.h"

#include "data_files.h"
#include "ra_memory.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS = RA_CONTRAST_COLUMNS };

static const int64_t counts[FILE_K * 2] = {100, 0, 50, 20, 0, 0, 700, 300, 1, 2, 30, 30};
static const float energies[FILE_K * COLUMNS] = {
    1, 0, 1,  0.5f, 2,     0.5f, 0.25f, 0.25f, -0.5f,    1,       0, 0, 0, -FLT_MAX, FLT_MAX,
    2, 3, -1, -2,   -0.5f, 0,    0.5f,  -0.5f, -FLT_MAX, FLT_MAX, 1, 1, 0, -0.5f,    0.5f};
static const float shares[FILE_K * COLUMNS] = {
    0.5f, 0, 0.5f, 0.25f, 0.75f, 0.25f, 0.125f, 0.125f, 0,  0.25f, 0,    0,     0,     -1, 1,
    1,    1, 0,    -0.5f, 0.5f,  0,     0.5f,   -0.5f,  -1, 1,     0.5f, 0.25f, 0.25f, 0,  0.5f};

static void with_contrast(model_file *file) {
    model_file_artifact(file);
    model_file_put(file, "contrasts.one.count", RA_I64, 2, FILE_K, 2, counts);
    model_file_put(file, "contrasts.one.energy", RA_F32, 2, FILE_K, COLUMNS, energies);
    model_file_put(file, "contrasts.one.frequency", RA_F32, 2, FILE_K, COLUMNS, shares);
    model_file_text(file, "contrasts.one.rows", "700,300");
    model_file_text(file, "contrasts.one.units", "70,300");
    model_file_text(file, "contrasts.one.confidence", "0.95");
    model_file_text(file, "contrasts.one.intervals", "8");
    model_file_text(file, "contrasts.one.a", "cats");
    model_file_text(file, "contrasts.one.b", "dogs");
}

static const spoilt_model rows[] = {
    {DROP, "contrasts.one.count", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"contrasts.one.count"}},
    {DROP, "contrasts.one.frequency", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"contrasts.one.frequency"}},
    {SHAPE, "contrasts.one.energy", NULL, 6, 4, 0, RA_ERR_SHAPE, {"[6, 4]", "[6, 5]"}},
    {SHAPE, "contrasts.one.count", NULL, 6, 2, 0, RA_ERR_DTYPE, {"one.count has the type F32", "I64"}},
    {META, "contrasts.one.rows", NULL, 0, 0, 0, RA_ERR_FORMAT, {"the contrast one", "no contrasts.one.rows"}},
    {META, "contrasts.one.b", NULL, 0, 0, 0, RA_ERR_FORMAT, {"no contrasts.one.b"}},
    {META, "contrasts.one.rows", "700", 0, 0, 0, RA_ERR_FORMAT, {"rows is \"700\"", "two numbers"}},
    {META, "contrasts.one.rows", "700,0", 0, 0, 0, RA_ERR_FORMAT, {"rows is \"700,0\""}},
    {META, "contrasts.one.units", ",3", 0, 0, 0, RA_ERR_FORMAT, {"units is \",3\""}},
    {META,
     "contrasts.one.confidence",
     "1",
     0,
     0,
     0,
     RA_ERR_FORMAT,
     {"confidence is \"1\"", "between 0 and 1"}},
    {META, "contrasts.one.confidence", "0.9x", 0, 0, 0, RA_ERR_FORMAT, {"confidence is \"0.9x\""}},
    {META, "contrasts.one.intervals", "0", 0, 0, 0, RA_ERR_FORMAT, {"intervals is \"0\""}},
    {SET, "contrasts.one.count", NULL, 1, 0, 301, RA_ERR_FORMAT, {"count holds 301 at [0, 1]", "0 to 300"}},
    {SET, "contrasts.one.count", NULL, 4, 0, -1, RA_ERR_FORMAT, {"count holds -1 at [2, 0]"}},
    {SET, "contrasts.one.energy", NULL, 5, 0, -1, RA_ERR_FORMAT, {"for latent 1", "at least 0"}},
    {SET, "contrasts.one.energy", NULL, 3, 0, 1.5, RA_ERR_FORMAT, {"for latent 0", "within its interval"}},
    {SET, "contrasts.one.energy", NULL, 3, 0, NAN, RA_ERR_NOT_FINITE, {"one.energy", "[0, 3]"}},
    {SET, "contrasts.one.frequency", NULL, 1, 0, 2, RA_ERR_FORMAT, {"one.frequency", "for latent 0"}},
    {SET, "contrasts.one.frequency", NULL, 14, 0, 2, RA_ERR_FORMAT, {"for latent 2"}},
};

START_TEST(test_refuses_contrasts_that_break_the_format) {
    spoilt_model_is_refused(with_contrast, &rows[_i]);
}
END_TEST

static void check_one(const ra_contrast *contrast) {
    ck_assert_str_eq(contrast->name, "one");
    ck_assert_str_eq(contrast->a, "cats");
    ck_assert_str_eq(contrast->b, "dogs");
    ck_assert(contrast->rows[0] == 700 && contrast->rows[1] == 300);
    ck_assert(contrast->units[0] == 70 && contrast->units[1] == 300);
    ck_assert(contrast->confidence == 0.95 && contrast->intervals == 8);
    ra_contrast_latent latent = ra_contrast_of(contrast, 0);
    ck_assert(latent.count[0] == 100 && latent.count[1] == 0);
    ck_assert(latent.energy.a == 1 && latent.energy.low == 0.5f && latent.energy.high == 2 &&
              latent.relative == 1);
    ck_assert(latent.frequency.difference == 0.5f && latent.frequency.high == 0.75f);
    latent = ra_contrast_of(contrast, 2);
    ck_assert(isnan(latent.energy.low) && isnan(latent.frequency.high) && latent.relative == 0);
    latent = ra_contrast_of(contrast, 3);
    ck_assert_float_eq(latent.relative, -0.2f);
}

START_TEST(test_contrasts_are_opened_kept_and_replaced) {
    model_file file = {0};
    with_contrast(&file);
    ra_model *model = model_open(model_file_write(&file, "one.safetensors"));
    model_file_release(&file);
    ck_assert_uint_eq(ra_model_contrast_count(model), 1);
    check_one(ra_model_contrast(model, 0));
    ck_assert_ptr_null(ra_model_contrast(model, 1));
    ra_contrast other = *ra_model_contrast(model, 0);
    memcpy(other.name, "also-2", sizeof "also-2");
    other.a = "owls";
    ra_ok(ra_model_save_with(model, &(ra_model_additions){.contrast = &other}, test_path("two.safetensors"),
                             RA_F16, &err));
    ra_model *two = model_open(test_path("two.safetensors"));
    ck_assert_uint_eq(ra_model_contrast_count(two), 2);
    ck_assert_str_eq(ra_model_contrast(two, 0)->a, "owls"); /* by name */
    check_one(ra_model_contrast(two, 1));
    other.a = "hens";
    ra_ok(ra_model_save_with(two, &(ra_model_additions){.contrast = &other}, test_path("again.safetensors"),
                             RA_F32, &err));
    ra_model *again = model_open(test_path("again.safetensors"));
    ck_assert_uint_eq(ra_model_contrast_count(again), 2);
    ck_assert_str_eq(ra_model_contrast(again, 0)->a, "hens");
    other.concepts--;
    ra_fails(ra_model_save_with(model, &(ra_model_additions){.contrast = &other}, test_path("x.safetensors"),
                                RA_F32, &err),
             RA_ERR_SHAPE, "6 latents; a contrast of 5");
    ra_model_release(again);
    ra_model_release(two);
    ra_model_release(model);
}
END_TEST

START_TEST(test_a_file_holds_so_many) {
    model_file file = {0};
    with_contrast(&file);
    ra_model *model = model_open(model_file_write(&file, "one.safetensors"));
    ra_contrast other = *ra_model_contrast(model, 0);
    model_file_release(&file);
    for (size_t i = 1; i < RA_CONTRASTS_MOST; i++) {
        snprintf(other.name, sizeof other.name, "number-%zu", i);
        ra_ok(ra_model_save_with(model, &(ra_model_additions){.contrast = &other},
                                 test_path("many.safetensors"), RA_F32, &err));
        ra_model_release(model);
        model = model_open(test_path("many.safetensors"));
        other = *ra_model_contrast(model, 0);
    }
    ck_assert_uint_eq(ra_model_contrast_count(model), RA_CONTRASTS_MOST);
    snprintf(other.name, sizeof other.name, "one-more");
    ra_fails(ra_model_save_with(model, &(ra_model_additions){.contrast = &other}, test_path("x.safetensors"),
                                RA_F32, &err),
             RA_ERR_ARGUMENT, "holds 32 contrasts already");
    ra_model_release(model);
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
    with_contrast(&file);
    const char *path = model_file_write(&file, "one.safetensors"), *target = test_path("out.safetensors");
    fails_at_each_allocation(open_and_save(path, target, &err));
    model_file_release(&file);
}
END_TEST

TEST_CASES_LOOP(model_contrast_spoilt, 0, sizeof rows / sizeof *rows,
                test_refuses_contrasts_that_break_the_format)
TEST_CASES(model_contrast, test_contrasts_are_opened_kept_and_replaced, test_a_file_holds_so_many,
           test_every_allocation_may_fail)
