/* coarse.h - which dot products can exceed a bar, by a first pass in 8 bits.
 *
 * A row is rounded to 8 bits per number with a step of its own, and the length of what that loses is kept with it. So a
 * product of two rounded rows, which takes a quarter of the time of one in float32, bounds that of the rows themselves
 * from above. Where only the largest dot products matter, few are left to be computed.
 *
 * It is fast only on machines with instructions for such products; ra_coarse_pays() tells. */
#ifndef RA_TENSOR_COARSE_H
#define RA_TENSOR_COARSE_H

#include "ra_status.h"
#include "base/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RA_COARSE_PANEL = 48, /* columns that are compared with a row at once */
    RA_COARSE_ROWS = 8,   /* rows that are compared with a panel at once */
};

/* For rows of d numbers. */
bool ra_coarse_pays(size_t d);

/* How many numbers a rounded row has. */
size_t ra_coarse_width(size_t d);

/* Rows of d numbers, rounded. They are rows of a comparison, or its columns. */
typedef struct ra_coarse {
    bool columns;
    bool turned; /* set it before rounding, of both factors: turn.h */
    size_t capacity, rows, d;
    uint8_t *
        number; /* rows: [rows, width] plus 128; columns: panels, width / 4 x 48 x 4; zeros where a row ends */
    float *step;     /* [rows] number * step is the rounded row */
    float *error;    /* [rows] at least the length of what is lost */
    float *length;   /* [rows] at least that of the row, and of the rounded one */
    int32_t *offset; /* [rows] of columns: the product with 128s, negated */
} ra_coarse;

/* Room for `capacity` rows. */
ra_status ra_coarse_init(ra_coarse *coarse, bool columns, size_t capacity, size_t d, ra_error *err);
void ra_coarse_release(ra_coarse *coarse); /* leaves {0} */

/* Rounds x [rows,d], rows <= capacity, in the place of the rows before. Not-finite numbers are allowed. */
void ra_coarse_round(ra_coarse *coarse, ra_pool *pool, const float *x, size_t rows);

/* x [count, width] <- the integers of rows, not columns, from this one on; 0 for those of a row that cannot be rounded. */
void ra_coarse_widen(const ra_coarse *rows, size_t from, size_t count, float *x);

/* A column and a row whose dot product may exceed the column's bar. Returns the bar from now on; INFINITY: no more. */
typedef float ra_coarse_found(void *context, size_t column, size_t row);

/* Compares the columns of a panel with the rows [from, rows). bar [48] is that of each column; `magnitudes` compares the
 * magnitudes of dot products. Every pair whose exact dot product exceeds the bar of that moment is found, and others.
 *
 * Thread safety: panels may be compared at the same time. */
void ra_coarse_compare(const ra_coarse *columns, size_t panel, const ra_coarse *rows, size_t from,
                       bool magnitudes, float *bar, ra_coarse_found *found, void *context);

/* score [.., stride] <- -2 times the dot products of the rows [from, to) with the columns of a panel; it begins with the
 * first of both. `from` is a multiple of RA_COARSE_ROWS. `least`: not above those of the rows themselves;
 * -INFINITY or NaN for what cannot be rounded. Otherwise those of the rounded rows; 0 for what cannot be rounded.
 *
 * Thread safety: panels, and parts of the rows, may be multiplied at the same time. */
void ra_coarse_scores(const ra_coarse *columns, size_t panel, const ra_coarse *rows, size_t from, size_t to,
                      bool least, float *score, size_t stride);

#endif
