/* agreement.h - runs that the atoms of a dictionary are compared with, from their files.
 *
 * Thread safety: one thread.
 */
#ifndef RASAE_COMMON_AGREEMENT_H
#define RASAE_COMMON_AGREEMENT_H

#include "common/command.h"

enum { RUNS_MOST = 255 };

/* The fused dictionaries of files; the caller releases them, also after a failure. */
typedef struct run_dictionaries {
    ra_matrix D[RUNS_MOST];
    size_t count;
} run_dictionaries;

/* RA_ERR_SHAPE for atoms of another number of dimensions than the first file's. */
ra_status run_dictionaries_open(const model_choice *choice, const char *const *paths, size_t count,
                                run_dictionaries *runs, ra_error *err);
void run_dictionaries_release(run_dictionaries *runs);

/* *agreement <- that of D with the runs; the caller releases it. */
ra_status run_dictionaries_agreement(const model_choice *choice, const ra_matrix *D,
                                     const run_dictionaries *runs, double level, ra_agreement *agreement,
                                     ra_error *err);

/* The paths between commas in `list`: *paths [*count] point into *copy, which the caller frees. */
ra_status split_paths(const char *list, char **copy, const char *paths[RUNS_MOST], size_t *count,
                      ra_error *err);

/* The median atom's share and cosine, and the share of the atoms that at least half of the runs have. */
typedef struct agreement_figures {
    double share, cosine, found;
} agreement_figures;
ra_status agreement_figures_of(const ra_agreement *agreement, agreement_figures *figures, ra_error *err);

#endif
