/* exchange.h - one request and its answer, from the first line to the last byte, without a socket in sight.
 *
 *     http_exchange *exchange = http_exchange_take("/v1/dictionaries");
 *     http_exchange_begin(exchange, service, "GET", &headers, &err or NULL);   header read: admit or refuse
 *     while (exchange->step == HTTP_RECEIVING) http_exchange_receive(exchange, bytes, n);
 *     http_exchange_finish(exchange, service);                                 body read: answer
 *     ... send exchange->response ...
 *     http_exchange_give(exchange);
 *
 * Where the answer takes long, finish is replaced by http_defer() (deferred.h), which has it made on another
 * thread.
 *
 * A refusal costs the client as little as possible: what breaks HTTP, or announces a body over the limit, is
 * answered at once and ends the connection; any other refusal lets a small body pass by unread, so that the
 * connection can go on.
 *
 * A finished exchange is kept by its thread for the next one: in steady state its buffers, for the body and
 * for the reply, are those of the requests before it.
 *
 * Thread safety: an exchange belongs to one thread at a time; deferred.h says how it changes hands.
 */
#ifndef RASAED_HTTP_EXCHANGE_H
#define RASAED_HTTP_EXCHANGE_H

#include "http/headers.h"
#include "http/http.h"

/* What stands behind the sockets: routes.h. Every function is called from any of the I/O threads, `answer`
 * from a compute thread as well. */
typedef struct http_service {
    void *context;
    /* The header is read. Chooses the route and sets *max_body, or fills the response to refuse. */
    void (*admit)(void *context, http_request *request, http_response *response, size_t *max_body);
    /* The body is read. Fills the response. */
    void (*answer)(void *context, http_request *request, http_response *response);
    /* Whether that takes so long that an I/O thread must not do it. NULL: never. */
    bool (*is_heavy)(void *context, const http_request *request);
    /* Has a compute thread call run(argument) soon; false when too many wait already. */
    bool (*submit)(void *context, void (*run)(void *argument), void *argument);
    /* The response is on its way, or lost: microseconds since the first line. May be NULL. */
    void (*done)(void *context, const http_request *request, const http_response *response,
                 uint64_t microseconds);
} http_service;

/* Requests that may be under way at once. Those that are vital, or refused for another reason,
 * take no place. */
typedef struct http_places {
    atomic_size_t taken;
    size_t most; /* 0: no limit */
} http_places;

typedef enum http_step {
    HTTP_RECEIVING, /* the body, if there is one, comes next */
    HTTP_PASSING,   /* the response is ready; what is left of the body passes by */
    HTTP_READY,     /* the response is ready to be sent now */
    HTTP_GONE       /* the client sends on and on after a refusal: cut the connection */
} http_step;

/* A stay on a compute thread; deferred.h. */
typedef enum http_deferral_state {
    HTTP_NOT_DEFERRED,
    HTTP_QUEUED,
    HTTP_COMPUTING,
    HTTP_SETTLED
} http_deferral_state;
typedef enum http_outcome {
    HTTP_ANSWERED, /* the response is there */
    HTTP_EXPIRED,  /* the deadline was first */
    HTTP_LEFT,     /* the client has gone */
    HTTP_STOPPED   /* the server ends */
} http_outcome;

typedef struct http_deferral {
    http_deferral_state state;
    http_outcome outcome; /* when settled */
    atomic_bool canceled;
    atomic_int holders; /* of the exchange: its connection, and the compute thread */
    void *connection;
    int descriptor;
    uint64_t deadline;
    struct http_deferrals *among;
    struct http_exchange *before, *after;
} http_deferral;

typedef struct http_exchange {
    http_step step;
    http_request request;
    http_response response;
    bool begun;
    http_places *places; /* set before begin; NULL: no limit */
    bool has_place;
    size_t pass_left; /* bytes that may still pass by */
    /* private */
    char *raw_target;
    char *kept_headers; /* copies of the request's headers, while it is deferred */
    char *body;
    size_t body_size, body_capacity, max_body, announced;
    http_response late; /* what is sent when a compute thread still writes to `response` */
    http_deferral deferral;
} http_exchange;

/* NULL when memory is short. The raw target is copied. */
http_exchange *http_exchange_take(const char *raw_target);
void http_exchange_give(http_exchange *exchange);

/* header_error: what the headers were refused for, NULL when they are fine. */
void http_exchange_begin(http_exchange *exchange, const http_service *service, const char *method,
                         const http_headers *headers, const ra_error *header_error);
void http_exchange_receive(http_exchange *exchange, const void *bytes, size_t n);
void http_exchange_finish(http_exchange *exchange, const http_service *service);

/* The two halves of finish: the body is complete; the answer is made. `request` is exchange->request, or a
 * copy that belongs to the thread that answers. */
void http_exchange_received(http_exchange *exchange);
void http_exchange_answer(http_exchange *exchange, http_request *request, const http_service *service);

/* Makes the request independent of what belongs to its connection; false when memory is short. */
bool http_exchange_detach(http_exchange *exchange);

/* Frees it, where give keeps it for the next request of the thread. */
void http_exchange_free(http_exchange *exchange);

/* What is to be sent; NULL: nothing, the connection is to be cut. */
http_response *http_exchange_reply(http_exchange *exchange);

/* The request is over: its place, if it has one, is another's. */
void http_exchange_leave_place(http_exchange *exchange);

/* A 503 that says when to come back. */
void http_exchange_overloaded(const http_request *request, http_response *response, const char *sentence);

uint64_t http_now(void);                                            /* microseconds, monotonic */
uint64_t http_exchange_microseconds(const http_exchange *exchange); /* since it was taken */

#endif
