/* The lists of tensors in bodies and headers.
 *
 * A raw body has no header of its own: what it is stand in X-Tensor-Shape and X-Tensor-Dtype, tensors
 * separated by semicolons and sizes by commas, so that the bytes are exactly the numbers and can be read,
 * written and mapped by anything. Its length must be what the headers say, to the byte. */
#include "codec/binary/tensors.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

static const char *skip_space(const char *at) {
    return at + strspn(at, " \t");
}

/* ---- headers, read ------------------------------------------------------------------------------------- */

static ra_status bad_shape(const char *shape, ra_error *err) {
    RA_FAIL(err, RA_ERR_FORMAT,
            "the header X-Tensor-Shape is '%.64s', expected sizes with commas between them, and "
            "semicolons between tensors: '2, 768'",
            shape);
}

/* One tensor's sizes; moves *at behind them. */
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
            RA_FAIL(err, RA_ERR_DTYPE,
                    "the header X-Tensor-Dtype is '%.64s', expected F32, F16, BF16, F64, I32 or I64 "
                    "for each tensor, with semicolons between them",
                    dtype);
        at = skip_space(at + size);
        if (*at != (i + 1 < list->count ? ';' : '\0'))
            RA_FAIL(
                err, RA_ERR_FORMAT,
                "the header X-Tensor-Dtype is '%.64s', but X-Tensor-Shape has %zu tensors, each of which has "
                "one type",
                dtype, list->count);
        if (*at) at++;
    }
    return RA_OK;
}

/* ---- bodies, read -------------------------------------------------------------------------------------- */

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

/* Without a shape: rows of `width`, as many as there are. */
static ra_status assume_rows(size_t size, size_t width, tensor_list *list, ra_error *err) {
    size_t row = width * ra_dtype_size(list->at[0].dtype);
    if (size == 0) RA_FAIL(err, RA_ERR_FORMAT, "the body is empty, but tensors are expected");
    if (size % row != 0)
        RA_FAIL(err, RA_ERR_SHAPE,
                "the body has %zu bytes, which is not a multiple of the %zu bytes of a row of %zu %s; "
                "X-Tensor-Shape may say what it is",
                size, row, width, ra_dtype_name(list->at[0].dtype));
    list->at[0].rank = 2;
    list->at[0].shape[0] = size / row;
    list->at[0].shape[1] = width;
    return RA_OK;
}

ra_status tensors_parse_raw(const void *body, size_t size, const char *shape, const char *dtype, size_t width,
                            tensor_list *list, ra_error *err) {
    *list = (tensor_list){.count = shape ? 0 : 1};
    ra_status status = shape ? read_shapes(shape, list, err) : RA_OK;
    if (status == RA_OK && dtype) status = read_dtypes(dtype, list, err);
    if (status == RA_OK && !shape) status = assume_rows(size, width, list, err);
    size_t total = 0;
    for (size_t i = 0; i < list->count && status == RA_OK; i++) {
        size_t bytes;
        list->at[i].data = (const char *)body + total;
        if (!bytes_of(&list->at[i], &bytes) || __builtin_add_overflow(total, bytes, &total) || total > size)
            RA_FAIL(err, RA_ERR_FORMAT, "the body has %zu bytes, fewer than X-Tensor-Shape '%.64s' needs",
                    size, shape ? shape : "");
    }
    if (status == RA_OK && total != size)
        RA_FAIL(err, RA_ERR_FORMAT, "the body has %zu bytes, but X-Tensor-Shape '%.64s' takes %zu", size,
                shape ? shape : "", total);
    return status;
}

ra_status tensors_parse_npy(const void *body, size_t size, tensor_list *list, ra_error *err) {
    *list = (tensor_list){0};
    for (size_t at = 0, used; at < size || list->count == 0; at += used) {
        if (list->count == TENSORS_MAX)
            RA_FAIL(err, RA_ERR_FORMAT, "the body has more than %d npy arrays", TENSORS_MAX);
        ra_status status = ra_npy_parse((const char *)body + at, size - at, "the body",
                                        &list->at[list->count++], &used, err);
        if (status == RA_ERR_UNSUPPORTED) { /* what the library cannot read is the client's mistake here */
            status = RA_ERR_FORMAT;
            if (err) err->code = status;
        }
        if (status != RA_OK) return status;
    }
    return RA_OK;
}

/* ---- written ------------------------------------------------------------------------------------------- */

void tensors_headers(const tensor_list *list, char shape[TENSORS_HEADER_SIZE],
                     char dtype[TENSORS_HEADER_SIZE]) {
    size_t shape_used = 0, dtype_used = 0;
    shape[0] = dtype[0] = '\0';
    for (size_t i = 0; i < list->count; i++) {
        const ra_tensor *tensor = &list->at[i];
        for (int j = 0; j < tensor->rank; j++) /* 20 digits each at most: all of them fit */
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
    ra_status status = ra_npy_header(tensor, &header, &size, err);
    if (status != RA_OK) return status;
    text_append(body, header, size);
    ra_free(header);
    tensors_append_raw(body, tensor);
    return RA_OK;
}
