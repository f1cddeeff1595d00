/* windows.h - the windows of the order (order.h) held in memory, for data that is larger: one is in use while a thread
 * reads the next.
 *
 *     ra_windows *read_ahead = NULL;
 *     RA_TRY(ra_windows_open(data, &shape, seed, (ra_windows_place){0, 0}, (ra_windows_place){10, 0}, false,
 *                            &read_ahead, err));
 *     ra_windows_take(read_ahead, epoch, position, n); // waits; the rows before `position` are not needed any more
 *     ra_windows_gather(read_ahead, row_numbers, n, x_hat);
 *     ra_windows_close(read_ahead);
 *
 * Which rows a window has follows from the order, never from timing. Thread safety: one thread at a time.
 */
#ifndef RA_TRAIN_WINDOWS_H
#define RA_TRAIN_WINDOWS_H

#include "train/order.h"

/* How rows are shuffled: what the settings, the data and nothing else say. */
typedef struct ra_window_shape {
    size_t rows, block, unit;
} ra_window_shape;

/* window: the setting, 0 if it is unknown. */
ra_window_shape ra_window_shape_of(const ra_data *data, size_t window);

/* The bytes of both windows. */
double ra_windows_bytes(const ra_data *data, const ra_window_shape *shape);

/* A place in a run. */
typedef struct ra_windows_place {
    uint64_t epoch;
    size_t position;
} ra_windows_place;

typedef struct ra_windows ra_windows;

/* seed: the window seed. The windows from the one at `first` to the one before `end` (position 0: the last one of the
 * epoch before) are read. keep: the system should keep what is read, since others read it, too. */
ra_status ra_windows_open(const ra_data *data, const ra_window_shape *shape, uint64_t seed,
                          ra_windows_place first, ra_windows_place end, bool keep, ra_windows **windows,
                          ra_error *err);
void ra_windows_close(ra_windows *windows); /* NULL is fine */

/* Waits for the windows with these positions of an epoch, of which there are at most two: n is at most the rows of a
 * window without one block. */
void ra_windows_take(ra_windows *windows, uint64_t epoch, size_t position, size_t n);

/* out [n,d] <- rows of the windows that were taken. */
void ra_windows_gather(const ra_windows *windows, const uint64_t *rows, size_t n, float *out);

#endif
