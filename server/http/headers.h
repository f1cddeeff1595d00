/* headers.h - checks the head of a request, header by header, before anything else looks at the request.
 *
 * libmicrohttpd 0.9.75 accepts messages that two servers in a row can read differently (request smuggling): a
 * length together with chunks, two lengths, a space before the colon. They are refused here, and the
 * connection ends. Names must be tokens, values must not hold control characters; Host, Content-Length and
 * Transfer-Encoding and what carries a key may appear once; the only transfer encoding is chunked.
 *
 *     http_headers headers = {0};
 *     http_headers_first_line(method, target, err)
 *     for each header: http_headers_add(&headers, name, name_size, value, value_size, err)
 *     http_headers_finish(&headers, version_1_1, err)
 *
 * Source: RFC 9110 (sections 5.1, 5.5, 8.6), RFC 9112 (sections 3.2, 6.1, 6.3); W3C Trace Context
 * ("traceparent Header"). Thread safety: plain data.
 */
#ifndef RASAED_HTTP_HEADERS_H
#define RASAED_HTTP_HEADERS_H

#include "http/http.h"

#include <stdint.h>

/* The lines of a header that is a list, of which only the end matters: the last ones. */
enum { HTTP_LAST_LINES = 16 };

typedef struct http_lines {
    const char *last[HTTP_LAST_LINES]; /* line i at i % HTTP_LAST_LINES; not copied */
    size_t count;                      /* of all lines */
} http_lines;

typedef struct http_headers {
    bool has_host, has_length, chunked;
    uint64_t length;                       /* Content-Length; 0 when absent */
    const char *values[HTTP_HEADER_COUNT]; /* the first of each in HTTP_HEADER_LIST; not copied */
    http_lines forwarded, forwarded_for;   /* Forwarded and X-Forwarded-For */
    size_t count, bytes;                   /* of all headers, names and values */
} http_headers;

/* Limits of the head. The library has one of its own for all of it, 32 KiB. */
enum { HTTP_MAX_TARGET = 8192, HTTP_MAX_HEADERS = 100, HTTP_MAX_HEADER_BYTES = 16384 };

ra_status http_headers_add(http_headers *headers, const char *name, size_t name_size, const char *value,
                           size_t value_size, ra_error *err);

/* The first line: the method must be a token, the target no longer than HTTP_MAX_TARGET (414). */
ra_status http_headers_first_line(const char *method, const char *target, ra_error *err);

/* Checks all headers together: a length and chunks, chunks in HTTP/1.0, HTTP/1.1 without Host. */
ra_status http_headers_finish(const http_headers *headers, bool version_1_1, ra_error *err);

/* ---- traceparent: follows a request through several services ------------------------------------------- */

enum { TRACE_ID_SIZE = 33 };

/* 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, or a later version of it. NULL is not good. */
bool trace_parent_is_good(const char *header);

/* id <- its 32 hexadecimal digits; "" when the header is not good. Returns id. */
const char *trace_id(const char *header, char id[TRACE_ID_SIZE]);

#endif
