/* headers.h - checks request headers, one after another, before anything else looks at the request.
 *
 * libmicrohttpd 0.9.75 takes several messages that two servers in a row can read differently (request
 * smuggling): a length together with chunks, two lengths, a space before the colon. They are refused here,
 * and the connection ends. Names must be tokens, values free of control characters; Host, Content-Length and
 * Transfer-Encoding may appear once; a transfer encoding other than chunked is not taken.
 *
 *     http_headers headers = {0};
 *     for each header: http_headers_add(&headers, name, name_size, value, value_size, err)
 *     http_headers_finish(&headers, version_1_1, err)
 *
 * Source: RFC 9110 (sections 5.1, 5.5, 8.6), RFC 9112 (sections 3.2, 6.1, 6.3). Thread safety: plain data.
 */
#ifndef RASAED_HTTP_HEADERS_H
#define RASAED_HTTP_HEADERS_H

#include "http/http.h"

#include <stdint.h>

typedef struct http_headers {
    bool has_host, has_length, chunked;
    uint64_t length;                       /* Content-Length; 0 without */
    const char *values[HTTP_HEADER_COUNT]; /* of HTTP_HEADER_LIST, the first of each; not copied */
    size_t count, bytes;                   /* of all headers, names and values */
    int status;                            /* of a refusal that the error's code does not tell; else 0 */
} http_headers;

/* What may come before the body. The library has a limit of its own for all of it, 32 KiB. */
enum { HTTP_MAX_TARGET = 8192, HTTP_MAX_HEADERS = 100, HTTP_MAX_HEADER_BYTES = 16384 };

ra_status http_headers_add(http_headers *headers, const char *name, size_t name_size, const char *value,
                           size_t value_size, ra_error *err);

/* The first line: the method must be a token, the target no longer than HTTP_MAX_TARGET (414). */
ra_status http_headers_first_line(http_headers *headers, const char *method, const char *target,
                                  ra_error *err);

/* What only the whole can tell: a length beside chunks, chunks in HTTP/1.0, HTTP/1.1 without Host. */
ra_status http_headers_finish(const http_headers *headers, bool version_1_1, ra_error *err);

#endif
