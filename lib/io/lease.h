/* lease.h - whether nobody can have written a file since a moment, without asking the system each time.
 *
 * A lease (fcntl(2), F_SETLEASE) makes the system hold back whoever opens the file for writing or shortens it, and send
 * SIGIO; the handler notes it and gives the lease back, and only then the other goes on. So what was read while the
 * lease still holds is what the file held when it was taken. To be had for files of our own user on local file systems
 * that nobody has open for writing.
 *
 * Thread safety: any thread may ask; a lease is taken and dropped by one.
 */
#ifndef RA_IO_LEASE_H
#define RA_IO_LEASE_H

#include <stdbool.h>

typedef struct lease lease;

/* Installs the handler, unless SIGIO is somebody else's; before it there are no leases. */
void lease_prepare(void);

/* On an open file; NULL when there is none to be had. *written <- whether that is because somebody has the file open for
 * writing. */
lease *lease_take(int descriptor, bool *written);

/* Whether it has held since it was taken. Once false, it stays so, but for lease_renew(). NULL never holds. */
bool lease_holds(lease *held);

/* Takes one that was broken again, from now on. False when somebody has the file open for writing. */
bool lease_renew(lease *held);

void lease_drop(lease *held); /* before the descriptor is closed; NULL is fine */

#endif
