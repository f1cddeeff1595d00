#include "harness.h"
#include "http/addresses.h"
#include "ra_memory.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

static const struct sockaddr *ipv4(const char *text) {
    static struct sockaddr_in address;
    address = (struct sockaddr_in){.sin_family = AF_INET};
    ck_assert_int_eq(inet_pton(AF_INET, text, &address.sin_addr), 1);
    return (const struct sockaddr *)&address;
}

static const struct sockaddr *ipv6(const char *text) {
    static struct sockaddr_in6 address;
    address = (struct sockaddr_in6){.sin6_family = AF_INET6};
    ck_assert_int_eq(inet_pton(AF_INET6, text, &address.sin6_addr), 1);
    return (const struct sockaddr *)&address;
}

START_TEST(test_each_address_has_its_own_limit) {
    http_addresses *table = http_addresses_new(2);
    ck_assert(http_addresses_enter(table, ipv4("10.0.0.1")) && http_addresses_enter(table, ipv4("10.0.0.1")));
    ck_assert(!http_addresses_enter(table, ipv4("10.0.0.1")));
    ck_assert(!http_addresses_enter(table, ipv6("::ffff:10.0.0.1"))); /* the same client */
    ck_assert(http_addresses_enter(table, ipv4("10.0.0.2")));
    ck_assert(http_addresses_enter(table, ipv6("2001:db8::1")));
    http_addresses_leave(table, ipv4("10.0.0.1"));
    ck_assert(http_addresses_enter(table, ipv4("10.0.0.1")));
    ck_assert(!http_addresses_enter(table, ipv4("10.0.0.1")));
    http_addresses_free(table);
    http_addresses_free(NULL);
}
END_TEST

START_TEST(test_many_come_and_go) {
    http_addresses *table = http_addresses_new(1);
    char text[INET_ADDRSTRLEN];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 20000; i++) {
            snprintf(text, sizeof text, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
            ck_assert(http_addresses_enter(table, ipv4(text)));
            ck_assert(!http_addresses_enter(table, ipv4(text)));
        }
        for (int i = 0; i < 20000; i++) {
            snprintf(text, sizeof text, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
            http_addresses_leave(table, ipv4(text));
        }
    }
    http_addresses_free(table);
}
END_TEST

START_TEST(test_what_is_not_counted) {
    const struct sockaddr local = {.sa_family = AF_UNIX};
    http_addresses *one = http_addresses_new(1), *unlimited = http_addresses_new(0);
    for (int i = 0; i < 3; i++) {
        ck_assert(http_addresses_enter(one, &local));
        ck_assert(http_addresses_enter(unlimited, ipv4("10.0.0.1")));
    }
    http_addresses_leave(one, &local);
    http_addresses_leave(unlimited, ipv4("10.0.0.1"));
    ra_memory_fail_at(1);
    ck_assert(http_addresses_enter(one, ipv4("10.0.0.1")));
    ra_memory_fail_at(0);
    http_addresses_leave(one, ipv4("10.0.0.1"));
    http_addresses_free(one);
    http_addresses_free(unlimited);
}
END_TEST

TEST_CASES(addresses, test_each_address_has_its_own_limit, test_many_come_and_go, test_what_is_not_counted)
