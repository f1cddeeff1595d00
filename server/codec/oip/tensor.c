/* From text or bytes to sparse rows.
 *
 * A position (row, column) walks over the tensor in row-major order, whichever way the data is written, and
 * an element goes to the current position. Elements beyond the shape are counted and dropped, so that the
 * message can say how many there are.
 *
 * Latents are mostly zeros: in text a run of zeros is passed at about a nanosecond each, in bytes a chunk at
 * a time is widened to float32 and searched.
 */
#include "codec/oip/tensor.h"
#include "codec/sort_row.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

/* ---- names --------------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *datatypes;
    unsigned accepted; /* a bit per ra_dtype */
} inputs[OIP_INPUT_COUNT] = {
#define FLOATS (1u << RA_F32 | 1u << RA_F64 | 1u << RA_F16 | 1u << RA_BF16)
    [OIP_LATENTS] = {"latents", "FP32, FP16, BF16 or FP64", FLOATS},
    [OIP_INDICES] = {"indices", "INT32 or INT64", 1u << RA_I32 | 1u << RA_I64},
    [OIP_VALUES] = {"values", "FP32, FP16, BF16 or FP64", FLOATS},
    [OIP_ROWS] = {"inputs", "FP32, FP16, BF16 or FP64", FLOATS},
};

static const struct {
    const char *name;
    ra_dtype dtype;
    bool binary_only; /* the protocol has no JSON form of it */
} datatypes[] = {
    {"FP32", RA_F32, false}, {"INT64", RA_I64, false}, {"INT32", RA_I32, false},
    {"FP16", RA_F16, true},  {"BF16", RA_BF16, true},  {"FP64", RA_F64, false},
};

enum { DATATYPES = sizeof datatypes / sizeof *datatypes };

const char *oip_input_name(oip_input input) {
    return inputs[input].name;
}

bool oip_datatype_from_name(json_string name, ra_dtype *dtype) {
    for (size_t i = 0; i < DATATYPES; i++)
        if (json_string_is(name, datatypes[i].name)) {
            *dtype = datatypes[i].dtype;
            return true;
        }
    return false;
}

static bool is_binary_only(ra_dtype dtype) {
    for (size_t i = 0; i < DATATYPES; i++)
        if (datatypes[i].dtype == dtype) return datatypes[i].binary_only;
    return false;
}

/* ---- the description ----------------------------------------------------------------------------------- */

ra_status oip_spec_check(const oip_spec *spec, const oip_limits *limits, ra_error *err) {
    const char *name = inputs[spec->input].name;
    size_t rows = spec->shape[0], width = spec->shape[1], elements;
    if (!(inputs[spec->input].accepted >> spec->dtype & 1))
        RA_FAIL(err, RA_ERR_DTYPE, "the datatype of the input %s is not accepted; expected %s", name,
                inputs[spec->input].datatypes);
    if (spec->rank != 2)
        RA_FAIL(err, RA_ERR_SHAPE, "the input %s has a shape of %zu numbers, expected two: rows and width",
                name, spec->rank);
    if (spec->input == OIP_LATENTS && width != limits->latents)
        RA_FAIL(err, RA_ERR_SHAPE,
                "the input %s has the shape [%zu, %zu], but the dictionary has %zu latents", name, rows,
                width, limits->latents);
    if (spec->input == OIP_ROWS && width != limits->dimensions)
        RA_FAIL(err, RA_ERR_SHAPE,
                "the input %s has the shape [%zu, %zu], but the dictionary has %zu dimensions", name, rows,
                width, limits->dimensions);
    if (rows == 0) RA_FAIL(err, RA_ERR_SHAPE, "the input %s has no rows, expected at least one", name);
    if (rows > limits->max_rows)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "the input %s has %zu rows, but a request may have at most %zu", name,
                rows, limits->max_rows);
    if (__builtin_mul_overflow(rows, width, &elements) || elements > limits->max_elements)
        RA_FAIL(err, RA_ERR_SHAPE, "the input %s has less data than its shape [%zu, %zu] says", name, rows,
                width);
    return RA_OK;
}

static size_t elements_of(const oip_tensor *tensor) {
    return tensor->spec.shape[0] * tensor->spec.shape[1];
}

/* ---- storing ------------------------------------------------------------------------------------------- */

static ra_status fail_memory(ra_error *err) {
    RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the tensors of the request");
}

static bool prepare(oip_tensor *tensor) {
    size_t rows = tensor->spec.shape[0], n = elements_of(tensor);
    switch (tensor->spec.input) {
    case OIP_INDICES:
        tensor->indices = ra_malloc(n, sizeof *tensor->indices);
        return tensor->indices != NULL;
    case OIP_VALUES:
    case OIP_ROWS:
        tensor->values = ra_malloc(n, sizeof *tensor->values);
        return tensor->values != NULL;
    default:
        tensor->codes.latents = tensor->spec.shape[1];
        tensor->codes.start = ra_calloc(rows + 1, sizeof *tensor->codes.start);
        tensor->codes.row_capacity = tensor->codes.start ? rows + 1 : 0;
        return tensor->codes.start != NULL;
    }
}

static bool grow(ra_codes *codes) {
    size_t capacity = codes->entry_capacity ? 2 * codes->entry_capacity : 64;
    int32_t *index = ra_realloc(codes->index, capacity, sizeof *index);
    if (index) codes->index = index;
    float *value = index ? ra_realloc(codes->value, capacity, sizeof *value) : NULL;
    if (!value) return false;
    codes->value = value;
    codes->entry_capacity = capacity;
    return true;
}

/* Adds an entry to the open row, number codes->rows; start[rows + 1] counts its entries. */
static bool push(ra_codes *codes, size_t column, float value) {
    size_t *end = &codes->start[codes->rows + 1];
    if (*end == codes->entry_capacity && !grow(codes)) return false;
    codes->index[*end] = (int32_t)column;
    codes->value[(*end)++] = value;
    return true;
}

/* Closes the rows before `row` and opens it, unless it is past the last one. */
static void open_row(ra_codes *codes, size_t row) {
    while (codes->rows < row) {
        codes->rows++;
        if (codes->rows + 1 < codes->row_capacity) codes->start[codes->rows + 1] = codes->start[codes->rows];
    }
}

static bool fits_index(int64_t index, const oip_limits *limits) {
    return index >= -1 && (index < 0 || (uint64_t)index < limits->latents);
}

static void index_sentence(char *sentence, size_t size, size_t row, size_t column, int64_t index,
                           const oip_limits *limits) {
    snprintf(sentence, size,
             "indices[%zu][%zu] is %lld, but the dictionary has %zu latents, numbered from 0 (-1 is padding)",
             row, column, (long long)index, limits->latents);
}

/* ---- from JSON ----------------------------------------------------------------------------------------- */

typedef struct reader {
    oip_tensor *tensor;
    const oip_limits *limits;
    json_scan *scan;
    json_position position; /* of the next element */
    size_t width;
} reader;

static void advance(reader *at, size_t n) {
    at->position.column += n;
    if (at->width && at->position.column >= at->width) {
        at->position.row += at->position.column / at->width;
        at->position.column %= at->width;
    }
}

static size_t elements_before(const reader *at) {
    return at->position.row * at->width + at->position.column;
}

static bool is_inside(const reader *at) {
    return at->position.row < at->tensor->spec.shape[0] && at->position.column < at->width;
}

static bool scan_latents(reader *at) {
    ra_codes *codes = &at->tensor->codes;
    float value;
    while (json_scan_next_f32(at->scan, &at->position, &value)) {
        if (value == 0) {
            advance(at, 1 + json_scan_zeros(at->scan));
            continue;
        }
        if (is_inside(at)) {
            open_row(codes, at->position.row);
            if (!push(codes, at->position.column, value)) return false;
        }
        advance(at, 1);
    }
    return true;
}

static bool scan_values(reader *at) {
    float value;
    for (; json_scan_next_f32(at->scan, &at->position, &value); advance(at, 1))
        if (is_inside(at)) at->tensor->values[elements_before(at)] = value;
    return true;
}

static bool scan_indices(reader *at) {
    int64_t index;
    for (; json_scan_next_i64(at->scan, &at->position, &index); advance(at, 1)) {
        if (!is_inside(at)) continue;
        if (!fits_index(index, at->limits)) {
            char sentence[160];
            index_sentence(sentence, sizeof sentence, at->position.row, at->position.column, index,
                           at->limits);
            return json_scan_fail(at->scan, RA_ERR_ARGUMENT, "%s", sentence);
        }
        at->tensor->indices[elements_before(at)] = (int32_t)index;
    }
    return true;
}

/* Reads the numbers up to the end of the innermost array. */
static bool scan_run(reader *at) {
    static bool (*const runs[])(reader *) = {[OIP_LATENTS] = scan_latents,
                                             [OIP_INDICES] = scan_indices,
                                             [OIP_VALUES] = scan_values,
                                             [OIP_ROWS] = scan_values};
    if (!runs[at->tensor->spec.input](at))
        return json_scan_fail(at->scan, RA_ERR_MEMORY, "out of memory: the tensors of the request");
    return at->scan->status == RA_OK;
}

static bool scan_rows(reader *at) {
    const char *name = at->position.name;
    size_t rows = 0;
    while (json_scan_element(at->scan)) {
        char what[64];
        snprintf(what, sizeof what, "%s[%zu]", name, rows);
        at->position.row = rows++;
        at->position.column = 0;
        if (!json_scan_expect(at->scan, JSON_ARRAY, what, "a row, an array of numbers") ||
            !json_scan_array(at->scan) || !scan_run(at))
            return false;
        size_t n = elements_before(at) - (rows - 1) * at->width;
        if (n != at->width)
            return json_scan_fail(at->scan, RA_ERR_SHAPE, "%s[%zu] has %zu numbers, but the shape says %zu",
                                  name, rows - 1, n, at->width);
    }
    if (at->scan->status == RA_OK && rows != at->tensor->spec.shape[0])
        return json_scan_fail(at->scan, RA_ERR_SHAPE, "%s has %zu rows, but the shape says %zu", name, rows,
                              at->tensor->spec.shape[0]);
    return at->scan->status == RA_OK;
}

static bool scan_flat(reader *at) {
    if (!scan_run(at)) return false;
    if (elements_before(at) != elements_of(at->tensor))
        return json_scan_fail(at->scan, RA_ERR_SHAPE, "%s has %zu numbers, but the shape says %zu",
                              at->position.name, elements_before(at), elements_of(at->tensor));
    return true;
}

bool oip_tensor_scan(oip_tensor *tensor, const oip_limits *limits, json_scan *scan) {
    const char *name = inputs[tensor->spec.input].name;
    reader at = {tensor, limits, scan, {.name = name}, tensor->spec.shape[1]};
    if (!json_scan_expect(scan, JSON_ARRAY, name, "an array of data")) return false;
    if (is_binary_only(tensor->spec.dtype)) {
        json_scan_skip(scan, NULL);
        return json_scan_fail(
            scan, RA_ERR_DTYPE,
            "the input %s has 16-bit numbers, which have no JSON form; send it as binary data", name);
    }
    if (!prepare(tensor))
        return json_scan_fail(scan, RA_ERR_MEMORY, "out of memory: the tensors of the request");
    json_scan_array(scan);
    bool good = json_scan_peek(scan) == JSON_ARRAY ? scan_rows(&at) : scan_flat(&at);
    if (good && tensor->spec.input == OIP_LATENTS) open_row(&tensor->codes, tensor->spec.shape[0]);
    return good;
}

/* ---- from bytes ---------------------------------------------------------------------------------------- */

enum { CHUNK = 512 }; /* numbers widened at once */

/* values[n] <- n numbers from `bytes`; n <= CHUNK. */
static ra_status widen(const oip_tensor *tensor, const char *bytes, size_t first, size_t n, float *values,
                       ra_error *err) {
    _Alignas(8) char raw[CHUNK * 8];
    memcpy(raw, bytes, n * ra_dtype_size(tensor->spec.dtype));
    ra_convert_to_f32(tensor->spec.dtype, raw, values, n);
    size_t bad = ra_find_not_finite(values, n), width = tensor->spec.shape[1];
    if (bad == n) return RA_OK;
    RA_FAIL(err, RA_ERR_NOT_FINITE, "%s[%zu][%zu] is NaN, infinite or beyond float32",
            inputs[tensor->spec.input].name, (first + bad) / width, (first + bad) % width);
}

static ra_status take_latents(oip_tensor *tensor, const char *bytes, ra_error *err) {
    size_t width = tensor->spec.shape[1], size = ra_dtype_size(tensor->spec.dtype);
    ra_codes *codes = &tensor->codes;
    RA_UNINITIALIZED float values[CHUNK];
    for (size_t row = 0; row < tensor->spec.shape[0]; row++) {
        open_row(codes, row);
        for (size_t from = 0, n; from < width; from += n) {
            n = width - from < CHUNK ? width - from : CHUNK;
            size_t first = row * width + from;
            RA_TRY(widen(tensor, bytes + first * size, first, n, values, err));
            for (size_t i = 0; i < n; i++)
                if (values[i] != 0 && !push(codes, from + i, values[i])) return fail_memory(err);
        }
    }
    open_row(codes, tensor->spec.shape[0]);
    return RA_OK;
}

static ra_status take_values(oip_tensor *tensor, const char *bytes, ra_error *err) {
    size_t total = elements_of(tensor), size = ra_dtype_size(tensor->spec.dtype);
    for (size_t from = 0, n; from < total; from += n) {
        n = total - from < CHUNK ? total - from : CHUNK;
        RA_TRY(widen(tensor, bytes + from * size, from, n, tensor->values + from, err));
    }
    return RA_OK;
}

static ra_status take_indices(oip_tensor *tensor, const oip_limits *limits, const char *bytes,
                              ra_error *err) {
    size_t total = elements_of(tensor), width = tensor->spec.shape[1];
    for (size_t i = 0; i < total; i++) {
        int64_t index;
        int32_t narrow;
        if (tensor->spec.dtype == RA_I64) {
            memcpy(&index, bytes + i * sizeof index, sizeof index);
        } else {
            memcpy(&narrow, bytes + i * sizeof narrow, sizeof narrow);
            index = narrow;
        }
        if (!fits_index(index, limits)) {
            char sentence[160];
            index_sentence(sentence, sizeof sentence, i / width, i % width, index, limits);
            RA_FAIL(err, RA_ERR_ARGUMENT, "%s", sentence);
        }
        tensor->indices[i] = (int32_t)index;
    }
    return RA_OK;
}

ra_status oip_tensor_take(oip_tensor *tensor, const oip_limits *limits, const char *bytes, size_t size,
                          ra_error *err) {
    size_t wanted = elements_of(tensor) * ra_dtype_size(tensor->spec.dtype);
    if (size != wanted)
        RA_FAIL(err, RA_ERR_SHAPE, "the input %s has %zu bytes of data, but its shape and datatype say %zu",
                inputs[tensor->spec.input].name, size, wanted);
    if (!prepare(tensor)) return fail_memory(err);
    switch (tensor->spec.input) {
    case OIP_INDICES:
        return take_indices(tensor, limits, bytes, err);
    case OIP_VALUES:
    case OIP_ROWS:
        return take_values(tensor, bytes, err);
    default:
        return take_latents(tensor, bytes, err);
    }
}

/* ---- joining ------------------------------------------------------------------------------------------- */

/* Appends one row of both, without its padding, to the entries that are kept; *total counts them. */
static ra_status join_row(oip_tensor *indices, oip_tensor *values, size_t row, size_t *total, ra_error *err) {
    size_t width = indices->spec.shape[1], n = 0, kept = 0;
    int32_t *index = indices->indices + row * width;
    float *value = values->values + row * width;
    for (size_t i = 0; i < width; i++) {
        if (index[i] < 0) continue;
        index[n] = index[i];
        value[n++] = value[i];
    }
    if (n == 0) return RA_OK;
    sort_row(index, value, n);
    int32_t twice = compact_row(index, value, n, indices->indices + *total, values->values + *total, &kept);
    if (twice >= 0) RA_FAIL(err, RA_ERR_ARGUMENT, "indices[%zu] has the index %d twice", row, twice);
    *total += kept;
    return RA_OK;
}

static ra_status join(oip_tensor *indices, oip_tensor *values, const oip_limits *limits, ra_codes *codes,
                      ra_error *err) {
    const size_t *shape = indices->spec.shape, *other = values->spec.shape;
    size_t rows = shape[0], total = 0;
    ra_status status = RA_OK;
    if (rows != other[0] || shape[1] != other[1])
        RA_FAIL(err, RA_ERR_SHAPE,
                "indices has the shape [%zu, %zu], but values has [%zu, %zu]; they must be equal", shape[0],
                shape[1], other[0], other[1]);
    size_t *start = ra_calloc(rows + 1, sizeof *start);
    if (!start) return fail_memory(err);
    for (size_t row = 0; row < rows; row++) {
        RA_TRY_OUT(status, join_row(indices, values, row, &total, err));
        start[row + 1] = total;
    }
    *codes = (ra_codes){.rows = rows,
                        .latents = limits->latents,
                        .start = start,
                        .index = indices->indices,
                        .value = values->values,
                        .row_capacity = rows + 1,
                        .entry_capacity = rows * shape[1]};
    start = NULL;
    indices->indices = NULL;
    values->values = NULL;
out:
    ra_free(start);
    return status;
}

ra_status oip_tensors_join(oip_tensor *tensors, const oip_limits *limits, ra_codes *codes, ra_error *err) {
    bool latents = tensors[OIP_LATENTS].given, indices = tensors[OIP_INDICES].given,
         values = tensors[OIP_VALUES].given;
    if (latents && (indices || values))
        RA_FAIL(err, RA_ERR_ARGUMENT, "the input latents cannot be combined with indices or values");
    if (!latents && (!indices || !values))
        RA_FAIL(err, RA_ERR_ARGUMENT, "the input %s is missing; expected latents, or indices and values",
                values    ? "indices"
                : indices ? "values"
                          : "latents");
    if (!latents) return join(&tensors[OIP_INDICES], &tensors[OIP_VALUES], limits, codes, err);
    *codes = tensors[OIP_LATENTS].codes;
    tensors[OIP_LATENTS].codes = (ra_codes){0};
    return RA_OK;
}

ra_status oip_tensors_rows(oip_tensor *tensors, ra_matrix *rows, ra_error *err) {
    oip_tensor *given = &tensors[OIP_ROWS];
    if (!given->given) RA_FAIL(err, RA_ERR_ARGUMENT, "the input %s is missing", inputs[OIP_ROWS].name);
    *rows = (ra_matrix){given->values, given->spec.shape[0], given->spec.shape[1]};
    given->values = NULL;
    return RA_OK;
}

void oip_tensor_release(oip_tensor *tensor) {
    ra_codes_release(&tensor->codes);
    ra_free(tensor->indices);
    ra_free(tensor->values);
    *tensor = (oip_tensor){0};
}
