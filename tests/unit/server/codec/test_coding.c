/* The codings (server/codec/coding_{table,zlib,zstd}.c). */
#include "codec/coding.h"
#include "harness.h"
#include "ra_memory.h"

#include <string.h>

enum { SIZE = 300000 };
static const content_coding codings[] = {CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE, CODING_ZSTD};

static void fill(char *bytes, size_t n) {
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = "0123456789.,-e[]"[state >> 28];
    }
}

START_TEST(test_round_trips) {
    static char bytes[SIZE];
    static const size_t sizes[] = {0, 1, 5, 1000, 16384, 65536, SIZE};
    fill(bytes, SIZE);
    for (size_t c = 0; c < CODING_COUNT; c++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            text packed = {0}, plain = {0};
            ra_ok(content_pack(codings[c], bytes, sizes[s], &packed, &err));
            ra_ok(content_unpack(codings[c], packed.data, packed.size, sizes[s], &plain, &err));
            ck_assert_uint_eq(plain.size, sizes[s]);
            if (sizes[s]) ck_assert_mem_eq(plain.data, bytes, sizes[s]);
            if (codings[c] && sizes[s] == SIZE) ck_assert_uint_lt(packed.size, SIZE * 6 / 10);
            text_release(&packed);
            text_release(&plain);
        }
}
END_TEST

START_TEST(test_limits_hold_to_the_byte) {
    static char bytes[SIZE];
    text packed = {0}, plain = {0};
    memset(bytes, ' ', SIZE);
    for (size_t c = 0; c < CODING_COUNT; c++) {
        ra_ok(content_pack(codings[c], bytes, SIZE, &packed, &err));
        ra_ok(content_unpack(codings[c], packed.data, packed.size, SIZE, &plain, &err));
        ra_fails(content_unpack(codings[c], packed.data, packed.size, SIZE - 1, &plain, &err),
                 RA_ERR_TOO_LARGE, "larger than the limit of 299999 bytes");
        ck_assert_uint_eq(plain.size, 0);
        ra_fails(content_unpack(codings[c], packed.data, packed.size, 0, &plain, &err), RA_ERR_TOO_LARGE,
                 "0 bytes");
    }
    text_release(&packed);
    text_release(&plain);
}
END_TEST

START_TEST(test_what_is_not_whole_is_refused) {
    text packed = {0}, plain = {0};
    for (size_t c = 1; c < CODING_COUNT; c++) {
        ra_ok(content_pack(codings[c], "some bytes, some bytes", 22, &packed, &err));
        for (size_t n = 0; n < packed.size; n++)
            ra_fails(content_unpack(codings[c], packed.data, n, 1000, &plain, &err), RA_ERR_FORMAT,
                     "truncated");
        text_append(&packed, "x", 1);
        ra_fails(content_unpack(codings[c], packed.data, packed.size, 1000, &plain, &err), RA_ERR_FORMAT,
                 codings[c] == CODING_ZSTD ? "not in that format"
                                           : "more bytes follow"); /* of a next frame */
        ra_fails(content_unpack(codings[c], "plain text", 10, 1000, &plain, &err), RA_ERR_FORMAT,
                 "not in that format");
        ra_fails(content_unpack(codings[c == 1 ? 2 : 1], packed.data, packed.size, 1000, &plain, &err),
                 RA_ERR_FORMAT, "not in that format");
    }
    text_release(&packed);
    text_release(&plain);
}
END_TEST

/* After changing any byte, the body is refused or unpacks to something. */
START_TEST(test_mutations) {
    char bytes[600];
    text packed = {0}, plain = {0};
    fill(bytes, sizeof bytes);
    for (size_t c = 1; c < CODING_COUNT; c++) {
        ra_ok(content_pack(codings[c], bytes, sizeof bytes, &packed, &err));
        for (size_t i = 0; i < packed.size; i++)
            for (int bit = 0; bit < 8; bit++) {
                packed.data[i] ^= (char)(1 << bit);
                ra_status status = content_unpack(codings[c], packed.data, packed.size, 4096, &plain, NULL);
                ck_assert(status == RA_OK || status == RA_ERR_FORMAT || status == RA_ERR_TOO_LARGE);
                packed.data[i] ^= (char)(1 << bit);
            }
    }
    text_release(&packed);
    text_release(&plain);
}
END_TEST

START_TEST(test_zstd_frames_one_after_another) {
    text packed = {0}, more = {0}, plain = {0};
    ra_ok(content_pack(CODING_ZSTD, "first ", 6, &packed, &err));
    ra_ok(content_pack(CODING_ZSTD, "second", 6, &more, &err));
    text_append(&packed, more.data, more.size);
    ra_ok(content_unpack(CODING_ZSTD, packed.data, packed.size, 12, &plain, &err));
    ck_assert_uint_eq(plain.size, 12);
    ck_assert_mem_eq(plain.data, "first second", 12);
    ra_fails(content_unpack(CODING_ZSTD, packed.data, packed.size, 11, &plain, &err), RA_ERR_TOO_LARGE,
             "11 bytes");
    text_release(&packed);
    text_release(&more);
    text_release(&plain);
}
END_TEST

/* Says that it needs a window of 16 MiB, more than a sender may use. */
START_TEST(test_zstd_windows_have_a_limit) {
    static const unsigned char frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x70, 0x01, 0x00, 0x00};
    text plain = {0};
    ra_fails(content_unpack(CODING_ZSTD, frame, sizeof frame, 1000, &plain, &err), RA_ERR_FORMAT,
             "not in that format");
    text_release(&plain);
}
END_TEST

START_TEST(test_memory_may_run_out) {
    static char bytes[SIZE];
    fill(bytes, SIZE);
    for (size_t n = 1; n < 100; n++) {
        text packed = {0}, plain = {0};
        ra_memory_fail_at(n);
        ra_status status = content_pack(CODING_GZIP, bytes, SIZE, &packed, NULL);
        if (status == RA_OK)
            status = content_unpack(CODING_GZIP, packed.data, packed.size, SIZE, &plain, NULL);
        size_t asked = ra_memory_fail_at(0);
        ck_assert(status == RA_OK || status == RA_ERR_MEMORY);
        text_release(&packed);
        text_release(&plain);
        if (asked < n) return;
    }
    ck_abort_msg("it never succeeded");
}
END_TEST

START_TEST(test_names) {
    content_coding coding;
    ck_assert(content_coding_from_name(NULL, &coding) && coding == CODING_IDENTITY);
    ck_assert(content_coding_from_name("", &coding) && coding == CODING_IDENTITY);
    ck_assert(content_coding_from_name("Identity", &coding) && coding == CODING_IDENTITY);
    ck_assert(content_coding_from_name("GZIP", &coding) && coding == CODING_GZIP);
    ck_assert(content_coding_from_name("x-gzip", &coding) && coding == CODING_GZIP);
    ck_assert(content_coding_from_name("deflate", &coding) && coding == CODING_DEFLATE);
    ck_assert(content_coding_from_name("Zstd", &coding) && coding == CODING_ZSTD);
    ck_assert(!content_coding_from_name("br", &coding));
    ck_assert(!content_coding_from_name("gzip, gzip", &coding));
    ck_assert_str_eq(content_coding_name(CODING_DEFLATE), "deflate");
}
END_TEST

TEST_CASES(coding, test_round_trips, test_limits_hold_to_the_byte, test_what_is_not_whole_is_refused,
           test_mutations, test_zstd_frames_one_after_another, test_zstd_windows_have_a_limit,
           test_memory_may_run_out, test_names)
