/* The run: candidate points, the autoencoders around them, the loop.
 *
 * The library's loop calls back after every step; here that becomes a line of the log, the bar, now and then
 * a checkpoint, and the averages of the closing summary. A single batch says little (the last one of an epoch
 * may be a handful of rows), so the summary is the mean over the last tenth of the steps.
 *
 * Ctrl-C makes the callbacks return false; the library then stops, and what is there is saved. */
#include "training/training.h"

#include "app/format.h"

#include <string.h>

/* ---- candidate points -------------------------------------------------------------------------------- */

/* A callback can only return false; its error is kept here. */
typedef struct loop_state {
    train_run *run;
    ra_status status;
    ra_error *err;
} loop_state;

/* All members of a group stop at the same step, whichever of them was interrupted. */
static bool is_time_to_stop(loop_state *state) {
    uint8_t stop = command_interrupted();
    ra_status status = ra_group_unite(state->run->group, &stop, 1, state->err);
    if (status != RA_OK) state->status = status;
    return stop || status != RA_OK;
}

static bool on_kmeans(void *context, const ra_kmeans_progress *kmeans) {
    loop_state *state = context;
    train_run *run = state->run;
    size_t iteration = kmeans->iteration;
    size_t done = iteration ? iteration : kmeans->seeds; /* seeding is iteration 0; its end is known */
    run->progress.total = iteration ? 0 : kmeans->clusters;
    bool all_seeds = !iteration && done == kmeans->clusters; /* the first iteration follows */
    if (!all_seeds && progress_due(&run->progress, done)) {
        progress_field fields[2];
        if (iteration)
            snprintf(fields[0].text, sizeof fields[0].text, "iteration %zu", iteration);
        else
            snprintf(fields[0].text, sizeof fields[0].text, "seeds %zu of %zu", done, kmeans->clusters);
        snprintf(fields[1].text, sizeof fields[1].text, "inertia %.6g", kmeans->inertia);
        progress_show(&run->progress, done, 0, fields, 2);
    }
    double minutes = (progress_elapsed(&run->progress) - run->points_saved_at) / 60;
    bool due = run->options->checkpoint_minutes && minutes >= (double)run->options->checkpoint_minutes;
    run->interrupted = is_time_to_stop(state);
    if (state->status == RA_OK) state->status = command_check_files(state->err);
    if (state->status == RA_OK && (due || run->interrupted)) {
        state->status = train_begun_save(run, kmeans, state->err);
        run->points_saved_at = progress_elapsed(&run->progress);
    }
    return !run->interrupted && state->status == RA_OK;
}

static ra_status points_by_kmeans(train_run *run, ra_error *err) {
    const ra_train_settings *settings = &run->plan->train; /* the plan has completed them */
    loop_state state = {run, RA_OK, err};
    ra_error stopped = {0};
    ra_kmeans_options options = {
        .method = (ra_kmeans_method)settings->kmeans,
        .clusters = train_plan_kmeans(run->plan),
        .rows = ra_setting_known(settings, RA_TRAIN_POINTS_ROWS) ? settings->points_rows : 0,
        .max_iterations =
            ra_setting_known(settings, RA_TRAIN_POINTS_ITERATIONS) ? settings->points_iterations : 0,
        .seed = settings->points_seed,
        .progress = on_kmeans,
        .context = &state,
    };
    if (run->inputs->begun) {
        RA_TRY(train_check_data(run->inputs->begun, run->inputs->data, err));
        RA_TRY(train_begun_start(run->inputs->begun, &options, err));
    }
    progress_note(&run->progress,
                  run->plan->source == POINTS_KMEANS ? "looking for %s points by k-means"
                                                     : "looking for rows to start %s atoms on, by k-means",
                  format_grouped(options.clusters).text);
    if (options.start)
        progress_note(&run->progress, "continuing from iteration %zu", options.start_iteration);
    progress_start(&run->progress, "k-means", 0);
    ra_status status = ra_points_kmeans(run->backend, run->inputs->data, &options, &run->points, &stopped);
    if (state.status != RA_OK) return state.status;
    if (status == RA_ERR_CANCELED && run->interrupted) return RA_OK;
    if (status != RA_OK) RA_FAIL(err, status, "%s", stopped.message);
    progress_note(&run->progress, "found them after %zu iteration%s in %s, inertia %.6g",
                  run->points.iterations, run->points.iterations == 1 ? "" : "s",
                  format_seconds(progress_elapsed(&run->progress)).text, run->points.inertia);
    return RA_OK;
}

/* Every row is a point and its own nearest row: it keeps the label of the row. */
static ra_status points_from_rows(train_run *run, ra_error *err) {
    const ra_data *data = run->inputs->data;
    ra_matrix vectors;
    RA_TRY(ra_matrix_init(&vectors, ra_data_rows(data), ra_data_dimensions(data), err));
    ra_data_read(data, 0, vectors.rows, vectors.data);
    const ra_tensor all = ra_tensor_2d(RA_F32, vectors.data, vectors.rows, vectors.cols);
    ra_status status = ra_points_from(run->backend, &all, data, 1, &run->points, err);
    ra_matrix_release(&vectors);
    return status;
}

static ra_status points_from_file(train_run *run, ra_error *err) {
    ra_tensor given = *ra_array_tensor(run->inputs->points);
    ra_matrix copy = {0};
    ra_status status = train_standardize_points(run, &given, &copy, err);
    if (status == RA_OK)
        status =
            ra_points_from(run->backend, &given, run->inputs->data, RA_POINT_ROWS_DEFAULT, &run->points, err);
    ra_matrix_release(&copy);
    return status;
}

static ra_status find_points(train_run *run, ra_error *err) {
    const train_inputs *inputs = run->inputs;
    ra_tensor given;
    if (run->plan->source != POINTS_NONE && run->plan->source != POINTS_KMEANS)
        progress_note(&run->progress,
                      run->plan->source == POINTS_ROWS     ? "taking all %s rows as points"
                      : run->plan->source == POINTS_SAMPLE ? "taking %s random rows as points"
                                                           : "looking for the rows nearest to %s points",
                      format_grouped(run->plan->points).text);
    switch (run->plan->source) {
    case POINTS_NONE:
        return RA_OK;
    case POINTS_ROWS:
        if (train_plan_kmeans(run->plan) > 0 && !run->models[0].resume) return points_by_kmeans(run, err);
        return train_plan_reads_rows(run->plan) ? RA_OK : points_from_rows(run, err);
    case POINTS_KMEANS:
        return points_by_kmeans(run, err);
    case POINTS_SAMPLE:
        return ra_points_sample(run->backend, inputs->data, run->plan->points, run->plan->train.points_seed,
                                RA_POINT_ROWS_DEFAULT, &run->points, err);
    case POINTS_FILE:
        return points_from_file(run, err);
    case POINTS_INIT:
        if (run->models[0].resume) return ra_points_load(inputs->init, &run->points, err);
        RA_TRY(ra_safetensors_get(inputs->init, "dictionary.C", &given, err));
        break;
    }
    return ra_points_from(run->backend, &given, inputs->data, RA_POINT_ROWS_DEFAULT, &run->points, err);
}

/* ---- the autoencoders -------------------------------------------------------------------------------- */

/* Sets the encoder along the atoms, with a length fitted to rows from all over the data. */
static ra_status start_at_dictionary(const train_run *run, train_model *model, ra_error *err) {
    enum { SAMPLE = 256 };
    const ra_data *data = run->inputs->data;
    size_t all = ra_data_rows(data), count = all < SAMPLE ? all : SAMPLE;
    uint64_t rows[SAMPLE];
    ra_matrix x;
    RA_TRY(ra_matrix_init(&x, count, ra_data_dimensions(data), err));
    for (size_t i = 0; i < count; i++) rows[i] = i * all / count;
    ra_data_gather(data, rows, count, x.data);
    ra_status status = ra_sae_start_at_dictionary(model->sae, x.data, count, err);
    ra_matrix_release(&x);
    return status;
}

static ra_status make_sae(train_run *run, train_model *model, ra_error *err) {
    const ra_sae_settings *settings = &run->plan->sae;
    ra_sae_settings settled = *settings; /* with delta as a number */
    size_t d = ra_data_dimensions(run->inputs->data), K = run->plan->concepts;
    const ra_matrix *C = &run->points.vectors;
    const ra_tensor points = ra_tensor_2d(RA_F32, C->data, C->rows, C->cols);
    ra_init init = (ra_init)run->plan->train.init;
    ra_dictionary *dictionary = NULL;
    ra_status status = RA_OK;
    if (settings->dictionary != RA_DICTIONARY_ARCHETYPAL) {
        RA_TRY(ra_plain_dictionary_new(run->backend, d, K, (ra_dictionary_kind)settings->dictionary, NULL,
                                       settings->use_multiplier, model->seed, &dictionary, err));
        if (init == RA_INIT_POINTS) status = ra_plain_dictionary_init(dictionary, &points, model->seed, err);
    } else if (settings->mixture > 0) {
        RA_TRY(train_mixture_new(run, &settled, model->seed, &dictionary, err));
    } else {
        settled.delta = train_delta(settings, C);
        settled.delta_relative = false;
        RA_TRY(ra_archetypal_dictionary_new(run->backend, d, K, &points, (float)settled.delta,
                                            settings->use_multiplier, &dictionary, err));
        status = ra_archetypal_dictionary_init(dictionary, init, model->seed, err);
    }
    /* If the dictionary encodes, the lengths of its atoms count twice: with points of raw data the run would
     * diverge from the start. */
    bool encodes = ra_sae_encodes_with_dictionary(settings);
    if (status == RA_OK && encodes && settings->use_multiplier)
        status = ra_dictionary_limit_norms(dictionary, 1, err);
    if (status != RA_OK) {
        ra_dictionary_free(dictionary);
        return status;
    }
    RA_TRY(ra_sae_new(&settled, dictionary, model->seed, &model->sae, err)); /* takes the dictionary over */
    bool along = run->plan->train.encoder_start == RA_ENCODER_START_DICTIONARY;
    return along ? start_at_dictionary(run, model, err) : RA_OK;
}

/* A dictionary whose candidates are rows of the data reads them from there again. */
static ra_status resume_candidates(const train_run *run, train_model *model, ra_error *err) {
    ra_safetensors *file = NULL;
    RA_TRY(ra_safetensors_open(model->resume, &file, err));
    ra_status status = train_mixture_resume(run, file, model->sae, err);
    ra_safetensors_free(file);
    return status;
}

/* A bad --init or --resume is found before any computing. */
static ra_status open_saes(train_run *run, ra_error *err) {
    for (size_t i = 0; i < run->count; i++) {
        train_model *model = &run->models[i];
        const char *path = model->resume ? model->resume : run->options->init;
        if (path) RA_TRY(ra_sae_open(path, &run->options->model.settings, run->backend, &model->sae, err));
        if (model->resume) RA_TRY(resume_candidates(run, model, err));
    }
    return RA_OK;
}

static ra_status make_trainers(train_run *run, ra_error *err) {
    for (size_t i = 0; i < run->count; i++) {
        train_model *model = &run->models[i];
        RA_TRY(report_history_init(&model->history, err));
        if (!model->sae) RA_TRY(make_sae(run, model, err));
        RA_TRY(train_start_keep(run, model, err));
        ra_sae_set_group(model->sae, run->group);
        RA_TRY(ra_trainer_new(model->sae, &model->settings, ra_data_rows(run->inputs->data), &model->trainer,
                              err));
        if (model->resume) RA_TRY(train_restore(run, model, err));
        model->saved_step = ra_trainer_done(model->trainer);
        if (train_run_speaks(run)) RA_TRY(train_log_open(model, err));
    }
    return RA_OK;
}

/* ---- the loop ---------------------------------------------------------------------------------------- */

static void add_to_summary(train_run *run, train_model *model, const ra_train_progress *step) {
    enum { LAST_SHARE = 10 };
    double rows = (double)step->rows;
    run->total_rows += rows;
    model->last = *step;
    size_t last = (step->steps + LAST_SHARE - 1) / LAST_SHARE; /* of 1 to 10 steps, the last one */
    if (step->steps - step->step >= last) return;
    model->loss += rows * step->loss;
    model->r2_per_dimension += rows * step->r2_per_dimension;
    model->r2 += rows * step->r2;
    model->l0 += rows * step->l0;
    model->rows += rows;
}

static void show_step(train_run *run, const ra_train_progress *step) {
    progress_field fields[4];
    snprintf(fields[0].text, sizeof fields[0].text, "loss %.4g", step->loss);
    snprintf(fields[1].text, sizeof fields[1].text, "R2 %.3f (one mean %.3f)", step->r2_per_dimension,
             step->r2);
    snprintf(fields[2].text, sizeof fields[2].text, "L0 %.1f", step->l0);
    snprintf(fields[3].text, sizeof fields[3].text, "dead %.0f%%", 100 * step->dead);
    progress_show(&run->progress, step->step, run->total_rows, fields, 4);
}

static bool on_step(void *context, size_t which, const ra_train_progress *step) {
    loop_state *state = context;
    train_run *run = state->run;
    train_model *model = &run->models[which];
    if (run->progress.total == 0) run->progress.total = step->steps;
    add_to_summary(run, model, step);
    train_log_step(model, step);
    report_history_add(&model->history, step);
    if (which == 0 && progress_due(&run->progress, step->step)) show_step(run, step);
    state->status = command_check_files(state->err);
    if (state->status == RA_OK) state->status = train_save_if_due(run, model, state->err);
    if (state->status != RA_OK) return false;
    if (which + 1 < run->count) return true;
    run->interrupted = is_time_to_stop(state) && step->step < step->steps;
    return !run->interrupted;
}

static ra_status train(train_run *run, ra_error *err) {
    loop_state state = {run, RA_OK, err};
    ra_error stopped = {0};
    ra_trainer *trainers[TRAIN_SEEDS_MOST];
    for (size_t i = 0; i < run->count; i++) trainers[i] = run->models[i].trainer;
    progress_start(&run->progress, "training", 0);
    ra_status status = ra_train_all(trainers, run->count, run->inputs->data, on_step, &state, &stopped);
    run->seconds = progress_elapsed(&run->progress);
    if (state.status != RA_OK) return state.status;
    if (status == RA_OK || (status == RA_ERR_CANCELED && run->interrupted)) return RA_OK;
    RA_FAIL(err, status, "%s", stopped.message);
}

/* ---- all of it --------------------------------------------------------------------------------------- */

/* ", mixtures of at most 8 of 7,400 rows, delta 13.2" */
static void note_points(const train_run *run, const ra_sae_settings *settings, char *words, size_t size) {
    size_t mixture = ra_dictionary_mixture(ra_sae_dictionary(run->models[0].sae));
    bool rows = ra_dictionary_reads_candidates(ra_sae_dictionary(run->models[0].sae));
    size_t candidates = rows ? ra_data_rows(run->inputs->data) : run->points.vectors.rows;
    const char *what = rows ? "rows" : "points", *number = format_grouped(candidates).text;
    if (mixture)
        snprintf(words, size, ", mixtures of at most %zu of %s %s, delta %.4g", mixture, number, what,
                 settings->delta);
    else
        snprintf(words, size, " on %s %s, delta %g", number, what, settings->delta);
}

/* Prints the most important settings before the waiting starts. */
static void note_settings(train_run *run) {
    const ra_settings_table *table = ra_sae_settings_table();
    const ra_sae_settings *settings = ra_sae_get_settings(run->models[0].sae);
    const ra_train_settings *train = &run->plan->train;
    char sae[64], k[32] = "", delta[96] = "", loss[64], seeds[48] = "";
    ra_setting_print(table, RA_SET_SAE, settings, sae, sizeof sae);
    if (ra_sae_needs(settings, RA_SET_TOP_K)) snprintf(k, sizeof k, " (k = %zu)", settings->top_k);
    if (settings->dictionary == RA_DICTIONARY_ARCHETYPAL) note_points(run, settings, delta, sizeof delta);
    if (run->count > 1) snprintf(seeds, sizeof seeds, " from %zu seeds", run->count);
    ra_setting_print(ra_train_settings_table(), RA_TRAIN_LOSS, train, loss, sizeof loss);
    progress_note(
        &run->progress, "%s%s, %s concepts of %zu dimensions%s%s; %s rows, batches of %zu, %s, lr %g", sae, k,
        format_grouped(run->plan->concepts).text, ra_data_dimensions(run->inputs->data), delta, seeds,
        format_grouped(ra_data_rows(run->inputs->data)).text, train->batch_size, loss, train->lr);
    size_t done = ra_trainer_done(run->models[0].trainer);
    if (done) progress_note(&run->progress, "continuing from step %zu", done);
}

/* The plan's settings with the seeds of this model. Side by side, models of different seeds read the data
 * window by window together, but each in an order of its own: runs that see the same batches are alike for
 * that. */
static ra_status settle_seeds(const train_run *run, train_model *model, ra_error *err) {
    ra_safetensors *file = NULL;
    ra_train_settings stored;
    model->settings = run->plan->train;
    if (run->count == 1) model->seed = model->settings.seed;
    model->settings.seed = model->seed;
    if (run->count > 1 && !ra_setting_known(&run->options->train, RA_TRAIN_SHUFFLE_SEED))
        model->settings.shuffle_seed = model->seed;
    if (!model->resume) return RA_OK;
    RA_TRY(ra_safetensors_open(model->resume, &file, err));
    ra_status status = ra_safetensors_verify(file, err);
    if (status == RA_OK) status = ra_train_settings_read(file, &stored, err);
    ra_safetensors_free(file);
    if (status != RA_OK) return status;
    if (ra_setting_known(&stored, RA_TRAIN_SHUFFLE_SEED)) model->settings.shuffle_seed = stored.shuffle_seed;
    if (ra_setting_known(&stored, RA_TRAIN_WINDOW_SEED)) model->settings.window_seed = stored.window_seed;
    ra_setting_forget(&model->settings, RA_TRAIN_WINDOW);
    if (ra_setting_known(&stored, RA_TRAIN_WINDOW)) {
        model->settings.window = stored.window;
        train_know(&model->settings, RA_TRAIN_WINDOW);
    }
    return RA_OK;
}

ra_status train_run_all(train_run *run, ra_error *err) {
    RA_TRY(model_choice_backend(&run->options->model, &run->backend, err));
    RA_TRY(ra_train_check_precision(&run->plan->train, run->backend, err));
    for (size_t i = 0; i < run->count; i++) RA_TRY(settle_seeds(run, &run->models[i], err));
    RA_TRY(open_saes(run, err));
    RA_TRY(train_standardize(run, err));
    RA_TRY(train_survey(run, err));
    RA_TRY(find_points(run, err));
    if (run->interrupted) return RA_OK; /* the state of k-means is saved */
    RA_TRY(make_trainers(run, err));
    note_settings(run);
    RA_TRY(train(run, err));
    for (size_t i = 0; i < run->count; i++) RA_TRY(ra_trainer_check(run->models[i].trainer, err));
    for (size_t i = 0; i < run->count; i++) RA_TRY(train_trace(run, &run->models[i], err));
    for (size_t i = 0; i < run->count; i++) RA_TRY(train_agreement(run, &run->models[i], err));
    for (size_t i = 0; i < run->count; i++) RA_TRY(train_save(run, &run->models[i], err));
    for (size_t i = 0; i < run->count; i++) RA_TRY(train_holdout(run, &run->models[i], err));
    return RA_OK;
}

void train_run_release(train_run *run) {
    ra_error ignored;
    for (size_t i = 0; run->models && i < run->count; i++) {
        train_model *model = &run->models[i];
        train_log_close(model, &ignored);
        report_history_release(&model->history);
        ra_trace_release(&model->trace);
        ra_free(model->start);
        ra_agreement_release(&model->agreement);
        ra_trainer_free(model->trainer);
        ra_sae_free(model->sae);
        ra_free(model->output);
        ra_free(model->resume);
        ra_free(model->log_path);
    }
    ra_free(run->models);
    ra_points_release(&run->points);
    ra_backend_release(run->backend);
}
