/* What somebody would try who has taken over a thread of the daemon: loaded before the C library (LD_PRELOAD). The first
 * connection that is accepted sets it off, on the thread that accepts, and each attempt is one line on standard error,
 * "intruder: NAME OUTCOME", 0 or the number of the error.
 *
 *     INTRUDER_INSIDE=DIR    a folder that the daemon may read
 *     INTRUDER_OUTSIDE=DIR   one that it may not
 *     INTRUDER_STATE=DIR     the state directory, or nothing
 *     NO_LANDLOCK=1, NO_SECCOMP=1   a kernel that lacks them
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static void tell(const char *name, long result) {
    int reason = result < 0 ? errno : 0;
    dprintf(2, "intruder: %s %d\n", name, reason);
}

static void try_open(const char *name, const char *folder, const char *file, int flags) {
    char path[4096];
    if (!folder) return;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int opened = open(path, flags | O_CLOEXEC, 0600);
    tell(name, opened);
    if (opened >= 0) close(opened);
}

static void try_all(void) {
    const char *inside = getenv("INTRUDER_INSIDE"), *outside = getenv("INTRUDER_OUTSIDE");
    try_open("read-inside", inside, "m.safetensors", O_RDONLY);
    try_open("read-outside", outside, "secret", O_RDONLY);
    try_open("read-passwd", "/etc", "passwd", O_RDONLY);
    try_open("read-other-process", "/proc/1", "environ", O_RDONLY);
    try_open("write-inside", inside, "new", O_WRONLY | O_CREAT);
    try_open("write-program", "/tmp", "rasaed-intruder", O_WRONLY | O_CREAT);
    try_open("write-state", getenv("INTRUDER_STATE"), "new", O_WRONLY | O_CREAT);
    char path[4096];
    snprintf(path, sizeof path, "%s/m.safetensors", inside);
    tell("remove-dictionary", unlink(path));
    tell("exec", execl("/bin/true", "true", (char *)NULL));
    tell("fork", fork());
    int made = socket(AF_INET, SOCK_STREAM, 0);
    tell("socket", made);
    tell("ptrace", ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
    tell("kill", kill(getppid(), 0));
    tell("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
}

int accept4(int listener, struct sockaddr *address, socklen_t *size, int flags) {
    static int (*next)(int, struct sockaddr *, socklen_t *, int);
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!next) next = (int (*)(int, struct sockaddr *, socklen_t *, int))dlsym(RTLD_NEXT, "accept4");
    int accepted = next(listener, address, size, flags);
    if (accepted >= 0 && getenv("INTRUDER_INSIDE")) pthread_once(&once, try_all);
    return accepted;
}

long syscall(long number, ...) {
    static long (*next)(long, long, long, long, long, long, long);
    va_list more;
    long argument[6];
    va_start(more, number);
    for (int i = 0; i < 6; i++) argument[i] = va_arg(more, long);
    va_end(more);
    if (!next) next = (long (*)(long, long, long, long, long, long, long))dlsym(RTLD_NEXT, "syscall");
    if ((number == 444 && getenv("NO_LANDLOCK")) || (number == SYS_seccomp && getenv("NO_SECCOMP"))) {
        errno = ENOSYS;
        return -1;
    }
    return next(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
}
