/* The growing text of the library, and what the programs add to it (lib/base/text.c, lib/app/text.c). */
#include "harness.h"
#include "app/text.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

static void check_text(const text *buffer, const char *expected) {
    ck_assert(!buffer->failed);
    ck_assert_uint_eq(buffer->size, strlen(expected));
    ck_assert_msg(memcmp(buffer->data, expected, buffer->size) == 0, "\"%.*s\" instead of \"%s\"",
                  (int)buffer->size, buffer->data, expected);
}

START_TEST(test_appends_in_order) {
    text buffer = {0};
    text_string(&buffer, "a");
    text_append(&buffer, "bcd", 2);
    text_append(&buffer, NULL, 0);
    text_format(&buffer, "-%d-%s", 42, "x");
    check_text(&buffer, "abc-42-x");
    text_release(&buffer);
    ck_assert_ptr_null(buffer.data);
}
END_TEST

START_TEST(test_grows_to_any_size_and_keeps_the_text) {
    enum { LINES = 20000 };
    text buffer = {0};
    for (int i = 0; i < LINES; i++) text_format(&buffer, "%08d\n", i);
    ck_assert_uint_eq(buffer.size, 9 * LINES);
    for (int i = 0; i < LINES; i += 777) {
        char line[16];
        snprintf(line, sizeof line, "%08d\n", i);
        ck_assert_mem_eq(buffer.data + 9 * (size_t)i, line, 9);
    }
    text_release(&buffer);
}
END_TEST

START_TEST(test_a_formatted_text_may_be_longer_than_the_buffer) {
    char longer[5000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    text buffer = {0};
    text_format(&buffer, "%s", longer);
    check_text(&buffer, longer);
    text_release(&buffer);
}
END_TEST

START_TEST(test_reserved_room_can_be_written_to) {
    text buffer = {0};
    for (size_t n = 0; n < 3000; n += 7) {
        char *to = text_reserve(&buffer, n);
        ck_assert_ptr_nonnull(to);
        memset(to, 'r', n);
        buffer.size += n;
    }
    for (size_t i = 0; i < buffer.size; i++) ck_assert_int_eq(buffer.data[i], 'r');
    text_release(&buffer);
}
END_TEST

START_TEST(test_detach_hands_over_a_terminated_block) {
    text buffer = {0};
    size_t size = 1;
    char *block = text_detach(&buffer, &size);
    ck_assert_str_eq(block, "");
    ck_assert_uint_eq(size, 0);
    ra_free(block);

    for (size_t n = 250; n < 260; n++) { /* around the first capacity */
        for (size_t i = 0; i < n; i++) text_append(&buffer, "y", 1);
        block = text_detach(&buffer, NULL);
        ck_assert_uint_eq(strlen(block), n);
        ck_assert_ptr_null(buffer.data);
        ra_free(block);
    }
}
END_TEST

START_TEST(test_short_memory_is_remembered_and_harmless) {
    text buffer = {0};
    text_string(&buffer, "before");
    ra_memory_fail_at(1);
    for (int i = 0; i < 1000; i++) text_string(&buffer, "more than fits");
    ra_memory_fail_at(0);
    ck_assert(buffer.failed);
    size_t size = buffer.size;
    text_string(&buffer, "x");
    text_format(&buffer, "%d", 1);
    ck_assert_ptr_null(text_reserve(&buffer, 1));
    ck_assert_uint_eq(buffer.size, size);
    ck_assert_ptr_null(text_detach(&buffer, &size));
    ck_assert_uint_eq(size, 0);
    ck_assert(!buffer.failed); /* {0} again */
}
END_TEST

START_TEST(test_an_impossible_size_fails) {
    text buffer = {0};
    text_string(&buffer, "x");
    ck_assert_ptr_null(text_reserve(&buffer, SIZE_MAX));
    ck_assert(buffer.failed);
    text_release(&buffer);
}
END_TEST

TEST_CASES(text, test_appends_in_order, test_grows_to_any_size_and_keeps_the_text,
           test_a_formatted_text_may_be_longer_than_the_buffer, test_reserved_room_can_be_written_to,
           test_detach_hands_over_a_terminated_block, test_short_memory_is_remembered_and_harmless,
           test_an_impossible_size_fails)
