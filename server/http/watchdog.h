/* watchdog.h - a thread that looks, ten times a second, for what has taken too long: connections over the
 * limit of their phase (connections.h), deferred requests over their deadline (deferred.h).
 *
 * Thread safety: start and stop belong to one thread. It must be stopped before what it watches goes.
 */
#ifndef RASAED_HTTP_WATCHDOG_H
#define RASAED_HTTP_WATCHDOG_H

#include "http/connections.h"
#include "http/deferred.h"

typedef struct http_watchdog http_watchdog;

ra_status http_watchdog_start(http_connections *connections, http_deferrals *deferrals, http_watchdog **out,
                              ra_error *err);
void http_watchdog_stop(http_watchdog *watchdog); /* NULL is fine */

#endif
