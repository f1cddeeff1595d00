/* From the tensors of a body to what computes.
 *
 * The bytes of a body may be unaligned. float32, the common case, is copied to its destination with one
 * memcpy; other types go through a small aligned buffer. That copy is cheap compared with the computation
 * after it, and nothing behind it has to think about alignment.
 */
#include "codec/sort_row.h"
#include "codec/binary/tensors.h"
#include "codec/problems.h"
#include "ra_memory.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static bool is_integer(ra_dtype dtype) {
    return dtype == RA_I32 || dtype == RA_I64;
}

/* values [n] <- the elements from `from` on; of a float type or F64 */
static void read_floats(const ra_tensor *tensor, size_t from, size_t n, float *values) {
    enum { CHUNK = 512 };
    RA_UNINITIALIZED double aligned[CHUNK]; /* of the widest type, so aligned for all */
    size_t unit = ra_dtype_size(tensor->dtype);
    const char *source = (const char *)tensor->data + from * unit;
    if (tensor->dtype == RA_F32) {
        if (n) memcpy(values, source, n * unit);
        return;
    }
    for (size_t done = 0; done < n; done += CHUNK) {
        size_t count = n - done < CHUNK ? n - done : CHUNK;
        memcpy(aligned, source + done * unit, count * unit);
        ra_convert_to_f32(tensor->dtype, aligned, values + done, count);
    }
}

static int64_t read_integer(const ra_tensor *tensor, size_t i) {
    int64_t wide;
    int32_t narrow;
    if (tensor->dtype == RA_I64) {
        memcpy(&wide, (const char *)tensor->data + i * sizeof wide, sizeof wide);
        return wide;
    }
    memcpy(&narrow, (const char *)tensor->data + i * sizeof narrow, sizeof narrow);
    return narrow;
}

/* ---- matrices ------------------------------------------------------------------------------------------ */

static ra_status check_matrix(const ra_tensor *tensor, const char *what, size_t width, const char *unit,
                              size_t max_rows, ra_error *err) {
    char shape[128];
    ra_shape_text(tensor->rank, tensor->shape, shape, sizeof shape);
    if (!ra_dtype_is_float(tensor->dtype) && tensor->dtype != RA_F64)
        RA_FAIL(err, RA_ERR_DTYPE, "%s have the type %s, expected F32, F16, BF16 or F64", what,
                ra_dtype_name(tensor->dtype));
    if (tensor->rank != 2 || tensor->shape[1] != width)
        RA_FAIL(err, RA_ERR_SHAPE, "%s have the shape %s, expected [rows, %zu]: the dictionary has %zu %s",
                what, shape, width, width, unit);
    if (tensor->shape[0] == 0) RA_FAIL(err, RA_ERR_SHAPE, "%s are empty, expected at least one row", what);
    if (tensor->shape[0] > max_rows)
        RA_FAIL_FACTS(err, RA_ERR_TOO_LARGE, (PROBLEM_COUNTS(max_rows, tensor->shape[0])),
                      "%s have %zu rows, but a request may have at most %zu", what, tensor->shape[0],
                      max_rows);
    return RA_OK;
}

static ra_status check_one(const tensor_list *list, const char *what, size_t width, const char *unit,
                           size_t max_rows, ra_error *err) {
    if (list->count != 1)
        RA_FAIL(err, RA_ERR_SHAPE, "the body has %zu tensors, expected one, [rows, %zu]", list->count, width);
    return check_matrix(&list->at[0], what, width, unit, max_rows, err);
}

static ra_status check_finite(const char *what, const float *values, size_t rows, size_t width,
                              ra_error *err) {
    size_t bad = ra_find_not_finite(values, rows * width);
    if (bad == rows * width) return RA_OK;
    RA_FAIL(err, RA_ERR_NOT_FINITE, "%s[%zu][%zu] is NaN, infinite or beyond float32", what, bad / width,
            bad % width);
}

ra_status tensors_to_matrix(const tensor_list *list, const char *what, size_t width, const char *unit,
                            size_t max_rows, ra_matrix *matrix, ra_error *err) {
    *matrix = (ra_matrix){0};
    RA_TRY(check_one(list, what, width, unit, max_rows, err));
    const ra_tensor *tensor = &list->at[0];
    size_t rows = tensor->shape[0], n = rows * width;
    float *values = ra_malloc(n, sizeof *values);
    if (!values) RA_FAIL_MEMORY(err, "the request", n * sizeof *values);
    read_floats(tensor, 0, n, values);
    ra_status status = check_finite(what, values, rows, width, err);
    if (status == RA_OK)
        *matrix = (ra_matrix){values, rows, width};
    else
        ra_free(values);
    return status;
}

/* ---- latents ------------------------------------------------------------------------------------------- */

static ra_status check_sparse(const tensor_list *list, size_t max_rows, ra_error *err) {
    const ra_tensor *start = &list->at[0], *index = &list->at[1], *value = &list->at[2];
    if (start->rank != 1 || index->rank != 1 || value->rank != 1 || start->shape[0] < 2 ||
        index->shape[0] != value->shape[0])
        RA_FAIL(err, RA_ERR_SHAPE,
                "sparse latents are three tensors: start [rows + 1] with at least one row, index "
                "[entries] and value [entries]");
    if (!is_integer(start->dtype) || !is_integer(index->dtype) ||
        !(ra_dtype_is_float(value->dtype) || value->dtype == RA_F64))
        RA_FAIL(err, RA_ERR_DTYPE,
                "sparse latents have the types %s, %s and %s, expected I64 or I32 for start and "
                "index, and F32, F16, BF16 or F64 for value",
                ra_dtype_name(start->dtype), ra_dtype_name(index->dtype), ra_dtype_name(value->dtype));
    if (start->shape[0] - 1 > max_rows)
        RA_FAIL_FACTS(err, RA_ERR_TOO_LARGE, (PROBLEM_COUNTS(max_rows, start->shape[0] - 1)),
                      "latents have %zu rows, but a request may have at most %zu", start->shape[0] - 1,
                      max_rows);
    return RA_OK;
}

/* start begins with 0, ends with the number of entries, and never decreases. */
static ra_status read_start(const ra_tensor *tensor, size_t entries, size_t *start, ra_error *err) {
    size_t rows = tensor->shape[0] - 1;
    int64_t previous = 0;
    for (size_t row = 0; row <= rows; row++) {
        int64_t here = read_integer(tensor, row);
        if (here < previous || (uint64_t)here > entries || (row == 0 && here != 0))
            RA_FAIL(
                err, RA_ERR_ARGUMENT,
                "start[%zu] is %lld, but start must begin with 0, never decrease, and end with the number of "
                "entries, %zu",
                row, (long long)here, entries);
        start[row] = (size_t)here;
        previous = here;
    }
    if (start[rows] != entries)
        RA_FAIL(err, RA_ERR_ARGUMENT, "start[%zu] is %zu, but there are %zu entries", rows, start[rows],
                entries);
    return RA_OK;
}

static ra_status read_index(const ra_tensor *tensor, size_t latents, int32_t *index, ra_error *err) {
    for (size_t i = 0; i < tensor->shape[0]; i++) {
        int64_t here = read_integer(tensor, i);
        if (here < 0 || (uint64_t)here >= latents)
            RA_FAIL_FACTS(err, RA_ERR_ARGUMENT, (.kind = PROBLEM_OUT_OF_RANGE, PROBLEM_LIMIT(latents - 1)),
                          "index[%zu] is %lld, but the dictionary has %zu latents, numbered from 0", i,
                          (long long)here, latents);
        index[i] = (int32_t)here;
    }
    return RA_OK;
}

static ra_status read_value(const ra_tensor *tensor, float *value, ra_error *err) {
    size_t n = tensor->shape[0];
    read_floats(tensor, 0, n, value);
    size_t bad = ra_find_not_finite(value, n);
    if (bad == n) return RA_OK;
    RA_FAIL(err, RA_ERR_NOT_FINITE, "value[%zu] is NaN, infinite or beyond float32", bad);
}

/* Sorts the rows by index, refuses an index that occurs twice, and drops zeros. */
static ra_status put_in_order(ra_codes *codes, ra_error *err) {
    size_t from = 0, total = 0;
    for (size_t row = 0; row < codes->rows; row++) {
        size_t n = codes->start[row + 1] - from, kept = 0;
        if (n) {
            sort_row(codes->index + from, codes->value + from, n);
            int32_t twice = compact_row(codes->index + from, codes->value + from, n, codes->index + total,
                                        codes->value + total, &kept);
            if (twice >= 0)
                RA_FAIL(err, RA_ERR_ARGUMENT, "row %zu of the latents has the index %d twice", row, twice);
        }
        from += n;
        total += kept;
        codes->start[row + 1] = total;
    }
    return RA_OK;
}

static ra_status read_sparse(const tensor_list *list, size_t latents, size_t max_rows, ra_codes *codes,
                             ra_error *err) {
    RA_TRY(check_sparse(list, max_rows, err));
    size_t rows = list->at[0].shape[0] - 1, entries = list->at[1].shape[0];
    RA_TRY(ra_codes_reserve(codes, rows, latents, entries, err));
    RA_TRY(read_start(&list->at[0], entries, codes->start, err));
    RA_TRY(read_index(&list->at[1], latents, codes->index, err));
    RA_TRY(read_value(&list->at[2], codes->value, err));
    return put_in_order(codes, err);
}

/* float32 is read where it is: megabytes that are mostly zeros. */
static ra_status read_dense(const tensor_list *list, size_t latents, size_t max_rows, latents_request *out,
                            ra_error *err) {
    RA_TRY(check_one(list, "latents", latents, "latents", max_rows, err));
    const ra_tensor *tensor = &list->at[0];
    size_t rows = tensor->shape[0];
    ra_matrix copy = {0};
    const float *values = tensor->data;
    out->dense_entries = rows * latents;
    if (tensor->dtype == RA_F32 && (uintptr_t)tensor->data % sizeof *values == 0) {
        RA_TRY(check_finite("latents", values, rows, latents, err));
    } else {
        RA_TRY(tensors_to_matrix(list, "latents", latents, "latents", max_rows, &copy, err));
        values = copy.data;
    }
    ra_status status = ra_codes_from_dense(&out->codes, values, rows, latents, err);
    ra_matrix_release(&copy);
    return status;
}

ra_status tensors_to_latents(const tensor_list *list, size_t latents, size_t max_rows, latents_request *out,
                             ra_error *err) {
    *out = (latents_request){0};
    if (list->count == 2)
        RA_FAIL(err, RA_ERR_SHAPE,
                "the body has 2 tensors, but latents are one, [rows, %zu], or three: start, index and value",
                latents);
    ra_status status = list->count == 1 ? read_dense(list, latents, max_rows, out, err)
                                        : read_sparse(list, latents, max_rows, &out->codes, err);
    out->rows = out->codes.rows;
    if (status != RA_OK) latents_request_release(out);
    return status;
}
