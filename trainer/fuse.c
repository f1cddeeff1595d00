/* rasae fuse: a checkpoint becomes the artifact that is served - W, C, Relax and the multiplier one matrix D,
 * as evaluation mode has it, with the largest convex weights of each atom kept as its provenance. */
#include "app/format.h"
#include "app/json.h"
#include "commands.h"
#include "common/files.h"

static struct fuse_flags {
    uint64_t known;
    const char *output, *network, *hook, *shape;
    int dtype; /* ra_dtype: the first three are the float types */
    size_t archetypes;
    bool json, quiet;
    model_choice model;
} flags;

#define AT(member) offsetof(struct fuse_flags, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"output", RA_SETTING_TEXT, AT(output), .letter = 'o', .required = true, .argument = "FUSED",
        .help = "the artifact"},
    MODEL_DTYPE_ROW(AT(dtype)),
    MODEL_ARCHETYPES_ROW(AT(archetypes)),
    MODEL_NETWORK_ROW(AT(network)),
    MODEL_HOOK_ROW(AT(hook)),
    MODEL_SHAPE_ROW(AT(shape)),
    {"json", RA_SETTING_BOOL, AT(json), .help = "print one JSON object"},
    {"quiet", RA_SETTING_BOOL, AT(quiet), .help = "print errors only"},
};
/* clang-format on */

static void print_result(const ra_model *model, const char *input) {
    const ra_model_info *info = ra_model_get_info(model);
    if (flags.quiet) return;
    print_clean(stdout, input);
    if (info->from_checkpoint)
        printf(" was fused into ");
    else
        printf(" was fused before; its atoms are written as %s into ", model_dtype_names[flags.dtype]);
    print_clean(stdout, flags.output);
    printf(": %s atoms of %zu dimensions", format_grouped(info->concepts).text, info->dimensions);
    if (info->archetypes) printf(", %zu archetypes each", info->archetypes);
    printf(info->has_encoder ? "\n" : ", no encoder\n");
    command_next("rasaed --dictionary NAME=%s", flags.output);
}

static ra_status print_json(const ra_model *model, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(model);
    text json = {0};
    json_object(&json, NULL);
    json_text(&json, "output", flags.output);
    json_count(&json, "concepts", info->concepts);
    json_count(&json, "dimensions", info->dimensions);
    json_count(&json, "archetypes", info->archetypes);
    json_text(&json, "dtype", model_dtype_names[flags.dtype]);
    json_bool(&json, "has_encoder", info->has_encoder);
    json_object_end(&json);
    return json_print(&json, stdout, err);
}

static ra_status check_archetypes(const ra_model *model, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(model);
    if (info->from_checkpoint || !flags.archetypes || flags.archetypes == info->archetypes) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "%s is fused already and keeps %zu archetypes per atom; --archetypes %zu needs the checkpoint "
            "that it "
            "was made from",
            info->path, info->archetypes, flags.archetypes);
}

static ra_status check_shape(const ra_model *model, ra_error *err) {
    size_t shape[3], d = ra_model_get_info(model)->dimensions;
    if (!flags.shape || ra_model_shape_parse(flags.shape, d, shape)) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "--shape is %s; expected a height and a width, and perhaps 3 colors, that multiply to the %zu "
            "dimensions of %s, like 8x8 for 64",
            flags.shape, d, ra_model_get_info(model)->path);
}

static ra_status fuse(int argc, char **argv, ra_error *err) {
    ra_model *model = NULL;
    RA_TRY(check_output(flags.output, OUTPUT_MODEL, (const char *const *)argv, (size_t)argc, err));
    RA_TRY(model_choice_open(&flags.model, argv[0], flags.archetypes, &model, err));
    ra_status status;
    RA_TRY_OUT(status, check_archetypes(model, err));
    RA_TRY_OUT(status, check_shape(model, err));
    command_catch_interrupts();
    RA_TRY_OUT(status,
               ra_model_save_with(
                   model,
                   &(ra_model_additions){.model = flags.network, .hook = flags.hook, .shape = flags.shape},
                   flags.output, (ra_dtype)flags.dtype, err));
    if (flags.json)
        status = print_json(model, err);
    else
        print_result(model, argv[0]);
out:
    ra_model_release(model);
    return status;
}

const command command_fuse = {
    .name = "fuse",
    .summary = "fuse a checkpoint into the artifact that is served",
    .usage = "CHECKPOINT -o FUSED [--dtype TYPE] [--archetypes T] [--model NAME --hook NAME]\n"
             "       [--shape HxW] [--json]",
    .about = "Makes the artifact that rasaed maps and serves: the dictionary fused as evaluation\n"
             "mode has it, the encoder, and for every atom the points it is made of. An artifact as\n"
             "input is written again with another --dtype. --model, --hook and --shape are written\n"
             "into it, for readers that need to know what the rows are.\n",
    .example = "  rasae fuse words.safetensors -o words.fused.safetensors --dtype f16\n",
    .min_arguments = 1,
    .max_arguments = 1,
    .arguments = "one CHECKPOINT",
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .run = fuse,
};
