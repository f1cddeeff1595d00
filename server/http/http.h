/* http.h - a request and its response, as everything behind the sockets sees them.
 *
 * A request is validated before anyone sees it: the target is decoded, the headers are checked, the body is
 * complete and within its route's limit. A response is a status, a body and perhaps headers; the connection
 * takes care of the rest (length, date, request id).
 *
 * Ownership: a request's strings belong to its exchange (exchange.h) and live until the response is sent. A
 * response owns its body and its headers. Thread safety: both belong to the thread that
 * serves the request. */
#ifndef RASAED_HTTP_HTTP_H
#define RASAED_HTTP_HTTP_H

#include "codec/gzip.h"
#include "codec/negotiate.h"
#include "app/text.h"
#include "http/target.h"
#include "ra_status.h"

#include <stdatomic.h>
#include <stdint.h>

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
    X(ACCEPT, "Accept")                                                                                      \
    X(ACCEPT_ENCODING, "Accept-Encoding")                                                                    \
    X(IF_NONE_MATCH, "If-None-Match")                                                                        \
    X(IF_RANGE, "If-Range")                                                                                  \
    X(RANGE, "Range")                                                                                        \
    X(TENSOR_SHAPE, "X-Tensor-Shape")                                                                        \
    X(TENSOR_DTYPE, "X-Tensor-Dtype")                                                                        \
    X(INFERENCE_LENGTH, "Inference-Header-Content-Length")                                                   \
    X(REQUEST_ID, "X-Request-Id")                                                                            \
    X(AUTHORIZATION, "Authorization")                                                                        \
    X(ORIGIN, "Origin")                                                                                      \
    X(ACCESS_CONTROL_REQUEST_METHOD, "Access-Control-Request-Method")                                        \
    X(TRACEPARENT, "Traceparent")

typedef enum http_header_id {
#define X(id, name) HTTP_##id,
    HTTP_HEADER_LIST(X)
#undef X
        HTTP_HEADER_COUNT
} http_header_id;

enum { HTTP_REQUEST_ID_SIZE = 65, HTTP_CLIENT_SIZE = 46, HTTP_CAPTURES = 2 };

struct route;

/* When a request reached each of its stages: microseconds of the monotonic clock, 0 when it never did. What
 * passes between two of them is what the log and the metrics call receive, queue, compute and send. */
typedef struct http_stages {
    uint64_t started;   /* the first line is there */
    uint64_t received;  /* the last byte of the body is */
    uint64_t queued;    /* handed to the compute threads; 0 when it is computed in place */
    uint64_t computing; /* a compute thread has taken it */
    uint64_t answered;  /* the response is ready */
} http_stages;

typedef struct http_request {
    http_method method;
    const char *method_name; /* as it was sent */
    http_target target;
    const char *headers[HTTP_HEADER_COUNT]; /* NULL when absent */
    char id[HTTP_REQUEST_ID_SIZE];          /* the client's X-Request-Id, or one we made */
    const char *body;                       /* not terminated */
    size_t body_size;
    content_coding coding;      /* what the body is packed in while it arrives; unpacked before answering */
    form body_form, reply_form; /* what it is written in, and what the reply shall be written in */
    const struct route *route;  /* set when the request is admitted (routes.h) */
    const char *captures[HTTP_CAPTURES]; /* the segments that the route's pattern leaves open */
    char client[HTTP_CLIENT_SIZE];       /* its address in numbers, without the port; "" when unknown */
    http_stages stages;
    bool admitted; /* the service has seen its header */
    bool admin;    /* it came over the address for administration */
    bool vital;    /* set when it is admitted: answered even when there are too many requests */
    /* NULL on an I/O thread, which must never wait. On a compute thread: true when nobody wants the answer
     * any more. */
    const atomic_bool *canceled;
} http_request;

/* Bytes that are sent behind the body from where they lie, without a copy. release(owner) is called once they
 * are not needed any more; it may be NULL. {0}: none. */
typedef struct http_tail {
    const void *data;
    size_t size;
    void (*release)(void *owner);
    void *owner;
} http_tail;

typedef struct http_piece {
    const void *data;
    size_t size;
} http_piece;

enum { HTTP_TAG_SIZE = 64, HTTP_PIECES = 2 };

typedef struct http_response {
    int status;               /* 0: not filled yet */
    const char *content_type; /* a constant; NULL without a body */
    text body;
    http_tail tail;
    bool cacheable;          /* asked again, it would be the same: it gets an entity tag */
    bool ranges;             /* parts of it may be asked for */
    char tag[HTTP_TAG_SIZE]; /* with its quotes; "": http_response_finish() makes it of the content */
    bool partial;            /* of body and tail, only `length` bytes from `first` on are sent */
    size_t first, length;
    text spare;   /* memory that the body is packed into */
    text headers; /* name NUL value NUL ...; http_response_header() */
    bool close;   /* the connection ends with this response */
} http_response;

/* Adds a header. Control characters in the value are dropped. */
void http_response_header(http_response *response, const char *name, const char *value);

/* The headers in their order; *position starts at 0. False behind the last. */
bool http_response_next_header(const http_response *response, size_t *position, const char **name,
                               const char **value);

/* What is sent, in its order; returns how many pieces, none of them empty. */
size_t http_response_pieces(const http_response *response, http_piece pieces[HTTP_PIECES]);
size_t http_response_size(const http_response *response); /* bytes of all pieces; 0 for 304, unsent */

/* To be called once, when the reply is written and before it is sent: tags it, answers 304 to who has it
 * already and 206 to who wants a part of it, packs it, and ends JSON with a newline (representation.c). */
void http_response_finish(const http_request *request, http_response *response);

void http_response_reset(http_response *response);   /* empty; keeps the memory of its buffers */
void http_response_release(http_response *response); /* leaves {0} */

/* "Not Found"; "Unknown Status" for a number that the server does not use. */
const char *http_status_text(int status);

/* The one place where the library's codes become HTTP's. */
int http_status_of(ra_status status);

/* Fills the response with a problem document (RFC 9457) that also carries the sentence as `error`; under /v2
 * with the Open Inference Protocol's {"error": "..."}. */
void http_problem(const http_request *request, http_response *response, int status, const char *sentence);

/* The same from an error. What lies on the server's side (500 and up) is written to the log with the request
 * id, and the client is told just that: such messages may name files. */
void http_fail(const http_request *request, http_response *response, const ra_error *err);

#endif
