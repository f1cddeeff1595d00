/* ra_data.h - activations to train and measure on: rows of one or more mapped files.
 *
 *     ra_data *data = NULL;
 *     RA_TRY(ra_data_open(paths, 1, NULL, &data, err));
 *     ra_data_read(data, 0, 1024, x);
 *     ra_data_free(data);
 *
 * Nothing is loaded: rows are widened to float32 when they are asked for, so data may be larger than memory.
 *
 * Symbols: d dimensions.
 * Thread safety: opened data are immutable and may be read from any thread.
 */
#ifndef RA_DATA_H
#define RA_DATA_H

#include "ra_io.h"

/* Rows of activations in one or more mapped files, f32, f16 or bf16 [rows, d]; rows number on from file to
 * file. */
typedef struct ra_data ra_data;

/* tensor_name: for .safetensors files with several tensors; NULL otherwise. Refuses files whose d differ, and
 * NaN or infinity anywhere (names file, row and column). */
ra_status ra_data_open(const char *const *paths, size_t count, const char *tensor_name, ra_data **data,
                       ra_error *err);
void ra_data_free(ra_data *data);
size_t ra_data_rows(const ra_data *data);
size_t ra_data_dimensions(const ra_data *data);

/* out [n,d] <- the rows with these numbers, or n rows in order from `first`. */
void ra_data_gather(const ra_data *data, const uint64_t *rows, size_t n, float *out);
void ra_data_read(const ra_data *data, size_t first, size_t n, float *out);

#endif
