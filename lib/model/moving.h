/* moving.h - rows that are moved along atoms, a chunk at a time in float64, and rounded once: steer and edit.
 *
 *     ra_moving moving;
 *     RA_TRY(ra_moving_reserve(model, workspace, &moving, err));
 *     ra_moving_load(&moving, x, rows);
 *     ra_moving_direction(&moving, 5);
 *     ra_moving_add(&moving, 0, 2.5);
 *     RA_TRY(ra_moving_store(&moving, 0, rows, x_hat, err));
 *
 * A chunk reads each atom once, however many rows it moves. Memory: the workspace's. Thread safety: that of the workspace.
 */
#ifndef RA_MODEL_MOVING_H
#define RA_MODEL_MOVING_H

#include "model/model.h"

enum { RA_MOVING_ROWS = 256 };

typedef struct ra_moving {
    const ra_model *model;
    size_t dimensions;
    double *rows;      /* [RA_MOVING_ROWS, d] */
    double *direction; /* [d] of the atom that was asked for last, in input space */
    float *widened;    /* [d] */
} ra_moving;

ra_status ra_moving_reserve(const ra_model *model, ra_workspace *workspace, ra_moving *moving, ra_error *err);
void ra_moving_load(ra_moving *moving, const float *x, size_t rows); /* rows <= RA_MOVING_ROWS */
const double *ra_moving_direction(ra_moving *moving, size_t atom);
void ra_moving_add(ra_moving *moving, size_t row, double factor); /* factor times the direction */

/* out [rows,d] <- the rows; RA_ERR_NOT_FINITE for one that is beyond float32. first: the number of the first row. */
ra_status ra_moving_store(const ra_moving *moving, size_t first, size_t rows, float *out, ra_error *err);

#endif
