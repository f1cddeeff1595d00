/* Who is counted, named and refused, and how often that is told (server/http/{clients,clock,seldom}.c). */
#include "harness.h"
#include "http/clients.h"
#include "http/seldom.h"
#include "ra_memory.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static char logged[1024], ten[] = "10.0.0.0/8";

static void note(void *context, ra_log_level level, const char *message) {
    (void)context, (void)level;
    size_t used = strlen(logged);
    snprintf(logged + used, sizeof logged - used, "%s\n", message);
}

static const struct sockaddr *peer(const char *written) {
    static struct sockaddr_in address;
    address = (struct sockaddr_in){.sin_family = AF_INET};
    ck_assert_int_eq(inet_pton(AF_INET, written, &address.sin_addr), 1);
    return (const struct sockaddr *)&address;
}

/* The request that the peer of this name sends; true: somebody counts it. */
static bool name(http_clients *clients, const char *header, http_request *request, ip_address *client) {
    http_headers headers = {0};
    *request = (http_request){.client = "10.0.0.1"};
    if (header) ra_ok(http_headers_add(&headers, "X-Forwarded-For", 15, header, strlen(header), &err));
    return http_clients_name(clients, &headers, request, client);
}

START_TEST(test_connections_count_but_those_of_proxies) {
    http_proxies proxies;
    bool proxy = true;
    const struct sockaddr local = {.sa_family = AF_UNIX};
    ra_ok(http_proxies_init(&proxies, (char *[]){ten}, 1, &err));
    http_clients *clients = http_clients_new(1, &proxies);
    ra_log_set_sink(note, NULL);
    for (int i = 0; i < 3; i++) {
        ck_assert(http_clients_arrive(clients, peer("10.0.0.1"), &proxy) && proxy);
        ck_assert(http_clients_arrive(clients, &local, &proxy) && !proxy);
    }
    ck_assert(http_clients_arrive(clients, peer("192.0.2.1"), &proxy) && !proxy);
    for (int i = 0; i < 3; i++) ck_assert(!http_clients_arrive(clients, peer("192.0.2.1"), &proxy));
    ck_assert_uint_eq(http_clients_refused(clients), 3);
    ck_assert_str_eq(logged,
                     "1 connections refused: 192.0.2.1 has the 1 that --max-connections-per-address allows "
                     "one client\n");
    http_clients_leave(clients, peer("10.0.0.1"), true);
    http_clients_leave(clients, &local, false);
    http_clients_leave(clients, peer("192.0.2.1"), false);
    ck_assert(http_clients_arrive(clients, peer("192.0.2.1"), &proxy));
    ra_log_set_sink(NULL, NULL);
    http_clients_free(clients);
    http_clients_free(NULL);
    http_proxies_release(&proxies);
}
END_TEST

START_TEST(test_requests_have_the_name_of_the_client) {
    static const struct {
        const char *header, *client, *peer;
        bool counts;
    } table[] = {{NULL, "10.0.0.1", "", false},
                 {"192.0.2.1", "192.0.2.1", "10.0.0.1", true},
                 {"192.0.2.1, 10.0.0.9", "192.0.2.1", "10.0.0.1", true},
                 {"10.0.0.9", "10.0.0.9", "10.0.0.1", false},
                 {"unknown", "10.0.0.1", "", false},
                 {"nonsense", "10.0.0.1", "", false},
                 {"more nonsense, 10.0.0.9", "10.0.0.9", "10.0.0.1", false}};
    http_proxies proxies;
    ra_ok(http_proxies_init(&proxies, (char *[]){ten}, 1, &err));
    http_clients *clients = http_clients_new(1, &proxies);
    ra_log_set_sink(note, NULL);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        http_request request;
        ip_address client;
        ck_assert_msg(name(clients, table[i].header, &request, &client) == table[i].counts, "%zu", i);
        ck_assert_str_eq(request.client, table[i].client);
        ck_assert_str_eq(request.peer, table[i].peer);
    }
    ra_log_set_sink(NULL, NULL);
    ck_assert_str_eq(logged,
                     "1 requests of clients that are not known: in the header X-Forwarded-For from the "
                     "trusted proxy 10.0.0.1, 'nonsense' is no address; the nearest known address stands "
                     "for them\n");
    http_clients_free(clients);
    http_proxies_release(&proxies);
}
END_TEST

/* Its connections and its requests through proxies are the same client's. */
START_TEST(test_requests_count_with_connections) {
    http_proxies proxies;
    http_request request;
    ip_address client;
    bool proxy;
    ra_ok(http_proxies_init(&proxies, (char *[]){ten}, 1, &err));
    http_clients *clients = http_clients_new(2, &proxies);
    ra_log_set_sink(note, NULL);
    ck_assert(name(clients, "192.0.2.1", &request, &client));
    ck_assert(http_clients_arrive(clients, peer("192.0.2.1"), &proxy) &&
              http_clients_begin(clients, &client));
    ck_assert(!http_clients_begin(clients, &client) && !http_clients_begin(clients, &client));
    ck_assert_str_eq(logged, "1 requests answered 429: 192.0.2.1, behind a proxy, has the 2 under way that "
                             "--max-connections-per-address allows one client\n");
    http_clients_leave(clients, peer("192.0.2.1"), false);
    ck_assert(http_clients_begin(clients, &client) && !http_clients_begin(clients, &client));
    http_clients_end(clients, &client);
    ck_assert(http_clients_begin(clients, &client));
    ra_log_set_sink(NULL, NULL);
    http_clients_free(clients);
    http_proxies_release(&proxies);
}
END_TEST

START_TEST(test_without_proxies_and_without_memory) {
    bool proxy = true;
    http_clients *clients = http_clients_new(0, NULL);
    for (int i = 0; i < 3; i++) ck_assert(http_clients_arrive(clients, peer("10.0.0.1"), &proxy) && !proxy);
    http_clients_free(clients);
    for (int i = 1; i <= 2; i++) {
        ra_memory_fail_at(i);
        ck_assert_ptr_null(http_clients_new(1, NULL));
        ra_memory_fail_at(0);
    }
}
END_TEST

START_TEST(test_seldom_counts_what_it_does_not_tell) {
    seldom about = {0};
    size_t since = 0;
    ck_assert(seldom_is_due(&about, &since));
    ck_assert_uint_eq(since, 1);
    for (int i = 0; i < 5; i++) ck_assert(!seldom_is_due(&about, &since));
    about.last -= 61000000; /* a minute later */
    ck_assert(seldom_is_due(&about, &since));
    ck_assert_uint_eq(since, 6);
}
END_TEST

TEST_CASES(clients, test_connections_count_but_those_of_proxies, test_requests_have_the_name_of_the_client,
           test_requests_count_with_connections, test_without_proxies_and_without_memory,
           test_seldom_counts_what_it_does_not_tell)
