/* rasae train: activations in, checkpoint out. This file has the flags, which files are opened and the order of
 * everything; training/training.h lists the parts. Everything that can be refused is refused before the first
 * second of computing.
 *
 * To add a flag: a member of train_options (training/training.h), a row below. The value is used where the part that
 * needs it looks into run->options. A setting that a checkpoint should remember is a row of the library's tables
 * instead (lib/train/settings.c). */
#include "commands.h"
#include "common/files.h"
#include "training/ranks.h"
#include "training/training.h"

#include <limits.h>
#include <string.h>

#define AT(member) offsetof(train_options, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"output", RA_SETTING_TEXT, AT(output), .letter = 'o', .required = true, .argument = "OUT",
        .help = "the checkpoint, a .safetensors"},
    {"tensor", RA_SETTING_TEXT, AT(tensor), .argument = "NAME",
        .help = "which tensor of the data files, when they hold several"},
    DATA_LAYOUT_ROW(AT(layout)),
    {"skip_bad_rows", RA_SETTING_BOOL, AT(skip_bad_rows), .help = "leave out rows that hold a NaN or an infinity"},
    {"points", RA_SETTING_TEXT, AT(points), .argument = "N|all|sample:N|FILE",
        .help = "candidate points: N centroids, every row, N random rows, or those in a file"},
    {"point_labels", RA_SETTING_TEXT, AT(point_labels), .argument = "FILE",
        .help = "a text file with one label per point of --points FILE"},
    {"init", RA_SETTING_TEXT, AT(init), .argument = "FILE",
        .help = "start from this checkpoint: its parameters, points and settings"},
    {"resume", RA_SETTING_TEXT, AT(resume), .argument = "FILE",
        .help = "continue the run of this checkpoint as if it had not stopped"},
    {"auto_resume", RA_SETTING_BOOL, AT(auto_resume),
        .help = "continue from OUT if it exists, else start a new run"},
    {"force", RA_SETTING_BOOL, AT(force), .help = "replace OUT, although it holds a model of 1,000 steps or more"},
    {"seeds", RA_SETTING_TEXT, AT(seeds), .argument = "N,N,...",
        .help = "train one model per seed, side by side on the same points and data"},
    {"consensus", RA_SETTING_COUNT, AT(consensus), .min = 2, .max = 255, .argument = "M",
        .help = "train M runs that share only the data, join their atoms, and train from there"},
    {"run_steps", RA_SETTING_COUNT, AT(run_steps), .min = 1, .max = 0x1p53, .argument = "S",
        .help = "steps of each of these runs (as many as one run has without --consensus)"},
    {"keep", RA_SETTING_COUNT, AT(keep), .min = 1, .max = 0x1p31, .argument = "N",
        .help = "of the atoms that these runs have in common, keep the N that most of them have (all)"},
    {"checkpoint_steps", RA_SETTING_COUNT, AT(checkpoint_steps), .max = 2147483647, .fallback = "0",
        .argument = "S", .help = "write a checkpoint every S steps; 0: not by steps"},
    {"checkpoint_minutes", RA_SETTING_COUNT, AT(checkpoint_minutes), .max = 100000, .fallback = "10",
        .argument = "M", .help = "write a checkpoint every M minutes; 0: not by time"},
    {"state", RA_SETTING_BOOL, AT(state), .flag = "no-state", .fallback = "true",
        .help = "leave out of OUT what --resume needs, two thirds of the file"},
    {"holdout", RA_SETTING_TEXT, AT(holdout), .argument = "SHARE|FILE",
        .help = "measure R2 on a share of the rows, which are not trained on (at most 100,000), or on a file"},
    {"labels", RA_SETTING_TEXT, AT(labels), .argument = "FILE",
        .help = "a text file with one label per data row; it explains points and traces"},
    {"trace_rows", RA_SETTING_COUNT, AT(trace_rows), .max = RA_TRACE_ROWS_MOST, .fallback = "5",
        .argument = "R", .help = "data rows that each finished atom is traced to; 0: none"},
    {"log", RA_SETTING_TEXT, AT(log), .argument = "FILE", .help = "write one JSON object per step"},
    {"report", RA_SETTING_TEXT, AT(report), .argument = "FILE",
        .help = "write a page (.html) with the curves, the dictionary and its strongest atoms"},
    {"json", RA_SETTING_BOOL, AT(json), .help = "print the closing summary as JSON and nothing else"},
    {"quiet", RA_SETTING_BOOL, AT(quiet), .help = "print errors only"},
};
/* clang-format on */

static const char about[] =
    "Trains a sparse autoencoder whose atoms are convex mixtures of a few candidate points, each moved\n"
    "by at most delta. DATA: one or more .npy, .npz or .safetensors files, [rows, d], [n, tokens, d] or\n"
    "[n, d, h, w] (one row per pixel; --layout nhwc for [n, h, w, d]), in f32, f16, bf16, f64 or integers\n"
    "of at most 16 bits. --standardize is kept in the model, which\n"
    "then takes and gives activations in their own units. The same data, flags and seed give the same\n"
    "file. A setting that no flag gives comes from the metadata of --init, else from its default. The\n"
    "defaults are in parentheses below; these depend on other settings:\n"
    "  --points      all; with --mixture dense as many centroids as --concepts, or 1000 without it\n"
    "  --concepts    5 per dimension, at most the number of points\n"
    "  --delta       0.5x; with --mixture dense 1\n"
    "  --lr          0.002; with --mixture dense 0.0004, since every weight moves by about the rate\n"
    "  --top-k       a tenth of the concepts, at most 32 and at most an eighth of the dimensions\n"
    "  --loss        mse; mse_l1 for relu and jumprelu, which need a term for sparsity\n"
    "  --penalty     mse_l1 0.03 / (rows of a batch x dimensions); auxk and reanimate 0.1; elastic 0.5;\n"
    "                hoyer and kappa_4 -0.1; l0 0.001\n"
    "  --bandwidth   0.03, of jumprelu\n"
    "  --threshold-rate  10 with jumprelu\n"
    "  --batch-size  1024; a 32nd of the rows if that is less, but at least 64\n"
    "  --lr-final    a hundredth of --lr\n"
    "  --epochs      20; more where the data is small, to make 4,000 steps\n"
    "  --schedule    cosine; constant with --steps, since such a run may be continued. reference_cosine\n"
    "                is the reference's, whose warm-up runs its first step at the full rate\n"
    "  --standardize none. Take element where a note about the data says so: on digits it left 4 % of the\n"
    "                latents dead in place of 45 %, at a higher R2. --loss auxk does not revive dead "
    "latents\n"
    "  --encoder-start  dictionary; uniform for a plain dictionary, as in the reference\n"
    "  --points-seed 0, whatever --seed is\n"
    "  --kmeans      lloyd, on all rows, with at most 100 iterations; minibatch with at most 400 batches\n"
    "  --weight-decay  adamw 0.01\n"
    "  --window      a million; for data of more than half of the memory (the machine's, or the limit of a\n"
    "                container) as many rows as fit twice into half of what the model leaves of it. It is\n"
    "                kept in OUT, so that a run resumed elsewhere takes the rows in the same order\n"
    "  --init-weights  kmeans where every row is a point: atoms on the rows nearest to K centroids; random\n"
    "                where mixtures take points from a file that has more of them than concepts; else\n"
    "                eye: atom k on point k. permuted: on points drawn by the seed; random: mixtures of 8\n"
    "                points. A plain dictionary starts as xavier, or with `points` on points\n"
    "  --precision   float32. On a GPU since 2020 tf32 and bf16 multiply faster: factors of the products of\n"
    "                a step keep 10 or 7 bits of mantissa. Everything else is float32: sums, parameters,\n"
    "                moments, and what k-means, --holdout and --report compute. OUT keeps it, and a resumed "
    "run\n"
    "                cannot change it. --tf32 is for all products of the command, and is not kept\n"
    "  --encoder     linear; mp has none. With mp and tied, which encode with the dictionary, no atom\n"
    "                starts longer than 1 (unless --no-multiplier)\n"
    "R2 is the share of the variance around the mean of each dimension that is explained; the one around\n"
    "one mean of all numbers is the reference's, and flatters where means are large. The closing figures "
    "are\n"
    "means over the last tenth of the steps, weighted by their rows.\n"
    "Ctrl-C (or SIGTERM) writes the checkpoint as it is and ends with status 130 (or 143), so that a chain\n"
    "of commands stops; the same command with --resume OUT then continues to the same bytes. Only --steps\n"
    "or --epochs may change. Use --auto-resume where a supervisor restarts the command, such as a "
    "Kubernetes\n"
    "Job or systemd.\n"
    "With --seeds 1,2,3 OUT.safetensors becomes OUT.seed1.safetensors and so on, as do --log and --resume.\n"
    "The models share the points and --window-seed, so data larger than memory is read once for all of "
    "them;\n"
    "with --shuffle-seed they share the batches, too.\n"
    "With --consensus M the runs are OUT.run1.safetensors and so on, each with seeds and points of its own;\n"
    "what they have in common (`rasae consensus`) is OUT.start.safetensors. From there a quarter of the "
    "steps\n"
    "at a tenth of the rate make OUT, which keeps for each atom its agreement: the share of the runs that\n"
    "have it, at a cosine of 0.7 or more, and the mean cosine. --resume OUT continues whatever was begun;\n"
    "--log and --report are of the last training.\n"
    "Built with make MPI=1, `mpirun -np P rasae train ...` splits every batch over P processes.\n";

static const char below[] =
    "Example:\n"
    "  rasae train acts.npy -o model.safetensors --concepts 2000 --top-k 32 --points 4000 --seed 1\n"
    "  rasae train words.safetensors --labels words.txt -o words.model.safetensors --log words.jsonl\n"
    "  rasae train more.npy --init model.safetensors -o longer.safetensors --epochs 5\n";

/* ---- files ------------------------------------------------------------------------------------------- */

/* Returns the input that `path` names, too, or NULL. */
static const char *input_named(const train_options *options, const char *path) {
    double share;
    bool held = train_holdout_is_file(options->holdout, &share);
    const char *const inputs[] = {options->init, options->labels, options->point_labels,
                                  train_points_is_file(options->points) ? options->points : NULL,
                                  held ? options->holdout : NULL};
    for (size_t i = 0; i < options->data_count; i++)
        if (is_same_file(path, options->data[i])) return options->data[i];
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (inputs[i] && is_same_file(path, inputs[i])) return inputs[i];
    return NULL;
}

/* A long training is not replaced without a word; a short trial is. */
static ra_status check_replaced(const train_options *options, const train_model *model, ra_error *err) {
    enum { LONG = 1000 };
    ra_safetensors *file = NULL;
    size_t steps = 0;
    if (options->force || model->resume || ra_safetensors_open(model->output, &file, NULL) != RA_OK)
        return RA_OK;
    const char *done = ra_safetensors_metadata(file, "train.step");
    bool replaced = done && ra_count_parse(done, &steps) && steps >= LONG;
    ra_safetensors_free(file);
    if (!replaced) return RA_OK;
    RA_FAIL(
        err, RA_ERR_ARGUMENT,
        "%s holds a model of %zu steps; --resume %s continues it, --force replaces it, and -o takes another "
        "name",
        model->output, steps, model->output);
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
    if (options->report) RA_TRY(check_output(options->report, OUTPUT_ANY, &others[0], 1, err));
    RA_TRY(check_replaced(options, model, err));
    return check_output(model->output, OUTPUT_MODEL, others, sizeof others / sizeof *others, err);
}

/* Opens an array of vectors, or the points of a checkpoint. */
static ra_status open_points(const char *path, ra_array **points, ra_error *err) {
    static const char name[] = "dictionary.C";
    ra_safetensors *file = NULL;
    file_kind kind;
    RA_TRY(file_kind_of(path, &kind, err));
    if (kind != FILE_OTHER) return ra_array_open(path, NULL, points, err);
    RA_TRY(ra_safetensors_open(path, &file, err));
    bool checkpoint = ra_safetensors_find(file, name) != NULL;
    ra_safetensors_free(file);
    return ra_array_open(path, checkpoint ? name : NULL, points, err);
}

static ra_status open_inputs(const train_options *options, const char *resume, train_inputs *inputs,
                             ra_error *err) {
    const char *init = resume ? resume : options->init;
    if (options->labels) RA_TRY(ra_labels_open(options->labels, &inputs->labels, err));
    if (options->point_labels) RA_TRY(ra_labels_open(options->point_labels, &inputs->point_labels, err));
    if (init) RA_TRY(ra_safetensors_open(init, &inputs->init, err));
    if (init) RA_TRY(ra_safetensors_verify(inputs->init, err)); /* nothing goes on from bad bytes */
    if (init) RA_TRY(ra_safetensors_narrow(inputs->init, err));
    if (train_points_is_file(options->points)) RA_TRY(open_points(options->points, &inputs->points, err));
    ra_data_options how = {.tensor_name = options->tensor,
                           .skip_bad_rows = options->skip_bad_rows,
                           .layout = (ra_layout_of_data)options->layout};
    bool file = train_holdout_is_file(options->holdout, &how.holdout);
    if (file) {
        how.holdout = 0;
        RA_TRY(ra_data_open(&options->holdout, 1, &how, &inputs->holdout, err));
    }
    RA_TRY(ra_data_open(options->data, options->data_count, &how, &inputs->data, err));
    if (!file || ra_data_dimensions(inputs->holdout) == ra_data_dimensions(inputs->data)) return RA_OK;
    RA_FAIL(err, RA_ERR_SHAPE, "--holdout %s has %zu dimensions per row, but the data has %zu",
            options->holdout, ra_data_dimensions(inputs->holdout), ra_data_dimensions(inputs->data));
}

static void close_inputs(train_inputs *inputs) {
    ra_data_free(inputs->data);
    ra_data_free(inputs->holdout);
    ra_labels_free(inputs->labels);
    ra_labels_free(inputs->point_labels);
    ra_safetensors_free(inputs->init);
    ra_safetensors_free(inputs->begun);
    ra_array_free(inputs->points);
}

/* ---- the order --------------------------------------------------------------------------------------- */

static ra_status run_all(train_run *run, ra_error *err) {
    RA_TRY(train_run_all(run, err));
    /* The models are written now. A failure from here on loses only its own part, and is reported last. */
    ra_status reported = run->interrupted ? RA_OK : train_report(run, err);
    progress_close(&run->progress);
    ra_error lost;
    ra_status said = train_summary(run, &lost);
    RA_TRY(reported);
    if (said != RA_OK) RA_FAIL(err, said, "%s", lost.message);
    for (size_t i = 0; i < run->count; i++) RA_TRY(train_log_close(&run->models[i], err));
    return RA_OK;
}

/* A run that was still looking for points has no model to continue from: it is planned again with its
 * settings. */
static ra_status settle_begun(train_options *options, train_inputs *inputs, train_run *run, ra_error *err) {
    RA_TRY(train_check_resume(options, inputs, err));
    if (!train_begun_is(inputs->init)) {
        if (options->model.settings.delta_relative) /* the file has it as a number */
            ra_setting_forget(&options->model.settings, RA_SET_DELTA);
        return RA_OK;
    }
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
    ra_status status;
    RA_TRY_OUT(status, train_models_name(&run, options, err));
    for (size_t i = 0; i < run.count; i++) RA_TRY_OUT(status, check_files(options, &run.models[i], err));
    RA_TRY_OUT(status, open_inputs(options, run.models[0].resume, &inputs, err));
    if (options->resume) RA_TRY_OUT(status, settle_begun(options, &inputs, &run, err));
    if (!options->resume) RA_TRY_OUT(status, train_settle_top_k(options, &inputs, &run.progress, err));
    RA_TRY_OUT(status, train_plan_make(options, &inputs, run.count, &plan, err));
    RA_TRY_OUT(status, train_settle_window(&run, &plan, err));
    status = run_all(&run, err);
    options->interrupted = status == RA_OK && run.interrupted;
out:
    train_run_release(&run);
    close_inputs(&inputs);
    progress_close(&run.progress);
    return status;
}

/* ---- the command ------------------------------------------------------------------------------------- */

/* Flags that contradict each other. */
static ra_status check_flags(const train_options *options, ra_error *err) {
    double held;
    if (options->holdout && !train_holdout_is_file(options->holdout, &held) && !(held > 0 && held < 1))
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "--holdout is %s, expected a share of the rows between 0 and 1, or a file", options->holdout);
    const ra_sae_settings *sae = &options->model.settings;
    const ra_train_settings *train = &options->train;
    bool plain = ra_setting_known(sae, RA_SET_DICTIONARY) && sae->dictionary != RA_DICTIONARY_ARCHETYPAL;
    if (ra_setting_known(train, RA_TRAIN_EPOCHS) && ra_setting_known(train, RA_TRAIN_STEPS))
        RA_FAIL(err, RA_ERR_ARGUMENT, "--epochs and --steps both say how long to train; give one of them");
    if (options->resume && options->init)
        RA_FAIL(err, RA_ERR_ARGUMENT, "--resume continues a run and --init starts one; give one of them");
    if (options->resume && options->auto_resume)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "--resume and --auto-resume both say where to continue; give one of them");
    if (options->model.tf32 && ra_setting_known(train, RA_TRAIN_PRECISION) &&
        train->precision == RA_PRECISION_FLOAT32)
        RA_FAIL(
            err, RA_ERR_ARGUMENT,
            "--tf32 rounds the factors of all products, and --precision float32 those of none; give one of "
            "them");
    if (options->seeds && ra_setting_known(train, RA_TRAIN_SEED))
        RA_FAIL(err, RA_ERR_ARGUMENT, "--seed and --seeds cannot be given together");
    if (!options->state && (options->resume || options->auto_resume || options->checkpoint_steps))
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "--no-state leaves nothing to resume; it cannot be given with --resume, --auto-resume or "
                "--checkpoint-steps");
    ra_setting_name points = train_points_flag(options);
    bool starts_on_points = ra_setting_known(train, RA_TRAIN_INIT) && train->init == RA_INIT_POINTS;
    if (points.text[0] && options->init)
        RA_FAIL(err, RA_ERR_ARGUMENT, "--%s cannot be given with --init, which holds the points",
                points.text);
    if (points.text[0] && plain && !starts_on_points)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "--%s cannot be given with a plain --dictionary-kind, which has no points unless it starts "
                "on them "
                "(--init-weights points)",
                points.text);
    if (options->init && ra_setting_known(train, RA_TRAIN_INIT))
        RA_FAIL(err, RA_ERR_ARGUMENT, "--init-weights cannot be given with --init, which holds the weights");
    if (options->init && ra_setting_known(train, RA_TRAIN_ENCODER_START))
        RA_FAIL(err, RA_ERR_ARGUMENT, "--encoder-start cannot be given with --init, which holds the weights");
    if (options->keep && !options->consensus)
        RA_FAIL(err, RA_ERR_ARGUMENT, "--keep chooses atoms of a --consensus; without one, give --concepts");
    if (options->run_steps && !options->consensus)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "--run-steps is the length of the runs of --consensus; give both, or --steps");
    if (options->point_labels && !train_points_is_file(options->points))
        RA_FAIL(
            err, RA_ERR_ARGUMENT,
            "--point-labels names the points of a file; give that file with --points, or --labels to label "
            "the data rows");
    const char *contradiction = train_points_contradiction(options);
    if (contradiction) RA_FAIL(err, RA_ERR_ARGUMENT, "%s", contradiction);
    return RA_OK;
}

static int train_command(int argc, char **argv, const ra_group *group, bool *interrupted) {
    train_options options = {0};
    ra_sae_settings sae_defaults;
    ra_train_settings train_defaults;
    train_plan_defaults(&sae_defaults, &train_defaults);
    const ra_settings_table table = {rows, sizeof rows / sizeof *rows};
    const settings_group groups[] = {
        {.title = "Files and output", .table = &table, .values = &options},
        {.title = "The autoencoder",
         .table = ra_sae_settings_table(),
         .values = &options.model.settings,
         .defaults = &sae_defaults},
        {.title = "Training",
         .table = ra_train_settings_table(),
         .values = &options.train,
         .defaults = &train_defaults},
        {.title = "Machine", .table = model_choice_table(), .values = &options.model},
    };
    const command_line line = {.program = "rasae train",
                               .usage = "DATA... -o OUT.safetensors [flags]",
                               .about = about,
                               .below = below,
                               .groups = groups,
                               .group_count = sizeof groups / sizeof *groups,
                               .min_arguments = 1,
                               .max_arguments = INT_MAX,
                               .arguments = "DATA, at least one file"};
    ra_error err = {0};
    bool help = false;
    ra_status status = settings_read_flags(&line, &argc, argv, &help, &err);
    ra_settings_default(&table, &options); /* the plan settles the others: they may be in a file */
    ra_settings_default(model_choice_table(), &options.model);
    if (status == RA_OK && !help) status = check_flags(&options, &err);
    if (status != RA_OK)
        return ranks_may_speak(group) ? command_line_wrong(&line, "%s", err.message) : EXIT_USAGE;
    options.model.process = ranks_process();
    bool first = !group || group->rank == 0;
    if (help && first) settings_print_help(&line, stdout);
    if (help) return EXIT_GOOD;
    options.data = (const char *const *)argv;
    options.data_count = (size_t)argc;
    options.quiet |= !first;
    options.json &= first;
    status = options.consensus ? train_consensus(&options, group, train, &err) : train(&options, group, &err);
    *interrupted = status == RA_OK && (options.interrupted || (options.consensus && command_interrupted()));
    if (status != RA_OK && !ranks_may_speak(group)) return EXIT_FAILED;
    return command_end(status, &err);
}

static int start(int argc, char **argv) {
    const ra_group *group = NULL;
    ra_error err = {0};
    ra_status status = ranks_begin(&argc, &argv, &group, &err);
    if (status != RA_OK) return command_end(status, &err);
    bool interrupted = false;
    int code = train_command(argc, argv, group, &interrupted);
    ranks_end(group, code); /* an interrupted run ends in order: the members wait for each other */
    return interrupted ? command_interrupted_code() : code;
}

const command command_train = {
    .name = "train", .summary = "train a dictionary on a file of activations", .start = start};
