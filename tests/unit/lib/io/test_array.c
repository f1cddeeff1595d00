#include "harness.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <dirent.h>
#include <string.h>

static const float numbers[6] = {1, 2, 3, 4, 5, 6};

static const char *write_npy(const char *name) {
    const char *path = test_path(name);
    ra_tensor tensor = ra_tensor_2d(RA_F32, numbers, 2, 3);
    ra_ok(ra_npy_write(path, &tensor, &err));
    return path;
}

static const char *write_safetensors(const char *name, size_t tensors) {
    static const char *const names[] = {"a", "b", "c"};
    const char *path = test_path(name);
    ra_safetensors_writer *writer = NULL;
    ra_ok(ra_safetensors_writer_new(&writer, &err));
    for (size_t i = 0; i < tensors; i++) {
        ra_tensor tensor = ra_tensor_1d(RA_F32, numbers, i + 1);
        ra_ok(ra_safetensors_writer_tensor(writer, names[i], &tensor, &err));
    }
    ra_ok(ra_safetensors_writer_write(writer, path, &err));
    ra_safetensors_writer_free(writer);
    return path;
}

static const char *write_raw(const char *name, const char *header, size_t data) {
    char file[512] = {0};
    size_t length = strlen(header);
    file[0] = (char)length;
    memcpy(file + 8, header, length);
    return test_write(name, file, 8 + length + data);
}

START_TEST(test_the_kind_is_told_by_content) {
    ra_array *array = NULL;
    const char *path = write_npy("npy.safetensors");
    ra_ok(ra_array_open(path, NULL, &array, &err));
    ck_assert_str_eq(ra_array_path(array), path);
    ck_assert_int_eq(ra_array_tensor(array)->rank, 2);
    ck_assert_mem_eq(ra_array_tensor(array)->data, numbers, sizeof numbers);
    ra_array_free(array);
    ra_ok(ra_array_open(write_safetensors("safetensors.npy", 1), NULL, &array, &err));
    ck_assert_uint_eq(ra_array_tensor(array)->shape[0], 1);
    ra_array_free(array);
    ra_array_free(NULL);
}
END_TEST

START_TEST(test_a_tensor_is_chosen_by_name) {
    ra_array *array = NULL;
    const char *path = write_safetensors("three", 3);
    ra_ok(ra_array_open(path, "b", &array, &err));
    ck_assert_uint_eq(ra_array_tensor(array)->shape[0], 2);
    ck_assert_mem_eq(ra_array_tensor(array)->data, numbers, 2 * sizeof *numbers);
    ra_array_free(array);
    array = NULL;
    ra_fails(ra_array_open(path, "d", &array, &err), RA_ERR_NOT_FOUND, "no tensor \"d\"; it has a, b, c");
    ra_fails(ra_array_open(path, NULL, &array, &err), RA_ERR_ARGUMENT, "several tensors (\"a\", \"b\"...)");
    ra_fails(ra_array_open(write_safetensors("none", 0), NULL, &array, &err), RA_ERR_NOT_FOUND, "no tensors");
    ra_fails(ra_array_open(write_npy("a.npy"), "a", &array, &err), RA_ERR_ARGUMENT,
             "has no name; leave \"a\" out");
    ck_assert_ptr_null(array);
}
END_TEST

START_TEST(test_foreign_tensors_count_when_one_is_to_be_guessed) {
    static const char one[] = "{\"m\":{\"dtype\":\"BOOL\",\"shape\":[4],\"data_offsets\":[0,4]}}";
    static const char mixed[] = "{\"m\":{\"dtype\":\"BOOL\",\"shape\":[4],\"data_offsets\":[0,4]},"
                                "\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]}}";
    static const char two[] = "{\"m\":{\"dtype\":\"BOOL\",\"shape\":[4],\"data_offsets\":[0,4]},"
                              "\"n\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[4,6]}}";
    ra_array *array = NULL;
    ra_fails(ra_array_open(write_raw("one", one, 4), NULL, &array, &err), RA_ERR_DTYPE, "\"m\" is BOOL [4]");
    ra_fails(ra_array_open(write_raw("mixed", mixed, 6), NULL, &array, &err), RA_ERR_ARGUMENT,
             "\"x\", \"m\"");
    ra_fails(ra_array_open(write_raw("two", two, 6), NULL, &array, &err), RA_ERR_ARGUMENT, "\"m\", \"n\"");
    ra_ok(ra_array_open(write_raw("mixed", mixed, 6), "x", &array, &err));
    ra_array_free(array);
}
END_TEST

START_TEST(test_refuses_other_files) {
    ra_array *array = NULL;
    ra_fails(ra_array_open(test_path("missing"), NULL, &array, &err), RA_ERR_NOT_FOUND, "missing");
    ra_fails(ra_array_open(test_folder(), NULL, &array, &err), RA_ERR_ARGUMENT, "directory");
    ra_fails(ra_array_open(test_write("empty", "", 0), NULL, &array, &err), RA_ERR_FORMAT, "is empty");
    ra_fails(ra_array_open(test_write("csv", "1,2\n3,4\n5,6\n", 12), NULL, &array, &err), RA_ERR_FORMAT,
             "a table of numbers in text. In Python: numpy.save('");
    ra_fails(ra_array_open(test_write("x", "\x93NUM", 4), NULL, &array, &err), RA_ERR_FORMAT,
             "none of the files that can be read: .npy, .npz, .safetensors");
    ra_fails(ra_array_open(test_write("z.npz", "PK\x03\x04....", 8), NULL, &array, &err), RA_ERR_FORMAT,
             "zip archive");
    ra_fails(ra_array_open(test_write("t", "\x93NUMPY\x01\x00", 8), NULL, &array, &err), RA_ERR_FORMAT,
             "truncated");
    ra_fails(ra_array_open(test_write("s", "\xff\0\0\0\0\0\0\0{}", 10), NULL, &array, &err), RA_ERR_FORMAT,
             "255 bytes, but only 2 follow");
    ck_assert_ptr_null(array);
}
END_TEST

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

START_TEST(test_opens_every_golden_array) {
    DIR *folder = opendir("tests/golden");
    ck_assert_ptr_nonnull(folder);
    int opened = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!ends_with(entry->d_name, ".npy")) continue;
        ra_array *array = NULL;
        ra_ok(ra_array_open(test_golden(entry->d_name), NULL, &array, &err));
        const ra_tensor *x = ra_array_tensor(array);
        ck_assert_int_eq(x->dtype, RA_F32);
        ck_assert_int_eq(x->rank, 2);
        ck_assert_uint_eq(ra_find_not_finite(x->data, ra_tensor_elements(x)), ra_tensor_elements(x));
        ra_array_free(array);
        opened++;
    }
    closedir(folder);
    ck_assert_int_ge(opened, 7);
}
END_TEST

START_TEST(test_short_memory_is_an_error) {
    const char *paths[] = {write_npy("a.npy"), write_safetensors("a.safetensors", 1)};
    for (int i = 0; i < 2; i++)
        for (size_t n = 1;; n++) {
            ra_array *array = NULL;
            ck_assert_uint_lt(n, 100);
            ra_memory_fail_at(n);
            ra_status status = ra_array_open(paths[i], NULL, &array, NULL);
            ra_memory_fail_at(0);
            ra_array_free(array);
            if (status == RA_OK) break;
            ck_assert_int_eq(status, RA_ERR_MEMORY);
        }
}
END_TEST

TEST_CASES(array, test_the_kind_is_told_by_content, test_a_tensor_is_chosen_by_name,
           test_foreign_tensors_count_when_one_is_to_be_guessed, test_refuses_other_files,
           test_opens_every_golden_array, test_short_memory_is_an_error)
