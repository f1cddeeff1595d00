/* ranking.h - order by descending key, equal keys by ascending id; in place, without memory of its own. */
#ifndef RA_MODEL_RANKING_H
#define RA_MODEL_RANKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ra_ranked {
    float key; /* not NaN */
    uint32_t id;
} ra_ranked;

/* Whether a comes before b. */
bool ra_ranked_before(ra_ranked a, ra_ranked b);

/* Sorts n entries, the largest key first. */
void ra_ranking_sort(ra_ranked *ranked, size_t n);

/* Keeps the first k entries of those offered, one after the other: *n is 0 at first; then ranked holds *n <=
 * k entries, the last of them at ranked[0], the others in no order. */
void ra_ranking_offer(ra_ranked *ranked, size_t *n, size_t k, ra_ranked entry);

#endif
