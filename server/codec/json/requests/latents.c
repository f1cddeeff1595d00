/* The body of reconstruct. Latents become sparse rows as they are scanned: the dense form never exists in memory, its zeros are
 * skipped in the text. */
#include "codec/json/requests/rows.h"
#include "codec/sort_row.h"
#include "ra_memory.h"

/* Rows of different lengths. Items have four bytes: int32 indices or float32 values. */
typedef struct ragged {
    void *items; /* [count] */
    size_t count, capacity;
    size_t *start; /* [rows + 1] */
    size_t rows, start_capacity;
} ragged;

typedef struct latents_reader {
    size_t latents, max_rows;
    bool dense, nested, flat;               /* `latents`; `indices` and `values` beside each other */
    const char *indices_name, *values_name; /* for messages */
    ragged indices, values;                 /* the dense form counts its rows only in indices */
} latents_reader;

static bool ragged_reserve(json_scan *scan, ragged *list) {
    void *items = json_grown(scan, list->items, &list->capacity, list->count + 1, 4);
    if (items) list->items = items;
    return items != NULL;
}

static bool ragged_end_row(json_scan *scan, ragged *list) {
    size_t *start = json_grown(scan, list->start, &list->start_capacity, list->rows + 2, sizeof *start);
    if (!start) return false;
    list->start = start;
    start[0] = 0;
    start[++list->rows] = list->count;
    return true;
}

static bool push_index(json_scan *scan, ragged *list, size_t index) {
    if (list->count == list->capacity && !ragged_reserve(scan, list)) return false;
    ((int32_t *)list->items)[list->count++] = (int32_t)index;
    return true;
}

static bool push_value(json_scan *scan, ragged *list, float value) {
    if (list->count == list->capacity && !ragged_reserve(scan, list)) return false;
    ((float *)list->items)[list->count++] = value;
    return true;
}

static bool read_dense_row(json_scan *scan, json_position *position, void *target) {
    latents_reader *reader = target;
    float value;
    while (json_scan_next_f32(scan, position, &value)) {
        size_t column = position->column++;
        if (value == 0)
            position->column += json_scan_zeros(scan);
        else if (column < reader->latents &&
                 !(push_index(scan, &reader->indices, column) && push_value(scan, &reader->values, value)))
            return false;
    }
    if (position->column != reader->latents)
        return json_fail_width(scan, position, reader->latents, "latents");
    return scan->status == RA_OK && ragged_end_row(scan, &reader->indices);
}

static bool read_index_row(json_scan *scan, json_position *position, void *target) {
    latents_reader *reader = target;
    int64_t index;
    for (; json_scan_next_i64(scan, position, &index); position->column++) {
        if (index < 0 || (uint64_t)index >= reader->latents) {
            json_scan_is_at(scan, position);
            return json_scan_fail_with(
                scan, RA_ERR_ARGUMENT,
                &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE, PROBLEM_LIMIT(reader->latents - 1)},
                "%s[%zu][%zu] is %lld, but the dictionary has %zu latents, numbered from 0", position->name,
                position->row, position->column, (long long)index, reader->latents);
        }
        if (!push_index(scan, &reader->indices, (size_t)index)) return false;
    }
    return scan->status == RA_OK && ragged_end_row(scan, &reader->indices);
}

static bool read_value_row(json_scan *scan, json_position *position, void *target) {
    latents_reader *reader = target;
    float value;
    for (; json_scan_next_f32(scan, position, &value); position->column++)
        if (!push_value(scan, &reader->values, value)) return false;
    return scan->status == RA_OK && ragged_end_row(scan, &reader->values);
}

static bool read_indices(json_scan *scan, void *target) {
    latents_reader *reader = target;
    return json_rows_read(scan, reader->indices_name, reader->max_rows, read_index_row, reader);
}

static bool read_values(json_scan *scan, void *target) {
    latents_reader *reader = target;
    return json_rows_read(scan, reader->values_name, reader->max_rows, read_value_row, reader);
}

static bool check_lengths(json_scan *scan, const latents_reader *reader) {
    const ragged *indices = &reader->indices, *values = &reader->values;
    if (indices->rows != values->rows)
        return json_scan_fail(scan, RA_ERR_SHAPE, "%s has %zu rows, but %s has %zu", reader->indices_name,
                              indices->rows, reader->values_name, values->rows);
    for (size_t row = 0; row < indices->rows; row++) {
        size_t left = indices->start[row + 1] - indices->start[row];
        size_t right = values->start[row + 1] - values->start[row];
        if (left != right)
            return json_scan_fail(scan, RA_ERR_SHAPE, "%s[%zu] has %zu numbers, but %s[%zu] has %zu",
                                  reader->indices_name, row, left, reader->values_name, row, right);
    }
    return true;
}

/* Sorts the rows, refuses an index that occurs twice in a row, and drops explicit zeros. */
static bool normalize(json_scan *scan, latents_reader *reader) {
    int32_t *index = reader->indices.items;
    float *value = reader->values.items;
    size_t *start = reader->indices.start, from = 0, total = 0;
    for (size_t row = 0; row < reader->indices.rows; row++) {
        size_t n = start[row + 1] - from, kept = 0;
        if (n > 0) {
            sort_row(index + from, value + from, n);
            int32_t twice = compact_row(index + from, value + from, n, index + total, value + total, &kept);
            if (twice >= 0)
                return json_scan_fail(scan, RA_ERR_ARGUMENT, "%s[%zu] has the index %d twice",
                                      reader->indices_name, row, twice);
        }
        from += n;
        total += kept;
        start[row + 1] = total;
    }
    reader->indices.count = reader->values.count = total;
    return true;
}

static const char latents_wanted[] =
    "{\"latents\": [[...], ...]} or {\"latents\": {\"indices\": [[...], ...], "
    "\"values\": [[...], ...]}}";

static bool fail_both_forms(json_scan *scan) {
    return json_scan_fail_with(scan, RA_ERR_FORMAT, &(ra_error_facts){.kind = PROBLEM_CONFLICTING_PARAMETERS},
                               "the body has \"latents\" beside \"indices\" or \"values\"; expected %s",
                               latents_wanted);
}

static bool read_latents(json_scan *scan, void *target) {
    static const json_member members[] = {{"indices", read_indices, false}, {"values", read_values, false}};
    latents_reader *reader = target;
    json_type type = json_scan_peek(scan);
    if (reader->flat) return fail_both_forms(scan);
    reader->nested = true;
    reader->dense = type == JSON_ARRAY;
    if (reader->dense) return json_rows_read(scan, "latents", reader->max_rows, read_dense_row, reader);
    return json_object_read(scan, "latents", latents_wanted, members, 2, reader) &&
           check_lengths(scan, reader) && normalize(scan, reader);
}

/* A reply of encode, as it is. */
static bool read_flat_indices(json_scan *scan, void *target) {
    latents_reader *reader = target;
    if (reader->nested) return fail_both_forms(scan);
    reader->flat = true;
    reader->indices_name = "indices";
    return read_indices(scan, reader);
}

static bool read_flat_values(json_scan *scan, void *target) {
    latents_reader *reader = target;
    if (reader->nested) return fail_both_forms(scan);
    reader->flat = true;
    reader->values_name = "values";
    return read_values(scan, reader);
}

static bool read_latents_body(json_scan *scan, latents_reader *reader) {
    static const json_member members[] = {{"latents", read_latents, true},
                                          {"indices", read_flat_indices, true},
                                          {"values", read_flat_values, true}};
    if (!json_object_read(scan, "the body", latents_wanted, members, 3, reader)) return false;
    if (reader->nested) return true;
    const char *missing = !reader->flat ? "latents" : !reader->indices.rows ? "indices" : "values";
    if (!reader->indices.rows || !reader->values.rows)
        return json_object_missing(scan, "the body", missing, latents_wanted);
    return check_lengths(scan, reader) && normalize(scan, reader);
}

ra_status json_latents_parse(const char *body, size_t size, size_t latents, size_t max_rows,
                             latents_request *out, ra_error *err) {
    latents_reader reader = {.latents = latents,
                             .max_rows = max_rows,
                             .indices_name = "latents.indices",
                             .values_name = "latents.values"};
    ragged *indices = &reader.indices, *values = &reader.values;
    json_scan scan;
    json_scan_begin(&scan, body, size, err);
    if (size == 0)
        json_body_empty(&scan, latents_wanted);
    else if (read_latents_body(&scan, &reader))
        json_scan_end(&scan);
    ra_status status = json_scan_close(&scan);
    ra_free(values->start); /* equal to those of the indices */
    *out = (latents_request){0};
    if (status != RA_OK) {
        ra_free(indices->start);
        ra_free(indices->items);
        ra_free(values->items);
        return status;
    }
    out->rows = indices->rows;
    out->dense_entries = reader.dense ? indices->rows * latents : 0;
    out->codes = (ra_codes){
        .rows = indices->rows,
        .latents = latents,
        .start = indices->start,
        .index = indices->items,
        .value = values->items,
        .row_capacity = indices->start_capacity,
        .entry_capacity = indices->capacity < values->capacity ? indices->capacity : values->capacity,
    };
    return RA_OK;
}

void latents_request_release(latents_request *request) {
    ra_codes_release(&request->codes);
    *request = (latents_request){0};
}
