/* The W3C header traceparent (server/http/headers.c). */
#include "harness.h"
#include "http/headers.h"

#include <string.h>

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

START_TEST(test_good_headers_have_an_id) {
    static const char *const good[] = {"00-" ID "-" PARENT "-01", "00-" ID "-" PARENT "-00",
                                       "cc-" ID "-" PARENT "-01", "cc-" ID "-" PARENT "-01-what-comes"};
    char id[TRACE_ID_SIZE];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_msg(trace_parent_is_good(good[i]), "%s is refused", good[i]);
        ck_assert_str_eq(trace_id(good[i], id), ID);
    }
}
END_TEST

START_TEST(test_bad_headers_have_none) {
    static const char *const bad[] = {NULL,
                                      "",
                                      "00",
                                      "00-" ID "-" PARENT,
                                      "00-" ID "-" PARENT "-",
                                      "00-" ID "-" PARENT "-1",
                                      "00-" ID "-" PARENT "-011",
                                      "00-" ID "-" PARENT "-01-more",
                                      "ff-" ID "-" PARENT "-01",
                                      "cc-" ID "-" PARENT "-01.more",
                                      "00_" ID "-" PARENT "-01",
                                      "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
                                      "00-00000000000000000000000000000000-" PARENT "-01",
                                      "00-" ID "-0000000000000000-01",
                                      "00-" ID "-" PARENT "-0x"};
    char id[TRACE_ID_SIZE];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(!trace_parent_is_good(bad[i]), "%s is taken", bad[i]);
        ck_assert_str_eq(trace_id(bad[i], id), "");
    }
}
END_TEST

TEST_CASES(trace, test_good_headers_have_an_id, test_bad_headers_have_none)
