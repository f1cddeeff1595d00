#include "harness.h"
#include "app/nearest.h"

#include <string.h>

static nearest of(const char *word) {
    static const char *const names[] = {"train", "fuse", "encode", "eval", "x"};
    nearest near = nearest_to(word);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) nearest_try(&near, names[i]);
    return near;
}

START_TEST(test_what_was_meant) {
    ck_assert_str_eq(of("tarin").name, "train");
    ck_assert_str_eq(of("fus").name, "fuse");
    ck_assert_str_eq(of("encodes").name, "encode");
    ck_assert_str_eq(of("evil").name, "eval");
    ck_assert_str_eq(of("train").name, "train");
}
END_TEST

START_TEST(test_what_is_far_is_not_guessed) {
    char longer[200];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ck_assert_str_eq(of("frobnicate").name, "");
    ck_assert_str_eq(of("q").name, ""); /* a word with no letter in common is not a slip */
    ck_assert_str_eq(of("").name, "");
    ck_assert_str_eq(of(longer).name, "");
    nearest near = nearest_to("a");
    nearest_try(&near, longer); /* longer than a name can be */
    ck_assert_str_eq(near.name, "");
}
END_TEST

TEST_CASES(nearest, test_what_was_meant, test_what_is_far_is_not_guessed)
