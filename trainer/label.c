/* rasae label: labels of atoms from a file, with their explanations, stored in the artifact. */
#include "app/format.h"
#include "app/json.h"
#include "commands.h"
#include "common/files.h"

static struct label_flags {
    uint64_t known;
    const char *output;
    bool json;
    model_choice model;
} flags;

#define AT(member) offsetof(struct label_flags, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"output", RA_SETTING_TEXT, AT(output), .letter = 'o', .required = true, .argument = "OUT",
        .help = "the artifact with the labels; may be MODEL"},
    {"json", RA_SETTING_BOOL, AT(json), .help = "print one JSON object"},
};
/* clang-format on */

/* How many atoms the file gives a label, how many it takes one from, and how many have one of their own then. */
typedef struct tally {
    size_t set, removed, labeled;
} tally;

static tally count(const ra_model *model, const ra_atom_labels *labels) {
    tally found = {0};
    for (size_t k = 0; k < ra_atom_labels_atoms(labels); k++) {
        const char *label = ra_atom_labels_at(labels, k);
        bool had = ra_model_atom_label_source(model, k) == RA_LABEL_FILE, has = label ? *label != '\0' : had;
        found.set += label && has;
        found.removed += had && !has;
        found.labeled += has;
    }
    return found;
}

static ra_status print_result(const char *labels, size_t concepts, tally found, ra_error *err) {
    if (flags.json) {
        text json = {0};
        json_object(&json, NULL);
        json_count(&json, "concepts", concepts);
        json_count(&json, "set", found.set);
        json_count(&json, "removed", found.removed);
        json_count(&json, "labeled", found.labeled);
        json_object_end(&json);
        return json_print(&json, stdout, err);
    }
    print_clean(stdout, labels);
    printf(" labels %s of %s atoms", format_grouped(found.set).text, format_grouped(concepts).text);
    if (found.removed) printf(" and takes the labels of %s away", format_grouped(found.removed).text);
    printf("; in ");
    print_clean(stdout, flags.output);
    printf(" %s have a label of their own\n", format_grouped(found.labeled).text);
    command_next("rasaed --dictionary NAME=%s", flags.output);
    return RA_OK;
}

static ra_status label(int argc, char **argv, ra_error *err) {
    (void)argc;
    ra_model *model = NULL;
    ra_atom_labels *labels = NULL;
    ra_status status;
    RA_TRY_OUT(status, model_choice_open(&flags.model, argv[0], 0, &model, err));
    const ra_model_info *info = ra_model_get_info(model);
    const char *const inputs[] = {argv[1], info->from_checkpoint ? argv[0] : NULL};
    RA_TRY_OUT(status, check_output(flags.output, OUTPUT_MODEL, inputs, 2, err));
    RA_TRY_OUT(status, ra_atom_labels_open(argv[1], info->concepts, &labels, err));
    command_catch_interrupts();
    RA_TRY_OUT(status, ra_model_save_with(model, &(ra_model_additions){.atom_labels = labels}, flags.output,
                                          info->dtype, err));
    status = print_result(argv[1], info->concepts, count(model, labels), err);
out:
    ra_atom_labels_free(labels);
    ra_model_release(model);
    return status;
}

const command command_label = {
    .name = "label",
    .summary = "give atoms the labels of a file",
    .usage = "MODEL LABELS -o OUT",
    .about =
        "Writes the artifact with labels of atoms. LABELS is one of\n"
        "  .txt             one line for each atom\n"
        "  .csv             first a line with the names of its columns: atom, label, and perhaps\n"
        "                   explanation, source and score\n"
        "  .jsonl, .ndjson  lines like {\"atom\": 5, \"label\": \"cat\"}, and perhaps \"explanation\",\n"
        "                   \"source\", \"score\": what rasaed exports from GET .../labels and rasae export\n"
        "                   --to labels; Neuronpedia's have index, description, explanationModelName\n"
        "\n"
        "Atoms that the file does not name keep their labels. An empty label (or null) takes that of an\n"
        "atom away; it then has the one that follows from its rows, its trace or its archetypes again.\n"
        "Explanation, source and score come and go with a label: a file without them takes those of\n"
        "the atoms that it names away. Other columns and members are passed over. A label is one line:\n"
        "tabs and line ends in it become blanks. MODEL is a fused artifact or a checkpoint.\n",
    .example = "  rasae label words.fused.safetensors labels.csv -o words.fused.safetensors\n"
               "  rasae label sae.safetensors explanations.jsonl -o sae.labeled.safetensors\n",
    .min_arguments = 2,
    .max_arguments = 2,
    .arguments = "MODEL and LABELS",
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .run = label,
};
