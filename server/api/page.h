/* page.h - lists in pages: `offset` and `limit` in the query, the members of the reply that say what was sent, and the
 * header Link to the pages around it.
 *
 *     page here;
 *     RA_TRY(page_query(call, 10, total, &here, err));
 *     RA_TRY(page_link(call, &here, "fields format", err));
 *     for (size_t i = here.offset; i < here.end; i++) ...
 *     page_members(out, &here);
 *
 * A limit above the largest one becomes that; an offset past the end is an empty page.
 *
 * Thread safety: as in api.h.
 */
#ifndef RASAED_API_PAGE_H
#define RASAED_API_PAGE_H

#include "api/api.h"

typedef struct page {
    size_t offset, limit; /* as they are used */
    size_t total;         /* items of the whole list */
    size_t end;           /* the item after the last one of the page; `offset` when the page is empty */
} page;

/* RA_ERR_ARGUMENT for an offset or a limit that is no number, or a limit of 0. */
ra_status page_query(const api_call *call, size_t usual_limit, size_t total, page *here, ra_error *err);

/* Adds Link. kept: the parameters of the query that the links repeat, with spaces between. */
ra_status page_link(api_call *call, const page *here, const char *kept, ra_error *err);

/* "offset", "limit" and "total". */
void page_members(text *out, const page *here);

#endif
