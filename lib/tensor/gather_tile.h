/* gather_tile.h - the loops of gather.c for one kind of machine; included once for each, with the WIDTH of its vectors in floats and
 * the SUMS that its registers hold. No header: it has no guard. */

#include "tensor/vec_tile.h"

/* y [sums * WIDTH] += all rows from `column` on. The type and the number of sums are constants where this is inlined. */
INLINE TARGET void VARIANT(add_columns)(ra_dtype type, size_t sums, const ra_gather *g, size_t column,
                                        float *y) {
    enum { LINE = 64 };
    vec sum[SUMS];
    size_t last = g->count + g->more - 1;
    EACH_SUM sum[i] = *(const vec *)(y + column + i * WIDTH);
    for (size_t e = 0; e < g->count; e++) {
        const char *row = row_of(g, type, e, column),
                   *next = row_of(g, type, e + AHEAD < last ? e + AHEAD : last, column);
        const float weight = g->weight[e];
        EACH_SUM {
            size_t at = i * WIDTH * size_of(type);
            if (at % LINE == 0) __builtin_prefetch(next + at);
            sum[i] += weight * VARIANT(load)(type, row, i * WIDTH);
        }
    }
    EACH_SUM *(vec *)(y + column + i * WIDTH) = sum[i];
}

INLINE TARGET void VARIANT(add_type)(ra_dtype type, const ra_gather *g, size_t n, float *y) {
    size_t j = 0;
    for (; j + SUMS * WIDTH <= n; j += SUMS * WIDTH) VARIANT(add_columns)(type, SUMS, g, j, y);
    for (; j + SUMS / 3 * WIDTH <= n; j += SUMS / 3 * WIDTH) VARIANT(add_columns)(type, SUMS / 3, g, j, y);
    for (; j + WIDTH <= n; j += WIDTH) VARIANT(add_columns)(type, 1, g, j, y);
    if (j == n) return;
    for (size_t e = 0; e < g->count; e++) { /* what is left of a row is copied before zeros */
        float left[WIDTH] = {0};
        memcpy(left, row_of(g, type, e, j), (n - j) * size_of(type));
        vec numbers = VARIANT(load)(type, (const char *)left, 0);
        for (size_t i = j; i < n; i++) y[i] += g->weight[e] * numbers[i - j];
    }
}

TARGET static void VARIANT(add)(const ra_gather *g, size_t n, float *y) {
    switch (g->type) {
    case RA_F16:
        VARIANT(add_type)(RA_F16, g, n, y);
        break;
    case RA_BF16:
        VARIANT(add_type)(RA_BF16, g, n, y);
        break;
    default:
        VARIANT(add_type)(RA_F32, g, n, y);
    }
}

#undef vec
#undef VARIANT
#undef WIDTH
#undef SUMS
#undef TARGET
#undef WIDEN_F16
