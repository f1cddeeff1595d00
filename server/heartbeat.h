/* heartbeat.h - tells the service manager, again and again, that the server still answers.
 *
 * Not that the process is there: each beat asks the server for /health/live, over a connection of its own
 * that needs no network and counts in no limit of the socket's. A server that hangs is not reported any more,
 * and the manager starts it anew.
 */
#ifndef RASAED_HEARTBEAT_H
#define RASAED_HEARTBEAT_H

#include "http/server.h"

typedef struct heartbeat heartbeat;

/* A beat every third of `within_us`, so that one may be late; 0 starts nothing. The server
 * must outlive it. */
ra_status heartbeat_start(http_server *server, uint64_t within_us, heartbeat **out, ra_error *err);
void heartbeat_stop(heartbeat *beating); /* NULL is fine */

#endif
