/* All states change under one lock. Computing is done without it, and so is resuming, which takes a lock of
 * the HTTP library: whoever settles an exchange takes it out of the list, lets go of the lock and resumes.
 * Until then the connection is suspended, so that it cannot end, its descriptor is open, and the exchange is
 * held. Whoever has not settled it must not touch the connection.
 *
 * An exchange has two holders while it is deferred, the connection and the job. Expired jobs stay in the
 * queue of the compute threads until their turn comes and then end at once; that keeps the queue a queue.
 */
#include "http/deferred.h"
#include "ra_memory.h"

#include <poll.h>
#include <pthread.h>

struct http_deferrals {
    http_deferrals_options options;
    pthread_mutex_t lock;
    http_exchange *first;
    size_t count;
    bool ended;
    atomic_size_t references; /* the owner, and a job each */
};

http_deferrals *http_deferrals_new(const http_deferrals_options *options) {
    http_deferrals *waiting = ra_calloc(1, sizeof *waiting);
    if (!waiting) return NULL;
    waiting->options = *options;
    pthread_mutex_init(&waiting->lock, NULL);
    atomic_init(&waiting->references, 1);
    return waiting;
}

void http_deferrals_release(http_deferrals *waiting) {
    if (!waiting || atomic_fetch_sub(&waiting->references, 1) != 1) return;
    pthread_mutex_destroy(&waiting->lock);
    ra_free(waiting);
}

/* ---- the list, with the lock held ---------------------------------------------------------------------- */

static void link_in(http_deferrals *waiting, http_exchange *exchange) {
    exchange->deferral.before = NULL;
    exchange->deferral.after = waiting->first;
    if (waiting->first) waiting->first->deferral.before = exchange;
    waiting->first = exchange;
    waiting->count++;
}

static void settle(http_exchange *exchange, http_outcome outcome) {
    http_deferral *deferral = &exchange->deferral;
    http_deferrals *waiting = deferral->among;
    if (deferral->before)
        deferral->before->deferral.after = deferral->after;
    else
        waiting->first = deferral->after;
    if (deferral->after) deferral->after->deferral.before = deferral->before;
    waiting->count--;
    deferral->before = deferral->after = NULL;
    deferral->state = HTTP_SETTLED;
    deferral->outcome = outcome;
    exchange->request.stages.answered = http_now();
    if (outcome != HTTP_ANSWERED) atomic_store(&deferral->canceled, true);
}

static bool has_hung_up(int descriptor) {
    struct pollfd one = {.fd = descriptor, .events = POLLRDHUP};
    return poll(&one, 1, 0) > 0 && one.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL);
}

/* ---- the compute thread -------------------------------------------------------------------------------- */

static void let_go(http_exchange *exchange) {
    if (atomic_fetch_sub(&exchange->deferral.holders, 1) == 1) http_exchange_free(exchange);
}

/* Nobody starts on what nobody waits for. *own <- the request, for this thread alone: the connection may go
 * on with its own at the deadline. */
static bool start(http_deferrals *waiting, http_exchange *exchange, http_request *own) {
    http_deferral *deferral = &exchange->deferral;
    void *to_resume = NULL;
    pthread_mutex_lock(&waiting->lock);
    if (deferral->state == HTTP_QUEUED && has_hung_up(deferral->descriptor)) {
        to_resume = deferral->connection;
        settle(exchange, HTTP_LEFT);
    }
    bool mine = deferral->state == HTTP_QUEUED;
    if (mine) {
        deferral->state = HTTP_COMPUTING;
        exchange->request.stages.computing = http_now();
        *own = exchange->request;
    }
    pthread_mutex_unlock(&waiting->lock);
    if (to_resume) waiting->options.resume(to_resume);
    return mine;
}

static void hand_over(http_deferrals *waiting, http_exchange *exchange, const http_request *own) {
    void *to_resume = NULL;
    pthread_mutex_lock(&waiting->lock);
    if (exchange->deferral.state == HTTP_COMPUTING) {
        exchange->request = *own;
        to_resume = exchange->deferral.connection;
        settle(exchange, HTTP_ANSWERED);
    }
    pthread_mutex_unlock(&waiting->lock);
    if (to_resume) waiting->options.resume(to_resume);
}

static void run(void *argument) {
    http_exchange *exchange = argument;
    http_deferrals *waiting = exchange->deferral.among;
    http_request own;
    if (start(waiting, exchange, &own)) {
        http_exchange_answer(exchange, &own, waiting->options.service);
        hand_over(waiting, exchange, &own);
    }
    let_go(exchange);
    http_deferrals_release(waiting);
}

/* ---- the I/O thread ------------------------------------------------------------------------------------ */

/* The exchange was not taken: undoes what was prepared. */
static bool refuse(http_deferrals *waiting, http_exchange *exchange, const char *sentence) {
    exchange->deferral.state = HTTP_NOT_DEFERRED;
    exchange->request.canceled = NULL;
    exchange->request.stages.queued = 0;
    http_deferrals_release(waiting);
    http_exchange_overloaded(&exchange->request, &exchange->response, sentence);
    return false;
}

bool http_defer(http_deferrals *waiting, http_exchange *exchange, void *connection, int descriptor) {
    http_deferral *deferral = &exchange->deferral;
    const http_service *service = waiting->options.service;
    atomic_fetch_add(&waiting->references, 1);
    const text *headers = &exchange->response.headers;
    text_append(&exchange->late.headers, headers->data, headers->size);
    if (!http_exchange_detach(exchange) || exchange->late.headers.failed)
        return refuse(waiting, exchange, "the server is out of memory for this request");
    uint64_t now = http_now();
    *deferral = (http_deferral){.state = HTTP_QUEUED,
                                .connection = connection,
                                .descriptor = descriptor,
                                .deadline = now + waiting->options.deadline,
                                .among = waiting};
    atomic_init(&deferral->canceled, false);
    atomic_init(&deferral->holders, 2);
    exchange->request.canceled = &deferral->canceled;
    exchange->request.stages.queued = now;

    /* Listed, suspended and queued in one go: the job may run, and be settled, before this function ends. */
    pthread_mutex_lock(&waiting->lock);
    bool ended = waiting->ended;
    bool taken = !ended && service->submit(service->context, run, exchange);
    if (taken) {
        link_in(waiting, exchange);
        waiting->options.suspend(connection);
    }
    pthread_mutex_unlock(&waiting->lock);
    if (taken) return true;
    return refuse(waiting, exchange,
                  ended ? "the server is stopping" : "too many requests wait to be computed");
}

void http_deferred_give(http_exchange *exchange) {
    if (exchange->deferral.state == HTTP_NOT_DEFERRED)
        http_exchange_give(exchange);
    else if (atomic_fetch_sub(&exchange->deferral.holders, 1) == 1)
        http_exchange_give(exchange);
}

/* ---- deadlines, hang-ups, the end ---------------------------------------------------------------------- */

/* Settles those that are late or left, or all of them, then resumes them. */
static size_t sweep(http_deferrals *waiting, uint64_t now, bool all) {
    http_exchange *settled = NULL;
    size_t count = 0;
    pthread_mutex_lock(&waiting->lock);
    waiting->ended |= all;
    for (http_exchange *one = waiting->first, *next; one; one = next) {
        next = one->deferral.after;
        bool late = now >= one->deferral.deadline;
        if (!all && !late && !has_hung_up(one->deferral.descriptor)) continue;
        settle(one, all ? HTTP_STOPPED : late ? HTTP_EXPIRED : HTTP_LEFT);
        one->deferral.after = settled;
        settled = one;
        count++;
    }
    pthread_mutex_unlock(&waiting->lock);
    while (settled) { /* once resumed, an exchange may be gone */
        http_exchange *next = settled->deferral.after;
        waiting->options.resume(settled->deferral.connection);
        settled = next;
    }
    return count;
}

void http_deferrals_check(http_deferrals *waiting, uint64_t now) {
    sweep(waiting, now, false);
}

size_t http_deferrals_end(http_deferrals *waiting) {
    return sweep(waiting, 0, true);
}

size_t http_deferrals_count(http_deferrals *waiting) {
    pthread_mutex_lock(&waiting->lock);
    size_t count = waiting->count;
    pthread_mutex_unlock(&waiting->lock);
    return count;
}
