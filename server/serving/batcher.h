/* batcher.h - joins what several requests want of one dictionary into one computation.
 *
 * One row against a large dictionary reads all of it from memory; thirty rows together read it once. So
 * requests that wait for the same thing are computed together: the rows of encode, or of reconstruct, of one
 * generation of one dictionary, up to max_batch of them. Each gets its own part of the result and its own
 * error; nobody sees that others were there.
 *
 *     computation wanted = {.kind = COMPUTE_ENCODE, .model = model, .x = inputs, .rows = 3, .codes_out = &codes};
 *     RA_TRY(batcher_run(shared->batcher, &wanted, err));              a compute thread: waits for its turn
 *     RA_TRY(computation_run(&wanted, workspace, err));                    any thread: computes it here and now
 *
 * What cannot be joined (explain, search) takes its turn all the same: at most `slots` computations run at
 * once, each with a workspace that is kept from one to the next, so that memory does not grow with the
 * number of threads that wait.
 *
 * Ownership: a product points at its caller's memory, which has to stay until the call returns; the caller
 * holds a reference to the model. Thread safety: any thread may run; it is blocked until its result is there,
 * so I/O threads use computation_run() for work that is small. new and free belong to one thread.
 */
#ifndef RASAED_SERVING_BATCHER_H
#define RASAED_SERVING_BATCHER_H

#include "ra_model.h"

#include <stdatomic.h>

typedef enum computation_kind {
    COMPUTE_ENCODE,      /* x, rows -> codes_out */
    COMPUTE_RECONSTRUCT, /* codes -> x_hat */
    COMPUTE_EXPLAIN,     /* x, rows -> explanation */
    COMPUTE_SEARCH,      /* x, rows, k, metric -> ids, scores */
    COMPUTE_NEIGHBORS,   /* atom, k, metric -> ids, scores */
    COMPUTE_STEER,       /* x, rows, base, pushes -> x_hat */
    COMPUTATION_KINDS
} computation_kind;

/* What is asked of a model: the arguments of the function of ra_model.h of the same name. */
typedef struct computation {
    computation_kind kind;
    const ra_model *model;
    const float *x; /* [rows, d] */
    size_t rows;    /* of x; for reconstruct codes->rows counts */
    const ra_codes *codes;
    size_t atom, k;
    ra_similarity metric;
    ra_steer_base base;
    const ra_steer *pushes; /* [push_count] */
    size_t push_count;
    ra_codes *codes_out;         /* its memory is reused */
    float *x_hat;                /* [codes->rows, d] */
    ra_explanation *explanation; /* to be released by the caller */
    size_t *ids;                 /* [rows, k] */
    float *scores;               /* [rows, k] */
    const atomic_bool *canceled; /* NULL or: true when nobody wants the result any more */
} computation;

/* Computes it on the calling thread. */
ra_status computation_run(const computation *wanted, ra_workspace *workspace, ra_error *err);

typedef struct batcher batcher;

typedef struct batcher_options {
    size_t slots;      /* computations at once, at least 1; each may use all of the backend's threads */
    size_t max_batch;  /* rows joined; a request with more of them is computed alone */
    unsigned delay_us; /* how long a computation that could go ahead waits for others to join it */
    /* What was joined, once a computation, from any thread. May be NULL. */
    void (*joined)(void *context, size_t requests, size_t rows);
    void *context;
} batcher_options;

ra_status batcher_new(const batcher_options *options, batcher **out, ra_error *err);
void batcher_free(batcher *shared); /* when nobody is in batcher_run() any more; NULL is fine */

/* Computes it when its turn has come, with others where that can be. RA_ERR_CANCELED when it was canceled
 * before it began. */
ra_status batcher_run(batcher *shared, const computation *wanted, ra_error *err);

size_t batcher_waiting(batcher *shared); /* requests whose computation has not begun */

#endif
