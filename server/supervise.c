/* The protocol, as far as it is needed here:
 *
 *   LISTEN_PID, LISTEN_FDS   so many sockets are open from descriptor 3 on, for the process of that number
 *   LISTEN_FDNAMES           their names, with ':' between them
 *   NOTIFY_SOCKET            a datagram socket of the file system, or abstract when it starts with '@'
 *   WATCHDOG_PID, WATCHDOG_USEC
 *
 * The numbers of processes are there because children inherit the environment: what is for another process
 * is passed over.
 */
#include "supervise.h"
#include "ra_settings.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_DESCRIPTOR = 3, MOST_SOCKETS = 2 };

static struct sockaddr_un manager;
static socklen_t manager_size; /* 0: there is none */

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
    ra_status status = take_count(environment, "LISTEN_FDS", environment("LISTEN_PID"), &count, err);
    const char *name = environment("LISTEN_FDNAMES");
    if (status != RA_OK) return status;
    if (count > MOST_SOCKETS)
        RA_FAIL(err, RA_ERR_FORMAT,
                "the service manager hands over %zu sockets, expected one, and one named admin", count);
    for (size_t i = 0; i < count; i++) {
        size_t size = name ? strcspn(name, ":") : 0;
        int *place = size == 5 && memcmp(name, "admin", 5) == 0 ? &out->admin : &out->main;
        if (*place >= 0)
            RA_FAIL(err, RA_ERR_FORMAT,
                    "the service manager hands over two sockets%s, expected one, and one named "
                    "admin",
                    place == &out->admin ? " named admin" : "");
        *place = FIRST_DESCRIPTOR + (int)i;
        if (name) name += name[size] ? size + 1 : size;
    }
    return RA_OK;
}

static ra_status take_manager(const char *path, ra_error *err) {
    manager_size = 0;
    if (!path) return RA_OK;
    size_t size = strlen(path);
    if ((*path != '/' && *path != '@') || size >= sizeof manager.sun_path)
        RA_FAIL(err, RA_ERR_FORMAT,
                "the variable NOTIFY_SOCKET is '%s', expected a path or a name after @, of less "
                "than %zu bytes",
                path, sizeof manager.sun_path);
    manager = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(manager.sun_path, path, size);
    if (*path == '@') manager.sun_path[0] = '\0';
    manager_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return RA_OK;
}

ra_status supervise_start(settings_lookup *environment, supervised *out, ra_error *err) {
    *out = (supervised){.main = -1, .admin = -1};
    size_t microseconds = 0;
    const char *pid = environment("WATCHDOG_PID"); /* optional: then it is for whoever sees it */
    char own[32];
    snprintf(own, sizeof own, "%ld", (long)getpid());
    ra_status status = take_manager(environment("NOTIFY_SOCKET"), err);
    if (status == RA_OK)
        status = take_count(environment, "WATCHDOG_USEC", pid ? pid : own, &microseconds, err);
    out->watchdog_us = manager_size ? microseconds : 0;
    return status == RA_OK ? take_sockets(environment, out, err) : status;
}

void supervise_tell(const char *format, ...) {
    char message[512];
    if (!manager_size) return;
    va_list args;
    va_start(args, format);
    int size = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return;
    size_t sent = (size_t)size < sizeof message ? (size_t)size : sizeof message - 1;
    (void)sendto(descriptor, message, sent, MSG_NOSIGNAL, (struct sockaddr *)&manager, manager_size);
    close(descriptor);
}

/* With the time, by which a manager knows that it is the reload that it has asked for. */
void supervise_reloading(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    supervise_tell("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void supervise_reloaded(size_t failed, size_t count) {
    supervise_tell("READY=1\nSTATUS=reloaded, %zu of %zu dictionaries failed", failed, count);
}
