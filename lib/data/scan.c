/* The pass over all data that finds numbers that are not finite, at the speed of the memory or of the disk.
 * Integers are finite; of float64, what is beyond float32 is not. For the others it looks at the bits in the mapped file: a number is not finite if all bits of its exponent are set. Many
 * numbers are tested at a time, without a branch; only a piece that holds such a number is then searched row
 * by row. */
#include "data/data.h"
#include "ra_memory.h"
#include "base/multiversion.h"
#include "tensor/half.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    PIECE = 1 << 16, /* numbers tested together */
    LISTED = 5,      /* bad rows that a message names */
};

typedef struct scan {
    ra_data *data;
    bool skip;
    size_t found; /* bad rows; without `skip`, data->bad holds only the first LISTED */
    const ra_data_file *file;
    size_t row, column; /* of the first bad number, in its file */
} scan;

static uint32_t exponent_of(ra_dtype dtype) {
    return dtype == RA_F32 ? 0x7f800000u : dtype == RA_F16 ? 0x7c00u : 0x7f80u;
}

RA_MULTIVERSION static uint32_t any_bad_16(const uint16_t *numbers, size_t n, uint16_t exponent) {
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) found |= (numbers[i] & exponent) == exponent;
    return found;
}

RA_MULTIVERSION static uint32_t any_bad_64(const double *numbers, size_t n) {
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) found |= !(fabs(numbers[i]) <= (double)FLT_MAX);
    return found;
}

static bool any_bad(const ra_data_file *file, size_t element, size_t n) {
    const void *numbers = file->numbers + element * ra_dtype_size(file->dtype);
    if (file->dtype == RA_F32) return ra_find_not_finite(numbers, n) < n;
    if (file->dtype == RA_F64) return any_bad_64(numbers, n) != 0;
    if (!ra_dtype_is_float(file->dtype)) return false;
    return any_bad_16(numbers, n, (uint16_t)exponent_of(file->dtype)) != 0;
}

/* ---- one row ------------------------------------------------------------------------------------------ */

static bool is_bad(const ra_data_file *file, size_t element) {
    if (!ra_dtype_is_float(file->dtype)) return any_bad(file, element, 1);
    uint32_t bits = 0, exponent = exponent_of(file->dtype);
    size_t size = ra_dtype_size(file->dtype);
    memcpy(&bits, file->numbers + element * size, size); /* little-endian, like the files */
    return (bits & exponent) == exponent;
}

/* The first bad column of a row, or d. */
static size_t bad_column(const ra_data_file *file, size_t row, size_t d) {
    size_t element = row / file->plane * d * file->plane + row % file->plane, column = 0;
    if (file->plane == 1 && !any_bad(file, element, d)) return d;
    while (column < d && !is_bad(file, element + column * file->plane)) column++;
    return column;
}

static ra_status add_bad(scan *s, const ra_data_file *file, size_t row, size_t column, ra_error *err) {
    ra_data *data = s->data;
    if (s->found++ == 0) {
        s->file = file;
        s->row = row;
        s->column = column;
    }
    if (!s->skip && data->bad_count == LISTED) return RA_OK;
    if (data->bad_count == data->bad_capacity) {
        size_t capacity = data->bad_capacity ? 2 * data->bad_capacity : 64;
        uint64_t *bad = ra_realloc(data->bad, capacity, sizeof *bad);
        if (!bad) RA_FAIL_MEMORY(err, "the list of rows that are not finite", capacity * sizeof *bad);
        data->bad = bad;
        data->bad_capacity = capacity;
    }
    data->bad[data->bad_count++] = file->first + row;
    return RA_OK;
}

/* ---- all rows ------------------------------------------------------------------------------------------ */

/* A piece is whole rows or a whole image, so that bad rows are found in order. */
static ra_status scan_file(scan *s, const ra_data_file *file, ra_error *err) {
    size_t d = s->data->dimensions, unit = file->plane;
    if (unit == 1 && d < PIECE) unit = PIECE / d;
    for (size_t first = 0; first < file->rows; first += unit) {
        size_t rows = file->rows - first < unit ? file->rows - first : unit;
        if (!any_bad(file, first * d, rows * d)) continue;
        for (size_t row = first; row < first + rows; row++) {
            size_t column = bad_column(file, row, d);
            if (column < d) RA_TRY(add_bad(s, file, row, column, err));
        }
    }
    return RA_OK;
}

/* "3, 17, 20, ..." */
static const char *list(const scan *s, char *text, size_t size) {
    size_t used = 0, named = s->data->bad_count < LISTED ? s->data->bad_count : LISTED;
    text[0] = '\0';
    for (size_t i = 0; i < named; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%llu", i ? ", " : "",
                                 (unsigned long long)s->data->bad[i]);
    if (named < s->found) snprintf(text + used, size - used, ", ...");
    return text;
}

static ra_status judge(const scan *s, ra_error *err) {
    char numbers[160];
    const ra_data *data = s->data;
    if (s->found == 0) return RA_OK;
    list(s, numbers, sizeof numbers);
    if (!s->skip)
        RA_FAIL(
            err, RA_ERR_NOT_FINITE,
            "%s holds a NaN or an infinity%s in row %zu, column %zu (counted from 0). Bad rows: %s (%zu of "
            "the %zu in all files). Use --skip-bad-rows to train or evaluate without them",
            ra_array_path(s->file->array), s->file->dtype == RA_F64 ? " in float32" : "", s->row, s->column,
            numbers, s->found, data->source_rows);
    if (s->found == data->source_rows)
        RA_FAIL(
            err, RA_ERR_NOT_FINITE,
            "every one of the %zu rows holds a NaN or an infinity, %s in row %zu, column %zu: no row is left",
            s->found, ra_array_path(s->file->array), s->row, s->column);
    ra_log(RA_LOG_WARNING, "%zu of the %zu rows hold a NaN or an infinity and are left out: %s", s->found,
           data->source_rows, numbers);
    return RA_OK;
}

ra_status ra_data_scan(ra_data *data, bool skip, ra_error *err) {
    scan s = {.data = data, .skip = skip};
    for (size_t i = 0; i < data->count; i++) {
        const ra_data_file *file = &data->files[i];
        size_t bytes = ra_tensor_bytes(ra_array_tensor(file->array));
        ra_mapping_advise(file->numbers, bytes, RA_ACCESS_SEQUENTIAL);
        ra_status status = scan_file(&s, file, err);
        ra_mapping_advise(file->numbers, bytes, RA_ACCESS_NORMAL);
        RA_TRY(status);
    }
    return judge(&s, err);
}
