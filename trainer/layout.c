/* rasae layout: a place in the plane for each atom, stored in the artifact for maps. */
#include "command.h"
#include "files.h"
#include "app/format.h"
#include "app/json.h"
#include "options.h"

#include <stdio.h>

enum { COUNTED = 10 }; /* neighbors that the figure looks at */

typedef struct layout_options {
    const char *input, *output;
    int method;
    size_t neighbors, epochs, seed;
    bool json;
    model_choice model;
} layout_options;

static const char *const method_names[] = {
    [RA_LAYOUT_NEIGHBORS] = "neighbors", [RA_LAYOUT_PCA] = "pca", NULL};

static const option rows[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .required = true,
     .offset = offsetof(layout_options, output),
     .argument = "FILE",
     .help = "the artifact with the layout; may be MODEL"},
    {.name = "method",
     .type = OPTION_NAME,
     .offset = offsetof(layout_options, method),
     .names = method_names,
     .argument = "NAME",
     .help = "neighbors or pca (neighbors)"},
    {.name = "neighbors",
     .type = OPTION_COUNT,
     .offset = offsetof(layout_options, neighbors),
     .min = 1,
     .max = 1000,
     .argument = "N",
     .help = "nearest atoms that each is tied to (15)"},
    {.name = "epochs",
     .type = OPTION_COUNT,
     .offset = offsetof(layout_options, epochs),
     .min = 1,
     .max = 1000000,
     .argument = "E",
     .help = "rounds over the edges (500; 200 from 10,000 atoms on)"},
    {.name = "seed",
     .type = OPTION_COUNT,
     .offset = offsetof(layout_options, seed),
     .max = (size_t)1 << 53, /* as a double holds it exactly, in JSON, too */
     .argument = "S",
     .help = "of the embedding (0)"},
    {.name = "json",
     .type = OPTION_SWITCH,
     .offset = offsetof(layout_options, json),
     .help = "one JSON object"},
};

typedef struct layout_run {
    ra_backend *backend;
    ra_model *model;
    ra_matrix D, places;
    double preserved;
} layout_run;

static ra_status compute(const layout_options *options, layout_run *run, ra_error *err) {
    const ra_layout_options wanted = {.method = options->method,
                                      .neighbors = options->neighbors,
                                      .epochs = options->epochs,
                                      .seed = options->seed};
    const ra_tensor *D = ra_model_dictionary(run->model);
    RA_TRY(model_choice_host_backend(&options->model, &run->backend, err));
    RA_TRY(ra_matrix_init(&run->D, D->shape[0], D->shape[1], err));
    RA_TRY(ra_matrix_init(&run->places, D->shape[0], 2, err));
    ra_convert_to_f32(D->dtype, D->data, run->D.data, ra_tensor_elements(D));
    RA_TRY(ra_layout(run->backend, run->D.data, run->D.rows, run->D.cols, &wanted, run->places.data, err));
    return ra_layout_preservation(run->backend, run->D.data, run->D.rows, run->D.cols, run->places.data,
                                  COUNTED, &run->preserved, err);
}

static ra_status print_result(const layout_options *options, const layout_run *run, ra_error *err) {
    if (options->json) {
        text json = {0};
        json_object(&json, NULL);
        json_count(&json, "concepts", run->D.rows);
        json_text(&json, "method", method_names[options->method]);
        json_real(&json, "preserved_neighbors", run->preserved);
        json_object_end(&json);
        return json_print(&json, stdout, err);
    }
    printf("%s atoms placed by %s into ", format_grouped(run->D.rows).text, method_names[options->method]);
    print_clean(stdout, options->output);
    printf(": %.1f %% of the %d nearest atoms are among the %d nearest places\n", 100 * run->preserved,
           COUNTED, COUNTED);
    return RA_OK;
}

static ra_status layout(const layout_options *options, ra_error *err) {
    layout_run run = {0};
    ra_status status;
    RA_TRY_OUT(status, model_choice_open(&options->model, options->input, 0, &run.model, err));
    const ra_model_info *info = ra_model_get_info(run.model);
    RA_TRY_OUT(status, check_output(options->output, &options->input, info->from_checkpoint, err));
    RA_TRY_OUT(status, compute(options, &run, err));
    command_catch_interrupts(); /* a write that has begun is finished rather than left lying
                                 * beside the target */
    RA_TRY_OUT(status, ra_model_save_with(run.model, &(ra_model_additions){.layout = run.places.data},
                                          options->output, info->dtype, err));
    status = print_result(options, &run, err);
out:
    ra_matrix_release(&run.places);
    ra_matrix_release(&run.D);
    ra_model_release(run.model);
    ra_backend_release(run.backend);
    return status;
}

int command_layout(int argc, char **argv) {
    layout_options options = {.method = RA_LAYOUT_NEIGHBORS};
    const option_group groups[] = {
        {"Flags", rows, sizeof rows / sizeof *rows, NULL, &options, NULL},
        {NULL, model_options, MODEL_OPTION_COUNT, NULL, &options.model, NULL},
        {MODEL_SETTINGS_TITLE, NULL, 0, ra_sae_settings_table(), &options.model.settings, NULL},
    };
    const command_line line = {
        .command = "layout",
        .usage = "MODEL -o FILE [--method neighbors|pca]",
        .about = "Gives each atom a place in the plane and writes the artifact with them, for maps of the\n"
                 "dictionary; rasaed then serves them. `neighbors` keeps atoms of large cosine together;\n"
                 "`pca` is the projection on the two strongest directions. The share of nearest atoms that\n"
                 "are nearest on the map as well is printed. MODEL is a fused artifact or a checkpoint.\n",
        .example = "  rasae layout words.fused.safetensors -o words.fused.safetensors\n"
                   "  rasae layout words.safetensors -o words.map.safetensors --method pca\n",
        .groups = groups,
        .group_count = sizeof groups / sizeof *groups,
        .min_arguments = 1,
        .max_arguments = 1,
        .arguments = "one MODEL",
    };
    ra_error err = {0};
    command_line_result parsed = command_line_parse(&line, &argc, argv);
    if (parsed != LINE_GOOD) return parsed == LINE_HELP ? EXIT_GOOD : EXIT_USAGE;
    options.input = argv[0];
    return command_end(layout(&options, &err), &err);
}
