/* The run: candidate points, the autoencoder around them, the loop.
 *
 * The library's loop calls back after every step; here that becomes a line of the log, the bar, and the
 * averages of the closing summary. A single batch says little (the last one of an epoch may be a handful of
 * rows), so the summary is the mean over the last tenth of the steps.
 *
 * Ctrl-C makes the callbacks return false; the library then stops, and nothing is written. */
#include "train.h"

#include "format.h"

#include <errno.h>
#include <string.h>

/* ---- candidate points -------------------------------------------------------------------------------- */

static bool on_kmeans(void *context, size_t iteration, double inertia) {
    train_run *run = context;
    if (progress_due(&run->progress, iteration)) {
        progress_field fields[2] = {{"drawing seeds"}}; /* which counts as iteration 0 */
        if (iteration) snprintf(fields[0].text, sizeof fields[0].text, "iteration %zu", iteration);
        snprintf(fields[1].text, sizeof fields[1].text, "inertia %.6g", inertia);
        progress_show(&run->progress, iteration, 0, fields, 2);
    }
    return !command_interrupted();
}

static ra_status points_by_kmeans(train_run *run, ra_error *err) {
    const ra_kmeans_options options = {.clusters = run->plan->points,
                                       .seed = run->plan->train.points_seed,
                                       .progress = on_kmeans,
                                       .context = run};
    progress_note(&run->progress, "looking for %s points by k-means", format_grouped(options.clusters).text);
    progress_start(&run->progress, "k-means", 0);
    ra_status status = ra_points_kmeans(run->backend, run->inputs->data, &options, &run->points, err);
    if (status == RA_ERR_CANCELLED)
        return ra_error_set(err, RA_ERR_CANCELLED,
                            "interrupted while looking for points; nothing was written");
    if (status == RA_OK)
        progress_note(&run->progress, "found them in %zu iterations and %s, inertia %.6g",
                      run->points.iterations, format_seconds(progress_elapsed(&run->progress)).text,
                      run->points.inertia);
    return status;
}

/* Every row is a point, and its own nearest row: its label is the row's. */
static ra_status points_from_rows(train_run *run, ra_error *err) {
    const ra_data *data = run->inputs->data;
    ra_matrix vectors;
    TRY(ra_matrix_init(&vectors, ra_data_rows(data), ra_data_dimensions(data), err));
    ra_data_read(data, 0, vectors.rows, vectors.data);
    const ra_tensor all = ra_tensor_2d(RA_F32, vectors.data, vectors.rows, vectors.cols);
    ra_status status = ra_points_from(run->backend, &all, data, 1, &run->points, err);
    ra_matrix_release(&vectors);
    return status;
}

static ra_status find_points(train_run *run, ra_error *err) {
    const train_inputs *inputs = run->inputs;
    ra_tensor given;
    if (run->plan->source != POINTS_NONE && run->plan->source != POINTS_KMEANS)
        progress_note(&run->progress,
                      run->plan->source == POINTS_ROWS ? "taking all %s rows as points"
                                                       : "looking for the rows nearest to %s points",
                      format_grouped(run->plan->points).text);
    switch (run->plan->source) {
    case POINTS_NONE:
        return RA_OK;
    case POINTS_ROWS:
        return points_from_rows(run, err);
    case POINTS_KMEANS:
        return points_by_kmeans(run, err);
    case POINTS_FILE:
        given = *ra_array_tensor(inputs->points);
        break;
    case POINTS_INIT:
        TRY(ra_safetensors_get(inputs->init, "dictionary.C", &given, err));
        break;
    }
    return ra_points_from(run->backend, &given, inputs->data, RA_POINT_ROWS_DEFAULT, &run->points, err);
}

/* ---- the autoencoder --------------------------------------------------------------------------------- */

/* The encoder along the atoms, its length fitted to rows from all over the data. */
static ra_status start_at_dictionary(train_run *run, ra_error *err) {
    enum { SAMPLE = 256 };
    const ra_data *data = run->inputs->data;
    size_t all = ra_data_rows(data), count = all < SAMPLE ? all : SAMPLE;
    uint64_t rows[SAMPLE];
    ra_matrix x;
    TRY(ra_matrix_init(&x, count, ra_data_dimensions(data), err));
    for (size_t i = 0; i < count; i++) rows[i] = i * all / count;
    ra_data_gather(data, rows, count, x.data);
    ra_status status = ra_sae_start_at_dictionary(run->sae, x.data, count, err);
    ra_matrix_release(&x);
    return status;
}

static ra_status make_sae(train_run *run, ra_error *err) {
    const ra_sae_settings *settings = &run->plan->sae;
    size_t d = ra_data_dimensions(run->inputs->data), K = run->plan->concepts;
    uint64_t seed = run->plan->train.seed;
    ra_dictionary *dictionary = NULL;
    if (run->plan->source == POINTS_NONE) {
        TRY(ra_plain_dictionary_new(run->backend, d, K, (ra_dictionary_kind)settings->dictionary, NULL,
                                    settings->use_multiplier, seed, &dictionary, err));
    } else {
        const ra_matrix *C = &run->points.vectors;
        const ra_tensor points = ra_tensor_2d(RA_F32, C->data, C->rows, C->cols);
        TRY(ra_archetypal_dictionary_new(run->backend, d, K, &points, (float)settings->delta,
                                         settings->use_multiplier, &dictionary, err));
    }
    TRY(ra_sae_new(settings, dictionary, seed, &run->sae, err)); /* takes the dictionary over */
    return run->plan->train.encoder_start == RA_ENCODER_START_DICTIONARY ? start_at_dictionary(run, err)
                                                                         : RA_OK;
}

/* ---- the log ----------------------------------------------------------------------------------------- */

static ra_status open_log(train_run *run, ra_error *err) {
    const char *path = run->options->log;
    if (!path) return RA_OK;
    run->log = fopen(path, "we");
    if (!run->log) return ra_error_set(err, RA_ERR_IO, "cannot write the log %s: %s", path, strerror(errno));
    run->json = (json_writer){.file = run->log};
    return RA_OK;
}

static void log_step(train_run *run, const ra_train_progress *step) {
    json_writer *json = &run->json;
    json_object(json, NULL);
    json_count(json, "step", step->step);
    json_float(json, "loss", step->loss);
    json_float(json, "r2", step->r2);
    json_float(json, "l0", step->l0);
    json_float(json, "dead", step->dead);
    json_float(json, "lr", step->lr);
    json_float(json, "grad_norm", step->grad_norm);
    json_end(json);
}

ra_status train_run_close_log(train_run *run, ra_error *err) {
    if (!run->log) return RA_OK;
    errno = 0;
    bool lost = ferror(run->log) != 0;
    if (fclose(run->log) != 0) lost = true;
    run->log = NULL;
    if (!lost) return RA_OK;
    return ra_error_set(err, RA_ERR_IO, "the log %s is incomplete (%s); the model %s is written",
                        run->options->log, errno ? strerror(errno) : "an earlier write failed",
                        run->options->output);
}

/* ---- the loop ---------------------------------------------------------------------------------------- */

static void add_to_summary(train_run *run, const ra_train_progress *step) {
    enum { LAST_SHARE = 10 };
    double rows = (double)step->rows;
    run->total_rows += rows;
    run->last = *step;
    if (step->steps - step->step > step->steps / LAST_SHARE) return;
    run->loss += rows * step->loss;
    run->r2 += rows * step->r2;
    run->l0 += rows * step->l0;
    run->rows += rows;
}

static void show_step(train_run *run, const ra_train_progress *step) {
    progress_field fields[4];
    snprintf(fields[0].text, sizeof fields[0].text, "loss %.4g", step->loss);
    snprintf(fields[1].text, sizeof fields[1].text, "R2 %.3f", step->r2);
    snprintf(fields[2].text, sizeof fields[2].text, "L0 %.1f", step->l0);
    snprintf(fields[3].text, sizeof fields[3].text, "dead %.0f%%", 100 * step->dead);
    progress_show(&run->progress, step->step, run->total_rows, fields, 4);
}

static bool on_step(void *context, const ra_train_progress *step) {
    train_run *run = context;
    if (step->step == 1) run->progress.total = step->steps;
    add_to_summary(run, step);
    if (run->log) log_step(run, step);
    if (progress_due(&run->progress, step->step)) show_step(run, step);
    return !command_interrupted();
}

static ra_status train(train_run *run, ra_error *err) {
    progress_start(&run->progress, "training", 0);
    ra_status status = ra_train(run->sae, run->inputs->data, &run->plan->train, on_step, run, err);
    run->seconds = progress_elapsed(&run->progress);
    if (status == RA_ERR_CANCELLED)
        return ra_error_set(err, RA_ERR_CANCELLED,
                            "training was interrupted at step %zu of %zu; nothing was written",
                            run->last.step, run->last.steps);
    return status;
}

/* The last step is followed by no loss that would show an overflow; nobody must find it in the file. */
static ra_status check_result(train_run *run, ra_error *err) {
    size_t count;
    const float *D;
    const ra_parameter *parameters = ra_sae_parameters(run->sae, &count);
    ra_dictionary *dictionary = ra_sae_dictionary(run->sae);
    if (!ra_backend_operations(run->backend)->host_memory) return RA_OK;
    TRY(ra_dictionary_get(dictionary, &D, err));
    size_t size = ra_dictionary_concepts(dictionary) * ra_dictionary_dimensions(dictionary);
    const char *bad = ra_find_not_finite(D, size) < size ? "the dictionary" : NULL;
    for (size_t i = 0; i < count && !bad; i++) {
        size = ra_parameter_size(&parameters[i]);
        if (ra_find_not_finite(parameters[i].value, size) < size) bad = parameters[i].name;
    }
    if (!bad) return RA_OK;
    return ra_error_set(
        err, RA_ERR_NOT_FINITE,
        "%s holds a NaN or an infinity after step %zu with learning rate %g; try a smaller --lr", bad,
        run->last.step, run->last.lr);
}

/* ---- all of it --------------------------------------------------------------------------------------- */

/* The settings that matter, as a line to look at before the waiting starts. */
static void note_settings(train_run *run) {
    const ra_settings_table *table = ra_sae_settings_table();
    const ra_sae_settings *settings = ra_sae_get_settings(run->sae);
    const ra_train_settings *train = &run->plan->train;
    char sae[64], k[32] = "", delta[64] = "", loss[64];
    ra_setting_print(table, RA_SET_SAE, settings, sae, sizeof sae);
    if (sae_takes_top_k(settings)) snprintf(k, sizeof k, " (k = %zu)", settings->top_k);
    if (run->plan->source != POINTS_NONE)
        snprintf(delta, sizeof delta, " on %s points, delta %g",
                 format_grouped(run->points.vectors.rows).text, settings->delta);
    int row = ra_setting_by_flag(ra_train_settings_table(), "loss");
    loss[0] = '\0';
    if (row >= 0) ra_setting_print(ra_train_settings_table(), (size_t)row, train, loss, sizeof loss);
    progress_note(&run->progress, "%s%s, %s concepts of %zu dimensions%s; %s rows, batches of %zu, %s, lr %g",
                  sae, k, format_grouped(run->plan->concepts).text, ra_data_dimensions(run->inputs->data),
                  delta, format_grouped(ra_data_rows(run->inputs->data)).text, train->batch_size, loss,
                  train->lr);
}

ra_status train_run_all(train_run *run, ra_error *err) {
    const train_options *options = run->options;
    TRY(model_choice_backend(&options->model, &run->backend, err));
    /* A bad --init is found before the log is touched. */
    if (options->init)
        TRY(ra_sae_open(options->init, &options->model.settings, run->backend, &run->sae, err));
    TRY(open_log(run, err));
    TRY(find_points(run, err));
    TRY(command_check_interrupted(err));
    if (!run->sae) TRY(make_sae(run, err));
    note_settings(run);
    TRY(train(run, err));
    return check_result(run, err);
}

void train_run_release(train_run *run) {
    ra_error ignored;
    train_run_close_log(run, &ignored);
    ra_sae_free(run->sae);
    ra_points_release(&run->points);
    ra_backend_release(run->backend);
}
