/* exchange.h - one request and its answer, from the first line to the last byte, independent of sockets.
 *
 *     http_exchange *exchange = http_exchange_take("/v1/dictionaries");
 *     http_exchange_begin(exchange, service, "GET", &headers, &err or NULL);   headers read: admit or refuse
 *     while (exchange->step == HTTP_RECEIVING) http_exchange_receive(exchange, bytes, n);
 *     http_exchange_finish(exchange, service);                                 body read: answer
 *     ... send exchange->response ...
 *     http_exchange_give(exchange);
 *
 * When the answer takes long, http_defer() (deferred.h) replaces finish and has another thread make the
 * answer.
 *
 * A refusal costs the client as little as possible: a request that breaks HTTP or announces too large a body
 * is answered at once, and the connection ends; after any other refusal a small body is read and dropped, so
 * that the connection can go on.
 *
 * A thread keeps finished exchanges for its next requests: in steady state the buffers for body and reply are
 * those of earlier requests.
 *
 * Thread safety: an exchange belongs to one thread at a time; deferred.h says how it changes hands.
 */
#ifndef RASAED_HTTP_EXCHANGE_H
#define RASAED_HTTP_EXCHANGE_H

#include "http/clients.h"
#include "http/clock.h"
#include "http/headers.h"
#include "http/http.h"

/* The code above HTTP. Any I/O thread calls any of these functions, a compute thread calls `answer`. */
typedef struct http_service {
    void *context;
    /* The headers are read. Chooses the route and sets *max_body, or fills the response to refuse. */
    void (*admit)(void *context, http_request *request, http_response *response, size_t *max_body);
    /* The body is read. Fills the response. */
    void (*answer)(void *context, http_request *request, http_response *response);
    /* Whether the answer takes so long that an I/O thread must not make it. NULL: never. */
    bool (*is_heavy)(void *context, const http_request *request);
    /* Has another thread call run(argument), the one that such requests are for; false when its queue is full. */
    bool (*submit)(void *context, const http_request *request, void (*run)(void *argument), void *argument);
    /* The response is sent, or lost, so many microseconds after the first line. May be NULL. */
    void (*done)(void *context, const http_request *request, const http_response *response,
                 uint64_t microseconds);
    http_problem_writer *write_problem; /* of every request; http.h */
    const char *base_path;              /* see http_target_parse(); NULL: none */
} http_service;

/* Something of which there is only so much for all requests together: requests at once, bytes of bodies. Vital requests
 * and refused ones take none. Thread safety: any thread. */
typedef struct http_capacity {
    atomic_size_t used;
    size_t limit; /* 0: no limit */
} http_capacity;

bool http_capacity_take(http_capacity *capacity,
                        size_t n); /* false, and nothing taken, when it does not fit */
void http_capacity_give(http_capacity *capacity, size_t n);

typedef enum http_step {
    HTTP_RECEIVING, /* the body, if there is one, is next */
    HTTP_PASSING,   /* the response is ready; the rest of the body is dropped */
    HTTP_READY,     /* the response is ready to be sent now */
    HTTP_GONE       /* the client does not stop sending after a refusal: cut the connection */
} http_step;

/* A request on its way through the compute threads; deferred.h. */
typedef enum http_deferral_state {
    HTTP_NOT_DEFERRED,
    HTTP_QUEUED,
    HTTP_COMPUTING,
    HTTP_SETTLED
} http_deferral_state;
typedef enum http_outcome {
    HTTP_ANSWERED, /* the response is there */
    HTTP_EXPIRED,  /* the deadline passed first */
    HTTP_LEFT,     /* the client has gone */
    HTTP_STOPPED   /* the server ends */
} http_outcome;

typedef struct http_deferral {
    http_deferral_state state;
    http_outcome outcome; /* when settled */
    atomic_bool canceled;
    atomic_int holders;      /* of the exchange: its connection and the compute thread */
    void *connection, *home; /* both for resume() */
    int descriptor;
    uint64_t deadline;
    struct http_deferrals *list;          /* where it is */
    struct http_exchange *before, *after; /* there; `after` also where it waits to be resumed */
} http_deferral;

typedef struct http_exchange {
    http_step step;
    http_request request;
    http_response response;
    bool begun;
    http_capacity *capacity; /* set before begin; NULL: no limit */
    http_capacity *bodies;   /* the same for bytes of bodies */
    bool spare;              /* set before begin: the connection is for one vital request */
    bool counted;            /* it counts in `capacity` */
    http_clients *clients;   /* where the client that a proxy named counts; NULL: there is none */
    ip_address client;
    bool entered;     /* it counts there */
    size_t charged;   /* bytes in `bodies`, until the exchange is given back */
    size_t drop_left; /* bytes of the body that may still be dropped */
    /* private */
    char *raw_target;
    char *kept_headers; /* copies of the request's headers, while it is deferred */
    char *body;
    size_t body_size, body_capacity, max_body, announced;
    http_response late; /* what is sent while a compute thread still writes to `response` */
    http_deferral deferral;
} http_exchange;

/* NULL when memory is short. The raw target is copied. */
http_exchange *http_exchange_take(const char *raw_target);
void http_exchange_give(http_exchange *exchange);

/* header_error: why the headers are refused; NULL when they are good. */
void http_exchange_begin(http_exchange *exchange, const http_service *service, const char *method,
                         const http_headers *headers, const ra_error *header_error);
void http_exchange_receive(http_exchange *exchange, const void *bytes, size_t n);
void http_exchange_finish(http_exchange *exchange, const http_service *service);

/* The two halves of finish: the body is complete, and make the answer. `request` is exchange->request, or a
 * copy that belongs to the thread that answers. */
void http_exchange_received(http_exchange *exchange);
void http_exchange_answer(http_exchange *exchange, http_request *request, const http_service *service);

/* Copies into the exchange what belongs to the connection; false when memory is short. */
bool http_exchange_detach(http_exchange *exchange);

/* Frees it; http_exchange_give() keeps it for the thread's next request. */
void http_exchange_free(http_exchange *exchange);

/* The response to send; NULL: send nothing and cut the connection. */
http_response *http_exchange_reply(http_exchange *exchange);

/* The request is over and no longer counts. */
void http_exchange_leave(http_exchange *exchange);

uint64_t http_exchange_microseconds(const http_exchange *exchange); /* since it was taken */

#endif
