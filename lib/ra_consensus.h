/* ra_consensus.h - what several training runs on the same data have in common.
 *
 * Two runs that share nothing but the data find atoms of which many are alike and some are not. A consensus pools the
 * atoms of all runs, at unit length, and clusters them: by Ward's criterion (the two groups are joined whose union has
 * the least increase of squared distances from the mean), then by moving each atom to the group of the nearest mean until
 * none moves. The mean of a group depends less on any one run than its atoms do, so two consensuses of runs that share
 * nothing agree more than two runs. Trained further at a low rate it is a dictionary like any other.
 *
 *     ra_consensus consensus = {0};
 *     RA_TRY(ra_consensus_find(backend, runs, count, K, &consensus, err));
 *     RA_TRY(ra_consensus_write(&consensus, paths, NULL, "start.safetensors", err));
 *     ra_consensus_release(&consensus);
 *
 * The same runs in the same order give the same bytes for any number of threads. Joining n atoms takes about 3 n^2 d
 * operations and memory for the pool and as much again.
 *
 * Symbols: M runs, K atoms of the result, d dimensions. Thread safety: plain data; one thread per call.
 */
#ifndef RA_CONSENSUS_H
#define RA_CONSENSUS_H

#include "ra_agreement.h"
#include "ra_backend.h"

/* *agreement <- that of D [K,d] with the runs [count], matrices of d columns and any number of rows. Atoms of zeros have
 * cosine 0 with all others. Needs memory for the square of the larger number of atoms. RA_ERR_NOT_FINITE for a NaN or an
 * infinity; RA_ERR_SHAPE for another number of columns. */
ra_status ra_agreement_measure(ra_backend *backend, const float *D, size_t K, size_t d, const ra_matrix *runs,
                               size_t count, double level, ra_agreement *agreement, ra_error *err);

/* Owns its arrays; {0} is a valid, empty value. */
typedef struct ra_consensus {
    size_t runs;     /* M */
    size_t members;  /* atoms of all runs */
    ra_matrix atoms; /* [K,d] the means of the groups, at unit length */
    float *length;   /* [K] mean length of a group's atoms */
    int32_t *seen;   /* [K] how many runs a group has atoms of */
    int32_t *
        group; /* [members] of each atom, run by run; -1 for an atom of zeros, or of a group that was dropped */
} ra_consensus;

/* runs [count]: the dictionaries [K_m,d], count >= 1. Together they have at least K atoms that are no zeros, else
 * RA_ERR_ARGUMENT. RA_ERR_SHAPE for runs of different d; RA_ERR_NOT_FINITE for a NaN or an infinity. */
ra_status ra_consensus_find(ra_backend *backend, const ra_matrix *runs, size_t count, size_t K,
                            ra_consensus *consensus, ra_error *err);
void ra_consensus_release(ra_consensus *consensus); /* leaves {0} */

/* Drops all groups but the `count` that most runs have, by the share of the agreement of these atoms, then by its cosine;
 * those that are kept keep their order. agreement is cut alike. RA_ERR_ARGUMENT unless 1 <= count <= K. */
ra_status ra_consensus_keep(ra_consensus *consensus, ra_agreement *agreement, size_t count, ra_error *err);

/* Writes a checkpoint to train further from (--init): atoms are the means; the encoder's rows, thresholds and the
 * standardization are the means of those of the members; the settings are those of the first file. In a dictionary of
 * mixtures an atom keeps the points that weigh most in its members. paths [runs]: the checkpoints that the dictionaries
 * are of, in the same order. The agreement of these atoms is also written, if there is one (else NULL). RA_ERR_ARGUMENT for files of different
 * kinds, and for a dense W, whose runs have no points in common. */
ra_status ra_consensus_write(const ra_consensus *consensus, const char *const *paths,
                             const ra_agreement *agreement, const char *output, ra_error *err);

#endif
