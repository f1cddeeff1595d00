/* The tokens of the rows and items that statistics name, against plain loops. */
#include "harness.h"

#include "ra_memory.h"
#include "ra_metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXTS = 40, P = 7, SKIP = 2, K = 5, T = 4, Q = 2, S = 3, I = 2 };

static int64_t top[K * T], drawn[K * Q * S], item[K * I];
static float codes[K * I * P];
static char tokens[TEXTS][P][16]; /* of every row; those of the first SKIP are left out in every third text */

static bool is_left_out(size_t text, size_t row) {
    return text % 3 == 0 && row < SKIP;
}

static const char *make_file(void) {
    static char text[1 << 16];
    size_t used = 0;
    for (size_t t = 0; t < TEXTS; t++)
        for (size_t p = 0; p < P; p++) {
            snprintf(tokens[t][p], sizeof tokens[t][p], "w%zu", (t * t + 3 * p) % 23);
            if (is_left_out(t, p)) continue;
            bool first = p == (t % 3 == 0 ? SKIP : 0);
            used += (size_t)snprintf(text + used, sizeof text - used, "%s\"%s\"%s", first ? "[" : ",",
                                     tokens[t][p], p + 1 == P ? "]\n" : "");
        }
    return test_write("tokens.jsonl", text, used);
}

/* Rows from all over, some of them several times, and -1 behind the last of a list. */
static ra_latent_statistics make_statistics(void) {
    for (size_t i = 0; i < K * T; i++) top[i] = i % T == 3 ? -1 : (int64_t)(i * 37 % (TEXTS * P));
    for (size_t i = 0; i < K * Q * S; i++) drawn[i] = i % S == 2 ? -1 : (int64_t)(i * 11 % (TEXTS * P));
    for (size_t i = 0; i < K * I; i++) item[i] = i % I == 1 && i % 4 == 3 ? -1 : (int64_t)(i * 7 % 9);
    return (ra_latent_statistics){.rows = TEXTS * P,
                                  .concepts = K,
                                  .examples = T,
                                  .top_row = top,
                                  .top_value = codes,
                                  .quantiles = {.count = Q, .rows = S, .row = drawn, .value = codes},
                                  .items = {.rows = P, .skip = SKIP},
                                  .item_codes = {.count = I, .parts = P, .item = item, .codes = codes}};
}

static void check_row(const ra_latent_tokens *kept, int64_t row, int32_t number) {
    size_t text = (size_t)row / P, p = (size_t)row % P;
    const char *token = ra_latent_tokens_word(kept, number);
    if (row < 0 || is_left_out(text, p))
        ck_assert_int_eq(number, -1);
    else
        ck_assert_str_eq(token, tokens[text][p]);
}

START_TEST(test_tokens_are_those_of_the_rows) {
    ra_latent_statistics statistics = make_statistics();
    ra_token_lines *lines = NULL;
    ra_kept_tokens *kept = NULL;
    ra_ok(ra_token_lines_open(make_file(), TEXTS, P, SKIP, &lines, &err));
    ra_ok(ra_kept_tokens_new(&statistics, lines, &kept, &err));
    ra_token_lines_free(lines);
    const ra_latent_tokens *view = &statistics.tokens;
    for (size_t i = 0; i < K * T; i++) check_row(view, top[i], view->top[i]);
    for (size_t i = 0; i < K * Q * S; i++) check_row(view, drawn[i], view->quantile[i]);
    size_t different = 0;
    for (size_t t = 0; t < TEXTS; t++) {
        bool named = false;
        for (size_t i = 0; i < K * I; i++) named |= item[i] == (int64_t)t;
        const int32_t *numbers = ra_latent_tokens_item(view, t);
        ck_assert_int_eq(numbers != NULL, named);
        different += named;
        for (size_t p = 0; named && p < P; p++) check_row(view, (int64_t)(t * P + p), numbers[p]);
    }
    ck_assert_uint_eq(view->items, different);
    for (size_t i = 0; i < ra_labels_count(view->words); i++) /* each once */
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(ra_labels_at(view->words, i), ra_labels_at(view->words, j));
    ra_kept_tokens_free(kept);
    ra_kept_tokens_free(NULL);
}
END_TEST

/* Four thousand different tokens: the list grows, and numbers stay what they are. */
START_TEST(test_many_different_tokens) {
    enum { MANY = 4000 };
    static char text[MANY * 16];
    static int64_t rows[MANY];
    size_t used = 0;
    for (size_t i = 0; i < MANY; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "[\"t%zu\"]\n", i);
        rows[i] = (int64_t)(MANY - 1 - i);
    }
    ra_latent_statistics statistics = {
        .rows = MANY, .concepts = 1, .examples = MANY, .top_row = rows, .items = {.rows = 1}};
    ra_token_lines *lines = NULL;
    ra_kept_tokens *kept = NULL;
    ra_ok(ra_token_lines_open(test_write("many", text, used), MANY, 1, 0, &lines, &err));
    ra_ok(ra_kept_tokens_new(&statistics, lines, &kept, &err));
    ck_assert_uint_eq(ra_labels_count(statistics.tokens.words), MANY);
    ck_assert_ptr_null(statistics.tokens.item);
    for (size_t i = 0; i < MANY; i++) {
        char expected[16];
        snprintf(expected, sizeof expected, "t%zu", MANY - 1 - i);
        ck_assert_str_eq(ra_latent_tokens_word(&statistics.tokens, statistics.tokens.top[i]), expected);
    }
    ra_kept_tokens_free(kept);
    ra_token_lines_free(lines);
}
END_TEST

START_TEST(test_lines_of_other_texts) {
    ra_latent_statistics statistics = make_statistics();
    ra_token_lines *lines = NULL;
    ra_kept_tokens *kept = NULL;
    ra_ok(ra_token_lines_open(make_file(), TEXTS, P, SKIP, &lines, &err));
    top[2] = TEXTS * P + 1;
    ra_fails(ra_kept_tokens_new(&statistics, lines, &kept, &err), RA_ERR_SHAPE, "name text 40");
    statistics.items.rows = P + 1;
    ra_fails(ra_kept_tokens_new(&statistics, lines, &kept, &err), RA_ERR_SHAPE,
             "texts of 7 rows, but items have 8 rows");
    ck_assert_ptr_null(kept);
    ck_assert_ptr_null(statistics.tokens.words);
    ra_token_lines_free(lines);
}
END_TEST

START_TEST(test_latents_that_are_never_active_have_none) {
    ra_latent_statistics statistics = make_statistics();
    ra_token_lines *lines = NULL;
    ra_kept_tokens *kept = NULL;
    memset(top, -1, sizeof top);
    memset(drawn, -1, sizeof drawn);
    memset(item, -1, sizeof item);
    ra_ok(ra_token_lines_open(make_file(), TEXTS, P, SKIP, &lines, &err));
    ra_ok(ra_kept_tokens_new(&statistics, lines, &kept, &err));
    ck_assert_ptr_null(statistics.tokens.words);
    ra_kept_tokens_free(kept);
    ra_token_lines_free(lines);
}
END_TEST

START_TEST(test_short_memory_is_an_error) {
    ra_latent_statistics statistics = make_statistics();
    ra_token_lines *lines = NULL;
    ra_ok(ra_token_lines_open(make_file(), TEXTS, P, SKIP, &lines, &err));
    for (size_t n = 1;; n++) {
        ra_kept_tokens *kept = NULL;
        ck_assert_uint_lt(n, 200);
        ra_memory_fail_at(n);
        ra_status status = ra_kept_tokens_new(&statistics, lines, &kept, NULL);
        ra_memory_fail_at(0);
        ra_kept_tokens_free(kept);
        if (status == RA_OK) break;
        ck_assert_int_eq(status, RA_ERR_MEMORY);
    }
    ra_token_lines_free(lines);
}
END_TEST

TEST_CASES(kept_tokens, test_tokens_are_those_of_the_rows, test_many_different_tokens,
           test_lines_of_other_texts, test_latents_that_are_never_active_have_none,
           test_short_memory_is_an_error)
