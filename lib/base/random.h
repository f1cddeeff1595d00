/* random.h - reproducible random numbers: xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64. The
 * state is plain data. The same seed gives the same sequence on every machine. */
#ifndef RA_BASE_RANDOM_H
#define RA_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

typedef struct ra_random {
    uint64_t state[4];
} ra_random;

void ra_random_seed(ra_random *random, uint64_t seed);
uint64_t ra_random_u64(ra_random *random);
uint64_t ra_random_below(ra_random *random, uint64_t bound); /* uniform in [0, bound), unbiased; bound > 0 */
double ra_random_unit(ra_random *random);                    /* uniform in [0, 1), 53 bits */

/* order[0..n) <- a uniformly random permutation of 0..n-1 (Fisher and Yates). */
void ra_random_permutation(ra_random *random, uint64_t *order, size_t n);

/* chosen[0..m) <- m of the numbers 0..n-1, ascending, each set of m equally likely; m <= n (Knuth, The Art of
 * Computer Programming 3.4.2, algorithm S). */
void ra_random_sample(ra_random *random, uint64_t n, uint64_t *chosen, size_t m);

#endif
