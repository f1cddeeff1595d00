#include "base/random.h"

static uint64_t rotate_left(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

void ra_random_seed(ra_random *random, uint64_t seed) {
    for (int i = 0; i < 4; i++) { /* splitmix64; never gives the invalid state of zeros */
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        random->state[i] = z ^ (z >> 31);
    }
}

uint64_t ra_random_u64(ra_random *random) {
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9, shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t ra_random_below(ra_random *random, uint64_t bound) {
    uint64_t rest = -bound % bound; /* 2^64 mod bound: values below it would favor small results */
    for (;;) {
        uint64_t value = ra_random_u64(random);
        if (value >= rest) return value % bound;
    }
}

double ra_random_unit(ra_random *random) {
    return (double)(ra_random_u64(random) >> 11) * 0x1p-53;
}

void ra_random_permutation(ra_random *random, uint64_t *order, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t j = (size_t)ra_random_below(random, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

void ra_random_sample(ra_random *random, uint64_t n, uint64_t *chosen, size_t m) {
    size_t taken = 0;
    for (uint64_t i = 0; taken < m; i++)
        if (ra_random_below(random, n - i) < m - taken) chosen[taken++] = i;
}
