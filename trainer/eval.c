/* rasae eval: how well a model explains activations, streamed through it in evaluation mode, and what each of
 * its latents does on them. */
#include "commands.h"
#include "common/agreement.h"
#include "eval/eval.h"
#include "common/files.h"
#include "common/progress.h"

#include <limits.h>
#include <string.h>

enum { EXAMPLES_MOST = 1024 };

static struct eval_flags {
    uint64_t known;
    const char *tensor, *labels, *classes, *directions, *save, *runs, *item_shape, *tokens;
    size_t items, memory, examples, cofiring, together, quantiles, quantile_rows;
    bool basic, json, skip_bad_rows;
    int layout;
    model_choice model;
} flags;

#define AT(member) offsetof(struct eval_flags, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"tensor", RA_SETTING_TEXT, AT(tensor), .argument = "NAME",
        .help = "which tensor of DATA, when it holds several"},
    DATA_LAYOUT_ROW(AT(layout)),
    {"skip_bad_rows", RA_SETTING_BOOL, AT(skip_bad_rows), .help = "leave out rows that hold a NaN or an infinity"},
    {"save", RA_SETTING_TEXT, AT(save), .argument = "FILE",
        .help = "write the artifact with the statistics of its latents; may be MODEL"},
    {"labels", RA_SETTING_TEXT, AT(labels), .argument = "FILE",
        .help = "one label per data row, saved with the top examples"},
    {"runs", RA_SETTING_TEXT, AT(runs), .argument = "FILE,FILE,...",
        .help = "dictionaries of other runs, for the agreement of the atoms that --save keeps"},
    {"examples", RA_SETTING_COUNT, AT(examples), .min = 1, .max = EXAMPLES_MOST, .argument = "T",
        .help = "rows of largest value kept for a latent (16)"},
    {"cofiring", RA_SETTING_COUNT, AT(cofiring), .max = RA_COFIRING_PARTNERS_MOST, .fallback = "16", .argument = "T",
        .help = "latents kept that are active together with a latent, by each measure; 0: none"},
    {"together", RA_SETTING_COUNT, AT(together), .min = 1, .max = 0x1p53, .fallback = "5", .argument = "N",
        .help = "rows in which they are active together, at least"},
    {"quantiles", RA_SETTING_COUNT, AT(quantiles), .max = RA_LATENT_QUANTILES_MOST, .fallback = "10", .argument = "Q",
        .help = "quantiles of the positive codes of a latent that rows are kept of; 0: none"},
    {"quantile_rows", RA_SETTING_COUNT, AT(quantile_rows), .min = 1, .max = RA_LATENT_QUANTILE_ROWS_MOST,
        .fallback = "5", .argument = "S", .help = "rows kept of each quantile"},
    {"item_shape", RA_SETTING_TEXT, AT(item_shape), .argument = "[SKIP+]HxW",
        .help = "rows are parts of items: HxW patches or N tokens, after SKIP class and register tokens"},
    {"items", RA_SETTING_COUNT, AT(items), .max = 1024, .argument = "I",
        .help = "items whose codes are kept for a latent, all of them, of the largest value; 0: none (0)"},
    {"tokens", RA_SETTING_TEXT, AT(tokens), .argument = "FILE",
        .help = "the tokens of texts, one JSON array of strings per item; saved where they are needed"},
    {"classes", RA_SETTING_TEXT, AT(classes), .argument = "FILE",
        .help = "one class per data row, for identifiability"},
    {"directions", RA_SETTING_TEXT, AT(directions), .argument = "FILE",
        .help = "directions of classifiers, [C, d], for plausibility"},
    {"memory", RA_SETTING_COUNT, AT(memory), .min = 1, .max = 1 << 30, .argument = "MIB",
        .help = "memory for pairs of latents, covariances, samples (1024, at most a quarter); as much for codes"},
    {"basic", RA_SETTING_BOOL, AT(basic), .help = "leave these metrics out"},
    {"json", RA_SETTING_BOOL, AT(json), .help = "print one JSON object"},
};
/* clang-format on */

typedef struct eval_run {
    const char *const *files; /* of the data */
    size_t file_count;
    ra_model *model;
    ra_data *data;
    ra_data *directions; /* NULL: none */
    ra_matrix direction_rows;
    ra_labels *labels;      /* NULL: none */
    ra_latent_items items;  /* that the rows are parts of; rows 0: of none */
    ra_token_lines *tokens; /* NULL: none */
    ra_kept_tokens *kept_tokens;
    row_classes classes;
    ra_class_detector *detectors;
    ra_evaluation *evaluation;
    ra_agreement agreement;
    eval_report report;
} eval_run;

/* ---- before the work ---------------------------------------------------------------------------------- */

/* The saved file may replace the artifact that it is made from, but no other input. */
static ra_status check_save(const eval_run *run, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(run->model);
    const char *const others[] = {flags.labels, flags.classes, flags.directions, flags.tokens,
                                  info->from_checkpoint ? info->path : NULL};
    if (!flags.save) return RA_OK;
    RA_TRY(check_output(flags.save, OUTPUT_MODEL, run->files, run->file_count, err));
    return check_output(flags.save, OUTPUT_MODEL, others, sizeof others / sizeof *others, err);
}

static ra_status open_directions(eval_run *run, ra_error *err) {
    if (!flags.directions) return RA_OK;
    RA_TRY(open_data_of(run->model, &flags.directions, 1, NULL, &run->directions, err));
    RA_TRY(ra_matrix_init(&run->direction_rows, ra_data_rows(run->directions),
                          ra_data_dimensions(run->directions), err));
    ra_data_read(run->directions, 0, run->direction_rows.rows, run->direction_rows.data);
    return RA_OK;
}

static ra_status open_labels(eval_run *run, ra_error *err) {
    if (!flags.labels) return RA_OK;
    RA_TRY(ra_labels_open(flags.labels, &run->labels, err));
    if (ra_labels_count(run->labels) != ra_data_source_rows(run->data))
        RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu lines; expected %zu, one for each data row", flags.labels,
                ra_labels_count(run->labels), ra_data_source_rows(run->data));
    return RA_OK;
}

/* The items of --item-shape, or those that the files show. */
static ra_status choose_items(eval_run *run, ra_error *err) {
    ra_latent_items shown = {0}, *items = &run->items;
    size_t count = ra_data_source_rows(run->data);
    (void)ra_data_items(run->data, &shown.rows, &shown.width);
    *items = shown;
    if (!flags.item_shape) return RA_OK;
    if (!ra_latent_items_parse(flags.item_shape, items))
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "--item-shape is \"%s\", expected the rows of an item, as 77, 16x16 or 5+16x16",
                flags.item_shape);
    if (shown.rows && shown.rows != items->rows)
        RA_FAIL(err, RA_ERR_SHAPE, "--item-shape %s is %zu rows, but the items of %s have %zu",
                flags.item_shape, items->rows, run->files[0], shown.rows);
    if (count % items->rows)
        RA_FAIL(err, RA_ERR_SHAPE,
                "--item-shape %s is %zu rows; the %zu rows of the data are no multiple of them",
                flags.item_shape, items->rows, count);
    return RA_OK;
}

static ra_status open_tokens(eval_run *run, ra_error *err) {
    const ra_latent_items *items = &run->items;
    if (!flags.tokens) return RA_OK;
    if (!flags.save)
        RA_FAIL(err, RA_ERR_ARGUMENT, "--tokens is given without --save FILE, which would keep the tokens");
    if (items->rows == 0)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "--tokens names the tokens of texts, but the rows of %s are not parts of items; --item-shape "
                "N says how "
                "many are a text",
                run->files[0]);
    if (items->width)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "--tokens names the tokens of texts, but the items of %s are grids of patches; --item-shape "
                "%zu makes "
                "texts of them",
                run->files[0], items->rows);
    return ra_token_lines_open(flags.tokens, ra_data_source_rows(run->data) / items->rows, items->rows,
                               items->skip, &run->tokens, err);
}

static ra_status open_inputs(eval_run *run, const char *model_path, ra_error *err) {
    const ra_data_options how = {.tensor_name = flags.tensor,
                                 .skip_bad_rows = flags.skip_bad_rows,
                                 .layout = (ra_layout_of_data)flags.layout};
    RA_TRY(model_choice_open(&flags.model, model_path, 0, &run->model, err));
    RA_TRY(open_data_of(run->model, run->files, run->file_count, &how, &run->data, err));
    RA_TRY(check_save(run, err));
    RA_TRY(choose_items(run, err));
    RA_TRY(open_directions(run, err));
    RA_TRY(open_labels(run, err));
    RA_TRY(open_tokens(run, err));
    return flags.classes ? row_classes_open(flags.classes, run->data, &run->classes, err) : RA_OK;
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
        progress_rows(&progress, first + count);
    }
    progress_close(&progress);
    return status;
}

static ra_status all_passes(eval_run *run, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(run->model);
    bool again = true;
    ra_matrix block;
    RA_TRY(ra_matrix_init(&block, rows_per_block(info), info->dimensions, err));
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

static size_t default_memory(void) {
    const size_t usual = (size_t)1 << 30, quarter = ra_memory_limit() / 4;
    return quarter < usual ? quarter : usual;
}

/* Where --save writes; there is room, and a right to write. */
static const char *folder_of_output(char *folder, size_t size) {
    const char *slash = flags.save ? strrchr(flags.save, '/') : NULL;
    if (!flags.save) return NULL;
    if (!slash) return ".";
    size_t length = slash == flags.save ? 1 : (size_t)(slash - flags.save);
    if (length >= size) return NULL;
    memcpy(folder, flags.save, length);
    folder[length] = 0;
    return folder;
}

static ra_status measure(eval_run *run, ra_error *err) {
    char folder[PATH_MAX];
    const ra_evaluation_options options = {
        .memory = flags.memory ? flags.memory << 20 : default_memory(),
        .examples = flags.examples,
        .partners = flags.save ? flags.cofiring : 0, /* nothing else shows them */
        .partners_least = flags.together,
        .quantiles = flags.save ? flags.quantiles : 0,
        .quantile_rows = flags.quantile_rows,
        .items = run->items,
        .item_codes = flags.save ? flags.items : 0,
        .codes_folder = folder_of_output(folder, sizeof folder),
        .basic = flags.basic,
        .directions = flags.directions ? run->direction_rows.data : NULL,
        .direction_count = run->direction_rows.rows,
        .row_class = flags.classes ? run->classes.row_class : NULL,
        .class_rows = run->classes.rows,
        .class_count = run->classes.count,
        .row_number = number_in_files,
        .row_context = run->data,
    };
    eval_report *report = &run->report;
    RA_TRY(ra_evaluation_new(run->model, &options, &run->evaluation, err));
    RA_TRY(all_passes(run, err));
    RA_TRY(ra_evaluation_finish(run->evaluation, &report->result, err));
    if (flags.classes && report->result.identifiability >= 0) { /* not NaN: there are detectors */
        run->detectors = ra_malloc(run->classes.count, sizeof *run->detectors);
        if (!run->detectors)
            RA_FAIL(err, RA_ERR_MEMORY, "out of memory: detectors of %zu classes", run->classes.count);
        RA_TRY(ra_evaluation_classes(run->evaluation, run->detectors, err));
    }
    RA_TRY(ra_evaluation_statistics(run->evaluation, run->labels, &report->latents, err));
    return run->tokens ? ra_kept_tokens_new(&report->latents, run->tokens, &run->kept_tokens, err) : RA_OK;
}

static ra_status measure_agreement(eval_run *run, ra_error *err) {
    const char *paths[RUNS_MOST];
    run_dictionaries runs = {.count = 0};
    ra_matrix D = {0};
    char *copy = NULL;
    size_t count;
    ra_status status;
    if (!flags.runs) return RA_OK;
    RA_TRY_OUT(status, split_paths(flags.runs, &copy, paths, &count, err));
    RA_TRY_OUT(status, run_dictionaries_open(&flags.model, paths, count, &runs, err));
    RA_TRY_OUT(status, copy_dictionary(run->model, &D, err));
    status = run_dictionaries_agreement(&flags.model, &D, &runs, RA_AGREEMENT_LEVEL, &run->agreement, err);
    if (status == RA_OK) status = agreement_figures_of(&run->agreement, &run->report.agreement, err);
    run->report.agreement_runs = count;
out:
    ra_matrix_release(&D);
    run_dictionaries_release(&runs);
    ra_free(copy);
    return status;
}

static ra_status save(const eval_run *run, ra_error *err) {
    if (!flags.save) return RA_OK;
    command_catch_interrupts();
    const ra_model_additions additions = {.statistics = &run->report.latents,
                                          .agreement = flags.runs ? &run->agreement : NULL};
    return ra_model_save_with(run->model, &additions, flags.save, ra_model_get_info(run->model)->dtype, err);
}

static void next_of(const eval_run *run) {
    const ra_model_info *info = ra_model_get_info(run->model);
    if (info->from_checkpoint)
        command_next("rasae fuse %s -o FUSED.safetensors", info->path);
    else
        command_next("rasaed --dictionary NAME=%s", flags.save ? flags.save : info->path);
}

static ra_status eval(int argc, char **argv, ra_error *err) {
    eval_run run = {.files = (const char *const *)argv + 1, .file_count = (size_t)argc - 1};
    eval_report *report = &run.report;
    ra_status status;
    RA_TRY_OUT(status, open_inputs(&run, argv[0], err));
    RA_TRY_OUT(status, measure_agreement(&run, err)); /* soon done, or refused */
    RA_TRY_OUT(status, measure(&run, err));
    RA_TRY_OUT(status, save(&run, err));
    report->data = run.files;
    report->data_count = run.file_count;
    report->model = run.model;
    report->classes = &run.classes;
    report->detectors = run.detectors;
    RA_TRY_OUT(status, ra_mapping_check_all(err));
    if (flags.json)
        status = eval_print_json(report, err);
    else
        eval_print_table(report);
    if (!flags.json) next_of(&run);
out:
    ra_evaluation_free(run.evaluation);
    ra_free(run.detectors);
    ra_agreement_release(&run.agreement);
    row_classes_release(&run.classes);
    ra_labels_free(run.labels);
    ra_kept_tokens_free(run.kept_tokens);
    ra_token_lines_free(run.tokens);
    ra_matrix_release(&run.direction_rows);
    ra_data_free(run.directions);
    ra_data_free(run.data);
    ra_model_release(run.model);
    return status;
}

const command command_eval = {
    .name = "eval",
    .summary = "measure how well a model explains activations",
    .usage = "MODEL DATA... [--save FILE] [--json]",
    .about = "Measures a model on activations: how much it explains, how sparse its codes are, how\n"
             "its atoms lie, which latents are active together, and what each latent does. MODEL is\n"
             "a fused artifact or a checkpoint; DATA: one or more .npy or .safetensors, [rows, d],\n"
             "[n, tokens, d] or [n, d, h, w]; rows are numbered across files. A model that\n"
             "standardizes its inputs is measured on standardized activations.\n"
             "\n"
             "--save writes the artifact with how often and how strongly each latent is active, a\n"
             "histogram of its values and the rows where it is strongest; rasaed then serves them. Also\n"
             "saved are the latents that are active together with each most often (count), more often\n"
             "than by chance (pmi) and with codes that vary together (correlation), and rows from all\n"
             "over its range: --quantile-rows of each of --quantiles parts of its positive codes.\n"
             "With --items I, the codes of all rows of the I items in which a latent is strongest are\n"
             "saved, too: of the patches of an image, or the tokens of a text. --tokens FILE says what\n"
             "the tokens of texts are: a line such as [\"The\", \" cat\"] for each text, in the order of\n"
             "the data, with a string for each row (or for each after the SKIP in front). Those of these\n"
             "items, and of the rows that are saved, are saved with them.\n"
             "\n"
             "The codes of all rows are kept for that, in as much memory as --memory or else, 8 bytes\n"
             "each, in a file beside FILE that vanishes with the process. Without --save, the data are\n"
             "read again for each part of the K^2 products of latents that --memory holds. Metrics that\n"
             "cannot be measured are listed with the reason.\n",
    .example = "  rasae eval words.safetensors acts.npy\n"
               "  rasae eval words.fused.safetensors acts.npy --labels words.txt --save "
               "words.fused.safetensors\n"
               "  rasae eval digits.safetensors digits.npy --classes digits.txt --json\n",
    .min_arguments = 2,
    .max_arguments = INT_MAX,
    .arguments = "MODEL and DATA, at least one file",
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .run = eval,
};
