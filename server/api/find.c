#include "api/find.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const parameters[] = {"q", "min_frequency", "dead", "point", "sort", "order"};
enum { PARAMETERS = sizeof parameters / sizeof *parameters, OF_A_FILTER = 4 };

static bool has_any(const api_call *call, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (http_target_parameter(&call->request->target, parameters[i])) return true;
    return false;
}

bool find_is_asked(const api_call *call) {
    return has_any(call, PARAMETERS);
}

bool find_filter_is_asked(const api_call *call) {
    return has_any(call, OF_A_FILTER);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static ra_status fail_choice(const char *name, const char *given, const char *expected, ra_error *err) {
    ra_error_set(err, RA_ERR_ARGUMENT, "%s is '%.64s', expected %s", name, given, expected);
    return api_blame(name, err, (ra_error_facts){.kind = PROBLEM_INVALID_VALUE});
}

static ra_status query_sort(const api_call *call, atom_query *query, ra_error *err) {
    const char *name = http_target_parameter(&call->request->target, "sort");
    char names[256] = "";
    if (!name) return RA_OK;
    query->sort = atom_column_named(name, strlen(name));
    if (query->sort) return RA_OK;
    for (size_t i = 0, used = 0; i < ATOM_COLUMNS && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "one of ",
                                 atom_columns[i].name);
    return fail_choice("sort", name, names, err);
}

/* The largest first, but numbers of atoms rise. */
static ra_status query_order(const api_call *call, atom_query *query, ra_error *err) {
    const char *order = http_target_parameter(&call->request->target, "order");
    const atom_column *index = atom_column_named("index", 5);
    query->falling = query->sort && query->sort != index;
    if (!order) return RA_OK;
    query->falling = strcmp(order, "desc") == 0;
    if (!query->falling && strcmp(order, "asc") != 0) return fail_choice("order", order, "asc or desc", err);
    if (!query->sort) query->sort = index;
    return RA_OK;
}

static ra_status query_dead(const api_call *call, atom_query *query, ra_error *err) {
    const char *dead = http_target_parameter(&call->request->target, "dead");
    if (!dead) return RA_OK;
    bool yes = strcmp(dead, "true") == 0;
    if (!yes && strcmp(dead, "false") != 0) return fail_choice("dead", dead, "true or false", err);
    query->dead = yes ? ATOM_DEAD : ATOM_NOT_DEAD;
    return RA_OK;
}

static ra_status query_frequency(const api_call *call, atom_query *query, ra_error *err) {
    const char *given = http_target_parameter(&call->request->target, "min_frequency");
    if (!given) return RA_OK;
    char *end = NULL;
    query->min_frequency = strtod(given, &end);
    bool good = *given && !*end && query->min_frequency >= 0 && query->min_frequency <= 1;
    return good ? RA_OK : fail_choice("min_frequency", given, "a number from 0 to 1", err);
}

ra_status find_query(const api_call *call, atom_query *query, ra_error *err) {
    RA_TRY(find_filter(call, query, err));
    RA_TRY(query_sort(call, query, err));
    return query_order(call, query, err);
}

ra_status find_filter(const api_call *call, atom_query *query, ra_error *err) {
    const http_target *target = &call->request->target;
    const char *words = http_target_parameter(target, "q");
    *query = (atom_query){.labels = call->labels, .text = words && *words ? words : NULL};
    RA_TRY(query_frequency(call, query, err));
    RA_TRY(query_dead(call, query, err));
    query->has_point = http_target_parameter(target, "point") != NULL;
    return api_query_count(call, "point", 0, 0, SIZE_MAX, &query->point, err);
}

/* ---- finding ------------------------------------------------------------------------------------------- */

/* The parameter that needs what the file lacks, in the order in which they are looked at. */
static const char *blamed(const atom_query *query, const ra_model *model) {
    if (query->has_point && !ra_model_get_info(model)->archetypes) return "point";
    if (ra_model_latent_statistics(model)) return "q";
    if (query->min_frequency > 0) return "min_frequency";
    return query->dead != ATOM_DEAD_OR_NOT ? "dead" : "q";
}

static ra_status blame(const api_call *call, const atom_query *query, ra_status status, ra_error *err) {
    if (status == RA_ERR_STATE)
        return api_blame(blamed(query, api_model(call)), err, (ra_error_facts){.kind = PROBLEM_NOT_HELD});
    if (status == RA_ERR_ARGUMENT)
        return api_blame("q", err, (ra_error_facts){.kind = PROBLEM_INVALID_VALUE});
    return status;
}

ra_status find_set(const api_call *call, const atom_query *query, uint64_t **set, size_t *total,
                   ra_error *err) {
    const atom_index *index = call->dictionary->atoms;
    RA_TRY(scratch_bits(atom_index_scratch(index), set, err));
    return blame(call, query, atom_index_match(index, query, *set, total, err), err);
}

ra_status find_atoms(const api_call *call, const atom_query *query, found_atoms *found, ra_error *err) {
    const atom_index *index = call->dictionary->atoms;
    uint64_t *bits;
    atom_label_kind *kinds;
    RA_TRY(scratch_bits(atom_index_scratch(index), &bits, err));
    RA_TRY(scratch_ids(query->limit, &found->atoms, err));
    RA_TRY(scratch_kinds(query->limit, &kinds, err));
    ra_status status =
        atom_index_find(index, query, bits, found->atoms, kinds, &found->count, &found->total, err);
    found->kinds = query->text ? kinds : NULL;
    return blame(call, query, status, err);
}

const char *find_kind_name(atom_label_kind kind) {
    static const char *const names[ATOM_LABEL_KINDS] = {"label", "archetypes", "rows"};
    return names[kind];
}
