/* rasae train: activations in, checkpoint out. train.h lists the parts; this file has the flags and the
 * order: everything that can be refused is refused before the first second of computing. */
#include "training/training.h"

#include "files.h"
#include "options.h"
#include "training/ranks.h"

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
    {.name = "skip-bad-rows",
     .type = OPTION_SWITCH,
     .offset = offsetof(train_options, skip_bad_rows),
     .help = "leave out rows that hold a NaN or an infinity"},
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
    {.name = "resume",
     .type = OPTION_TEXT,
     .offset = offsetof(train_options, resume),
     .argument = "FILE",
     .help = "go on with the run of this checkpoint, as if it had not stopped"},
    {.name = "auto-resume",
     .type = OPTION_SWITCH,
     .offset = offsetof(train_options, auto_resume),
     .help = "--resume OUT where OUT is there, a run from the start where it is not"},
    {.name = "seeds",
     .type = OPTION_TEXT,
     .offset = offsetof(train_options, seeds),
     .argument = "N,N,...",
     .help = "a model from each seed, side by side over the same points and data"},
    {.name = "checkpoint-steps",
     .type = OPTION_COUNT,
     .offset = offsetof(train_options, checkpoint_steps),
     .max = 2147483647,
     .argument = "S",
     .help = "write a checkpoint every S steps; 0: not by steps (0)"},
    {.name = "checkpoint-minutes",
     .type = OPTION_COUNT,
     .offset = offsetof(train_options, checkpoint_minutes),
     .max = 100000,
     .argument = "M",
     .help = "and every M minutes; 0: not by time (10)"},
    {.name = "no-state",
     .type = OPTION_SWITCH,
     .offset = offsetof(train_options, no_state),
     .help = "leave out of OUT what --resume needs, two thirds of it"},
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
    {.name = "report",
     .type = OPTION_TEXT,
     .offset = offsetof(train_options, report),
     .argument = "FILE",
     .help = "a page of curves, the dictionary and its strongest atoms, a .html"},
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
    "loose by at most delta. DATA: one or more .npy or .safetensors files, [rows, d],\n"
    "[n, tokens, d] or [n, d, h, w] (a row a pixel), in f32, f16 or bf16. --standardize is kept in\n"
    "the model, which then takes and gives activations in their own units. The same data, flags and\n"
    "seed give the same file. What a flag does not say is taken from the metadata of --init, then\n"
    "from the defaults, in parentheses below; these depend on other settings:\n"
    "  --points      as many as --concepts, without these 1000; at most every row\n"
    "  --concepts    5 a dimension, at most the number of points\n"
    "  --top-k       a tenth of the concepts, at most 32, at most an eighth of the dimensions\n"
    "  --loss        mse; for relu and jumprelu, which need something that asks for sparsity, mse_l1\n"
    "  --penalty     mse_l1 0.03 / (rows of a batch x dimensions); auxk and reanimate 0.1; elastic 0.5;\n"
    "                hoyer and kappa_4 -0.1; l0 0.001\n"
    "  --batch-size  1024; a 32nd of the rows if that is less, but not under 64\n"
    "  --lr-final    a hundredth of --lr\n"
    "  --epochs      20; where the data is small, as many as make 4,000 steps\n"
    "  --schedule    cosine; constant with --steps, since such a run may be continued\n"
    "  --encoder-start  dictionary; for a plain dictionary, as in the reference, uniform\n"
    "  --points-seed 0, whatever --seed is\n"
    "  --kmeans      lloyd, on all rows, in at most 100 iterations; minibatch takes at most 400 batches\n"
    "  --weight-decay  adamw 0.01\n"
    "  --init-weights  eye: atom k on point k; permuted: on points drawn by the seed; random: mixtures of\n"
    "                8 points; a plain dictionary starts as xavier, or with points on points\n"
    "  --encoder     linear; mp has none. With mp and tied, which encode with the dictionary, no atom\n"
    "                starts longer than 1 (unless --no-multiplier)\n"
    "Ctrl-C (or SIGTERM) writes the checkpoint as it is and ends well; the same command with --resume\n"
    "OUT goes on from there to the same bytes. Of its settings only --steps or --epochs may change.\n"
    "Whoever starts it again and again, a Job of Kubernetes or systemd, gives --auto-resume.\n"
    "With --seeds 1,2,3 OUT.safetensors becomes OUT.seed1.safetensors and so on; so do --log and\n"
    "--resume. They have the points in common, and --window-seed, so that data larger than memory are\n"
    "read once for all; with --shuffle-seed the batches, too.\n"
    "Built with make MPI=1, `mpirun -np P rasae train ...` splits every batch over P processes.\n";

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

static ra_status check_files(const train_options *options, const train_model *model, ra_error *err) {
    const struct {
        const char *what, *path;
    } outputs[] = {{"output", model->output}, {"log", model->log_path}, {"report", options->report}};
    const char *const others[] = {model->log_path, options->report};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        const char *input = outputs[i].path ? input_named(options, outputs[i].path) : NULL;
        if (input)
            RA_FAIL(err, RA_ERR_ARGUMENT, "the %s %s would replace the input %s; give it another name",
                    outputs[i].what, outputs[i].path, input);
    }
    if (options->report) RA_TRY(check_output(options->report, &others[0], 1, err));
    return check_output(model->output, others, sizeof others / sizeof *others, err);
}

/* An array of vectors, or a checkpoint, whose points are then taken. */
static ra_status open_points(const char *path, ra_array **points, ra_error *err) {
    static const char name[] = "dictionary.C";
    ra_safetensors *file = NULL;
    bool npy;
    RA_TRY(file_is_npy(path, &npy, err));
    if (npy) return ra_array_open(path, NULL, points, err);
    RA_TRY(ra_safetensors_open(path, &file, err));
    bool checkpoint = ra_safetensors_find(file, name) != NULL;
    ra_safetensors_free(file);
    return ra_array_open(path, checkpoint ? name : NULL, points, err);
}

static ra_status open_inputs(const train_options *options, const char *resume, train_inputs *inputs,
                             ra_error *err) {
    const char *init = resume ? resume : options->init;
    if (options->labels) RA_TRY(ra_labels_open(options->labels, &inputs->labels, err));
    if (init) RA_TRY(ra_safetensors_open(init, &inputs->init, err));
    if (train_points_is_file(options->points)) RA_TRY(open_points(options->points, &inputs->points, err));
    const ra_data_options how = {.tensor_name = options->tensor, .skip_bad_rows = options->skip_bad_rows};
    return ra_data_open(options->data, options->data_count, &how, &inputs->data, err);
}

static void close_inputs(train_inputs *inputs) {
    ra_data_free(inputs->data);
    ra_labels_free(inputs->labels);
    ra_safetensors_free(inputs->init);
    ra_safetensors_free(inputs->begun);
    ra_array_free(inputs->points);
}

/* ---- the order --------------------------------------------------------------------------------------- */

static ra_status run_all(train_run *run, ra_error *err) {
    RA_TRY(train_run_all(run, err));
    /* From here on the models are there. What fails now costs only itself, and is said last. */
    ra_status reported = run->interrupted ? RA_OK : train_report(run, err);
    progress_close(&run->progress);
    ra_error lost;
    ra_status said = train_summary(run, &lost);
    RA_TRY(reported);
    if (said != RA_OK) RA_FAIL(err, said, "%s", lost.message);
    for (size_t i = 0; i < run->count; i++) RA_TRY(train_log_close(&run->models[i], err));
    return RA_OK;
}

/* A run that was still looking for points has no model to go on with: it is planned anew, as it was. */
static ra_status settle_begun(train_options *options, train_inputs *inputs, train_run *run, ra_error *err) {
    RA_TRY(train_check_resume(options, inputs, err));
    if (!train_begun_is(inputs->init)) return RA_OK;
    inputs->begun = inputs->init;
    inputs->init = NULL;
    for (size_t i = 0; i < run->count; i++) {
        ra_free(run->models[i].resume);
        run->models[i].resume = NULL;
    }
    return train_begun_settle(inputs->begun, options, err);
}

static ra_status train(train_options *options, const ra_group *group, ra_error *err) {
    train_inputs inputs = {0};
    train_plan plan;
    train_run run = {.options = options, .inputs = &inputs, .plan = &plan, .group = group};
    command_catch_interrupts();
    progress_open(&run.progress, options->quiet  ? PROGRESS_SILENT
                                 : options->json ? PROGRESS_BAR
                                                 : PROGRESS_LINES);
    ra_status status = train_models_name(&run, options, err);
    for (size_t i = 0; i < run.count && status == RA_OK; i++)
        status = check_files(options, &run.models[i], err);
    if (status == RA_OK) status = open_inputs(options, run.models[0].resume, &inputs, err);
    if (status == RA_OK && options->resume) status = settle_begun(options, &inputs, &run, err);
    if (status == RA_OK) status = train_plan_make(options, &inputs, run.count, &plan, err);
    if (status == RA_OK) status = run_all(&run, err);
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
    if (options->resume && options->init)
        return usage_error("train", "--resume goes on with a run and --init starts one; give one of them");
    if (options->resume && options->auto_resume)
        return usage_error("train", "--resume and --auto-resume both say where to go on; give one of them");
    if (options->seeds && train_knows(&options->train, "seed"))
        return usage_error("train", "--seed and --seeds cannot be given together");
    if (options->no_state && (options->resume || options->auto_resume || options->checkpoint_steps))
        return usage_error("train", "--no-state leaves nothing to resume; it cannot be given with --resume, "
                                    "--auto-resume or --checkpoint-steps");
    const char *points = train_points_flag(options);
    bool starts_on_points =
        train_knows(&options->train, "init-weights") && options->train.init == RA_INIT_POINTS;
    if (points && options->init)
        return usage_error("train", "--%s cannot be given with --init, which holds the points", points);
    if (points && plain && !starts_on_points)
        return usage_error("train",
                           "--%s cannot be given with a plain --dictionary-kind, which has none "
                           "unless it starts there (--init-weights points)",
                           points);
    static const char *const starts[] = {"init-weights", "encoder-start"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (options->init && train_knows(&options->train, starts[i]))
            return usage_error("train", "--%s cannot be given with --init, which holds the weights",
                               starts[i]);
    const char *contradiction = train_points_contradiction(options);
    if (contradiction) return usage_error("train", "%s", contradiction);
    return EXIT_GOOD;
}

static int train_command(int argc, char **argv, const ra_group *group) {
    train_options options = {.checkpoint_minutes = 10};
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
    ranks_hush(group, true); /* what is wrong with the command line, the first says */
    command_line_result parsed = command_line_parse(&line, &argc, argv);
    if (parsed == LINE_GOOD && check_flags(&options) != EXIT_GOOD) parsed = LINE_WRONG;
    ranks_hush(group, false);
    if (parsed == LINE_WRONG) (void)ranks_may_speak(group);
    if (parsed != LINE_GOOD) return parsed == LINE_HELP ? EXIT_GOOD : EXIT_USAGE;
    options.data = (const char *const *)argv;
    options.data_count = (size_t)argc;
    if (group && group->rank > 0) {
        options.quiet = true;
        options.json = false;
    }
    ra_status status = train(&options, group, &err);
    if (status != RA_OK && !ranks_may_speak(group)) return EXIT_FAILED;
    return command_end(status, &err);
}

int command_train(int argc, char **argv) {
    const ra_group *group = NULL;
    ra_error err = {0};
    ra_status status = ranks_begin(&argc, &argv, &group, &err);
    if (status != RA_OK) return command_end(status, &err);
    int code = train_command(argc, argv, group);
    ranks_end(group, code);
    return code;
}
