/* supervise.h - the service manager that started the daemon: the sockets that it hands over, the news that it
 * wants, and its watchdog.
 *
 *     supervised from = {0};
 *     RA_TRY(supervise_start(getenv, &from, err));
 *     if (from.main >= 0) ...                      listen on that one, not on --listen
 *     supervise_tell("READY=1\nSTATUS=serving %zu dictionaries", n);
 *     RA_TRY(heartbeat_start(server, from.watchdog_us, &beating, err));
 *
 * These are the protocols of systemd, made of environment variables and datagrams; other managers speak them,
 * too (sources: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3)). Without a manager there are no
 * sockets, and telling does nothing.
 *
 * Thread safety: start once, before threads; any thread may tell; the heartbeat belongs to one thread.
 */
#ifndef RASAED_SUPERVISE_H
#define RASAED_SUPERVISE_H

#include "app/settings.h"
#include "http/server.h"

typedef struct supervised {
    int main, admin;      /* listening sockets, owned by the caller; -1: none was handed over */
    uint64_t watchdog_us; /* the manager expects WATCHDOG=1 within so many microseconds; 0: it does not */
} supervised;

/* A socket named "admin" (FileDescriptorName=) is the address for administration, any other the main one.
 * RA_ERR_FORMAT when the variables are malformed, or when two sockets are for the same address. */
ra_status supervise_start(settings_lookup *environment, supervised *out, ra_error *err);

/* Lines: "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=...". Lost when the manager does not listen. */
void supervise_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Before and after a reload, for the reloader. */
void supervise_reloading(void);
void supervise_reloaded(size_t failed, size_t count);

/* ---- the watchdog -------------------------------------------------------------------------------------- */

/* Tells the manager again and again that the server still answers, not only that the process exists: for each
 * beat, every I/O thread must have looked after its connections (http_server_lag()). When one of them hangs, the
 * beats stop and the manager restarts the server. */
typedef struct heartbeat heartbeat;

/* Beats every third of `within_us`, so that one beat may be late; 0 starts nothing. The server must outlive
 * it. */
ra_status heartbeat_start(http_server *server, uint64_t within_us, heartbeat **out, ra_error *err);
void heartbeat_stop(heartbeat *beating); /* NULL is fine */

#endif
