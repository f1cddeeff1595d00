/* rasae train: activations in, checkpoint out. train.h lists the parts; this file has the flags and the
 * order: everything that can be refused is refused before the first second of computing. */
#include "train.h"

#include "files.h"
#include "options.h"

#include <string.h>

static const option file_options[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .required = true,
     .offset = offsetof(train_options, output),
     .argument = "OUT",
     .help = "the checkpoint, a .safetensors"},
    {.name = "tensor",
     .type = OPTION_TEXT,
     .offset = offsetof(train_options, tensor),
     .argument = "NAME",
     .help = "which tensor of the data files, when they hold several"},
    {.name = "points",
     .type = OPTION_TEXT,
     .offset = offsetof(train_options, points),
     .argument = "N|all|sample:N|FILE",
     .help = "candidate points: N centroids, every row, N random rows, or those in a file"},
    {.name = "init",
     .type = OPTION_TEXT,
     .offset = offsetof(train_options, init),
     .argument = "FILE",
     .help = "start from this checkpoint: its parameters, points and settings"},
    {.name = "labels",
     .type = OPTION_TEXT,
     .offset = offsetof(train_options, labels),
     .argument = "FILE",
     .help = "a text file, one label a data row; explains the points"},
    {.name = "log",
     .type = OPTION_TEXT,
     .offset = offsetof(train_options, log),
     .argument = "FILE",
     .help = "one JSON object a step"},
    {.name = "json",
     .type = OPTION_SWITCH,
     .offset = offsetof(train_options, json),
     .help = "the closing summary as JSON, no plain lines"},
    {.name = "quiet",
     .type = OPTION_SWITCH,
     .offset = offsetof(train_options, quiet),
     .help = "print errors only"},
};

static const char about[] =
    "Trains a sparse autoencoder whose atoms are convex mixtures of candidate points, each let\n"
    "loose by at most delta. DATA: one or more .npy or .safetensors files, [rows, d], in f32, f16\n"
    "or bf16. The same data, flags and seed give the same file. What a flag does not say is taken\n"
    "from the metadata of --init, then from the defaults, in parentheses below; these depend on\n"
    "other settings:\n"
    "  --points      1000, or the number of --concepts if that is larger; at most every row\n"
    "  --concepts    5 a dimension, at most the number of points\n"
    "  --top-k       a tenth of the concepts, at most 32, at most an eighth of the dimensions\n"
    "  --loss        mse; for relu and jumprelu, which need something that asks for sparsity, mse_l1\n"
    "  --penalty     mse_l1 0.03 / (rows of a batch x dimensions); auxk and reanimate 0.1\n"
    "  --batch-size  1024; a 32nd of the rows if that is less, but not under 64\n"
    "  --lr-final    a hundredth of --lr\n"
    "  --points-seed --seed\n"
    "  --kmeans      lloyd, on all rows, in at most 100 iterations; minibatch takes at most 400 batches\n";

static const char example[] =
    "  rasae train acts.npy -o model.safetensors --concepts 2000 --top-k 32 --points 4000 --seed 1\n"
    "  rasae train words.safetensors --labels words.txt -o words.model.safetensors --log words.jsonl\n"
    "  rasae train more.npy --init model.safetensors -o longer.safetensors --epochs 5\n";

/* ---- files ------------------------------------------------------------------------------------------- */

/* The input that `path` names too, or NULL. */
static const char *input_named(const train_options *options, const char *path) {
    const char *const inputs[] = {options->init, options->labels,
                                  train_points_is_file(options->points) ? options->points : NULL};
    for (size_t i = 0; i < options->data_count; i++)
        if (is_same_file(path, options->data[i])) return options->data[i];
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (inputs[i] && is_same_file(path, inputs[i])) return inputs[i];
    return NULL;
}

static ra_status check_files(const train_options *options, ra_error *err) {
    const char *const outputs[] = {options->output, options->log};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        const char *input = outputs[i] ? input_named(options, outputs[i]) : NULL;
        if (input)
            return ra_error_set(err, RA_ERR_ARGUMENT,
                                "the %s %s would replace the input %s; give it another name",
                                i == 0 ? "output" : "log", outputs[i], input);
    }
    return check_output(options->output, &options->log, 1, err);
}

/* An array of vectors, or a checkpoint, whose points are then taken. */
static ra_status open_points(const char *path, ra_array **points, ra_error *err) {
    static const char name[] = "dictionary.C";
    ra_safetensors *file = NULL;
    bool npy;
    TRY(file_is_npy(path, &npy, err));
    if (npy) return ra_array_open(path, NULL, points, err);
    TRY(ra_safetensors_open(path, &file, err));
    bool checkpoint = ra_safetensors_find(file, name) != NULL;
    ra_safetensors_free(file);
    return ra_array_open(path, checkpoint ? name : NULL, points, err);
}

static ra_status open_inputs(const train_options *options, train_inputs *inputs, ra_error *err) {
    if (options->labels) TRY(ra_labels_open(options->labels, &inputs->labels, err));
    if (options->init) TRY(ra_safetensors_open(options->init, &inputs->init, err));
    if (train_points_is_file(options->points)) TRY(open_points(options->points, &inputs->points, err));
    return ra_data_open(options->data, options->data_count, options->tensor, &inputs->data, err);
}

static void close_inputs(train_inputs *inputs) {
    ra_data_free(inputs->data);
    ra_labels_free(inputs->labels);
    ra_safetensors_free(inputs->init);
    ra_array_free(inputs->points);
}

/* ---- the order --------------------------------------------------------------------------------------- */

static ra_status run_and_save(train_run *run, ra_error *err) {
    TRY(train_run_all(run, err));
    TRY(command_check_interrupted(err));
    TRY(train_save(run, err));
    progress_close(&run->progress);
    train_summary(run);
    /* Last: after hours of training a full disk for the log costs only the log. */
    return train_run_close_log(run, err);
}

static ra_status train(const train_options *options, ra_error *err) {
    train_inputs inputs = {0};
    train_plan plan;
    train_run run = {.options = options, .inputs = &inputs, .plan = &plan};
    command_catch_interrupts();
    progress_open(&run.progress, options->quiet  ? PROGRESS_SILENT
                                 : options->json ? PROGRESS_BAR
                                                 : PROGRESS_LINES);
    ra_status status = check_files(options, err);
    if (status == RA_OK) status = open_inputs(options, &inputs, err);
    if (status == RA_OK) status = train_plan_make(options, &inputs, &plan, err);
    if (status == RA_OK) status = run_and_save(&run, err);
    train_run_release(&run);
    close_inputs(&inputs);
    progress_close(&run.progress);
    return status;
}

/* ---- the command ------------------------------------------------------------------------------------- */

/* Flags that contradict each other. Returns EXIT_GOOD or EXIT_USAGE. */
static int check_flags(const train_options *options) {
    const ra_sae_settings *sae = &options->model.settings;
    bool plain = ra_setting_known(sae, RA_SET_DICTIONARY) && sae->dictionary != RA_DICTIONARY_ARCHETYPAL;
    if (train_knows(&options->train, "epochs") && train_knows(&options->train, "steps"))
        return usage_error("train", "--epochs and --steps both say how long to train; give one of them");
    const char *points = train_points_flag(options);
    if (points && options->init)
        return usage_error("train", "--%s cannot be given with --init, which holds the points", points);
    if (points && plain)
        return usage_error("train", "--%s cannot be given with a plain --dictionary-kind, which has none",
                           points);
    const char *contradiction = train_points_contradiction(options);
    if (contradiction) return usage_error("train", "%s", contradiction);
    return EXIT_GOOD;
}

int command_train(int argc, char **argv) {
    train_options options = {0};
    ra_sae_settings sae_defaults;
    ra_train_settings train_defaults;
    train_plan_defaults(&sae_defaults, &train_defaults);
    const option_group groups[] = {
        {"Files and output", file_options, sizeof file_options / sizeof *file_options, NULL, &options, NULL},
        {"The autoencoder", NULL, 0, ra_sae_settings_table(), &options.model.settings, &sae_defaults},
        {"Training", NULL, 0, ra_train_settings_table(), &options.train, &train_defaults},
        {"Machine", model_options, MODEL_OPTION_COUNT, NULL, &options.model, NULL},
    };
    const command_line line = {
        .command = "train",
        .usage = "DATA... -o OUT.safetensors [flags]",
        .about = about,
        .example = example,
        .groups = groups,
        .group_count = sizeof groups / sizeof *groups,
        .min_arguments = 1,
        .max_arguments = argc,
        .arguments = "DATA: at least one file",
    };
    ra_error err = {0};
    command_line_result parsed = command_line_parse(&line, &argc, argv);
    if (parsed != LINE_GOOD) return parsed == LINE_HELP ? EXIT_GOOD : EXIT_USAGE;
    if (check_flags(&options) != EXIT_GOOD) return EXIT_USAGE;
    options.data = (const char *const *)argv;
    options.data_count = (size_t)argc;
    return command_end(train(&options, &err), &err);
}
