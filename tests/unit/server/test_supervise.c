/* The environment from a service manager, and the messages to it. tests/http/test_supervised.py tests with real
 * sockets. */
#include "harness.h"
#include "supervise.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *const (*variables)[2];
static char own_pid[32];

static char *lookup(const char *name) {
    for (size_t i = 0; variables[i][0]; i++)
        if (strcmp(variables[i][0], name) == 0)
            return (char *)(uintptr_t)(strcmp(variables[i][1], "own") ? variables[i][1] : own_pid);
    return NULL;
}

static ra_status start(const char *const (*given)[2], supervised *out, ra_error *err) {
    snprintf(own_pid, sizeof own_pid, "%d", (int)getpid());
    variables = given;
    return supervise_start(lookup, out, err);
}

#define START(out, ...) start((const char *const[][2]){__VA_ARGS__, {NULL, NULL}}, out, &err)

START_TEST(test_without_a_manager_there_is_nothing) {
    supervised out;
    ra_ok(START(&out, {NULL, NULL}));
    ck_assert_int_eq(out.main, -1);
    ck_assert_int_eq(out.admin, -1);
    ck_assert_uint_eq(out.watchdog_us, 0);
    supervise_tell("READY=1"); /* without a manager */
}
END_TEST

START_TEST(test_sockets_by_count_and_name) {
    static const struct {
        const char *count, *names;
        int main, admin;
    } table[] = {{"0", NULL, -1, -1},   {"1", NULL, 3, -1},        {"1", "rasaed.socket", 3, -1},
                 {"1", "admin", -1, 3}, {"2", "http:admin", 3, 4}, {"2", "admin:http", 4, 3},
                 {"2", "admin", 4, 3},  {"2", ":admin", 3, 4},     {"2", "administrator:admin", 3, 4}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        supervised out;
        ra_ok(START(&out, {"LISTEN_PID", "own"}, {"LISTEN_FDS", table[i].count},
                    {table[i].names ? "LISTEN_FDNAMES" : "UNUSED", table[i].names}));
        ck_assert_int_eq(out.main, table[i].main);
        ck_assert_int_eq(out.admin, table[i].admin);
    }
}
END_TEST

START_TEST(test_what_is_for_another_process_is_passed_over) {
    supervised out;
    ra_ok(START(&out, {"LISTEN_PID", "1"}, {"LISTEN_FDS", "nonsense"}, {"NOTIFY_SOCKET", "@x"},
                {"WATCHDOG_PID", "1"}, {"WATCHDOG_USEC", "nonsense"}));
    ck_assert_int_eq(out.main, -1);
    ck_assert_uint_eq(out.watchdog_us, 0);
    ra_ok(START(&out, {"LISTEN_FDS", "1"}, {"LISTEN_PID", "-5"}));
    ck_assert_int_eq(out.main, -1);
}
END_TEST

START_TEST(test_refuses_what_it_cannot_use) {
    static const struct {
        const char *variables[3][2], *expected;
    } table[] = {
        {{{"LISTEN_PID", "own"}, {"LISTEN_FDS", "x"}}, "LISTEN_FDS is 'x'"},
        {{{"LISTEN_PID", "own"}, {"LISTEN_FDS", "3"}}, "3 sockets"},
        {{{"LISTEN_PID", "own"}, {"LISTEN_FDS", "2"}}, "two sockets,"},
        {{{"LISTEN_PID", "own"}, {"LISTEN_FDS", "2"}, {"LISTEN_FDNAMES", "admin:admin"}},
         "two sockets named admin"},
        {{{"NOTIFY_SOCKET", "x"}}, "NOTIFY_SOCKET is 'x'"},
        {{{"NOTIFY_SOCKET", ""}}, "NOTIFY_SOCKET is ''"},
        {{{"NOTIFY_SOCKET", "@x"}, {"WATCHDOG_USEC", "-1"}}, "WATCHDOG_USEC is '-1'"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        supervised out;
        const char *const given[][2] = {{table[i].variables[0][0], table[i].variables[0][1]},
                                        {table[i].variables[1][0], table[i].variables[1][1]},
                                        {table[i].variables[2][0], table[i].variables[2][1]},
                                        {NULL, NULL}};
        ra_fails(start(given, &out, &err), RA_ERR_FORMAT, table[i].expected);
    }
}
END_TEST

START_TEST(test_a_watchdog_needs_somebody_to_tell) {
    supervised out;
    ra_ok(START(&out, {"WATCHDOG_USEC", "5000"}));
    ck_assert_uint_eq(out.watchdog_us, 0);
    ra_ok(START(&out, {"WATCHDOG_USEC", "5000"}, {"NOTIFY_SOCKET", "@x"}));
    ck_assert_uint_eq(out.watchdog_us, 5000);
    ra_ok(START(&out, {"WATCHDOG_USEC", "5000"}, {"NOTIFY_SOCKET", "@x"}, {"WATCHDOG_PID", "own"}));
    ck_assert_uint_eq(out.watchdog_us, 5000);
}
END_TEST

START_TEST(test_news_arrive_whole_or_cut_at_the_end) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char buffer[1024], *longest = memset(buffer, 'x', 900);
    buffer[900] = '\0';
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", test_path("manager"));
    int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(manager, (struct sockaddr *)&address, sizeof address), 0);
    supervised out;
    ra_ok(START(&out, {"NOTIFY_SOCKET", address.sun_path}));
    supervise_tell("READY=1\nSTATUS=serving %d", 7);
    supervise_tell("STATUS=%s", longest);
    ssize_t size = recv(manager, buffer, sizeof buffer, MSG_DONTWAIT);
    ck_assert_int_eq(size, 24);
    ck_assert_int_eq(memcmp(buffer, "READY=1\nSTATUS=serving 7", 24), 0);
    ck_assert_int_eq(recv(manager, buffer, sizeof buffer, MSG_DONTWAIT), 511);
    close(manager);
    supervise_tell("nobody listens any more");
    ra_ok(START(&out, {NULL, NULL}));
}
END_TEST

TEST_CASES(supervise, test_without_a_manager_there_is_nothing, test_sockets_by_count_and_name,
           test_what_is_for_another_process_is_passed_over, test_refuses_what_it_cannot_use,
           test_a_watchdog_needs_somebody_to_tell, test_news_arrive_whole_or_cut_at_the_end)
