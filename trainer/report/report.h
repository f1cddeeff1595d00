/* report.h - the page of `rasae train --report`: what a training did, in one file that needs nothing else.
 *
 *     report_history      gathers the values of the steps; history.c
 *     report_measure()    measures the finished model: how often latents fire, the spectrum; measure.c
 *     report_content      what the page shows; page.h writes it
 *
 * A page shows one run or several (seeds) of the same settings, in charts laid over each other.
 *
 * Thread safety: one thread.
 */
#ifndef RASAE_REPORT_REPORT_H
#define RASAE_REPORT_REPORT_H

#include "common/progress.h"

#include "ra.h"

/* ---- what the steps say ------------------------------------------------------------------------------- */

enum { REPORT_POINTS = 2048 };

/* Consecutive steps. Loss, both R2, L0 and the gradient norm are means over them, weighted by the rows of their
 * batches; the other values are those of the last step. */
typedef struct report_point {
    double step; /* the last one, from 1 */
    double rows;
    double loss, r2, l0, grad_norm;
    double dead, lr;
    double r2_per_dimension;
} report_point;

/* At most REPORT_POINTS points. When they are full, every two become one, and from then on a point takes
 * twice as many steps. {0} is valid and empty. */
typedef struct report_history {
    report_point *points;
    size_t count;
    size_t width; /* steps per point; the last one may have fewer */
    size_t begun; /* steps in the last point */
} report_history;

ra_status report_history_init(report_history *history, ra_error *err);
void report_history_release(report_history *history); /* leaves {0} */
void report_history_add(report_history *history, const ra_train_progress *step);

/* ---- what the model says ------------------------------------------------------------------------------ */

typedef struct report_measures {
    size_t rows;           /* that were encoded, in evaluation mode; 0: none */
    float *density;        /* [K] share of these rows on which a latent is active */
    float *mean;           /* [K] its mean over these rows */
    double *singular;      /* [singular_count] singular values of D, largest first */
    size_t singular_count; /* 0: not computed */
    double stable_rank;    /* ||D||_F^2 / ||D||_2^2 */
    double effective_rank; /* exp of the entropy of the singular values over their sum */
} report_measures;

/* Encodes at most REPORT_ROWS rows, spread over the data (in the units that the model takes), and fewer of a
 * large model (which would take minutes); skips the spectrum when both sides of D are above REPORT_SPECTRUM.
 * *measures is overwritten. */
enum { REPORT_ROWS = 100000, REPORT_SPECTRUM = 4096 };
ra_status report_measure(ra_model *model, ra_backend *backend, const ra_data *data, progress_meter *progress,
                         report_measures *measures, ra_error *err);
void report_measures_release(report_measures *measures); /* leaves {0} */

/* ---- the page ----------------------------------------------------------------------------------------- */

typedef struct report_setting {
    const char *name, *value;
} report_setting;

typedef struct report_run {
    const char *name;              /* in legends: "seed 1" */
    const char *output;            /* the file that was written */
    const report_history *history; /* of at least one step */
    const report_measures *measures;
    const ra_model *model; /* opened from output */
    size_t steps;
    double loss, r2_per_dimension, r2, l0; /* over the last tenth of the steps */
    double dead;                           /* of the last step */
    double r2_holdout;                     /* on rows that were held out; NaN: none were */
    double seconds, rows_per_second;
} report_run;

typedef struct report_content {
    const char *title;
    const report_setting *settings; /* in the order of the table; without values that differ between runs */
    size_t setting_count;
    const char *const *data; /* names of the files */
    size_t data_count, rows, dimensions;
    const report_run *runs;
    size_t run_count;
} report_content;

#endif
