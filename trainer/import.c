/* rasae import: a dictionary that another program wrote becomes a file of ours. The library opens what it can read (io/torch/,
 * io/safetensors/), so every command takes such a file as it is; this one takes the settings from a JSON file that stands
 * elsewhere, and writes everything into one file that needs neither the flags nor the config again. */
#include "app/format.h"
#include "app/json.h"
#include "commands.h"
#include "common/files.h"

#include <string.h>

static struct import_flags {
    uint64_t known;
    const char *output, *network, *hook;
    int dtype; /* ra_dtype: the first three are the float types */
    size_t archetypes;
    bool checkpoint, json, quiet;
    model_choice model;
} flags;

enum { ARCHETYPES = 2 };

#define AT(member) offsetof(struct import_flags, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"output", RA_SETTING_TEXT, AT(output), .letter = 'o', .required = true, .argument = "OUT",
        .help = "the file that is written"},
    MODEL_DTYPE_ROW(AT(dtype)),
    [ARCHETYPES] = MODEL_ARCHETYPES_ROW(AT(archetypes)),
    {"checkpoint", RA_SETTING_BOOL, AT(checkpoint),
        .help = "keep the parameters (W, C, Relax), for rasae train --init, instead of the fused dictionary"},
    MODEL_NETWORK_ROW(AT(network)),
    MODEL_HOOK_ROW(AT(hook)),
    {"json", RA_SETTING_BOOL, AT(json), .help = "print one JSON object"},
    {"quiet", RA_SETTING_BOOL, AT(quiet), .help = "print errors only"},
};
/* clang-format on */

/* ---- sources ----------------------------------------------------------------------------------------- */

/* Of the arguments, those that end with .json hold settings, and the other one the tensors. Flags are stronger than
 * settings in such a file, which are stronger than what the source says itself. */
static ra_status sort_sources(int argc, char **argv, const char **source, ra_error *err) {
    const ra_settings_table *table = ra_sae_settings_table();
    ra_sae_settings given = {0};
    *source = NULL;
    for (int i = 0; i < argc; i++) {
        if (has_suffix(argv[i], ".json")) {
            RA_TRY(ra_settings_read_json(table, argv[i], &given, err));
            continue;
        }
        if (*source)
            RA_FAIL(err, RA_ERR_ARGUMENT,
                    "%s and %s are two sources; expected one file or folder, and files of settings that end "
                    "with .json",
                    *source, argv[i]);
        *source = argv[i];
    }
    if (!*source) RA_FAIL(err, RA_ERR_ARGUMENT, "there is no source, only files of settings");
    ra_settings_fill(table, &flags.model.settings, &given);
    return RA_OK;
}

/* ---- a checkpoint ------------------------------------------------------------------------------------ */

static ra_status copy_tensors(const ra_safetensors *file, ra_safetensors_writer *writer, ra_error *err) {
    for (size_t i = 0; i < ra_safetensors_count(file); i++) {
        const char *name = ra_safetensors_name(file, i);
        if (ra_sae_tensor_use(name) == RA_TENSOR_USED &&
            !ra_sae_tensor_ignored(flags.model.settings.ignored, name))
            RA_TRY(ra_safetensors_writer_tensor(writer, name, ra_safetensors_at(file, i), err));
    }
    return RA_OK;
}

/* The settings are the model's, which has been opened: what was missing in the source is known now. */
static ra_status write_checkpoint(const ra_model *model, const char *source, ra_error *err) {
    ra_safetensors *file = NULL;
    ra_safetensors_writer *writer = NULL;
    ra_status status;
    RA_TRY_OUT(status, ra_safetensors_open(source, &file, err));
    if (!ra_model_get_info(model)->from_checkpoint)
        RA_TRY_OUT(status,
                   ra_error_set(err, RA_ERR_ARGUMENT,
                                "%s holds a fused dictionary and no parameters; leave out --checkpoint",
                                source));
    RA_TRY_OUT(status, ra_safetensors_narrow(file, err));
    RA_TRY_OUT(status, ra_safetensors_writer_new(&writer, err));
    RA_TRY_OUT(status,
               ra_settings_write(ra_sae_settings_table(), &ra_model_get_info(model)->settings, writer, err));
    if (flags.network)
        RA_TRY_OUT(status, ra_safetensors_writer_metadata(writer, "model", flags.network, err));
    if (flags.hook) RA_TRY_OUT(status, ra_safetensors_writer_metadata(writer, "hook", flags.hook, err));
    RA_TRY_OUT(status, copy_tensors(file, writer, err));
    ra_safetensors_writer_seal(writer, NULL, NULL);
    status = ra_safetensors_writer_write(writer, flags.output, err);
out:
    ra_safetensors_writer_free(writer);
    ra_safetensors_free(file);
    return status;
}

/* ---- printing ---------------------------------------------------------------------------------------- */

static void print_settings(const ra_sae_settings *settings) {
    const ra_settings_table *table = ra_sae_settings_table();
    printf("  settings");
    for (size_t i = 0, shown = 0; i < table->count; i++) {
        char value[64];
        if (!ra_setting_known(settings, i)) continue;
        ra_setting_print(table, i, settings, value, sizeof value);
        printf("%s%s %s", shown++ ? ", " : ": ", table->rows[i].key, value);
    }
    putchar('\n');
}

static void print_result(const ra_model *model, const char *source) {
    const ra_model_info *info = ra_model_get_info(model);
    if (flags.quiet) return;
    print_clean(stdout, source);
    printf(" was written into ");
    print_clean(stdout, flags.output);
    printf(": %s atoms of %zu dimensions", format_grouped(info->concepts).text, info->dimensions);
    if (info->archetypes && !flags.checkpoint) printf(", %zu archetypes each", info->archetypes);
    printf(info->has_encoder ? "\n" : ", no encoder\n");
    print_settings(&info->settings);
    if (flags.checkpoint)
        command_next("rasae train DATA --init %s -o MODEL", flags.output);
    else
        command_next("rasaed --dictionary NAME=%s", flags.output);
}

static ra_status print_json(const ra_model *model, ra_error *err) {
    const ra_settings_table *table = ra_sae_settings_table();
    const ra_model_info *info = ra_model_get_info(model);
    text json = {0};
    json_object(&json, NULL);
    json_text(&json, "output", flags.output);
    json_count(&json, "concepts", info->concepts);
    json_count(&json, "dimensions", info->dimensions);
    json_count(&json, "archetypes", info->archetypes);
    json_bool(&json, "has_encoder", info->has_encoder);
    json_object(&json, "settings");
    for (size_t i = 0; i < table->count; i++) {
        char value[64];
        if (!ra_setting_known(&info->settings, i)) continue;
        ra_setting_print(table, i, &info->settings, value, sizeof value);
        json_text(&json, table->rows[i].key, value);
    }
    json_object_end(&json);
    json_object_end(&json);
    return json_print(&json, stdout, err);
}

/* ---- the command ------------------------------------------------------------------------------------- */

static ra_status check_flags(ra_error *err) {
    bool given = ra_setting_known(&flags, ARCHETYPES) || flags.dtype != RA_F32;
    if (flags.checkpoint && given)
        RA_FAIL(err, RA_ERR_ARGUMENT, "--checkpoint keeps the parameters as they are; leave out --%s",
                ra_setting_known(&flags, ARCHETYPES) ? "archetypes" : "dtype");
    return RA_OK;
}

static ra_status import(int argc, char **argv, ra_error *err) {
    ra_model *model = NULL;
    const char *source;
    RA_TRY(check_flags(err));
    RA_TRY(sort_sources(argc, argv, &source, err));
    RA_TRY(check_output(flags.output, OUTPUT_MODEL, (const char *const *)argv, (size_t)argc, err));
    RA_TRY(model_choice_open(&flags.model, source, flags.archetypes, &model, err));
    command_catch_interrupts();
    const ra_model_additions additions = {.model = flags.network, .hook = flags.hook};
    ra_status status = flags.checkpoint
                           ? write_checkpoint(model, source, err)
                           : ra_model_save_with(model, &additions, flags.output, (ra_dtype)flags.dtype, err);
    if (status == RA_OK && flags.json)
        status = print_json(model, err);
    else if (status == RA_OK)
        print_result(model, source);
    ra_model_release(model);
    return status;
}

const command command_import = {
    .name = "import",
    .summary = "make a file of ours of a dictionary that another program wrote",
    .usage = "SOURCE [CONFIG.json...] -o OUT [--checkpoint] [--dtype TYPE] [--json]",
    .about =
        "SOURCE is what torch.save wrote (a whole module of overcomplete, or a state dict), a .safetensors\n"
        "file with the tensors of such a state dict, or a folder that holds one of these, as hubs lay them\n"
        "out. Python is not needed, and nothing in a pickle is run. Settings that the file lacks come from "
        "a\n"
        "config.json beside it, from the CONFIG.json that are named, or from flags; a flag is the "
        "strongest.\n",
    .example = "  rasae import RA-SAE-DINOv2-32k.pth -o dinov2.safetensors --dtype f16\n"
               "  rasae import state_dict.pt --sae topk --top-k 32 --delta 1 -o words.safetensors\n",
    .min_arguments = 1,
    .max_arguments = 16,
    .arguments = "one SOURCE, and CONFIG.json files",
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .run = import,
};
