/* rasae layout: a position on a map for each atom, stored in the artifact. */
#include "app/format.h"
#include "app/json.h"
#include "commands.h"
#include "common/files.h"
#include "common/progress.h"

#include <math.h>

enum { COUNTED = 10, MEASURED = 4096 }; /* neighbors that the figures look at; of how many atoms at most */

static struct layout_flags {
    uint64_t known;
    const char *output;
    int method;
    size_t neighbors, epochs, seed;
    bool json;
    model_choice model;
} flags;

static const char *const method_names[] = {
    [RA_LAYOUT_NEIGHBORS] = "neighbors", [RA_LAYOUT_PCA] = "pca", NULL};

#define AT(member) offsetof(struct layout_flags, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"output", RA_SETTING_TEXT, AT(output), .letter = 'o', .required = true, .argument = "FILE",
        .help = "the artifact with the layout; may be MODEL"},
    {"method", RA_SETTING_NAME, AT(method), .names = method_names, .fallback = "neighbors", .argument = "NAME",
        .help = "neighbors or pca"},
    {"neighbors", RA_SETTING_COUNT, AT(neighbors), .min = 1, .max = 1000, .argument = "N",
        .help = "nearest atoms that each atom is tied to (15)"},
    {"epochs", RA_SETTING_COUNT, AT(epochs), .min = 1, .max = 1000000, .argument = "E",
        .help = "rounds over the edges (1000; 500 from 10,000 atoms on)"},
    {"seed", RA_SETTING_COUNT, AT(seed), .max = 0x1p53, .fallback = "0", .argument = "S",
        .help = "seed of the embedding"},
    {"json", RA_SETTING_BOOL, AT(json), .help = "print one JSON object"},
};
/* clang-format on */

typedef struct layout_run {
    ra_backend *backend;
    ra_model *model;
    ra_matrix D, places;
    ra_layout_quality quality;
} layout_run;

static ra_status compute(layout_run *run, ra_error *err) {
    progress_meter progress;
    const ra_layout_options wanted = {.method = flags.method,
                                      .neighbors = flags.neighbors,
                                      .epochs = flags.epochs,
                                      .seed = flags.seed,
                                      .progress = progress_share,
                                      .context = &progress};
    RA_TRY(model_choice_host_backend(&flags.model, &run->backend, err));
    RA_TRY(copy_dictionary(run->model, &run->D, err));
    RA_TRY(ra_matrix_init(&run->places, run->D.rows, 2, err));
    progress_open(&progress, flags.json ? PROGRESS_SILENT : PROGRESS_BAR);
    progress_start(&progress, "placing the atoms", 100);
    ra_status status =
        ra_layout(run->backend, run->D.data, run->D.rows, run->D.cols, &wanted, run->places.data, err);
    progress_close(&progress);
    RA_TRY(status);
    return ra_layout_measure(run->backend, run->D.data, run->D.rows, run->D.cols, run->places.data, COUNTED,
                             MEASURED, &run->quality, err);
}

static ra_status print_result(const layout_run *run, ra_error *err) {
    if (flags.json) {
        text json = {0};
        json_object(&json, NULL);
        json_count(&json, "concepts", run->D.rows);
        json_text(&json, "method", method_names[flags.method]);
        json_real(&json, "preserved_neighbors", run->quality.preserved);
        json_real(&json, "trustworthiness", run->quality.trustworthiness);
        json_count(&json, "measured_on", run->quality.atoms);
        json_object_end(&json);
        return json_print(&json, stdout, err);
    }
    printf("%s atoms placed by %s in ", format_grouped(run->D.rows).text, method_names[flags.method]);
    print_clean(stdout, flags.output);
    printf(": %.1f %% of the %d nearest atoms are among the %d nearest on the map",
           100 * run->quality.preserved, COUNTED, COUNTED);
    if (isfinite(run->quality.trustworthiness))
        printf("; trustworthiness %.4f", run->quality.trustworthiness);
    if (run->quality.atoms < run->D.rows) printf(" (of %s atoms)", format_grouped(run->quality.atoms).text);
    putchar('\n');
    command_next("rasaed --dictionary NAME=%s", flags.output);
    return RA_OK;
}

static ra_status layout(int argc, char **argv, ra_error *err) {
    (void)argc;
    layout_run run = {0};
    ra_status status;
    RA_TRY_OUT(status, model_choice_open(&flags.model, argv[0], 0, &run.model, err));
    const ra_model_info *info = ra_model_get_info(run.model);
    RA_TRY_OUT(status, check_output(flags.output, OUTPUT_MODEL, (const char *const *)argv,
                                    info->from_checkpoint, err));
    RA_TRY_OUT(status, compute(&run, err));
    command_catch_interrupts();
    RA_TRY_OUT(status, ra_model_save_with(run.model, &(ra_model_additions){.layout = run.places.data},
                                          flags.output, info->dtype, err));
    status = print_result(&run, err);
out:
    ra_matrix_release(&run.places);
    ra_matrix_release(&run.D);
    ra_model_release(run.model);
    ra_backend_release(run.backend);
    return status;
}

const command command_layout = {
    .name = "layout",
    .summary = "place each atom on a map",
    .usage = "MODEL -o FILE [--method neighbors|pca]",
    .about =
        "Gives each atom a position on a map and writes the artifact with these positions, which rasaed\n"
        "then serves. `neighbors` keeps atoms with a large cosine together; `pca` projects on the two\n"
        "strongest directions. The command prints how many of the nearest atoms are nearest on the\n"
        "map as well, and the trustworthiness of the map (1: none that is far is shown near), both on\n"
        "4,096 atoms if there are more. MODEL is a fused artifact or a checkpoint.\n",
    .example = "  rasae layout words.fused.safetensors -o words.fused.safetensors\n"
               "  rasae layout words.safetensors -o words.map.safetensors --method pca\n",
    .min_arguments = 1,
    .max_arguments = 1,
    .arguments = "one MODEL",
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .run = layout,
};
