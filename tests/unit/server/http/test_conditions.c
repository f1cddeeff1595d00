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
        ck_assert_msg(tag_list_holds(cases[i].list, "\"a\"") == cases[i].holds, "%s", cases[i].list);
    ck_assert(tag_list_holds("\"a\"", "W/\"a\""));
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

TEST_CASES(conditions, test_lists_of_tags, test_if_range_is_strong, test_ranges)
