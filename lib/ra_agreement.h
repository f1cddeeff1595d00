/* ra_agreement.h - in how many of several training runs each atom is found again.
 *
 * A dictionary that another seed does not find again says more about the seed than about the data. Each run is matched
 * with the dictionary one to one, so that the cosines sum to the most (ra_assignment()); an atom has as many cosines as
 * there are runs. Its share is that of the runs whose cosine is at least `level`; its cosine is their mean over all runs.
 *
 *     ra_agreement agreement = {0};
 *     RA_TRY(ra_agreement_measure(backend, D, K, d, runs, count, RA_AGREEMENT_LEVEL, &agreement, err));
 *     printf("atom 5: in %g of the runs, cosine %g\n", agreement.share[5], agreement.cosine[5]);
 *     ra_agreement_release(&agreement);
 *
 * ra_agreement_measure() is in ra_consensus.h. Checkpoints and artifacts keep the figures (proto/artifact.md).
 *
 * Symbols: K atoms. Thread safety: plain data.
 */
#ifndef RA_AGREEMENT_H
#define RA_AGREEMENT_H

#include "ra_io.h"

/* Two atoms of a cosine below this are not taken for the same. */
#define RA_AGREEMENT_LEVEL 0.7

/* Owns its arrays; {0} is a valid, empty value. */
typedef struct ra_agreement {
    size_t atoms; /* K */
    size_t runs;  /* that the dictionary was compared with */
    double level;
    float *share;  /* [K] of the runs that have the atom, 0 to 1 */
    float *cosine; /* [K] mean over the runs, -1 to 1 */
} ra_agreement;

void ra_agreement_release(ra_agreement *agreement); /* leaves {0} */

/* Adds to a file the tensors agreement.share and agreement.cosine, and the metadata agreement.runs and
 * agreement.level. The agreement must outlive the write. */
ra_status ra_agreement_store(const ra_agreement *agreement, ra_safetensors_writer *writer, ra_error *err);

#endif
