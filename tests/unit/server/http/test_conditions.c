#include "harness.h"
#include "http/conditions.h"

#include <string.h>

START_TEST(test_lists_of_tags) {
    static const struct {
        const char *list;
        bool holds;
    } cases[] = {{"\"a\"", true}, {"W/\"a\"", true},         {"\"b\", \"a\"", true}, {"\"b\",W/\"a\"", true},
                 {"*", true},     {"\"b\"", false},          {"a", false},           {"", false},
                 {"\"a", false},  {"\"ab\"", false},         {"\"b\", a", false},    {" \t, \"a\" ", true},
                 {"\"\"", false}, {"\"x,\\\"a\\\"\"", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(tag_list_holds(cases[i].list, "\"a\"", true) == cases[i].holds, "%s", cases[i].list);
    ck_assert(tag_list_holds("\"a\"", "W/\"a\"", true));
}
END_TEST

START_TEST(test_if_match_compares_strongly) {
    ck_assert(tag_list_holds("\"b\", \"a\"", "\"a\"", false));
    ck_assert(tag_list_holds("*", "W/\"a\"", false));
    ck_assert(!tag_list_holds("W/\"a\"", "\"a\"", false));
    ck_assert(!tag_list_holds("\"a\"", "W/\"a\"", false));
    ck_assert(!tag_list_holds("W/\"a\"", "W/\"a\"", false));
    ck_assert(tag_list_holds("W/\"a\", \"a\"", "\"a\"", false));
}
END_TEST

START_TEST(test_dates) {
    static const struct {
        const char *header;
        int64_t seconds; /* -1: it is no date */
    } cases[] = {{"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
                 {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
                 {"Sun Nov  6 08:49:37 1994", 784111777},
                 {"Sun, 06 Nov 1994 08:49:37 GMT ", 784111777},
                 {"Thu, 01 Jan 1970 00:00:01 GMT", 1},
                 {"Sun, 06 Nov 1994 08:49:37", -1},
                 {"Sun, 06 Nov 1994 08:49:37 GMTX", -1},
                 {"1994-11-06T08:49:37Z", -1},
                 {"784111777", -1},
                 {"", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t seconds = -1;
        bool read = http_date_read(cases[i].header, &seconds);
        ck_assert_msg(read == (cases[i].seconds >= 0) && seconds == cases[i].seconds, "%s", cases[i].header);
    }
    char date[HTTP_DATE_SIZE];
    ck_assert_str_eq(http_date_write(784111777, date), "Sun, 06 Nov 1994 08:49:37 GMT");
}
END_TEST

/* The order of RFC 9110, section 13.2.2: tags win over dates. */
START_TEST(test_preconditions) {
    static const char before[] = "Sun, 06 Nov 1994 08:49:36 GMT", at[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    enum { HOLDS = PRECONDITION_HOLDS, SAME = PRECONDITION_NOT_MODIFIED, FAILS = PRECONDITION_FAILS };
    static const struct {
        preconditions wanted;
        int expected, undated; /* undated: when nobody knows when the content changed */
    } cases[] = {
        {{0}, HOLDS, HOLDS},
        {{.if_match = "\"a\""}, HOLDS, HOLDS},
        {{.if_match = "\"b\""}, FAILS, FAILS},
        {{.if_match = "*"}, HOLDS, HOLDS},
        {{.if_match = "\"a\"", .if_unmodified_since = before}, HOLDS, HOLDS},
        {{.if_match = "\"b\"", .if_unmodified_since = at}, FAILS, FAILS},
        {{.if_unmodified_since = before}, FAILS, HOLDS},
        {{.if_unmodified_since = at}, HOLDS, HOLDS},
        {{.if_unmodified_since = "yesterday"}, HOLDS, HOLDS},
        {{.if_none_match = "\"a\""}, SAME, SAME},
        {{.if_none_match = "\"b\""}, HOLDS, HOLDS},
        {{.if_none_match = "\"b\"", .if_modified_since = at}, HOLDS, HOLDS},
        {{.if_modified_since = at}, SAME, HOLDS},
        {{.if_modified_since = before}, HOLDS, HOLDS},
        {{.if_modified_since = "yesterday"}, HOLDS, HOLDS},
        {{.if_match = "\"a\"", .if_none_match = "\"a\""}, SAME, SAME},
        {{.if_match = "\"b\"", .if_none_match = "\"a\""}, FAILS, FAILS},
        {{.if_unmodified_since = at, .if_modified_since = at}, SAME, HOLDS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg((int)preconditions_check(&cases[i].wanted, "\"a\"", 784111777) == cases[i].expected,
                      "row %zu", i);
        ck_assert_msg((int)preconditions_check(&cases[i].wanted, "\"a\"", 0) == cases[i].undated,
                      "row %zu without a date", i);
    }
}
END_TEST

START_TEST(test_if_range_is_strong) {
    ck_assert(tag_is_current("\"a\"", "\"a\""));
    ck_assert(!tag_is_current("W/\"a\"", "\"a\""));
    ck_assert(!tag_is_current("W/\"a\"", "W/\"a\""));
    ck_assert(!tag_is_current("\"a\", \"b\"", "\"a\""));
    ck_assert(!tag_is_current("Sat, 29 Oct 1994 19:43:31 GMT", "\"a\""));
}
END_TEST

START_TEST(test_ranges) {
    static const struct {
        const char *range;
        size_t size;
        range_outcome outcome;
        size_t first, length;
    } cases[] = {
        {"bytes=0-99", 1000, RANGE_PART, 0, 100},
        {"bytes=0-0", 1000, RANGE_PART, 0, 1},
        {"BYTES=5-", 1000, RANGE_PART, 5, 995},
        {"bytes=999-", 1000, RANGE_PART, 999, 1},
        {"bytes=990-5000", 1000, RANGE_PART, 990, 10},
        {"bytes=-10", 1000, RANGE_PART, 990, 10},
        {"bytes=-5000", 1000, RANGE_PART, 0, 1000},
        {"bytes=0-99999999999999999999999", 1000, RANGE_PART, 0, 1000},
        {"bytes= 1-2 ", 1000, RANGE_PART, 1, 2},
        {"bytes=1000-", 1000, RANGE_OUTSIDE, 0, 0},
        {"bytes=99999999999999999999999-", 1000, RANGE_OUTSIDE, 0, 0},
        {"bytes=-0", 1000, RANGE_OUTSIDE, 0, 0},
        {"bytes=0-", 0, RANGE_OUTSIDE, 0, 0},
        {"bytes=-1", 0, RANGE_OUTSIDE, 0, 0},
        {"bytes=5-4", 1000, RANGE_WHOLE, 0, 0},
        {"bytes=0-1,5-6", 1000, RANGE_WHOLE, 0, 0},
        {"bytes=-", 1000, RANGE_WHOLE, 0, 0},
        {"bytes=", 1000, RANGE_WHOLE, 0, 0},
        {"bytes=a-b", 1000, RANGE_WHOLE, 0, 0},
        {"bytes=1", 1000, RANGE_WHOLE, 0, 0},
        {"items=0-1", 1000, RANGE_WHOLE, 0, 0},
        {"", 1000, RANGE_WHOLE, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t first = 0, length = 0;
        range_outcome outcome = range_parse(cases[i].range, cases[i].size, &first, &length);
        ck_assert_msg(outcome == cases[i].outcome, "%s: %d", cases[i].range, outcome);
        if (outcome != RANGE_PART) continue;
        ck_assert_msg(first == cases[i].first && length == cases[i].length, "%s: %zu + %zu", cases[i].range,
                      first, length);
    }
}
END_TEST

TEST_CASES(conditions, test_lists_of_tags, test_if_match_compares_strongly, test_dates, test_preconditions,
           test_if_range_is_strong, test_ranges)
