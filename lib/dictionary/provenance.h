/* provenance.h - what fused atoms are made of, as shares of the atoms (ra_provenance). */
#ifndef RA_DICTIONARY_PROVENANCE_H
#define RA_DICTIONARY_PROVENANCE_H

#include "ra_dictionary.h"
#include "base/pool.h"

/* Atoms that have been fused: what they were fused from, and they. Host memory. */
typedef struct ra_fused {
    size_t first;            /* the number of the first of them */
    const ra_codes *mixture; /* a row for each: points that may be kept, with their weights */
    const ra_tensor *C;      /* [N,d] in any float type */
    const ra_tensor *Relax;  /* [K,d], as it was before the projection */
    float scale, delta;      /* e^multiplier */
    const float *D;          /* [rows of mixture, d] */
} ra_fused;

/* Puts the points that contribute most into the provenance, and relaxation and hull share with them. pool may
 * be NULL; nothing depends on its threads. */
ra_status ra_provenance_measure(const ra_provenance *provenance, const ra_fused *atoms, ra_pool *pool,
                                ra_error *err);

#endif
