/* window.h - rows of the data that are held in memory, each copied once: a part of data that is larger than memory, to
 * be used in an order of which the disk knows nothing.
 *
 *     ra_window window;
 *     RA_TRY(ra_window_init(&window, data, 4096, 2, err));
 *     ra_window_fill(&window, (ra_row_run[]){{0, 2048}, {100000, 2048}}, 2, NULL);
 *     ra_window_gather(&window, (uint64_t[]){100007, 3}, 2, x_hat);
 *     ra_window_release(&window);
 *
 * Rows are held as the files have them (f16 stays f16), if all files are of one type of at most four bytes; otherwise
 * as float32, which is how they are read. So a row from a window has the bits of one from ra_data_read().
 *
 * Thread safety: one thread fills; then any number may gather.
 */
#ifndef RA_DATA_WINDOW_H
#define RA_DATA_WINDOW_H

#include "ra_data.h"

#include <stdatomic.h>

typedef struct ra_row_run {
    uint64_t first;
    size_t count;
} ra_row_run;

typedef struct ra_window {
    const ra_data *data;
    ra_dtype dtype;
    size_t row_bytes;
    size_t capacity, run_capacity;
    char *numbers;   /* [capacity, d] */
    ra_row_run *run; /* [run_count] ascending */
    size_t *at;      /* [run_count] where each begins in `numbers`, in rows */
    size_t run_count;
    float *scratch; /* for rows that are converted; NULL: none are */
    bool drop;      /* the system need not keep what was read: set it where all of it does not fit anyway */
} ra_window;

/* The bytes that a row takes in a window. */
size_t ra_window_row_bytes(const ra_data *data);

/* For up to `rows` rows in up to `runs` runs. */
ra_status ra_window_init(ra_window *window, const ra_data *data, size_t rows, size_t runs, ra_error *err);
void ra_window_release(ra_window *window); /* leaves {0} */

/* Copies the rows of these runs, which do not overlap, in the order in which they lie on the disk. Ends early if *stop
 * (may be NULL) becomes true. */
void ra_window_fill(ra_window *window, const ra_row_run *runs, size_t count, const atomic_bool *stop);

/* out [d] <- a row; false if it is not in the window. */
bool ra_window_get(const ra_window *window, uint64_t row, float *out);

/* out [n,d] <- rows of the window, standardized if that is set. A row that is not in it is read from the data. */
void ra_window_gather(const ra_window *window, const uint64_t *rows, size_t n, float *out);

#endif
