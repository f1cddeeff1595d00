#include "harness.h"
#include "ra_io.h"

#include <stdio.h>
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

TEST_CASES(mapping, test_maps_the_content, test_an_empty_file_is_no_error, test_the_content_outlives_its_name,
           test_refuses_what_is_no_regular_file, test_leaves_no_descriptor_open)
