/* rasae eval: how well a model explains activations, streamed through it in evaluation mode. */
#include "command.h"
#include "files.h"
#include "format.h"
#include "json.h"
#include "options.h"
#include "progress.h"

typedef struct eval_options {
    const char *model_path, *data_path, *tensor;
    bool json, skip_bad_rows;
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
     .help = "leave out rows that hold a NaN or an infinity"},
    {.name = "json",
     .type = OPTION_SWITCH,
     .offset = offsetof(eval_options, json),
     .help = "one JSON object"},
};

/* What is printed: the member's name, which is its key in JSON, and what it means. */
static const struct metric_row {
    const char *name;
    size_t offset;
    const char *meaning;
} metrics[] = {
#define ROW(member, text)                                                                                    \
    { #member, offsetof(ra_evaluation_result, member), text }
    ROW(mse, "mean squared error"),
    ROW(r2, "share of the variance explained, about one mean of all numbers"),
    ROW(r2_per_dimension, "the same, about each dimension's own mean"),
    ROW(l0, "active latents a row"),
    ROW(dead_ratio, "share of latents never active here"),
    ROW(hoyer, "sparsity of the codes, 0 even to 1 a single latent"),
    ROW(kappa_4, "peakedness of the codes"),
    ROW(average_l1, "mean over rows of the l1 norm of the residual"),
    ROW(average_l2, "the same with the l2 norm"),
    ROW(relative_l1, "mean over rows of that l1 norm over the input's"),
    ROW(relative_l2, "the same with the l2 norms"),
    ROW(collinearity, "largest |cosine| between two atoms"),
    ROW(stable_rank, "of the dictionary"),
    ROW(ood, "1 - mean over atoms of the largest cosine with a row"),
#undef ROW
};
enum { METRIC_COUNT = sizeof metrics / sizeof *metrics };

static double value_of(const ra_evaluation_result *result, size_t i) {
    return *(const double *)(const void *)((const char *)result + metrics[i].offset);
}

static void print_json(const ra_evaluation_result *result) {
    json_writer json = {.file = stdout};
    json_object(&json, NULL);
    json_count(&json, "rows", result->rows);
    for (size_t i = 0; i < METRIC_COUNT; i++) json_real(&json, metrics[i].name, value_of(result, i));
    json_end(&json);
}

static void print_table(const eval_options *options, const ra_evaluation_result *result) {
    print_clean(stdout, options->model_path);
    printf(" on %s rows of ", format_grouped(result->rows).text);
    print_clean(stdout, options->data_path);
    printf("\n\n");
    for (size_t i = 0; i < METRIC_COUNT; i++)
        printf("  %-17s %12.6g  %s\n", metrics[i].name, value_of(result, i), metrics[i].meaning);
}

static ra_status evaluate(ra_evaluation *evaluation, const ra_data *data, size_t width, ra_error *err) {
    size_t all = ra_data_rows(data), d = ra_data_dimensions(data);
    progress_meter progress;
    ra_matrix block;
    TRY(ra_matrix_init(&block, rows_per_block(width), d, err));
    progress_open(&progress, PROGRESS_BAR);
    progress_start(&progress, "evaluating", all);
    ra_status status = RA_OK;
    for (size_t first = 0; first < all && status == RA_OK; first += block.rows) {
        size_t count = all - first < block.rows ? all - first : block.rows;
        ra_data_read(data, first, count, block.data);
        status = ra_evaluation_add(evaluation, block.data, count, err);
        if (progress_due(&progress, first + count))
            progress_show(&progress, first + count, (double)(first + count), NULL, 0);
    }
    progress_close(&progress);
    ra_matrix_release(&block);
    return status;
}

static ra_status measure(const eval_options *options, ra_model *model, const ra_data *data,
                         ra_evaluation_result *result, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(model);
    size_t d = ra_data_dimensions(data);
    ra_evaluation *evaluation = NULL;
    if (d != info->dimensions)
        return ra_error_set(err, RA_ERR_SHAPE, "%s has %zu dimensions a row, but the model %s has %zu",
                            options->data_path, d, options->model_path, info->dimensions);
    TRY(ra_evaluation_new(model, &evaluation, err));
    ra_status status = evaluate(evaluation, data, d > info->concepts ? d : info->concepts, err);
    if (status == RA_OK) status = ra_evaluation_finish(evaluation, result, err);
    ra_evaluation_free(evaluation);
    return status;
}

static ra_status eval(const eval_options *options, ra_error *err) {
    ra_model *model = NULL;
    ra_data *data = NULL;
    ra_evaluation_result result;
    const ra_data_options how = {.tensor_name = options->tensor, .skip_bad_rows = options->skip_bad_rows};
    ra_status status;
    TRY_OUT(status, model_choice_open(&options->model, options->model_path, 0, &model, err));
    TRY_OUT(status, ra_data_open(&options->data_path, 1, &how, &data, err));
    TRY_OUT(status, measure(options, model, data, &result, err));
    if (options->json)
        print_json(&result);
    else
        print_table(options, &result);
out:
    ra_data_free(data);
    ra_model_release(model);
    return status;
}

int command_eval(int argc, char **argv) {
    eval_options options = {0};
    const option_group groups[] = {
        {"Flags", rows, sizeof rows / sizeof *rows, NULL, &options, NULL},
        {NULL, model_options, MODEL_OPTION_COUNT, NULL, &options.model, NULL},
        {MODEL_SETTINGS_TITLE, NULL, 0, ra_sae_settings_table(), &options.model.settings, NULL},
    };
    const command_line line = {
        .command = "eval",
        .usage = "MODEL DATA [--json]",
        .about = "Measures a model on activations: how much it explains, how sparse its codes are, how\n"
                 "its atoms lie. MODEL is a fused artifact or a checkpoint; DATA is .npy or\n"
                 ".safetensors, [rows, d], [n, tokens, d] or [n, d, h, w]. A model that standardises its\n"
                 "inputs is measured on standardised activations.\n",
        .example = "  rasae eval words.safetensors acts.npy\n"
                   "  rasae eval words.fused.safetensors acts.npy --json\n",
        .groups = groups,
        .group_count = sizeof groups / sizeof *groups,
        .min_arguments = 2,
        .max_arguments = 2,
        .arguments = "MODEL and DATA",
    };
    ra_error err = {0};
    command_line_result parsed = command_line_parse(&line, &argc, argv);
    if (parsed != LINE_GOOD) return parsed == LINE_HELP ? EXIT_GOOD : EXIT_USAGE;
    options.model_path = argv[0];
    options.data_path = argv[1];
    return command_end(eval(&options, &err), &err);
}
