/* A new request joins the queue. The oldest request that may start takes a free slot and leads: it collects the
 * requests in the queue that ask for the same computation of the same model, computes them with one call,
 * hands out the results and returns the slot, waking the next one. This needs no thread of its own and no timer: an idle
 * server computes at once, on the thread that asks.
 *
 * What makes batches large, where many clients ask:
 * - What one call could compute is not computed side by side. Requests that come meanwhile wait and go together.
 * - A leader waits while brief requests are under way (compute.h): their threads parse a body, or write a reply and take
 *   the next request then. On one core they could not do so during its computation. One client never waits.
 * `delay_us` buys yet larger batches at the price of latency.
 *
 * What is computed alone ends early when its request is given up; what is joined is small, and computed in any case.
 *
 * A joined computation may fail because of one request (a number too large for float32). Then each is
 * computed again alone, and each has the answer, and the error, that it would have had alone.
 *
 * Joined or not, an answer has the same bits, on the host: a search is exact, a reconstruction adds in the order of its own
 * row, and no more rows are encoded or explained together than are computed as each would be alone. That costs nothing: so
 * many rows read the encoder once and keep the arithmetic busy. On a device, codes that it might add in another order are
 * reconstructed alone, and what is encoded agrees to rounding.
 */
#include "serving/batcher.h"
#include "ra_memory.h"
#include "serving/park.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

enum {
    KEPT_BYTES = 16 << 20, /* of a joined input; a larger buffer is freed after use */
    UNDER_WAY_US = 500     /* how long requests that are under way are waited for; most take 50 us */
};

/* CALLED: it waits, and should look whether it may start. */
typedef enum entry_state { WAITING, CALLED, TAKEN, DONE } entry_state;

typedef struct entry {
    const computation *wanted;
    size_t most;       /* rows of a group that it may be in */
    atomic_uint state; /* an entry_state, on which its thread is parked */
    ra_status status;
    ra_error *err;
    struct entry *next; /* in the queue, later in the group */
} entry;

/* Entries that are computed together. */
typedef struct entry_group {
    entry *first, *last;
    size_t requests, rows;
    bool open;                /* its leader waits for others */
    struct entry_group *next; /* among those that are led */
} entry_group;

/* The memory of one computation. */
typedef struct slot {
    ra_workspace *workspace;
    ra_codes codes;
    const ra_backend *backend;
    float *numbers;  /* memory of its copies */
    size_t capacity; /* of numbers */
    size_t *ids;
    size_t result_capacity; /* of ids */
    struct slot *next;
} slot;

struct batcher {
    batcher_options options;
    pthread_mutex_t lock;
    pthread_cond_t arrived; /* wakes leaders that have nothing to wait for any more */
    entry_group *led;       /* a group for each slot that is taken */
    entry *oldest, *newest;
    size_t waiting;
    size_t inside; /* brief computations: those of them that are here */
    slot *slots;   /* options.slots of them */
    slot *free;
};

/* ---- one computation ----------------------------------------------------------------------------------- */

static ra_status run_encode(const computation *wanted, ra_workspace *workspace, ra_error *err) {
    return ra_model_encode(wanted->model, workspace, wanted->x, wanted->rows, wanted->codes_out, err);
}

static ra_status run_reconstruct(const computation *wanted, ra_workspace *workspace, ra_error *err) {
    return ra_model_reconstruct(wanted->model, workspace, wanted->codes, wanted->x_hat, err);
}

static ra_status run_explain(const computation *wanted, ra_workspace *workspace, ra_error *err) {
    return ra_model_explain(wanted->model, workspace, wanted->x, wanted->rows, wanted->explanation, err);
}

static ra_status run_search(const computation *wanted, ra_workspace *workspace, ra_error *err) {
    return ra_model_search_among(wanted->model, workspace, wanted->x, wanted->rows, wanted->among, wanted->k,
                                 wanted->metric, wanted->ids, wanted->scores, err);
}

static ra_status run_neighbors(const computation *wanted, ra_workspace *workspace, ra_error *err) {
    return ra_model_neighbors(wanted->model, workspace, wanted->atom, wanted->k, wanted->metric, wanted->ids,
                              wanted->scores, err);
}

static ra_status run_steer(const computation *wanted, ra_workspace *workspace, ra_error *err) {
    return ra_model_steer(wanted->model, workspace, wanted->x, wanted->rows, wanted->base, wanted->method,
                          wanted->pushes, wanted->push_count, wanted->x_hat, err);
}

static ra_status run_edit(const computation *wanted, ra_workspace *workspace, ra_error *err) {
    return ra_model_edit(wanted->model, workspace, wanted->x, wanted->rows, wanted->keep_error, wanted->edits,
                         wanted->edit_count, wanted->x_hat, wanted->before, wanted->after, err);
}

/* ---- several joined ------------------------------------------------------------------------------------ */

static size_t rows_of(const computation *wanted) {
    return wanted->kind == COMPUTE_RECONSTRUCT ? wanted->codes->rows : wanted->rows;
}

static void free_numbers(slot *own) {
    if (own->backend)
        ra_backend_host_deallocate(own->backend, own->numbers);
    else
        ra_free(own->numbers);
    own->numbers = NULL;
    own->capacity = 0;
}

static ra_status reserve(slot *own, size_t count, ra_error *err) {
    void *grown = NULL;
    if (count <= own->capacity) return RA_OK;
    free_numbers(own);
    if (own->backend)
        RA_TRY(ra_backend_host_allocate(own->backend, count * sizeof *own->numbers, &grown, err));
    else if (!(grown = ra_malloc(count, sizeof *own->numbers)))
        RA_FAIL_MEMORY(err, "a joined computation", count * sizeof *own->numbers);
    own->numbers = grown;
    own->capacity = count;
    return RA_OK;
}

static void trim(slot *own) {
    if (own->capacity > KEPT_BYTES / sizeof *own->numbers) free_numbers(own);
    if (own->result_capacity > KEPT_BYTES / sizeof *own->ids) {
        ra_free(own->ids);
        own->ids = NULL;
        own->result_capacity = 0;
    }
    if (own->codes.entry_capacity > KEPT_BYTES / sizeof(float)) ra_codes_release(&own->codes);
}

/* own->numbers <- the inputs of the whole group, row after row, and room for so many more of each. */
static ra_status join_inputs(const entry_group *group, size_t more, slot *own, ra_error *err) {
    size_t d = ra_model_get_info(group->first->wanted->model)->dimensions, row = 0;
    RA_TRY(reserve(own, group->rows * (d + more), err));
    for (const entry *at = group->first; at; row += at->wanted->rows, at = at->next)
        if (at->wanted->rows)
            memcpy(own->numbers + row * d, at->wanted->x, at->wanted->rows * d * sizeof(float));
    return RA_OK;
}

static ra_status join_encode(const entry_group *group, slot *own, ra_error *err) {
    const ra_model *model = group->first->wanted->model;
    size_t row = 0;
    RA_TRY(join_inputs(group, 0, own, err));
    RA_TRY(ra_model_encode(model, own->workspace, own->numbers, group->rows, &own->codes, err));
    for (entry *at = group->first; at; row += at->wanted->rows, at = at->next)
        at->status = ra_codes_slice(&own->codes, row, at->wanted->rows, at->wanted->codes_out, at->err);
    return RA_OK;
}

static ra_status join_explain(const entry_group *group, slot *own, ra_error *err) {
    ra_explanation all;
    size_t row = 0;
    RA_TRY(join_inputs(group, 0, own, err));
    RA_TRY(
        ra_model_explain(group->first->wanted->model, own->workspace, own->numbers, group->rows, &all, err));
    for (entry *at = group->first; at; row += at->wanted->rows, at = at->next)
        at->status = ra_explanation_slice(&all, row, at->wanted->rows, at->wanted->explanation, at->err);
    ra_explanation_release(&all);
    return RA_OK;
}

/* *joined <- the codes of the whole group, row after row. */
static ra_status append_codes(const entry_group *group, ra_codes *joined, ra_error *err) {
    RA_TRY(ra_codes_reserve(joined, 0, group->first->wanted->codes->latents, 0, err));
    for (const entry *at = group->first; at; at = at->next)
        RA_TRY(ra_codes_append(joined, at->wanted->codes, err));
    return RA_OK;
}

static ra_status join_reconstruct(const entry_group *group, slot *own, ra_error *err) {
    const ra_model *model = group->first->wanted->model;
    size_t d = ra_model_get_info(model)->dimensions, row = 0;
    RA_TRY(reserve(own, group->rows * d, err));
    RA_TRY(append_codes(group, &own->codes, err));
    RA_TRY(ra_model_reconstruct(model, own->workspace, &own->codes, own->numbers, err));
    for (entry *at = group->first; at; at = at->next) {
        size_t rows = at->wanted->codes->rows;
        if (rows) memcpy(at->wanted->x_hat, own->numbers + row * d, rows * d * sizeof(float));
        row += rows;
        at->status = RA_OK;
    }
    return RA_OK;
}

static ra_status reserve_results(slot *own, size_t count, ra_error *err) {
    if (count <= own->result_capacity) return RA_OK;
    size_t *grown = ra_malloc(count, sizeof *grown);
    if (!grown) RA_FAIL_MEMORY(err, "a joined search", count * sizeof *grown);
    ra_free(own->ids);
    own->ids = grown;
    own->result_capacity = count;
    return RA_OK;
}

static ra_status join_search(const entry_group *group, slot *own, ra_error *err) {
    const computation *lead = group->first->wanted;
    size_t d = ra_model_get_info(lead->model)->dimensions, k = lead->k, row = 0;
    RA_TRY(join_inputs(group, k, own, err));
    RA_TRY(reserve_results(own, group->rows * k, err));
    float *scores = own->numbers + group->rows * d;
    RA_TRY(ra_model_search(lead->model, own->workspace, own->numbers, group->rows, k, lead->metric, own->ids,
                           scores, err));
    for (entry *at = group->first; at; row += at->wanted->rows, at = at->next) {
        size_t count = at->wanted->rows * k;
        if (count) memcpy(at->wanted->ids, own->ids + row * k, count * sizeof *own->ids);
        if (count) memcpy(at->wanted->scores, scores + row * k, count * sizeof *scores);
        at->status = RA_OK;
    }
    return RA_OK;
}

static const struct {
    ra_status (*run)(const computation *wanted, ra_workspace *workspace, ra_error *err);
    ra_status (*join)(const entry_group *group, slot *own, ra_error *err); /* NULL: each is computed alone */
} kinds[COMPUTATION_KINDS] = {
    [COMPUTE_ENCODE] = {run_encode, join_encode},
    [COMPUTE_RECONSTRUCT] = {run_reconstruct, join_reconstruct},
    [COMPUTE_EXPLAIN] = {run_explain, join_explain},
    [COMPUTE_SEARCH] = {run_search, join_search},
    [COMPUTE_NEIGHBORS] = {run_neighbors, NULL},
    [COMPUTE_STEER] = {run_steer, NULL},
    [COMPUTE_EDIT] = {run_edit, NULL},
};

ra_status computation_run(const computation *wanted, ra_workspace *workspace, ra_error *err) {
    ra_workspace_watch(workspace, wanted->canceled);
    ra_status status = kinds[wanted->kind].run(wanted, workspace, err);
    ra_workspace_watch(workspace, NULL);
    return status;
}

static void compute_group(const entry_group *group, slot *own) {
    if (group->requests > 1 && kinds[group->first->wanted->kind].join(group, own, NULL) == RA_OK) return;
    for (entry *at = group->first; at; at = at->next)
        at->status = computation_run(at->wanted, own->workspace, at->err);
}

/* ---- the queue; all of this with the lock held --------------------------------------------------------- */

static void append(batcher *queue, entry *added) {
    if (queue->newest)
        queue->newest->next = added;
    else
        queue->oldest = added;
    queue->newest = added;
    queue->waiting++;
}

/* Takes out the entry after `before`; the oldest for NULL. */
static entry *take_out(batcher *queue, entry *before) {
    entry *taken = before ? before->next : queue->oldest;
    if (before)
        before->next = taken->next;
    else
        queue->oldest = taken->next;
    if (queue->newest == taken) queue->newest = before;
    taken->next = NULL;
    queue->waiting--;
    return taken;
}

static bool is_canceled(const computation *wanted) {
    return wanted->canceled && atomic_load(wanted->canceled);
}

/* Needs no lock. The entry may be gone at once, with its thread's stack. */
static void finish(entry *done) {
    atomic_store(&done->state, DONE);
    park_wake(&done->state);
}

static void give_up(batcher *queue, entry *before) {
    entry *given = take_out(queue, before);
    queue->inside -= given->wanted->brief;
    finish(given);
}

static void add(entry_group *group, entry *taken) {
    atomic_store(&taken->state, TAKEN);
    if (group->last)
        group->last->next = taken;
    else
        group->first = taken;
    group->last = taken;
    group->requests++;
    group->rows += rows_of(taken->wanted);
}

/* Whether other requests of its kind may be computed with this one. Searches among some atoms have each their own. */
static bool may_join(const computation *wanted) {
    return kinds[wanted->kind].join && !wanted->among &&
           (!wanted->codes || ra_model_may_join(wanted->model, wanted->codes));
}

static size_t most_rows(const batcher *queue, const computation *wanted) {
    bool encodes = wanted->kind == COMPUTE_ENCODE || wanted->kind == COMPUTE_EXPLAIN;
    size_t as_alone = encodes ? ra_model_rows_as_alone(wanted->model) : SIZE_MAX;
    return as_alone < queue->options.max_batch ? as_alone : queue->options.max_batch;
}

static entry *before_of(batcher *queue, const entry *wanted) {
    entry *before = NULL;
    for (entry *at = queue->oldest; at != wanted; at = at->next) before = at;
    return before;
}

/* Whether one call can compute both. */
static bool same(const computation *a, const computation *b) {
    return a->kind == b->kind && a->model == b->model && a->k == b->k && a->metric == b->metric &&
           may_join(a) && may_join(b) && (!a->codes || a->codes->latents == b->codes->latents);
}

/* Of a group that is not full. */
static bool fits(const entry_group *group, const computation *wanted) {
    return rows_of(wanted) <= group->first->most - group->rows && same(group->first->wanted, wanted);
}

/* Takes the entries that fit into the group, in order. */
static void collect(batcher *queue, entry_group *group) {
    for (entry *before = NULL, *at = queue->oldest; at; at = before ? before->next : queue->oldest) {
        if (is_canceled(at->wanted))
            give_up(queue, before);
        else if (fits(group, at->wanted))
            add(group, take_out(queue, before));
        else
            before = at;
        if (group->rows >= group->first->most) return;
    }
}

/* False when no group that is open takes it. */
static bool join_open(batcher *queue, entry *added) {
    for (entry_group *group = queue->led; group; group = group->next) {
        if (!group->open || !fits(group, added->wanted)) continue;
        add(group, added);
        return true;
    }
    return false;
}

/* Two that one call could compute are better computed together than at the same time: the later one waits, and so do
 * those that come meanwhile. A request that is too large to be joined holds up no other. */
static bool is_led(const batcher *queue, const entry *waiting) {
    if (rows_of(waiting->wanted) > waiting->most) return false;
    for (const entry_group *group = queue->led; group; group = group->next)
        if (group->rows <= waiting->most && same(group->first->wanted, waiting->wanted)) return true;
    return false;
}

/* The oldest that may start; NULL: none. */
static entry *first_ready(const batcher *queue) {
    entry *at = queue->free ? queue->oldest : NULL;
    while (at && is_led(queue, at)) at = at->next;
    return at;
}

static void wake_ready(const batcher *queue) {
    entry *ready = first_ready(queue);
    if (ready && atomic_exchange(&ready->state, CALLED) == WAITING) park_wake(&ready->state);
}

static bool are_under_way(const batcher *queue) {
    return queue->options.under_way && queue->options.under_way(queue->options.context) > queue->inside;
}

/* Wakes the leaders whose wait is over, and no other: on a busy core each would only look and wait again. */
static void wake_leaders(batcher *queue) {
    for (const entry_group *group = queue->led; group; group = group->next) {
        if (!group->open) continue;
        if (group->rows < group->first->most && (queue->options.delay_us || are_under_way(queue))) continue;
        pthread_cond_broadcast(&queue->arrived);
        return;
    }
}

static struct timespec in_microseconds(unsigned count) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t nanoseconds = (uint64_t)until.tv_nsec + (uint64_t)count * 1000;
    until.tv_sec += (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    return until;
}

/* Leaves the group open to those that come while its leader waits: as long as was set, or while some are under way. */
static void wait_for_more(batcher *queue, entry_group *group) {
    unsigned delay = queue->options.delay_us;
    size_t most = group->first->most;
    if (group->rows >= most || (!delay && !are_under_way(queue))) return;
    struct timespec until = in_microseconds(delay ? delay : UNDER_WAY_US);
    group->open = true;
    wake_ready(queue);
    while (group->rows < most && (delay || are_under_way(queue)) &&
           pthread_cond_timedwait(&queue->arrived, &queue->lock, &until) == 0) {}
    group->open = false;
}

static void begin(batcher *queue, entry_group *group) {
    group->next = queue->led;
    queue->led = group;
}

static void end(batcher *queue, const entry_group *group) {
    entry_group **at = &queue->led;
    while (*at != group) at = &(*at)->next;
    *at = group->next;
}

/* The entry, the oldest that may start, leads; a slot is free. */
static void lead(batcher *queue, entry *leader) {
    entry_group group = {0};
    slot *own = queue->free;
    queue->free = own->next;
    add(&group, take_out(queue, before_of(queue, leader)));
    begin(queue, &group);
    if (may_join(leader->wanted) && group.rows < leader->most) {
        collect(queue, &group);
        wait_for_more(queue, &group);
    }
    wake_ready(queue);
    pthread_mutex_unlock(&queue->lock);
    if (queue->options.joined) queue->options.joined(queue->options.context, group.requests, group.rows);
    compute_group(&group, own);
    trim(own);
    pthread_mutex_lock(&queue->lock);
    end(queue, &group);
    for (const entry *at = group.first; at; at = at->next) queue->inside -= at->wanted->brief;
    own->next = queue->free;
    queue->free = own;
    wake_ready(queue);
    pthread_mutex_unlock(&queue->lock);
    for (entry *at = group.first, *next; at; at = next) {
        next = at->next;
        if (at != leader) finish(at);
    }
}

/* Waits until there may be something to do for its thread, or all is done. */
static entry_state park(entry *own, entry_state state) {
    while (state == WAITING || state == TAKEN) {
        park_wait(&own->state, state);
        state = atomic_load(&own->state);
    }
    return state;
}

/* With the lock held. True: the entry is done; false: its thread may park. */
static bool step(batcher *queue, entry *own) {
    entry_state state = atomic_load(&own->state);
    if (state == TAKEN || state == DONE) return state == DONE;
    if (is_canceled(own->wanted)) {
        give_up(queue, before_of(queue, own));
        return true;
    }
    atomic_store(&own->state, WAITING);
    return false;
}

ra_status batcher_run(batcher *queue, const computation *wanted, ra_error *err) {
    entry own = {.wanted = wanted, .most = most_rows(queue, wanted), .status = RA_ERR_CANCELED, .err = err};
    atomic_init(&own.state, WAITING);
    pthread_mutex_lock(&queue->lock);
    queue->inside += wanted->brief;
    if (is_canceled(wanted) || !join_open(queue, &own)) append(queue, &own);
    wake_leaders(queue);
    do {
        bool done = step(queue, &own);
        if (!done && first_ready(queue) == &own) {
            lead(queue, &own); /* without the lock afterwards */
            break;
        }
        pthread_mutex_unlock(&queue->lock);
        if (done || park(&own, atomic_load(&own.state)) == DONE) break;
        pthread_mutex_lock(&queue->lock);
    } while (true);
    if (own.status == RA_ERR_CANCELED) { /* it may have been told to start */
        pthread_mutex_lock(&queue->lock);
        wake_ready(queue);
        pthread_mutex_unlock(&queue->lock);
        RA_FAIL(err, RA_ERR_CANCELED, "the request was given up before its answer was there");
    }
    return own.status;
}

/* ---- before the first request -------------------------------------------------------------------------- */

static ra_status warm(slot *own, const ra_model *model, size_t rows, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(model);
    size_t id;
    float score;
    RA_TRY(reserve(own, rows * info->dimensions, err));
    float *x = own->numbers;
    for (size_t i = 0; i < rows * info->dimensions; i++) x[i] = 1;
    if (info->has_encoder) RA_TRY(ra_model_encode(model, own->workspace, x, rows, &own->codes, err));
    RA_TRY(ra_codes_reserve(&own->codes, rows, info->concepts, rows, err));
    for (size_t b = 0; b < rows; b++) {
        own->codes.index[b] = 0;
        own->codes.value[b] = 1;
        own->codes.start[b + 1] = b + 1;
    }
    RA_TRY(ra_model_search(model, own->workspace, x, 1, 1, RA_SIMILARITY_COSINE, &id, &score, err));
    return ra_model_reconstruct(model, own->workspace, &own->codes, x, err);
}

void batcher_warm(batcher *queue, const ra_model *model) {
    size_t rows = queue->options.max_batch ? queue->options.max_batch : 1;
    ra_status status = RA_OK;
    for (size_t i = 0; i < queue->options.slots && status == RA_OK; i++)
        status = warm(&queue->slots[i], model, rows, NULL);
}

void batcher_fewer(batcher *queue) {
    pthread_mutex_lock(&queue->lock);
    wake_leaders(queue);
    pthread_mutex_unlock(&queue->lock);
}

size_t batcher_waiting(batcher *queue) {
    pthread_mutex_lock(&queue->lock);
    size_t waiting = queue->waiting;
    pthread_mutex_unlock(&queue->lock);
    return waiting;
}

/* ---- start and end ------------------------------------------------------------------------------------- */

static ra_status make_slots(batcher *queue, ra_error *err) {
    queue->slots = ra_calloc(queue->options.slots, sizeof *queue->slots);
    if (!queue->slots) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the slots of the batcher");
    for (size_t i = 0; i < queue->options.slots; i++) {
        RA_TRY(ra_workspace_new(&queue->slots[i].workspace, err));
        queue->slots[i].backend = queue->options.backend;
        queue->slots[i].next = queue->free;
        queue->free = &queue->slots[i];
    }
    return RA_OK;
}

ra_status batcher_new(const batcher_options *options, batcher **out, ra_error *err) {
    batcher *queue = ra_calloc(1, sizeof *queue);
    if (!queue) RA_FAIL_MEMORY(err, "the batcher", sizeof *queue);
    queue->options = *options;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->arrived, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&queue->lock, NULL);
    ra_status status = make_slots(queue, err);
    if (status == RA_OK)
        *out = queue;
    else
        batcher_free(queue);
    return status;
}

void batcher_free(batcher *queue) {
    if (!queue) return;
    for (size_t i = 0; queue->slots && i < queue->options.slots; i++) {
        ra_workspace_free(queue->slots[i].workspace);
        ra_codes_release(&queue->slots[i].codes);
        free_numbers(&queue->slots[i]);
        ra_free(queue->slots[i].ids);
    }
    ra_free(queue->slots);
    pthread_cond_destroy(&queue->arrived);
    pthread_mutex_destroy(&queue->lock);
    ra_free(queue);
}
