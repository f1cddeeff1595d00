/* npz files that lib/io/npz_write.c writes, read by lib/io/npz.c. tests/cli/test_export.py reads them with Python's zipfile. */
#include "harness.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <string.h>

static const float numbers[6] = {1, 2, 3, 4, 5, 6};
static const int64_t rows[2] = {-1, 7};

static ra_status write(const char *path, ra_error *err) {
    const char *const names[] = {"weights", "rows", "none"};
    const ra_tensor tensors[] = {ra_tensor_2d(RA_F32, numbers, 2, 3), ra_tensor_1d(RA_I64, rows, 2),
                                 ra_tensor_1d(RA_F32, numbers, 0)};
    return ra_npz_write(path, names, tensors, 3, err);
}

START_TEST(test_what_was_written) {
    static const struct {
        const char *name;
        int rank;
        size_t shape[2], bytes;
        const void *data;
    } expected[] = {{"weights", 2, {2, 3}, sizeof numbers, numbers},
                    {"rows", 1, {2}, sizeof rows, rows},
                    {"none", 1, {0}, 0, numbers}};
    ra_npz *npz = NULL;
    ra_ok(write(test_path("a.npz"), &err));
    ra_ok(ra_npz_open(test_path("a.npz"), &npz, &err));
    ck_assert_uint_eq(ra_npz_count(npz), 3);
    for (size_t i = 0; i < 3; i++) {
        ra_tensor tensor;
        void *copy = NULL;
        ck_assert_str_eq(ra_npz_name(npz, i), expected[i].name);
        ra_ok(ra_npz_read(npz, i, &tensor, &copy, &err));
        ck_assert_int_eq(tensor.rank, expected[i].rank);
        for (int r = 0; r < tensor.rank; r++) ck_assert_uint_eq(tensor.shape[r], expected[i].shape[r]);
        ck_assert_uint_eq(ra_tensor_bytes(&tensor), expected[i].bytes);
        ck_assert(memcmp(tensor.data, expected[i].data, expected[i].bytes) == 0);
        ra_free(copy);
    }
    ra_npz_free(npz);
}
END_TEST

START_TEST(test_what_cannot_be_written) {
    char name[200];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    const char *const names[] = {name};
    const ra_tensor bf16 = ra_tensor_1d(RA_BF16, numbers, 2), f32 = ra_tensor_1d(RA_F32, numbers, 2);
    ra_fails(ra_npz_write(test_path("b.npz"), names, &f32, 1, &err), RA_ERR_ARGUMENT, "at most 100 bytes");
    ra_fails(ra_npz_write(test_path("b.npz"), (const char *const[]){"b"}, &bf16, 1, &err), RA_ERR_DTYPE,
             "no type for BF16");
    ra_fails(ra_npz_write(test_path("no/b.npz"), (const char *const[]){"b"}, &f32, 1, &err), RA_ERR_NOT_FOUND,
             "there is no directory");
}
END_TEST

START_TEST(test_every_failed_allocation_is_reported_and_cleaned_up) {
    for (size_t n = 1;; n++) {
        ra_error err = {0};
        ra_memory_fail_at(n);
        ra_status status = write(test_path("c.npz"), &err);
        ra_memory_fail_at(0);
        if (status == RA_OK) {
            ck_assert_uint_gt(n, 4);
            break;
        }
        ck_assert_msg(status == RA_ERR_MEMORY && err.code == status, "allocation %zu: %s", n, err.message);
    }
}
END_TEST

TEST_CASES(npz, test_what_was_written, test_what_cannot_be_written,
           test_every_failed_allocation_is_reported_and_cleaned_up)
