#include "harness.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- round trips --------------------------------------------------------------------------------------- */

static const size_t shape[4] = {3, 2, 5, 4};
static unsigned char bytes[3 * 2 * 5 * 4 * 8] __attribute__((aligned(8)));

static ra_tensor make(ra_dtype dtype, int rank) {
    ra_tensor tensor = {.dtype = dtype, .rank = rank, .data = bytes};
    for (int i = 0; i < rank; i++) tensor.shape[i] = shape[i];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 37 + 11);
    return tensor;
}

static void assert_same(const ra_tensor *a, const ra_tensor *b) {
    ck_assert_int_eq(a->dtype, b->dtype);
    ck_assert_int_eq(a->rank, b->rank);
    for (int i = 0; i < a->rank; i++) ck_assert_uint_eq(a->shape[i], b->shape[i]);
    ck_assert_uint_eq((uintptr_t)a->data % ra_dtype_size(a->dtype), 0);
    if (ra_tensor_bytes(b)) ck_assert_mem_eq(a->data, b->data, ra_tensor_bytes(b));
}

START_TEST(test_round_trip_of_every_type_and_rank) {
    const char *path = test_path("a.npy");
    for (int dtype = 0; dtype < RA_DTYPE_COUNT; dtype++)
        for (int rank = 0; rank <= 4 && dtype != RA_BF16; rank++) {
            ra_npy *npy = NULL;
            ra_tensor tensor = make((ra_dtype)dtype, rank);
            ra_ok(ra_npy_write(path, &tensor, &err));
            ra_ok(ra_npy_open(path, &npy, &err));
            assert_same(ra_npy_tensor(npy), &tensor);
            ra_npy_free(npy);
        }
    ra_npy_free(NULL);
}
END_TEST

START_TEST(test_round_trip_of_nothing) {
    static const size_t empty[][2] = {{0, 4}, {4, 0}, {0, 0}};
    for (size_t i = 0; i < 3; i++) {
        ra_npy *npy = NULL;
        ra_tensor tensor = ra_tensor_2d(RA_F64, NULL, empty[i][0], empty[i][1]);
        ra_ok(ra_npy_write(test_path("empty.npy"), &tensor, &err));
        ra_ok(ra_npy_open(test_path("empty.npy"), &npy, &err));
        assert_same(ra_npy_tensor(npy), &tensor);
        ra_npy_free(npy);
    }
}
END_TEST

START_TEST(test_the_header_is_what_numpy_writes) {
    static const struct {
        ra_tensor tensor;
        const char *text;
    } cases[] = {
        {{RA_F32, 2, {3, 4}, bytes}, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }"},
        {{RA_F16, 1, {7}, bytes}, "{'descr': '<f2', 'fortran_order': False, 'shape': (7,), }"},
        {{RA_U8, 0, {0}, bytes}, "{'descr': '|u1', 'fortran_order': False, 'shape': (), }"},
        {{RA_I64, 3, {1, 2, 3}, bytes}, "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 2, 3), }"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void *header = NULL;
        size_t size = 0, length = strlen(cases[i].text);
        ra_ok(ra_npy_header(&cases[i].tensor, &header, &size, &err));
        const unsigned char *text = header;
        ck_assert_uint_eq(size % 64, 0);
        ck_assert_mem_eq(text, "\x93NUMPY\x01\x00", 8);
        ck_assert_uint_eq(text[8] + 256u * text[9], size - 10);
        ck_assert_mem_eq(text + 10, cases[i].text, length);
        for (size_t at = 10 + length; at < size - 1; at++) ck_assert_int_eq(text[at], ' ');
        ck_assert_int_eq(text[size - 1], '\n');
        ra_free(header);
    }
}
END_TEST

START_TEST(test_every_header_length_stays_aligned) {
    ra_tensor tensor = {.dtype = RA_U8, .rank = 0};
    size_t digits = 1;
    for (tensor.rank = 1; tensor.rank <= RA_MAX_RANK; tensor.rank++)
        for (tensor.shape[tensor.rank - 1] = 0, digits = 1; digits < 100000000; digits *= 10) {
            void *header = NULL;
            size_t size = 0;
            tensor.shape[0] = 0; /* no data, whatever the other sizes are */
            tensor.shape[tensor.rank - 1] = tensor.rank > 1 ? digits : 0;
            ra_ok(ra_npy_header(&tensor, &header, &size, &err));
            ck_assert_uint_eq(size % 64, 0);
            ck_assert_int_eq(((char *)header)[size - 1], '\n');
            ra_free(header);
        }
}
END_TEST

START_TEST(test_refuses_to_write_what_npy_cannot_hold) {
    ra_tensor bf16 = make(RA_BF16, 2), deep = make(RA_F32, 0), huge = make(RA_F32, 2);
    deep.rank = RA_MAX_RANK + 1;
    huge.shape[0] = huge.shape[1] = SIZE_MAX / 2;
    ra_fails(ra_npy_write(test_path("a"), &bf16, &err), RA_ERR_DTYPE, "npy has no type for BF16");
    ra_fails(ra_npy_write(test_path("a"), &deep, &err), RA_ERR_SHAPE, "9 dimensions");
    ra_fails(ra_npy_write(test_path("a"), &huge, &err), RA_ERR_TOO_LARGE, "larger than memory");
    ra_tensor fine = make(RA_F32, 2);
    ra_fails(ra_npy_write(test_path("missing/a"), &fine, &err), RA_ERR_NOT_FOUND, "no directory");
}
END_TEST

/* ---- headers by hand ----------------------------------------------------------------------------------- */

/* A file with this dictionary, padded to 64 bytes, and `size` bytes of data. */
static const char *write_raw(int major, const char *dictionary, size_t size) {
    static unsigned char file[4096];
    size_t prefix = major == 1 ? 10 : 12, length = strlen(dictionary),
           total = (prefix + length + 64) / 64 * 64;
    ck_assert_uint_le(total + size, sizeof file);
    memset(file, ' ', total);
    memset(file + total, 0x3c, size);
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (unsigned char)major;
    file[7] = file[10] = file[11] = 0;
    file[8] = (unsigned char)(total - prefix);
    file[9] = (unsigned char)((total - prefix) >> 8);
    memcpy(file + prefix, dictionary, length);
    file[total - 1] = '\n';
    return test_write("raw.npy", file, total + size);
}

#define GOOD "'fortran_order': False, "

static const struct {
    int version;
    const char *dictionary;
    size_t size; /* of the data */
    ra_dtype dtype;
    int rank;
} accepted[] = {
    {1, "{'descr': '<f4', " GOOD "'shape': (3, 4), }", 48, RA_F32, 2},
    {2, "{'descr': '<f4', " GOOD "'shape': (3, 4), }", 48, RA_F32, 2},
    {3, "{'descr': '<f4', " GOOD "'shape': (3, 4), }", 48, RA_F32, 2},
    {1, "{'shape': (3, 4,), 'descr': '<f2', 'fortran_order': False}", 24, RA_F16, 2},
    {1, "{ \"fortran_order\" : False,\"shape\":(6 ,),\n\"descr\":\"<f8\" }", 48, RA_F64, 1},
    {1, "{'descr': '=i4', " GOOD "'shape': ()}", 4, RA_I32, 0},
    {1, "{'descr': '<i8', 'fortran_order': True, 'shape': (2,)}", 16, RA_I64, 1},
    {1, "{'descr': '|u1', 'fortran_order': True, 'shape': ()}", 1, RA_U8, 0},
    {1, "{'descr': '<u1', " GOOD "'shape': (2, 0, 7)}", 0, RA_U8, 3},
    {1, "{'descr': '<f4', " GOOD "'shape': (9223372036854775808, 0, 9223372036854775808)}", 0, RA_F32, 3},
    {1, "{'descr': '<f4', " GOOD "'shape': (1, 1, 1, 1, 1, 1, 1, 2)}", 8, RA_F32, 8},
    {1, "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }", 48, RA_F32, 2},
    {1, "{'descr': '>f4', " GOOD "'shape': (3, 4), }", 48, RA_F32, 2},
    {1, "{'descr': '<i2', " GOOD "'shape': (3, 4), }", 24, RA_I16, 2},
    {1, "{'descr': '>u2', " GOOD "'shape': (3, 4), }", 24, RA_U16, 2},
    {1, "{'descr': '|i1', " GOOD "'shape': (3, 4), }", 12, RA_I8, 2},
};

START_TEST(test_accepts_every_spelling_of_a_header) {
    ra_npy *npy = NULL;
    const char *path = write_raw(accepted[_i].version, accepted[_i].dictionary, accepted[_i].size);
    ra_ok(ra_npy_open(path, &npy, &err));
    ck_assert_int_eq(ra_npy_tensor(npy)->dtype, accepted[_i].dtype);
    ck_assert_int_eq(ra_npy_tensor(npy)->rank, accepted[_i].rank);
    ck_assert_uint_eq(ra_tensor_bytes(ra_npy_tensor(npy)), accepted[_i].size);
    ra_npy_free(npy);
}
END_TEST
TEST_CASES_LOOP(npy_accepted, 0, sizeof accepted / sizeof *accepted, test_accepts_every_spelling_of_a_header)

static const struct {
    int version;
    const char *dictionary;
    size_t size;
    ra_status code;
    const char *message;
} refused[] = {
    {1, "{'descr': '<f4', " GOOD "'shape': (3, 4), }", 47, RA_ERR_FORMAT,
     "truncated: shape [3, 4] of F32 takes 48 bytes of data, but the file holds 47"},
    {1, "{'descr': '<f4', " GOOD "'shape': (3, 4), }", 49, RA_ERR_FORMAT, "too long: shape [3, 4]"},
    {1, "{'descr': '<f4', " GOOD "'shape': (3, 4), }", 0, RA_ERR_FORMAT, "truncated"},
    {1, "{'descr': '<f8', " GOOD "'shape': (3, 4), }", 48, RA_ERR_FORMAT, "takes 96 bytes"},
    {1, "{'descr': '<u4', " GOOD "'shape': (3, 4), }", 48, RA_ERR_DTYPE, "type '<u4'"},
    {1, "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }", 47, RA_ERR_FORMAT, "truncated"},
    {1, "{'descr': '|b1', " GOOD "'shape': (3, 4), }", 12, RA_ERR_DTYPE, "type '|b1'"},
    {1, "{'descr': '|f4', " GOOD "'shape': (3, 4), }", 48, RA_ERR_DTYPE, "type '|f4'"},
    {1, "{'descr': '<c8', " GOOD "'shape': (3, 4), }", 96, RA_ERR_DTYPE, "type '<c8'"},
    {1, "{'descr': '<f4x', " GOOD "'shape': (3, 4), }", 48, RA_ERR_DTYPE, "type '<f4x'"},
    {1, "{'descr': '', " GOOD "'shape': (3, 4), }", 48, RA_ERR_DTYPE, "type ''"},
    {1, "{'descr': 'f4', " GOOD "'shape': (3, 4), }", 48, RA_ERR_DTYPE, "type 'f4'"},
    {1, "{'descr': [('x', '<f4')], " GOOD "'shape': (3,), }", 12, RA_ERR_FORMAT, "structured types"},
    {1, "{'descr': 4, " GOOD "'shape': (3,), }", 12, RA_ERR_FORMAT, "a quoted string is missing"},
    {1, "{'descr': '<f4<f4<f4<f4<f4<f4', " GOOD "'shape': (3,), }", 12, RA_ERR_FORMAT,
     "not one that NumPy writes"},
    {1, "{'descr': '\\x3cf4', " GOOD "'shape': (3,), }", 12, RA_ERR_FORMAT, "not one that NumPy writes"},
    {1, "{'descr': '<f4, " GOOD "\"shape\": (3,), }", 12, RA_ERR_FORMAT, "a comma or a closing brace"},
    {1, "{'descr': '<f4', " GOOD "'shape': (3), }", 12, RA_ERR_FORMAT, "a number, not a tuple"},
    {1, "{'descr': '<f4', " GOOD "'shape': 3, }", 12, RA_ERR_FORMAT, "not a tuple"},
    {1, "{'descr': '<f4', " GOOD "'shape': [3, 4], }", 48, RA_ERR_FORMAT, "not a tuple"},
    {1, "{'descr': '<f4', " GOOD "'shape': (3L, 4L), }", 48, RA_ERR_FORMAT, "plain sizes"},
    {1, "{'descr': '<f4', " GOOD "'shape': (-3, 4), }", 48, RA_ERR_FORMAT, "plain sizes"},
    {1, "{'descr': '<f4', " GOOD "'shape': (3.0, 4), }", 48, RA_ERR_FORMAT, "plain sizes"},
    {1, "{'descr': '<f4', " GOOD "'shape': (3 4), }", 48, RA_ERR_FORMAT, "plain sizes"},
    {1, "{'descr': '<f4', " GOOD "'shape': (3,, 4), }", 48, RA_ERR_FORMAT, "plain sizes"},
    {1, "{'descr': '<f4', " GOOD "'shape': (,), }", 48, RA_ERR_FORMAT, "plain sizes"},
    {1, "{'descr': '<f4', " GOOD "'shape': (3, 4", 48, RA_ERR_FORMAT, "plain sizes"},
    {1, "{'descr': '<f4', " GOOD "'shape': (99999999999999999999,), }", 48, RA_ERR_FORMAT, "64 bits"},
    {1, "{'descr': '<f4', " GOOD "'shape': (4294967296, 4294967296), }", 0, RA_ERR_FORMAT,
     "[4294967296, 4294967296], which is larger than memory"},
    {1, "{'descr': '<f4', " GOOD "'shape': (4611686018427387904,), }", 0, RA_ERR_FORMAT,
     "larger than memory"},
    {1, "{'descr': '<f4', " GOOD "'shape': (1, 1, 1, 1, 1, 1, 1, 1, 2), }", 8, RA_ERR_SHAPE, "9 dimensions"},
    {1, "{'descr': '<f4', 'fortran_order': false, 'shape': (3,), }", 12, RA_ERR_FORMAT, "neither True nor"},
    {1, "{'descr': '<f4', 'fortran_order': 0, 'shape': (3,), }", 12, RA_ERR_FORMAT, "neither True nor"},
    {1, "{'descr': '<f4', 'shape': (3,), }", 12, RA_ERR_FORMAT, "fortran_order is missing"},
    {1, "{" GOOD "'shape': (3,), }", 12, RA_ERR_FORMAT, "descr is missing"},
    {1, "{'descr': '<f4', " GOOD "}", 12, RA_ERR_FORMAT, "shape is missing"},
    {1, "{}", 12, RA_ERR_FORMAT, "descr is missing"},
    {1, "{'descr': '<f4', 'descr': '<f4', " GOOD "'shape': (3,), }", 12, RA_ERR_FORMAT, "occurs twice"},
    {1, "{'descr': '<f4', " GOOD "'shape': (3,), 'more': 1}", 12, RA_ERR_FORMAT, "a key is not descr"},
    {1, "{'descr': '<f4', " GOOD "'shape': (3,), } x", 12, RA_ERR_FORMAT, "more after the closing brace"},
    {1, "{'descr' '<f4', " GOOD "'shape': (3,), }", 12, RA_ERR_FORMAT, "a colon is missing"},
    {1, "{'descr': '<f4' " GOOD "'shape': (3,), }", 12, RA_ERR_FORMAT, "a comma or a closing brace"},
    {1, "{, 'descr': '<f4', " GOOD "'shape': (3,), }", 12, RA_ERR_FORMAT, "a quoted string is missing"},
    {1, "('descr', '<f4')", 12, RA_ERR_FORMAT, "not a Python dictionary"},
    {1, "", 12, RA_ERR_FORMAT, "not a Python dictionary"},
    {4, "{'descr': '<f4', " GOOD "'shape': (3,), }", 12, RA_ERR_UNSUPPORTED, "version 4.0"},
    {0, "{'descr': '<f4', " GOOD "'shape': (3,), }", 12, RA_ERR_UNSUPPORTED, "version 0.0"},
};

START_TEST(test_refuses_malformed_headers) {
    ra_npy *npy = NULL;
    const char *path = write_raw(refused[_i].version, refused[_i].dictionary, refused[_i].size);
    ra_fails(ra_npy_open(path, &npy, &err), refused[_i].code, refused[_i].message);
    ra_fails(ra_npy_open(path, &npy, &err), refused[_i].code, "raw.npy");
    ck_assert_ptr_null(npy);
}
END_TEST
TEST_CASES_LOOP(npy_refused, 0, sizeof refused / sizeof *refused, test_refuses_malformed_headers)

START_TEST(test_misaligned_data_is_copied) {
    static const char file[] =
        "\x93NUMPY\x01\x00\x38\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n"
        "abcd";
    ra_npy *npy = NULL;
    const char *path = test_write("odd.npy", file, sizeof file - 1);
    ck_assert_uint_eq(sizeof file - 1, 10 + 0x38 + 4);
    ra_ok(ra_npy_open(path, &npy, &err));
    ck_assert_uint_eq((uintptr_t)ra_npy_tensor(npy)->data % 4, 0);
    ck_assert_mem_eq(ra_npy_tensor(npy)->data, "abcd", 4);
    ra_npy_free(npy);
}
END_TEST

/* Element [i, j, ...] of Fortran's order lies at i + a (j + b (...)); in either byte order. */
START_TEST(test_other_orders_are_read_as_c_order) {
    enum { A = 33, B = 3, C = 2, D = 35, N = A * B * C * D };
    static unsigned char file[128 + 2 * N];
    for (int big = 0; big < 2; big++) {
        ra_npy *npy = NULL;
        memset(file, ' ', 128);
        memcpy(file, "\x93NUMPY\x01\x00\x76\x00", 10);
        snprintf((char *)file + 10, 118,
                 "{'descr': '%ci2', 'fortran_order': True, 'shape': (%d, %d, %d, %d), }", big ? '>' : '<', A,
                 B, C, D);
        file[10 + strlen((char *)file + 10)] = ' ';
        file[127] = '\n';
        for (size_t i = 0; i < N; i++) {
            file[128 + 2 * i + (size_t)big] = (unsigned char)i;
            file[128 + 2 * i + (size_t)!big] = (unsigned char)(i >> 8);
        }
        ra_ok(ra_npy_open(test_write("fortran.npy", file, sizeof file), &npy, &err));
        const int16_t *x = ra_npy_tensor(npy)->data;
        for (size_t a = 0, at = 0; a < A; a++)
            for (size_t b = 0; b < B; b++)
                for (size_t c = 0; c < C; c++)
                    for (size_t d = 0; d < D; d++, at++)
                        ck_assert_int_eq(x[at], (int)(a + A * (b + B * (c + C * d))));
        ra_npy_free(npy);
    }
}
END_TEST

START_TEST(test_arrays_in_memory_are_not_copied) {
    ra_tensor tensor;
    for (int i = 0; i < 2; i++) {
        const char *text = i ? "{'descr': '>f4', " GOOD "'shape': (3, 4), }"
                             : "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }";
        ra_mapping mapping;
        ra_ok(ra_mapping_open(write_raw(1, text, 48), &mapping, &err));
        ra_fails(ra_npy_parse(mapping.data, mapping.size, "the body", &tensor, NULL, &err),
                 i ? RA_ERR_DTYPE : RA_ERR_UNSUPPORTED, i ? "the body is big-endian" : "Fortran order");
        ra_mapping_close(&mapping);
    }
}
END_TEST

START_TEST(test_refuses_files_that_are_not_npy) {
    ra_npy *npy = NULL;
    ra_fails(ra_npy_open(test_path("missing.npy"), &npy, &err), RA_ERR_NOT_FOUND, "missing.npy");
    ra_fails(ra_npy_open(test_folder(), &npy, &err), RA_ERR_ARGUMENT, "directory");
    ra_fails(ra_npy_open(test_write("empty.npy", "", 0), &npy, &err), RA_ERR_FORMAT, "is empty");
    ra_fails(ra_npy_open(test_write("text.npy", "1,2,3\n4,5,6\n", 12), &npy, &err), RA_ERR_FORMAT,
             "not an npy");
    ra_fails(ra_npy_open(test_write("long.npy", "\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14), &npy, &err),
             RA_ERR_FORMAT, "its npy header takes 4294967295 bytes, but only 2 follow");
    ck_assert_ptr_null(npy);
}
END_TEST

START_TEST(test_refuses_truncation_at_every_length) {
    ra_tensor tensor = make(RA_F32, 2);
    const char *whole = test_path("whole.npy");
    ra_mapping mapping;
    ra_ok(ra_npy_write(whole, &tensor, &err));
    ra_ok(ra_mapping_open(whole, &mapping, &err));
    for (size_t size = 0; size < mapping.size; size++) {
        ra_npy *npy = NULL;
        ra_fails(ra_npy_open(test_write("cut.npy", mapping.data, size), &npy, &err), RA_ERR_FORMAT,
                 "cut.npy");
        ck_assert_ptr_null(npy);
    }
    ra_mapping_close(&mapping);
}
END_TEST

START_TEST(test_damaged_headers_never_crash) {
    ra_mapping mapping;
    ra_ok(ra_mapping_open(test_golden("topk-mse.x.npy"), &mapping, &err));
    enum { HEADER = 128, SIZE = 512 };
    unsigned char file[SIZE];
    for (size_t i = 0; i < HEADER * 12; i++) {
        static const unsigned char bits[12] = {1, 2, 4, 8, 16, 32, 64, 128, 255, 0x5a, 0x0c, 0x13};
        ra_npy *npy = NULL;
        ra_error err = {0};
        memcpy(file, mapping.data, SIZE);
        file[i / 12] ^= bits[i % 12];
        if (ra_npy_open(test_write("damaged.npy", file, SIZE), &npy, &err) != RA_OK) {
            ck_assert_str_ne(err.message, "");
            continue;
        }
        ck_assert_uint_le(ra_tensor_bytes(ra_npy_tensor(npy)), SIZE);
        ra_npy_free(npy);
    }
    ra_mapping_close(&mapping);
}
END_TEST

START_TEST(test_short_memory_is_an_error) {
    const char *path = test_path("a.npy");
    ra_tensor tensor = make(RA_F32, 2);
    for (int stage = 0; stage < 2; stage++)
        for (size_t n = 1;; n++) {
            ra_npy *npy = NULL;
            ck_assert_uint_lt(n, 100);
            ra_memory_fail_at(n);
            ra_status status = stage == 0 ? ra_npy_write(path, &tensor, NULL) : ra_npy_open(path, &npy, NULL);
            ra_memory_fail_at(0);
            ra_npy_free(npy);
            if (status == RA_OK) break;
            ck_assert_int_eq(status, RA_ERR_MEMORY);
        }
}
END_TEST

/* What several np.save() calls write to one stream. */
START_TEST(test_arrays_behind_each_other_in_memory) {
    enum { ARRAYS = 3 };
    char stream[4096];
    size_t size = 0, at = 0, used;
    ra_tensor found, sent[ARRAYS] = {make(RA_U8, 1), make(RA_F32, 2), make(RA_I64, 1)};
    for (int i = 0; i < ARRAYS; i++) {
        void *header = NULL;
        size_t header_size = 0;
        ra_ok(ra_npy_header(&sent[i], &header, &header_size, &err));
        memcpy(stream + size, header, header_size);
        memcpy(stream + size + header_size, sent[i].data, ra_tensor_bytes(&sent[i]));
        size += header_size + ra_tensor_bytes(&sent[i]);
        ra_free(header);
    }
    for (int i = 0; i < ARRAYS; i++, at += used) {
        ra_ok(ra_npy_parse(stream + at, size - at, "the body", &found, &used, &err));
        ck_assert_int_eq(found.dtype, sent[i].dtype);
        ck_assert_int_eq(found.rank, sent[i].rank);
        ck_assert_mem_eq(found.data, sent[i].data, ra_tensor_bytes(&sent[i]));
    }
    ck_assert_uint_eq(at, size);
    ra_fails(ra_npy_parse(stream, size, "the body", &found, NULL, &err), RA_ERR_FORMAT,
             "the body is too long");
    ra_fails(ra_npy_parse(stream, 20, "the body", &found, &used, &err), RA_ERR_FORMAT,
             "the body is truncated");
    ra_fails(ra_npy_parse(NULL, 0, "the body", &found, &used, &err), RA_ERR_FORMAT, "the body is empty");
}
END_TEST

TEST_CASES_SLOW(npy, 30, test_arrays_behind_each_other_in_memory, test_round_trip_of_every_type_and_rank,
                test_round_trip_of_nothing, test_the_header_is_what_numpy_writes,
                test_every_header_length_stays_aligned, test_refuses_to_write_what_npy_cannot_hold,
                test_misaligned_data_is_copied, test_other_orders_are_read_as_c_order,
                test_arrays_in_memory_are_not_copied, test_refuses_files_that_are_not_npy,
                test_refuses_truncation_at_every_length, test_damaged_headers_never_crash,
                test_short_memory_is_an_error)
