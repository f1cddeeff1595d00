/* mixture.h - what the parts of a dictionary of mixtures share.
 *
 *   state.c     what the others share: the arrays, and what follows from them
 *   mixture.c   the atoms: split into mixture and relaxation, composed, started
 *   price.c     which points an atom is made of: candidates, offered a chunk at a time
 *   source.c    candidates that are read when they are needed
 *   fuse.c      the eval-mode fuse, from the tensors of a file
 */
#ifndef RA_DICTIONARY_MIXTURE_MIXTURE_H
#define RA_DICTIONARY_MIXTURE_MIXTURE_H

#include "dictionary/dictionary.h"

/* The parameters, in their order; RA_MIXTURE_STATE holds the numbers of enum ra_mixture_number. */
enum {
    RA_MIXTURE_INDEX,
    RA_MIXTURE_WEIGHT,
    RA_MIXTURE_RELAX,
    RA_MIXTURE_MULTIPLIER,
    RA_MIXTURE_POINTS,
    RA_MIXTURE_STATE
};
enum ra_mixture_number { RA_MIXTURE_POINT_NORM, RA_MIXTURE_PULL, RA_MIXTURE_NUMBERS };

/* Candidates come in chunks of at most RA_MIXTURE_CHUNK; a step costs RA_MIXTURE_PRODUCTS dot products per atom. */
enum { RA_MIXTURE_CHUNK = 4096, RA_MIXTURE_PRODUCTS = 64 };

typedef struct ra_mixture_price {
    size_t candidates; /* N */
    size_t chunks, atoms;
    size_t loaded, rows;     /* which chunk is in `vectors`, from 1 on (0: none), and how many candidates */
    float *vectors;          /* [RA_MIXTURE_CHUNK,d] backend memory; NULL where C is the one chunk */
    float *relax;            /* [atoms,d] backend memory */
    float *scores;           /* [atoms,rows] backend memory */
    int32_t *list, *offered; /* [atoms] backend memory: which atoms, which point for each */
    int32_t *host_list, *host_offered; /* the same here */
    int32_t *picked;                   /* [RA_MIXTURE_CHUNK] backend memory: numbers of rows to gather */
    int32_t *host_picked;
    uint64_t *number; /* [RA_MIXTURE_CHUNK] of the candidates of the loaded chunk */
    ra_codes best;
} ra_mixture_price;

struct ra_mixture_state {
    size_t most;       /* T */
    float *gram;       /* [K,T,T] backend memory */
    float *share;      /* [K] backend memory: cosines between mixture and atom at the last projection */
    void *share_copy;  /* where the host cannot read it */
    double aim;        /* of the median share; 0: none */
    double point_norm; /* mean norm of the points that the atoms started on */
    double pull;       /* Relax keeps 1 - rate * pull of itself in a step */
    double rate;       /* of the step that moved the atoms; 0 once they are projected */
    size_t step;       /* its number, from 1 on; 0: none yet */
    ra_mixture_price price;
    ra_point_source source; /* count 0: all candidates are in C */
    uint64_t *origin;       /* [K,T] with a source: the number of the candidate in each place */
};

/* The arrays as the backend's operations take them. */
ra_mixture ra_mixture_view(const ra_dictionary *dictionary);

/* Recomputes what follows from index and C. */
ra_status ra_mixture_points_changed(ra_dictionary *dictionary, ra_error *err);

/* How many atoms are offered a point in a step, of this many candidates in a chunk. */
size_t ra_mixture_price_atoms(size_t concepts, size_t candidates);

/* Gives back the memory of pricing, which the next step takes anew. */
void ra_mixture_price_release(ra_dictionary *dictionary);

/* index, weight [K,T] of a file: points that exist, each once in an atom, none behind a place that is unused;
 * weights that do not sum to 1 are divided by their sum. RA_ERR_FORMAT for what cannot be. */
ra_status ra_mixture_check(const int32_t *index, float *weight, size_t K, size_t T, size_t points,
                           ra_error *err);

/* Offers points to the atoms whose turn it is in this step. */
ra_status ra_mixture_price_step(ra_dictionary *dictionary, size_t step, ra_error *err);

#endif
