/* batcher.h - joins the computations of several requests on one dictionary.
 *
 * One row against a large dictionary reads all of it from memory; thirty rows together read it once. So
 * requests that wait for the same computation are computed together: the rows of encode, of reconstruct, or of searches
 * with the same k and metric, of one generation of one dictionary, up to max_batch rows. Each request gets its own part of the result and
 * its own error, and cannot tell that others were there.
 *
 *     computation wanted = {
 *         .kind = COMPUTE_ENCODE, .model = model, .x = inputs, .rows = 3, .codes_out = &codes};
 *     RA_TRY(batcher_run(batcher, &wanted, err));               a compute thread: waits for its turn
 *     RA_TRY(computation_run(&wanted, workspace, err));         any thread: computes it here and now
 *
 * A computation that cannot be joined (explain, steer) takes its turn all the same: at most `slots` run at
 * once, each in a workspace that is kept for the next one, so that memory does not grow with the number of
 * threads that wait.
 *
 * Ownership: a computation points at its caller's memory, which must stay until the call returns; the caller
 * holds a reference to the model. Thread safety: any thread may run a computation and is blocked until the
 * result is there, so I/O threads use computation_run() for their small ones. new and free belong to one
 * thread.
 */
#ifndef RASAED_SERVING_BATCHER_H
#define RASAED_SERVING_BATCHER_H

#include "ra_model.h"

#include <stdatomic.h>

typedef enum computation_kind {
    COMPUTE_ENCODE,      /* x, rows -> codes_out */
    COMPUTE_RECONSTRUCT, /* codes -> x_hat */
    COMPUTE_EXPLAIN,     /* x, rows -> explanation */
    COMPUTE_SEARCH,      /* x, rows, among, k, metric -> ids, scores */
    COMPUTE_NEIGHBORS,   /* atom, k, metric -> ids, scores */
    COMPUTE_STEER,       /* x, rows, base, method, pushes -> x_hat */
    COMPUTE_EDIT,        /* x, rows, keep_error, edits -> x_hat, before, after */
    COMPUTATION_KINDS
} computation_kind;

/* The arguments of the function in ra_model.h that has the name of the kind. */
typedef struct computation {
    computation_kind kind;
    const ra_model *model;
    const float *x; /* [rows, d] */
    size_t rows;    /* of x; reconstruct has codes->rows */
    const ra_codes *codes;
    const uint64_t *among; /* the atoms that a search is about, a bit each; NULL: all */
    size_t atom, k;
    ra_similarity metric;
    ra_steer_base base;
    ra_steer_method method;
    const ra_steer *pushes; /* [push_count] */
    size_t push_count;
    bool keep_error;
    const ra_edit *edits; /* [edit_count] */
    size_t edit_count;
    float *before, *after;       /* [rows, edit_count] */
    ra_codes *codes_out;         /* its memory is reused */
    float *x_hat;                /* [rows, d] */
    ra_explanation *explanation; /* the caller releases it */
    size_t *ids;                 /* [rows, k] */
    float *scores;               /* [rows, k] */
    bool brief;                  /* its request is one of those that are under way */
    const atomic_bool *canceled; /* true once nobody wants the result; may be NULL */
} computation;

/* Computes it on the calling thread. RA_ERR_CANCELED soon after nobody wants the result. */
ra_status computation_run(const computation *wanted, ra_workspace *workspace, ra_error *err);

typedef struct batcher batcher;

typedef struct batcher_options {
    ra_backend
        *backend; /* that copies joined inputs and results (ra_backend_host_allocate()); NULL: none does */
    size_t slots; /* computations at once, at least 1; each may use all threads of the backend */
    size_t max_batch;  /* the most rows that are joined; a larger request is computed alone */
    unsigned delay_us; /* how long a computation that could start waits for others to join it */
    /* How many brief requests have a thread. Those that are not in batcher_run() will be in a moment, and a computation
     * that they may join waits for them, at most for half a millisecond. NULL: it starts at once. Called with a lock held. */
    size_t (*under_way)(void *context);
    /* Called once per computation with what it joins, by any thread. May be NULL. */
    void (*joined)(void *context, size_t requests, size_t rows);
    void *context;
} batcher_options;

ra_status batcher_new(const batcher_options *options, batcher **out, ra_error *err);
void batcher_free(batcher *queue); /* no thread may be in batcher_run() any more; NULL is fine */

/* Computes something of each kind in every slot, so that the device's memory, streams and programs are there when
 * the first request comes. Before the first batcher_run(); what fails here fails there again. */
void batcher_warm(batcher *queue, const ra_model *model);

/* Computes it when its turn has come, together with others where possible. RA_ERR_CANCELED when it was
 * canceled before it started, or, if it is computed alone, while it was computed. */
ra_status batcher_run(batcher *queue, const computation *wanted, ra_error *err);

/* Fewer are under way: a computation that waits for them may have none left to wait for. */
void batcher_fewer(batcher *queue);

size_t batcher_waiting(batcher *queue); /* computations that have not started */

#endif
