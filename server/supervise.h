/* supervise.h - the daemon and the service manager that started it: sockets it hands over, news it wants.
 *
 *     supervised from = {0};
 *     RA_TRY(supervise_start(getenv, &from, err));
 *     if (from.main >= 0) ...                      listen on that one, not on --listen
 *     supervise_tell("READY=1\nSTATUS=serving %zu dictionaries", n);
 *
 * These are systemd's protocols, which are environment variables and datagrams; other managers speak them as
 * well (sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3) are the sources). Without a manager there
 * are no sockets, and telling does nothing.
 *
 * Thread safety: start once, before threads; any thread may tell.
 */
#ifndef RASAED_SUPERVISE_H
#define RASAED_SUPERVISE_H

#include "ra_status.h"
#include "settings/settings.h"

typedef struct supervised {
    int main, admin;      /* listening sockets, ours to close; -1: none was handed over */
    uint64_t watchdog_us; /* within so many microseconds it wants to hear WATCHDOG=1; 0: it does not */
} supervised;

/* A socket named "admin" (FileDescriptorName=) is the address for administration, any other the main one.
 * RA_ERR_FORMAT when the variables are not as they should be, or when there are two for one address. */
ra_status supervise_start(settings_lookup *environment, supervised *out, ra_error *err);

/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=...": lines. Lost when the manager does not listen. */
void supervise_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Around a reload, as the reloader tells of it. */
void supervise_reloading(void);
void supervise_reloaded(size_t failed, size_t count);

#endif
