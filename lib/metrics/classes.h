/* classes.h - identifiability: how well a single latent distinguishes a class of rows from all others.
 *
 * For each class it finds the best latent and threshold: those with the largest P((z > threshold) = (row is
 * in the class)). That needs all active values in order, so the codes are kept, 20 bytes per value.
 *
 * Thread safety: one thread at a time.
 */
#ifndef RA_METRICS_CLASSES_H
#define RA_METRICS_CLASSES_H

#include "ra_metrics.h"
#include "base/pool.h"

typedef struct ra_classes {
    size_t latents, classes, rows; /* K, C; the rows so far */
    size_t most;                   /* entries, at most */
    size_t entries, capacity;
    int32_t *latent, *klass; /* [entries] */
    float *value;            /* [entries] */
    size_t *size;            /* [C] the rows of each class */
    bool overflowed;         /* there were more entries than `most`; none are kept */
} ra_classes;

ra_status ra_classes_init(ra_classes *classes, size_t latents, size_t count, size_t bytes, ra_error *err);
void ra_classes_release(ra_classes *classes); /* leaves {0} */

/* row_class [codes->rows]: the class of each row, below C. */
ra_status ra_classes_add(ra_classes *classes, const ra_codes *codes, const int32_t *row_class, ra_error *err);

/* best [C] <- for the rows so far, at least one. Not after an overflow. */
ra_status ra_classes_best(ra_classes *classes, ra_class_detector *best, ra_error *err);

#endif
