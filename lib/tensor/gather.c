/* As many sums as the machine has registers for stay in them while all rows are added, so that each number of a row costs one load
 * and one instruction. Which rows come next, no processor guesses, and they lie anywhere: they are asked for AHEAD of their
 * turn, a piece at a time. */
#include "tensor/gather.h"
#include "base/processor.h"
#include "tensor/half.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { AHEAD = 8 }; /* entries; 4 and 16 are slower */

/* Only a loop that is unrolled has its sums in registers. */
#define EACH_SUM _Pragma("GCC unroll 24") for (size_t i = 0; i < sums; i++)

INLINE size_t size_of(ra_dtype type) {
    return type == RA_F32 ? sizeof(float) : sizeof(uint16_t);
}

INLINE const char *row_of(const ra_gather *g, ra_dtype type, size_t entry, size_t column) {
    return (const char *)g->rows + ((size_t)g->index[entry] * g->stride + column) * size_of(type);
}

#if defined(__x86_64__) && !defined(RA_SANITIZE)
#include <immintrin.h>

#define VARIANT(name) name##_avx512
#define WIDEN_F16(from) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(from)))
#define WIDTH 16
#define SUMS 24 /* of 32 registers */
#define TARGET __attribute__((target("arch=x86-64-v4")))
#include "tensor/gather_tile.h"

#define VARIANT(name) name##_avx2
#define WIDEN_F16(from) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(from)))
#define WIDTH 8
#define SUMS 12 /* of 16 registers */
#define TARGET __attribute__((target("arch=x86-64-v3")))
#include "tensor/gather_tile.h"

#endif

typedef float four __attribute__((vector_size(16)));

INLINE four widen_four(const char *from) {
    uint16_t half[4];
    memcpy(half, from, sizeof half);
    return (four){ra_f16_to_f32(half[0]), ra_f16_to_f32(half[1]), ra_f16_to_f32(half[2]),
                  ra_f16_to_f32(half[3])};
}

#define VARIANT(name) name##_any
#define WIDEN_F16(from) widen_four(from)
#define WIDTH 4
#define SUMS 12
#define TARGET
#include "tensor/gather_tile.h"

typedef void add_rows(const ra_gather *gather, size_t n, float *y);

static add_rows *choose(void) {
#if defined(__x86_64__) && !defined(RA_SANITIZE)
    if (ra_processor_is_v4()) return add_avx512;
    if (ra_processor_is_v3()) return add_avx2;
#endif
    return add_any;
}

void ra_gather_add(const ra_gather *gather, size_t n, float *y) {
    choose()(gather, n, y);
}
