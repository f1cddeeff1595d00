/* An address from the first connection to its stop (server/http/{server,acceptor,worker,engine}.c), with clients and
 * compute threads that the test controls. */
#include "harness.h"
#include "http/listener.h"
#include "http/server.h"
#include "ra_memory.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 512, SECONDS = 60, MILLISECOND = 1000 };

/* The service: /light is answered at once, /freeze when the test lets go, /heavy by a thread of its own. */
typedef struct desk {
    pthread_mutex_t frozen; /* held: /freeze does not return */
    pthread_mutex_t lock;
    pthread_t threads[MOST]; /* that answered, in order */
    size_t answered;
    atomic_bool hold; /* jobs wait */
    atomic_size_t jobs;
} desk;

static desk at;

static void admit(void *context, http_request *request, http_response *response, size_t *max_body) {
    (void)context, (void)request, (void)response;
    *max_body = 100;
}

static void answer(void *context, http_request *request, http_response *response) {
    desk *own = context;
    if (strcmp(request->target.path, "/freeze") == 0) {
        pthread_mutex_lock(&own->frozen);
        pthread_mutex_unlock(&own->frozen);
    }
    pthread_mutex_lock(&own->lock);
    own->threads[own->answered++ % MOST] = pthread_self();
    pthread_mutex_unlock(&own->lock);
    response->status = 200;
    text_string(&response->body, "ok");
}

static bool is_heavy(void *context, const http_request *request) {
    (void)context;
    return strcmp(request->target.path, "/heavy") == 0;
}

typedef struct job {
    void (*run)(void *argument);
    void *argument;
} job;

static void *work(void *context) {
    job *own = context;
    while (atomic_load(&at.hold)) sched_yield();
    own->run(own->argument);
    ra_free(own);
    atomic_fetch_sub(&at.jobs, 1);
    return NULL;
}

static bool submit(void *context, const http_request *request, void (*run)(void *), void *argument) {
    (void)request;
    (void)context;
    pthread_t thread;
    job *own = ra_malloc(1, sizeof *own);
    *own = (job){run, argument};
    atomic_fetch_add(&at.jobs, 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, work, own), 0);
    pthread_detach(thread);
    return true;
}

static const http_service service = {
    .context = &at, .admit = admit, .answer = answer, .is_heavy = is_heavy, .submit = submit};

static unsigned port;

static http_server *start(size_t threads, size_t connections, size_t per_address) {
    char url[HTTP_ADDRESS_SIZE];
    at = (desk){.frozen = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER};
    http_server_options options = {.threads = threads,
                                   .idle_seconds = SECONDS,
                                   .header_seconds = SECONDS,
                                   .deadline_ms = SECONDS * MILLISECOND,
                                   .max_connections = connections,
                                   .max_per_address = per_address,
                                   .service = &service};
    ra_ok(http_listener_open(&(http_address){.host = "127.0.0.1", .port = "0"}, &options.descriptor, url,
                             &err));
    port = (unsigned)strtoul(strrchr(url, ':') + 1, NULL, 10);
    http_server *server = NULL;
    ra_ok(http_server_start(&options, &server, &err));
    return server;
}

static int connect_once(void) {
    struct sockaddr_in where = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons((uint16_t)port)};
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&where, sizeof where), 0);
    return client;
}

static void ask(int client, const char *path) {
    char request[128];
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    ck_assert_int_eq(send(client, request, (size_t)size, MSG_NOSIGNAL), size);
}

/* Whether an answer with this status comes within the time. */
static bool answered(int client, int status, int milliseconds) {
    char reply[1024] = "", wanted[32];
    struct pollfd wait = {.fd = client, .events = POLLIN};
    if (poll(&wait, 1, milliseconds) != 1) return false;
    ssize_t size = recv(client, reply, sizeof reply - 1, 0);
    snprintf(wanted, sizeof wanted, "HTTP/1.1 %d ", status);
    return size > 0 && strncmp(reply, wanted, strlen(wanted)) == 0;
}

static void check_serves(int client) {
    ask(client, "/light");
    ck_assert(answered(client, 200, SECONDS * MILLISECOND));
}

static void wait_for_count(const http_server *server, size_t count) {
    for (int i = 0; i < SECONDS * 1000 && http_server_connections(server) != count; i++) usleep(1000);
    ck_assert_uint_eq(http_server_connections(server), count);
}

/* ---- accepting ----------------------------------------------------------------------------------------- */

/* By chance, as the library spreads them, one thread of four may have 19 of 20. */
START_TEST(test_connections_are_spread_evenly) {
    enum { THREADS = 4, CLIENTS = 40 };
    http_server *server = start(THREADS, 100, 0);
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) clients[i] = connect_once();
    wait_for_count(server, CLIENTS);
    for (int i = 0; i < CLIENTS; i++) check_serves(clients[i]);
    ck_assert_uint_eq(at.answered, CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        int same = 0;
        for (int j = 0; j < CLIENTS; j++) same += pthread_equal(at.threads[i], at.threads[j]) != 0;
        ck_assert_int_eq(same, CLIENTS / THREADS);
    }
    for (int i = 0; i < CLIENTS; i++) close(clients[i]);
    wait_for_count(server, 0);
    http_server_free(server);
}
END_TEST

START_TEST(test_all_connections_are_taken) {
    http_server *server = start(2, 2, 0);
    int first = connect_once(), second = connect_once();
    check_serves(first);
    check_serves(second);
    int third = connect_once(); /* it waits */
    ask(third, "/light");
    ck_assert(!answered(third, 200, 200));
    ck_assert_uint_lt(http_server_lag(server), 1000000); /* a full server is not a late one */
    ck_assert_uint_eq(http_server_connections(server), 2);
    close(first);
    ck_assert(answered(third, 200, SECONDS * MILLISECOND));
    close(second);
    close(third);
    wait_for_count(server, 0);
    http_server_free(server);
}
END_TEST

START_TEST(test_an_address_has_its_limit) {
    http_server *server = start(1, 10, 1);
    int first = connect_once();
    check_serves(first);
    char byte;
    int second = connect_once();
    ck_assert_int_le(recv(second, &byte, 1, 0), 0);
    close(second);
    close(first);
    wait_for_count(server, 0);
    first = connect_once();
    check_serves(first);
    close(first);
    http_server_free(server);
}
END_TEST

/* ---- one thread that hangs ------------------------------------------------------------------------------- */

START_TEST(test_a_frozen_thread_is_seen_and_the_others_serve) {
    http_server *server = start(3, 10, 0);
    int clients[3];
    for (int i = 0; i < 3; i++) clients[i] = connect_once();
    for (int i = 0; i < 3; i++) check_serves(clients[i]);
    pthread_mutex_lock(&at.frozen);
    ask(clients[1], "/freeze");
    for (int i = 0; i < SECONDS * 100 && http_server_lag(server) < 300000; i++) usleep(10000);
    ck_assert_uint_ge(http_server_lag(server), 300000);
    check_serves(clients[0]);
    check_serves(clients[2]);
    int late = 0;
    for (size_t i = 0; i < http_server_threads(server); i++) late += http_server_lag_of(server, i) >= 300000;
    ck_assert_int_ge(late, 1);
    pthread_mutex_unlock(&at.frozen);
    ck_assert(answered(clients[1], 200, SECONDS * MILLISECOND));
    for (int i = 0; i < SECONDS * 100 && http_server_lag(server) >= 300000; i++) usleep(10000);
    ck_assert_uint_lt(http_server_lag(server), 300000);
    uint64_t worst = 0; /* one who looks later sees it all the same */
    for (size_t i = 0; i < http_server_threads(server); i++)
        if (http_server_lag_of(server, i) > worst) worst = http_server_lag_of(server, i);
    ck_assert_uint_ge(worst, 300000);
    for (int i = 0; i < 3; i++) close(clients[i]);
    http_server_free(server);
}
END_TEST

/* ---- the stop -------------------------------------------------------------------------------------------- */

START_TEST(test_a_stop_answers_what_waits) {
    http_server *server = start(2, 10, 0);
    int client = connect_once();
    atomic_store(&at.hold, true);
    ask(client, "/heavy");
    for (int i = 0; i < SECONDS * 1000 && !atomic_load(&at.jobs); i++) usleep(1000);
    ck_assert_uint_eq(http_server_in_flight(server), 1);
    http_server_stop(server);
    ck_assert(answered(client, 503, SECONDS * MILLISECOND));
    ck_assert_uint_eq(http_server_in_flight(server), 0); /* may be asked until it is freed */
    atomic_store(&at.hold, false);
    while (atomic_load(&at.jobs)) sched_yield();
    close(client);
    http_server_free(server);
    http_server_free(NULL);
}
END_TEST

/* Jobs end, and settle, at every moment of a stop. */
START_TEST(test_a_stop_while_jobs_settle) {
    enum { CLIENTS = 8 };
    for (int round = 0; round < 60; round++) {
        http_server *server = start(2, 20, 0);
        int clients[CLIENTS];
        atomic_store(&at.hold, true);
        for (int i = 0; i < CLIENTS; i++) {
            clients[i] = connect_once();
            ask(clients[i], "/heavy");
        }
        for (int i = 0; i < SECONDS * 1000 && atomic_load(&at.jobs) < CLIENTS; i++) usleep(1000);
        atomic_store(&at.hold, false);
        usleep((useconds_t)(round * 20));
        http_server_stop(server);
        for (int i = 0; i < CLIENTS; i++) {
            char reply[13] = "";
            ck_assert_int_gt(recv(clients[i], reply, sizeof reply - 1, 0), 0);
            ck_assert(strcmp(reply, "HTTP/1.1 200") == 0 || strcmp(reply, "HTTP/1.1 503") == 0);
            close(clients[i]);
        }
        while (atomic_load(&at.jobs)) sched_yield();
        http_server_free(server);
    }
}
END_TEST

/* Those that the system has let in when the stop begins are served. */
START_TEST(test_no_client_that_was_let_in_is_lost) {
    enum { CLIENTS = 20 };
    for (int round = 0; round < 30; round++) {
        http_server *server = start(2, 100, 0);
        int clients[CLIENTS];
        for (int i = 0; i < CLIENTS; i++) {
            clients[i] = connect_once();
            ask(clients[i], "/light");
        }
        http_server_refuse(server);
        for (int i = 0; i < CLIENTS; i++) {
            ck_assert(answered(clients[i], 200, SECONDS * MILLISECOND));
            close(clients[i]);
        }
        http_server_free(server);
    }
}
END_TEST

/* ---- failures -------------------------------------------------------------------------------------------- */

START_TEST(test_a_start_without_memory_leaves_nothing_behind) {
    for (size_t n = 1;; n++) {
        char url[HTTP_ADDRESS_SIZE];
        http_server_options options = {.threads = 2,
                                       .idle_seconds = SECONDS,
                                       .header_seconds = SECONDS,
                                       .deadline_ms = MILLISECOND,
                                       .max_connections = 2,
                                       .service = &service};
        ra_ok(http_listener_open(&(http_address){.host = "127.0.0.1", .port = "0"}, &options.descriptor, url,
                                 &err));
        http_server *server = NULL;
        ra_memory_fail_at(n);
        ra_status status = http_server_start(&options, &server, NULL);
        ra_memory_fail_at(0);
        http_server_free(server);
        if (status == RA_OK) break;
        ck_assert_ptr_null(server);
        ck_assert_uint_lt(n, 100);
    }
}
END_TEST

TEST_CASES_SLOW(server, 120, test_connections_are_spread_evenly, test_all_connections_are_taken,
                test_an_address_has_its_limit, test_a_frozen_thread_is_seen_and_the_others_serve,
                test_a_stop_answers_what_waits, test_a_stop_while_jobs_settle,
                test_no_client_that_was_let_in_is_lost, test_a_start_without_memory_leaves_nothing_behind)
