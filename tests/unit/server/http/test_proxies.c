/* Addresses, networks of them, and who is in which (server/http/{ip,proxies}.c). */
#include "harness.h"
#include "http/proxies.h"
#include "ra_memory.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static char ten[] = "10.0.0.0/8", local[] = "unix", nobody[] = "nobody";

START_TEST(test_addresses_are_written_as_they_are_read) {
    static const struct {
        const char *given, *written; /* NULL: no address */
    } table[] = {{"192.0.2.1", "192.0.2.1"},
                 {"0.0.0.0", "0.0.0.0"},
                 {"::ffff:192.0.2.1", "192.0.2.1"},
                 {"::FFFF:c000:201", "192.0.2.1"},
                 {"2001:DB8:0:0::1", "2001:db8::1"},
                 {"::", "::"},
                 {"", NULL},
                 {"192.0.2", NULL},
                 {"192.0.2.256", NULL},
                 {"192.0.2.1 ", NULL},
                 {"192.0.02.1", NULL},
                 {"0x7f.0.0.1", NULL},
                 {"3221225985", NULL},
                 {"1.2.3.4:80", NULL},
                 {"[::1]", NULL},
                 {"fe80::1%eth0", NULL},
                 {"2001:db8::1::2", NULL},
                 {":::", NULL},
                 {"localhost", NULL},
                 {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ip_address address;
        char written[IP_TEXT_SIZE] = "";
        bool good = ip_parse(table[i].given, strlen(table[i].given), &address);
        if (good) ip_write(&address, written);
        ck_assert_msg(good == (table[i].written != NULL), "%s", table[i].given);
        if (good) ck_assert_str_eq(written, table[i].written);
    }
    ip_address address;
    ck_assert(!ip_parse("1.2.3.4\0", 8, &address));
    ck_assert(ip_parse("1.2.3.45", 7, &address)); /* no byte beyond its size counts */
}
END_TEST

START_TEST(test_what_is_no_network_is_refused_with_what_was_meant) {
    static const struct {
        const char *item, *message; /* NULL: it is good */
    } table[] = {{"10.0.0.0/8", NULL},
                 {"0.0.0.0/0", NULL},
                 {"192.0.2.7", NULL},
                 {"192.0.2.7/32", NULL},
                 {"2001:db8::/32", NULL},
                 {"2001:db8::1/128", NULL},
                 {"::/0", NULL},
                 {"::ffff:10.0.0.0/104", NULL},
                 {"unix", NULL},
                 {"", "no address or network"},
                 {"unix:", "no address or network"},
                 {"proxy.example", "no address or network"},
                 {"[2001:db8::]/32", "no address or network"},
                 {"10.0.0.0/", "a number from 0 to 32"},
                 {"10.0.0.0/33", "a number from 0 to 32"},
                 {"10.0.0.0/-1", "a number from 0 to 32"},
                 {"10.0.0.0/8 ", "a number from 0 to 32"},
                 {"10.0.0.0/255.0.0.0", "a number from 0 to 32"},
                 {"10.0.0.0/4294967304", "a number from 0 to 32"},
                 {"2001:db8::/129", "a number from 0 to 128"},
                 {"10.1.2.3/8", "did you mean 10.0.0.0/8?"},
                 {"10.0.0.129/25", "did you mean 10.0.0.128/25?"},
                 {"2001:db8::1/32", "did you mean 2001:db8::/32?"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].message)
            ra_fails(http_proxies_check(table[i].item, &err), RA_ERR_ARGUMENT, table[i].message);
        else
            ra_ok(http_proxies_check(table[i].item, &err));
    }
    http_proxies proxies;
    ra_fails(http_proxies_init(&proxies, (char *[]){ten, nobody}, 2, &err), RA_ERR_ARGUMENT, "nobody");
}
END_TEST

static bool has(const http_proxies *proxies, const char *written) {
    ip_address address;
    ck_assert(ip_parse(written, strlen(written), &address));
    return http_proxies_has(proxies, &address);
}

START_TEST(test_each_network_has_its_addresses_and_no_others) {
    static struct {
        char network[24];
        const char *inside, *outside; /* NULL: there is none */
    } table[] = {{"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
                 {"10.0.0.128/25", "10.0.0.128", "10.0.0.127"},
                 {"192.0.2.7", "192.0.2.7", "192.0.2.6"},
                 {"192.0.2.6/31", "192.0.2.7", "192.0.2.8"},
                 {"0.0.0.0/0", "255.255.255.255", "::1"},
                 {"::/0", "2001:db8::1", "192.0.2.1"},
                 {"2001:db8::/32", "2001:db8:ffff::", "2001:db9::"},
                 {"2001:db8:8000::/33", "2001:db8:8000::", "2001:db8:7fff::"},
                 {"2001:db8::1", "2001:db8::1", "2001:db8::"},
                 {"::ffff:10.0.0.0/104", "10.1.1.1", "11.1.1.1"},
                 {"::/96", "::1", "192.0.2.1"},
                 {"unix", NULL, "127.0.0.1"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        http_proxies proxies;
        ra_ok(http_proxies_init(&proxies, (char *[]){table[i].network}, 1, &err));
        if (table[i].inside) ck_assert_msg(has(&proxies, table[i].inside), "%s", table[i].network);
        ck_assert_msg(!has(&proxies, table[i].outside), "%s", table[i].network);
        http_proxies_release(&proxies);
    }
}
END_TEST

START_TEST(test_peers_of_every_family) {
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    const struct sockaddr file = {.sa_family = AF_UNIX}, other = {.sa_family = AF_APPLETALK};
    http_proxies proxies, without, none = {0};
    ra_ok(http_proxies_init(&proxies, (char *[]){local, ten}, 2, &err));
    ra_ok(http_proxies_init(&without, (char *[]){ten}, 1, &err));
    inet_pton(AF_INET, "10.0.0.1", &v4.sin_addr);
    inet_pton(AF_INET6, "::ffff:10.0.0.1", &v6.sin6_addr);
    ck_assert(http_proxies_has_peer(&proxies, (const struct sockaddr *)&v4));
    ck_assert(http_proxies_has_peer(&proxies, (const struct sockaddr *)&v6));
    ck_assert(http_proxies_has_peer(&proxies, &file) && !http_proxies_has_peer(&without, &file));
    ck_assert(!http_proxies_has_peer(&proxies, &other) && !http_proxies_has_peer(&none, &file));
    ck_assert(!http_proxies_has_peer(&none, (const struct sockaddr *)&v4));
    http_proxies_release(&proxies);
    http_proxies_release(&without);
    http_proxies_release(&none);
    ra_memory_fail_at(1);
    ra_fails(http_proxies_init(&proxies, (char *[]){ten}, 1, &err), RA_ERR_MEMORY, "trusted proxies");
    ra_memory_fail_at(0);
}
END_TEST

TEST_CASES(proxies, test_addresses_are_written_as_they_are_read,
           test_what_is_no_network_is_refused_with_what_was_meant,
           test_each_network_has_its_addresses_and_no_others, test_peers_of_every_family)
