/* scratch.h - the memory that a thread computes in: the library's workspace and buffers of our own.
 *
 * The workspace computes on its own thread alone, so that a light request never waits for the heavy one that
 * occupies the threads of the backend. Each thread that serves requests has one, made on first use and freed when the thread ends. Buffers grow to
 * what is needed and stay, so that serving in steady state allocates nothing; after an exceptionally large
 * request scratch_trim() frees what it needed.
 *
 *     float *x_hat;
 *     RA_TRY(scratch_numbers(rows * d, &x_hat, err));
 *
 * Thread safety: each thread sees its own.
 */
#ifndef RASAED_SERVING_SCRATCH_H
#define RASAED_SERVING_SCRATCH_H

#include "ra_model.h"
#include "serving/atoms/labels.h"

/* One buffer each, with a function scratch_<name>(). */
#define SCRATCH_LIST(X)                                                                                      \
    X(numbers, float)         /* reconstructions, scores, a vector */                                        \
    X(vectors, float)         /* of an atom that is written */                                               \
    X(bits, uint64_t)         /* sets of atoms */                                                            \
    X(kinds, atom_label_kind) /* and where its text was found */                                             \
    X(ids, size_t)            /* atoms that were found or asked for */                                       \
    X(uses, ra_point_use)     /* of one point */                                                             \
    X(rows, ra_point_row)     /* of one point */

enum {
#define X(name, type) SCRATCH_##name,
    SCRATCH_LIST(X)
#undef X
        SCRATCH_BUFFERS
};

typedef struct scratch {
    ra_workspace *workspace;
    ra_codes codes;
    /* private */
    void *buffers[SCRATCH_BUFFERS];
    size_t bytes[SCRATCH_BUFFERS];
} scratch;

/* *own <- the scratch of this thread; RA_ERR_MEMORY. */
ra_status scratch_get(scratch **own, ra_error *err);

/* *out <- a buffer of this thread with room for `count` items, whose content is lost; RA_ERR_MEMORY. */
#define X(name, type) ra_status scratch_##name(size_t count, type **out, ra_error *err);
SCRATCH_LIST(X)
#undef X

/* Frees buffers that have grown beyond the ordinary. */
void scratch_trim(void);

#endif
