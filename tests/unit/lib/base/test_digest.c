#include "harness.h"
#include "ra_digest.h"

#include <string.h>

START_TEST(test_published_values) {
    unsigned char bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)i;
    char digest[RA_DIGEST_SIZE];
    ra_digest(NULL, 0, digest);
    ck_assert_str_eq(digest, "99aa06d3014798d86001c324468d497f");
    ra_digest("abc", 3, digest);
    ck_assert_str_eq(digest, "06b05ab6733a618578af5f94892f3950");
    ra_digest(bytes, sizeof bytes, digest);
    ck_assert_str_eq(digest, "03916578969f7a66eb4b7c3707879151");
}
END_TEST

START_TEST(test_every_byte_counts) {
    char bytes[300] = {0}, before[RA_DIGEST_SIZE], after[RA_DIGEST_SIZE];
    ra_digest(bytes, sizeof bytes, before);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = 1;
        ra_digest(bytes, sizeof bytes, after);
        ck_assert_str_ne(before, after);
        ck_assert_uint_eq(strlen(after), RA_DIGEST_SIZE - 1);
        bytes[i] = 0;
    }
}
END_TEST

TEST_CASES(digest, test_published_values, test_every_byte_counts)
