/* The bodies of encode and explain, one of numbers of atoms, and one that says nothing. */
#include "codec/json/requests/rows.h"
#include "ra_memory.h"

typedef struct explain_reader {
    json_matrix_reader inputs; /* first */
    size_t k;
} explain_reader;

static bool read_k(json_scan *scan, void *target) {
    return json_k_read(scan, &((explain_reader *)target)->k);
}

ra_status json_inputs_parse(const char *body, size_t size, size_t dimensions, size_t max_rows,
                            ra_matrix *inputs, ra_error *err) {
    static const json_member members[] = {{"inputs", json_inputs_read, false}};
    json_matrix_reader reader = {.dimensions = dimensions, .max_rows = max_rows};
    ra_status status = json_body_read(body, size, "{\"inputs\": [[...], ...]}", members, 1, &reader, err);
    if (status != RA_OK) ra_matrix_release(&reader.matrix);
    *inputs = reader.matrix;
    return status;
}

ra_status json_explain_parse(const char *body, size_t size, size_t dimensions, size_t max_rows,
                             ra_matrix *inputs, size_t *k, ra_error *err) {
    static const json_member members[] = {{"inputs", json_inputs_read, false}, {"k", read_k, true}};
    explain_reader reader = {.inputs = {.dimensions = dimensions, .max_rows = max_rows}};
    ra_status status =
        json_body_read(body, size, "{\"inputs\": [[...], ...], \"k\": 10}", members, 2, &reader, err);
    if (status != RA_OK) ra_matrix_release(&reader.inputs.matrix);
    *inputs = reader.inputs.matrix;
    *k = reader.k;
    return status;
}

/* ---- atoms by number ------------------------------------------------------------------------------------ */

static bool read_ids(json_scan *scan, void *target) {
    return json_atoms_read(scan, "ids", target);
}

ra_status json_ids_parse(const char *body, size_t size, size_t most_ids, ids_request *out, ra_error *err) {
    static const json_member members[] = {{"ids", read_ids, false}};
    json_atoms_reader reader = {.most = most_ids};
    ra_status status = json_body_read(body, size, "{\"ids\": [5, 9, 1]}", members, 1, &reader, err);
    *out = reader.list;
    if (status != RA_OK) ids_request_release(out);
    return status;
}

void ids_request_release(ids_request *request) {
    ra_free(request->ids);
    *request = (ids_request){0};
}

/* ---- nothing -------------------------------------------------------------------------------------------- */

ra_status json_nothing_parse(const char *body, size_t size, ra_error *err) {
    return size ? json_body_read(body, size, "no body, or {}", NULL, 0, NULL, err) : RA_OK;
}
