/* How many rows are shuffled together, of data larger than memory.
 *
 * Two windows of rows are held: one is in use, the other is read meanwhile. They get half of the memory that the models
 * leave, at least an eighth of all; the rest is for the pages of the files that are read, and for what else a command
 * needs. The number follows from the limits of machine and process, the data and the settings, not from what happens to be
 * free: the same command gives the same bytes. It is a setting of the checkpoint, so that a run which is resumed elsewhere
 * takes the rows in the same order, whatever memory there is. */
#include "training/training.h"

#include "app/format.h"

enum { SHARE_OF_REST = 2, LEAST_SHARE = 8, PROGRAM_BYTES = 64 << 20 /* the program itself, its batches */ };

/* The smallest of all members of a group. */
static ra_status agree(const ra_group *group, size_t *window, ra_error *err) {
    enum { RANKS_MOST = 4096 };
    uint64_t each[RANKS_MOST] = {0};
    if (ra_group_size(group) == 1 || group->size > RANKS_MOST) return RA_OK;
    each[group->rank] = *window;
    RA_TRY(ra_group_sum_u64(group, each, group->size, err));
    for (size_t i = 0; i < group->size; i++) /* 0: the usual window, which is larger */
        if (each[i] && (*window == 0 || each[i] < *window)) *window = (size_t)each[i];
    return RA_OK;
}

ra_status train_settle_window(train_run *run, train_plan *plan, ra_error *err) {
    const ra_data *data = run->inputs->data;
    const train_options *options = run->options;
    ra_train_settings *settings = &plan->train;
    double memory = (double)ra_data_memory(data), bytes;
    double models = train_plan_bytes(plan, run->inputs, run->count), rest = (memory - models) / SHARE_OF_REST;
    bool resumed = run->models[0].resume != NULL, given = ra_setting_known(&options->train, RA_TRAIN_WINDOW);
    if (!settings->shuffle) return RA_OK;
    if (!resumed && !given) { /* --init: that of another machine */
        size_t batch = ra_train_batch_rows(settings, ra_data_rows(data)),
               window = ra_train_choose_window(
                   data, rest > memory / LEAST_SHARE ? rest : memory / LEAST_SHARE, batch, &bytes);
        RA_TRY(agree(run->group, &window, err));
        ra_setting_forget(settings, RA_TRAIN_WINDOW);
        settings->window = window;
        if (window) train_know(settings, RA_TRAIN_WINDOW);
    }
    if (!ra_data_is_large(data)) return RA_OK;
    size_t window = ra_setting_known(settings, RA_TRAIN_WINDOW) ? settings->window : 0;
    size_t rows = ra_train_window_rows(data, window, &bytes);
    double all = bytes + models + PROGRAM_BYTES;
    progress_note(
        &run->progress,
        "the data (%s) are more than half of the memory (%s): rows are shuffled within windows of %s; "
        "training takes about %s, two windows %s of it",
        format_bytes((uint64_t)ra_data_bytes(data)).text, format_bytes((uint64_t)memory).text,
        format_grouped(rows).text, format_bytes((uint64_t)all).text, format_bytes((uint64_t)bytes).text);
    return RA_OK;
}
