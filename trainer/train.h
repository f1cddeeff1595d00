/* train.h - the parts of `rasae train`, in the order in which they run.
 *
 *     train.c         the command: flags, --help, which files are opened, the order of everything
 *     train_plan.c    which settings hold: flag, else metadata of --init, else default; what cannot work is
 *                     refused here, before anything is computed
 *     train_points.c  the part of that about candidate points
 *     train_run.c     candidate points, the autoencoder, the loop with its progress and log
 *     train_save.c    the checkpoint and the closing summary
 *
 * Thread safety: one thread.
 */
#ifndef RASAE_TRAIN_H
#define RASAE_TRAIN_H

#include "command.h"
#include "json.h"
#include "progress.h"

/* The command line. */
typedef struct train_options {
    const char *const *data;
    size_t data_count;
    const char *output, *tensor, *points, *init, *labels, *log;
    bool json, quiet;
    model_choice model; /* backend, and the SAE settings given as flags */
    ra_train_settings train;
} train_options;

/* What is read before anything is computed; files that were not named are NULL. */
typedef struct train_inputs {
    ra_data *data;
    ra_labels *labels;
    ra_safetensors *init;
    ra_array *points;
} train_inputs;

typedef enum points_source {
    POINTS_NONE,   /* a plain dictionary has none */
    POINTS_INIT,   /* they are in the --init file */
    POINTS_FILE,   /* --points FILE */
    POINTS_ROWS,   /* every row of the data is one */
    POINTS_SAMPLE, /* random rows */
    POINTS_KMEANS, /* centroids */
} points_source;

/* What will be done: complete settings. With --init `sae` holds only what the flags say, since the rest is in
 * the file that the library opens. */
typedef struct train_plan {
    ra_sae_settings sae;
    ra_train_settings train;
    points_source source;
    size_t concepts, points; /* K, N */
} train_plan;

/* Whether --points (may be NULL) is the name of a file: it is no number, not `all` and not `sample:N`. */
bool train_points_is_file(const char *points);

/* The first flag about points that was given, without dashes; NULL: none was. */
const char *train_points_flag(const train_options *options);

/* What is wrong with the flags about points, or NULL: some contradict each other. */
const char *train_points_contradiction(const train_options *options);

/* Settings of which --help shows the defaults. */
void train_plan_defaults(ra_sae_settings *sae, ra_train_settings *train);

/* The part of train_plan_make() about points of an archetypal dictionary without --init. */
ra_status train_plan_points(const train_options *options, const train_inputs *inputs, train_plan *plan,
                            ra_error *err);

/* Completes the settings about points with those that the plan follows; takes away what it does not use. */
void train_plan_points_settings(const train_plan *plan, ra_train_settings *settings);

/* RA_ERR_ARGUMENT, RA_ERR_SHAPE, RA_ERR_TOO_LARGE for what cannot work, naming the flags. */
ra_status train_plan_make(const train_options *options, const train_inputs *inputs, train_plan *plan,
                          ra_error *err);

/* Whether the setting with this flag is known. */
bool train_knows(const ra_train_settings *settings, const char *flag);

/* The kinds that keep at most top_k latents a row (batchtopk: on average). */
bool sae_takes_top_k(const ra_sae_settings *settings);

/* The run and what came out of it. */
typedef struct train_run {
    const train_options *options;
    const train_inputs *inputs;
    const train_plan *plan;
    ra_backend *backend;
    ra_sae *sae;
    ra_points points;
    progress_meter progress;
    FILE *log;
    json_writer json; /* of the log */
    ra_train_progress last;
    double loss, r2, l0, rows; /* sums over the last tenth of the steps, each weighted by its rows */
    double total_rows, seconds;
} train_run;

/* run holds options, inputs and plan; the caller ends it with train_run_release(), also when this fails. */
ra_status train_run_all(train_run *run, ra_error *err);
void train_run_release(train_run *run);

/* Flushes and closes the log; fails when not all of it could be written. */
ra_status train_run_close_log(train_run *run, ra_error *err);

ra_status train_save(const train_run *run, ra_error *err);
void train_summary(const train_run *run);

#endif
