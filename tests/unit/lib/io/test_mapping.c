#include "harness.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

START_TEST(test_maps_the_content) {
    ra_mapping mapping;
    ra_ok(ra_mapping_open(test_write("a", "hello", 5), &mapping, &err));
    ck_assert_uint_eq(mapping.size, 5);
    ck_assert_mem_eq(mapping.data, "hello", 5);
    ra_mapping_close(&mapping);
    ck_assert_ptr_null(mapping.data);
    ck_assert_uint_eq(mapping.size, 0);
    ra_mapping_close(&mapping); /* closing twice is fine */
}
END_TEST

START_TEST(test_an_empty_file_is_no_error) {
    ra_mapping mapping;
    ra_ok(ra_mapping_open(test_write("empty", "", 0), &mapping, &err));
    ck_assert_ptr_null(mapping.data);
    ck_assert_uint_eq(mapping.size, 0);
    ra_mapping_close(&mapping);
}
END_TEST

START_TEST(test_the_content_outlives_its_name) {
    ra_mapping mapping;
    const char *path = test_write("old", "old content", 11);
    ra_ok(ra_mapping_open(path, &mapping, &err));
    ck_assert_int_eq(rename(test_write("new", "new", 3), path), 0);
    ck_assert_mem_eq(mapping.data, "old content", 11);
    ra_mapping_close(&mapping);
}
END_TEST

START_TEST(test_refuses_what_is_no_regular_file) {
    ra_mapping mapping;
    test_write("plain", "x", 1);
    ra_fails(ra_mapping_open(test_path("missing"), &mapping, &err), RA_ERR_NOT_FOUND, "missing");
    ra_fails(ra_mapping_open(test_path("plain/below"), &mapping, &err), RA_ERR_NOT_FOUND, "plain/below");
    ra_fails(ra_mapping_open("", &mapping, &err), RA_ERR_NOT_FOUND, "no file");
    ra_fails(ra_mapping_open(test_folder(), &mapping, &err), RA_ERR_ARGUMENT, "is a directory");
    ra_fails(ra_mapping_open("/dev/null", &mapping, &err), RA_ERR_ARGUMENT, "not a regular file");
    const char *pipe = test_path("pipe");
    ck_assert_int_eq(mkfifo(pipe, 0600), 0);
    ra_fails(ra_mapping_open(pipe, &mapping, &err), RA_ERR_ARGUMENT,
             "not a regular file"); /* and no waiting */
    char longer[5000];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    ra_fails(ra_mapping_open(longer, &mapping, &err), RA_ERR_IO, "cannot open");
    ck_assert_ptr_null(mapping.data);
}
END_TEST

START_TEST(test_leaves_no_descriptor_open) {
    int before = dup(0), after;
    close(before);
    ra_mapping mapping;
    ra_ok(ra_mapping_open(test_write("a", "hello", 5), &mapping, &err));
    ra_fails(ra_mapping_open(test_folder(), &(ra_mapping){0}, &err), RA_ERR_ARGUMENT, "directory");
    after = dup(0);
    close(after);
    ck_assert_int_eq(before, after);
    ra_mapping_close(&mapping);
}
END_TEST

/* ---- files that change --------------------------------------------------------------------------------- */

enum { LARGE = 3 * 4096 + 100 };

static const char *write_large(const char *name, char fill) {
    static char content[LARGE];
    memset(content, fill, sizeof content);
    return test_write(name, content, sizeof content);
}

/* Writes one byte in place; with `back`, sets the time of the file back to what it was. */
static void overwrite(const char *path, off_t at, bool back) {
    struct stat before;
    ck_assert_int_eq(stat(path, &before), 0);
    int fd = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "!", 1, at), 1);
    const struct timespec times[] = {before.st_atim, before.st_mtim};
    if (back) ck_assert_int_eq(futimens(fd, times), 0);
    close(fd);
}

/* A clock of files ticks every few milliseconds. */
static void let_the_clock_tick(void) {
    usleep(20000);
}

typedef ra_status opener(const char *path, ra_mapping *mapping, ra_error *err);

static ra_status open_steady(const char *path, ra_mapping *mapping, ra_error *err) {
    return ra_mapping_open_steady(path, LARGE - 1, mapping, err);
}

static opener *const openers[] = {ra_mapping_open, open_steady};

START_TEST(test_writing_in_place_is_noticed) {
    for (size_t i = 0; i < 2; i++) {
        ra_mapping mapping;
        const char *path = write_large("acts.npy", 'a');
        let_the_clock_tick();
        ra_ok(openers[i](path, &mapping, &err));
        ra_ok(ra_mapping_check(&mapping, &err));
        overwrite(path, 5000, false);
        ra_fails(ra_mapping_check(&mapping, &err), RA_ERR_CHANGED,
                 "acts.npy was written while it was in use");
        ra_mapping_close(&mapping);
    }
}
END_TEST

START_TEST(test_a_file_that_grows_is_noticed) {
    for (size_t i = 0; i < 2; i++) {
        ra_mapping mapping;
        const char *path = write_large("acts.npy", 'a');
        ra_ok(openers[i](path, &mapping, &err));
        ck_assert_int_eq(truncate(path, LARGE + 1), 0);
        ra_fails(ra_mapping_check(&mapping, &err), RA_ERR_CHANGED, "was written");
        ra_mapping_close(&mapping);
    }
}
END_TEST

START_TEST(test_another_name_owner_or_mode_changes_nothing) {
    for (size_t i = 0; i < 2; i++) {
        ra_mapping mapping;
        const char *path = write_large("a", 'a');
        ra_ok(openers[i](path, &mapping, &err));
        ck_assert_int_eq(chmod(path, 0600), 0);
        ra_ok(ra_mapping_check(&mapping, &err));
        ck_assert_int_eq(link(path, test_path("b")), 0);
        ra_ok(ra_mapping_check(&mapping, &err));
        ck_assert_int_eq(unlink(test_path("b")), 0);
        ck_assert_int_eq(rename(write_large("new", 'n'), path), 0); /* this is how files are replaced */
        ra_ok(ra_mapping_check(&mapping, &err));
        ck_assert_int_eq(unlink(path), 0);
        ra_ok(ra_mapping_check(&mapping, &err));
        ra_ok(ra_mapping_check_all(&err));
        ra_mapping_close(&mapping);
    }
}
END_TEST

START_TEST(test_a_steady_mapping_compares_the_content) {
    ra_mapping mapping;
    const char *path = write_large("a", 'a');
    ra_ok(open_steady(path, &mapping, &err));
    ck_assert(!mapping.copied);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(utimensat(AT_FDCWD, path, NULL, 0), 0); /* touch: another time, the same content */
        ra_ok(ra_mapping_check(&mapping, &err));
    }
    overwrite(path, 100, true);
    ra_fails(ra_mapping_check(&mapping, &err), RA_ERR_CHANGED, "was written");
    ra_fails(ra_mapping_check(&mapping, &err), RA_ERR_CHANGED, "was written");
    ra_mapping_close(&mapping);
}
END_TEST

START_TEST(test_a_small_steady_file_is_copied) {
    ra_mapping mapping;
    const char *path = write_large("a", 'a');
    ra_ok(ra_mapping_open_steady(path, LARGE, &mapping, &err));
    ck_assert(mapping.copied);
    ck_assert_uint_eq(mapping.size, LARGE);
    ck_assert_int_eq(truncate(path, 0), 0);
    for (size_t i = 0; i < LARGE; i++) ck_assert_int_eq(((const char *)mapping.data)[i], 'a');
    ra_ok(ra_mapping_check(&mapping, &err));
    ra_mapping_close(&mapping);
    ra_ok(ra_mapping_open_steady(path, LARGE, &mapping, &err));
    ck_assert_uint_eq(mapping.size, 0);
    ra_mapping_close(&mapping);
    ra_fails(ra_mapping_open_steady(test_path("missing"), 9, &mapping, &err), RA_ERR_NOT_FOUND, "missing");
    ra_fails(ra_mapping_open_steady(test_folder(), 9, &mapping, &err), RA_ERR_ARGUMENT, "is a directory");
}
END_TEST

START_TEST(test_the_digest_is_that_of_the_bytes_when_it_was_opened) {
    const char *path = write_large("a", 'a');
    char expected[RA_DIGEST_SIZE], digest[RA_DIGEST_SIZE];
    ra_mapping plain, copied, steady;
    ra_ok(ra_mapping_open(path, &plain, &err));
    ra_digest(plain.data, plain.size, expected);
    ra_mapping_digest(&plain, digest);
    ck_assert_str_eq(digest, expected);
    ra_mapping_close(&plain);
    ra_ok(ra_mapping_open_steady(path, LARGE, &copied, &err));
    ra_ok(open_steady(path, &steady, &err));
    overwrite(path, 100, false);
    ra_mapping_digest(&copied, digest);
    ck_assert_str_eq(digest, expected);
    ra_mapping_digest(&steady, digest);
    ck_assert_str_eq(digest, expected);
    ra_mapping_close(&copied);
    ra_mapping_close(&steady);
}
END_TEST

START_TEST(test_a_steady_mapping_keeps_one_descriptor) {
    ra_mapping mapping;
    int before = dup(0), after;
    close(before);
    ra_ok(open_steady(write_large("a", 'a'), &mapping, &err));
    ra_mapping_close(&mapping);
    ra_ok(ra_mapping_open_steady(test_path("a"), LARGE, &mapping, &err));
    after = dup(0);
    close(after);
    ck_assert_int_eq(before, after);
    ra_mapping_close(&mapping);
}
END_TEST

START_TEST(test_all_files_are_checked_also_those_that_were_closed) {
    ra_mapping a, b;
    const char *path = write_large("a", 'a');
    ra_ok(ra_mapping_open(path, &a, &err));
    ra_ok(ra_mapping_open(write_large("b", 'b'), &b, &err));
    ra_ok(ra_mapping_check_all(&err));
    ck_assert_int_eq(truncate(path, LARGE / 2), 0);
    ra_ok(ra_mapping_check(&b, &err));
    ra_fails(ra_mapping_check_all(&err), RA_ERR_CHANGED, "/a was written");
    ra_mapping_close(&a);
    ra_mapping_close(&b);
    ra_fails(ra_mapping_check_all(&err), RA_ERR_CHANGED, "/a was written");
}
END_TEST

START_TEST(test_opening_fails_cleanly_when_memory_is_short) {
    write_large("a", 'a');
    for (size_t i = 0; i < 2; i++) {
        ra_status status = RA_ERR_MEMORY;
        for (size_t n = 1; status != RA_OK; n++) {
            ra_mapping mapping;
            ra_memory_fail_at(n);
            status = openers[i](test_path("a"), &mapping, NULL);
            ra_memory_fail_at(0);
            ck_assert(status == RA_OK || status == RA_ERR_MEMORY);
            ra_mapping_close(&mapping);
        }
    }
}
END_TEST

/* Pages of mapped files that the process holds. */
static size_t mapped_pages(void) {
    size_t count = 0;
    FILE *status = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(status);
    ck_assert_int_eq(fscanf(status, "%*u %*u %zu", &count), 1);
    fclose(status);
    return count;
}

/* The memory of what has been read is given back, and reading it again gives the same. Memory that is no mapping stays. */
START_TEST(test_what_is_done_with) {
    enum { PAGES = 1000 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = PAGES * page, sum = 0;
    char *content = ra_malloc(size, 1);
    memset(content, 7, size);
    ra_mapping mapping;
    ra_ok(ra_mapping_open(test_write("large", content, size), &mapping, &err));
    const char *bytes = mapping.data;
    for (size_t i = 0; i < PAGES; i++) sum += (size_t)bytes[i * page];
    size_t before = mapped_pages();
    ra_mapping_advise(bytes + 1, size - 1, RA_ACCESS_DONE);
    ck_assert_uint_ge(before, mapped_pages() + PAGES - 100);
    for (size_t i = 0; i < PAGES; i++) sum += (size_t)bytes[i * page];
    ck_assert_uint_eq(sum, 2 * 7 * PAGES);
    ra_mapping_advise(content, size, RA_ACCESS_DONE);
    for (size_t i = 0; i < size; i++) ck_assert_int_eq(content[i], 7);
    ra_mapping_close(&mapping);
    ra_free(content);
}
END_TEST

TEST_CASES(mapping, test_what_is_done_with, test_maps_the_content, test_an_empty_file_is_no_error,
           test_the_content_outlives_its_name, test_refuses_what_is_no_regular_file,
           test_leaves_no_descriptor_open, test_writing_in_place_is_noticed,
           test_a_file_that_grows_is_noticed, test_another_name_owner_or_mode_changes_nothing,
           test_a_steady_mapping_compares_the_content, test_a_small_steady_file_is_copied,
           test_the_digest_is_that_of_the_bytes_when_it_was_opened,
           test_a_steady_mapping_keeps_one_descriptor, test_all_files_are_checked_also_those_that_were_closed,
           test_opening_fails_cleanly_when_memory_is_short)
