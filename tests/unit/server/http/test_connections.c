/* The clocks of connections (server/http/{connections,ticker}.c), over real sockets and with a clock that the
 * test sets. */
#include "harness.h"
#include "http/connections.h"
#include "http/exchange.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SECOND = 1000000, LIMIT = 10 };

static http_connections *table;
static http_connection *watched;
static int client, server;
static uint64_t now;

static void start(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    client = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&address, size), 0);
    server = accept(listener, NULL, NULL);
    close(listener);
    table = http_connections_new(LIMIT);
    watched = http_connections_add(table, server, 7);
    ck_assert_ptr_nonnull(watched);
    now = 1000 * (uint64_t)SECOND;
}

static void stop(void) {
    http_connections_remove(table, watched);
    ck_assert_uint_eq(http_connections_count(table), 0);
    http_connections_free(table);
    close(client);
    close(server);
}

/* Sends bytes to the server, which reads them as the library does. */
static void send_bytes(size_t n) {
    char bytes[4096] = {0};
    ck_assert_int_eq(send(client, bytes, n, 0), (ssize_t)n);
    for (size_t got = 0; got < n;) {
        ssize_t part = recv(server, bytes, sizeof bytes, 0);
        ck_assert_int_gt(part, 0);
        got += (size_t)part;
    }
}

/* How many are cut when the clock is checked once per second. */
static size_t pass(unsigned seconds) {
    size_t cut = 0;
    for (unsigned i = 0; i < seconds; i++) {
        now += SECOND;
        cut += http_connections_check(table, now);
    }
    return cut;
}

START_TEST(test_a_client_has_an_address) {
    start();
    ck_assert_str_eq(watched->client, "127.0.0.1");
    stop();
}
END_TEST

START_TEST(test_silence_is_no_head) {
    start();
    ck_assert_uint_eq(pass(10 * LIMIT), 0);
    stop();
}
END_TEST

START_TEST(test_the_first_byte_starts_the_clock_of_a_head) {
    start();
    ck_assert_uint_eq(pass(5), 0);
    send_bytes(1);
    ck_assert_uint_eq(pass(LIMIT), 0);
    ck_assert_uint_eq(pass(2), 1);
    ck_assert_uint_eq(pass(5), 0); /* once is enough */
    char byte;
    ck_assert_int_eq(recv(client, &byte, 1, 0), 0);
    stop();
}
END_TEST

START_TEST(test_more_bytes_and_a_first_line_give_no_more_time) {
    start();
    for (int i = 0; i < 5; i++) {
        send_bytes(1);
        ck_assert_uint_eq(pass(1), 0);
    }
    http_connection_enter(watched, PHASE_HEAD);
    ck_assert_uint_eq(pass(5), 0);
    send_bytes(100);
    ck_assert_uint_eq(pass(3), 1);
    stop();
}
END_TEST

START_TEST(test_a_request_that_was_quick_is_forgotten) {
    start();
    send_bytes(100);
    http_connection_enter(watched, PHASE_HEAD);
    http_connection_enter(watched, PHASE_BODY);
    http_connection_enter(watched, PHASE_ANSWER);
    http_connection_enter(watched, PHASE_IDLE);
    ck_assert_uint_eq(pass(10 * LIMIT), 0);
    send_bytes(1);
    ck_assert_uint_eq(pass(LIMIT + 2), 1);
    stop();
}
END_TEST

START_TEST(test_a_body_has_a_least_rate) {
    start();
    http_connection_enter(watched, PHASE_BODY);
    for (int i = 0; i < 5 * LIMIT; i++) {
        http_connection_received(watched, HTTP_LEAST_RATE + 1);
        ck_assert_uint_eq(pass(1), 0);
    }
    for (int i = 0; i < 2 * LIMIT + 2; i++) {
        http_connection_received(watched, HTTP_LEAST_RATE / 2);
        if (pass(1)) {
            stop();
            return;
        }
    }
    ck_abort_msg("half the least rate was borne");
}
END_TEST

START_TEST(test_the_servers_own_time_is_not_the_clients) {
    start();
    http_connection_enter(watched, PHASE_ANSWER);
    ck_assert_uint_eq(pass(100 * LIMIT), 0);
    stop();
}
END_TEST

START_TEST(test_a_reply_that_nobody_reads_is_cut) {
    start();
    http_connection_enter(watched, PHASE_SENDING);
    ck_assert_uint_eq(pass(LIMIT), 0);
    ck_assert_uint_eq(pass(LIMIT + 1), 1);
    stop();
}
END_TEST

START_TEST(test_the_lone_head_of_a_thread) {
    start();
    ck_assert_ptr_null(http_connections_lone_head(table, 7));
    http_connection_enter(watched, PHASE_HEAD);
    ck_assert_ptr_eq(http_connections_lone_head(table, 7), watched);
    ck_assert_ptr_null(http_connections_lone_head(table, 8));
    http_connection *other = http_connections_add(table, server, 7);
    ck_assert_ptr_eq(http_connections_lone_head(table, 7), watched);
    http_connection_enter(other, PHASE_HEAD);
    ck_assert_ptr_null(http_connections_lone_head(table, 7));
    http_connections_remove(table, other);
    stop();
}
END_TEST

START_TEST(test_a_request_that_is_on_its_way_is_expected) {
    uint64_t before = http_now();
    start();
    uint64_t later = http_now() + 2 * (uint64_t)HTTP_FIRST_REQUEST_US;
    ck_assert_uint_eq(http_connections_expecting(table, before), 1); /* it was just made */
    ck_assert_uint_eq(http_connections_expecting(table, later), 0);
    ck_assert_int_eq(send(client, "G", 1, 0), 1);
    char byte;
    ck_assert_int_eq(recv(server, &byte, 1, MSG_PEEK), 1); /* it has arrived and is unread */
    ck_assert_uint_eq(http_connections_expecting(table, later), 1);
    ck_assert_int_eq(recv(server, &byte, 1, 0), 1);
    ck_assert_uint_eq(http_connections_expecting(table, later), 0);
    http_connection_enter(watched, PHASE_BODY); /* this request has begun, so others count it */
    ck_assert_int_eq(send(client, "B", 1, 0), 1);
    ck_assert_int_eq(recv(server, &byte, 1, MSG_PEEK), 1);
    ck_assert_uint_eq(http_connections_expecting(table, before), 0);
    http_connection_enter(watched, PHASE_IDLE); /* after the first request only bytes count */
    ck_assert_uint_eq(http_connections_expecting(table, before), 1);
    ck_assert_int_eq(recv(server, &byte, 1, 0), 1);
    ck_assert_uint_eq(http_connections_expecting(table, before), 0);
    stop();
}
END_TEST

TEST_CASES(connections, test_a_client_has_an_address, test_silence_is_no_head,
           test_the_first_byte_starts_the_clock_of_a_head, test_more_bytes_and_a_first_line_give_no_more_time,
           test_a_request_that_was_quick_is_forgotten, test_a_body_has_a_least_rate,
           test_the_servers_own_time_is_not_the_clients, test_a_reply_that_nobody_reads_is_cut,
           test_the_lone_head_of_a_thread, test_a_request_that_is_on_its_way_is_expected)
