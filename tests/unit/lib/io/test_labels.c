/* Labels, one per line, in UTF-8 (lib/io/{labels,utf8}.c). */
#include "harness.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <stdint.h>
#include <string.h>

#define TEXT(literal) literal, sizeof(literal) - 1

static const struct {
    const char *text;
    size_t size, count;
    const char *labels[4];
} texts[] = {
    {TEXT(""), 0, {0}},
    {TEXT("\n"), 1, {""}},
    {TEXT("one"), 1, {"one"}},
    {TEXT("one\n"), 1, {"one"}},
    {TEXT("one\ntwo\n"), 2, {"one", "two"}},
    {TEXT("one\ntwo"), 2, {"one", "two"}},
    {TEXT("one\r\ntwo\r\n"), 2, {"one", "two"}},
    {TEXT("\r\n\r\n"), 2, {"", ""}},
    {TEXT("a\n\nb\n\n"), 4, {"a", "", "b", ""}},
    {TEXT("a\rb\nc\r"), 2, {"a\rb", "c\r"}}, /* only "\r\n" ends a line */
    {TEXT("\xef\xbb\xbfZo\xc3\xab\n\xf0\x9f\xa6\x8a"), 2, {"Zo\xc3\xab", "\xf0\x9f\xa6\x8a"}},
    {TEXT("\xef\xbb\xbf"), 0, {0}},
};

START_TEST(test_splits_lines) {
    ra_labels *labels = NULL;
    ra_ok(ra_labels_parse(texts[_i].text, texts[_i].size, "a test", &labels, &err));
    ck_assert_uint_eq(ra_labels_count(labels), texts[_i].count);
    ck_assert_uint_eq(ra_labels_lines(texts[_i].text, texts[_i].size), texts[_i].count);
    for (size_t i = 0; i < texts[_i].count; i++)
        ck_assert_str_eq(ra_labels_at(labels, i), texts[_i].labels[i]);
    ck_assert_ptr_null(ra_labels_at(labels, texts[_i].count));
    ck_assert_ptr_null(ra_labels_at(labels, SIZE_MAX));
    ra_labels_free(labels);
    ra_labels_free(NULL);
}
END_TEST
TEST_CASES_LOOP(labels_lines, 0, sizeof texts / sizeof *texts, test_splits_lines)

START_TEST(test_reads_a_file) {
    ra_labels *labels = NULL;
    const char *path = test_write("words.txt", "cat\ndog\n", 8);
    ra_ok(ra_labels_open(path, &labels, &err));
    test_write("words.txt", "x", 1); /* the labels are a copy */
    ck_assert_uint_eq(ra_labels_count(labels), 2);
    ck_assert_str_eq(ra_labels_at(labels, 1), "dog");
    ra_labels_free(labels);
}
END_TEST

START_TEST(test_refuses_what_is_no_text) {
    ra_labels *labels = NULL;
    ra_fails(ra_labels_open(test_path("missing"), &labels, &err), RA_ERR_NOT_FOUND, "missing");
    ra_fails(ra_labels_open(test_folder(), &labels, &err), RA_ERR_ARGUMENT, "directory");
    const char *path = test_write("latin1", "ok\nna\xefve\n", 9);
    ra_fails(ra_labels_open(path, &labels, &err), RA_ERR_FORMAT, "latin1: line 2 is not valid UTF-8");
    ra_fails(ra_labels_parse("ab\0c", 4, "labels of x", &labels, &err), RA_ERR_FORMAT,
             "labels of x: labels are text, but byte 2 is a NUL");
    ck_assert_ptr_null(labels);
}
END_TEST

START_TEST(test_texts_may_hold_line_ends) {
    static const char joined[] = "a\nb\0\0 c\r\n";
    ra_labels *labels = NULL;
    ra_ok(ra_labels_parse_texts(joined, sizeof joined, "a test", &labels, &err));
    ck_assert_uint_eq(ra_labels_count(labels), 3);
    ck_assert_str_eq(ra_labels_at(labels, 0), "a\nb");
    ck_assert_str_eq(ra_labels_at(labels, 1), "");
    ck_assert_str_eq(ra_labels_at(labels, 2), " c\r\n");
    ra_labels_free(labels);
    labels = NULL;
    ra_ok(ra_labels_parse_texts("", 0, "a test", &labels, &err));
    ck_assert_uint_eq(ra_labels_count(labels), 0);
    ra_labels_free(labels);
    labels = NULL;
    ra_fails(ra_labels_parse_texts("a\0b", 3, "words", &labels, &err), RA_ERR_FORMAT,
             "words: the last text does not end with a NUL");
    ra_fails(ra_labels_parse_texts("a\0\xef\0", 4, "words", &labels, &err), RA_ERR_FORMAT,
             "words: text 1 is not valid UTF-8");
    ck_assert_ptr_null(labels);
}
END_TEST

START_TEST(test_short_memory_is_an_error) {
    for (size_t n = 1;; n++) {
        ra_labels *labels = NULL;
        ck_assert_uint_lt(n, 100);
        ra_memory_fail_at(n);
        ra_status status = ra_labels_parse("a\nb", 3, "a test", &labels, NULL);
        if (status == RA_OK) {
            ra_labels_free(labels);
            labels = NULL;
            status = ra_labels_parse_texts("a\0b", 4, "a test", &labels, NULL);
        }
        ra_memory_fail_at(0);
        ra_labels_free(labels);
        if (status == RA_OK) break;
        ck_assert_int_eq(status, RA_ERR_MEMORY);
    }
}
END_TEST

START_TEST(test_texts_of_several_lines) {
    static const char *const several[] = {"", "a", "a\tb\nc", "\\", "\\n", "\n\n\\\\t\t", "Zo\xc3\xab\n"};
    enum { SEVERAL = sizeof several / sizeof *several };
    ra_text lines = {0};
    ra_labels *labels = NULL;
    for (size_t i = 0; i < SEVERAL; i++) {
        ra_labels_escape(&lines, several[i]);
        ra_text_add(&lines, "\n");
    }
    ra_ok(ra_labels_parse(lines.data, lines.size, "here", &labels, &err));
    ck_assert_uint_eq(ra_labels_count(labels), SEVERAL);
    ck_assert_str_eq(ra_labels_at(labels, 2), "a\\tb\\nc");
    ra_ok(ra_labels_unescape(labels, "here", &err));
    for (size_t i = 0; i < SEVERAL; i++) ck_assert_str_eq(ra_labels_at(labels, i), several[i]);
    ra_labels_free(labels);
    ra_text_release(&lines);
    static const char *const bad[] = {"a\nb\\\n", "a\n\\r\n", "\nab\\ n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ra_ok(ra_labels_parse(bad[i], strlen(bad[i]), "here", &labels, &err));
        ra_fails(ra_labels_unescape(labels, "here", &err), RA_ERR_FORMAT, "here: line 2 has a backslash");
        ra_labels_free(labels);
    }
}
END_TEST

/* ---- UTF-8 -------------------------------------------------------------------------------------------- */

static size_t encode(uint32_t c, unsigned char *to) {
    if (c < 0x80) return to[0] = (unsigned char)c, 1;
    size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char leads[] = {0, 0xc0, 0xe0, 0xf0};
    for (size_t i = more; i > 0; i--, c >>= 6) to[i] = (unsigned char)(0x80 | (c & 0x3f));
    to[0] = (unsigned char)(leads[more] | c);
    return more + 1;
}

START_TEST(test_utf8_accepts_every_character_and_no_surrogate) {
    for (uint32_t c = 0; c < 0x120000; c++) {
        unsigned char bytes[12] = "abcdefgh"; /* before it: the path that takes eight bytes at once */
        size_t length = encode(c, bytes + 8);
        bool expected = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        bool right = ra_utf8_valid(bytes + 8, length) == expected &&
                     ra_utf8_valid(bytes, 8 + length) == expected &&
                     (length == 1 || !ra_utf8_valid(bytes, 7 + length)); /* cut */
        if (!right)
            ck_abort_msg("U+%04X", c); /* Check records each check that passes, here a million of them */
    }
}
END_TEST

START_TEST(test_utf8_refuses_malformed_bytes) {
    static const char *const malformed[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc3(",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xe2(\xa1",
        "\xe2\x82(",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
        "\xf0(\x8c\xbc",
        "\xf0\x90\x28\xbc",
        "\xf0\x90\x8c\x28",
        "\xc3\xa9\xa9",
    };
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        ck_assert_msg(!ra_utf8_valid(malformed[i], strlen(malformed[i])), "case %zu", i);
    ck_assert(ra_utf8_valid(NULL, 0));
    ck_assert(ra_utf8_valid("a\0b", 3));
}
END_TEST

TEST_CASES_SLOW(labels, 20, test_reads_a_file, test_refuses_what_is_no_text, test_short_memory_is_an_error,
                test_texts_of_several_lines, test_texts_may_hold_line_ends,
                test_utf8_accepts_every_character_and_no_surrogate, test_utf8_refuses_malformed_bytes)
