/* The page of --report: fills report_content from the run. The model is opened from the checkpoint, so that
 * the page shows what the file holds. */
#include "training/training.h"

#include "app/format.h"
#include "report/page.h"

#include <math.h>
#include <string.h>

enum { MAX_SETTINGS = 64, TEXT_SIZE = 64 };

typedef struct shown_settings {
    report_setting rows[MAX_SETTINGS];
    char texts[MAX_SETTINGS][TEXT_SIZE];
    size_t count;
} shown_settings;

/* Adds the settings that are the same for all models. */
static void add_settings(shown_settings *list, const ra_settings_table *table, const void *settings,
                         bool several) {
    for (size_t i = 0; i < table->count && list->count < MAX_SETTINGS; i++) {
        if (!ra_setting_known(settings, i)) continue;
        if (several &&
            (strcmp(table->rows[i].key, "seed") == 0 || strcmp(table->rows[i].key, "running_threshold") == 0))
            continue;
        ra_setting_print(table, i, settings, list->texts[list->count], TEXT_SIZE);
        list->rows[list->count] = (report_setting){table->rows[i].key, list->texts[list->count]};
        list->count++;
    }
}

/* "400 concepts from words.safetensors": without the folder, since a page may be passed on. */
static void make_title(const train_run *run, char *title, size_t size) {
    const char *path = run->options->data[0], *slash = strrchr(path, '/');
    size_t more = run->options->data_count - 1;
    int used = snprintf(title, size, "%s concepts from %s", format_grouped(run->plan->concepts).text,
                        slash ? slash + 1 : path);
    if (more && used > 0 && (size_t)used < size)
        snprintf(title + used, size - (size_t)used, " and %zu more", more);
}

/* What the page shows of one model. */
typedef struct reported_model {
    char name[40];
    ra_model *model;
    report_measures measures;
} reported_model;

static report_run describe(const train_run *run, size_t i, reported_model *reported) {
    const train_model *model = &run->models[i];
    snprintf(reported->name, sizeof reported->name, "seed %llu", (unsigned long long)model->seed);
    return (report_run){.name = reported->name,
                        .output = model->output,
                        .history = &model->history,
                        .measures = &reported->measures,
                        .model = reported->model,
                        .steps = ra_trainer_done(model->trainer),
                        .loss = model->loss / model->rows,
                        .r2_per_dimension = model->r2_per_dimension / model->rows,
                        .r2 = model->r2 / model->rows,
                        .r2_holdout = model->measured ? model->r2_holdout : NAN,
                        .l0 = model->l0 / model->rows,
                        .dead = model->last.dead,
                        .seconds = run->seconds,
                        .rows_per_second = run->seconds > 0 ? run->total_rows / run->seconds : NAN};
}

static ra_status write_report(const train_run *run, reported_model *models, ra_error *err) {
    char title[256];
    shown_settings settings = {.count = 0};
    report_run runs[TRAIN_SEEDS_MOST];
    make_title(run, title, sizeof title);
    add_settings(&settings, ra_sae_settings_table(), ra_sae_get_settings(run->models[0].sae), run->count > 1);
    add_settings(&settings, ra_train_settings_table(), &run->models[0].settings, run->count > 1);
    for (size_t i = 0; i < run->count; i++) runs[i] = describe(run, i, &models[i]);
    const report_content page = {.title = title,
                                 .settings = settings.rows,
                                 .setting_count = settings.count,
                                 .data = run->options->data,
                                 .data_count = run->options->data_count,
                                 .rows = ra_data_rows(run->inputs->data),
                                 .dimensions = ra_data_dimensions(run->inputs->data),
                                 .runs = runs,
                                 .run_count = run->count};
    return report_write(&page, run->options->report, err);
}

/* Models take inputs as they are in the files and standardize them themselves. */
static ra_status measure_models(train_run *run, reported_model *models, ra_error *err) {
    const ra_model_options options = {.backend = run->backend};
    RA_TRY(ra_data_set_standardization(run->inputs->data, NULL, NULL, err));
    for (size_t i = 0; i < run->count; i++) {
        RA_TRY(ra_model_open(run->models[i].output, &options, &models[i].model, err));
        RA_TRY(report_measure(models[i].model, run->backend, run->inputs->data, &run->progress,
                              &models[i].measures, err));
    }
    return RA_OK;
}

ra_status train_report(train_run *run, ra_error *err) {
    if (!run->options->report || !train_run_speaks(run)) return RA_OK;
    ra_error cause = {0};
    reported_model *models = ra_calloc(run->count, sizeof *models);
    if (!models) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a report of %zu models", run->count);
    ra_status status = measure_models(run, models, &cause);
    if (status == RA_OK) status = write_report(run, models, &cause);
    for (size_t i = 0; i < run->count; i++) {
        report_measures_release(&models[i].measures);
        ra_model_release(models[i].model);
    }
    ra_free(models);
    run->reported = status == RA_OK;
    if (run->reported) return RA_OK;
    RA_FAIL(err, status,
            "the report %s was not written (%.300s); the model %s was written", /* as of the log */
            run->options->report, cause.message, run->models[0].output);
}
