/* dots_tile.h - the loops of dots.c for one kind of machine; included once for each, with the WIDTH of its vectors in floats, and the
 * ROWS and COLUMNS of its largest tile. No header: it has no guard. */

#define PARTS (LANES / WIDTH) /* vectors of an element's partial sums */
#include "tensor/vec_tile.h"

/* sums[c] <- the sum of the LANES of part[c]: the upper half is added to the lower one until one is left. */
INLINE TARGET void VARIANT(add_lanes)(vec part[COLUMNS][PARTS], float *sums) {
    for (size_t c = 0; c < COLUMNS; c++)
        for (size_t half = PARTS / 2; half > 0; half /= 2)
            for (size_t i = 0; i < half; i++) part[c][i] += part[c][i + half];
#if WIDTH == 16 /* the halves of two vectors fill one */
#define LOW_8(x, y) __builtin_shufflevector(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
#define HIGH_8(x, y)                                                                                         \
    __builtin_shufflevector(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
#define LOW_4(x, y) __builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define HIGH_4(x, y) __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)
    vec a = part[0][0], b = part[1][0], c = part[2][0], d = part[3][0];
    vec ab = LOW_8(a, b) + HIGH_8(a, b), cd = LOW_8(c, d) + HIGH_8(c, d),
        all = LOW_4(ab, cd) + HIGH_4(ab, cd);
    for (size_t i = 0; i < COLUMNS; i++) sums[i] = SUM_OF_FOUR(all, 4 * i);
#elif WIDTH == 8
    vec a = part[0][0], b = part[1][0];
    vec all = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11) +
              __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
    for (size_t i = 0; i < COLUMNS; i++) sums[i] = SUM_OF_FOUR(all, 4 * i);
#else
    for (size_t i = 0; i < COLUMNS; i++) sums[i] = SUM_OF_FOUR(part[i][0], 0);
#endif
}

/* Adds the products of LANES elements of each row. */
INLINE TARGET void VARIANT(multiply)(ra_dtype type, size_t rows, const float *const *a, const char *const *b,
                                     size_t i, vec part[ROWS][COLUMNS][PARTS]) {
    for (size_t l = 0; l < PARTS; l++) {
        vec y[COLUMNS];
        for (size_t c = 0; c < COLUMNS; c++) y[c] = VARIANT(load)(type, b[c], i + l * WIDTH);
        for (size_t r = 0; r < rows; r++) {
            vec x = *(const vec *)(a[r] + i + l * WIDTH);
            for (size_t c = 0; c < COLUMNS; c++) part[r][c][l] += x * y[c];
        }
    }
}

/* What is left of the rows behind their last LANES elements is copied before zeros. */
INLINE TARGET void VARIANT(multiply_rest)(ra_dtype type, size_t rows, const float *const *a,
                                          const char *const *b, size_t i, size_t count,
                                          vec part[ROWS][COLUMNS][PARTS]) {
    float left[ROWS + COLUMNS][LANES] = {{0}};
    const float *x[ROWS];
    const char *y[COLUMNS];
    for (size_t r = 0; r < rows; r++) x[r] = memcpy(left[r], a[r] + i, count * sizeof(float));
    for (size_t c = 0; c < COLUMNS; c++)
        y[c] = memcpy(left[ROWS + c], b[c] + i * size_of(type), count * size_of(type));
    VARIANT(multiply)(type, rows, x, y, 0, part);
}

/* sums[r * COLUMNS + c] <- <a[r], b[c]>. The type and the number of rows are constants where this is inlined. */
INLINE TARGET void VARIANT(tile)(ra_dtype type, size_t rows, const float *const *a, const char *const *b,
                                 size_t k, fetch next, float *sums) {
    vec part[ROWS][COLUMNS][PARTS] = {{{{0}}}};
    size_t i = 0;
    for (; i + LANES <= k; i += LANES, next.from += next.step) {
        for (size_t c = 0; c < COLUMNS; c++) __builtin_prefetch(b[c] + next.from * size_of(type));
        VARIANT(multiply)(type, rows, a, b, i, part);
    }
    if (i < k) VARIANT(multiply_rest)(type, rows, a, b, i, k - i, part);
    for (size_t r = 0; r < rows; r++) VARIANT(add_lanes)(part[r], sums + r * COLUMNS);
}

/* All rows of A with COLUMNS rows of B from j on; beyond the last of B, they are that one again. Rows of A go in groups
 * of nearly one size: a group of one would load as much of B for a fraction of the work. */
INLINE TARGET void VARIANT(all_rows)(ra_dtype type, const ra_dots *p, size_t j, const target *to) {
    const float *a[ROWS];
    const char *b[COLUMNS];
    float sums[ROWS * COLUMNS];
    size_t columns = p->n - j < COLUMNS ? p->n - j : COLUMNS, all_groups = (p->m + ROWS - 1) / ROWS,
           group = 0, rows;
    for (size_t c = 0; c < COLUMNS; c++)
        b[c] = (const char *)p->b + (j + (c < columns ? c : columns - 1)) * p->ldb * size_of(type);
    for (size_t i = 0; i < p->m; i += rows, group++) {
        size_t groups = all_groups - group; /* that are left */
        rows = (p->m - i + groups - 1) / groups;
        for (size_t r = 0; r < ROWS; r++) a[r] = p->a + (i + (r < rows ? r : 0)) * p->lda;
        fetch next = fetch_share(p, COLUMNS, group, all_groups);
        switch (rows) {
        case 1:
            VARIANT(tile)(type, 1, a, b, p->k, next, sums);
            break;
        case 2:
            VARIANT(tile)(type, 2, a, b, p->k, next, sums);
            break;
#if ROWS > 2
        case 3:
            VARIANT(tile)(type, 3, a, b, p->k, next, sums);
            break;
#endif
#if ROWS > 3
        case 4:
            VARIANT(tile)(type, 4, a, b, p->k, next, sums);
            break;
        case 5:
            VARIANT(tile)(type, 5, a, b, p->k, next, sums);
            break;
        case 6:
            VARIANT(tile)(type, 6, a, b, p->k, next, sums);
            break;
        case 7:
            VARIANT(tile)(type, 7, a, b, p->k, next, sums);
            break;
#endif
        }
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < columns; c++) {
                float *at = to->c + (i + r) * to->ldc + j + c, sum = to->alpha * sums[r * COLUMNS + c];
                *at = to->beta != 0 ? sum + to->beta * *at : sum;
            }
    }
}

TARGET static void VARIANT(run)(const ra_dots *p, const target *to) {
    switch (p->type) {
    case RA_F16:
        for (size_t j = 0; j < p->n; j += COLUMNS) VARIANT(all_rows)(RA_F16, p, j, to);
        break;
    case RA_BF16:
        for (size_t j = 0; j < p->n; j += COLUMNS) VARIANT(all_rows)(RA_BF16, p, j, to);
        break;
    default:
        for (size_t j = 0; j < p->n; j += COLUMNS) VARIANT(all_rows)(RA_F32, p, j, to);
    }
}

#undef PARTS
#undef vec
#undef VARIANT
#undef WIDTH
#undef ROWS
#undef COLUMNS
#undef TARGET
#undef WIDEN_F16
