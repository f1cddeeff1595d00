/* libmicrohttpd takes the listening socket out of each I/O thread's epoll set when it stops to listen: the thread
 * that asked for it does, and so does the I/O thread itself once it notices. Whichever comes second gets ENOENT,
 * which the library (0.9.75 to 1.0.1, daemon.c, MHD_quiesce_daemon and MHD_epoll) takes for a fatal error, and
 * aborts a daemon that was about to stop in order.
 *
 * The library finds this function before that of the C library. To it, taking out what is out already is no error.
 * Sanitized builds keep their own. */
#ifndef RA_SANITIZE

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) int epoll_ctl(int set, int operation, int descriptor,
                                                     struct epoll_event *event) {
    int result = (int)syscall(SYS_epoll_ctl, set, operation, descriptor, event);
    return result != 0 && operation == EPOLL_CTL_DEL && errno == ENOENT ? 0 : result;
}

#else

typedef int sanitized_builds_keep_their_own;

#endif
