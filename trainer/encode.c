/* rasae encode: activations to codes, in evaluation mode, block by block. */
#include "app/format.h"
#include "app/json.h"
#include "commands.h"
#include "common/codes_file.h"
#include "common/files.h"
#include "common/progress.h"

#include <limits.h>

static struct encode_flags {
    uint64_t known;
    const char *output, *tensor;
    bool json, quiet;
    int layout;
    model_choice model;
} flags;

#define AT(member) offsetof(struct encode_flags, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"output", RA_SETTING_TEXT, AT(output), .letter = 'o', .required = true, .argument = "CODES",
        .help = "the codes: dense when the name ends in .npy, else sparse"},
    {"tensor", RA_SETTING_TEXT, AT(tensor), .argument = "NAME",
        .help = "which tensor of DATA, when it holds several"},
    DATA_LAYOUT_ROW(AT(layout)),
    {"json", RA_SETTING_BOOL, AT(json), .help = "print one JSON object"},
    {"quiet", RA_SETTING_BOOL, AT(quiet), .help = "print errors only"},
};
/* clang-format on */

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

static ra_status open_all(encoding *e, const char *model_path, const char *const *data, size_t count,
                          ra_error *err) {
    RA_TRY(model_choice_open(&flags.model, model_path, 0, &e->model, err));
    RA_TRY(open_data_of(
        e->model, data, count,
        &(ra_data_options){.tensor_name = flags.tensor, .layout = (ra_layout_of_data)flags.layout}, &e->data,
        err));
    const ra_model_info *info = ra_model_get_info(e->model);
    e->rows = ra_data_rows(e->data);
    RA_TRY(ra_workspace_new(&e->workspace, err));
    RA_TRY(ra_matrix_init(&e->block, rows_per_block(info), info->dimensions, err));
    return codes_writer_begin(flags.output, e->rows, info->concepts, &e->writer, err);
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
        progress_rows(progress, first + count);
    }
    return RA_OK;
}

static double active_per_row(const encoding *e) {
    return e->rows ? (double)e->entries / (double)e->rows : 0;
}

static ra_status print_json(const encoding *e, ra_error *err) {
    text json = {0};
    json_object(&json, NULL);
    json_text(&json, "output", flags.output);
    json_count(&json, "rows", e->rows);
    json_count(&json, "concepts", ra_model_get_info(e->model)->concepts);
    json_real(&json, "l0", active_per_row(e));
    json_object_end(&json);
    return json_print(&json, stdout, err);
}

static void print_result(const encoding *e) {
    if (flags.quiet) return;
    print_clean(stdout, flags.output);
    printf(": codes of %s rows, %.4g of %s latents active per row\n", format_grouped(e->rows).text,
           active_per_row(e), format_grouped(ra_model_get_info(e->model)->concepts).text);
    command_next("rasae reconstruct %s %s -o x_hat.npy", ra_model_get_info(e->model)->path, flags.output);
}

static ra_status encode(int argc, char **argv, ra_error *err) {
    const char *const *files = (const char *const *)argv;
    encoding e = {0};
    progress_meter progress;
    ra_status status;
    RA_TRY(check_output(flags.output, OUTPUT_ARRAY, files, (size_t)argc, err));
    command_catch_interrupts();
    progress_open(&progress, flags.quiet || flags.json ? PROGRESS_SILENT : PROGRESS_BAR);
    RA_TRY_OUT(status, open_all(&e, files[0], files + 1, (size_t)argc - 1, err));
    RA_TRY_OUT(status, encode_blocks(&e, &progress, err));
    progress_close(&progress);
    RA_TRY_OUT(status, codes_writer_commit(&e.writer, err));
    if (flags.json)
        status = print_json(&e, err);
    else
        print_result(&e);
out:
    progress_close(&progress);
    codes_writer_abort(e.writer);
    ra_matrix_release(&e.block);
    ra_codes_release(&e.codes);
    ra_workspace_free(e.workspace);
    ra_data_free(e.data);
    ra_model_release(e.model);
    return status;
}

const command command_encode = {
    .name = "encode",
    .summary = "encode activations into sparse codes",
    .usage = "MODEL DATA... -o CODES [--json]",
    .about = "Encodes activations in evaluation mode. MODEL is a fused artifact or a checkpoint;\n"
             "DATA: one or more .npy or .safetensors, [rows, d], [n, tokens, d] or [n, d, h, w].\n"
             "CODES.safetensors holds codes.start I64 [rows+1], codes.index I32 and\n"
             "codes.value F32 (row b has the entries start[b] to start[b+1], latents ascending), and\n"
             "K as the metadata `latents`; CODES.npy holds the dense float32 [rows, K].\n",
    .example = "  rasae encode words.safetensors acts.npy -o codes.safetensors\n",
    .min_arguments = 2,
    .max_arguments = INT_MAX,
    .arguments = "MODEL and DATA, at least one file",
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .run = encode,
};
