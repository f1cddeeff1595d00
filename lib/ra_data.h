/* ra_data.h - activations to train and measure on: rows of one or more mapped files.
 *
 *     ra_data *data = NULL;
 *     RA_TRY(ra_data_open(paths, count, NULL, &data, err));
 *     ra_data_read(data, 0, 1024, x);
 *     ra_data_free(data);
 *
 * Nothing is loaded: rows are widened to float32 when they are asked for, so data may be larger than memory.
 *
 * A file holds F32, F16 or BF16 numbers of one of these shapes:
 *
 *     [rows, d]         as they are
 *     [n, tokens, d]    n * tokens rows
 *     [n, d, h, w]      n * h * w rows, those of an image one after another in the order of its pixels, (h,
 * w)
 *
 * Rows number on from file to file. There are two countings: that of the files ("in the files"), and that of
 * the rows which are used, from 0 without gaps, which every function here takes unless it says otherwise.
 * They differ when bad rows are skipped. Labels, and whatever is kept to lead back to the data, go by the
 * first: ra_data_source_row() leads there.
 *
 * Symbols: d dimensions.
 * Thread safety: opened data may be read from any thread; standardization is set before that.
 */
#ifndef RA_DATA_H
#define RA_DATA_H

#include "ra_backend.h"
#include "ra_io.h"

typedef struct ra_data ra_data;

typedef struct ra_data_options {
    const char *tensor_name; /* for .safetensors files with several tensors; NULL otherwise */
    bool skip_bad_rows;      /* leave out rows that hold a NaN or an infinity, with one warning in the log */
} ra_data_options;

/* options may be NULL. Reads everything once, to find what is not finite: such rows are RA_ERR_NOT_FINITE
 * (how many, where the first is, the numbers of some) unless they are skipped. Files whose d differ are
 * RA_ERR_SHAPE. */
ra_status ra_data_open(const char *const *paths, size_t count, const ra_data_options *options, ra_data **data,
                       ra_error *err);
void ra_data_free(ra_data *data); /* NULL is fine */

size_t ra_data_rows(const ra_data *data); /* that are used */
size_t ra_data_dimensions(const ra_data *data);

/* ---- rows in the files -------------------------------------------------------------------------------- */

size_t ra_data_source_rows(const ra_data *data);                /* how many, skipped ones included */
uint64_t ra_data_source_row(const ra_data *data, uint64_t row); /* number in the files of a row */

/* Numbers in the files of the rows that are skipped, ascending; NULL when there are none. */
const uint64_t *ra_data_skipped(const ra_data *data, size_t *count);

/* ---- reading ------------------------------------------------------------------------------------------ */

/* out [n,d] <- the rows with these numbers, or n rows in order from `first`; standardized, if that is set. */
void ra_data_gather(const ra_data *data, const uint64_t *rows, size_t n, float *out);
void ra_data_read(const ra_data *data, size_t first, size_t n, float *out);

/* These rows will be read soon: of data larger than half of the memory, their pages are asked for, and the
 * disk works while the caller computes. Returns at once; changes no result. */
void ra_data_will_need(const ra_data *data, const uint64_t *rows, size_t n);

/* ---- standardization: (x - mean) / scale -------------------------------------------------------------- */

typedef enum ra_standardize {
    RA_STANDARDIZE_NONE,
    RA_STANDARDIZE_ELEMENT, /* the mean and the standard deviation of each dimension */
    RA_STANDARDIZE_GLOBAL,  /* one mean and one standard deviation of all numbers, for every dimension */
} ra_standardize;

/* mean, scale [d] <- those of the rows as they are in the files, summed in float64 in one pass; deviations
 * are biased (over n). The scale of what is constant is 1, and RA_STANDARDIZE_NONE gives 0 and 1. backend:
 * whose threads are used (results do not depend on them); NULL: the caller's alone. */
ra_status ra_data_measure(const ra_data *data, ra_backend *backend, ra_standardize how, float *mean,
                          float *scale, ra_error *err);

/* From here on rows are given out standardized. Copies mean and scale [d]; both NULL: as they are again. A
 * mean that is not finite or a scale that is not a finite number above 0 is refused. */
ra_status ra_data_set_standardization(ra_data *data, const float *mean, const float *scale, ra_error *err);

/* What is set: *mean, *scale [d] live as long as the setting; false and NULL when nothing is. */
bool ra_data_standardization(const ra_data *data, const float **mean, const float **scale);

/* x [n,d] in the units of the files becomes what rows are: standardized if that is set, else left alone. */
void ra_data_standardize(const ra_data *data, float *x, size_t n);

/* Adds the tensors `input.mean` and `input.scale` to a checkpoint (proto/artifact.md), from which
 * ra_standardization_find() reads them; nothing when nothing is set. The data must outlive the write. */
ra_status ra_data_store_standardization(const ra_data *data, ra_safetensors_writer *writer, ra_error *err);

#endif
