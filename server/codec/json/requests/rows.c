/* A table of members describes each body, in the file of its request, with a function that reads each member (object.h). What
 * several of them read is here.
 */
#include "codec/json/requests/rows.h"
#include "ra_memory.h"

/* ---- rows of numbers ----------------------------------------------------------------------------------- */

/* `array` with room for `needed` items, json_grown geometrically; NULL when memory is short, and then `array`
 * stays. */
void *json_grown(json_scan *scan, void *array, size_t *capacity, size_t needed, size_t item) {
    enum { LEAST = 64 };
    if (array && needed <= *capacity) return array;
    size_t wanted = 2 * *capacity > LEAST ? 2 * *capacity : LEAST;
    if (wanted < needed) wanted = needed;
    void *larger = ra_realloc(array, wanted, item);
    if (larger)
        *capacity = wanted;
    else
        json_scan_fail(scan, RA_ERR_MEMORY, "out of memory: the request needs %zu bytes", wanted * item);
    return larger;
}

static bool fail_not_a_row(json_scan *scan, const json_position *position) {
    json_type type = json_scan_peek(scan);
    if (!json_scan_skip(scan, NULL)) return false;
    if (type == JSON_NUMBER && position->row == 0)
        return json_scan_fail(
            scan, RA_ERR_SHAPE,
            "%s is a flat list of numbers, expected a list of rows: write [[...]], even for a "
            "single row",
            position->name);
    return json_scan_fail_with(scan, RA_ERR_FORMAT, &(ra_error_facts){.kind = PROBLEM_INVALID_VALUE},
                               "%s[%zu] is %s, expected a row, an array of numbers", position->name,
                               position->row, json_type_name(type));
}

/* Before the first row beyond the limit: counts them all, for the message. */
static bool fail_too_many(json_scan *scan, const json_position *position) {
    size_t rows = position->row;
    do {
        json_scan_skip(scan, NULL);
        rows++;
    } while (json_scan_element(scan));
    return json_scan_fail_with(scan, RA_ERR_TOO_LARGE, &(ra_error_facts){PROBLEM_COUNTS(position->row, rows)},
                               "%s has %zu rows, but a request may have at most %zu", position->name, rows,
                               position->row);
}

bool json_fail_width(json_scan *scan, const json_position *position, size_t width, const char *unit) {
    return json_scan_fail_with(scan, RA_ERR_SHAPE, &(ra_error_facts){PROBLEM_COUNTS(width, position->column)},
                               "%s[%zu] has %zu numbers, but the dictionary has %zu %s", position->name,
                               position->row, position->column, width, unit);
}

bool json_rows_read(json_scan *scan, const char *name, size_t max_rows, json_row_reader *read_row,
                    void *target) {
    json_position position = {.name = name};
    if (!json_scan_expect(scan, JSON_ARRAY, name, "a list of rows, [[...], ...]")) return false;
    json_scan_array(scan);
    while (json_scan_element(scan)) {
        if (json_scan_peek(scan) != JSON_ARRAY) return fail_not_a_row(scan, &position);
        if (position.row == max_rows) return fail_too_many(scan, &position);
        json_scan_array(scan);
        position.column = 0;
        if (!read_row(scan, &position, target)) return false;
        position.row++;
    }
    if (position.row == 0) json_scan_fail(scan, RA_ERR_SHAPE, "%s is empty, expected at least one row", name);
    return scan->status == RA_OK;
}

/* ---- matrices ------------------------------------------------------------------------------------------- */

static bool read_matrix_row(json_scan *scan, json_position *position, void *target) {
    json_matrix_reader *reader = target;
    size_t width = reader->dimensions;
    float *data =
        json_grown(scan, reader->matrix.data, &reader->capacity, (position->row + 1) * width, sizeof *data);
    if (!data) return false;
    reader->matrix = (ra_matrix){data, position->row + 1, width};
    float *row = data + position->row * width, value;
    for (; json_scan_next_f32(scan, position, &value); position->column++)
        if (position->column < width) row[position->column] = value;
    if (position->column != width) return json_fail_width(scan, position, width, "dimensions");
    return scan->status == RA_OK;
}

bool json_matrix_read(json_scan *scan, const char *name, json_matrix_reader *reader) {
    return json_rows_read(scan, name, reader->max_rows, read_matrix_row, reader);
}

bool json_inputs_read(json_scan *scan, void *target) {
    return json_matrix_read(scan, "inputs", target);
}

/* ---- atoms and other values ----------------------------------------------------------------------------- */

bool json_atoms_read_or_none(json_scan *scan, const char *name, json_atoms_reader *reader) {
    json_position position = {.name = name, .flat = true};
    int64_t id;
    if (!json_scan_expect(scan, JSON_ARRAY, name, "a list of atoms, [5, 9, 1]")) return false;
    json_scan_array(scan);
    for (; json_scan_next_i64(scan, &position, &id); position.column++) {
        ids_request *list = &reader->list;
        size_t *ids = json_grown(scan, list->ids, &reader->capacity, list->count + 1, sizeof *ids);
        if (!ids) return false;
        list->ids = ids;
        if (id < 0 || list->count == reader->most) json_scan_is_at(scan, &position);
        if (id < 0)
            return json_scan_fail_with(scan, RA_ERR_ARGUMENT, &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE},
                                       "%s[%zu] is %lld, but atoms are numbered from 0", name, list->count,
                                       (long long)id);
        if (list->count == reader->most)
            return json_scan_fail_with(scan, RA_ERR_TOO_LARGE, &(ra_error_facts){PROBLEM_LIMIT(reader->most)},
                                       "%s has more than %zu numbers; ask again for the rest", name,
                                       reader->most);
        ids[list->count++] = (size_t)id;
    }
    return scan->status == RA_OK;
}

bool json_atoms_read(json_scan *scan, const char *name, json_atoms_reader *reader) {
    if (!json_atoms_read_or_none(scan, name, reader)) return false;
    if (reader->list.count == 0)
        return json_scan_fail(scan, RA_ERR_SHAPE, "%s is empty, expected at least one atom", name);
    return true;
}

bool json_k_read(json_scan *scan, size_t *k) {
    int64_t value = 0;
    if (!json_scan_i64(scan, "k", &value)) return false;
    if (value < 1)
        return json_scan_fail_with(scan, RA_ERR_ARGUMENT, &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE},
                                   "k is %lld, expected at least 1", (long long)value);
    *k = (size_t)value;
    return true;
}

bool json_truth_read(json_scan *scan, const char *name, int *truth) {
    json_type type = json_scan_peek(scan);
    if (!json_scan_skip(scan, NULL)) return false;
    if (type != JSON_TRUE && type != JSON_FALSE)
        return json_scan_fail_with(scan, RA_ERR_FORMAT, &(ra_error_facts){.kind = PROBLEM_INVALID_VALUE},
                                   "%s is %s, expected true or false", name, json_type_name(type));
    *truth = type == JSON_TRUE;
    return true;
}
