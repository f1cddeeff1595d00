/* ra_group.h - several processes that train one model: each takes a slice of every batch, what they find is
 * summed.
 *
 * The library knows a group only as a table of operations on all its members (collectives); a program brings
 * one (`rasae` built with MPI=1), and NULL is a process on its own. Every member makes the same calls in the
 * same order and receives the same result, so that all of them take the same decisions and hold the same
 * parameters. Host memory.
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
    /* values [n] <- their sums over all members, the same bits everywhere */
    ra_status (*sum_f32)(void *context, float *values, size_t n, ra_error *err);
    ra_status (*sum_f64)(void *context, double *values, size_t n, ra_error *err);
    ra_status (*sum_u64)(void *context, uint64_t *values, size_t n, ra_error *err);
    /* flags [n] <- 1 where any member has one */
    ra_status (*unite)(void *context, uint8_t *flags, size_t n, ra_error *err);
} ra_group;

/* The same for a group that may be NULL or have one member: then nothing is to be done. */
ra_status ra_group_sum_f32(const ra_group *group, float *values, size_t n, ra_error *err);
ra_status ra_group_sum_f64(const ra_group *group, double *values, size_t n, ra_error *err);
ra_status ra_group_sum_u64(const ra_group *group, uint64_t *values, size_t n, ra_error *err);
ra_status ra_group_unite(const ra_group *group, uint8_t *flags, size_t n, ra_error *err);

size_t ra_group_size(const ra_group *group); /* 1 for NULL */

/* This member's slice of n things: first .. first + the returned count. Sizes differ by one at most. */
size_t ra_group_slice(const ra_group *group, size_t n, size_t *first);

#endif
