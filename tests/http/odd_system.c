/* A system that hangs, fails or goes by another clock: loaded into the daemon before the C library (LD_PRELOAD), for
 * tests of what it does then. Each part is asked for by a variable:
 *
 *     ODD_CLOCK=SECONDS     the clock that may be set is ahead by so many seconds; the kernel's own is not, as when
 *                           somebody sets it back right after it was read
 *     ODD_OPEN=PATH         once PATH.hangs exists, opening PATH takes for ever, as on a file system whose server is gone
 *     ODD_EVENTFD=PATH      counts calls of eventfd() in PATH; once PATH.most exists, the call after so many fails,
 *                           when PATH.go is there
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static const char *beside(const char *path, const char *ending, char *buffer, size_t size) {
    snprintf(buffer, size, "%s%s", path, ending);
    return buffer;
}

static int exists(const char *path, const char *ending) {
    char buffer[4096];
    return access(beside(path, ending, buffer, sizeof buffer), F_OK) == 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*next)(clockid_t, struct timespec *);
    if (!next) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *ahead = getenv("ODD_CLOCK");
    int failed = next(clock, now);
    if (!failed && ahead && clock == CLOCK_REALTIME) now->tv_sec += atol(ahead);
    return failed;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int open(const char *path, int flags, ...) {
    static int (*next)(const char *, int, ...);
    va_list more;
    va_start(more, flags);
    int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, int) : 0;
    va_end(more);
    if (!next) next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    const char *hangs = getenv("ODD_OPEN");
    if (hangs && strcmp(path, hangs) == 0 && exists(path, ".hangs")) {
        char buffer[4096];
        close(next(beside(path, ".hung", buffer, sizeof buffer), O_CREAT | O_WRONLY, 0600));
        for (;;) pause();
    }
    return next(path, flags, mode);
}

int eventfd(unsigned value, int flags) {
    static int (*next)(unsigned, int);
    static int calls;
    if (!next) next = (int (*)(unsigned, int))dlsym(RTLD_NEXT, "eventfd");
    const char *path = getenv("ODD_EVENTFD");
    if (!path) return next(value, flags);
    char buffer[4096];
    int most = 1 << 30;
    FILE *file = fopen(beside(path, ".most", buffer, sizeof buffer), "r");
    if (file && fscanf(file, "%d", &most) != 1) most = 0;
    if (file) fclose(file);
    if (calls >= most) {
        while (!exists(path, ".go")) usleep(10000);
        errno = EMFILE;
        return -1;
    }
    file = fopen(path, "w");
    if (file) fprintf(file, "%d", ++calls), fclose(file);
    return next(value, flags);
}
