/* backend_pair.h - a backend that is tested beside the reference, the shapes that it is tested on, and its
 * memory. Files test_backend*.c run every operation on both:
 *
 *     shape s = shape_of_case(_i);
 *     pair p = pair_open(s.device);
 *     float *x = numbers(n, 1), *on_x = pair_put(&p, x, n * sizeof *x);
 *     PAIR_RUN(p, relu, (x, x, n), (on_x, on_x, n));
 *     pair_get(&p, y, on_x, n * sizeof *y);
 *     assert_close(y, x, n, 0);
 */
#ifndef RA_TEST_BACKEND_PAIR_H
#define RA_TEST_BACKEND_PAIR_H

#include "devices.h"
#include "ra_memory.h"

/* What is tested beside the reference: the CPU, and the emulated device, whose every thread is run on its
 * own, twice, so that its grid is smaller. */
enum { TESTED_DEVICES = DEVICES - DEVICE_CPU };

enum {
    SIZES = 7, /* of a side */
    GRID = SIZES * SIZES * SIZES,
    EMULATED_SIZES = 4,
    EMULATED_GRID = EMULATED_SIZES * EMULATED_SIZES * EMULATED_SIZES,
    LARGE = 4, /* shapes on which a kernel's block goes over a row in several tiles, or shares it */
    CASES = GRID + EMULATED_GRID + LARGE * TESTED_DEVICES,
};

typedef struct shape {
    size_t first, second, third;
    int device;
} shape;

extern const size_t backend_sizes[SIZES];
shape shape_of_case(int i); /* 0 <= i < CASES */

typedef struct pair {
    ra_backend *oracle, *tested;
} pair;

pair pair_open(int device);
void pair_close(pair *p);

#define PAIR_ARGUMENTS(...) __VA_ARGS__
/* The operation on the reference with the first arguments, and on what is tested with the second. */
#define PAIR_RUN(p, operation, host, device)                                                                 \
    do {                                                                                                     \
        ra_ok(ra_backend_##operation((p).oracle, PAIR_ARGUMENTS host, &err));                                \
        ra_ok(ra_backend_##operation((p).tested, PAIR_ARGUMENTS device, &err));                              \
    } while (0)

/* A block of the tested backend with these bytes in it; new bytes for it; those that are in it. */
void *pair_put(const pair *p, const void *host, size_t bytes);
void pair_set(const pair *p, void *block, const void *host, size_t bytes);
void pair_get(const pair *p, void *host, const void *block, size_t bytes);

/* Frees blocks of the tested backend and of the host; the lists end with NULL. */
void pair_drop(const pair *p, void *const *blocks);
void forget(void *const *blocks);
#define BLOCKS(...) ((void *const[]){__VA_ARGS__, NULL})

float *numbers(size_t n, uint64_t seed);

/* Codes of a given share of active latents. */
ra_codes some_codes(size_t rows, size_t K, float share, uint64_t seed);

/* ||a - b|| / ||b|| of float64 numbers, absolute when b is zero. */
void assert_doubles_close(const double *a, const double *b, size_t n, double tolerance);

#endif
