/* rasae fuse: a checkpoint becomes the artifact that is served - W, C, Relax and the multiplier one matrix D,
 * as evaluation mode has it, with the largest convex weights of each atom kept as its provenance. */
#include "command.h"
#include "files.h"
#include "app/format.h"
#include "options.h"

#include <stdio.h>

typedef struct fuse_options {
    const char *input, *output;
    int dtype; /* ra_dtype: the first three are the float types */
    size_t archetypes;
    bool quiet;
    model_choice model;
} fuse_options;

static const char *const dtype_names[] = {[RA_F32] = "f32", [RA_F16] = "f16", [RA_BF16] = "bf16", NULL};

static const option rows[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .required = true,
     .offset = offsetof(fuse_options, output),
     .argument = "FUSED",
     .help = "the artifact"},
    {.name = "dtype",
     .type = OPTION_NAME,
     .offset = offsetof(fuse_options, dtype),
     .names = dtype_names,
     .argument = "TYPE",
     .help = "of the dictionary: f32, f16 or bf16 (f32)"},
    {.name = "archetypes",
     .type = OPTION_COUNT,
     .offset = offsetof(fuse_options, archetypes),
     .min = 1,
     .max = 65536,
     .argument = "T",
     .help = "points kept for each atom, largest convex weights first (16)"},
    {.name = "quiet",
     .type = OPTION_SWITCH,
     .offset = offsetof(fuse_options, quiet),
     .help = "print errors only"},
};

static void print_result(const ra_model *model, const fuse_options *options) {
    const ra_model_info *info = ra_model_get_info(model);
    if (options->quiet) return;
    print_clean(stdout, options->input);
    printf(info->from_checkpoint ? " fused into " : " was fused before; the same atoms, as %s, into ",
           dtype_names[options->dtype]);
    print_clean(stdout, options->output);
    printf(": %s atoms of %zu dimensions", format_grouped(info->concepts).text, info->dimensions);
    if (info->archetypes) printf(", %zu archetypes each", info->archetypes);
    printf(info->has_encoder ? "\n" : ", no encoder\n");
}

static ra_status fuse(const fuse_options *options, ra_error *err) {
    ra_model *model = NULL;
    RA_TRY(check_output(options->output, &options->input, 1, err));
    RA_TRY(model_choice_open(&options->model, options->input, options->archetypes, &model, err));
    const ra_model_info *info = ra_model_get_info(model);
    ra_status status;
    if (!info->from_checkpoint && options->archetypes && options->archetypes != info->archetypes)
        status = ra_error_set(err, RA_ERR_ARGUMENT,
                              "%s is fused already and keeps %zu archetypes an atom; --archetypes %zu needs "
                              "the checkpoint it was made from",
                              options->input, info->archetypes, options->archetypes);
    else {
        command_catch_interrupts(); /* a write that has begun is finished rather than left lying beside the
                                       target */
        status = ra_model_save(model, options->output, (ra_dtype)options->dtype, err);
    }
    if (status == RA_OK) print_result(model, options);
    ra_model_release(model);
    return status;
}

int command_fuse(int argc, char **argv) {
    fuse_options options = {.dtype = RA_F32};
    const option_group groups[] = {
        {"Flags", rows, sizeof rows / sizeof *rows, NULL, &options, NULL},
        {NULL, model_options, MODEL_OPTION_COUNT, NULL, &options.model, NULL},
        {MODEL_SETTINGS_TITLE, NULL, 0, ra_sae_settings_table(), &options.model.settings, NULL},
    };
    const command_line line = {
        .command = "fuse",
        .usage = "CHECKPOINT -o FUSED [--dtype f32|f16|bf16] [--archetypes T]",
        .about = "Makes the artifact that rasaed maps and serves: the dictionary fused as evaluation\n"
                 "mode has it, the encoder, and of every atom the points it is made of. An artifact as\n"
                 "input is written again with another --dtype.\n",
        .example = "  rasae fuse words.safetensors -o words.fused.safetensors --dtype f16\n",
        .groups = groups,
        .group_count = sizeof groups / sizeof *groups,
        .min_arguments = 1,
        .max_arguments = 1,
        .arguments = "one CHECKPOINT",
    };
    ra_error err = {0};
    command_line_result parsed = command_line_parse(&line, &argc, argv);
    if (parsed != LINE_GOOD) return parsed == LINE_HELP ? EXIT_GOOD : EXIT_USAGE;
    options.input = argv[0];
    return command_end(fuse(&options, &err), &err);
}
