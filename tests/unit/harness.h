/* harness.h - what every unit test file includes.
 *
 * A test has the name of its source and lies in the same folder below tests/unit (tests/README.md). It ends with
 *
 *     TEST_CASES(npy, test_round_trip, test_refuses_fortran_order)
 *
 * which registers its suite; nothing else has to be edited. To check one call: ra_ok(call) prints the message of
 * a failure, ra_fails(call, RA_ERR_SHAPE, "expected [3, 4]") expects that code and that text in the message.
 */
#ifndef RA_TEST_HARNESS_H
#define RA_TEST_HARNESS_H

#include "ra_status.h"
#include "ra_tensor.h"

#include <check.h>
#include <stddef.h>
#include <stdint.h>

/* What takes a second without a sanitizer may take so many with one. */
#ifdef RA_SANITIZE
#define TEST_SLOWER 5
#else
#define TEST_SLOWER 1
#endif

typedef struct test_suite {
    const char *name;
    const TTest *const *tests;
    size_t count;
    double timeout;      /* seconds per test; at least those of main.c */
    int loops;           /* tests run with _i = 0..loops-1; 0: once */
    void (*begin)(void); /* optional, called before all suites if this one will run; such suites come last */
    struct test_suite *next;
} test_suite;

void test_suite_register(test_suite *suite);

#define TEST_CASES_LOOP(subject, seconds, times, ...)                                                        \
    __attribute__((constructor)) static void subject##_register(void) {                                      \
        const TTest *const tests[] = {__VA_ARGS__};                                                          \
        static const TTest *kept[sizeof tests / sizeof *tests];                                              \
        static test_suite suite = {#subject, kept, sizeof kept / sizeof *kept, seconds, times, NULL, NULL};  \
        for (size_t i = 0; i < suite.count; i++) kept[i] = tests[i];                                         \
        test_suite_register(&suite);                                                                         \
    }
#define TEST_CASES(subject, ...) TEST_CASES_LOOP(subject, 0, 0, __VA_ARGS__)
#define TEST_CASES_SLOW(subject, seconds, ...) TEST_CASES_LOOP(subject, seconds, 0, __VA_ARGS__)

#define ra_ok(call)                                                                                          \
    do {                                                                                                     \
        ra_error err = {0};                                                                                  \
        ra_status ra_ok_status_ = (call);                                                                    \
        ck_assert_msg(ra_ok_status_ == RA_OK, "%s: %s", ra_status_text(ra_ok_status_), err.message);         \
    } while (0)

/* `call` names its error argument `&err`. */
#define ra_fails(call, expected_code, expected_text)                                                         \
    do {                                                                                                     \
        ra_error err = {0};                                                                                  \
        ra_status ra_fails_status_ = (call);                                                                 \
        ck_assert_msg(ra_fails_status_ == (expected_code), "expected %s, got %s: %s",                        \
                      ra_status_name(expected_code), ra_status_name(ra_fails_status_), err.message);         \
        ck_assert_msg(err.code == (expected_code), "the code in the error differs");                         \
        ck_assert_msg(strstr(err.message, (expected_text)), "\"%s\" is not in \"%s\"", (expected_text),      \
                      err.message);                                                                          \
    } while (0)

/* ||a - b|| / ||b||, relative l2 norm; absolute when b is zero. */
double test_relative_error(const float *a, const float *b, size_t n);
#define assert_close(a, b, n, tolerance)                                                                     \
    do {                                                                                                     \
        double assert_close_error_ = test_relative_error((a), (b), (n));                                     \
        ck_assert_msg(assert_close_error_ <= (tolerance), "relative error %.3g, at most %.3g is allowed",    \
                      assert_close_error_, (double)(tolerance));                                             \
    } while (0)

/* A fresh empty folder for this test, removed with its content when the process ends; test_path() names a
 * file in it (a static buffer of several slots). test_write() creates such a file. */
const char *test_folder(void);
const char *test_path(const char *name);
const char *test_write(const char *name, const void *data, size_t size);

/* "tests/golden/<name>": tests run from the top of the source tree. */
const char *test_golden(const char *name);

/* n reproducible numbers in [-1, 1). */
void test_fill(float *values, size_t n, uint64_t seed);

#endif
