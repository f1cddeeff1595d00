/* The codes of whole items in an artifact: what is read, what is refused, what is written again. */
#include "spoilt_model.h"

#include "data_files.h"

#include <math.h>
#include <string.h>

enum { I = 2, P = 5 };

/* The artifact of statistics with items of one token and 2 x 2 patches: two of latent 0, one of latent 3. */
static void with_items(model_file *file) {
    static const int64_t item[FILE_K * I] = {1, 0, -1, -1, -1, -1, 2, -1, -1, -1, -1, -1};
    static const float codes[FILE_K * I * P] = {[0] = 0, 1, 3,           0, -4, [5] = 2, 0, 2,
                                                0,       1, [30] = 0.5f, 0, 0,  0,       0};
    model_file_measured(file);
    model_file_put(file, "latents.item", RA_I64, 2, FILE_K, I, item);
    model_file_put(file, "latents.item_codes", RA_F32, 2, FILE_K, I * P, codes);
    model_file_put_text(file, "latents.item_labels", "cat\tdog\n\t\n\t\nowl\t\n\t\n\t\n");
    model_file_text(file, "latents.item_shape", "1+2x2");
}

/* clang-format off */
static const spoilt_model rows[] = {
    {DROP, "latents.item", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"latents.item"}},
    {DROP, "latents.item_codes", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"latents.item_codes"}},
    {SHAPE, "latents.item_codes", NULL, 6, 4, 0, RA_ERR_SHAPE, {"[6, 4]", "[6, 10]"}},
    {META, "latents.item_shape", "2x2", 0, 0, 0, RA_ERR_SHAPE, {"[6, 10]", "[6, 8]"}},
    {META, "latents.item_shape", NULL, 0, 0, 0, RA_ERR_SHAPE, {"[6, 10]", "[6, 2]"}},
    {META, "latents.item_shape", "+4", 0, 0, 0, RA_ERR_FORMAT, {"item_shape is \"+4\"", "5+16x16"}},
    {META, "latents.item_shape", "1+", 0, 0, 0, RA_ERR_FORMAT, {"item_shape is \"1+\""}},
    {META, "latents.item_shape", "1+0", 0, 0, 0, RA_ERR_FORMAT, {"item_shape is \"1+0\""}},
    {META, "latents.item_shape", "99999x99999", 0, 0, 0, RA_ERR_FORMAT, {"item_shape is \"99999x99999\""}},
    {SET, "latents.item", NULL, 0, 0, -2, RA_ERR_FORMAT, {"latents.item holds -2 at [0, 0]"}},
    {SET, "latents.item", NULL, 0, 0, -1, RA_ERR_FORMAT, {"latents.item holds 0 at [0, 1]", "only -1"}},
    {SET, "latents.item", NULL, 0, 0, 0x1p62, RA_ERR_FORMAT, {"at [0, 0]"}},
    {SET, "latents.item_codes", NULL, 30, 0, 0, RA_ERR_FORMAT, {"item 0 of latent 3 is 0", "above 0"}},
    {SET, "latents.item_codes", NULL, 9, 0, 4, RA_ERR_FORMAT, {"item 1 of latent 0 is 4", "largest first"}},
    {SET, "latents.item_codes", NULL, 9, 0, NAN, RA_ERR_NOT_FINITE, {"latents.item_codes", "[0, 9]"}},
    {LINES, "latents.item_labels", "a\tb\n", 0, 0, 0, RA_ERR_SHAPE, {"item_labels has 1 lines"}},
};
/* clang-format on */

START_TEST(test_refuses_items_that_break_the_format) {
    spoilt_model_is_refused(with_items, &rows[_i]);
}
END_TEST

static void check_items(const ra_model *model) {
    const ra_latent_statistics *latents = ra_model_latent_statistics(model);
    ra_latent_item item;
    ck_assert(latents->items.rows == P && latents->items.width == 2 && latents->items.skip == 1);
    ck_assert(latents->item_codes.count == I && latents->item_codes.parts == P);
    ck_assert(ra_latent_statistics_item(latents, 0, 1, &item));
    ck_assert(item.item == 0 && item.position == 0);
    ck_assert_float_eq(item.value, 2);
    ck_assert_str_eq(item.label, "dog");
    ck_assert_float_eq(item.codes[4], 1);
    ck_assert(ra_latent_statistics_item(latents, 0, 0, &item));
    ck_assert(item.item == 1 && item.position == 2);
    ck_assert_float_eq(item.codes[4], -4);
    ck_assert(!ra_latent_statistics_item(latents, 0, 2, &item));
    ck_assert(!ra_latent_statistics_item(latents, 1, 0, &item));
    ck_assert(!ra_latent_statistics_item(latents, 3, 1, &item));
}

START_TEST(test_items_are_opened_and_written_again) {
    model_file file = {0};
    with_items(&file);
    ra_model *model = model_open(model_file_write(&file, "items.safetensors"));
    check_items(model);
    ra_ok(ra_model_save(model, test_path("half.safetensors"), RA_F16, &err));
    ra_model_release(model);
    model = model_open(test_path("half.safetensors"));
    check_items(model);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

static ra_status open_shaped(const char *path, const char *shape, ra_model **model, ra_error *error) {
    ra_model_options options = {0};
    ck_assert(ra_latent_items_parse(shape, &options.items));
    return ra_model_open(path, &options, model, error);
}

static void check_shape(const ra_model *model, const char *shape) {
    char text[RA_LATENT_ITEMS_TEXT];
    ra_latent_items_text(&ra_model_get_info(model)->items, text);
    ck_assert_str_eq(text, shape);
}

/* A shape that is given takes the place of that in the file, if items have as many rows; then the content is another one. */
START_TEST(test_a_shape_can_be_given) {
    model_file file = {0};
    ra_model *model = NULL, *plain;
    ra_artifact *made[2];
    with_items(&file);
    const char *path = model_file_write(&file, "items.safetensors");
    plain = model_open(path);
    ra_ok(open_shaped(path, "1+4", &model, &err));
    check_shape(model, "1+4");
    ck_assert_uint_eq(ra_model_latent_statistics(model)->items.width, 0);
    ra_ok(ra_artifact_new(plain, &made[0], &err));
    ra_ok(ra_artifact_new(model, &made[1], &err));
    ck_assert_str_ne(ra_artifact_digest(made[0]), ra_artifact_digest(made[1]));
    for (int i = 0; i < 2; i++) ra_artifact_free(made[i]);
    ra_model_release(plain);
    ra_ok(ra_model_save(model, test_path("kept.safetensors"), RA_F32, &err));
    ra_model_release(model);
    model = model_open(test_path("kept.safetensors"));
    check_shape(model, "1+4");
    ra_model_release(model);
    model = NULL;
    ra_fails(
        open_shaped(path, "2x2", &model, &err), RA_ERR_SHAPE,
        "items.safetensors: its items have 5 rows each, but the shape that was given for them, 2x2, has 4");
    model_file_text(&file, "latents.item_shape", NULL);
    model_file_put(&file, "latents.item_codes", RA_F32, 2, FILE_K, I, (float[FILE_K * I]){3, 2, [6] = 1});
    path = model_file_write(&file, "rows.safetensors");
    ra_fails(open_shaped(path, "2x2", &model, &err), RA_ERR_SHAPE, "its items have 1 rows each");
    ck_assert_ptr_null(model);
    model_file_release(&file);
}
END_TEST

/* Of a file without statistics, and of a checkpoint. */
START_TEST(test_a_shape_of_rows_that_were_not_measured) {
    for (int checkpoint = 0; checkpoint < 2; checkpoint++) {
        model_file file = {0};
        ra_model *model = NULL;
        if (checkpoint)
            model_file_checkpoint(&file);
        else
            model_file_artifact(&file);
        ra_ok(open_shaped(model_file_write(&file, "bare.safetensors"), "5+16x16", &model, &err));
        check_shape(model, "5+16x16");
        ra_ok(ra_model_save(model, test_path("kept.safetensors"), RA_F32, &err));
        ra_model_release(model);
        model = model_open(test_path("kept.safetensors"));
        check_shape(model, "5+16x16");
        ck_assert_ptr_null(ra_model_latent_statistics(model));
        ra_model_release(model);
        model_file_release(&file);
    }
}
END_TEST

START_TEST(test_shapes_are_written_as_they_are_read) {
    static const char *const texts[] = {"77", "16x16", "5+16x16", "1+77"};
    static const ra_latent_items shapes[] = {{77, 0, 0}, {256, 16, 0}, {261, 16, 5}, {78, 0, 1}};
    for (size_t i = 0; i < 4; i++) {
        ra_latent_items items;
        char text[RA_LATENT_ITEMS_TEXT];
        ck_assert(ra_latent_items_parse(texts[i], &items));
        ck_assert(items.rows == shapes[i].rows && items.width == shapes[i].width &&
                  items.skip == shapes[i].skip);
        ra_latent_items_text(&items, text);
        ck_assert_str_eq(text, texts[i]);
    }
}
END_TEST

TEST_CASES_LOOP(open_items_spoilt, 0, sizeof rows / sizeof *rows, test_refuses_items_that_break_the_format)
TEST_CASES(open_items, test_a_shape_can_be_given, test_a_shape_of_rows_that_were_not_measured,
           test_items_are_opened_and_written_again, test_shapes_are_written_as_they_are_read)
