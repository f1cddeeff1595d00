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

static http_connection *add(int descriptor) {
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    ck_assert_int_eq(getpeername(descriptor, (struct sockaddr *)&peer, &size), 0);
    http_connection *added = http_connection_new(descriptor, (struct sockaddr *)&peer, size);
    ck_assert_ptr_nonnull(added);
    http_connections_add(table, added);
    return added;
}

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
    watched = add(server);
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
    ck_assert_ptr_null(http_connections_lone_head(table));
    http_connection_enter(watched, PHASE_HEAD);
    ck_assert_ptr_eq(http_connections_lone_head(table), watched);
    http_connection *other = add(server);
    ck_assert_ptr_eq(http_connections_lone_head(table), watched);
    http_connection_enter(other, PHASE_HEAD);
    ck_assert_ptr_null(http_connections_lone_head(table));
    http_connections_remove(table, other);
    stop();
}
END_TEST

/* In the middle of a request the second look cuts; a reply may still be read by a client that sends no more. */
START_TEST(test_a_client_that_closes_its_side_in_the_middle) {
    static const struct {
        http_phase phase;
        size_t cut;
    } cases[] = {{PHASE_IDLE, 1}, {PHASE_HEAD, 1}, {PHASE_BODY, 1}, {PHASE_ANSWER, 0}, {PHASE_SENDING, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start();
        http_connection_enter(watched, cases[i].phase);
        ck_assert_uint_eq(pass(2), 0);
        ck_assert_int_eq(send(client, "x", 1, 0), 1);
        ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
        char byte;
        while (recv(server, &byte, 1, MSG_PEEK) != 1) continue;
        ck_assert_uint_eq(pass(3), 0); /* there is something to read */
        ck_assert_int_eq(recv(server, &byte, 1, 0), 1);
        ck_assert_uint_eq(pass(1), 0);
        ck_assert_uint_eq(pass(1), cases[i].cut);
        stop();
    }
}
END_TEST

/* Ten thousand connections: each is looked at once per second, and no call looks at many. */
START_TEST(test_looks_are_spread_over_the_connections) {
    enum { MANY = 10000 };
    start();
    for (int i = 1; i < MANY; i++) add(server);
    ck_assert_uint_eq(http_connections_count(table), MANY);
    for (http_connection *at = watched; at; at = at->before) http_connection_enter(at, PHASE_BODY);
    uint64_t pause = http_connections_pause(table), begun = now;
    ck_assert_uint_ge(pause, 5000);
    ck_assert_uint_le(pause, 20000);
    while (now < begun + 11 * (uint64_t)SECOND / 10) { /* a round, and a little more */
        (void)http_connections_check(table, now);
        now += pause;
    }
    size_t looked_at = 0, most = 0;
    for (http_connection *at = watched; at; at = at->before) looked_at += at->since != 0;
    ck_assert_uint_eq(looked_at, MANY);
    for (uint64_t end = now + (LIMIT + 2) * (uint64_t)SECOND; now < end; now += pause) {
        size_t cut = http_connections_check(table, now);
        most = cut > most ? cut : most;
    }
    ck_assert_uint_le(most, 128);
    size_t left = 0;
    for (http_connection *at = watched; at; at = at->before) left += !at->cut;
    ck_assert_uint_eq(left, 0);
    while (watched->before) http_connections_remove(table, watched->before);
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
    http_connection_enter(watched, PHASE_IDLE); /* its answer is sent */
    uint64_t answered = http_now(), rested = answered + HTTP_NEXT_REQUEST_US;
    ck_assert_uint_eq(http_connections_expecting(table, rested), 1);
    ck_assert_int_eq(recv(server, &byte, 1, 0), 1);
    ck_assert_uint_eq(http_connections_expecting(table, before), 1); /* the next one may be on its way */
    ck_assert_uint_eq(http_connections_expecting(table, rested), 0);
    stop();
}
END_TEST

TEST_CASES(connections, test_a_client_has_an_address, test_silence_is_no_head,
           test_a_client_that_closes_its_side_in_the_middle, test_looks_are_spread_over_the_connections,
           test_the_first_byte_starts_the_clock_of_a_head, test_more_bytes_and_a_first_line_give_no_more_time,
           test_a_request_that_was_quick_is_forgotten, test_a_body_has_a_least_rate,
           test_the_servers_own_time_is_not_the_clients, test_a_reply_that_nobody_reads_is_cut,
           test_the_lone_head_of_a_thread, test_a_request_that_is_on_its_way_is_expected)
