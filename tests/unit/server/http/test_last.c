/* A listening socket that ends: what is complete can be accepted, and nothing begins any more. */
#include "harness.h"
#include "http/last.h"

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOON = 100, PATIENCE = 60000 }; /* milliseconds */

static int listen_on(int family, struct sockaddr_in6 *at, socklen_t *size) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int listening = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *own = family == AF_INET ? (void *)&v4 : (void *)&v6;
    *size = family == AF_INET ? sizeof v4 : sizeof v6;
    if (listening < 0 || bind(listening, own, *size) != 0) return -1; /* a machine without IPv6 */
    ck_assert_int_eq(listen(listening, 8), 0);
    ck_assert_int_eq(getsockname(listening, (struct sockaddr *)at, size), 0);
    return listening;
}

static int begin(const struct sockaddr_in6 *at, socklen_t size) {
    int client = socket(at->sin6_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)connect(client, (const struct sockaddr *)at, size);
    return client;
}

static bool is_ready(int descriptor, short events, int milliseconds) {
    return poll(&(struct pollfd){.fd = descriptor, .events = events}, 1, milliseconds) > 0;
}

static void check(int family, bool (*stop)(int listening)) {
    struct sockaddr_in6 at;
    socklen_t size;
    char word[8] = "";
    int listening = listen_on(family, &at, &size);
    if (listening < 0) return;
    int complete = begin(&at, size);
    ck_assert(is_ready(complete, POLLOUT, PATIENCE));
    if (stop(listening)) {
        int late = begin(&at, size);
        ck_assert(!is_ready(late, POLLOUT, SOON));
        close(late);
    }
    ck_assert_int_eq(send(complete, "hello", 5, MSG_NOSIGNAL), 5);
    int accepted = accept(listening, NULL, NULL);
    ck_assert_int_ge(accepted, 0);
    last_accepted(accepted);
    close(listening);
    ck_assert(is_ready(accepted, POLLIN, PATIENCE));
    ck_assert_int_eq(recv(accepted, word, sizeof word, 0), 5);
    ck_assert_int_eq(send(complete, "again", 5, MSG_NOSIGNAL), 5);
    ck_assert(is_ready(accepted, POLLIN, PATIENCE));
    ck_assert_int_eq(recv(accepted, word, sizeof word, 0), 5);
    ck_assert_str_eq(word, "again");
    close(accepted);
    close(complete);
}

START_TEST(test_nothing_begins_and_nothing_is_lost) {
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        check(families[i], last_by_filter);
        check(families[i], last_by_hops);
        check(families[i], last_begin);
    }
}
END_TEST

START_TEST(test_one_of_them_is_there_for_every_user) {
    struct sockaddr_in6 at;
    socklen_t size;
    int listening = listen_on(AF_INET, &at, &size), local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(last_by_hops(listening) && last_begin(listening) && !last_begin(local) && !last_begin(-1));
    close(listening);
    close(local);
}
END_TEST

TEST_CASES(last, test_nothing_begins_and_nothing_is_lost, test_one_of_them_is_there_for_every_user)
