/* A raw body has no header of its own: X-Tensor-Shape and X-Tensor-Dtype describe it, with semicolons between
 * tensors and commas between sizes, so that the bytes are exactly the numbers and any program can read, write
 * and map them. The length of the body must be what the headers say, to the byte.
 */
#include "codec/binary/tensors.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

static const char *skip_space(const char *at) {
    return at + strspn(at, " \t");
}

/* ---- reading headers ----------------------------------------------------------------------------------- */

static ra_status bad_shape(const char *shape, ra_error *err) {
    RA_FAIL_FACTS(err, RA_ERR_FORMAT, (.where = "X-Tensor-Shape"),
                  "the header X-Tensor-Shape is '%.64s', expected sizes separated by commas, like '2, 768', "
                  "and semicolons between tensors",
                  shape);
}

/* Reads the sizes of one tensor; moves *at past them. */
static bool read_sizes(const char **at, ra_tensor *tensor) {
    for (tensor->rank = 0; tensor->rank < RA_MAX_RANK;) {
        size_t size = 0, digits = 0;
        for (*at = skip_space(*at); **at >= '0' && **at <= '9'; ++*at, digits++)
            if (__builtin_mul_overflow(size, (size_t)10, &size) ||
                __builtin_add_overflow(size, (size_t)(**at - '0'), &size))
                return false;
        if (digits == 0) return false;
        tensor->shape[tensor->rank++] = size;
        *at = skip_space(*at);
        if (**at != ',') return true;
        ++*at;
    }
    return false;
}

static ra_status read_shapes(const char *shape, tensor_list *list, ra_error *err) {
    const char *at = shape;
    for (;;) {
        if (list->count == TENSORS_MAX || !read_sizes(&at, &list->at[list->count++]))
            return bad_shape(shape, err);
        if (!*at) return RA_OK;
        if (*at++ != ';') return bad_shape(shape, err);
    }
}

static ra_status read_dtypes(const char *dtype, tensor_list *list, ra_error *err) {
    const char *at = dtype;
    for (size_t i = 0; i < list->count; i++) {
        char name[8] = "";
        size_t size = strcspn(at = skip_space(at), " \t;");
        if (size < sizeof name) memcpy(name, at, size);
        if (!ra_dtype_from_name(name, &list->at[i].dtype))
            RA_FAIL_FACTS(err, RA_ERR_DTYPE, (.where = "X-Tensor-Dtype"),
                          "the header X-Tensor-Dtype is '%.64s', expected F32, F16, BF16, F64, I32 or I64 "
                          "for each tensor, separated by semicolons",
                          dtype);
        at = skip_space(at + size);
        if (*at != (i + 1 < list->count ? ';' : '\0'))
            RA_FAIL_FACTS(
                err, RA_ERR_FORMAT, (.where = "X-Tensor-Dtype"),
                "the header X-Tensor-Dtype is '%.64s', expected one type for each of the %zu tensors in "
                "X-Tensor-Shape",
                dtype, list->count);
        if (*at) at++;
    }
    return RA_OK;
}

/* ---- reading bodies ------------------------------------------------------------------------------------ */

static bool bytes_of(const ra_tensor *tensor, size_t *bytes) {
    *bytes = ra_dtype_size(tensor->dtype);
    bool empty = false, good = true;
    for (int i = 0; i < tensor->rank; i++) {
        empty |= tensor->shape[i] == 0;
        good &= !__builtin_mul_overflow(*bytes, tensor->shape[i], bytes);
    }
    if (empty) *bytes = 0;
    return good || empty;
}

/* Without a shape: as many rows of `width` numbers as the body has. */
static ra_status assume_rows(size_t size, size_t width, tensor_list *list, ra_error *err) {
    size_t row = width * ra_dtype_size(list->at[0].dtype);
    if (size == 0) RA_FAIL(err, RA_ERR_FORMAT, "the body is empty, expected tensors");
    if (size % row != 0)
        RA_FAIL(err, RA_ERR_SHAPE,
                "the body has %zu bytes, which is not a multiple of the %zu bytes of a row of %zu %s; the "
                "header X-Tensor-Shape can give another shape",
                size, row, width, ra_dtype_name(list->at[0].dtype));
    list->at[0].rank = 2;
    list->at[0].shape[0] = size / row;
    list->at[0].shape[1] = width;
    return RA_OK;
}

ra_status tensors_parse_raw(const void *body, size_t size, const char *shape, const char *dtype, size_t width,
                            tensor_list *list, ra_error *err) {
    *list = (tensor_list){.count = shape ? 0 : 1};
    if (shape) RA_TRY(read_shapes(shape, list, err));
    if (dtype) RA_TRY(read_dtypes(dtype, list, err));
    if (!shape) RA_TRY(assume_rows(size, width, list, err));
    size_t total = 0;
    for (size_t i = 0; i < list->count; i++) {
        size_t bytes;
        list->at[i].data = (const char *)body + total;
        if (!bytes_of(&list->at[i], &bytes) || __builtin_add_overflow(total, bytes, &total) || total > size)
            RA_FAIL(err, RA_ERR_FORMAT, "the body has %zu bytes, fewer than X-Tensor-Shape '%.64s' needs",
                    size, shape ? shape : "");
    }
    if (total == size) return RA_OK;
    RA_FAIL(err, RA_ERR_FORMAT, "the body has %zu bytes, but X-Tensor-Shape '%.64s' takes %zu", size,
            shape ? shape : "", total);
}

ra_status tensors_parse_npy(const void *body, size_t size, tensor_list *list, ra_error *err) {
    *list = (tensor_list){0};
    for (size_t at = 0, used; at < size || list->count == 0; at += used) {
        if (list->count == TENSORS_MAX)
            RA_FAIL(err, RA_ERR_FORMAT, "the body has more than %d npy arrays", TENSORS_MAX);
        ra_status status = ra_npy_parse((const char *)body + at, size - at, "the body",
                                        &list->at[list->count++], &used, err);
        if (status ==
            RA_ERR_UNSUPPORTED) { /* to a client, a form that the library cannot read is a mistake */
            status = RA_ERR_FORMAT;
            if (err) err->code = status;
        }
        if (status != RA_OK) return status;
    }
    return RA_OK;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

void tensors_headers(const tensor_list *list, char shape[TENSORS_HEADER_SIZE],
                     char dtype[TENSORS_HEADER_SIZE]) {
    size_t shape_used = 0, dtype_used = 0;
    shape[0] = dtype[0] = '\0';
    for (size_t i = 0; i < list->count; i++) {
        const ra_tensor *tensor = &list->at[i];
        for (int j = 0; j < tensor->rank; j++) /* all fit: each has at most 20 digits */
            shape_used += (size_t)snprintf(shape + shape_used, TENSORS_HEADER_SIZE - shape_used, "%s%zu",
                                           j   ? ", "
                                           : i ? "; "
                                               : "",
                                           tensor->shape[j]);
        dtype_used += (size_t)snprintf(dtype + dtype_used, TENSORS_HEADER_SIZE - dtype_used, "%s%s",
                                       i ? "; " : "", ra_dtype_name(tensor->dtype));
    }
}

void tensors_append_raw(text *body, const ra_tensor *tensor) {
    text_append(body, tensor->data, ra_tensor_bytes(tensor));
}

ra_status tensors_append_npy(text *body, const ra_tensor *tensor, ra_error *err) {
    void *header = NULL;
    size_t size = 0;
    RA_TRY(ra_npy_header(tensor, &header, &size, err));
    text_append(body, header, size);
    ra_free(header);
    tensors_append_raw(body, tensor);
    return RA_OK;
}
