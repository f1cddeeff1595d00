/* row_reader.h - the rows of the data, or of a sample of them, read in chunks of some MiB.
 *
 *     ra_row_reader reader;
 *     RA_TRY(ra_row_reader_init(&reader, pool, data, NULL, 0, err));
 *     for (size_t first = 0; first < reader.rows; first += reader.count) {
 *         ra_row_reader_load(&reader, first);
 *         for (size_t i = 0; i < reader.count * reader.dimensions; i++) sum += reader.chunk[i];
 *     }
 *     ra_row_reader_release(&reader);
 *
 * With a sample, row i is row sample[i] of the data. A sample of large data is copied into memory once, if a quarter of
 * the memory is enough for it.
 *
 * Thread safety: one thread at a time; inside, it uses the threads of its pool. Their number changes no
 * result.
 */
#ifndef RA_POINTS_ROW_READER_H
#define RA_POINTS_ROW_READER_H

#include "ra_data.h"
#include "base/pool.h"
#include "data/window.h"

typedef struct ra_row_reader {
    ra_pool *pool; /* may be NULL */
    const ra_data *data;
    const uint64_t *sample;  /* [rows] ascending; NULL: all rows. Not owned */
    ra_window copy;          /* of the sample; {0}: it is read from the data */
    size_t rows, dimensions; /* of the data, or of the sample */
    float *mean;             /* [d] of these rows, rounded to float32 */
    double variance;         /* their mean squared distance to `mean` */
    size_t capacity;         /* rows of a whole chunk */
    /* the chunk that is loaded */
    size_t first, count;
    float *chunk; /* [count, d] */
} ra_row_reader;

/* sample: `count` ascending row numbers, which must outlive the reader; NULL: all rows. Reads the rows once,
 * for their mean and variance. */
ra_status ra_row_reader_init(ra_row_reader *reader, ra_pool *pool, const ra_data *data,
                             const uint64_t *sample, size_t count, ra_error *err);
void ra_row_reader_release(ra_row_reader *reader); /* leaves {0} */

/* Loads a chunk: the rows from `first` on. */
void ra_row_reader_load(ra_row_reader *reader, size_t first);

/* Loads a chunk of the rows with these numbers [count], count <= capacity; `first` becomes 0. */
void ra_row_reader_gather(ra_row_reader *reader, const uint64_t *rows, size_t count);

/* out [n,d] <- the rows with these numbers; the chunk stays as it is. */
void ra_row_reader_read(const ra_row_reader *reader, const uint64_t *rows, size_t n, float *out);

/* Rows that will be read one by one: of large data, the disk begins to read them. At most 1024 of them. */
void ra_row_reader_announce(const ra_row_reader *reader, const uint64_t *rows, size_t n);

/* centered [count,d], norm [count] <- rows of the chunk minus the mean, and their squared norms: the rows
 * picked[from], picked[from + 1], ... of the chunk, or (NULL) from, from + 1, ... */
void ra_row_reader_center(const ra_row_reader *reader, size_t from, const int32_t *picked, size_t count,
                          float *centered, double *norm);

/* sums [groups, d] += the rows of the chunk, in their order: row i is added to group label[i]. */
void ra_row_reader_accumulate(const ra_row_reader *reader, const int32_t *label, double *sums);

/* The squared distance of x [n] and y [n]. Differences of float32 numbers are exact in float64; only their
 * squares and the sum are rounded. */
double ra_squared_distance(const float *x, const float *y, size_t n);

#endif
