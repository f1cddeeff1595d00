/* A tile of rows of A and rows of B keeps LANES partial sums of each of its elements in registers, and each vector that
 * it loads is used several times. sgemm would pack B first, which costs more than the product when A has few rows. A
 * tile of B stays in the first-level cache while all rows of A pass by, so B is read from memory once.
 *
 * How large a tile may be depends on the registers of the machine: dots_tile.h is compiled for each kind. */
#include "tensor/dots.h"
#include "tensor/vec.h"

enum { LANES = 16 };

typedef struct target {
    float alpha, beta;
    float *c;
    size_t ldc;
} target;

/* Where the next tile of B is asked for, while this one is multiplied: from where in a row on, seen from this tile's, and
 * how far it moves in the time of LANES elements. */
typedef struct fetch {
    size_t from, step;
} fetch;

/* Each group of rows of A fetches its share, so that the memory is busy all the time. */
INLINE fetch fetch_share(const ra_dots *p, size_t columns, size_t group, size_t groups) {
    size_t step = groups < LANES ? LANES / groups : 1;
    return (fetch){columns * p->ldb + group * step * (p->k / LANES), step};
}

/* The sum of 4 lanes. Every variant ends with it: the upper half is added to the lower one, again and again. */
#define SUM_OF_FOUR(x, at) ((x[(at)] + x[(at) + 2]) + (x[(at) + 1] + x[(at) + 3]))

#ifdef RA_VEC_X86

#define WIDTH 16
#define ROWS 7 /* 28 of 32 registers hold sums, the others a vector of each row of B */
#define COLUMNS 4
#include "tensor/dots_tile.h"

#define WIDTH 8
#define ROWS 3 /* 12 of 16 registers hold sums, two of each element */
#define COLUMNS 2
#include "tensor/dots_tile.h"

#endif

#define WIDTH 4
#define ROWS 2 /* four of each element: 16 of the 32 registers that arm64 has */
#define COLUMNS 2
#include "tensor/dots_tile.h"

/* What the machine can run, and for how many rows it pays: long rows hide what it costs to add up the lanes. */
typedef struct variant {
    void (*run)(const ra_dots *p, const target *to);
    size_t most_rows, most_long_rows;
} variant;

enum { LONG = 512 };

static const variant *choose(void) {
#ifdef RA_VEC_X86
    static const variant avx512 = {run_avx512, 16, 32}, avx2 = {run_avx2, 6, 6};
    if (ra_processor_is_v4()) return &avx512;
    if (ra_processor_is_v3()) return &avx2;
#endif
    static const variant any = {run_any, 4, 4};
    return &any;
}

size_t ra_dots_most_rows(size_t k) {
    const variant *best = choose();
    return k < LONG ? best->most_rows : best->most_long_rows;
}

void ra_dots_run(const ra_dots *p, float alpha, float beta, float *c, size_t ldc) {
    const target to = {alpha, beta, c, ldc};
    choose()->run(p, &to);
}
