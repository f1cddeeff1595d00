/* ra_trace.h - atoms traced to data: for each atom a nonnegative mixture of a few real rows that comes as near
 * to it as could be found.
 *
 *     ra_trace trace = {0};
 *     RA_TRY(ra_trace_atoms(backend, ra_model_dictionary(model), data, NULL, &trace, err));
 *     for (size_t t = 0; t < trace.rows && trace.row[7 * trace.rows + t] >= 0; t++)
 *         printf("%.2f of row %lld\n", (double)trace.weight[7 * trace.rows + t], (long long)trace.row[7 * trace.rows + t]);
 *     ra_trace_release(&trace);
 *
 * It works for any dictionary in the space of the data, however it was trained: what comes out depends on the
 * atoms and the rows alone. The cosine says how much of the atom the rows account for; a trace with a low one
 * explains little, and says so.
 *
 * The method is orthogonal matching pursuit with nonnegative weights (Bruckstein, Elad, Zibulevsky 2008): the
 * row of the largest cosine with what is left of the atom is added, all weights are found anew by nonnegative
 * least squares, exactly (Lawson and Hanson 1974), until there are enough rows or none helps.
 *
 * Symbols: K atoms, d dimensions, R rows per atom.
 * Thread safety: plain functions; results do not depend on the number of threads.
 */
#ifndef RA_TRACE_H
#define RA_TRACE_H

#include "ra_backend.h"
#include "ra_data.h"

enum { RA_TRACE_ROWS_DEFAULT = 5, RA_TRACE_ROWS_MOST = 32 };

/* Owner; {0} is a valid, empty one. */
typedef struct ra_trace {
    size_t atoms, rows; /* K, R */
    int64_t
        *row; /* [K,R] by falling contribution, numbered as in the files (ra_data.h); -1 behind the last */
    float *weight; /* [K,R] of rows of length one, summing to 1; 0 behind the last */
    /* [K,R] what a row adds along the atom, as a share of it: with the unscaled weights a, a_i <r_i, D_k> /
     * ||D_k||^2. They add up to the square of the cosine. */
    float *contribution;
    float *cosine;   /* [K] between the atom and its rows' mixture; 0 for an atom without rows */
    size_t searched; /* rows that were looked at */
} ra_trace;

void ra_trace_release(ra_trace *trace); /* leaves {0} */

typedef struct ra_trace_options {
    size_t rows;     /* R, 1 to RA_TRACE_ROWS_MOST; 0: RA_TRACE_ROWS_DEFAULT */
    size_t searched; /* look at so many rows only, evenly spaced over the data; 0: all */
    /* Called after every block of rows, `done` of `total` products; false stops with RA_ERR_CANCELED. May be
     * NULL. */
    bool (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
} ra_trace_options;

/* atoms [K,d] in any float type, in the space in which the data are given out (ra_data_set_standardization()).
 * options may be NULL. Reads the data R times at most. *trace is overwritten; on failure it is {0}. */
ra_status ra_trace_atoms(ra_backend *backend, const ra_tensor *atoms, const ra_data *data,
                         const ra_trace_options *options, ra_trace *trace, ra_error *err);

/* *text (freed with ra_free()) <- the labels of the rows, `labels` having one per row in the files: a line per
 * atom, with tabs between; within a label these and line ends become spaces. */
ra_status ra_trace_label_lines(const ra_trace *trace, const ra_labels *labels, char **text, size_t *bytes,
                               ra_error *err);

/* Adds trace.row, trace.weight, trace.contribution, trace.cosine and, with labels (may be NULL), trace.labels to a checkpoint
 * (proto/artifact.md). The trace and *text must outlive the write; *text (or NULL) is freed with ra_free(). */
ra_status ra_trace_store(const ra_trace *trace, const ra_labels *labels, ra_safetensors_writer *writer,
                         char **text, ra_error *err);

#endif
