/* Who comes puts an entry into the list of those who wait. As long as a slot is free the oldest of them takes
 * it and leads: it collects the entries that ask for the same of the same model, computes all of them with
 * one call, hands out the results and gives the slot back, waking the oldest that waits then. Nobody else is
 * needed, no thread of its own and no timer: an idle server computes at once, on the thread that asks; and
 * the more requests come while the slots are taken, the more of them are joined. `delay_us` is for those who
 * want larger batches at the price of latency.
 *
 * A joined computation may fail because of one request (a number too large for float32). Then each is
 * computed again by itself, and each has the answer, and the sentence, that it would have had alone.
 *
 * Rows of encode do not depend on each other, but a product of many rows may add in another order than that
 * of one: results agree to rounding. Those of reconstruct are the same bits, joined or not.
 */
#include "serving/batcher.h"
#include "ra_memory.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

enum { KEPT_BYTES = 16 << 20 }; /* of joined inputs; what is larger goes after use */

typedef enum entry_state { WAITING, TAKEN, DONE } entry_state;

typedef struct entry {
    const computation *wanted;
    entry_state state;
    ra_status status;
    ra_error *err;
    pthread_cond_t turn; /* done, or the oldest while a slot is free */
    struct entry *next;  /* in the list of those who wait, later in the group */
} entry;

/* Entries that are computed together. */
typedef struct group {
    entry *first, *last;
    size_t requests, rows;
} group;

/* What one computation works in. */
typedef struct slot {
    ra_workspace *workspace;
    ra_codes codes;
    float *numbers;
    size_t capacity; /* of numbers */
    struct slot *next;
} slot;

struct batcher {
    batcher_options options;
    pthread_mutex_t lock;
    pthread_cond_t arrived; /* for leaders that wait for others to join */
    entry *oldest, *newest;
    size_t waiting;
    slot *slots; /* options.slots of them */
    slot *free;
};

/* ---- one product --------------------------------------------------------------------------------------- */

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
    return ra_model_search(wanted->model, workspace, wanted->x, wanted->rows, wanted->k, wanted->metric,
                           wanted->ids, wanted->scores, err);
}

static ra_status run_neighbors(const computation *wanted, ra_workspace *workspace, ra_error *err) {
    return ra_model_neighbors(wanted->model, workspace, wanted->atom, wanted->k, wanted->metric, wanted->ids,
                              wanted->scores, err);
}

static ra_status run_steer(const computation *wanted, ra_workspace *workspace, ra_error *err) {
    return ra_model_steer(wanted->model, workspace, wanted->x, wanted->rows, wanted->base, wanted->pushes,
                          wanted->push_count, wanted->x_hat, err);
}

/* ---- several as one ------------------------------------------------------------------------------------ */

static size_t rows_of(const computation *wanted) {
    return wanted->kind == COMPUTE_RECONSTRUCT ? wanted->codes->rows : wanted->rows;
}

static ra_status reserve(slot *mine, size_t count, ra_error *err) {
    if (count <= mine->capacity) return RA_OK;
    float *grown = ra_malloc(count, sizeof *grown);
    if (!grown) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu joined numbers", count);
    ra_free(mine->numbers);
    mine->numbers = grown;
    mine->capacity = count;
    return RA_OK;
}

static void trim(slot *mine) {
    if (mine->capacity > KEPT_BYTES / sizeof *mine->numbers) {
        ra_free(mine->numbers);
        mine->numbers = NULL;
        mine->capacity = 0;
    }
    if (mine->codes.entry_capacity > KEPT_BYTES / sizeof(float)) ra_codes_release(&mine->codes);
}

static ra_status join_encode(const group *all, slot *mine, ra_error *err) {
    const ra_model *model = all->first->wanted->model;
    size_t d = ra_model_get_info(model)->dimensions, row = 0;
    ra_status status = reserve(mine, all->rows * d, err);
    if (status != RA_OK) return status;
    for (const entry *one = all->first; one; row += one->wanted->rows, one = one->next)
        if (one->wanted->rows)
            memcpy(mine->numbers + row * d, one->wanted->x, one->wanted->rows * d * sizeof(float));
    status = ra_model_encode(model, mine->workspace, mine->numbers, all->rows, &mine->codes, err);
    row = 0;
    for (entry *one = all->first; one && status == RA_OK; row += one->wanted->rows, one = one->next)
        one->status = ra_codes_slice(&mine->codes, row, one->wanted->rows, one->wanted->codes_out, one->err);
    return status;
}

/* *joined <- the codes of all, one below the other. */
static ra_status append_codes(const group *all, ra_codes *joined, ra_error *err) {
    RA_TRY(ra_codes_reserve(joined, 0, all->first->wanted->codes->latents, 0, err));
    for (const entry *one = all->first; one; one = one->next)
        RA_TRY(ra_codes_append(joined, one->wanted->codes, err));
    return RA_OK;
}

static ra_status join_reconstruct(const group *all, slot *mine, ra_error *err) {
    const ra_model *model = all->first->wanted->model;
    size_t d = ra_model_get_info(model)->dimensions, row = 0;
    ra_status status = reserve(mine, all->rows * d, err);
    if (status == RA_OK) status = append_codes(all, &mine->codes, err);
    if (status == RA_OK)
        status = ra_model_reconstruct(model, mine->workspace, &mine->codes, mine->numbers, err);
    for (entry *one = all->first; one && status == RA_OK; one = one->next) {
        size_t rows = one->wanted->codes->rows;
        if (rows) memcpy(one->wanted->x_hat, mine->numbers + row * d, rows * d * sizeof(float));
        row += rows;
        one->status = RA_OK;
    }
    return status;
}

static const struct {
    ra_status (*run)(const computation *wanted, ra_workspace *workspace, ra_error *err);
    ra_status (*join)(const group *all, slot *mine, ra_error *err); /* NULL: each is computed alone */
} kinds[COMPUTATION_KINDS] = {
    [COMPUTE_ENCODE] = {run_encode, join_encode}, [COMPUTE_RECONSTRUCT] = {run_reconstruct, join_reconstruct},
    [COMPUTE_EXPLAIN] = {run_explain, NULL},      [COMPUTE_SEARCH] = {run_search, NULL},
    [COMPUTE_NEIGHBORS] = {run_neighbors, NULL},  [COMPUTE_STEER] = {run_steer, NULL},
};

ra_status computation_run(const computation *wanted, ra_workspace *workspace, ra_error *err) {
    return kinds[wanted->kind].run(wanted, workspace, err);
}

static void compute_group(const group *all, slot *mine) {
    if (all->requests > 1 && kinds[all->first->wanted->kind].join(all, mine, NULL) == RA_OK) return;
    for (entry *one = all->first; one; one = one->next)
        one->status = computation_run(one->wanted, mine->workspace, one->err);
}

/* ---- the list of those who wait; all of this with the lock held ---------------------------------------- */

static void append(batcher *shared, entry *one) {
    if (shared->newest)
        shared->newest->next = one;
    else
        shared->oldest = one;
    shared->newest = one;
    shared->waiting++;
    if (shared->options.delay_us) pthread_cond_broadcast(&shared->arrived);
}

/* Takes out the entry behind `before`, the oldest for NULL. */
static entry *take_out(batcher *shared, entry *before) {
    entry *one = before ? before->next : shared->oldest;
    if (before)
        before->next = one->next;
    else
        shared->oldest = one->next;
    if (shared->newest == one) shared->newest = before;
    one->next = NULL;
    shared->waiting--;
    return one;
}

static bool is_canceled(const computation *wanted) {
    return wanted->canceled && atomic_load(wanted->canceled);
}

static void finish(entry *one) {
    one->state = DONE;
    pthread_cond_signal(&one->turn);
}

static void add(group *all, entry *one) {
    one->state = TAKEN;
    if (all->last)
        all->last->next = one;
    else
        all->first = one;
    all->last = one;
    all->requests++;
    all->rows += rows_of(one->wanted);
}

/* Takes in those that fit, in their order. */
static void collect(batcher *shared, group *all) {
    const computation *lead = all->first->wanted;
    if (!kinds[lead->kind].join) return;
    for (entry *before = NULL, *one = shared->oldest; one; one = before ? before->next : shared->oldest) {
        const computation *wanted = one->wanted;
        bool fits = wanted->kind == lead->kind && wanted->model == lead->model &&
                    rows_of(wanted) <= shared->options.max_batch - all->rows &&
                    (!lead->codes || wanted->codes->latents == lead->codes->latents);
        if (is_canceled(wanted)) {
            finish(take_out(shared, before));
        } else if (fits) {
            add(all, take_out(shared, before));
        } else {
            before = one;
        }
        if (all->rows >= shared->options.max_batch) return;
    }
}

static void wait_for_more(batcher *shared, group *all) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t nanoseconds = (uint64_t)until.tv_nsec + (uint64_t)shared->options.delay_us * 1000;
    until.tv_sec += (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    collect(shared, all);
    while (all->rows < shared->options.max_batch &&
           pthread_cond_timedwait(&shared->arrived, &shared->lock, &until) == 0)
        collect(shared, all);
}

/* The entry is the oldest and a slot is free. */
static void lead(batcher *shared, entry *mine) {
    group all = {0};
    slot *own = shared->free;
    shared->free = own->next;
    add(&all, take_out(shared, NULL));
    bool joins = kinds[mine->wanted->kind].join && all.rows < shared->options.max_batch;
    if (joins && shared->options.delay_us)
        wait_for_more(shared, &all);
    else if (joins)
        collect(shared, &all);
    if (shared->free && shared->oldest) pthread_cond_signal(&shared->oldest->turn);
    pthread_mutex_unlock(&shared->lock);
    if (shared->options.joined) shared->options.joined(shared->options.context, all.requests, all.rows);
    compute_group(&all, own);
    trim(own);
    pthread_mutex_lock(&shared->lock);
    for (entry *one = all.first, *next; one; one = next) {
        next = one->next; /* a finished entry is its owner's, who may be gone at once */
        finish(one);
    }
    own->next = shared->free;
    shared->free = own;
    if (shared->oldest) pthread_cond_signal(&shared->oldest->turn);
}

static entry *before_of(batcher *shared, const entry *one) {
    entry *before = NULL;
    for (entry *at = shared->oldest; at != one; at = at->next) before = at;
    return before;
}

ra_status batcher_run(batcher *shared, const computation *wanted, ra_error *err) {
    entry mine = {.wanted = wanted, .status = RA_ERR_CANCELED, .err = err};
    pthread_cond_init(&mine.turn, NULL);
    pthread_mutex_lock(&shared->lock);
    append(shared, &mine);
    while (mine.state != DONE) {
        if (mine.state == WAITING && is_canceled(wanted)) {
            take_out(shared, before_of(shared, &mine));
            break;
        }
        if (mine.state == WAITING && shared->oldest == &mine && shared->free)
            lead(shared, &mine);
        else
            pthread_cond_wait(&mine.turn, &shared->lock);
    }
    if (mine.status == RA_ERR_CANCELED && shared->oldest && shared->free)
        pthread_cond_signal(&shared->oldest->turn); /* the turn that was ours */
    pthread_mutex_unlock(&shared->lock);
    pthread_cond_destroy(&mine.turn);
    if (mine.status == RA_ERR_CANCELED)
        RA_FAIL(err, RA_ERR_CANCELED, "the request was given up before it was computed");
    return mine.status;
}

size_t batcher_waiting(batcher *shared) {
    pthread_mutex_lock(&shared->lock);
    size_t waiting = shared->waiting;
    pthread_mutex_unlock(&shared->lock);
    return waiting;
}

/* ---- start and end ------------------------------------------------------------------------------------- */

ra_status batcher_new(const batcher_options *options, batcher **out, ra_error *err) {
    batcher *shared = ra_calloc(1, sizeof *shared);
    if (!shared) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the batcher");
    shared->options = *options;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&shared->arrived, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&shared->lock, NULL);
    shared->slots = ra_calloc(options->slots, sizeof *shared->slots);
    ra_status status =
        shared->slots ? RA_OK : ra_error_set(err, RA_ERR_MEMORY, "out of memory: the batcher's slots");
    for (size_t i = 0; i < options->slots && status == RA_OK; i++) {
        status = ra_workspace_new(&shared->slots[i].workspace, err);
        shared->slots[i].next = shared->free;
        shared->free = &shared->slots[i];
    }
    if (status != RA_OK)
        batcher_free(shared);
    else
        *out = shared;
    return status;
}

void batcher_free(batcher *shared) {
    if (!shared) return;
    for (size_t i = 0; shared->slots && i < shared->options.slots; i++) {
        ra_workspace_free(shared->slots[i].workspace);
        ra_codes_release(&shared->slots[i].codes);
        ra_free(shared->slots[i].numbers);
    }
    ra_free(shared->slots);
    pthread_cond_destroy(&shared->arrived);
    pthread_mutex_destroy(&shared->lock);
    ra_free(shared);
}
