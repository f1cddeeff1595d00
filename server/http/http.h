/* http.h - a request and its response, as everything above the sockets sees them.
 *
 * A request is validated before anything else sees it: the target is decoded, the headers are checked, the
 * body is complete and within the limit of its route. A response is a status, a body and perhaps headers; the
 * connection adds the rest (length, date, request id).
 *
 * This folder knows no protocol above HTTP. What a client reads when a request fails is written by the
 * service (exchange.h), through http_problem().
 *
 * Ownership: the strings of a request belong to its exchange (exchange.h) and live until the response is
 * sent. A response owns its body and its headers. Thread safety: both belong to the thread that serves the
 * request.
 */
#ifndef RASAED_HTTP_HTTP_H
#define RASAED_HTTP_HTTP_H

#include "codec/coding.h"
#include "codec/negotiate.h"
#include "codec/problems.h"
#include "app/text.h"
#include "http/target.h"
#include "ra_io.h"
#include "ra_status.h"

#include <stdatomic.h>
#include <stdint.h>

/* The methods that routes may have, in the order in which Allow names them. */
#define HTTP_METHOD_LIST(X) X(GET) X(HEAD) X(POST) X(PUT) X(DELETE) X(OPTIONS)

typedef enum http_method {
#define X(name) HTTP_##name,
    HTTP_METHOD_LIST(X)
#undef X
        HTTP_OTHER /* any other */
} http_method;

http_method http_method_from_name(const char *name); /* case matters (RFC 9110) */
const char *http_method_name(http_method method);    /* "GET"; NULL for HTTP_OTHER */

/* The request headers that are read. To read another one, add a row. */
#define HTTP_HEADER_LIST(X)                                                                                  \
    X(CONTENT_TYPE, "Content-Type")                                                                          \
    X(CONTENT_ENCODING, "Content-Encoding")                                                                  \
    X(ACCEPT, "Accept")                                                                                      \
    X(ACCEPT_ENCODING, "Accept-Encoding")                                                                    \
    X(IF_MATCH, "If-Match")                                                                                  \
    X(IF_NONE_MATCH, "If-None-Match")                                                                        \
    X(IF_MODIFIED_SINCE, "If-Modified-Since")                                                                \
    X(IF_UNMODIFIED_SINCE, "If-Unmodified-Since")                                                            \
    X(IF_RANGE, "If-Range")                                                                                  \
    X(RANGE, "Range")                                                                                        \
    X(TENSOR_SHAPE, "X-Tensor-Shape")                                                                        \
    X(TENSOR_DTYPE, "X-Tensor-Dtype")                                                                        \
    X(INFERENCE_LENGTH, "Inference-Header-Content-Length")                                                   \
    X(REQUEST_ID, "X-Request-Id")                                                                            \
    X(AUTHORIZATION, "Authorization")                                                                        \
    X(X_API_KEY, "X-API-Key")                                                                                \
    X(API_KEY, "api-key")                                                                                    \
    X(X_SECRET_KEY, "X-Secret-Key")                                                                          \
    X(ORIGIN, "Origin")                                                                                      \
    X(ACCESS_CONTROL_REQUEST_METHOD, "Access-Control-Request-Method")                                        \
    X(TRACEPARENT, "Traceparent")

typedef enum http_header_id {
#define X(id, name) HTTP_##id,
    HTTP_HEADER_LIST(X)
#undef X
        HTTP_HEADER_COUNT
} http_header_id;

enum { HTTP_REQUEST_ID_SIZE = 65, HTTP_CLIENT_SIZE = 46, HTTP_KEY_NAME_SIZE = 65, HTTP_CAPTURES = 2 };

/* When the request reached each stage, in microseconds of the monotonic clock; 0 when it never did. The time
 * between two stages is what the log and the metrics call receive, queue, compute and send. */
typedef struct http_stages {
    uint64_t started;   /* the first line is read */
    uint64_t received;  /* the last byte of the body is read */
    uint64_t queued;    /* handed to the compute threads; 0 when an I/O thread answers */
    uint64_t computing; /* a compute thread has begun */
    uint64_t answered;  /* the response is ready */
} http_stages;

typedef struct http_request http_request;
typedef struct http_response http_response;

/* Writes the body of a failure and its content type; response->status and response->problem are set. The sentence may
 * hold bytes that the client sent. facts: {0} where nothing is known. */
typedef void http_problem_writer(const http_request *request, http_response *response, const char *sentence,
                                 const ra_error_facts *facts);

struct http_request {
    http_method method;
    const char *method_name; /* as it was sent */
    http_target target;
    const char *headers[HTTP_HEADER_COUNT]; /* NULL when absent */
    char id[HTTP_REQUEST_ID_SIZE];          /* the client's X-Request-Id, or a random one */
    const char *body;                       /* not terminated */
    size_t body_size;
    content_coding coding;      /* how the body is packed on arrival; it is unpacked before answering */
    form body_form, reply_form; /* the form of the body, and the form that the reply shall have */
    const void *route;          /* the service's own: what it found when it admitted the request */
    const char *captures[HTTP_CAPTURES]; /* the segments that the route's pattern leaves open */
    char client[HTTP_CLIENT_SIZE];       /* the address in numbers, without the port; "" when unknown */
    char peer[HTTP_CLIENT_SIZE];         /* that of the proxy which named the client; "": there is none */
    char key_name
        [HTTP_KEY_NAME_SIZE]; /* of the key that it was admitted with; "": it has no name, or no key */
    http_stages stages;
    http_problem_writer *write_problem; /* the service's; NULL: failures are one line of plain text */
    bool admitted;                      /* the service has seen the headers */
    bool admin;                         /* it came to the address for administration */
    bool vital; /* set by the service: answered even when there are too many requests */
    bool
        patient; /* set by the service: it has no deadline, because it happens also when nobody waits for it */
    /* NULL on an I/O thread, which must never wait. On a compute thread: true once nobody wants the
     * answer. */
    const atomic_bool *canceled;
};

typedef ra_bytes http_piece;

/* Bytes that are sent after the body from where they are, without a copy. release(owner) is called when they
 * are no longer needed; it may be NULL. {0}: none. */
typedef struct http_tail {
    const void *data;
    size_t size;
    const http_piece *more; /* [more_count] further bytes, behind those; at most HTTP_MOST_MORE pieces */
    size_t more_count;
    void (*release)(void *owner);
    void *owner;
    /* Whether the bytes that were read so far are the right ones; asked for each piece before it is sent, and the
     * connection is cut if not. NULL: they cannot change. */
    bool (*holds)(void *owner);
} http_tail;

enum { HTTP_TAG_SIZE = 64, HTTP_MOST_MORE = 62, HTTP_PIECES = 2 + HTTP_MOST_MORE };

struct http_response {
    int status;               /* 0: not filled yet */
    problem_kind problem;     /* why it is a failure; PROBLEM_NONE: it is none */
    const char *content_type; /* a constant; NULL without a body */
    text body;
    http_tail tail;
    bool cacheable;          /* the same request gets the same answer again: it gets an entity tag */
    bool ranges;             /* a client may ask for a part */
    bool verbatim;           /* sent as it is written: never tagged, packed or cut */
    char tag[HTTP_TAG_SIZE]; /* with its quotes; "": http_response_finish() makes one from the content */
    int64_t modified;        /* when the content last changed, in seconds since 1970; 0: unknown */
    bool undated;            /* no Last-Modified is added: a date could not tell two contents apart */
    bool partial;            /* of body and tail, only `length` bytes from `first` on are sent */
    size_t first, length;
    text spare;    /* memory for packing the body */
    text headers;  /* name NUL value NUL ...; http_response_header() */
    size_t common; /* of these, bytes before the first header about the content */
    bool close;    /* the connection ends with this response */
};

/* Adds a header. Control characters in the value are dropped. */
void http_response_header(http_response *response, const char *name, const char *value);

/* The headers in order; *position starts at 0. False after the last one. */
bool http_response_next_header(const http_response *response, size_t *position, const char **name,
                               const char **value);

/* What is sent, in order; returns the number of pieces, none of which is empty. */
size_t http_response_pieces(const http_response *response, http_piece pieces[HTTP_PIECES]);
size_t
http_response_size(const http_response *response); /* bytes of all pieces; 0 for a 304, which sends none */

/* Call it once, when the reply is written and before it is sent (representation.c): tags the reply, answers
 * 304 to a client that has it and 206 to a client that wants a part, packs it, and ends JSON with a
 * newline. */
void http_response_finish(const http_request *request, http_response *response);

void http_response_reset(http_response *response);   /* empty; keeps the memory of its buffers */
void http_response_release(http_response *response); /* leaves {0} */

/* "Not Found"; "Unknown Status" for a status that the server does not use. */
const char *http_status_text(int status);

/* Fills the response with a failure, in the words of request->write_problem, and adds the header X-Error-Code, and
 * Retry-After to a 429 and a 503. facts may be NULL. */
void http_problem(const http_request *request, http_response *response, problem_kind what,
                  const char *sentence, const ra_error_facts *facts);

/* The same for what passes: PROBLEM_TOO_MANY_REQUESTS of this client, PROBLEM_OVERLOADED by all together. */
void http_too_many(const http_request *request, http_response *response, const char *sentence);
void http_overloaded(const http_request *request, http_response *response, const char *sentence);

/* Fills the response with an error, which problem_of() names. Failures of the server itself (500 and above) go to the log with the
 * request id, and the client only learns that: such messages may name files. That of RA_ERR_CHANGED is for the client. */
void http_fail(const http_request *request, http_response *response, const ra_error *err);

#endif
