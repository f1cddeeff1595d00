/* rasae export: a model becomes a folder of files that another program reads. The formats are in export/; each is exact, or
 * refuses the model with the reason. */
#include "app/format.h"
#include "commands.h"
#include "common/files.h"
#include "export/export.h"
#include "export/folder.h"

static struct export_flags {
    uint64_t known;
    const char *output, *network, *hook, *set;
    int format;
    size_t layer;
    bool json, quiet;
    model_choice model;
} flags;

enum { LAYER = 5 };

static const export_format *const formats[] = {&export_saelens, &export_overcomplete, &export_neuronpedia,
                                               &export_npz,     &export_csv,          &export_labels};
static const char *const format_names[] = {"saelens", "overcomplete", "neuronpedia", "npz",
                                           "csv",     "labels",       NULL};

#define AT(member) offsetof(struct export_flags, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"to", RA_SETTING_NAME, AT(format), .names = format_names, .required = true, .argument = "FORMAT",
        .help = "saelens, overcomplete, neuronpedia, npz, csv or labels"},
    {"output", RA_SETTING_TEXT, AT(output), .letter = 'o', .required = true, .argument = "DIR",
        .help = "the folder that is made"},
    MODEL_NETWORK_ROW(AT(network)),
    MODEL_HOOK_ROW(AT(hook)),
    {"set", RA_SETTING_TEXT, AT(set), .argument = "NAME",
        .help = "neuronpedia: the name of the set of dictionaries"},
    [LAYER] = {"layer", RA_SETTING_COUNT, AT(layer), .min = 0, .max = 99999, .argument = "N",
        .help = "neuronpedia: the layer, if the hook's name does not say"},
    {"json", RA_SETTING_BOOL, AT(json), .help = "print one JSON object"},
    {"quiet", RA_SETTING_BOOL, AT(quiet), .help = "print errors only"},
};
/* clang-format on */

static ra_status print_result(const ra_weights *weights, const char *source, ra_error *err) {
    text json = {0};
    if (flags.json) {
        json_object(&json, NULL);
        json_text(&json, "output", flags.output);
        json_text(&json, "format", format_names[flags.format]);
        json_count(&json, "concepts", weights->concepts);
        json_count(&json, "dimensions", weights->dimensions);
        json_bool(&json, "folded", weights->folded);
        json_object_end(&json);
        return json_print(&json, stdout, err);
    }
    if (flags.quiet) return RA_OK;
    print_clean(stdout, source);
    printf(" was written into ");
    print_clean(stdout, flags.output);
    printf(" for %s: %s\n", format_names[flags.format], formats[flags.format]->files);
    if (weights->folded)
        printf("  its standardization or its BatchNorm is multiplied into the weights, which rounds them "
               "once\n");
    return RA_OK;
}

static ra_status write_folder(const ra_model *model, const ra_weights *weights, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(model);
    export_folder folder;
    RA_TRY(export_folder_begin(&folder, flags.output, err));
    const export_job job = {.model = model,
                            .weights = weights,
                            .folder = folder.temporary,
                            .network = flags.network ? flags.network : info->model,
                            .hook = flags.hook ? flags.hook : info->hook,
                            .set = flags.set,
                            .layer = ra_setting_known(&flags, LAYER) ? (int)flags.layer : -1};
    ra_status status = formats[flags.format]->write(&job, err);
    if (status == RA_OK) return export_folder_commit(&folder, err);
    export_folder_abort(&folder);
    return status;
}

static ra_status export(int argc, char **argv, ra_error *err) {
    (void)argc;
    ra_model *model = NULL;
    ra_weights weights = {0};
    ra_status status;
    RA_TRY(model_choice_open(&flags.model, argv[0], 0, &model, err));
    command_catch_interrupts();
    RA_TRY_OUT(status, ra_weights_init(&weights, model, err));
    RA_TRY_OUT(status, write_folder(model, &weights, err));
    status = print_result(&weights, argv[0], err);
out:
    ra_weights_release(&weights);
    ra_model_release(model);
    return status;
}

const command command_export = {
    .name = "export",
    .summary = "write a model in the format of another program",
    .usage = "MODEL --to FORMAT -o DIR [--model NAME] [--hook NAME] [--json]",
    .about =
        "Makes a folder that the other program reads: SAELens (SAE.load_from_disk), overcomplete (load.py\n"
        "in the folder makes its object), Neuronpedia's batches of features, arrays of NumPy under\n"
        "SAELens's names, tables, or the labels of the file, which rasae label and rasaed read. Numbers\n"
        "are the model's own; a standardization and a BatchNorm are multiplied into the weights. What a\n"
        "format cannot hold is refused, with the reason. Thresholds are strict in SAELens and npz, so each\n"
        "is the next smaller float.\n",
    .example = "  rasae export words.safetensors --to saelens -o words-saelens\n"
               "  rasae export words.safetensors --to neuronpedia --set words --layer 6 -o batches\n",
    .min_arguments = 1,
    .max_arguments = 1,
    .arguments = "one MODEL",
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .run = export,
};
