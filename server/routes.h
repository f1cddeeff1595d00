/* routes.h - which handler answers which request: the one table of everything the server offers.
 *
 * Thread safety: the table is constant.
 */
#ifndef RASAED_ROUTES_H
#define RASAED_ROUTES_H

#include "api/api.h"
#include "http/exchange.h"

typedef enum route_body { ROUTE_NO_BODY, ROUTE_BODY /* up to the setting max_body */ } route_body;

typedef struct route {
    http_method method;
    const char *pattern; /* NULL: the last row, what no other row takes */
    api_handler *handler;
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

/* What the HTTP side calls; *shared outlives it. */
http_service routes_service(engine *shared);

#endif
