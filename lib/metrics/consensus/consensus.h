/* consensus.h - the parts of a consensus: ward.c joins atoms to groups, consensus.c moves them between groups and takes
 * the means, agreement.c finds the atoms of a dictionary again in runs, start.c writes the checkpoint.
 *
 * Thread safety: one thread per call.
 */
#ifndef RA_METRICS_CONSENSUS_CONSENSUS_H
#define RA_METRICS_CONSENSUS_CONSENSUS_H

#include "ra_consensus.h"
#include "base/pool.h"

/* group [n] <- 0 to K-1, numbered in the order of their first rows: Ward's hierarchy of x [n,d], cut at K groups. x is
 * overwritten. 1 <= K <= n. */
ra_status ra_ward(ra_pool *pool, float *x, size_t n, size_t d, size_t K, int32_t *group, ra_error *err);

#endif
