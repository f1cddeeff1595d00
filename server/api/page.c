/* Pages are counted from the one that is sent, so that a client that follows the links gets each item once, wherever it
 * began. */
#include "api/page.h"
#include "api/limits.h"

#include <stdio.h>
#include <string.h>

ra_status page_query(const api_call *call, size_t usual_limit, size_t total, page *here, ra_error *err) {
    *here = (page){.total = total};
    RA_TRY(api_query_count(call, "limit", usual_limit, 1, SIZE_MAX, &here->limit, err));
    RA_TRY(api_query_count(call, "offset", 0, 0, SIZE_MAX, &here->offset, err));
    if (here->limit > LIMIT_PAGE) here->limit = LIMIT_PAGE;
    size_t left = here->offset < total ? total - here->offset : 0;
    here->end = here->offset + (left < here->limit ? left : here->limit);
    return RA_OK;
}

/* As a value of a query. */
static void encode(text *links, const char *from, const char *end) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:";
    for (; from < end; from++) {
        if (*from && strchr(plain, *from))
            text_append(links, from, 1);
        else
            text_format(links, "%%%02X", (unsigned)(unsigned char)*from);
    }
}

static void add_kept(const http_target *target, const char *name, text *links) {
    http_list list = {0};
    for (size_t n = 0; http_target_list(target, name, &list); n++) {
        if (n)
            text_append(links, ",", 1);
        else
            text_format(links, "&%s=", name);
        encode(links, list.entry, list.end);
    }
}

static void add_link(const api_call *call, text *links, const char *kept, const char *relation, size_t offset,
                     size_t limit) {
    char name[32];
    const http_target *target = &call->request->target;
    text_format(links, "%s<%s%s?offset=%zu&limit=%zu", links->size ? ", " : "",
                target->base ? target->base : "", target->path, offset, limit);
    for (; *kept; kept += strspn(kept, " ")) {
        size_t size = strcspn(kept, " ");
        snprintf(name, sizeof name, "%.*s", (int)size, kept);
        add_kept(target, name, links);
        kept += size;
    }
    text_format(links, ">; rel=\"%s\"", relation);
}

/* The offset of the last page that has items. */
static size_t last_offset(const page *here) {
    if (here->offset < here->total)
        return here->offset + (here->total - here->offset - 1) / here->limit * here->limit;
    return here->total ? (here->total - 1) / here->limit * here->limit : 0;
}

ra_status page_link(api_call *call, const page *here, const char *kept, ra_error *err) {
    text links = {0};
    size_t offset = here->offset, limit = here->limit,
           before = here->offset < here->total ? offset % limit : 0, last = last_offset(here);
    add_link(call, &links, kept, "first", 0, before && offset < limit ? before : limit);
    if (offset >= here->total && here->total)
        add_link(call, &links, kept, "prev", last, limit);
    else if (offset > 0)
        add_link(call, &links, kept, "prev", offset > limit ? offset - limit : 0,
                 offset < limit ? offset : limit);
    if (here->end < here->total && here->end > offset) add_link(call, &links, kept, "next", here->end, limit);
    add_link(call, &links, kept, "last", last, limit);
    text_append(&links, "", 1);
    bool failed = links.failed;
    if (!failed) http_response_header(call->response, "Link", links.data);
    text_release(&links);
    if (failed) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the links of a page");
    return RA_OK;
}

void page_members(text *out, const page *here) {
    json_count(out, "offset", here->offset);
    json_count(out, "limit", here->limit);
    json_count(out, "total", here->total);
}
