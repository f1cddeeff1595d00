/* The tokens of texts in an artifact: what is read, what is refused, what is written again. */
#include "spoilt_model.h"

#include <string.h>

enum { I = 2, P = 3, Q = 1, S = 2 };

static const char words[] = "[CLS]\0 cat\0\0\n"; /* the fourth is a line end, and the third is empty */

/* The artifact of statistics with texts of one class token and two others: items 0 and 2 have tokens, 1 has not. */
static void with_tokens(model_file *file) {
    static const int64_t item[FILE_K * I] = {1, 0, -1, -1, -1, -1, 2, -1, -1, -1, -1, -1};
    static const float codes[FILE_K * I * P] = {[0] = 0, 1, 3, [3] = 2, 0, 2, [18] = 0, 0, 0.5f};
    static const int64_t named[] = {0, 2};
    static const int32_t word[] = {0, 1, 2, -1, 3, 1};
    static const int32_t top[FILE_K * FILE_EXAMPLES] = {1, -1, 3, 0, 2, 1, -1, -1, 0, 0, 1, 1};
    static const float bound[FILE_K * (Q + 1)] = {0, 9, 0, 9};
    static const int64_t row[FILE_K * Q * S] = {4, 5, 8, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    static const float value[FILE_K * Q * S] = {3, 1, 2};
    static const int32_t drawn[FILE_K * Q * S] = {-1, 3, 1, -1};
    model_file_measured(file);
    model_file_put(file, "latents.item", RA_I64, 2, FILE_K, I, item);
    model_file_put(file, "latents.item_codes", RA_F32, 2, FILE_K, I * P, codes);
    model_file_put(file, "latents.quantile_bound", RA_F32, 2, FILE_K, Q + 1, bound);
    model_file_put(file, "latents.quantile_row", RA_I64, 2, FILE_K, Q * S, row);
    model_file_put(file, "latents.quantile_value", RA_F32, 2, FILE_K, Q * S, value);
    model_file_put(file, "latents.token_words", RA_U8, 1, sizeof words, 0, words);
    model_file_put(file, "latents.token_item", RA_I64, 1, 2, 0, named);
    model_file_put(file, "latents.token_word", RA_I32, 2, 2, P, word);
    model_file_put(file, "latents.top_token", RA_I32, 2, FILE_K, FILE_EXAMPLES, top);
    model_file_put(file, "latents.quantile_token", RA_I32, 2, FILE_K, Q * S, drawn);
    model_file_text(file, "latents.item_shape", "1+2");
}

/* clang-format off */
static const spoilt_model rows[] = {
    {DROP, "latents.token_words", NULL, 0, 0, 0, RA_ERR_FORMAT, {"latents.token_item without latents.token_words"}},
    {DROP, "latents.token_item", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"latents.token_item"}},
    {DROP, "latents.token_word", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"latents.token_word"}},
    {DROP, "latents.top_token", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"latents.top_token"}},
    {DROP, "latents.quantile_token", NULL, 0, 0, 0, RA_ERR_NOT_FOUND, {"latents.quantile_token"}},
    {SHAPE, "latents.token_words", NULL, 2, 0, 0, RA_ERR_DTYPE, {"latents.token_words"}},
    {LINES, "latents.token_words", "cat", 0, 0, 0, RA_ERR_FORMAT, {"latents.token_words: the last text does not end with a NUL"}},
    {SHAPE, "latents.top_token", NULL, FILE_K, 2, 0, RA_ERR_DTYPE, {"latents.top_token"}},
    {SET, "latents.token_word", NULL, 4, 0, 4, RA_ERR_FORMAT, {"latents.token_word holds 4 at [1, 1]", "one of 4 tokens, or -1"}},
    {SET, "latents.token_word", NULL, 0, 0, -2, RA_ERR_FORMAT, {"latents.token_word holds -2 at [0, 0]"}},
    {SET, "latents.top_token", NULL, 3, 0, 4, RA_ERR_FORMAT, {"latents.top_token holds 4 at [1, 1]"}},
    {SET, "latents.quantile_token", NULL, 11, 0, -9, RA_ERR_FORMAT, {"latents.quantile_token holds -9 at [5, 1]"}},
    {SET, "latents.token_item", NULL, 0, 0, 2, RA_ERR_FORMAT, {"latents.token_item holds 2 at [1]", "ascending"}},
    {SET, "latents.token_item", NULL, 0, 0, -1, RA_ERR_FORMAT, {"latents.token_item holds -1 at [0]"}},
    {META, "latents.item_shape", "4", 0, 0, 0, RA_ERR_SHAPE, {"latents.item_codes"}},
};
/* clang-format on */

START_TEST(test_refuses_tokens_that_break_the_format) {
    spoilt_model_is_refused(with_tokens, &rows[_i]);
}
END_TEST

static const char *word_of(const ra_model *model, const int32_t *numbers, size_t p) {
    return ra_latent_tokens_word(&ra_model_latent_statistics(model)->tokens, numbers[p]);
}

static void check_tokens(const ra_model *model) {
    const ra_latent_statistics *latents = ra_model_latent_statistics(model);
    ra_latent_item item;
    ra_latent_example example;
    ck_assert(ra_model_get_info(model)->has_tokens);
    ck_assert_uint_eq(ra_labels_count(latents->tokens.words), 4);
    ck_assert(ra_latent_statistics_item(latents, 0, 0, &item));
    ck_assert_ptr_null(item.words); /* item 1 */
    ck_assert(ra_latent_statistics_item(latents, 0, 1, &item));
    ck_assert_str_eq(word_of(model, item.words, 0), "[CLS]");
    ck_assert_str_eq(word_of(model, item.words, 2), "");
    ck_assert(ra_latent_statistics_item(latents, 3, 0, &item));
    ck_assert_ptr_null(word_of(model, item.words, 0));
    ck_assert_str_eq(word_of(model, item.words, 1), "\n");
    ck_assert(ra_latent_statistics_example(latents, 0, 0, &example));
    ck_assert_str_eq(example.token, " cat");
    ck_assert(ra_latent_statistics_quantile_example(latents, 0, 0, 0, &example));
    ck_assert_ptr_null(example.token);
    ck_assert(ra_latent_statistics_quantile_example(latents, 0, 0, 1, &example));
    ck_assert_str_eq(example.token, "\n");
    ck_assert_ptr_null(ra_latent_tokens_word(&latents->tokens, 4));
    ck_assert_ptr_null(ra_latent_tokens_item(&latents->tokens, 1));
}

START_TEST(test_tokens_are_opened_and_written_again) {
    model_file file = {0};
    with_tokens(&file);
    ra_model *model = model_open(model_file_write(&file, "tokens.safetensors"));
    check_tokens(model);
    ra_ok(ra_model_save(model, test_path("half.safetensors"), RA_F16, &err));
    ra_model_release(model);
    model = model_open(test_path("half.safetensors"));
    check_tokens(model);
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

/* The tokens of rows, of a file that keeps no items; and the content tells two lists of words apart. */
START_TEST(test_tokens_of_rows_alone) {
    model_file file = {0};
    ra_artifact *made[2];
    with_tokens(&file);
    model_file_drop(&file, "latents.token_item");
    model_file_drop(&file, "latents.token_word");
    for (int other = 0; other < 2; other++) {
        char changed[sizeof words];
        memcpy(changed, words, sizeof words);
        if (other) changed[1] = 'c';
        model_file_put(&file, "latents.token_words", RA_U8, 1, sizeof changed, 0, changed);
        ra_model *model = model_open(model_file_write(&file, other ? "b.safetensors" : "a.safetensors"));
        ck_assert_ptr_null(ra_latent_tokens_item(&ra_model_latent_statistics(model)->tokens, 0));
        ra_ok(ra_artifact_new(model, &made[other], &err));
        ra_model_release(model);
    }
    ck_assert_str_ne(ra_artifact_digest(made[0]), ra_artifact_digest(made[1]));
    ra_artifact_free(made[0]);
    ra_artifact_free(made[1]);
    model_file_release(&file);
}
END_TEST

TEST_CASES_LOOP(open_tokens_spoilt, 0, sizeof rows / sizeof *rows, test_refuses_tokens_that_break_the_format)
TEST_CASES(open_tokens, test_tokens_are_opened_and_written_again, test_tokens_of_rows_alone)
