/* The targets of the fuzzer (tests/fuzz) with the inputs that it found: each reaches a part of a parser that no other does,
 * or broke something once. */
#include "fuzz/fuzz.h"
#include "harness.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORPUS "tests/fuzz/corpus/"

static glob_t folders;

static const char *name_of(size_t i) {
    return folders.gl_pathv[i] + strlen(CORPUS);
}

/* The content of a file in a block of its own size, so that a sanitizer sees who reads beyond it. */
static void give(const fuzz_target *target, const char *path) {
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file, "%s", path);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    size_t size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(size ? size : 1);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_eq(fread(bytes, 1, size, file), size);
    fclose(file);
    target->run(bytes, size);
    free(bytes);
}

START_TEST(test_what_was_found_stays_right) {
    char pattern[128];
    glob_t files;
    const fuzz_target *target = fuzz_find(name_of((size_t)_i));
    ck_assert_msg(target, "%s has no target", folders.gl_pathv[_i]);
    snprintf(pattern, sizeof pattern, CORPUS "%s/*", target->name);
    ck_assert_int_eq(glob(pattern, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        fuzz_now = files.gl_pathv[i];
        give(target, fuzz_now);
    }
    globfree(&files);
}
END_TEST

START_TEST(test_every_target_has_inputs) {
    size_t count = 0;
    for (const fuzz_target *target = fuzz_targets(); target; target = target->next) count++;
    ck_assert_uint_gt(count, 0);
    ck_assert_uint_eq(count, folders.gl_pathc);
}
END_TEST

__attribute__((constructor)) static void find_corpora(void) {
    (void)glob(CORPUS "*", 0, NULL, &folders);
    static const TTest *tests[1];
    static test_suite suite = {"fuzz", tests, 1, 0, 0, NULL, NULL};
    tests[0] = test_what_was_found_stays_right;
    suite.loops = (int)folders.gl_pathc;
    if (suite.loops) test_suite_register(&suite);
}

TEST_CASES(fuzz_targets, test_every_target_has_inputs)
