/* The part of the protocol that is needed here:
 *
 *   LISTEN_PID, LISTEN_FDS   so many sockets are open from descriptor 3 on, for the process with that number
 *   LISTEN_FDNAMES           their names, separated by ':'
 *   NOTIFY_SOCKET            a datagram socket of the file system, or an abstract one when it starts with '@'
 *   WATCHDOG_PID, WATCHDOG_USEC
 *
 * Children inherit the environment, so the process numbers say which process is meant; variables for other
 * processes are ignored.
 */
#include "supervise.h"
#include "http/ticker.h"
#include "ra_memory.h"
#include "ra_settings.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_DESCRIPTOR = 3, MOST_SOCKETS = 2 };
enum { MILLION = 1000000, BEATS = 3, LEAST_BEAT_US = 1000 };

static struct sockaddr_un manager;
static socklen_t manager_size; /* 0: there is none */
static int way = -1;           /* made at the start: later the sandbox makes no socket */

static bool is_for_us(const char *pid) {
    size_t number;
    return pid && ra_count_parse(pid, &number) && number == (size_t)getpid();
}

static ra_status take_count(settings_lookup *environment, const char *name, const char *pid, size_t *count,
                            ra_error *err) {
    const char *value = environment(name);
    *count = 0;
    if (!value || !is_for_us(pid) || ra_count_parse(value, count)) return RA_OK;
    RA_FAIL(err, RA_ERR_FORMAT, "the variable %s is '%s', expected a whole number", name, value);
}

static ra_status take_sockets(settings_lookup *environment, supervised *out, ra_error *err) {
    size_t count;
    RA_TRY(take_count(environment, "LISTEN_FDS", environment("LISTEN_PID"), &count, err));
    const char *name = environment("LISTEN_FDNAMES");
    if (count > MOST_SOCKETS)
        RA_FAIL(err, RA_ERR_FORMAT,
                "the service manager hands over %zu sockets, expected one, and one named admin", count);
    for (size_t i = 0; i < count; i++) {
        size_t size = name ? strcspn(name, ":") : 0;
        int *address = size == 5 && memcmp(name, "admin", 5) == 0 ? &out->admin : &out->main;
        if (*address >= 0)
            RA_FAIL(err, RA_ERR_FORMAT,
                    "the service manager hands over two sockets%s, expected one, and one named admin",
                    address == &out->admin ? " named admin" : "");
        *address = FIRST_DESCRIPTOR + (int)i;
        if (name) name += name[size] ? size + 1 : size;
    }
    return RA_OK;
}

static ra_status take_manager(const char *path, ra_error *err) {
    manager_size = 0;
    if (way >= 0) close(way);
    way = -1;
    if (!path) return RA_OK;
    size_t size = strlen(path);
    if ((*path != '/' && *path != '@') || size >= sizeof manager.sun_path)
        RA_FAIL(err, RA_ERR_FORMAT,
                "the variable NOTIFY_SOCKET is '%s', expected a path, or @ and a name, of less than %zu "
                "bytes",
                path, sizeof manager.sun_path);
    manager = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(manager.sun_path, path, size);
    if (*path == '@') manager.sun_path[0] = '\0';
    manager_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    way = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return RA_OK;
}

ra_status supervise_start(settings_lookup *environment, supervised *out, ra_error *err) {
    *out = (supervised){.main = -1, .admin = -1};
    size_t microseconds;
    const char *pid = environment("WATCHDOG_PID"); /* optional: without it, every process is meant */
    char own[32];
    snprintf(own, sizeof own, "%ld", (long)getpid());
    RA_TRY(take_manager(environment("NOTIFY_SOCKET"), err));
    RA_TRY(take_count(environment, "WATCHDOG_USEC", pid ? pid : own, &microseconds, err));
    out->watchdog_us = manager_size ? microseconds : 0;
    return take_sockets(environment, out, err);
}

void supervise_tell(const char *format, ...) {
    char message[512];
    if (way < 0) return;
    va_list args;
    va_start(args, format);
    int size = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    size_t sent = (size_t)size < sizeof message ? (size_t)size : sizeof message - 1;
    (void)sendto(way, message, sent, MSG_NOSIGNAL, (struct sockaddr *)&manager, manager_size);
}

/* The time tells the manager that this is the reload that it asked for. */
void supervise_reloading(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    supervise_tell("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)now.tv_sec * MILLION + now.tv_nsec / 1000);
}

void supervise_reloaded(size_t failed, size_t count) {
    supervise_tell("READY=1\nSTATUS=reloaded, %zu of %zu dictionaries failed", failed, count);
}

/* ---- the watchdog -------------------------------------------------------------------------------------- */

struct heartbeat {
    http_server *server;
    uint64_t every_us;
    ticker *clock;
};

/* An I/O thread that is a beat late is stuck; less than a second may be a machine that is busy. */
static ra_status ask(const heartbeat *beating, ra_error *err) {
    uint64_t lag = http_server_lag(beating->server);
    uint64_t most = beating->every_us < MILLION ? MILLION : beating->every_us;
    if (lag <= most) return RA_OK;
    RA_FAIL(err, RA_ERR_STATE, "an I/O thread has not looked after its connections for %.1f s",
            (double)lag / MILLION);
}

static void beat(void *context, bool asked) {
    (void)asked;
    ra_error why = {0};
    if (ask(context, &why) == RA_OK)
        supervise_tell("WATCHDOG=1");
    else
        ra_log(RA_LOG_ERROR, "no heartbeat for the service manager: %s", why.message);
}

ra_status heartbeat_start(http_server *server, uint64_t within_us, heartbeat **out, ra_error *err) {
    if (!within_us) return RA_OK;
    heartbeat *beating = ra_calloc(1, sizeof *beating);
    if (!beating) RA_FAIL_MEMORY(err, "the heartbeat", sizeof *beating);
    beating->server = server;
    beating->every_us = within_us / BEATS > LEAST_BEAT_US ? within_us / BEATS : LEAST_BEAT_US;
    ticker_options options = {.name = "the heartbeat",
                              .thread = "rasaed-beat",
                              .every_us = beating->every_us,
                              .work = beat,
                              .context = beating};
    ra_status status = ticker_start(&options, &beating->clock, err);
    if (status == RA_OK)
        *out = beating;
    else
        ra_free(beating);
    return status;
}

void heartbeat_stop(heartbeat *beating) {
    if (!beating) return;
    ticker_stop(beating->clock, TICKER_FOREVER);
    ra_free(beating);
}
