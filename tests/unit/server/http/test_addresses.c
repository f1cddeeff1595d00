#include "harness.h"
#include "http/addresses.h"
#include "ra_memory.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const ip_address *address(const char *written) {
    static ip_address read;
    ck_assert(ip_parse(written, strlen(written), &read));
    return &read;
}

START_TEST(test_each_address_has_its_own_limit) {
    http_addresses *table = http_addresses_new(2);
    ck_assert(http_addresses_enter(table, address("10.0.0.1")) &&
              http_addresses_enter(table, address("10.0.0.1")));
    ck_assert(!http_addresses_enter(table, address("10.0.0.1")));
    ck_assert(!http_addresses_enter(table, address("::ffff:10.0.0.1"))); /* the same client */
    ck_assert(http_addresses_enter(table, address("10.0.0.2")));
    ck_assert(http_addresses_enter(table, address("2001:db8::1")));
    http_addresses_leave(table, address("10.0.0.1"));
    ck_assert(http_addresses_enter(table, address("10.0.0.1")));
    ck_assert(!http_addresses_enter(table, address("10.0.0.1")));
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
            ck_assert(http_addresses_enter(table, address(text)));
            ck_assert(!http_addresses_enter(table, address(text)));
        }
        for (int i = 0; i < 20000; i++) {
            snprintf(text, sizeof text, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
            http_addresses_leave(table, address(text));
        }
    }
    http_addresses_free(table);
}
END_TEST

START_TEST(test_what_is_not_counted) {
    http_addresses *one = http_addresses_new(1), *unlimited = http_addresses_new(0);
    for (int i = 0; i < 3; i++) ck_assert(http_addresses_enter(unlimited, address("10.0.0.1")));
    http_addresses_leave(unlimited, address("10.0.0.1"));
    ra_memory_fail_at(1);
    ck_assert(http_addresses_enter(one, address("10.0.0.1")));
    ra_memory_fail_at(0);
    http_addresses_leave(one, address("10.0.0.1"));
    http_addresses_free(one);
    http_addresses_free(unlimited);
}
END_TEST

TEST_CASES(addresses, test_each_address_has_its_own_limit, test_many_come_and_go, test_what_is_not_counted)
