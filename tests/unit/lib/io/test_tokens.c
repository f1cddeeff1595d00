/* Tokens of texts, one JSON array of strings per line (lib/io/tokens.c). */
#include "harness.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

enum { ROWS = 3, SKIP = 1, TEXTS = 2 };

static ra_status open_text(const char *text, ra_token_lines **lines, ra_error *error) {
    return ra_token_lines_open(test_write("t.jsonl", text, strlen(text)), TEXTS, ROWS, SKIP, lines, error);
}

typedef struct seen {
    char token[ROWS][64];
    size_t row[ROWS], count;
} seen;

static ra_status see(void *context, size_t row, const char *token, ra_error *error) {
    seen *s = context;
    ck_assert_uint_lt(s->count, ROWS);
    if (strcmp(token, "stop") == 0) RA_FAIL(error, RA_ERR_STATE, "it was told to stop");
    ck_assert_uint_lt(strlen(token), 64);
    memcpy(s->token[s->count], token, strlen(token) + 1);
    s->row[s->count++] = row;
    return RA_OK;
}

/* The second of two lines. */
static const struct {
    const char *line;
    size_t count, first; /* tokens, the row of the first */
    const char *tokens[ROWS];
} good[] = {
    {"[\"a\",\"b\"]", 2, 1, {"a", "b"}},
    {"[\"a\",\"b\"]\n", 2, 1, {"a", "b"}},
    {" [ \"[CLS]\" , \"\" ,\t\"b\" ] \r\n", 3, 0, {"[CLS]", "", "b"}},
    {"[\"\\n\",\"\\t\\\"\\\\\\/\"]", 2, 1, {"\n", "\t\"\\/"}},
    {"[\"\\u00eb\\ud83e\\udd8a\",\"Zo\xc3\xab\"]", 2, 1, {"\xc3\xab\xf0\x9f\xa6\x8a", "Zo\xc3\xab"}},
    {"[\"]\",\",\\\"\"]", 2, 1, {"]", ",\""}},
};

START_TEST(test_reads_tokens) {
    ra_token_lines *lines = NULL;
    char text[256];
    snprintf(text, sizeof text, "\xef\xbb\xbf[\"x\",\"y\",\"z\"]\n%s", good[_i].line);
    ra_ok(open_text(text, &lines, &err));
    ck_assert_uint_eq(ra_token_lines_texts(lines), TEXTS);
    ck_assert_uint_eq(ra_token_lines_rows(lines), ROWS);
    seen found = {.count = 0};
    ra_ok(ra_token_lines_read(lines, 1, see, &found, &err));
    ck_assert_uint_eq(found.count, good[_i].count);
    for (size_t i = 0; i < found.count; i++) {
        ck_assert_str_eq(found.token[i], good[_i].tokens[i]);
        ck_assert_uint_eq(found.row[i], good[_i].first + i);
    }
    found.count = 0;
    ra_ok(ra_token_lines_read(lines, 0, see, &found, &err));
    ck_assert_str_eq(found.token[2], "z");
    ra_token_lines_free(lines);
    ra_token_lines_free(NULL);
}
END_TEST
TEST_CASES_LOOP(token_lines, 0, sizeof good / sizeof *good, test_reads_tokens)

#define FIRST "[\"x\",\"y\"]\n"

static const struct {
    const char *text;
    ra_status status;
    const char *words;
} bad[] = {
    {"", RA_ERR_SHAPE, "t.jsonl has 0 lines; expected 2, one for each text"},
    {FIRST, RA_ERR_SHAPE, "has 1 lines"},
    {FIRST FIRST "\n", RA_ERR_SHAPE, "has 3 lines"},
    {FIRST "\n", RA_ERR_FORMAT, "line 2 is no JSON array of strings"},
    {FIRST "[\"x\"]", RA_ERR_SHAPE,
     "line 2 has 1 tokens; expected 3, one for each row of a text, or 2 without the 1"},
    {FIRST "[]", RA_ERR_SHAPE, "line 2 has 0 tokens"},
    {FIRST "[\"x\",\"y\",\"z\",\"w\"]", RA_ERR_SHAPE, "line 2 has 4 tokens"},
    {FIRST "{\"tokens\":[\"x\"]}", RA_ERR_FORMAT,
     "line 2 is no JSON array of strings, the tokens of a text: at its byte 0"},
    {FIRST "[\"x\",1]", RA_ERR_FORMAT, "at its byte 5, a string in double quotes is missing"},
    {FIRST "[\"x\",null]", RA_ERR_FORMAT, "at its byte 5"},
    {FIRST "[\"x\",[\"y\"]]", RA_ERR_FORMAT, "at its byte 5"},
    {FIRST "[\"x\",\"y\"", RA_ERR_FORMAT, "a comma or a closing bracket is missing"},
    {FIRST "[\"x\",\"y\",]", RA_ERR_FORMAT, "a string in double quotes is missing"},
    {FIRST "[\"x\" \"y\"]", RA_ERR_FORMAT, "a comma or a closing bracket is missing"},
    {FIRST "[\"x\",\"y\"] [\"z\"]", RA_ERR_FORMAT, "there is more after the closing bracket"},
    {FIRST "[\"x\",\"y", RA_ERR_FORMAT, "a string does not end"},
    {FIRST "[\"x\",\"\x01\"]", RA_ERR_FORMAT, "a control character within a string"},
    {FIRST "[\"x\",\"\\x\"]", RA_ERR_FORMAT, "an escape that JSON does not have"},
    {FIRST "[\"x\",\"\\u0000\"]", RA_ERR_FORMAT, "a string must not hold a NUL"},
    {FIRST "[\"x\",\"\\ud800\"]", RA_ERR_FORMAT, "half of a surrogate pair"},
    {FIRST "[\"x\",\"na\xefve\"]", RA_ERR_FORMAT, "line 2 is not valid UTF-8"},
    {"[\"x\",\"y\"\n]", RA_ERR_FORMAT, "line 1 is no JSON array"},
};

START_TEST(test_refuses_other_lines) {
    ra_token_lines *lines = NULL;
    ra_fails(open_text(bad[_i].text, &lines, &err), bad[_i].status, bad[_i].words);
    ra_fails(open_text(bad[_i].text, &lines, &err), bad[_i].status, "t.jsonl");
    ck_assert_ptr_null(lines);
    ck_assert_int_eq(open_text(bad[_i].text, &lines, NULL), bad[_i].status);
}
END_TEST
TEST_CASES_LOOP(token_lines_bad, 0, sizeof bad / sizeof *bad, test_refuses_other_lines)

/* A token of `length` letters, each of them written as `letter`. */
static ra_status open_long(size_t length, const char *letter, ra_token_lines **lines, ra_error *error) {
    static char text[8 * RA_TOKEN_MOST];
    size_t used = (size_t)snprintf(text, sizeof text, FIRST "[\"x\",\"");
    for (size_t i = 0; i < length; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s", letter);
    snprintf(text + used, sizeof text - used, "\"]");
    return open_text(text, lines, error);
}

START_TEST(test_tokens_have_a_limit) {
    static const char *const letters[] = {"a", "\\u0041", "\\n"};
    for (size_t i = 0; i < 3; i++) {
        ra_token_lines *lines = NULL;
        ra_ok(open_long(RA_TOKEN_MOST, letters[i], &lines, &err));
        ra_token_lines_free(lines);
        lines = NULL;
        ra_fails(open_long(RA_TOKEN_MOST + 1, letters[i], &lines, &err), RA_ERR_TOO_LARGE,
                 "token 1 of line 2 has more than 4096 bytes");
        ck_assert_ptr_null(lines);
    }
}
END_TEST

START_TEST(test_a_reader_ends_the_reading) {
    ra_token_lines *lines = NULL;
    seen found = {.count = 0};
    ra_ok(open_text(FIRST "[\"a\",\"stop\",\"b\"]", &lines, &err));
    ra_fails(ra_token_lines_read(lines, 1, see, &found, &err), RA_ERR_STATE, "told to stop");
    ck_assert_uint_eq(found.count, 1);
    ra_token_lines_free(lines);
}
END_TEST

START_TEST(test_a_file_that_is_written_meanwhile) {
    ra_token_lines *lines = NULL;
    seen found = {.count = 0};
    ra_ok(open_text(FIRST "[\"a\",\"b\"]", &lines, &err));
    FILE *file = fopen(test_path("t.jsonl"), "r+b");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, sizeof FIRST - 1, SEEK_SET), 0);
    ck_assert_int_eq(fputs("[\"a\\\\\"b\"]", file) >= 0, 1);
    ck_assert_int_eq(fclose(file), 0);
    ra_fails(ra_token_lines_read(lines, 1, see, &found, &err), RA_ERR_FORMAT, "line 2 is no JSON array");
    ck_assert_uint_eq(found.count, 0);
    ra_token_lines_free(lines);
}
END_TEST

START_TEST(test_no_file) {
    ra_token_lines *lines = NULL;
    ra_fails(ra_token_lines_open(test_path("missing"), 1, 1, 0, &lines, &err), RA_ERR_NOT_FOUND, "missing");
    ra_fails(ra_token_lines_open(test_folder(), 1, 1, 0, &lines, &err), RA_ERR_ARGUMENT, "directory");
    test_write("t.jsonl", "[\"a\"]", 5);
    ra_fails(ra_token_lines_open(test_path("t.jsonl"), 1, 2, 0, &lines, &err), RA_ERR_SHAPE,
             "line 1 has 1 tokens; expected 2, one for each row of a text");
}
END_TEST

START_TEST(test_short_memory_is_an_error) {
    static const char text[] = FIRST "[\"a\\n\",\"b\"]";
    const char *path = test_write("t.jsonl", text, sizeof text - 1);
    for (size_t n = 1;; n++) {
        ra_token_lines *lines = NULL;
        seen found = {.count = 0};
        ck_assert_uint_lt(n, 200);
        ra_memory_fail_at(n);
        ra_status status = ra_token_lines_open(path, TEXTS, ROWS, SKIP, &lines, NULL);
        if (status == RA_OK) status = ra_token_lines_read(lines, 1, see, &found, NULL);
        ra_memory_fail_at(0);
        ra_token_lines_free(lines);
        if (status == RA_OK) break;
        ck_assert_int_eq(status, RA_ERR_MEMORY);
    }
}
END_TEST

TEST_CASES(token_lines_use, test_tokens_have_a_limit, test_a_reader_ends_the_reading,
           test_a_file_that_is_written_meanwhile, test_no_file, test_short_memory_is_an_error)
