/* train --consensus M: several runs that share nothing but the data, what they have in common, and the training from
 * there.
 *
 *     OUT.run1.safetensors ... OUT.runM.safetensors   the runs, each with a seed and points of its own
 *     OUT.start.safetensors                           their consensus (ra_consensus.h)
 *     OUT.safetensors                                 trained from it, with the agreement of each atom
 *
 * Each is a training like any other, so an interrupted one is resumed like any other: --resume finds the files beside the
 * output, continues the one that was not finished and goes on. The consensus is made anew from finished runs, to the same
 * bytes.
 *
 * Trained further at the full rate, two consensuses drift apart again, for no more explained variance on rows that they
 * have not seen; tests/study has the figures for the rate and the length chosen here. */
#include "training/training.h"

#include "app/format.h"
#include "app/json.h"
#include "common/agreement.h"
#include "common/files.h"

#include <string.h>
#include <unistd.h>

static const double RATE = 0.1; /* of the runs' learning rate */
enum { SHARE_OF_STEPS = 4, SEEDS_APART = 256, NAME = 32 };

_Static_assert((int)RUNS_MOST < (int)SEEDS_APART, "runs of different seeds have different seeds");

/* From the training settings, so that those of a resumed run agree with its file. */
static void forget_start(train_options *options) {
    static const enum ra_train_setting about_start[] = {
        RA_TRAIN_CONCEPTS,    RA_TRAIN_INIT,        RA_TRAIN_POINTS_METHOD,     RA_TRAIN_KMEANS,
        RA_TRAIN_POINTS_ROWS, RA_TRAIN_POINTS_SEED, RA_TRAIN_POINTS_ITERATIONS, RA_TRAIN_ENCODER_START,
        RA_TRAIN_LR_FINAL,    RA_TRAIN_EPOCHS};
    for (size_t i = 0; i < sizeof about_start / sizeof *about_start; i++)
        ra_setting_forget(&options->train, about_start[i]);
    ra_setting_forget(&options->model.settings, RA_SET_DELTA);
    options->points = options->point_labels = NULL;
}

/* A length in steps asks for a constant rate, since such a run may be continued; these are not. */
static void set_steps(train_options *options, size_t steps) {
    ra_train_settings *train = &options->train;
    ra_setting_forget(train, RA_TRAIN_EPOCHS);
    train->steps = steps;
    train_know(train, RA_TRAIN_STEPS);
    if (ra_setting_known(train, RA_TRAIN_SCHEDULE)) return;
    train->schedule = RA_SCHEDULE_COSINE;
    train_know(train, RA_TRAIN_SCHEDULE);
}

static bool is_there(const train_options *options, const char *path) {
    return (options->resume || options->auto_resume) && access(path, F_OK) == 0;
}

/* ---- the runs ------------------------------------------------------------------------------------------ */

static ra_status train_one(const train_options *options, size_t number, const char *output,
                           train_function *train, ra_error *err) {
    train_options one = *options;
    one.output = output;
    one.resume = is_there(options, output) ? output : NULL;
    one.auto_resume = false;
    one.consensus = 0;
    one.part = true;
    one.trace_rows = 0;
    one.log = one.report = NULL; /* holdout stays: its rows are not trained on */
    one.train.seed = options->train.seed * SEEDS_APART + number;
    train_know(&one.train, RA_TRAIN_SEED);
    if (options->run_steps)
        set_steps(&one, options->run_steps);
    else if (ra_setting_known(&options->train, RA_TRAIN_STEPS))
        set_steps(&one, options->train.steps);
    one.train.points_seed = one.train.seed;
    if (!one.resume)
        train_know(&one.train, RA_TRAIN_POINTS_SEED); /* else its file knows whether it has points */
    if (!options->quiet && !options->json) fprintf(stderr, "run %zu of %zu\n", number, options->consensus);
    return train(&one, NULL, err);
}

/* ---- from the consensus on ------------------------------------------------------------------------------ */

static ra_status make_start(const train_options *options, const char *const *paths, const char *output,
                            ra_error *err) {
    run_dictionaries runs = {.count = 0};
    ra_consensus consensus = {0};
    ra_agreement agreement = {0};
    ra_backend *backend = NULL;
    ra_status status;
    if (!options->quiet && !options->json)
        fprintf(stderr, "joining the atoms of %zu runs\n", options->consensus);
    RA_TRY_OUT(status, run_dictionaries_open(&options->model, paths, options->consensus, &runs, err));
    RA_TRY_OUT(status, model_choice_host_backend(&options->model, &backend, err));
    RA_TRY_OUT(status, ra_consensus_find(backend, runs.D, runs.count, runs.D[0].rows, &consensus, err));
    RA_TRY_OUT(status, run_dictionaries_agreement(&options->model, &consensus.atoms, &runs,
                                                  RA_AGREEMENT_LEVEL, &agreement, err));
    if (options->keep) RA_TRY_OUT(status, ra_consensus_keep(&consensus, &agreement, options->keep, err));
    status = ra_consensus_write(&consensus, paths, &agreement, output, err);
out:
    ra_agreement_release(&agreement);
    ra_consensus_release(&consensus);
    run_dictionaries_release(&runs);
    ra_backend_release(backend);
    return status;
}

/* options: those of the training from the start. */
static ra_status settle_further(const char *first_run, train_options *options, ra_error *err) {
    ra_safetensors *file = NULL;
    ra_train_settings settings;
    RA_TRY(ra_safetensors_open(first_run, &file, err));
    size_t rows = train_saved_rows(file);
    ra_status status = ra_train_settings_read(file, &settings, err);
    ra_safetensors_free(file);
    if (status != RA_OK) return status;
    ra_train_settings asked = options->train;
    asked.batch_size = settings.batch_size;
    size_t steps = train_plan_steps(&asked, rows) / SHARE_OF_STEPS;
    forget_start(options);
    set_steps(options, steps ? steps : 1);
    options->train.lr = settings.lr * RATE;
    train_know(&options->train, RA_TRAIN_LR);
    train_know(&options->train, RA_TRAIN_SEED);
    return RA_OK;
}

static ra_status train_further(const train_options *options, const char *const *paths, const char *start,
                               train_function *train, ra_error *err) {
    train_options further = *options;
    further.consensus = 0;
    further.auto_resume = false;
    further.resume = is_there(options, options->output) ? options->output : NULL;
    further.runs = paths;
    further.run_count = options->consensus;
    RA_TRY(settle_further(paths[0], &further, err));
    if (!further.resume) {
        RA_TRY(make_start(options, paths, start, err));
        further.init = start;
    }
    return train(&further, NULL, err);
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

static ra_status check(const train_options *options, const ra_group *group, ra_error *err) {
    const struct {
        const char *flag;
        bool given;
        const char *why;
    } others[] = {
        {"--init", options->init != NULL, "every run starts by itself"},
        {"--seeds", options->seeds != NULL, "the runs have seeds of their own that follow from --seed"},
        {"--points-seed", ra_setting_known(&options->train, RA_TRAIN_POINTS_SEED),
         "every run looks for points of its own"},
        {"--no-state", !options->state, "its runs could not be resumed"},
        {"--mixture dense",
         ra_setting_known(&options->model.settings, RA_SET_MIXTURE) && options->model.settings.mixture == 0 &&
             options->model.settings.dictionary == RA_DICTIONARY_ARCHETYPAL,
         "runs on points of their own have no dense W in common"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i].given)
            RA_FAIL(err, RA_ERR_ARGUMENT, "%s cannot be given with --consensus: %s", others[i].flag,
                    others[i].why);
    if (group)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "--consensus is for one process; under mpirun train the runs one by one, then join them with "
                "`rasae consensus`");
    /* What the last training would refuse, after hours. */
    RA_TRY(check_output(options->output, OUTPUT_MODEL, options->data, options->data_count, err));
    if (options->log) RA_TRY(check_output(options->log, OUTPUT_ANY, options->data, options->data_count, err));
    return options->report
               ? check_output(options->report, OUTPUT_ANY, options->data, options->data_count, err)
               : RA_OK;
}

/* The same command goes on from what is there. */
static ra_status tell_interrupted(const train_options *options, size_t run, ra_error *err) {
    text json = {0};
    if (options->json) {
        json_object(&json, NULL);
        json_text(&json, "output", options->output);
        json_count(&json, "runs", options->consensus);
        json_count(&json, "run", run);
        json_bool(&json, "finished", false);
        json_object_end(&json);
        return json_print(&json, stdout, err);
    }
    if (options->quiet) return RA_OK;
    printf("interrupted in run %zu of %zu; to continue, run the same command with --resume ", run,
           options->consensus);
    print_clean(stdout, options->output);
    putchar('\n');
    return RA_OK;
}

static ra_status run_all(const train_options *options, char **names, train_function *train, ra_error *err) {
    const char *paths[RUNS_MOST];
    for (size_t r = 0; r < options->consensus; r++) {
        paths[r] = names[r];
        RA_TRY(train_one(options, r + 1, paths[r], train, err));
        if (command_interrupted()) return tell_interrupted(options, r + 1, err);
    }
    return train_further(options, paths, names[options->consensus], train, err);
}

ra_status train_consensus(const train_options *options, const ra_group *group, train_function *train,
                          ra_error *err) {
    char *names[RUNS_MOST + 1] = {NULL}, part[NAME]; /* of the runs, then that of the consensus */
    ra_status status = RA_OK;
    RA_TRY(check(options, group, err));
    command_catch_interrupts();
    for (size_t r = 0; r <= options->consensus && status == RA_OK; r++) {
        snprintf(part, sizeof part, "run%zu", r + 1);
        status = train_name_part(options->output, r == options->consensus ? "start" : part, &names[r], err);
    }
    if (status == RA_OK && options->resume && !is_there(options, names[0]))
        status =
            ra_error_set(err, RA_ERR_NOT_FOUND,
                         "there is no file %s to continue from; start the runs without --resume", names[0]);
    if (status == RA_OK) status = run_all(options, names, train, err);
    for (size_t r = 0; r <= options->consensus; r++) ra_free(names[r]);
    return status;
}
