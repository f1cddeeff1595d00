/* rasae encode: activations to codes, in evaluation mode, block by block. */
#include "codes_file.h"
#include "command.h"
#include "files.h"
#include "app/format.h"
#include "options.h"
#include "progress.h"

#include <stdio.h>

typedef struct encode_options {
    const char *model_path, *output, *tensor;
    const char *const *data;
    size_t data_count;
    bool quiet;
    model_choice model;
} encode_options;

static const option rows[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .required = true,
     .offset = offsetof(encode_options, output),
     .argument = "CODES",
     .help = "the codes: dense when the name ends in .npy, else sparse"},
    {.name = "tensor",
     .type = OPTION_TEXT,
     .offset = offsetof(encode_options, tensor),
     .argument = "NAME",
     .help = "which tensor of DATA, when it holds several"},
    {.name = "quiet",
     .type = OPTION_SWITCH,
     .offset = offsetof(encode_options, quiet),
     .help = "print errors only"},
};

/* What is open while the work is done. */
typedef struct encoding {
    ra_model *model;
    ra_data *data;
    ra_workspace *workspace;
    codes_writer *writer;
    ra_codes codes;
    ra_matrix block; /* [rows_per_block, d] */
    size_t rows, entries;
} encoding;

static ra_status open_all(encoding *e, const encode_options *options, ra_error *err) {
    RA_TRY(model_choice_open(&options->model, options->model_path, 0, &e->model, err));
    RA_TRY(ra_data_open(options->data, options->data_count,
                        &(ra_data_options){.tensor_name = options->tensor}, &e->data, err));
    const ra_model_info *info = ra_model_get_info(e->model);
    size_t d = ra_data_dimensions(e->data);
    e->rows = ra_data_rows(e->data);
    if (d != info->dimensions)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu dimensions a row, but the model %s has %zu", options->data[0],
                d, options->model_path, info->dimensions);
    RA_TRY(ra_workspace_new(&e->workspace, err));
    size_t wider = d > info->concepts ? d : info->concepts;
    RA_TRY(ra_matrix_init(&e->block, rows_per_block(wider), d, err));
    return codes_writer_begin(options->output, e->rows, info->concepts, &e->writer, err);
}

static ra_status encode_blocks(encoding *e, progress_meter *progress, ra_error *err) {
    progress_start(progress, "encoding", e->rows);
    for (size_t first = 0; first < e->rows; first += e->block.rows) {
        size_t count = e->rows - first < e->block.rows ? e->rows - first : e->block.rows;
        RA_TRY(command_check_interrupted(err));
        ra_data_read(e->data, first, count, e->block.data);
        RA_TRY(ra_model_encode(e->model, e->workspace, e->block.data, count, &e->codes, err));
        RA_TRY(codes_writer_add(e->writer, &e->codes, err));
        e->entries += ra_codes_entries(&e->codes);
        if (progress_due(progress, first + count))
            progress_show(progress, first + count, (double)(first + count), NULL, 0);
    }
    return RA_OK;
}

static void close_all(encoding *e) {
    codes_writer_abort(e->writer);
    ra_matrix_release(&e->block);
    ra_codes_release(&e->codes);
    ra_workspace_free(e->workspace);
    ra_data_free(e->data);
    ra_model_release(e->model);
}

static ra_status encode(const encode_options *options, ra_error *err) {
    encoding e = {0};
    progress_meter progress;
    RA_TRY(check_output(options->output, &options->model_path, 1, err));
    RA_TRY(check_output(options->output, options->data, options->data_count, err));
    command_catch_interrupts();
    progress_open(&progress, options->quiet ? PROGRESS_SILENT : PROGRESS_BAR);
    ra_status status = open_all(&e, options, err);
    if (status == RA_OK) status = encode_blocks(&e, &progress, err);
    progress_close(&progress);
    if (status == RA_OK) {
        status = codes_writer_commit(e.writer, err);
        e.writer = NULL;
    }
    if (status == RA_OK && !options->quiet) {
        print_clean(stdout, options->output);
        printf(": codes of %s rows, %.4g of %s latents active a row\n", format_grouped(e.rows).text,
               e.rows ? (double)e.entries / (double)e.rows : 0.0,
               format_grouped(ra_model_get_info(e.model)->concepts).text);
    }
    close_all(&e);
    return status;
}

int command_encode(int argc, char **argv) {
    encode_options options = {0};
    const option_group groups[] = {
        {"Flags", rows, sizeof rows / sizeof *rows, NULL, &options, NULL},
        {NULL, model_options, MODEL_OPTION_COUNT, NULL, &options.model, NULL},
        {MODEL_SETTINGS_TITLE, NULL, 0, ra_sae_settings_table(), &options.model.settings, NULL},
    };
    const command_line line = {
        .command = "encode",
        .usage = "MODEL DATA... -o CODES",
        .about = "Encodes activations in evaluation mode. MODEL is a fused artifact or a checkpoint;\n"
                 "DATA: one or more .npy or .safetensors, [rows, d], [n, tokens, d] or [n, d, h, w].\n"
                 "CODES.safetensors holds codes.start I64 [rows+1], codes.index I32 and\n"
                 "codes.value F32 (row b has the entries start[b] to start[b+1], latents ascending), and\n"
                 "K as the metadata `latents`; CODES.npy holds the dense float32 [rows, K].\n",
        .example = "  rasae encode words.safetensors acts.npy -o codes.safetensors\n",
        .groups = groups,
        .group_count = sizeof groups / sizeof *groups,
        .min_arguments = 2,
        .max_arguments = argc,
        .arguments = "MODEL and DATA, at least one file",
    };
    ra_error err = {0};
    command_line_result parsed = command_line_parse(&line, &argc, argv);
    if (parsed != LINE_GOOD) return parsed == LINE_HELP ? EXIT_GOOD : EXIT_USAGE;
    options.model_path = argv[0];
    options.data = (const char *const *)argv + 1;
    options.data_count = (size_t)argc - 1;
    return command_end(encode(&options, &err), &err);
}
