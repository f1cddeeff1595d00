/* ra_data.h - activations for training and measuring: the rows of one or more mapped files.
 *
 *     ra_data *data = NULL;
 *     float *batch = ra_malloc(1024 * d, sizeof *batch);
 *     RA_TRY(ra_data_open(paths, count, NULL, &data, err));
 *     ra_data_read(data, 0, 1024, batch);
 *     ra_free(batch);
 *     ra_data_free(data);
 *
 * Nothing is loaded in advance: rows are converted to float32 when they are read, so the data may be larger
 * than memory.
 *
 * A file holds F32, F16, BF16 or F64 numbers, or integers of at most 16 bits, in one of these shapes:
 *
 *     [rows, d]         as they are
 *     [n, tokens, d]    n * tokens rows
 *     [n, d, h, w]      n * h * w rows: those of image 0 in the order of its pixels (h, w), then image 1, ...
 *     [n, h, w, d]      the same, if the layout says so
 *
 * Rows are numbered across all files, in two ways: as the files hold them ("in the files"), and without the
 * rows that are skipped. Every function here takes numbers of the second kind, from 0 without gaps, unless
 * it says otherwise. Labels, and everything that refers back to the data, use numbers of the first kind;
 * ra_data_source_row() converts.
 *
 * Symbols: d dimensions.
 * Thread safety: open data may be read from any thread; the standardization must be set before.
 */
#ifndef RA_DATA_H
#define RA_DATA_H

#include "ra_backend.h"
#include "ra_io.h"

typedef struct ra_data ra_data;

/* What the sizes of an array mean. */
typedef enum ra_layout_of_data {
    RA_LAYOUT_GUESS, /* by their number; four are [n, d, h, w], with a warning if w is larger than d */
    RA_LAYOUT_NCHW,  /* [n, d, h, w]: PyTorch's convolutions */
    RA_LAYOUT_NHWC,  /* [n, h, w, d]: Swin, ConvNeXt, JAX, TensorFlow */
    RA_LAYOUT_ROWS,  /* the last size is d, whatever is before it */
} ra_layout_of_data;

typedef struct ra_data_options {
    const char *tensor_name; /* for .safetensors and .npz files with several arrays; otherwise NULL */
    double holdout;          /* share of the rows to skip and keep for ra_data_read_held(); 0: none */
    bool skip_bad_rows;      /* skip rows that hold a NaN or an infinity, with one warning in the log */
    ra_layout_of_data layout;
    size_t memory; /* bytes of memory that there are; 0: ra_memory_limit() */
} ra_data_options;

/* options may be NULL. Reads everything once to find numbers that are not finite: unless their rows are
 * skipped, they are RA_ERR_NOT_FINITE, with how many rows there are and where. Files of different d are
 * RA_ERR_SHAPE. A file without rows is left out, with a warning in the log, if another one has some. */
ra_status ra_data_open(const char *const *paths, size_t count, const ra_data_options *options, ra_data **data,
                       ra_error *err);
void ra_data_free(ra_data *data); /* NULL is fine */

size_t ra_data_rows(const ra_data *data); /* without the skipped ones */
size_t ra_data_dimensions(const ra_data *data);

/* The bytes of all files, and of the memory that there is. Data of more than half of it are large: they are read with
 * read() instead of from their mapping, each byte that is asked for and nothing around it. */
double ra_data_bytes(const ra_data *data);
size_t ra_data_memory(const ra_data *data);
bool ra_data_is_large(const ra_data *data);

/* Rows of which one costs a read of all: those of an image, if all files have images of one size; 1: none. */
size_t ra_data_rows_together(const ra_data *data);

/* *rows <- how many rows of the files are parts of one item: the tokens of a text, the pixels of an image; *width <- of
 * the image, 0 for a sequence. false, and zeros, if the rows are items of their own, or the files have items of
 * different sizes. */
bool ra_data_items(const ra_data *data, size_t *rows, size_t *width);

/* ---- rows in the files -------------------------------------------------------------------------------- */

size_t ra_data_source_rows(const ra_data *data);                /* how many, with the skipped ones */
uint64_t ra_data_source_row(const ra_data *data, uint64_t row); /* the number of a row in the files */

/* The numbers in the files of the skipped rows, ascending; NULL if there are none. */
const uint64_t *ra_data_skipped(const ra_data *data, size_t *count);

/* ---- rows that are held out ---------------------------------------------------------------------------- */

/* They are drawn from all parts of the data, the same ones for any two runs over the same files; at most
 * RA_HOLDOUT_MOST of them. RA_ERR_ARGUMENT from ra_data_open() for a share that leaves no row on either side. */
enum { RA_HOLDOUT_MOST = 100000 };
size_t ra_data_held_rows(const ra_data *data);

/* out [n,d] <- n of them from `first` on, as they are in the files. */
void ra_data_read_held(const ra_data *data, size_t first, size_t n, float *out);

/* ---- reading ------------------------------------------------------------------------------------------ */

/* out [n,d] <- the rows with these numbers, or n rows from `first` on; standardized if that is set. */
void ra_data_gather(const ra_data *data, const uint64_t *rows, size_t n, float *out);
void ra_data_read(const ra_data *data, size_t first, size_t n, float *out);

/* Announces that these rows, or up to n rows from `first` on, will be read soon. Of large data, the system then
 * reads their pages from the disk while the caller computes. Returns at once; changes no result. */
void ra_data_will_need(const ra_data *data, const uint64_t *rows, size_t n);
void ra_data_read_ahead(const ra_data *data, size_t first, size_t n);

/* ---- standardization: (x - mean) / scale -------------------------------------------------------------- */

typedef enum ra_standardize {
    RA_STANDARDIZE_NONE,
    RA_STANDARDIZE_ELEMENT, /* a mean and a standard deviation for each dimension */
    RA_STANDARDIZE_GLOBAL,  /* one mean and one standard deviation, of all numbers, for every dimension */
} ra_standardize;

/* mean, scale [d] <- of the rows as the files hold them, summed in float64 in one pass; the standard
 * deviations are biased (divided by n). A constant dimension has the scale 1, and RA_STANDARDIZE_NONE gives 0
 * and 1. Uses the threads of the backend, on which the result does not depend; NULL: only the caller's. */
ra_status ra_data_measure(const ra_data *data, ra_backend *backend, ra_standardize how, float *mean,
                          float *scale, ra_error *err);

/* From now on rows are read standardized. Copies mean and scale [d]; if both are NULL, rows are read as they
 * are again. RA_ERR_ARGUMENT unless every mean is finite and every scale finite and above 0. */
ra_status ra_data_set_standardization(ra_data *data, const float *mean, const float *scale, ra_error *err);

/* The current setting: *mean and *scale [d] live until it changes; false and NULL if there is none. */
bool ra_data_standardization(const ra_data *data, const float **mean, const float **scale);

/* x [n,d] in the units of the files <- as rows are read: standardized if that is set, else unchanged. */
void ra_data_standardize(const ra_data *data, float *x, size_t n);

/* ---- a look at the data --------------------------------------------------------------------------------- */

/* What tells that training would suffer, from some thousands of rows as they are read. */
typedef struct ra_data_survey {
    size_t rows; /* that were looked at */
    double
        mean_share; /* of the energy, the share in the means of the dimensions: mean^2 / (mean^2 + variance) */
    size_t half_of_variance; /* the fewest dimensions that hold half of the variance; 0: nothing varies */
    size_t constant;         /* dimensions that do not vary */
    double repeated;         /* share of the rows that equal another one before */
    double size;             /* root mean square of all numbers */
} ra_data_survey;

/* *repeated <- how many of the rows [n,d], in any float type, equal another one before them. */
ra_status ra_rows_count_repeated(const ra_tensor *rows, size_t *repeated, ra_error *err);

ra_status ra_data_survey_take(const ra_data *data, ra_data_survey *survey, ra_error *err);

/* Adds the tensors `input.mean` and `input.scale` to a checkpoint (proto/artifact.md), where
 * ra_standardization_find() finds them; adds nothing if no standardization is set. The data must outlive the
 * write. */
ra_status ra_data_store_standardization(const ra_data *data, ra_safetensors_writer *writer, ra_error *err);

#endif
