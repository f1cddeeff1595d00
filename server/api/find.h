/* find.h - which atoms a request asks for, and in which order: the parameters q, sort, order, min_frequency, dead and point.
 *
 *     atom_query query;
 *     RA_TRY(find_query(call, &query, err));
 *     query.limit = 20;
 *     RA_TRY(find_atoms(call, &query, &found, err));
 *
 * Thread safety: as in api.h.
 */
#ifndef RASAED_API_FIND_H
#define RASAED_API_FIND_H

#include "api/api.h"

/* The parameters, as page_link() keeps them. */
#define FIND_PARAMETERS "q sort order min_frequency dead point"

bool find_is_asked(const api_call *call); /* whether the query has one of these */

/* Reads them; offset and limit are for the caller to fill in. */
ra_status find_query(const api_call *call, atom_query *query, ra_error *err);

typedef struct found_atoms {
    size_t *atoms;                /* [count], in this thread's scratch */
    const atom_label_kind *kinds; /* [count] where the text was found; NULL: there is none */
    size_t count, total;          /* of the page, of all that match */
} found_atoms;

/* PROBLEM_NOT_HELD when the file lacks what the query needs. */
ra_status find_atoms(const api_call *call, const atom_query *query, found_atoms *found, ra_error *err);

/* The parameters of a filter alone: q, min_frequency, dead and point. */
bool find_filter_is_asked(const api_call *call);
ra_status find_filter(const api_call *call, atom_query *query, ra_error *err);

/* *set <- the atoms that match, a bit each, in this thread's scratch; *total <- how many. */
ra_status find_set(const api_call *call, const atom_query *query, uint64_t **set, size_t *total,
                   ra_error *err);

/* The contrast of this name in the file; NULL: there is none (contrasts.c). */
const ra_contrast *contrast_named(const ra_model *model, const char *name, size_t size);

const char *find_kind_name(atom_label_kind kind); /* "label", "archetypes" or "rows" */

#endif
