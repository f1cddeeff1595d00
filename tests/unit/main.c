/* The one test runner. `unit` runs everything, `unit --fast` leaves the programs and their clients out
 * (tests/README.md). Environment: CK_RUN_SUITE=npy runs one suite, CK_FORK=no helps a debugger. */
#include "harness.h"
#include "app/start.h"

#include "base/random.h"

#include <ftw.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Every test has so long: what takes a second may take many on a busy machine, and more under a sanitizer. */
enum { SECONDS_LEAST = 60 };

static test_suite *suites;

/* In the order of their names, whatever order the linker chose; those that begin early come last. */
static bool comes_before(const test_suite *a, const test_suite *b) {
    if (!a->begin != !b->begin) return !a->begin;
    return strcmp(a->name, b->name) < 0;
}

void test_suite_register(test_suite *suite) {
    test_suite **place = &suites;
    while (*place && comes_before(*place, suite)) place = &(*place)->next;
    suite->next = *place;
    *place = suite;
}

double test_relative_error(const float *a, const float *b, size_t n) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        double gap = (double)a[i] - (double)b[i];
        difference += gap * gap;
        norm += (double)b[i] * (double)b[i];
    }
    if (isnan(difference)) return INFINITY;
    return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

void test_fill(float *values, size_t n, uint64_t seed) {
    ra_random random;
    ra_random_seed(&random, seed);
    for (size_t i = 0; i < n; i++) values[i] = (float)(2 * ra_random_unit(&random) - 1);
}

/* ---- files of a test ----------------------------------------------------------------------------------- */

static char folder[256];
static pid_t folder_owner;

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info, (void)type, (void)where;
    return remove(path);
}

static void remove_folder(void) {
    if (folder_owner == getpid()) nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *test_folder(void) {
    if (folder_owner != getpid()) {
        const char *base = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/rasae-test-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(folder)) { /* no assertion: a suite may begin before any test runs */
            perror(folder);
            abort();
        }
        folder_owner = getpid();
        atexit(remove_folder);
    }
    return folder;
}

static const char *slot(const char *first, const char *second) {
    static char slots[8][512];
    static int next;
    char *buffer = slots[next++ % 8];
    snprintf(buffer, sizeof slots[0], "%s/%s", first, second);
    return buffer;
}

const char *test_path(const char *name) {
    return slot(test_folder(), name);
}

const char *test_write(const char *name, const void *data, size_t size) {
    const char *path = test_path(name);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

const char *test_golden(const char *name) {
    return slot("tests/golden", name);
}

/* ---- runner -------------------------------------------------------------------------------------------- */

static Suite *make_suite(const test_suite *from) {
    Suite *suite = suite_create(from->name);
    TCase *tcase = tcase_create(from->name);
    tcase_set_timeout(tcase, TEST_SLOWER * fmax(from->timeout, SECONDS_LEAST));
    for (size_t i = 0; i < from->count; i++) {
        if (from->loops)
            tcase_add_loop_test(tcase, from->tests[i], 0, from->loops);
        else
            tcase_add_test(tcase, from->tests[i]);
    }
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(int argc, char **argv) {
    start_with_blas(argv);
    bool fast = argc > 1 && strcmp(argv[1], "--fast") == 0;
    const char *only = getenv("CK_RUN_SUITE");
    SRunner *runner = srunner_create(NULL);
    for (const test_suite *suite = suites; suite; suite = suite->next) {
        if (fast && suite->begin) continue;
        if (suite->begin && (!only || strcmp(only, suite->name) == 0)) suite->begin();
        srunner_add_suite(runner, make_suite(suite));
    }
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
