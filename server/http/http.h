/* http.h - a request and its response, as everything behind the sockets sees them.
 *
 * A request is validated before anyone sees it: the target is decoded, the headers are checked, the body is
 * complete and within its route's limit. A response is a status, a body and perhaps headers; the connection
 * takes care of the rest (length, date, request id).
 *
 * Ownership: a request's strings belong to its exchange (exchange.h) and live until the response is sent. A
 * response owns its body and its headers. Thread safety: both belong to the thread that serves the request.
 */
#ifndef RASAED_HTTP_HTTP_H
#define RASAED_HTTP_HTTP_H

#include "codec/text.h"
#include "http/target.h"
#include "ra_status.h"

/* The methods that some route has, in the order in which Allow names them. */
#define HTTP_METHOD_LIST(X) X(GET) X(HEAD) X(POST) X(OPTIONS)

typedef enum http_method {
#define X(name) HTTP_##name,
    HTTP_METHOD_LIST(X)
#undef X
        HTTP_OTHER /* any other */
} http_method;

http_method http_method_from_name(const char *name); /* exact case, as the standard has it */
const char *http_method_name(http_method method);    /* "GET"; NULL for HTTP_OTHER */

/* Request headers that someone looks at. To read one more: a row here. */
#define HTTP_HEADER_LIST(X)                                                                                  \
    X(CONTENT_TYPE, "Content-Type")                                                                          \
    X(CONTENT_ENCODING, "Content-Encoding")                                                                  \
    X(REQUEST_ID, "X-Request-Id")

typedef enum http_header_id {
#define X(id, name) HTTP_##id,
    HTTP_HEADER_LIST(X)
#undef X
        HTTP_HEADER_COUNT
} http_header_id;

enum { HTTP_REQUEST_ID_SIZE = 65, HTTP_CAPTURES = 2 };

struct route;

typedef struct http_request {
    http_method method;
    const char *method_name; /* as it was sent */
    http_target target;
    const char *headers[HTTP_HEADER_COUNT]; /* NULL when absent */
    char id[HTTP_REQUEST_ID_SIZE];          /* the client's X-Request-Id, or one we made */
    const char *body;                       /* not terminated */
    size_t body_size;
    const struct route *route;           /* set when the request is admitted (routes.h) */
    const char *captures[HTTP_CAPTURES]; /* the segments that the route's pattern leaves open */
} http_request;

typedef struct http_response {
    int status;               /* 0: not filled yet */
    const char *content_type; /* a constant; NULL without a body */
    text body;
    text headers; /* name NUL value NUL ...; http_response_header() */
    bool close;   /* the connection ends with this response */
} http_response;

/* Adds a header. Control characters in the value are dropped. */
void http_response_header(http_response *response, const char *name, const char *value);

/* The headers in their order; *position starts at 0. False behind the last. */
bool http_response_next_header(const http_response *response, size_t *position, const char **name,
                               const char **value);

void http_response_reset(http_response *response);   /* empty; keeps the memory of its buffers */
void http_response_release(http_response *response); /* leaves {0} */

/* "Not Found"; "Unknown Status" for a number that the server does not use. */
const char *http_status_text(int status);

/* The one place where the library's codes become HTTP's. */
int http_status_of(ra_status status);

/* Fills the response with a problem document (RFC 9457) that also carries the sentence as `error`. */
void http_problem(const http_request *request, http_response *response, int status, const char *sentence);

/* The same from an error. What lies on the server's side (500 and up) is written to the log with the request
 * id, and the client is told just that: such messages may name files. */
void http_fail(const http_request *request, http_response *response, const ra_error *err);

#endif
