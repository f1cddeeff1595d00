/* ra_group.h - several processes that train one model: each takes a slice of every batch, and their results
 * are summed.
 *
 * To the library a group is a table of operations on all its members (collectives). The program provides it
 * (`rasae` built with MPI=1); NULL is a process on its own. Every member makes the same calls in the same
 * order and receives the same results, so all of them make the same decisions and hold the same parameters.
 * Arrays are host memory.
 *
 * Thread safety: one thread at a time in each process.
 */
#ifndef RA_GROUP_H
#define RA_GROUP_H

#include "ra_status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct ra_group {
    size_t rank, size; /* rank < size */
    void *context;
    /* values [n] <- their sums over all members, the same bits on each */
    ra_status (*sum_f32)(void *context, float *values, size_t n, ra_error *err);
    ra_status (*sum_f64)(void *context, double *values, size_t n, ra_error *err);
    ra_status (*sum_u64)(void *context, uint64_t *values, size_t n, ra_error *err);
    /* flags [n] <- 1 where any member has 1 */
    ra_status (*unite)(void *context, uint8_t *flags, size_t n, ra_error *err);
} ra_group;

/* The same for a group that may be NULL or have one member, in which case nothing changes. */
ra_status ra_group_sum_f32(const ra_group *group, float *values, size_t n, ra_error *err);
ra_status ra_group_sum_f64(const ra_group *group, double *values, size_t n, ra_error *err);
ra_status ra_group_sum_u64(const ra_group *group, uint64_t *values, size_t n, ra_error *err);
ra_status ra_group_unite(const ra_group *group, uint8_t *flags, size_t n, ra_error *err);

size_t ra_group_size(const ra_group *group); /* 1 for NULL */

/* This member's slice of n items: from *first on, as many as returned. Slices differ by one item at most. */
size_t ra_group_slice(const ra_group *group, size_t n, size_t *first);

#endif
