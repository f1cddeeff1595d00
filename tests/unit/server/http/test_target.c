#include "harness.h"
#include "http/target.h"

#include <stdio.h>
#include <string.h>

START_TEST(test_splits_and_decodes) {
    http_target target;
    ra_ok(http_target_parse(&target, "/v1/a%2Fb/%C3%A9+x?k=5&metric=dot%26&empty=&bare&&a%3Db=c=d", NULL,
                            &err));
    ck_assert_str_eq(target.path, "/v1/a%2Fb/%C3%A9+x");
    ck_assert_uint_eq(target.segment_count, 3);
    ck_assert_str_eq(target.segments[0], "v1");
    ck_assert_str_eq(target.segments[1], "a/b");
    ck_assert_str_eq(target.segments[2], "\xc3\xa9+x");
    ck_assert_uint_eq(target.parameter_count, 5);
    ck_assert_str_eq(http_target_parameter(&target, "k"), "5");
    ck_assert_str_eq(http_target_parameter(&target, "metric"), "dot&");
    ck_assert_str_eq(http_target_parameter(&target, "empty"), "");
    ck_assert_str_eq(http_target_parameter(&target, "bare"), "");
    ck_assert_str_eq(http_target_parameter(&target, "a=b"), "c=d");
    ck_assert_ptr_null(http_target_parameter(&target, "K"));
    http_target_release(&target);
}
END_TEST

START_TEST(test_empty_segments_do_not_count) {
    static const struct {
        const char *raw;
        size_t segments;
    } table[] = {{"/", 1},        {"/a", 1},
                 {"/a/", 1},      {"//", 1},
                 {"/a//b", 2},    {"//a///b//", 2},
                 {"*", 0},        {"/?x=/y/z", 1},
                 {"/a?b?c", 1},   {"http://host/a/b", 2},
                 {"HTTP://h", 1}, {"https://h?x=1", 1}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        http_target target;
        ra_ok(http_target_parse(&target, table[i].raw, NULL, &err));
        ck_assert_msg(target.segment_count == table[i].segments, "%s has %zu segments", table[i].raw,
                      target.segment_count);
        http_target_release(&target);
    }
}
END_TEST

START_TEST(test_a_prefix_is_taken_off) {
    static const struct {
        const char *raw, *path;
        size_t segments;
    } table[] = {{"/rasae/v1/x", "/v1/x", 2},
                 {"/v1/x", "/v1/x", 2},
                 {"/rasae", "/", 1},
                 {"/rasae/", "/", 1},
                 {"/rasaed/v1", "/rasaed/v1", 2},
                 {"/rasae/rasae/x", "/rasae/x", 2},
                 {"http://h/rasae/v1", "/v1", 1},
                 {"*", "*", 0}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        http_target target;
        ra_ok(http_target_parse(&target, table[i].raw, "/rasae", &err));
        ck_assert_str_eq(target.path, table[i].path);
        ck_assert_uint_eq(target.segment_count, table[i].segments);
        ck_assert_str_eq(target.base, "/rasae");
        ck_assert(target.bare == (strcmp(table[i].raw, "/rasae") == 0));
        http_target_release(&target);
    }
    http_target target;
    ra_ok(http_target_parse(&target, "/rasae?k=5", "/rasae", &err));
    ck_assert_str_eq(http_target_parameter(&target, "k"), "5");
    http_target_release(&target);
}
END_TEST

START_TEST(test_the_first_of_equal_parameters_is_found) {
    http_target target;
    ra_ok(http_target_parse(&target, "/?a=1&a=2", NULL, &err));
    ck_assert_str_eq(http_target_parameter(&target, "a"), "1");
    ck_assert_uint_eq(target.parameter_count, 2);
    http_target_release(&target);
}
END_TEST

START_TEST(test_a_list_is_the_entries_of_all_its_parameters) {
    static const struct {
        const char *raw, *entries; /* each entry ends with a bar */
    } table[] = {{"/?a=1", "1|"},
                 {"/?a=1,25", "1|25|"},
                 {"/?a=1&a=25", "1|25|"},
                 {"/?x=0&a=1%2C2&b=7&a=3,4&y", "1|2|3|4|"},
                 {"/?a", "|"},
                 {"/?a=", "|"},
                 {"/?a=,&a=", "|||"},
                 {"/?b=1&aa=2", ""},
                 {"/", ""}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        http_target target;
        http_list list = {0};
        char got[64] = "", *end = got;
        ra_ok(http_target_parse(&target, table[i].raw, NULL, &err));
        while (http_target_list(&target, "a", &list))
            end += snprintf(end, 16, "%.*s|", (int)(list.end - list.entry), list.entry);
        ck_assert_str_eq(got, table[i].entries);
        ck_assert(!http_target_list(&target, "a", &list));
        http_target_release(&target);
    }
}
END_TEST

START_TEST(test_refuses_what_is_malformed) {
    static const struct {
        const char *raw, *expected;
    } table[] = {
        {"", "'/'"},
        {"*/", "'/'"},
        {"a/b", "'/'"},
        {"/%", "hexadecimal"},
        {"/%4", "hexadecimal"},
        {"/%4g", "hexadecimal"},
        {"/?a=%", "hexadecimal"},
        {"/?%=a", "hexadecimal"},
        {"/%00", "NUL"},
        {"/a?b=%00", "NUL"},
        {"/%ff", "UTF-8"},
        {"/%c0%80", "UTF-8"},
        {"/%ed%a0%80", "UTF-8"},
        {"/a b", "encoded"},
        {"/a\tb", "encoded"},
        {"/\x7f", "encoded"},
        {"/\xc3\xa9", "encoded"},
        {"/a%2", "hexadecimal"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        http_target target;
        ra_fails(http_target_parse(&target, table[i].raw, NULL, &err), RA_ERR_FORMAT, table[i].expected);
        ck_assert_uint_eq(target.segment_count + target.parameter_count, 0);
        http_target_release(&target);
    }
}
END_TEST

START_TEST(test_refuses_more_than_there_is_room_for) {
    static char raw[8192];
    char *end = raw;
    for (int i = 0; i <= HTTP_MAX_SEGMENTS; i++) end += snprintf(end, 8, "/a");
    http_target target;
    ra_fails(http_target_parse(&target, raw, NULL, &err), RA_ERR_TOO_LARGE, "16 segments");
    http_target_release(&target);
    end = raw + snprintf(raw, sizeof raw, "/?");
    for (int i = 0; i <= HTTP_MAX_PARAMETERS; i++) end += snprintf(end, 8, "a=b&");
    ra_fails(http_target_parse(&target, raw, NULL, &err), RA_ERR_TOO_LARGE, "512 parameters");
    http_target_release(&target);
    end[-4] = '\0'; /* without the last parameter */
    ra_ok(http_target_parse(&target, raw, NULL, &err));
    ck_assert_uint_eq(target.parameter_count, HTTP_MAX_PARAMETERS);
    http_target_release(&target);
}
END_TEST

TEST_CASES(target, test_splits_and_decodes, test_a_prefix_is_taken_off, test_empty_segments_do_not_count,
           test_the_first_of_equal_parameters_is_found, test_a_list_is_the_entries_of_all_its_parameters,
           test_refuses_what_is_malformed, test_refuses_more_than_there_is_room_for)
