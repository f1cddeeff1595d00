/* rasae eval: how well a model explains activations, streamed through it in evaluation mode, and what each of
 * its latents does on them. */
#include "eval/eval.h"
#include "files.h"
#include "app/format.h"
#include "options.h"
#include "progress.h"

enum { MEMORY_DEFAULT = 1024, EXAMPLES_MOST = 1024 };

typedef struct eval_options {
    const char *model_path, *tensor;
    const char *const *data;
    size_t data_count;
    const char *labels, *classes, *directions, *save;
    size_t memory, examples;
    bool basic, json, skip_bad_rows;
    model_choice model;
} eval_options;

static const option rows[] = {
    {.name = "tensor",
     .type = OPTION_TEXT,
     .offset = offsetof(eval_options, tensor),
     .argument = "NAME",
     .help = "which tensor of DATA, when it holds several"},
    {.name = "skip-bad-rows",
     .type = OPTION_SWITCH,
     .offset = offsetof(eval_options, skip_bad_rows),
     .help = "leaves out rows that hold a NaN or an infinity"},
    {.name = "save",
     .type = OPTION_TEXT,
     .offset = offsetof(eval_options, save),
     .argument = "FILE",
     .help = "writes the artifact with the statistics of its latents; may be MODEL"},
    {.name = "labels",
     .type = OPTION_TEXT,
     .offset = offsetof(eval_options, labels),
     .argument = "FILE",
     .help = "one label a data row, saved with the top examples"},
    {.name = "examples",
     .type = OPTION_COUNT,
     .offset = offsetof(eval_options, examples),
     .min = 1,
     .max = EXAMPLES_MOST,
     .argument = "T",
     .help = "rows of largest value kept for a latent (16)"},
    {.name = "classes",
     .type = OPTION_TEXT,
     .offset = offsetof(eval_options, classes),
     .argument = "FILE",
     .help = "one class a data row, for identifiability"},
    {.name = "directions",
     .type = OPTION_TEXT,
     .offset = offsetof(eval_options, directions),
     .argument = "FILE",
     .help = "directions of classifiers, [C, d], for plausibility"},
    {.name = "memory",
     .type = OPTION_COUNT,
     .offset = offsetof(eval_options, memory),
     .min = 1,
     .max = (size_t)1 << 30,
     .argument = "MIB",
     .help = "for metrics over pairs of latents, covariances, samples (1024)"},
    {.name = "basic",
     .type = OPTION_SWITCH,
     .offset = offsetof(eval_options, basic),
     .help = "leaves those out"},
    {.name = "json",
     .type = OPTION_SWITCH,
     .offset = offsetof(eval_options, json),
     .help = "one JSON object"},
};

typedef struct eval_run {
    const eval_options *options;
    ra_model *model;
    ra_data *data;
    ra_data *directions; /* NULL: none */
    ra_matrix direction_rows;
    ra_labels *labels; /* NULL: none */
    row_classes classes;
    ra_class_detector *detectors;
    ra_evaluation *evaluation;
    eval_report report;
} eval_run;

/* ---- before the work ---------------------------------------------------------------------------------- */

/* The saved file may take the place of the artifact it is made from, of nothing else. */
static ra_status check_save(const eval_run *run, ra_error *err) {
    const eval_options *o = run->options;
    bool artifact = !ra_model_get_info(run->model)->from_checkpoint;
    const char *const others[] = {o->labels, o->classes, o->directions, artifact ? NULL : o->model_path};
    if (!o->save) return RA_OK;
    RA_TRY(check_output(o->save, o->data, o->data_count, err));
    return check_output(o->save, others, sizeof others / sizeof *others, err);
}

static ra_status open_directions(eval_run *run, ra_error *err) {
    const char *path = run->options->directions;
    size_t d = ra_model_get_info(run->model)->dimensions;
    if (!path) return RA_OK;
    RA_TRY(ra_data_open(&path, 1, NULL, &run->directions, err));
    if (ra_data_dimensions(run->directions) != d)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu dimensions a row, but the model %s has %zu", path,
                ra_data_dimensions(run->directions), run->options->model_path, d);
    RA_TRY(ra_matrix_init(&run->direction_rows, ra_data_rows(run->directions), d, err));
    ra_data_read(run->directions, 0, run->direction_rows.rows, run->direction_rows.data);
    return RA_OK;
}

static ra_status open_labels(eval_run *run, ra_error *err) {
    const char *path = run->options->labels;
    if (!path) return RA_OK;
    RA_TRY(ra_labels_open(path, &run->labels, err));
    if (ra_labels_count(run->labels) != ra_data_source_rows(run->data))
        RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu lines; expected %zu, one for each data row", path,
                ra_labels_count(run->labels), ra_data_source_rows(run->data));
    return RA_OK;
}

static ra_status open_inputs(eval_run *run, ra_error *err) {
    const eval_options *o = run->options;
    const ra_data_options how = {.tensor_name = o->tensor, .skip_bad_rows = o->skip_bad_rows};
    RA_TRY(model_choice_open(&o->model, o->model_path, 0, &run->model, err));
    RA_TRY(ra_data_open(o->data, o->data_count, &how, &run->data, err));
    size_t d = ra_data_dimensions(run->data), wanted = ra_model_get_info(run->model)->dimensions;
    if (d != wanted)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu dimensions a row, but the model %s has %zu", o->data[0], d,
                o->model_path, wanted);
    RA_TRY(check_save(run, err));
    RA_TRY(open_directions(run, err));
    RA_TRY(open_labels(run, err));
    return o->classes ? row_classes_open(o->classes, run->data, &run->classes, err) : RA_OK;
}

/* ---- the work ----------------------------------------------------------------------------------------- */

static ra_status one_pass(eval_run *run, const ra_matrix *block, const char *what, ra_error *err) {
    size_t all = ra_data_rows(run->data);
    progress_meter progress;
    ra_status status = RA_OK;
    progress_open(&progress, PROGRESS_BAR);
    progress_start(&progress, what, all);
    for (size_t first = 0; first < all && status == RA_OK; first += block->rows) {
        size_t count = all - first < block->rows ? all - first : block->rows;
        ra_data_read(run->data, first, count, block->data);
        status = ra_evaluation_add(run->evaluation, block->data, count, err);
        if (progress_due(&progress, first + count))
            progress_show(&progress, first + count, (double)(first + count), NULL, 0);
    }
    progress_close(&progress);
    return status;
}

static ra_status all_passes(eval_run *run, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(run->model);
    size_t d = info->dimensions;
    bool again = true;
    ra_matrix block;
    RA_TRY(ra_matrix_init(&block, rows_per_block(d > info->concepts ? d : info->concepts), d, err));
    ra_status status = RA_OK;
    for (size_t pass = 0; again && status == RA_OK; pass++) {
        status = one_pass(run, &block, pass ? "pairs of latents" : "evaluating", err);
        if (status == RA_OK) status = ra_evaluation_next_pass(run->evaluation, &again, err);
    }
    ra_matrix_release(&block);
    return status;
}

static uint64_t number_in_files(const void *context, uint64_t row) {
    return ra_data_source_row(context, row);
}

static ra_status measure(eval_run *run, ra_error *err) {
    const eval_options *o = run->options;
    const ra_evaluation_options options = {
        .memory = o->memory << 20,
        .examples = o->examples,
        .basic = o->basic,
        .directions = o->directions ? run->direction_rows.data : NULL,
        .direction_count = run->direction_rows.rows,
        .row_class = o->classes ? run->classes.row_class : NULL,
        .class_rows = run->classes.rows,
        .class_count = run->classes.count,
        .row_number = number_in_files,
        .row_context = run->data,
    };
    eval_report *report = &run->report;
    RA_TRY(ra_evaluation_new(run->model, &options, &run->evaluation, err));
    RA_TRY(all_passes(run, err));
    RA_TRY(ra_evaluation_finish(run->evaluation, &report->result, err));
    if (o->classes && report->result.identifiability >= 0) { /* not NaN: there are detectors */
        run->detectors = ra_malloc(run->classes.count, sizeof *run->detectors);
        if (!run->detectors)
            RA_FAIL(err, RA_ERR_MEMORY, "out of memory: detectors of %zu classes", run->classes.count);
        RA_TRY(ra_evaluation_classes(run->evaluation, run->detectors, err));
    }
    return ra_evaluation_statistics(run->evaluation, run->labels, &report->latents, err);
}

static ra_status save(const eval_run *run, ra_error *err) {
    if (!run->options->save) return RA_OK;
    command_catch_interrupts(); /* a write that has begun is finished rather than left lying
                                 * beside the target */
    return ra_model_save_with(run->model, &(ra_model_additions){.statistics = &run->report.latents},
                              run->options->save, ra_model_get_info(run->model)->dtype, err);
}

static ra_status eval(const eval_options *options, ra_error *err) {
    eval_run run = {.options = options};
    ra_status status;
    RA_TRY_OUT(status, open_inputs(&run, err));
    RA_TRY_OUT(status, measure(&run, err));
    RA_TRY_OUT(status, save(&run, err));
    run.report.model_path = options->model_path;
    run.report.data = options->data;
    run.report.data_count = options->data_count;
    run.report.model = run.model;
    run.report.classes = &run.classes;
    run.report.detectors = run.detectors;
    if (options->json)
        status = eval_print_json(&run.report, err);
    else
        eval_print_table(&run.report);
out:
    ra_evaluation_free(run.evaluation);
    ra_free(run.detectors);
    row_classes_release(&run.classes);
    ra_labels_free(run.labels);
    ra_matrix_release(&run.direction_rows);
    ra_data_free(run.directions);
    ra_data_free(run.data);
    ra_model_release(run.model);
    return status;
}

int command_eval(int argc, char **argv) {
    eval_options options = {.memory = MEMORY_DEFAULT};
    const option_group groups[] = {
        {"Flags", rows, sizeof rows / sizeof *rows, NULL, &options, NULL},
        {NULL, model_options, MODEL_OPTION_COUNT, NULL, &options.model, NULL},
        {MODEL_SETTINGS_TITLE, NULL, 0, ra_sae_settings_table(), &options.model.settings, NULL},
    };
    const command_line line = {
        .command = "eval",
        .usage = "MODEL DATA... [--save FILE] [--json]",
        .about = "Measures a model on activations: how much it explains, how sparse its codes are, how\n"
                 "its atoms lie, which latents are active together, and what each latent does. MODEL is\n"
                 "a fused artifact or a checkpoint; DATA: one or more .npy or .safetensors, [rows, d],\n"
                 "[n, tokens, d] or [n, d, h, w], rows numbered on from file to file. A model that\n"
                 "standardizes its inputs is measured on standardized activations.\n"
                 "\n"
                 "--save writes the artifact with how often and how strongly each latent is active, a\n"
                 "histogram of its values and the rows where it is strongest; rasaed then serves them.\n"
                 "\n"
                 "Where K^2 products of latents are more than --memory holds, the data are read again\n"
                 "for the next part of them. What cannot be measured is said with its reason.\n",
        .example = "  rasae eval words.safetensors acts.npy\n"
                   "  rasae eval words.fused.safetensors acts.npy --labels words.txt --save "
                   "words.fused.safetensors\n"
                   "  rasae eval digits.safetensors digits.npy --classes digits.txt --json\n",
        .groups = groups,
        .group_count = sizeof groups / sizeof *groups,
        .min_arguments = 2,
        .max_arguments = argc,
        .arguments = "MODEL and DATA, at least one file",
    };
    ra_error err = {0};
    command_line_result parsed = command_line_parse(&line, &argc, argv);
    if (parsed != LINE_GOOD) return parsed == LINE_HELP ? EXIT_GOOD : EXIT_USAGE;
    options.model_path = argv[0];
    options.data = (const char *const *)argv + 1;
    options.data_count = (size_t)argc - 1;
    return command_end(eval(&options, &err), &err);
}
