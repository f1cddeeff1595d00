/* Error messages: complete, on one line, never cut within a character. */
#include "harness.h"
#include "ra_io.h"

#include <string.h>

START_TEST(test_an_error_keeps_code_and_sentence) {
    ra_error err = {0};
    ck_assert_int_eq(ra_error_set(&err, RA_ERR_SHAPE, "expected %d", 3), RA_ERR_SHAPE);
    ck_assert_int_eq(err.code, RA_ERR_SHAPE);
    ck_assert_str_eq(err.message, "expected 3");
    ck_assert_int_eq(ra_error_set(NULL, RA_ERR_IO, "nobody listens"), RA_ERR_IO);
    ck_assert_str_eq(ra_status_name(RA_ERR_NOT_FINITE), "ERR_NOT_FINITE");
    ck_assert_str_eq(ra_status_text((ra_status)999), "unknown status");
}
END_TEST

START_TEST(test_control_characters_stay_out) {
    ra_error err = {0};
    (void)ra_error_set(&err, RA_ERR_ARGUMENT, "bad name \"%s\"", "a\nb\x1b[31m");
    ck_assert_str_eq(err.message, "bad name \"a?b?[31m\"");
}
END_TEST

/* Characters of two, three and four bytes, cut at each of their bytes in turn. */
START_TEST(test_a_long_sentence_is_cut_between_characters) {
    static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t kind = 0; kind < 3; kind++)
        for (size_t shift = 0; shift < 4; shift++) {
            char text[RA_ERROR_MESSAGE_SIZE * 2] = "";
            size_t used = shift, length = strlen(characters[kind]);
            memset(text, 'x', shift);
            while (used + length < sizeof text) {
                memcpy(text + used, characters[kind], length);
                used += length;
            }
            ra_error err = {0};
            (void)ra_error_set(&err, RA_ERR_IO, "%s", text);
            size_t kept = strlen(err.message);
            ck_assert(ra_utf8_valid(err.message, kept));
            ck_assert_uint_ge(kept, RA_ERROR_MESSAGE_SIZE - 1 - 3);
        }
}
END_TEST

TEST_CASES(status, test_an_error_keeps_code_and_sentence, test_control_characters_stay_out,
           test_a_long_sentence_is_cut_between_characters)
