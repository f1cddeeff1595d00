/* The loop sleeps in poll(), on the engine's descriptor and on that of the mailbox. A turn is: the mail, what the
 * engine has to do, a slice of the connections whose pace is checked. None of these waits.
 *
 * The time that others have to wait for the thread is the length of a turn, or, when the system does not let the
 * thread run, how late it wakes up. The worst of a while is kept, in two halves that take turns, so that one who
 * looks every fifteen seconds sees every stall.
 */
#include "http/worker.h"
#include "ra_memory.h"
#include "ra_waiting.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { MILLISECOND = 1000, LAST_ANSWERS_US = 500000 };

struct http_worker {
    http_engine *engine;
    http_connections *connections;
    pthread_t thread;
    bool running;
    int descriptor; /* of the engine */
    int bell;       /* an eventfd: there is mail, or the end is asked for */
    atomic_bool ending;
    /* for the thread alone */
    uint64_t next_check; /* of the pace of connections */
    uint64_t ending_since;
    /* the mailbox */
    pthread_mutex_t lock;
    http_connection *arrived, **last_arrived;
    http_exchange *settled, **last_settled;
    /* written by the thread, read by all */
    _Atomic uint64_t stamp; /* when the last turn began or ended */
    _Atomic uint64_t due;   /* when the next one begins, at the latest */
    _Atomic uint64_t worst[2], worst_since;
};

/* ---- the mailbox --------------------------------------------------------------------------------------- */

static void ring(http_worker *worker) {
    uint64_t one = 1;
    while (write(worker->bell, &one, sizeof one) < 0 && errno == EINTR) continue;
}

void http_worker_take(http_worker *worker, http_connection *connection) {
    connection->next = NULL;
    http_connections_add(worker->connections, connection);
    pthread_mutex_lock(&worker->lock);
    bool empty = !worker->arrived && !worker->settled;
    *worker->last_arrived = connection;
    worker->last_arrived = &connection->next;
    pthread_mutex_unlock(&worker->lock);
    if (empty) ring(worker);
}

void http_worker_resume(http_exchange *exchange) {
    http_worker *worker = exchange->deferral.home;
    pthread_mutex_lock(&worker->lock);
    bool empty = !worker->arrived && !worker->settled;
    exchange->deferral.after = NULL;
    *worker->last_settled = exchange;
    worker->last_settled = &exchange->deferral.after;
    if (empty) ring(worker); /* under the lock: without it the worker may be gone */
    pthread_mutex_unlock(&worker->lock);
}

static void read_mail(http_worker *worker) {
    pthread_mutex_lock(&worker->lock);
    http_connection *arrived = worker->arrived;
    http_exchange *settled = worker->settled;
    worker->arrived = NULL;
    worker->settled = NULL;
    worker->last_arrived = &worker->arrived;
    worker->last_settled = &worker->settled;
    pthread_mutex_unlock(&worker->lock);
    while (settled) {
        http_exchange *next = settled->deferral.after;
        http_engine_resume(worker->engine, settled);
        settled = next;
    }
    while (arrived) {
        http_connection *next = arrived->next;
        http_engine_add(worker->engine, arrived);
        arrived = next;
    }
}

/* ---- how late it is ------------------------------------------------------------------------------------ */

static uint64_t get(const _Atomic uint64_t *value) {
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void set(_Atomic uint64_t *value, uint64_t to) {
    atomic_store_explicit(value, to, memory_order_relaxed);
}

static void note_lag(http_worker *worker, uint64_t now, uint64_t lag) {
    if (now - get(&worker->worst_since) > HTTP_LAG_MEMORY_US) {
        set(&worker->worst[1], get(&worker->worst[0]));
        set(&worker->worst[0], 0);
        set(&worker->worst_since, now);
    }
    if (lag > get(&worker->worst[0])) set(&worker->worst[0], lag);
}

uint64_t http_worker_lag_now(const http_worker *worker, uint64_t now) {
    uint64_t due = get(&worker->due);
    return now > due ? now - due : 0;
}

uint64_t http_worker_lag_worst(const http_worker *worker, uint64_t now) {
    uint64_t lags[] = {http_worker_lag_now(worker, now), get(&worker->worst[0]), get(&worker->worst[1])},
             most = 0;
    for (size_t i = 0; i < sizeof lags / sizeof *lags; i++) most = lags[i] > most ? lags[i] : most;
    return most;
}

/* ---- the loop ------------------------------------------------------------------------------------------ */

static void check_pace(http_worker *worker, uint64_t now) {
    if (now < worker->next_check) return;
    http_connections_check(worker->connections, now);
    worker->next_check = now + http_connections_pause(worker->connections);
}

static int milliseconds_to_wait(const http_worker *worker, uint64_t now) {
    int engine = http_engine_timeout(worker->engine);
    int check = now < worker->next_check ? (int)((worker->next_check - now) / MILLISECOND) + 1 : 0;
    return engine >= 0 && engine < check ? engine : check;
}

/* Ends a turn and begins the next one; true when there is mail. A wait that fails, interrupted by a signal, does not tell whether
 * there is, so the bell is asked. */
static bool sleep_until_work(http_worker *worker) {
    struct pollfd on[] = {{.fd = worker->descriptor, .events = POLLIN},
                          {.fd = worker->bell, .events = POLLIN},
                          {.fd = http_engine_second_descriptor(worker->engine), .events = POLLIN}};
    uint64_t count, before = http_now();
    check_pace(worker, before);
    int wait = milliseconds_to_wait(worker, before);
    uint64_t due = before + (uint64_t)wait * MILLISECOND;
    note_lag(worker, before, before - get(&worker->stamp));
    set(&worker->due, due);
    bool failed = poll(on, sizeof on / sizeof *on, wait) < 0;
    uint64_t now = http_now();
    if (now > due) note_lag(worker, now, now - due);
    set(&worker->due, now);
    set(&worker->stamp, now);
    return (failed || on[1].revents) && read(worker->bell, &count, sizeof count) > 0;
}

static bool is_over(http_worker *worker) {
    if (!atomic_load(&worker->ending)) return false;
    uint64_t now = http_now();
    if (!worker->ending_since) worker->ending_since = now;
    if (http_engine_suspended(worker->engine) > 0) return false;
    return http_engine_owed(worker->engine) == 0 || now - worker->ending_since > LAST_ANSWERS_US;
}

static void *run(void *argument) {
    http_worker *worker = argument;
    (void)prctl(PR_SET_NAME, "rasaed-io");
    ra_waiting_forbid();
    while (!is_over(worker)) {
        if (sleep_until_work(worker)) read_mail(worker);
        http_engine_run(worker->engine);
    }
    read_mail(worker); /* the acceptor leaves no more */
    http_engine_close(worker->engine);
    return NULL;
}

/* ---- others ask ---------------------------------------------------------------------------------------- */

size_t http_worker_connections(http_worker *worker) {
    return http_connections_count(worker->connections);
}

void http_worker_phases(http_worker *worker, size_t counts[HTTP_PHASES]) {
    http_connections_phases(worker->connections, counts);
}

size_t http_worker_in_flight(const http_worker *worker) {
    return http_engine_in_flight(worker->engine);
}

size_t http_worker_expecting(http_worker *worker, uint64_t now) {
    return http_connections_expecting(worker->connections, now);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static ra_status start(http_worker *worker, const http_worker_options *options, ra_error *err) {
    http_engine_options engine = options->engine;
    engine.connections = worker->connections = http_connections_new(options->header_seconds);
    engine.home = worker;
    worker->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->bell < 0) RA_FAIL(err, RA_ERR_IO, "an I/O thread did not start: %s", strerror(errno));
    if (!worker->connections) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the connections of an I/O thread");
    RA_TRY(http_engine_new(&engine, &worker->engine, err));
    worker->descriptor = http_engine_descriptor(worker->engine);
    uint64_t now = http_now();
    set(&worker->stamp, now);
    set(&worker->due, now + HTTP_TICK_US);
    set(&worker->worst_since, now);
    int failure = pthread_create(&worker->thread, NULL, run, worker);
    if (failure) RA_FAIL(err, RA_ERR_MEMORY, "an I/O thread did not start: %s", strerror(failure));
    worker->running = true;
    return RA_OK;
}

ra_status http_worker_start(const http_worker_options *options, http_worker **out, ra_error *err) {
    http_worker *worker = ra_calloc(1, sizeof *worker);
    if (!worker) RA_FAIL_MEMORY(err, "an I/O thread", sizeof *worker);
    worker->bell = -1;
    worker->last_arrived = &worker->arrived;
    worker->last_settled = &worker->settled;
    pthread_mutex_init(&worker->lock, NULL);
    ra_status status = start(worker, options, err);
    if (status == RA_OK)
        *out = worker;
    else
        http_worker_free(worker);
    return status;
}

void http_worker_end(http_worker *worker) {
    atomic_store(&worker->ending, true);
    ring(worker);
}

void http_worker_join(http_worker *worker) {
    if (worker->running) pthread_join(worker->thread, NULL);
    worker->running = false;
}

void http_worker_free(http_worker *worker) {
    if (!worker) return;
    if (worker->running) http_worker_end(worker);
    http_worker_join(worker);
    http_engine_free(worker->engine);
    http_connections_free(worker->connections);
    if (worker->bell >= 0) close(worker->bell);
    pthread_mutex_destroy(&worker->lock);
    ra_free(worker);
}
