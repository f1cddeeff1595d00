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

static size_t told;

static void count(const void *part, size_t size) {
    (void)part;
    told += size;
}

START_TEST(test_in_parts) {
    static char bytes[(64 << 20) + 1000];
    char whole[RA_DIGEST_SIZE], parts[RA_DIGEST_SIZE];
    for (size_t i = 0; i < sizeof bytes; i += 97) bytes[i] = (char)i;
    for (size_t size = 0; size <= sizeof bytes; size = size ? 8 * size : 300) {
        told = 0;
        ra_digest(bytes, size, whole);
        ra_digest_in_parts(bytes, size, count, parts);
        ck_assert_str_eq(whole, parts);
        ck_assert_uint_eq(told, size);
    }
    ra_digest(bytes, sizeof bytes, whole);
    ra_digest_in_parts(bytes, sizeof bytes, count, parts);
    ck_assert_str_eq(whole, parts);
}
END_TEST

TEST_CASES(digest, test_in_parts, test_published_values, test_every_byte_counts)
