#include "harness.h"
#include "http/headers.h"

#include <string.h>

static ra_status add(http_headers *headers, const char *name, const char *value, ra_error *err) {
    return http_headers_add(headers, name, strlen(name), value, strlen(value), err);
}

START_TEST(test_keeps_what_someone_looks_at) {
    http_headers headers = {0};
    ra_ok(add(&headers, "Host", "example.com", &err));
    ra_ok(add(&headers, "content-TYPE", "application/json", &err));
    ra_ok(add(&headers, "X-Request-Id", "first", &err));
    ra_ok(add(&headers, "X-Request-Id", "second", &err));
    ra_ok(add(&headers, "Content-Length", "0123", &err));
    ra_ok(add(&headers, "X-Empty", "", &err));
    ra_ok(add(&headers, "X-Tab", "a\tb\xff", &err));
    ra_ok(http_headers_finish(&headers, true, &err));
    ck_assert(headers.has_host && headers.has_length && !headers.chunked);
    ck_assert_uint_eq(headers.length, 123);
    ck_assert_str_eq(headers.values[HTTP_CONTENT_TYPE], "application/json");
    ck_assert_str_eq(headers.values[HTTP_REQUEST_ID], "first");
    ck_assert_ptr_null(headers.values[HTTP_CONTENT_ENCODING]);
}
END_TEST

START_TEST(test_refuses_a_bad_header) {
    static const struct {
        const char *name, *value, *expected;
    } table[] = {
        {"", "x", "name"},
        {"Content-Length ", "5", "name"},
        {"X Y", "5", "name"},
        {"X:", "5", "name"},
        {"X\x80", "5", "name"},
        {"X", "a\x01", "header X has a control"},
        {"X", "a\x7f", "control"},
        {"X", "a\nY: b", "control"},
        {"Content-Length", "", "whole number"},
        {"Content-Length", "-1", "whole number"},
        {"Content-Length", "+1", "whole number"},
        {"Content-Length", "1 ", "whole number"},
        {"Content-Length", "1,1", "whole number"},
        {"Content-Length", "0x1", "whole number"},
        {"Host", "", "Host"},
        {"Host", "a, b", "Host"},
        {"Host", "a,b", "Host"},
        {"Host", "user@a", "Host"},
        {"Host", "a/b", "Host"},
        {"Host", "a:b", "Host"},
        {"Host", ":80", "Host"},
        {"Host", "[::1", "Host"},
        {"Host", "[]", "Host"},
        {"Host", "[::1]x", "Host"},
        {"Host", "[a/b]", "Host"},
        {"Transfer-Encoding", "gzip", "chunked"},
        {"Transfer-Encoding", "chunked, chunked", "chunked"},
        {"Transfer-Encoding", "", "chunked"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        http_headers headers = {0};
        ra_fails(add(&headers, table[i].name, table[i].value, &err), RA_ERR_FORMAT, table[i].expected);
    }
    http_headers headers = {0};
    ra_fails(http_headers_add(&headers, "X", 1, "a\0b", 3, &err), RA_ERR_FORMAT, "control");
}
END_TEST

START_TEST(test_takes_every_host) {
    static const char *const hosts[] = {"x",     "a.example:8080",        "127.0.0.1:80",
                                        "[::1]", "[fe80::1%25eth0]:443",  "a_b-c.d",
                                        "a:",    "xn--bcher-kva.example", "b%C3%BC"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        http_headers headers = {0};
        ra_ok(add(&headers, "Host", hosts[i], &err));
    }
}
END_TEST

START_TEST(test_refuses_twice_what_may_stand_once) {
    static const char *const once[][2] = {
        {"Host", "x"}, {"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}};
    for (size_t i = 0; i < sizeof once / sizeof *once; i++) {
        http_headers headers = {0};
        ra_ok(add(&headers, once[i][0], once[i][1], &err));
        ra_fails(add(&headers, once[i][0], once[i][1], &err), RA_ERR_FORMAT, "twice");
    }
}
END_TEST

START_TEST(test_refuses_headers_that_contradict_each_other) {
    http_headers both = {.has_host = true, .has_length = true, .chunked = true};
    ra_fails(http_headers_finish(&both, true, &err), RA_ERR_FORMAT, "both");
    http_headers old = {.has_host = true, .chunked = true};
    ra_fails(http_headers_finish(&old, false, &err), RA_ERR_FORMAT, "HTTP/1.0");
    ra_ok(http_headers_finish(&old, true, &err));
    http_headers nobody = {0};
    ra_fails(http_headers_finish(&nobody, true, &err), RA_ERR_FORMAT, "Host");
    ra_ok(http_headers_finish(&nobody, false, &err));
}
END_TEST

START_TEST(test_an_endless_length_is_over_every_limit) {
    static const char *const lengths[] = {"18446744073709551616", "99999999999999999999999999999999"};
    for (size_t i = 0; i < 2; i++) {
        http_headers headers = {0};
        ra_ok(add(&headers, "Content-Length", lengths[i], &err));
        ck_assert(headers.length == UINT64_MAX);
    }
}
END_TEST

START_TEST(test_refuses_too_many_headers_and_too_long_ones) {
    http_headers many = {0}, large = {0};
    static char value[HTTP_MAX_HEADER_BYTES];
    for (int i = 0; i < HTTP_MAX_HEADERS; i++) ra_ok(add(&many, "X", "y", &err));
    ck_assert_uint_eq(many.count, HTTP_MAX_HEADERS);
    ra_error failure = {0};
    ck_assert_int_eq(add(&many, "X", "y", &failure), RA_ERR_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(failure.message, "100 headers"));
    ck_assert_int_eq(failure.facts.kind, PROBLEM_HEADERS_TOO_LARGE);
    memset(value, 'y', sizeof value);
    ra_ok(http_headers_add(&large, "X", 1, value, sizeof value - 1, &err));
    ck_assert_int_eq(add(&large, "X", "", &failure), RA_ERR_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(failure.message, "16384 bytes"));
    ck_assert_int_eq(failure.facts.kind, PROBLEM_HEADERS_TOO_LARGE);
}
END_TEST

START_TEST(test_the_first_line) {
    static const char *const bad[] = {"", "G@T", "G T", "GET/", "G\x80T", "\"GET\""};
    static char target[HTTP_MAX_TARGET + 2];
    memset(target, '/', HTTP_MAX_TARGET);
    ra_ok(http_headers_first_line("M-SEARCH", target, &err));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ra_fails(http_headers_first_line(bad[i], "/", &err), RA_ERR_FORMAT, "method");
    target[HTTP_MAX_TARGET] = '/';
    ra_error failure = {0};
    ck_assert_int_eq(http_headers_first_line("GET", target, &failure), RA_ERR_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(failure.message, "8193 bytes"));
    ck_assert_int_eq(failure.facts.kind, PROBLEM_TARGET_TOO_LONG);
}
END_TEST

TEST_CASES(headers, test_refuses_too_many_headers_and_too_long_ones, test_the_first_line,
           test_keeps_what_someone_looks_at, test_refuses_a_bad_header, test_takes_every_host,
           test_refuses_twice_what_may_stand_once, test_refuses_headers_that_contradict_each_other,
           test_an_endless_length_is_over_every_limit)
