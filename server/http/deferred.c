/* All states change under one lock. Computing happens without it, and so does resuming: the thread that settles an
 * exchange takes it off the list, releases the lock and resumes. Until its own thread goes on with it, the
 * connection is suspended, so it cannot end, its descriptor is open, and the exchange is held.
 *
 * A deferred exchange has two holders, the connection and the job. Expired jobs stay in the queue of the
 * compute threads and end at once when their turn comes; that keeps the queue a queue.
 */
#include "http/deferred.h"
#include "http/points.h"
#include "ra_memory.h"

#include <poll.h>
#include <pthread.h>

struct http_deferrals {
    http_deferrals_options options;
    pthread_mutex_t lock;
    http_exchange *first;
    size_t count;
    bool ended;
    atomic_size_t references; /* one of the owner, one of each job */
};

http_deferrals *http_deferrals_new(const http_deferrals_options *options) {
    http_deferrals *list = ra_calloc(1, sizeof *list);
    if (!list) return NULL;
    list->options = *options;
    pthread_mutex_init(&list->lock, NULL);
    atomic_init(&list->references, 1);
    return list;
}

void http_deferrals_release(http_deferrals *list) {
    if (!list || atomic_fetch_sub(&list->references, 1) != 1) return;
    pthread_mutex_destroy(&list->lock);
    ra_free(list);
}

/* ---- the list, with the lock held ---------------------------------------------------------------------- */

static void link_in(http_deferrals *list, http_exchange *exchange) {
    exchange->deferral.before = NULL;
    exchange->deferral.after = list->first;
    if (list->first) list->first->deferral.before = exchange;
    list->first = exchange;
    list->count++;
}

static void settle(http_exchange *exchange, http_outcome outcome) {
    http_deferral *deferral = &exchange->deferral;
    http_deferrals *list = deferral->list;
    if (deferral->before)
        deferral->before->deferral.after = deferral->after;
    else
        list->first = deferral->after;
    if (deferral->after) deferral->after->deferral.before = deferral->before;
    list->count--;
    deferral->before = deferral->after = NULL;
    deferral->state = HTTP_SETTLED;
    deferral->outcome = outcome;
    exchange->request.stages.answered = http_now();
    if (outcome != HTTP_ANSWERED) atomic_store(&deferral->canceled, true);
}

/* Without the lock. */
static void resume(const http_deferrals *list, http_exchange *exchange) {
    point_reached(POINT_settled);
    list->options.resume(exchange);
}

static bool has_hung_up(int descriptor) {
    struct pollfd look = {.fd = descriptor, .events = POLLRDHUP};
    return poll(&look, 1, 0) > 0 && look.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL);
}

/* ---- the compute thread -------------------------------------------------------------------------------- */

static void let_go(http_exchange *exchange) {
    if (atomic_fetch_sub(&exchange->deferral.holders, 1) == 1) http_exchange_free(exchange);
}

/* False when nobody waits for the answer any more. *own <- the request, for this thread alone: at the
 * deadline the connection goes on with its own copy. */
static bool start(http_deferrals *list, http_exchange *exchange, http_request *own) {
    http_deferral *deferral = &exchange->deferral;
    bool left = false;
    pthread_mutex_lock(&list->lock);
    if (deferral->state == HTTP_QUEUED && has_hung_up(deferral->descriptor)) {
        left = true;
        settle(exchange, HTTP_LEFT);
    }
    bool wanted = deferral->state == HTTP_QUEUED;
    if (wanted) {
        deferral->state = HTTP_COMPUTING;
        exchange->request.stages.computing = http_now();
        *own = exchange->request;
    }
    pthread_mutex_unlock(&list->lock);
    if (left) resume(list, exchange);
    return wanted;
}

static void hand_over(http_deferrals *list, http_exchange *exchange, const http_request *own) {
    pthread_mutex_lock(&list->lock);
    bool wanted = exchange->deferral.state == HTTP_COMPUTING;
    if (wanted) {
        exchange->request = *own;
        settle(exchange, HTTP_ANSWERED);
    }
    pthread_mutex_unlock(&list->lock);
    if (wanted) resume(list, exchange);
}

static void run(void *argument) {
    http_exchange *exchange = argument;
    http_deferrals *list = exchange->deferral.list;
    http_request own;
    if (start(list, exchange, &own)) {
        http_exchange_answer(exchange, &own, list->options.service);
        hand_over(list, exchange, &own);
    }
    let_go(exchange);
    http_deferrals_release(list);
}

/* ---- the I/O thread ------------------------------------------------------------------------------------ */

/* The queue did not take the exchange: undoes what was prepared. */
static bool refuse(http_deferrals *list, http_exchange *exchange, problem_kind why, const char *sentence) {
    exchange->deferral.state = HTTP_NOT_DEFERRED;
    exchange->request.canceled = NULL;
    exchange->request.stages.queued = 0;
    http_deferrals_release(list);
    http_problem(&exchange->request, &exchange->response, why, sentence, NULL);
    return false;
}

bool http_defer(http_deferrals *list, http_exchange *exchange, void *connection, void *home, int descriptor) {
    http_deferral *deferral = &exchange->deferral;
    const http_service *service = list->options.service;
    atomic_fetch_add(&list->references, 1);
    const text *headers = &exchange->response.headers;
    text_append(&exchange->late.headers, headers->data, headers->size);
    if (!http_exchange_detach(exchange) || exchange->late.headers.failed)
        return refuse(list, exchange, PROBLEM_OVERLOADED, "the server is out of memory for this request");
    uint64_t now = http_now();
    *deferral =
        (http_deferral){.state = HTTP_QUEUED,
                        .connection = connection,
                        .home = home,
                        .descriptor = descriptor,
                        .deadline = exchange->request.patient ? UINT64_MAX : now + list->options.deadline,
                        .list = list};
    atomic_init(&deferral->canceled, false);
    atomic_init(&deferral->holders, 2);
    exchange->request.canceled = &deferral->canceled;
    exchange->request.stages.queued = now;

    /* Listed and queued under one lock: the job may run and be settled before this function ends. */
    pthread_mutex_lock(&list->lock);
    bool ended = list->ended;
    bool taken = !ended && service->submit(service->context, &exchange->request, run, exchange);
    if (taken) link_in(list, exchange);
    pthread_mutex_unlock(&list->lock);
    if (taken) return true;
    return refuse(list, exchange, ended ? PROBLEM_STOPPING : PROBLEM_OVERLOADED,
                  ended ? "the server is stopping" : "the queue for computations is full; try again soon");
}

void http_deferred_give(http_exchange *exchange) {
    if (exchange->deferral.state == HTTP_NOT_DEFERRED ||
        atomic_fetch_sub(&exchange->deferral.holders, 1) == 1)
        http_exchange_give(exchange);
}

/* ---- deadlines, hang-ups, the end ---------------------------------------------------------------------- */

/* Settles the exchanges that are late or whose client has left, or all of them, and resumes them. */
static size_t sweep(http_deferrals *list, uint64_t now, bool all) {
    http_exchange *settled = NULL;
    size_t count = 0;
    pthread_mutex_lock(&list->lock);
    list->ended |= all;
    for (http_exchange *at = list->first, *next; at; at = next) {
        next = at->deferral.after;
        bool late = now >= at->deferral.deadline;
        if (!all && !late && !has_hung_up(at->deferral.descriptor)) continue;
        settle(at, all ? HTTP_STOPPED : late ? HTTP_EXPIRED : HTTP_LEFT);
        at->deferral.after = settled;
        settled = at;
        count++;
    }
    pthread_mutex_unlock(&list->lock);
    while (settled) { /* a resumed exchange may be gone */
        http_exchange *next = settled->deferral.after;
        settled->deferral.after = NULL;
        resume(list, settled);
        settled = next;
    }
    return count;
}

void http_deferrals_check(http_deferrals *list, uint64_t now) {
    sweep(list, now, false);
}

size_t http_deferrals_end(http_deferrals *list) {
    return sweep(list, 0, true);
}

size_t http_deferrals_count(http_deferrals *list) {
    pthread_mutex_lock(&list->lock);
    size_t count = list->count;
    pthread_mutex_unlock(&list->lock);
    return count;
}
