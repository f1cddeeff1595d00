/* Requests that other threads answer: the first thread settles each exactly once, and the last one frees it. */
#include "harness.h"
#include "http/deferred.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { QUEUE = 8, MINUTE = 60000000 };

/* Compute threads that run when the test says so. */
typedef struct desk {
    void (*run[QUEUE])(void *argument);
    void *argument[QUEUE];
    size_t queued, room;
    size_t answered;
} desk;

static desk at;
static atomic_size_t resumed;

static bool submit(void *context, const http_request *request, void (*run)(void *), void *argument) {
    (void)request;
    desk *own = context;
    if (own->queued == own->room) return false;
    own->run[own->queued] = run;
    own->argument[own->queued++] = argument;
    return true;
}

static void answer(void *context, http_request *request, http_response *response) {
    desk *own = context;
    own->answered++;
    ck_assert_ptr_nonnull(request->canceled);
    ck_assert_str_eq(request->headers[HTTP_CONTENT_TYPE], "application/json");
    response->status = 200;
    text_string(&response->body, "{}");
}

static void admit(void *context, http_request *request, http_response *response, size_t *max_body) {
    (void)context, (void)request;
    http_response_header(response, "X-Admitted", "yes");
    *max_body = 10;
}

static void resume(http_exchange *exchange) {
    ck_assert_ptr_eq(exchange->deferral.connection, exchange);
    ck_assert_ptr_eq(exchange->deferral.home, &at);
    ck_assert_ptr_null(exchange->deferral.after); /* the thread of the connection may link it now */
    atomic_fetch_add(&resumed, 1);
}

static const http_service service = {.context = &at, .admit = admit, .answer = answer, .submit = submit};

static http_deferrals *start(size_t room, uint64_t deadline) {
    at = (desk){.room = room};
    atomic_store(&resumed, 0);
    http_deferrals *waiting = http_deferrals_new(
        &(http_deferrals_options){.service = &service, .deadline = deadline, .resume = resume});
    ck_assert_ptr_nonnull(waiting);
    return waiting;
}

static void run_next(size_t i) {
    at.run[i](at.argument[i]);
}

/* The headers of a request point into memory of the connection, which is gone once the request is deferred. */
static char content_type[32];

static http_exchange *request(void) {
    http_headers headers = {0};
    memcpy(content_type, "application/json", sizeof "application/json");
    headers.values[HTTP_CONTENT_TYPE] = content_type;
    http_exchange *exchange = http_exchange_take("/a");
    ck_assert_ptr_nonnull(exchange);
    http_exchange_begin(exchange, &service, "POST", &headers, NULL);
    http_exchange_received(exchange);
    return exchange;
}

static http_exchange *defer(http_deferrals *waiting, int descriptor) {
    http_exchange *exchange = request();
    ck_assert(http_defer(waiting, exchange, exchange, &at, descriptor));
    memset(content_type, 'x', sizeof content_type - 1);
    return exchange;
}

static int pair[2];

static void open_pair(void) {
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
}

static void close_pair(void) {
    close(pair[0]);
    close(pair[1]);
}

static bool has_header(const http_response *response, const char *wanted) {
    const char *name, *value;
    for (size_t position = 0; http_response_next_header(response, &position, &name, &value);)
        if (strcmp(name, wanted) == 0) return true;
    return false;
}

START_TEST(test_an_answer_resumes_the_connection) {
    http_deferrals *waiting = start(1, MINUTE);
    open_pair();
    http_exchange *exchange = defer(waiting, pair[0]);
    ck_assert_uint_eq(http_deferrals_count(waiting), 1);
    ck_assert_uint_eq(atomic_load(&resumed), 0);
    run_next(0);
    ck_assert_uint_eq(atomic_load(&resumed), 1);
    ck_assert_uint_eq(http_deferrals_count(waiting), 0);
    ck_assert_int_eq(http_exchange_reply(exchange)->status, 200);
    http_deferred_give(exchange);
    http_deferrals_release(waiting);
    close_pair();
}
END_TEST

START_TEST(test_a_full_queue_is_said_at_once) {
    http_deferrals *waiting = start(0, MINUTE);
    http_exchange *exchange = request();
    ck_assert(!http_defer(waiting, exchange, exchange, &at, -1));
    ck_assert_int_eq(http_exchange_reply(exchange)->status, 503);
    ck_assert(has_header(http_exchange_reply(exchange), "Retry-After"));
    http_deferred_give(exchange);
    http_deferrals_release(waiting);
}
END_TEST

/* The exchange is given back before its job runs, which then has nothing to do. */
START_TEST(test_a_deadline_is_answered_before_its_turn_comes) {
    http_deferrals *waiting = start(1, 1000);
    open_pair();
    http_exchange *exchange = defer(waiting, pair[0]);
    http_deferrals_check(waiting, exchange->deferral.deadline - 1);
    ck_assert_uint_eq(atomic_load(&resumed), 0);
    http_deferrals_check(waiting, exchange->deferral.deadline);
    http_deferrals_check(waiting, exchange->deferral.deadline);
    ck_assert_uint_eq(atomic_load(&resumed), 1);
    const http_response *reply = http_exchange_reply(exchange);
    ck_assert_int_eq(reply->status, 503);
    ck_assert(has_header(reply, "Retry-After"));
    ck_assert(has_header(reply, "X-Admitted"));
    ck_assert(!reply->close);
    http_deferred_give(exchange);
    http_deferrals_release(waiting); /* the job still holds it */
    run_next(0);
    ck_assert_uint_eq(at.answered, 0);
    close_pair();
}
END_TEST

/* It happens also when its client was told to try again, so it is never told. */
START_TEST(test_what_has_no_deadline_waits) {
    http_deferrals *waiting = start(1, 1000);
    open_pair();
    http_exchange *exchange = request();
    exchange->request.patient = true;
    ck_assert(http_defer(waiting, exchange, exchange, &at, pair[0]));
    http_deferrals_check(waiting, http_now() + 1000 * (uint64_t)MINUTE);
    ck_assert_uint_eq(atomic_load(&resumed), 0);
    run_next(0);
    ck_assert_uint_eq(atomic_load(&resumed), 1);
    ck_assert_int_eq(http_exchange_reply(exchange)->status, 200);
    http_deferred_give(exchange);
    http_deferrals_release(waiting);
    close_pair();
}
END_TEST

START_TEST(test_a_client_that_left_costs_nothing) {
    http_deferrals *waiting = start(2, MINUTE);
    open_pair();
    http_exchange *first = defer(waiting, pair[0]), *second = defer(waiting, pair[0]);
    http_deferrals_check(waiting, http_now());
    ck_assert_uint_eq(atomic_load(&resumed), 0);
    shutdown(pair[1], SHUT_WR);
    run_next(0); /* the compute thread finds out */
    ck_assert_uint_eq(atomic_load(&resumed), 1);
    ck_assert_ptr_null(http_exchange_reply(first));
    http_deferrals_check(waiting, http_now()); /* so does the watchdog */
    ck_assert_uint_eq(atomic_load(&resumed), 2);
    ck_assert_ptr_null(http_exchange_reply(second));
    run_next(1);
    ck_assert_uint_eq(at.answered, 0);
    http_deferred_give(first);
    http_deferred_give(second);
    http_deferrals_release(waiting);
    close_pair();
}
END_TEST

START_TEST(test_the_end_leaves_nobody_waiting) {
    http_deferrals *waiting = start(3, MINUTE);
    open_pair();
    http_exchange *kept[3];
    for (int i = 0; i < 3; i++) kept[i] = defer(waiting, pair[0]);
    ck_assert_uint_eq(http_deferrals_end(waiting), 3);
    ck_assert_uint_eq(atomic_load(&resumed), 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(http_exchange_reply(kept[i])->status, 503);
        ck_assert(http_exchange_reply(kept[i])->close);
        http_deferred_give(kept[i]);
        run_next(i);
    }
    http_exchange *late = request();
    at.queued = 0;
    ck_assert(!http_defer(waiting, late, late, &at, pair[0]));
    ck_assert_int_eq(late->response.status, 503);
    http_deferred_give(late);
    ck_assert_uint_eq(at.answered, 0);
    http_deferrals_release(waiting);
    close_pair();
}
END_TEST

/* ---- all of it at once --------------------------------------------------------------------------------- */

static void quick_answer(void *context, http_request *request, http_response *response) {
    (void)context, (void)request;
    response->status = 200;
    text_string(&response->body, "{}");
}

static bool submit_thread(void *context, const http_request *request, void (*run)(void *), void *argument) {
    (void)request;
    pthread_t *thread = context;
    return pthread_create(thread, NULL, (void *(*)(void *))(void (*)(void))run, argument) == 0;
}

static void mark(http_exchange *exchange) {
    atomic_store((atomic_bool *)exchange->deferral.connection, true);
}

static void *check_for_ever(void *argument) {
    for (int i = 0; i < 2000; i++) http_deferrals_check(argument, http_now());
    return NULL;
}

/* The deadlines are so short that they race with the answers; each request is settled once, and nothing leaks or is
 * used after it is freed. */
START_TEST(test_answers_race_with_deadlines) {
    enum { REQUESTS = 300 };
    pthread_t job, watchdog;
    const http_service quick = {
        .context = &job, .admit = admit, .answer = quick_answer, .submit = submit_thread};
    http_deferrals *waiting =
        http_deferrals_new(&(http_deferrals_options){.service = &quick, .deadline = 60, .resume = mark});
    open_pair();
    ck_assert_int_eq(pthread_create(&watchdog, NULL, check_for_ever, waiting), 0);
    for (int i = 0; i < REQUESTS; i++) {
        atomic_bool done = false;
        http_exchange *exchange = request();
        ck_assert(http_defer(waiting, exchange, &done, NULL, pair[0]));
        for (int spin = 0; !atomic_load(&done); spin++)
            if (spin % 1000 == 999) http_deferrals_check(waiting, http_now());
        const http_response *reply = http_exchange_reply(exchange);
        ck_assert(reply->status == 200 || reply->status == 503);
        http_deferred_give(exchange);
        pthread_join(job, NULL);
    }
    pthread_join(watchdog, NULL);
    ck_assert_uint_eq(http_deferrals_count(waiting), 0);
    http_deferrals_release(waiting);
    close_pair();
}
END_TEST

TEST_CASES_SLOW(deferred, 60, test_an_answer_resumes_the_connection, test_a_full_queue_is_said_at_once,
                test_a_deadline_is_answered_before_its_turn_comes, test_what_has_no_deadline_waits,
                test_a_client_that_left_costs_nothing, test_the_end_leaves_nobody_waiting,
                test_answers_race_with_deadlines)
