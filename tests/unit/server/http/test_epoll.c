#include "harness.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef RA_SANITIZE
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* Two threads that both take a socket out of a set: see server/http/epoll.c. */
START_TEST(test_a_socket_can_be_taken_out_twice) {
    int set = epoll_create1(EPOLL_CLOEXEC), pair[2];
    if (SANITIZED) return;
    ck_assert_int_ge(set, 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct epoll_event event = {.events = EPOLLIN};
    ck_assert_int_eq(epoll_ctl(set, EPOLL_CTL_ADD, pair[0], &event), 0);
    ck_assert_int_eq(epoll_ctl(set, EPOLL_CTL_DEL, pair[0], NULL), 0);
    ck_assert_int_eq(epoll_ctl(set, EPOLL_CTL_DEL, pair[0], NULL), 0);
    errno = 0;
    ck_assert_int_eq(epoll_ctl(set, EPOLL_CTL_MOD, pair[0], &event), -1);
    ck_assert_int_eq(errno, ENOENT);
    close(pair[0]);
    errno = 0;
    ck_assert_int_eq(epoll_ctl(set, EPOLL_CTL_DEL, pair[0], NULL), -1);
    ck_assert_int_eq(errno, EBADF);
    close(pair[1]);
    close(set);
}
END_TEST

/* The library must call it, too. */
START_TEST(test_the_http_library_finds_it_first) {
    if (SANITIZED) return;
    ck_assert_ptr_eq(dlsym(RTLD_DEFAULT, "epoll_ctl"), (void *)epoll_ctl);
    ck_assert_ptr_ne(dlsym(RTLD_NEXT, "epoll_ctl"), (void *)epoll_ctl);
}
END_TEST

TEST_CASES(epoll, test_a_socket_can_be_taken_out_twice, test_the_http_library_finds_it_first)
