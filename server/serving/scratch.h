/* scratch.h - what a thread computes in: the library's workspace, and blocks of ours.
 *
 * Each thread that serves requests has one, made when it first asks and freed when it ends. Blocks grow to
 * what is needed and stay, so that serving in steady state allocates nothing; what an exceptional request
 * made them grow to is given back by scratch_trim() after it.
 *
 *     scratch *mine = NULL;
 *     float *x_hat = NULL;
 *     RA_TRY(scratch_get(&mine, err));
 *     RA_TRY(scratch_reserve(mine, SCRATCH_NUMBERS, rows * d, sizeof *x_hat, (void **)&x_hat, err));
 *
 * Thread safety: each thread sees its own.
 */
#ifndef RASAED_SERVING_SCRATCH_H
#define RASAED_SERVING_SCRATCH_H

#include "ra_model.h"

/* One block each; reserving a block again loses its content. */
typedef enum scratch_block {
    SCRATCH_NUMBERS,    /* float: reconstructions, scores, a vector */
    SCRATCH_IDS,        /* size_t: found atoms, asked atoms */
    SCRATCH_ARCHETYPES, /* ra_archetype: of one atom */
    SCRATCH_USES,       /* ra_point_use: of one point */
    SCRATCH_ROWS,       /* ra_point_row: of one point */
    SCRATCH_BLOCK_COUNT
} scratch_block;

typedef struct scratch {
    ra_workspace *workspace;
    ra_codes codes;
    /* private */
    void *blocks[SCRATCH_BLOCK_COUNT];
    size_t bytes[SCRATCH_BLOCK_COUNT];
} scratch;

ra_status scratch_get(scratch **mine, ra_error *err);

/* *block <- room for count items of `size` bytes; RA_ERR_MEMORY. */
ra_status scratch_reserve(scratch *mine, scratch_block which, size_t count, size_t size, void **block,
                          ra_error *err);

/* Gives back what has grown beyond the ordinary. */
void scratch_trim(void);

#endif
