/* rows.h - what the bodies of several requests have in common: rows of numbers, lists of atoms.
 *
 * Numbers are stored where they will be used while they are scanned, so arrays grow as they come. Each function fails the
 * scan with one sentence and returns false. Thread safety: as scan.h.
 */
#ifndef RASAED_CODEC_JSON_REQUESTS_ROWS_H
#define RASAED_CODEC_JSON_REQUESTS_ROWS_H

#include "codec/json/object.h"
#include "codec/json/requests.h"

/* `array` with room for `needed` items, grown geometrically; NULL when memory is short, and then `array`
 * stays. */
void *json_grown(json_scan *scan, void *array, size_t *capacity, size_t needed, size_t item);

/* Reads the inside of one row and counts its numbers in position->column. */
typedef bool json_row_reader(json_scan *scan, json_position *position, void *target);

/* [[...], ...], 1 to max_rows of them, each by read_row. */
bool json_rows_read(json_scan *scan, const char *name, size_t max_rows, json_row_reader *read_row,
                    void *target);

/* For a row whose numbers are counted: it should have `width` of them. unit: "dimensions", "latents". */
bool json_fail_width(json_scan *scan, const json_position *position, size_t width, const char *unit);

/* A matrix [rows, dimensions]; the first member of the readers of requests that have inputs. */
typedef struct json_matrix_reader {
    ra_matrix matrix;
    size_t capacity; /* of matrix.data, in numbers */
    size_t dimensions, max_rows;
} json_matrix_reader;

bool json_matrix_read(json_scan *scan, const char *name, json_matrix_reader *reader);
bool json_inputs_read(json_scan *scan, void *target); /* the member "inputs" */

/* Numbers of atoms, at most `most`. */
typedef struct json_atoms_reader {
    ids_request list;
    size_t capacity, most;
} json_atoms_reader;

bool json_atoms_read(json_scan *scan, const char *name, json_atoms_reader *reader);
bool json_atoms_read_or_none(json_scan *scan, const char *name,
                             json_atoms_reader *reader); /* it may be empty */

bool json_k_read(json_scan *scan, size_t *k);                        /* at least 1 */
bool json_truth_read(json_scan *scan, const char *name, int *truth); /* 0 or 1 */

#endif
