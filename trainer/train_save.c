/* The checkpoint, and what is said at the end.
 *
 * With the parameters and their settings go the settings of the training, so that the file can be an --init
 * again and continue in the same way; no time stamp and no host, so that one seed gives the same bytes. */
#include "train.h"

#include "format.h"

#include <math.h>

enum { MAX_SETTINGS = 32, TEXT_SIZE = 64 };

/* Texts that have to live until the file is written. */
typedef struct metadata_texts {
    char settings[MAX_SETTINGS][TEXT_SIZE];
    char concepts[TEXT_SIZE], dimensions[TEXT_SIZE];
} metadata_texts;

static ra_status store_settings(const train_run *run, metadata_texts *texts, ra_safetensors_writer *writer,
                                ra_error *err) {
    const ra_settings_table *table = ra_train_settings_table();
    const ra_train_settings *train = &run->plan->train;
    int epochs = ra_setting_by_flag(table, "epochs");
    for (size_t i = 0; i < table->count && i < MAX_SETTINGS; i++) {
        if (!ra_setting_known(train, i)) continue;
        if ((int)i == epochs && train_knows(train, "steps")) continue; /* it was not what counted */
        ra_setting_print(table, i, train, texts->settings[i], TEXT_SIZE);
        TRY(ra_safetensors_writer_metadata(writer, table->rows[i].key, texts->settings[i], err));
    }
    snprintf(texts->concepts, TEXT_SIZE, "%zu", run->plan->concepts);
    snprintf(texts->dimensions, TEXT_SIZE, "%zu", ra_data_dimensions(run->inputs->data));
    if (ra_setting_by_key(table, "nb_concepts") < 0)
        TRY(ra_safetensors_writer_metadata(writer, "nb_concepts", texts->concepts, err));
    return ra_safetensors_writer_metadata(writer, "in_dimensions", texts->dimensions, err);
}

ra_status train_save(const train_run *run, ra_error *err) {
    metadata_texts texts;
    ra_safetensors_writer *writer = NULL;
    char *labels = NULL;
    ra_status status;
    TRY_OUT(status, ra_safetensors_writer_new(&writer, err));
    TRY_OUT(status, ra_sae_store(run->sae, writer, err));
    if (run->points.vectors.rows)
        TRY_OUT(status, ra_points_store(&run->points, run->inputs->labels, writer, &labels, err));
    TRY_OUT(status, store_settings(run, &texts, writer, err));
    TRY_OUT(status, ra_safetensors_writer_write(writer, run->options->output, err));
out:
    ra_safetensors_writer_free(writer);
    ra_free(labels);
    return status;
}

/* ---- the summary ------------------------------------------------------------------------------------- */

static void summary_json(const train_run *run) {
    json_writer json = {.file = stdout};
    json_object(&json, NULL);
    json_text(&json, "output", run->options->output);
    if (run->reported) json_text(&json, "report", run->options->report);
    json_count(&json, "concepts", run->plan->concepts);
    json_count(&json, "dimensions", ra_data_dimensions(run->inputs->data));
    json_count(&json, "points", run->points.vectors.rows);
    json_count(&json, "steps", run->last.step);
    json_real(&json, "loss", run->loss / run->rows);
    json_real(&json, "r2", run->r2 / run->rows);
    json_real(&json, "l0", run->l0 / run->rows);
    json_real(&json, "dead", run->last.dead);
    json_real(&json, "seconds", run->seconds);
    json_real(&json, "rows_per_second", run->seconds > 0 ? run->total_rows / run->seconds : NAN);
    json_end(&json);
}

void train_summary(const train_run *run) {
    if (run->options->json) {
        summary_json(run);
        return;
    }
    if (run->options->quiet) return;
    printf("%zu steps in %s; over the last tenth: loss %.6g, R2 %.4f, L0 %.1f, dead %.1f%%\n", run->last.step,
           format_seconds(run->seconds).text, run->loss / run->rows, run->r2 / run->rows, run->l0 / run->rows,
           100 * run->last.dead);
    if (run->r2 < 0)
        printf("an R2 below 0 is worse than the mean of the data: try more --epochs, another --lr, or "
               "activations "
               "scaled to rows of about unit length\n");
    print_clean(stdout, run->options->output);
    printf(": %s concepts of %zu dimensions\n", format_grouped(run->plan->concepts).text,
           ra_data_dimensions(run->inputs->data));
    if (!run->reported) return;
    print_clean(stdout, run->options->report);
    printf(": the report\n");
}
