/* rows.h - rows of the data that a dictionary was trained or measured on, to look at: files of this machine.
 *
 *     --data words=activations.npy      repeat it for the files of a data set in shards, in their order
 *
 * A file is what `rasae eval` takes: .npy, .safetensors or .npz with one array, [rows, d] or [n, tokens, d], whose numbers lie
 * in it as they are. Rows are numbered across the files of a dictionary, from 0, so that row 812 of a reply is row 812 here.
 * Files are opened once, and rows are read with pread(): nothing of them is kept in memory, and a file that shrinks is an
 * error of one request.
 *
 * Thread safety: constant once opened.
 */
#ifndef RASAED_SERVING_ROWS_H
#define RASAED_SERVING_ROWS_H

#include "ra_status.h"

typedef struct data_rows data_rows;     /* of all dictionaries */
typedef struct data_source data_source; /* of one */

/* RA_ERR_ARGUMENT for an item that is not NAME=FILE. */
ra_status rows_check(const char *words, ra_error *err);

/* items: NAME=FILE each. The files of one name have the same number of dimensions. */
ra_status rows_open(char *const *items, size_t count, data_rows **out, ra_error *err);
void rows_free(data_rows *all); /* NULL is fine */

/* That of a dictionary, NULL when it has none. all may be NULL. */
const data_source *rows_of(const data_rows *all, const char *dictionary);

size_t rows_count(const data_source *source);
size_t rows_dimensions(const data_source *source);

/* out [n,d] <- the rows from `first` on, which there are. RA_ERR_IO when a file cannot be read. */
ra_status rows_read(const data_source *source, size_t first, size_t n, float *out, ra_error *err);

#endif
