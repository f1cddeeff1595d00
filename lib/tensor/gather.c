/* As many sums as the machine has registers for stay in them while all rows are added, so that each number of a row costs one load
 * and one instruction. A processor cannot guess which rows come next, because they lie anywhere: they are asked for AHEAD of
 * their turn, a line at a time. */
#include "tensor/gather.h"
#include "tensor/vec.h"

enum { AHEAD = 8 }; /* entries; 4 and 16 are slower */

/* Only a loop that is unrolled has its sums in registers. */
#define EACH_SUM _Pragma("GCC unroll 24") for (size_t i = 0; i < sums; i++)

INLINE const char *row_of(const ra_gather *g, ra_dtype type, size_t entry, size_t column) {
    return (const char *)g->rows + ((size_t)g->index[entry] * g->stride + column) * size_of(type);
}

#ifdef RA_VEC_X86

#define WIDTH 16
#define SUMS 24 /* of 32 registers */
#include "tensor/gather_tile.h"

#define WIDTH 8
#define SUMS 12 /* of 16 registers */
#include "tensor/gather_tile.h"

#endif

#define WIDTH 4
#define SUMS 12
#include "tensor/gather_tile.h"

typedef void add_rows(const ra_gather *gather, size_t n, float *y);

static add_rows *choose(void) {
#ifdef RA_VEC_X86
    if (ra_processor_is_v4()) return add_avx512;
    if (ra_processor_is_v3()) return add_avx2;
#endif
    return add_any;
}

void ra_gather_add(const ra_gather *gather, size_t n, float *y) {
    choose()(gather, n, y);
}
