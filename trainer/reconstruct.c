/* rasae reconstruct: codes back to activations, x_hat = z D, block by block. */
#include "codes_file.h"
#include "command.h"
#include "files.h"
#include "app/format.h"
#include "options.h"
#include "progress.h"

#include <stdio.h>

typedef struct reconstruct_options {
    const char *model_path, *codes_path, *output, *tensor;
    bool quiet;
    model_choice model;
} reconstruct_options;

static const option rows[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .required = true,
     .offset = offsetof(reconstruct_options, output),
     .argument = "XHAT",
     .help = "float32 [rows, d]: .npy, or x_hat in a .safetensors"},
    {.name = "tensor",
     .type = OPTION_TEXT,
     .offset = offsetof(reconstruct_options, tensor),
     .argument = "NAME",
     .help = "which tensor of CODES is the dense matrix, when it holds several"},
    {.name = "quiet",
     .type = OPTION_SWITCH,
     .offset = offsetof(reconstruct_options, quiet),
     .help = "print errors only"},
};

/* What is open while the work is done. */
typedef struct reconstruction {
    ra_model *model;
    codes_reader *reader;
    ra_workspace *workspace;
    array_writer *writer;
    ra_codes codes;
    ra_matrix block; /* [rows_per_block, d] */
    size_t rows;
} reconstruction;

static ra_status open_all(reconstruction *r, const reconstruct_options *options, ra_error *err) {
    RA_TRY(model_choice_open(&options->model, options->model_path, 0, &r->model, err));
    const ra_model_info *info = ra_model_get_info(r->model);
    size_t K = info->concepts, d = info->dimensions;
    RA_TRY(codes_reader_open(options->codes_path, options->tensor, K, &r->reader, err));
    r->rows = codes_reader_rows(r->reader);
    RA_TRY(ra_workspace_new(&r->workspace, err));
    RA_TRY(ra_matrix_init(&r->block, rows_per_block(d > K ? d : K), d, err));
    return array_writer_begin(options->output, "x_hat", r->rows, d, &r->writer, err);
}

static ra_status reconstruct_blocks(reconstruction *r, progress_meter *progress, ra_error *err) {
    progress_start(progress, "reconstructing", r->rows);
    for (size_t first = 0; first < r->rows; first += r->block.rows) {
        size_t count = r->rows - first < r->block.rows ? r->rows - first : r->block.rows;
        RA_TRY(command_check_interrupted(err));
        RA_TRY(codes_reader_read(r->reader, first, count, &r->codes, err));
        RA_TRY(ra_model_reconstruct(r->model, r->workspace, &r->codes, r->block.data, err));
        RA_TRY(array_writer_add(r->writer, r->block.data, count, err));
        if (progress_due(progress, first + count))
            progress_show(progress, first + count, (double)(first + count), NULL, 0);
    }
    return RA_OK;
}

static void close_all(reconstruction *r) {
    array_writer_abort(r->writer);
    ra_matrix_release(&r->block);
    ra_codes_release(&r->codes);
    ra_workspace_free(r->workspace);
    codes_reader_free(r->reader);
    ra_model_release(r->model);
}

static ra_status reconstruct(const reconstruct_options *options, ra_error *err) {
    reconstruction r = {0};
    progress_meter progress;
    const char *const inputs[] = {options->model_path, options->codes_path};
    RA_TRY(check_output(options->output, inputs, 2, err));
    command_catch_interrupts();
    progress_open(&progress, options->quiet ? PROGRESS_SILENT : PROGRESS_BAR);
    ra_status status = open_all(&r, options, err);
    if (status == RA_OK) status = reconstruct_blocks(&r, &progress, err);
    progress_close(&progress);
    if (status == RA_OK) {
        status = array_writer_commit(r.writer, err);
        r.writer = NULL;
    }
    if (status == RA_OK && !options->quiet) {
        print_clean(stdout, options->output);
        printf(": %s rows of %zu dimensions\n", format_grouped(r.rows).text,
               ra_model_get_info(r.model)->dimensions);
    }
    close_all(&r);
    return status;
}

int command_reconstruct(int argc, char **argv) {
    reconstruct_options options = {0};
    const option_group groups[] = {
        {"Flags", rows, sizeof rows / sizeof *rows, NULL, &options, NULL},
        {NULL, model_options, MODEL_OPTION_COUNT, NULL, &options.model, NULL},
        {MODEL_SETTINGS_TITLE, NULL, 0, ra_sae_settings_table(), &options.model.settings, NULL},
    };
    const command_line line = {
        .command = "reconstruct",
        .usage = "MODEL CODES -o XHAT",
        .about = "Decodes codes with the fused dictionary. MODEL is a fused artifact or a checkpoint.\n"
                 "CODES is what `rasae encode` writes, or any matrix [rows, K] in a .npy or a\n"
                 ".safetensors file.\n",
        .example = "  rasae reconstruct words.safetensors codes.safetensors -o x_hat.npy\n",
        .groups = groups,
        .group_count = sizeof groups / sizeof *groups,
        .min_arguments = 2,
        .max_arguments = 2,
        .arguments = "MODEL and CODES",
    };
    ra_error err = {0};
    command_line_result parsed = command_line_parse(&line, &argc, argv);
    if (parsed != LINE_GOOD) return parsed == LINE_HELP ? EXIT_GOOD : EXIT_USAGE;
    options.model_path = argv[0];
    options.codes_path = argv[1];
    return command_end(reconstruct(&options, &err), &err);
}
