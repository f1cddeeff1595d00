/* dispatch.h - the way of a request from its headers to its answer: what http/ calls.
 *
 * Thread safety: http/exchange.h says which threads call the service.
 */
#ifndef RASAED_DISPATCH_H
#define RASAED_DISPATCH_H

#include "api/rasaed.h"
#include "http/exchange.h"

/* The service of the routes in routes.c; *server must outlive it. */
http_service dispatch_service(rasaed *server);

#endif
