/* The page of --report: from the run to what report.h asks for. The model is opened from the checkpoint, so
 * that the page shows what is in the file. */
#include "train.h"

#include "format.h"

#include <math.h>
#include <string.h>

enum { MAX_SETTINGS = 64, TEXT_SIZE = 64 };

typedef struct settings_list {
    report_setting rows[MAX_SETTINGS];
    char texts[MAX_SETTINGS][TEXT_SIZE];
    size_t count;
} settings_list;

static void add_settings(settings_list *list, const ra_settings_table *table, const void *settings) {
    for (size_t i = 0; i < table->count && list->count < MAX_SETTINGS; i++) {
        if (!ra_setting_known(settings, i)) continue;
        ra_setting_print(table, i, settings, list->texts[list->count], TEXT_SIZE);
        list->rows[list->count] = (report_setting){table->rows[i].key, list->texts[list->count]};
        list->count++;
    }
}

/* "400 concepts from words.safetensors": folders say little, and a page may be passed on. */
static void make_title(const train_run *run, char *title, size_t size) {
    const char *path = run->options->data[0], *slash = strrchr(path, '/');
    size_t more = run->options->data_count - 1;
    int used = snprintf(title, size, "%s concepts from %s", format_grouped(run->plan->concepts).text,
                        slash ? slash + 1 : path);
    if (more && used > 0 && (size_t)used < size)
        snprintf(title + used, size - (size_t)used, " and %zu more", more);
}

static ra_status write_report(const train_run *run, const ra_model *model, const report_measures *measures,
                              ra_error *err) {
    char title[256], name[32];
    settings_list settings = {.count = 0};
    make_title(run, title, sizeof title);
    snprintf(name, sizeof name, "seed %zu", run->plan->train.seed);
    add_settings(&settings, ra_sae_settings_table(), ra_sae_get_settings(run->sae));
    add_settings(&settings, ra_train_settings_table(), &run->plan->train);
    const report_run only = {.name = name,
                             .output = run->options->output,
                             .history = &run->history,
                             .measures = measures,
                             .model = model,
                             .steps = run->last.step,
                             .loss = run->loss / run->rows,
                             .r2 = run->r2 / run->rows,
                             .l0 = run->l0 / run->rows,
                             .dead = run->last.dead,
                             .seconds = run->seconds,
                             .rows_per_second = run->seconds > 0 ? run->total_rows / run->seconds : NAN};
    const report_content page = {.title = title,
                                 .settings = settings.rows,
                                 .setting_count = settings.count,
                                 .data = run->options->data,
                                 .data_count = run->options->data_count,
                                 .rows = ra_data_rows(run->inputs->data),
                                 .dimensions = ra_data_dimensions(run->inputs->data),
                                 .runs = &only,
                                 .run_count = 1};
    return report_write(&page, run->options->report, err);
}

/* As of the log: what is missing costs only the report. */
static ra_status without_report(const train_run *run, const ra_error *cause, ra_error *err) {
    return ra_error_set(err, cause->code, "there is no report %s (%.300s); the model %s is written",
                        run->options->report, cause->message, run->options->output);
}

ra_status train_report(train_run *run, ra_error *err) {
    if (!run->options->report) return RA_OK;
    ra_model *model = NULL;
    report_measures measures = {0};
    ra_error cause;
    const ra_model_options options = {.backend = run->backend};
    ra_status status;
    TRY_OUT(status, ra_model_open(run->options->output, &options, &model, &cause));
    TRY_OUT(status,
            report_measure(model, run->backend, run->inputs->data, &run->progress, &measures, &cause));
    TRY_OUT(status, write_report(run, model, &measures, &cause));
out:
    report_measures_release(&measures);
    ra_model_release(model);
    run->reported = status == RA_OK;
    return run->reported ? RA_OK : without_report(run, &cause, err);
}
