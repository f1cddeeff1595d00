/* The last step of a reply: from what a handler wrote to what is sent.
 *
 *     newline       JSON ends with one, for people at terminals
 *     packing       JSON and text above a kilobyte are packed for clients that accept zstd or gzip; binary forms are
 *                   not, because their digits are noise
 *     tag           a reply that would be the same again gets a strong entity tag, a digest of its bytes. So
 *                   the tag is the same in every process that serves the same content, and every form has
 *                   its own, the packed one too
 *     condition     a client that has the reply already, which it says with If-None-Match or If-Modified-Since, gets
 *                   304: the body stays, because Content-Length must be that of a 200 (RFC 9110, section 8.6), and
 *                   is not sent. One that wants a reply that is not there any more (If-Match,
 *                   If-Unmodified-Since) gets 412
 *     range         a part of a mapped file (206); packed replies have no parts
 *
 * The order matters: packing decides the tag, the tag decides between 304 and a body, and only a body that is
 * sent is packed.
 */
#include "http/conditions.h"
#include "http/http.h"
#include "ra_memory.h"
#include "ra_digest.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LEAST_TO_PACK = 1024 };

static const char varies[] = "Accept, Accept-Encoding";

static bool starts_with(const char *string, const char *start) {
    return strncmp(string, start, strlen(start)) == 0;
}

static bool is_json(const http_response *response) {
    const char *type = response->content_type;
    return type && (starts_with(type, "application/json") || starts_with(type, "application/problem+json") ||
                    starts_with(type, "application/x-ndjson"));
}

static bool is_text(const http_response *response) {
    const char *type = response->content_type;
    return is_json(response) || (type && starts_with(type, "text/"));
}

/* A handler that packs its reply itself sets Content-Encoding. */
static bool has_header(const http_response *response, const char *wanted) {
    const char *name, *value;
    for (size_t at = 0; http_response_next_header(response, &at, &name, &value);)
        if (strcmp(name, wanted) == 0) return true;
    return false;
}

static void add_newline(http_response *response) {
    text *body = &response->body;
    if (has_header(response, "Content-Encoding")) return;
    if (is_json(response) && body->size && body->data[body->size - 1] != '\n') text_append(body, "\n", 1);
}

/* ---- packing ------------------------------------------------------------------------------------------- */

static bool may_pack(const http_response *response) {
    return is_text(response) && response->body.size > LEAST_TO_PACK && response->tail.size == 0 &&
           !has_header(response, "Content-Encoding");
}

/* When memory is short the reply stays as it is. */
static void pack(http_response *response, content_coding coding) {
    text plain = response->body;
    if (content_pack(coding, plain.data, plain.size, &response->spare, NULL) != RA_OK) return;
    response->body = response->spare;
    response->spare = plain;
    http_response_header(response, "Content-Encoding", content_coding_name(coding));
}

/* ---- tag and condition --------------------------------------------------------------------------------- */

static void make_tag(http_response *response, content_coding coding) {
    char digest[RA_DIGEST_SIZE], both[2 * RA_DIGEST_SIZE];
    if (!response->tag[0]) {
        RA_UNINITIALIZED http_piece pieces[HTTP_PIECES];
        size_t count = http_response_pieces(response, pieces);
        ra_digest(response->body.data, response->body.size, digest);
        for (size_t i = response->body.size > 0; i < count; i++) {
            memcpy(both, digest, sizeof digest);
            ra_digest(pieces[i].data, pieces[i].size, both + RA_DIGEST_SIZE);
            ra_digest(both, sizeof both, digest);
        }
        snprintf(response->tag, sizeof response->tag, "\"%s\"", digest);
    }
    size_t size = strlen(response->tag);
    if (coding)
        snprintf(response->tag + size - 1, sizeof response->tag - size, "-%s\"", content_coding_name(coding));
}

/* Last-Modified, unless it is not over yet: the second load within a second is said to be of the next one. */
static void put_date(http_response *response) {
    char date[HTTP_DATE_SIZE];
    if (!response->modified || response->modified > time(NULL)) return;
    http_response_header(response, "Last-Modified", http_date_write(response->modified, date));
}

static void put_validators(http_response *response) {
    http_response_header(response, "ETag", response->tag);
    http_response_header(response, "Cache-Control", "no-cache"); /* a reload may change it: ask again */
    put_date(response);
}

/* Instead of the content: its shape and name are not those of the problem. */
static void refuse(const http_request *request, http_response *response, problem_kind what,
                   const char *sentence) {
    response->headers.size = response->common;
    http_problem(request, response, what, sentence, NULL);
    http_response_header(response, "Vary", varies);
    put_validators(response);
}

/* False: the reply goes out as it is now. */
static bool check_conditions(const http_request *request, http_response *response, content_coding coding) {
    const preconditions wanted = {.if_match = request->headers[HTTP_IF_MATCH],
                                  .if_none_match = request->headers[HTTP_IF_NONE_MATCH],
                                  .if_modified_since = request->headers[HTTP_IF_MODIFIED_SINCE],
                                  .if_unmodified_since = request->headers[HTTP_IF_UNMODIFIED_SINCE]};
    make_tag(response, coding);
    put_validators(response);
    switch (preconditions_check(&wanted, response->tag, response->modified)) {
    case PRECONDITION_HOLDS:
        return true;
    case PRECONDITION_NOT_MODIFIED:
        response->status = 304;
        response->content_type = NULL;
        return false;
    case PRECONDITION_FAILS:
        refuse(request, response, PROBLEM_PRECONDITION_FAILED,
               "what the request asks for has changed: If-Match or If-Unmodified-Since does not hold; ask "
               "without it for the present one");
        return false;
    }
    return false;
}

/* ---- ranges -------------------------------------------------------------------------------------------- */

static void cut_range(const http_request *request, http_response *response) {
    const char *range = request->headers[HTTP_RANGE], *only_if = request->headers[HTTP_IF_RANGE];
    size_t size = http_response_size(response), first, length; /* nothing is cut yet */
    char content_range[96];
    http_response_header(response, "Accept-Ranges", "bytes");
    if (!range || request->method != HTTP_GET || (only_if && !tag_is_current(only_if, response->tag))) return;
    range_outcome outcome = range_parse(range, size, &first, &length);
    if (outcome == RANGE_PART) {
        response->status = 206;
        response->partial = true;
        response->first = first;
        response->length = length;
        snprintf(content_range, sizeof content_range, "bytes %zu-%zu/%zu", first, first + length - 1, size);
        http_response_header(response, "Content-Range", content_range);
    } else if (outcome == RANGE_OUTSIDE) {
        refuse(request, response, PROBLEM_RANGE_NOT_SATISFIABLE, "the range begins after the end");
        snprintf(content_range, sizeof content_range, "bytes */%zu", size);
        http_response_header(response, "Content-Range", content_range);
    }
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

void http_response_finish(const http_request *request, http_response *response) {
    bool get = request->method == HTTP_GET || request->method == HTTP_HEAD;
    if (response->body.failed) return;
    add_newline(response);
    if (response->body.failed || response->verbatim) return;
    content_coding coding = may_pack(response) ? coding_choose(request->headers[HTTP_ACCEPT_ENCODING],
                                                               1u << CODING_GZIP | 1u << CODING_ZSTD)
                                               : CODING_IDENTITY;
    bool cacheable = response->cacheable && response->status == 200;
    if (get) http_response_header(response, "Vary", varies);
    bool whole = !cacheable || !get || check_conditions(request, response, coding);
    if (coding && response->status != 412) pack(response, coding);
    if (!whole) return;
    if (response->ranges && response->status == 200) cut_range(request, response);
}
