/* compare.h - the parts of `rasae compare`, whose flags and models are in trainer/compare.c.
 *
 *   starts.c   how alike two runs were before their first step
 *   codes.c    on how many rows matched latents are active together
 *   floor.c    what untrained dictionaries have in common
 *   print.c    the tables and the JSON
 */
#ifndef RASAE_COMPARE_COMPARE_H
#define RASAE_COMPARE_COMPARE_H

#include "ra.h"

typedef struct compared_pair {
    size_t a, b; /* which models, a < b */
    ra_comparison result;
    ra_shared_points points;
    double codes;  /* share of the rows of --data that matched latents have in common; NaN: unknown */
    double starts; /* mean cosine of the atoms before the first step, without flips; NaN: unknown */
} compared_pair;

ra_status compare_starts(ra_backend *backend, const char *a, const char *b, double *agreement, ra_error *err);

/* Stabilities without flips of two sets of K random directions, and of K random rows of --data; NaN: unknown. */
typedef struct compared_floor {
    double directions, rows;
} compared_floor;

ra_status compare_floor(ra_backend *backend, const ra_model *model, const ra_data *data,
                        compared_floor *floor, ra_error *err);

typedef struct compare_report {
    const char *const *path; /* [model_count] */
    ra_model *const *model;
    size_t model_count;
    const compared_pair *pairs; /* (0,1), (0,2), ..., (1,2), ... */
    size_t pair_count;
    const compared_floor *floor; /* NULL: not asked for */
} compare_report;

ra_status compare_codes(const ra_model *a, const ra_model *b, const ra_data *data, compared_pair *pair,
                        ra_error *err);

ra_status compare_print_json(const compare_report *report, ra_error *err);
void compare_print_text(const compare_report *report);

#endif
