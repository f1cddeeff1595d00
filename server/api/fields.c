#include "api/fields.h"

#include <string.h>

static unsigned part_named(const char *name, size_t size) {
    if (size == 3 && strncmp(name, "all", size) == 0) return ATOM_ALL_PARTS;
    for (unsigned i = 0; i < ATOM_PART_COUNT; i++)
        if (strlen(atom_part_names[i]) == size && strncmp(atom_part_names[i], name, size) == 0)
            return 1u << i;
    return 0;
}

static ra_status query_parts(const http_target *target, unsigned *parts, ra_error *err) {
    http_list list = {0};
    *parts = 0;
    while (http_target_list(target, "fields", &list)) {
        unsigned part = part_named(list.entry, (size_t)(list.end - list.entry));
        if (!part)
            RA_FAIL_FACTS(
                err, RA_ERR_ARGUMENT, (.where = "fields"),
                "fields has '%.*s', expected norm, label, archetypes, relaxation, trace, agreement, "
                "statistics, quantiles, layout, vector, direction, units or all",
                (int)(list.end - list.entry < 64 ? list.end - list.entry : 64), list.entry);
        *parts |= part;
    }
    return RA_OK;
}

ra_status fields_query(const api_call *call, unsigned fallback, atom_fields *fields, ra_error *err) {
    size_t d = api_info(call)->dimensions;
    *fields = (atom_fields){.model = api_model(call), .parts = fallback};
    if (http_target_parameter(&call->request->target, "fields"))
        RA_TRY(query_parts(&call->request->target, &fields->parts, err));
    if (!(fields->parts & (ATOM_VECTOR | ATOM_DIRECTION))) return RA_OK;
    RA_TRY(scratch_vectors(2 * d, &fields->memory, err));
    fields->numbers = (atom_numbers){fields->memory, fields->memory + d};
    return RA_OK;
}

ra_status fields_read(atom_fields *fields, size_t atom, ra_error *err) {
    float *vector = fields->memory;
    if (fields->parts & ATOM_VECTOR) RA_TRY(ra_model_atom(fields->model, atom, vector, err));
    if (fields->parts & ATOM_DIRECTION)
        RA_TRY(ra_model_direction(fields->model, atom, vector + ra_model_get_info(fields->model)->dimensions,
                                  err));
    return RA_OK;
}
