/* The heartbeat of server/supervise.c, over a real server one of whose threads the test can hold back. */
#include "harness.h"
#include "http/listener.h"
#include "ra_memory.h"
#include "supervise.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WITHIN_US = 30000, SHORT_MS = 200, LONG_MS = 30000 };

static pthread_mutex_t hanging = PTHREAD_MUTEX_INITIALIZER; /* held: the server hangs */
static char manager_path[108];
static int manager;
static unsigned port;

static void admit(void *context, http_request *request, http_response *response, size_t *max_body) {
    (void)context, (void)request, (void)response;
    *max_body = 0;
}

static void answer(void *context, http_request *request, http_response *response) {
    (void)context;
    (void)request;
    pthread_mutex_lock(&hanging);
    response->status = 200;
    pthread_mutex_unlock(&hanging);
}

static const http_service service = {.admit = admit, .answer = answer};

static char *lookup(const char *name) {
    return strcmp(name, "NOTIFY_SOCKET") == 0 ? manager_path : NULL;
}

static http_server *start(size_t threads, size_t max_connections) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(manager_path, sizeof manager_path, "%.100s", test_path("manager"));
    memcpy(address.sun_path, manager_path, sizeof address.sun_path);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(manager, (struct sockaddr *)&address, sizeof address), 0);
    supervised unused;
    ra_ok(supervise_start(lookup, &unused, &err));
    char url[HTTP_ADDRESS_SIZE];
    http_server_options options = {.threads = threads,
                                   .idle_seconds = 60,
                                   .header_seconds = 60,
                                   .deadline_ms = 60000,
                                   .max_connections = max_connections,
                                   .service = &service};
    ra_ok(http_listener_open(&(http_address){.host = "127.0.0.1", .port = "0"}, &options.descriptor, url,
                             &err));
    port = (unsigned)strtoul(strrchr(url, ':') + 1, NULL, 10);
    http_server *server = NULL;
    ra_ok(http_server_start(&options, &server, &err));
    return server;
}

static void stop(http_server *server) {
    http_server_free(server);
    close(manager);
    unlink(manager_path);
}

/* Whether a beat arrives within this time. */
static bool beats(int milliseconds) {
    char told[64] = "";
    struct pollfd wait = {.fd = manager, .events = POLLIN};
    if (poll(&wait, 1, milliseconds) != 1) return false;
    ck_assert_int_eq(recv(manager, told, sizeof told - 1, 0), (int)strlen("WATCHDOG=1"));
    ck_assert_str_eq(told, "WATCHDOG=1");
    return true;
}

static int ask(void) {
    struct sockaddr_in where = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons((uint16_t)port)};
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    static const char live[] = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    ck_assert_int_eq(connect(client, (struct sockaddr *)&where, sizeof where), 0);
    ck_assert_int_eq(send(client, live, sizeof live - 1, 0), (ssize_t)sizeof live - 1);
    return client;
}

static void read_reply(int client) {
    char reply[16];
    ck_assert_int_gt(recv(client, reply, sizeof reply, 0), 0);
}

/* One of three hangs, and two would answer whoever asks them. */
START_TEST(test_beats_while_all_threads_look_after_their_connections) {
    http_server *server = start(3, 10);
    heartbeat *beating = NULL;
    ra_ok(heartbeat_start(server, WITHIN_US, &beating, &err));
    for (int i = 0; i < 5; i++) ck_assert(beats(LONG_MS));
    pthread_mutex_lock(&hanging);
    int client = ask();
    while (beats(SHORT_MS)) continue; /* for a second it may just be busy */
    ck_assert(!beats(SHORT_MS));
    pthread_mutex_unlock(&hanging);
    read_reply(client);
    ck_assert(beats(LONG_MS));
    heartbeat_stop(beating);
    close(client);
    stop(server);
}
END_TEST

START_TEST(test_a_full_server_beats) {
    http_server *server = start(1, 1);
    int taken = ask(), waits = ask();
    read_reply(taken);
    heartbeat *beating = NULL;
    ra_ok(heartbeat_start(server, WITHIN_US, &beating, &err));
    ck_assert(beats(LONG_MS) && beats(LONG_MS));
    heartbeat_stop(beating);
    close(taken);
    close(waits);
    stop(server);
}
END_TEST

START_TEST(test_nobody_to_tell_and_no_memory) {
    heartbeat *beating = NULL;
    ra_ok(heartbeat_start(NULL, 0, &beating, &err));
    ck_assert_ptr_null(beating);
    heartbeat_stop(beating);
    ra_memory_fail_at(1);
    ra_fails(heartbeat_start(NULL, WITHIN_US, &beating, &err), RA_ERR_MEMORY, "the heartbeat");
    ra_memory_fail_at(0);
    ck_assert_ptr_null(beating);
}
END_TEST

TEST_CASES(heartbeat, test_beats_while_all_threads_look_after_their_connections, test_a_full_server_beats,
           test_nobody_to_tell_and_no_memory)
