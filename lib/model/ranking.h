/* ranking.h - order by falling key, equal keys by rising id; in place, without allocating. */
#ifndef RA_MODEL_RANKING_H
#define RA_MODEL_RANKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ra_ranked {
    float key; /* not NaN */
    uint32_t id;
} ra_ranked;

/* True when a stands in front of b. */
bool ra_ranked_before(ra_ranked a, ra_ranked b);

/* Sorts n entries, the largest key first. */
void ra_ranking_sort(ra_ranked *ranked, size_t n);

/* The first k of a stream: starts with *n = 0, then holds the best *n <= k entries offered so far in no
 * particular order, the last of them at ranked[0]. */
void ra_ranking_offer(ra_ranked *ranked, size_t *n, size_t k, ra_ranked entry);

#endif
