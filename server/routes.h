/* routes.h - which handler answers which request: the one table of everything the server offers.
 *
 * Thread safety: the table is constant.
 */
#ifndef RASAED_ROUTES_H
#define RASAED_ROUTES_H

#include "api/api.h"
#include "http/auth.h"
#include "http/exchange.h"

/* What goes in and what comes out. A body has at most max_body bytes (settings.h). */
typedef enum route_body {
    ROUTE_NO_BODY,    /* nothing in; the handler says what comes out */
    ROUTE_BODY,       /* JSON in; the handler says what comes out */
    ROUTE_VECTORS,    /* nothing in; JSON, raw or npy out, as the client wants it (codec/negotiate.h) */
    ROUTE_TENSORS,    /* JSON, raw or npy in and out */
    ROUTE_TENSORS_IN, /* JSON, raw or npy in; JSON out */
    ROUTE_OIP,        /* nothing or the Open Inference Protocol in and out, whatever Content-Type says */
    ROUTE_DICTIONARY  /* nothing in; safetensors, raw or npy out */
} route_body;

bool route_takes_body(route_body body);

typedef struct route {
    http_method method;
    const char *pattern; /* NULL: the last row, what no other row takes */
    api_handler *handler;
    auth_scope needs; /* the key it asks for */
    route_body body;
    const char *query; /* the parameters it knows, with spaces between them */
    const char *label; /* its name in logs and metrics; stable */
} route;

/* Every row; the last one has no pattern. */
const route *routes_table(void);

typedef struct route_match {
    const route *route; /* NULL when the path is known, but not with this method */
    unsigned methods;   /* a bit a method that the path has; 0: the path is unknown */
    const char *captures[HTTP_CAPTURES];
} route_match;

/* HEAD finds the row of GET. */
void routes_find(const http_target *target, http_method method, route_match *match);

/* Where a row is served when there is an address for administration beside the main one: health and metrics
 * on both, what changes anything there alone, all else on the main one alone. Without one, all
 * on the main. */
typedef enum route_place { ROUTE_MAIN, ROUTE_BOTH, ROUTE_ADMIN } route_place;
route_place route_where(const route *row);

/* What the HTTP side calls; *shared outlives it. */
http_service routes_service(rasaed *server);

#endif
