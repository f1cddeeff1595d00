/* last.h - the end of a listening socket, without a reset for clients that the system has let in.
 *
 * Closing the socket resets the connections that the system has completed and nobody has accepted, although their
 * clients may have sent requests. So the system is told first to drop the beginnings (SYN) of further ones, whose
 * clients find the closed port when they try again; handshakes that have begun go on. Then what is complete can be
 * accepted, until nothing comes any more.
 *
 *     last_begin(listening);
 *     ... accept, and last_accepted(connection) ...
 *     close(listening);
 *
 * Thread safety: plain functions.
 */
#ifndef RASAED_HTTP_LAST_H
#define RASAED_HTTP_LAST_H

#include <stdbool.h>

bool last_begin(int listening); /* false: nothing stops them, on a socket of the file system for example */
void last_accepted(int connection); /* since then */

/* Its two ways. A filter drops exactly these packets, but systems may refuse it to ordinary users. */
bool last_by_filter(int listening);

/* An established connection, and so a handshake under way, does not look at the listening socket's smallest hop limit,
 * and a beginning does: no packet arrives with the largest there is but from a neighbor who sent it so. */
bool last_by_hops(int listening);

#endif
