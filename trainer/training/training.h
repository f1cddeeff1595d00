/* training.h - the parts of `rasae train`, in the order in which they run; trainer/train.c calls them.
 *
 *     plan.c         which settings hold: flag, else metadata of --init, else default; what cannot work is refused
 *                    here, before anything is computed
 *     top_k.c        a top_k that counts the batch, as in overcomplete
 *     points.c       the part of that about candidate points
 *     candidates.c   mixtures: where their atoms start, rows of the data as candidate points
 *     window.c       how many rows are shuffled together, of data larger than memory
 *     models.c       the models of a run by their seeds, the names of their files
 *     run.c          candidate points, the autoencoders, the loop with its progress
 *     standardize.c  mean and scale of the data, measured or taken from --init
 *     survey.c       what is wrong with the data, before training
 *     log.c          one line per step
 *     consensus.c    --consensus: several of these runs, what they have in common, and the training from there
 *     agreement.c    how many of those runs have each atom of the finished model
 *     start.c        the atoms before the first step, which a checkpoint keeps
 *     holdout.c      the explained variance on rows that were held out
 *     trace.c        the data rows that the atoms of the finished model are traced to
 *     save.c         checkpoints, and what a resumed run takes from them
 *     begun.c        the same for a run that is still looking for points
 *     summary.c      what is printed at the end
 *     report.c       the page of --report
 *     ranks.h        the processes of an mpirun
 *
 * Thread safety: one thread.
 */
#ifndef RASAE_TRAINING_TRAINING_H
#define RASAE_TRAINING_TRAINING_H

#include "app/text.h"
#include "report/report.h"
#include "common/command.h"
#include "common/progress.h"

/* The command line. */
typedef struct train_options {
    uint64_t known;
    const char *const *data;
    size_t data_count;
    const char *output, *tensor, *points, *point_labels, *init, *resume, *seeds, *labels, *log, *report,
        *holdout;
    size_t checkpoint_steps, checkpoint_minutes; /* 0: never by steps, by time */
    size_t trace_rows;                           /* 0: no trace */
    int layout;                                  /* ra_layout_of_data */
    size_t consensus;                            /* runs of --consensus; 0: none */
    size_t run_steps;                            /* of each of them; 0: as many as one run has */
    size_t keep;                                 /* atoms that are kept of the consensus; 0: all */
    const char *const *runs; /* [run_count] files that the finished atoms are compared with */
    size_t run_count;
    bool part;        /* one of several runs: nothing is printed at its end */
    bool interrupted; /* the run stopped early, and is saved as it is */
    bool auto_resume, force, state, json, quiet, skip_bad_rows;
    model_choice model;      /* device and threads, and the settings of the SAE that flags give */
    ra_train_settings train; /* those that flags give */
} train_options;

/* What is read before anything is computed; files that were not named are NULL. */
typedef struct train_inputs {
    ra_data *data;
    ra_data *holdout;                 /* of --holdout FILE */
    ra_labels *labels, *point_labels; /* one per data row; one per point of --points FILE */
    ra_safetensors *init;             /* of --init, or of --resume and the first seed */
    ra_safetensors *begun;            /* of --resume, for a run that was still looking for points */
    ra_array *points;
} train_inputs;

typedef enum points_source {
    POINTS_NONE,   /* a plain dictionary has none, unless it starts on them */
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

/* True if --points (may be NULL) names a file: it is no number, not `all` and not `sample:N`. */
bool train_points_is_file(const char *points);

/* The first flag about points that was given, without dashes; "" when none was. */
ra_setting_name train_points_flag(const train_options *options);

/* What is wrong with the flags about points, or NULL: some contradict each other. */
const char *train_points_contradiction(const train_options *options);

/* What --help shows as defaults: those that depend on nothing else. */
void train_plan_defaults(ra_sae_settings *sae, ra_train_settings *train);

/* models: how many are trained side by side. RA_ERR_ARGUMENT, RA_ERR_SHAPE, RA_ERR_TOO_LARGE for what cannot
 * work, naming the flags. */
ra_status train_plan_make(const train_options *options, const train_inputs *inputs, size_t models,
                          train_plan *plan, ra_error *err);

/* Before the plan: a top_k of batchtopk that counts a whole batch becomes one that counts a row, with a note. */
ra_status train_settle_top_k(train_options *options, const train_inputs *inputs, progress_meter *progress,
                             ra_error *err);

/* Reconciles --standardize with the standardization in --init; they must not disagree. stored: the settings
 * in that file. */
ra_status train_plan_standardize(const train_options *options, const train_inputs *inputs,
                                 const ra_train_settings *stored, train_plan *plan, ra_error *err);

/* A rough figure of the memory that the models of a run take in training. */
double train_plan_bytes(const train_plan *plan, const train_inputs *inputs, size_t models);

/* The part of train_plan_make() about points, where a dictionary needs them and there is no --init. */
ra_status train_plan_points(const train_options *options, const train_inputs *inputs, train_plan *plan,
                            ra_error *err);

/* Refuses a --points-rows that does not fit; plan: with concepts and starts. */
ra_status train_plan_check_points(const train_options *options, const train_plan *plan, size_t rows,
                                  ra_error *err);

/* How many clusters k-means is to find, for points or for rows that atoms start on; 0: it is not needed. */
size_t train_plan_kmeans(const train_plan *plan);

/* Completes the settings about points as the plan has them; removes those that it does not use. */
void train_plan_points_settings(const train_plan *plan, ra_train_settings *settings);

/* Marks a setting as known. */
static inline void train_know(ra_train_settings *settings, enum ra_train_setting setting) {
    settings->known |= (uint64_t)1 << setting;
}

/* ---- one model of a run ------------------------------------------------------------------------------ */

enum { TRAIN_SEEDS_MOST = 64 };

/* With --seeds there are several: they share the points and every batch. */
typedef struct train_model {
    uint64_t seed;
    char *output, *resume, *log_path; /* owned; NULL where there is none */
    ra_train_settings settings;       /* those of the plan, with this seed */
    ra_sae *sae;
    ra_trainer *trainer;
    FILE *log;
    int log_error; /* errno of its first failure */
    text log_line;
    report_history history;
    ra_train_progress last;
    ra_trace trace;         /* of the finished model */
    uint16_t *start;        /* [K,d] BF16: the atoms before the first step; NULL: unknown */
    bool measured;          /* r2_holdout is known */
    double r2_holdout;      /* on rows that were held out */
    ra_agreement agreement; /* with the runs of its consensus */
    double loss, r2_per_dimension, r2, l0, rows; /* sums over the last tenth of the steps, weighted by rows */
    size_t saved_step;                           /* of the last checkpoint ... */
    double saved_at;                             /* ... and when, in seconds of the run */
} train_model;

/* ---- the run ----------------------------------------------------------------------------------------- */

typedef struct train_run {
    const train_options *options;
    const train_inputs *inputs;
    const train_plan *plan;
    const ra_group *group; /* NULL: one process */
    ra_backend *backend;
    ra_points points;
    train_model *models; /* [count] */
    size_t count;
    progress_meter progress;
    double total_rows, seconds;
    double points_saved_at; /* when the last file of k-means was written, in seconds of k-means */
    bool reported;          /* the page is written */
    bool interrupted;       /* what is there is saved as it is, for --resume */
} train_run;

/* The models of a command line, by their seeds, with the names of their files; nothing is opened. In a run of
 * several seeds FILE.safetensors becomes FILE.seedN.safetensors. */
ra_status train_models_name(train_run *run, train_options *options, ra_error *err);

/* Only one process of a group writes and speaks. */
bool train_run_speaks(const train_run *run);

/* run holds options, inputs and plan; the caller ends it with train_run_release(), also when this fails. */
ra_status train_run_all(train_run *run, ra_error *err);
void train_run_release(train_run *run);

/* ---- dictionaries of mixtures ------------------------------------------------------------------------ */

/* Every row of the data is a candidate point, and stays in the data. */
bool train_plan_reads_rows(const train_plan *plan);

/* What --delta comes to: the norm of a relaxation. points: those that atoms start on. */
double train_delta(const ra_sae_settings *sae, const ra_matrix *points);

/* The dictionary of a new run; sae gets the delta that it has. */
ra_status train_mixture_new(const train_run *run, ra_sae_settings *sae, uint64_t seed,
                            ra_dictionary **dictionary, ra_error *err);

/* The dictionary of a checkpoint whose candidates are rows reads them from the data again. */
ra_status train_mixture_resume(const train_run *run, const ra_safetensors *file, ra_sae *sae, ra_error *err);

/* Adds to a checkpoint which rows its points are. *points and *labels_text must outlive the write; the caller releases
 * them. */
ra_status train_mixture_store(const train_run *run, const ra_sae *sae, ra_safetensors_writer *writer,
                              ra_points *points, char **labels_text, ra_error *err);

/* ---- files of a model -------------------------------------------------------------------------------- */

/* A resumed run keeps its settings: RA_ERR_ARGUMENT when a flag says otherwise. Only the length of the run may
 * change. */
ra_status train_check_resume(const train_options *options, const train_inputs *inputs, ra_error *err);

/* The log is opened for writing; in a resumed run it is cut behind the step that the run continues from. */
ra_status train_log_open(train_model *model, ra_error *err);
void train_log_step(train_model *model, const ra_train_progress *step);
void train_log_flush(train_model *model);
/* Flushes and closes the log; fails when not all of it could be written. */
ra_status train_log_close(train_model *model, ra_error *err);

/* model->trace <- that of the finished model; stays {0} without one, or when it is interrupted: the model is complete
 * without it. */
ra_status train_trace(train_run *run, train_model *model, ra_error *err);

/* atoms [K,d] <- the fused dictionary, in host memory. */
ra_status train_copy_atoms(const train_run *run, train_model *model, ra_matrix *atoms, ra_error *err);

/* model->agreement <- that with the runs of the options; stays {0} without any, or when the run is interrupted. */
ra_status train_agreement(train_run *run, train_model *model, ra_error *err);

/* model->start <- the atoms of a model that has not been trained yet, or those that a resumed run began with. */
ra_status train_start_keep(const train_run *run, train_model *model, ra_error *err);
ra_status train_start_store(const train_model *model, ra_safetensors_writer *writer, ra_error *err);

/* Whether --holdout (may be NULL) names a file; else *share <- the share of the data that it says. */
bool train_holdout_is_file(const char *holdout, double *share);

/* Measures the finished model, which has been saved, on the rows that were held out, and saves it with the figure. */
ra_status train_holdout(train_run *run, train_model *model, ra_error *err);
ra_status train_holdout_store(const train_run *run, const train_model *model, ra_safetensors_writer *writer,
                              ra_error *err);

/* The checkpoint, complete or not at all. */
ra_status train_save(const train_run *run, train_model *model, ra_error *err);
ra_status train_restore(const train_run *run, train_model *model, ra_error *err);

/* The settings of the training, and what tells its data from others, as metadata. */
ra_status train_save_settings(const train_run *run, const ra_train_settings *settings,
                              ra_safetensors_writer *writer, ra_error *err);
ra_status train_save_data(const train_run *run, ra_safetensors_writer *writer, ra_error *err);
/* RA_ERR_ARGUMENT or RA_ERR_SHAPE when the data are not those that a file was trained on. */
ra_status train_check_data(const ra_safetensors *file, const ra_data *data, ra_error *err);

/* When enough steps or minutes have passed since the last one. */
ra_status train_save_if_due(const train_run *run, train_model *model, ra_error *err);

/* A run that is interrupted while it looks for points leaves a file, too: its settings and the state of
 * k-means (kmeans NULL: nothing to keep yet). It is no model yet. */
ra_status train_begun_save(const train_run *run, const ra_kmeans_progress *kmeans, ra_error *err);
bool train_begun_is(const ra_safetensors *file);
/* Adds to the options the settings of such a file that the command line has not given. */
ra_status train_begun_settle(const ra_safetensors *file, train_options *options, ra_error *err);
/* Sets where k-means continues, if the file says so. The options point into the file. */
ra_status train_begun_start(const ra_safetensors *file, ra_kmeans_options *options, ra_error *err);

/* From here on the data return standardized rows, if the plan says so. */
ra_status train_standardize(train_run *run, ra_error *err);

/* Completes the plan of a new run over data larger than memory with the window of rows that fits, and says so. */
ra_status train_settle_window(train_run *run, train_plan *plan, ra_error *err);

/* Notes what is wrong with the data that a new run is about to be trained on. */
ra_status train_survey(train_run *run, ra_error *err);

/* The vectors of --points FILE as points of these data: vectors of any file are in the units of the data, the
 * points of a checkpoint in those of its own training. *given becomes a view of *copy where they have to
 * change; the caller releases *copy, which is {0} before, in any case. */
ra_status train_standardize_points(const train_run *run, ra_tensor *given, ra_matrix *copy, ra_error *err);

ra_status train_summary(const train_run *run, ra_error *err);

/* ---- several runs -------------------------------------------------------------------------------------- */

/* A whole training of one model (train.c). */
typedef ra_status train_function(train_options *options, const ra_group *group, ra_error *err);

/* Trains the runs of --consensus, joins them, trains further from there. */
ra_status train_consensus(const train_options *options, const ra_group *group, train_function *train,
                          ra_error *err);

/* FILE.safetensors -> FILE.PART.safetensors, which the caller frees. */
ra_status train_name_part(const char *path, const char *part, char **out, ra_error *err);

/* The steps of a run with these settings: as they say, else as many as the default is for data of so many rows. */
size_t train_plan_steps(const ra_train_settings *settings, size_t rows);

/* The rows that a checkpoint was trained on; 0: it does not say. */
size_t train_saved_rows(const ra_safetensors *file);

/* Writes the page of --report, if asked for. Needs the checkpoints that train_save() has written. From here
 * on the data return their rows as they are in the files. */
ra_status train_report(train_run *run, ra_error *err);

#endif
