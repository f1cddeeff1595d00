/* The text of a shape, and that of a file. */
#include "model_files.h"

#include <string.h>

static const struct {
    const char *text;
    size_t d, sides, shape[3];
} rows[] = {{"8x8", 64, 2, {8, 8}},
            {"32x32x3", 3072, 3, {32, 32, 3}},
            {"1x64", 64, 2, {1, 64}},
            {"4x4", 64, 0, {0}},
            {"64", 64, 0, {0}},
            {"8x8x1", 64, 0, {0}},
            {"", 64, 0, {0}},
            {"8x", 64, 0, {0}},
            {"x8", 64, 0, {0}},
            {"08x8", 64, 0, {0}},
            {"8x8x3x1", 192, 0, {0}},
            {"-8x-8", 64, 0, {0}},
            {"8 x 8", 64, 0, {0}},
            {"8x8 ", 64, 0, {0}},
            {"8,8", 64, 0, {0}},
            {"0x64", 0, 0, {0}},
            {"18446744073709551617x1", 1, 0, {0}}};

START_TEST(test_a_text_is_a_shape_of_so_many_numbers) {
    size_t shape[3];
    ck_assert_uint_eq(ra_model_shape_parse(rows[_i].text, rows[_i].d, shape), rows[_i].sides);
    for (size_t i = 0; i < rows[_i].sides; i++) ck_assert_uint_eq(shape[i], rows[_i].shape[i]);
}
END_TEST

static ra_model *with_shape(const char *text) {
    model_file file = {0};
    model_file_artifact(&file);
    model_file_text(&file, "shape", text);
    ra_model *model = model_open(model_file_write(&file, "one.safetensors"));
    model_file_release(&file);
    return model;
}

START_TEST(test_that_of_a_file_is_read_or_ignored_and_kept) {
    ra_model *model = with_shape("2x2");
    const ra_model_info *info = ra_model_get_info(model);
    ck_assert(info->sides == 2 && info->shape[0] == 2 && info->shape[1] == 2);
    ra_ok(ra_model_save_with(model, &(ra_model_additions){.shape = "1x4"}, test_path("two.safetensors"),
                             RA_F32, &err));
    ra_model *two = model_open(test_path("two.safetensors"));
    ck_assert_uint_eq(ra_model_get_info(two)->shape[1], 4);
    ra_model_release(two);
    ra_model_release(model);
    model = with_shape("[2, 2]");
    ck_assert_uint_eq(ra_model_get_info(model)->sides, 0);
    ra_model_release(model);
}
END_TEST

TEST_CASES_LOOP(model_shape_text, 0, sizeof rows / sizeof *rows, test_a_text_is_a_shape_of_so_many_numbers)
TEST_CASES(model_shape, test_that_of_a_file_is_read_or_ignored_and_kept)
