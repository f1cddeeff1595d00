#include "harness.h"
#include "http/listener.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

START_TEST(test_addresses_are_host_and_port) {
    static const struct {
        const char *text, *host, *port;
    } table[] = {{"127.0.0.1:8080", "127.0.0.1", "8080"},
                 {"localhost:0", "localhost", "0"},
                 {"[::1]:65535", "::1", "65535"},
                 {":80", "", "80"},
                 {"[]:80", "", "80"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        http_address address;
        ra_ok(http_address_parse(table[i].text, &address, &err));
        ck_assert_str_eq(address.host, table[i].host);
        ck_assert_str_eq(address.port, table[i].port);
    }
}
END_TEST

START_TEST(test_refuses_other_addresses) {
    static const char *const table[][2] = {{"", "no port"},
                                           {"localhost", "no port"},
                                           {"localhost:", "0 to 65535"},
                                           {"h:65536", "0 to 65535"},
                                           {"h:x", "0 to 65535"},
                                           {"h:-1", "0 to 65535"},
                                           {"h:123456", "0 to 65535"},
                                           {"::1:80", "[ADDRESS]:PORT"},
                                           {"a:b:80", "[ADDRESS]:PORT"}};
    http_address address;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ra_fails(http_address_parse(table[i][0], &address, &err), RA_ERR_ARGUMENT, table[i][1]);
    char huge[400];
    memset(huge, 'a', sizeof huge);
    memcpy(huge + sizeof huge - 4, ":80", 4);
    ra_fails(http_address_parse(huge, &address, &err), RA_ERR_ARGUMENT, "more than 255");
}
END_TEST

START_TEST(test_port_0_takes_a_free_one_and_says_which) {
    int first, second;
    char url[HTTP_ADDRESS_SIZE], again[HTTP_ADDRESS_SIZE];
    http_address address = {.host = "127.0.0.1", .port = "0"};
    ra_ok(http_listener_open(&address, &first, url, &err));
    ra_ok(http_listener_open(&address, &second, again, &err));
    ck_assert_str_ne(url, again);
    ck_assert_int_eq(strncmp(url, "http://127.0.0.1:", 17), 0);
    ck_assert_int_eq(listen(first, 1), 0);
    snprintf(address.port, sizeof address.port, "%.5s", url + 17);
    int third = -1;
    ra_fails(http_listener_open(&address, &third, again, &err), RA_ERR_IO, "in use");
    ck_assert_int_eq(third, -1);
    close(first);
    close(second);
}
END_TEST

START_TEST(test_an_address_of_another_machine) {
    int descriptor = -1;
    char url[HTTP_ADDRESS_SIZE];
    http_address address = {.host = "192.0.2.1", .port = "0"}; /* reserved for documentation: RFC 5737 */
    ra_fails(http_listener_open(&address, &descriptor, url, &err), RA_ERR_IO, "cannot listen on 192.0.2.1:0");
}
END_TEST

START_TEST(test_a_socket_that_is_handed_over) {
    int ours, deaf = socket(AF_INET, SOCK_STREAM, 0);
    char url[HTTP_ADDRESS_SIZE], adopted[HTTP_ADDRESS_SIZE];
    http_address address = {.host = "127.0.0.1", .port = "0"};
    ra_ok(http_listener_open(&address, &ours, url, &err));
    ra_fails(http_listener_adopt(ours, false, adopted, &err), RA_ERR_STATE, "not a listening stream socket");
    ck_assert_int_eq(listen(ours, 1), 0);
    ck_assert_int_eq(fcntl(ours, F_SETFL, 0), 0);
    ck_assert_int_eq(fcntl(ours, F_SETFD, 0), 0);
    ra_ok(http_listener_adopt(ours, false, adopted, &err));
    ck_assert_str_eq(adopted, url);
    ck_assert(fcntl(ours, F_GETFL) & O_NONBLOCK);
    ck_assert(fcntl(ours, F_GETFD) & FD_CLOEXEC);
    ra_fails(http_listener_adopt(deaf, false, adopted, &err), RA_ERR_STATE, "not a listening stream socket");
    ra_fails(http_listener_adopt(-1, false, adopted, &err), RA_ERR_STATE, "not a listening stream socket");
    close(ours);
    close(deaf);
}
END_TEST

TEST_CASES(listener, test_addresses_are_host_and_port, test_refuses_other_addresses,
           test_port_0_takes_a_free_one_and_says_which, test_an_address_of_another_machine,
           test_a_socket_that_is_handed_over)
