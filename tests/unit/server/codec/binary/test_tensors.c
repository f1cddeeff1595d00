/* Binary bodies, good and malformed (server/codec/binary/{tensors,convert}.c). */
#include "codec/binary/tensors.h"
#include "harness.h"
#include "ra_memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH = 4, ROWS = 3 };

static const float numbers[ROWS * WIDTH] = {1, 2, 3, 4, 5, 6, 7, 8, 0, -1, 0, 0.5f};

/* ---- raw ----------------------------------------------------------------------------------------------- */

START_TEST(test_raw_with_and_without_headers) {
    static const struct {
        const char *shape, *dtype;
    } headers[] = {{NULL, NULL},   {NULL, "F32"},        {"3, 4", NULL},
                   {"3,4", "f32"}, {" 3 , 4 ", " F32 "}, {"0003,4", "F32"}};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        tensor_list list;
        ra_matrix matrix;
        ra_ok(tensors_parse_raw(numbers, sizeof numbers, headers[i].shape, headers[i].dtype, WIDTH, &list,
                                &err));
        ra_ok(tensors_to_matrix(&list, "inputs", WIDTH, "dimensions", 10, &matrix, &err));
        ck_assert_uint_eq(matrix.rows, ROWS);
        ck_assert_mem_eq(matrix.data, numbers, sizeof numbers);
        ra_matrix_release(&matrix);
    }
}
END_TEST

START_TEST(test_raw_refuses) {
    static const struct {
        size_t size;
        const char *shape, *dtype;
        ra_status code;
        const char *says;
    } cases[] = {
        {0, NULL, NULL, RA_ERR_FORMAT, "empty"},
        {47, NULL, NULL, RA_ERR_SHAPE, "not a multiple of the 16 bytes"},
        {48, "3,5", NULL, RA_ERR_FORMAT, "fewer than"},
        {48, "2,4", NULL, RA_ERR_FORMAT, "takes 32"},
        {48, "", NULL, RA_ERR_FORMAT, "X-Tensor-Shape is ''"},
        {48, "3,", NULL, RA_ERR_FORMAT, "X-Tensor-Shape"},
        {48, ",3", NULL, RA_ERR_FORMAT, "X-Tensor-Shape"},
        {48, "-3,4", NULL, RA_ERR_FORMAT, "X-Tensor-Shape"},
        {48, "3x4", NULL, RA_ERR_FORMAT, "X-Tensor-Shape"},
        {48, "3;4;5;6", NULL, RA_ERR_FORMAT, "X-Tensor-Shape"},
        {48, "1,1,1,1,1,1,1,1,12", NULL, RA_ERR_FORMAT, "X-Tensor-Shape"},
        {48, "99999999999999999999,4", NULL, RA_ERR_FORMAT, "X-Tensor-Shape"},
        {48, "4611686018427387904,4", NULL, RA_ERR_FORMAT, "fewer than"},
        {48, "3,4;18446744073709551615", NULL, RA_ERR_FORMAT, "fewer than"},
        {48, "3,4", "F33", RA_ERR_DTYPE, "F33"},
        {48, "3,4", "", RA_ERR_DTYPE, "X-Tensor-Dtype"},
        {48, "3,4", "F32; F32", RA_ERR_FORMAT, "1 tensors"},
        {48, "2,4;4", "F32", RA_ERR_FORMAT, "2 tensors"},
        {48, "3,4", "F32F32F32F32F32", RA_ERR_DTYPE, "X-Tensor-Dtype"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tensor_list list;
        ra_fails(
            tensors_parse_raw(numbers, cases[i].size, cases[i].shape, cases[i].dtype, WIDTH, &list, &err),
            cases[i].code, cases[i].says);
    }
}
END_TEST

/* ---- matrices ------------------------------------------------------------------------------------------ */

START_TEST(test_every_float_type_at_any_address) {
    static const ra_dtype types[] = {RA_F32, RA_F16, RA_BF16};
    char block[sizeof numbers + 8];
    for (size_t t = 0; t < 3; t++)
        for (size_t shift = 0; shift < 8; shift++) {
            uint16_t narrow[ROWS * WIDTH];
            size_t bytes = ROWS * WIDTH * ra_dtype_size(types[t]);
            const void *source = numbers;
            if (types[t] != RA_F32) {
                ra_convert_from_f32(types[t], numbers, narrow, ROWS * WIDTH);
                source = narrow;
            }
            memcpy(block + shift, source, bytes);
            tensor_list list;
            ra_matrix matrix;
            ra_ok(
                tensors_parse_raw(block + shift, bytes, "3,4", ra_dtype_name(types[t]), WIDTH, &list, &err));
            ra_ok(tensors_to_matrix(&list, "inputs", WIDTH, "dimensions", 3, &matrix, &err));
            ck_assert_mem_eq(matrix.data, numbers, sizeof numbers); /* exact in all three */
            ra_matrix_release(&matrix);
        }
}
END_TEST

START_TEST(test_doubles_are_rounded_and_bounded) {
    double wide[WIDTH] = {0.1, -3, 1e-300, 7};
    tensor_list list = {1, {ra_tensor_2d(RA_F64, wide, 1, WIDTH)}};
    ra_matrix matrix;
    ra_ok(tensors_to_matrix(&list, "inputs", WIDTH, "dimensions", 3, &matrix, &err));
    ck_assert(matrix.data[0] == 0.1f && matrix.data[2] == 0);
    ra_matrix_release(&matrix);
    wide[3] = 1e300;
    ra_fails(tensors_to_matrix(&list, "inputs", WIDTH, "dimensions", 3, &matrix, &err), RA_ERR_NOT_FINITE,
             "inputs[0][3]");
}
END_TEST

START_TEST(test_matrices_that_do_not_fit) {
    float values[ROWS * WIDTH];
    ra_matrix matrix;
    memcpy(values, numbers, sizeof values);
    tensor_list list = {1, {ra_tensor_2d(RA_F32, values, ROWS, WIDTH)}};
    ra_fails(tensors_to_matrix(&list, "inputs", 5, "dimensions", 3, &matrix, &err), RA_ERR_SHAPE,
             "inputs have the shape [3, 4], expected [rows, 5]: the dictionary has 5 dimensions");
    ra_fails(tensors_to_matrix(&list, "inputs", WIDTH, "dimensions", 2, &matrix, &err), RA_ERR_TOO_LARGE,
             "3 rows");
    values[6] = NAN;
    ra_fails(tensors_to_matrix(&list, "inputs", WIDTH, "dimensions", 3, &matrix, &err), RA_ERR_NOT_FINITE,
             "inputs[1][2] is NaN");
    list.at[0].shape[0] = 0;
    ra_fails(tensors_to_matrix(&list, "inputs", WIDTH, "dimensions", 3, &matrix, &err), RA_ERR_SHAPE,
             "empty");
    list.at[0] = ra_tensor_1d(RA_F32, values, WIDTH);
    ra_fails(tensors_to_matrix(&list, "inputs", WIDTH, "dimensions", 3, &matrix, &err), RA_ERR_SHAPE, "[4]");
    list.at[0] = ra_tensor_2d(RA_I32, values, ROWS, WIDTH);
    ra_fails(tensors_to_matrix(&list, "inputs", WIDTH, "dimensions", 3, &matrix, &err), RA_ERR_DTYPE, "I32");
    list.count = 2;
    ra_fails(tensors_to_matrix(&list, "inputs", WIDTH, "dimensions", 3, &matrix, &err), RA_ERR_SHAPE,
             "2 tensors");
    ck_assert_ptr_null(matrix.data);
}
END_TEST

/* ---- latents ------------------------------------------------------------------------------------------- */

START_TEST(test_dense_latents_lose_their_zeros) {
    tensor_list list = {1, {ra_tensor_2d(RA_F32, numbers, ROWS, WIDTH)}};
    latents_request latents;
    ra_ok(tensors_to_latents(&list, WIDTH, 10, &latents, &err));
    ck_assert_uint_eq(latents.rows, ROWS);
    ck_assert_uint_eq(latents.dense_entries, ROWS * WIDTH);
    ck_assert_uint_eq(ra_codes_entries(&latents.codes), 10);
    latents_request_release(&latents);
}
END_TEST

/* Read where it is, or copied first: a body at any address, and what is not finite is found in both. */
START_TEST(test_dense_latents_at_any_address) {
    static char bytes[sizeof numbers + 8];
    for (size_t offset = 0; offset < 8; offset++) {
        tensor_list list = {
            1, {ra_tensor_2d(RA_F32, memcpy(bytes + offset, numbers, sizeof numbers), ROWS, WIDTH)}};
        latents_request latents;
        ra_ok(tensors_to_latents(&list, WIDTH, 10, &latents, &err));
        ck_assert_uint_eq(ra_codes_entries(&latents.codes), 10);
        ck_assert_uint_eq(latents.dense_entries, ROWS * WIDTH);
        latents_request_release(&latents);
        memcpy(bytes + offset + (WIDTH + 1) * sizeof(float), &(float){NAN}, sizeof(float));
        ra_fails(tensors_to_latents(&list, WIDTH, 10, &latents, &err), RA_ERR_NOT_FINITE, "latents[1][1]");
    }
}
END_TEST

typedef struct sparse {
    int64_t start[4];
    int32_t index[5];
    float value[5];
    tensor_list list;
} sparse;

static void make_sparse(sparse *codes) {
    *codes = (sparse){.start = {0, 2, 2, 5}, .index = {3, 1, 0, 2, 3}, .value = {3, 1, 0.5f, 0, -2}};
    codes->list = (tensor_list){3,
                                {ra_tensor_1d(RA_I64, codes->start, 4), ra_tensor_1d(RA_I32, codes->index, 5),
                                 ra_tensor_1d(RA_F32, codes->value, 5)}};
}

START_TEST(test_sparse_latents_are_put_in_order) {
    sparse codes;
    latents_request latents;
    make_sparse(&codes);
    ra_ok(tensors_to_latents(&codes.list, WIDTH, 3, &latents, &err));
    const ra_codes *got = &latents.codes;
    ck_assert_uint_eq(got->rows, 3);
    ck_assert_uint_eq(got->start[1], 2);
    ck_assert_uint_eq(got->start[2], 2);
    ck_assert_uint_eq(got->start[3], 4); /* without the zero */
    ck_assert_mem_eq(got->index, ((int32_t[]){1, 3, 0, 3}), 4 * sizeof(int32_t));
    ck_assert_mem_eq(got->value, ((float[]){1, 3, 0.5f, -2}), 4 * sizeof(float));
    ck_assert_uint_eq(latents.dense_entries, 0);
    latents_request_release(&latents);
}
END_TEST

START_TEST(test_sparse_latents_without_entries) {
    int32_t start[2] = {0, 0};
    tensor_list list = {
        3, {ra_tensor_1d(RA_I32, start, 2), ra_tensor_1d(RA_I64, start, 0), ra_tensor_1d(RA_F16, start, 0)}};
    latents_request latents;
    ra_ok(tensors_to_latents(&list, WIDTH, 3, &latents, &err));
    ck_assert_uint_eq(latents.rows, 1);
    ck_assert_uint_eq(ra_codes_entries(&latents.codes), 0);
    latents_request_release(&latents);
}
END_TEST

START_TEST(test_sparse_latents_that_make_no_sense) {
    sparse codes;
    latents_request latents;
    tensor_list *list = &codes.list;
#define refused(spoil, code, says)                                                                           \
    do {                                                                                                     \
        make_sparse(&codes);                                                                                 \
        spoil;                                                                                               \
        ra_fails(tensors_to_latents(list, WIDTH, 3, &latents, &err), code, says);                            \
        ck_assert_ptr_null(latents.codes.start);                                                             \
    } while (0)
    refused(codes.start[0] = 1, RA_ERR_ARGUMENT, "start[0] is 1");
    refused(codes.start[1] = -1, RA_ERR_ARGUMENT, "start[1] is -1");
    refused(codes.start[2] = 1, RA_ERR_ARGUMENT, "start[2] is 1");
    refused(codes.start[3] = 6, RA_ERR_ARGUMENT, "start[3] is 6");
    refused(codes.start[3] = 4, RA_ERR_ARGUMENT, "there are 5 entries");
    refused(codes.start[1] = INT64_MAX, RA_ERR_ARGUMENT, "start[1]");
    refused(codes.index[4] = 4, RA_ERR_ARGUMENT, "index[4] is 4");
    refused(codes.index[4] = -1, RA_ERR_ARGUMENT, "index[4] is -1");
    refused(codes.index[4] = 2, RA_ERR_ARGUMENT, "row 2 of the latents has the index 2 twice");
    refused(codes.value[2] = INFINITY, RA_ERR_NOT_FINITE, "value[2]");
    refused(list->count = 2, RA_ERR_SHAPE, "2 tensors");
    refused(list->at[0].shape[0] = 1, RA_ERR_SHAPE, "start [rows + 1]");
    refused(list->at[1].shape[0] = 4, RA_ERR_SHAPE, "entries");
    refused(list->at[2].rank = 2, RA_ERR_SHAPE, "entries");
    refused(list->at[1].dtype = RA_F32, RA_ERR_DTYPE, "I64, F32 and F32");
    refused(list->at[2].dtype = RA_I32, RA_ERR_DTYPE, "I64, I32 and I32");
    make_sparse(&codes);
    ra_fails(tensors_to_latents(list, WIDTH, 2, &latents, &err), RA_ERR_TOO_LARGE, "3 rows");
#undef refused
}
END_TEST

/* ---- there and back ------------------------------------------------------------------------------------ */

START_TEST(test_both_forms_come_back) {
    sparse codes;
    make_sparse(&codes);
    char shape[TENSORS_HEADER_SIZE], dtype[TENSORS_HEADER_SIZE];
    tensors_headers(&codes.list, shape, dtype);
    ck_assert_str_eq(shape, "4; 5; 5");
    ck_assert_str_eq(dtype, "I64; I32; F32");
    text raw = {0}, npy = {0};
    for (size_t i = 0; i < 3; i++) {
        tensors_append_raw(&raw, &codes.list.at[i]);
        ra_ok(tensors_append_npy(&npy, &codes.list.at[i], &err));
    }
    tensor_list back[2];
    ra_ok(tensors_parse_raw(raw.data, raw.size, shape, dtype, WIDTH, &back[0], &err));
    ra_ok(tensors_parse_npy(npy.data, npy.size, &back[1], &err));
    for (size_t b = 0; b < 2; b++)
        for (size_t i = 0; i < 3; i++) {
            const ra_tensor *sent = &codes.list.at[i], *got = &back[b].at[i];
            ck_assert_int_eq(got->dtype, sent->dtype);
            ck_assert_int_eq(got->rank, 1);
            ck_assert_uint_eq(got->shape[0], sent->shape[0]);
            ck_assert_mem_eq(got->data, sent->data, ra_tensor_bytes(sent));
        }
    ra_ok(tensors_append_npy(&npy, &codes.list.at[0], &err));
    ra_fails(tensors_parse_npy(npy.data, npy.size, &back[0], &err), RA_ERR_FORMAT, "more than 3 npy arrays");
    text_release(&raw);
    text_release(&npy);
}
END_TEST

START_TEST(test_npy_refuses) {
    tensor_list list;
    text npy = {0};
    ra_fails(tensors_parse_npy("", 0, &list, &err), RA_ERR_FORMAT, "the body is empty");
    ra_fails(tensors_parse_npy("PK\3\4", 4, &list, &err), RA_ERR_FORMAT, "the body is not an npy file");
    ra_fails(tensors_parse_npy("\x93NUMPY\x09", 8, &list, &err), RA_ERR_FORMAT, "version 9");
    ra_tensor tensor = ra_tensor_2d(RA_F32, numbers, ROWS, WIDTH);
    ra_ok(tensors_append_npy(&npy, &tensor, &err));
    for (size_t n = 0; n < npy.size; n++)
        ck_assert_int_eq(tensors_parse_npy(npy.data, n, &list, NULL), RA_ERR_FORMAT);
    text_append(&npy, "x", 1);
    ra_fails(tensors_parse_npy(npy.data, npy.size, &list, &err), RA_ERR_FORMAT,
             "the body is not an npy file");
    text_release(&npy);
}
END_TEST

/* Flips bits of good bodies and cuts bytes off: each is answered or refused and never read beyond its end. Each
 * body has exactly its size on the heap, for the sanitizers. */
START_TEST(test_mutations) {
    sparse codes;
    text whole = {0};
    uint32_t state = (uint32_t)_i * 2654435761u + 1;
    make_sparse(&codes);
    for (size_t i = 0; i < 3; i++)
        ra_ok(_i % 2 ? tensors_append_npy(&whole, &codes.list.at[i], &err)
                     : (tensors_append_raw(&whole, &codes.list.at[i]), RA_OK));
    for (int round = 0; round < 2000; round++) {
        state = state * 1664525u + 1013904223u;
        size_t n = state >> 28 ? whole.size : (state >> 8) % (whole.size + 1), at = n ? (state >> 4) % n : 0;
        char *body = ra_malloc(n, 1);
        ck_assert_ptr_nonnull(body);
        memcpy(body, whole.data, n);
        if (n) body[at] = (char)(body[at] ^ 1 << (state & 7));
        tensor_list list;
        latents_request latents = {0};
        ra_status status = _i % 2 ? tensors_parse_npy(body, n, &list, NULL)
                                  : tensors_parse_raw(body, n, "4;5;5", "I64;I32;F32", WIDTH, &list, NULL);
        if (status == RA_OK) status = tensors_to_latents(&list, WIDTH, 3, &latents, NULL);
        ck_assert(status < RA_ERR_UNSUPPORTED || status == RA_ERR_TOO_LARGE);
        latents_request_release(&latents);
        ra_free(body);
    }
    text_release(&whole);
}
END_TEST

TEST_CASES(tensors, test_raw_with_and_without_headers, test_raw_refuses, test_every_float_type_at_any_address,
           test_doubles_are_rounded_and_bounded, test_matrices_that_do_not_fit,
           test_dense_latents_lose_their_zeros, test_dense_latents_at_any_address,
           test_sparse_latents_are_put_in_order, test_sparse_latents_without_entries,
           test_sparse_latents_that_make_no_sense, test_both_forms_come_back, test_npy_refuses)
TEST_CASES_LOOP(tensors_mutations, 30, 4, test_mutations)
