/* rasae reconstruct: codes back to activations, x_hat = z D, block by block. */
#include "app/format.h"
#include "app/json.h"
#include "commands.h"
#include "common/codes_file.h"
#include "common/files.h"
#include "common/progress.h"

static struct reconstruct_flags {
    uint64_t known;
    const char *output, *tensor;
    bool json, quiet;
    model_choice model;
} flags;

#define AT(member) offsetof(struct reconstruct_flags, member)

/* clang-format off */
static const ra_setting rows[] = {
    {"output", RA_SETTING_TEXT, AT(output), .letter = 'o', .required = true, .argument = "XHAT",
        .help = "float32 [rows, d]: .npy, or x_hat in a .safetensors"},
    {"tensor", RA_SETTING_TEXT, AT(tensor), .argument = "NAME",
        .help = "which tensor of CODES is the dense matrix, when it holds several"},
    {"json", RA_SETTING_BOOL, AT(json), .help = "print one JSON object"},
    {"quiet", RA_SETTING_BOOL, AT(quiet), .help = "print errors only"},
};
/* clang-format on */

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

static ra_status open_all(reconstruction *r, const char *model_path, const char *codes_path, ra_error *err) {
    RA_TRY(model_choice_open(&flags.model, model_path, 0, &r->model, err));
    const ra_model_info *info = ra_model_get_info(r->model);
    RA_TRY(codes_reader_open(codes_path, flags.tensor, info->concepts, &r->reader, err));
    r->rows = codes_reader_rows(r->reader);
    RA_TRY(ra_workspace_new(&r->workspace, err));
    RA_TRY(ra_matrix_init(&r->block, rows_per_block(info), info->dimensions, err));
    return array_writer_begin(flags.output, "x_hat", r->rows, info->dimensions, &r->writer, err);
}

static ra_status reconstruct_blocks(reconstruction *r, progress_meter *progress, ra_error *err) {
    progress_start(progress, "reconstructing", r->rows);
    for (size_t first = 0; first < r->rows; first += r->block.rows) {
        size_t count = r->rows - first < r->block.rows ? r->rows - first : r->block.rows;
        RA_TRY(command_check_interrupted(err));
        RA_TRY(codes_reader_read(r->reader, first, count, &r->codes, err));
        RA_TRY(ra_model_reconstruct(r->model, r->workspace, &r->codes, r->block.data, err));
        RA_TRY(array_writer_add(r->writer, r->block.data, count, err));
        progress_rows(progress, first + count);
    }
    return RA_OK;
}

static ra_status print_json(const reconstruction *r, ra_error *err) {
    text json = {0};
    json_object(&json, NULL);
    json_text(&json, "output", flags.output);
    json_count(&json, "rows", r->rows);
    json_count(&json, "dimensions", r->block.cols);
    json_object_end(&json);
    return json_print(&json, stdout, err);
}

static void print_result(const reconstruction *r) {
    if (flags.quiet) return;
    print_clean(stdout, flags.output);
    printf(": %s rows of %zu dimensions\n", format_grouped(r->rows).text, r->block.cols);
    command_next("rasae eval %s DATA, for how near they are to the data", ra_model_get_info(r->model)->path);
}

static ra_status reconstruct(int argc, char **argv, ra_error *err) {
    reconstruction r = {0};
    progress_meter progress;
    ra_status status;
    RA_TRY(check_output(flags.output, OUTPUT_ARRAY, (const char *const *)argv, (size_t)argc, err));
    command_catch_interrupts();
    progress_open(&progress, flags.quiet || flags.json ? PROGRESS_SILENT : PROGRESS_BAR);
    RA_TRY_OUT(status, open_all(&r, argv[0], argv[1], err));
    RA_TRY_OUT(status, reconstruct_blocks(&r, &progress, err));
    progress_close(&progress);
    RA_TRY_OUT(status, array_writer_commit(&r.writer, err));
    if (flags.json)
        status = print_json(&r, err);
    else
        print_result(&r);
out:
    progress_close(&progress);
    array_writer_abort(r.writer);
    ra_matrix_release(&r.block);
    ra_codes_release(&r.codes);
    ra_workspace_free(r.workspace);
    codes_reader_free(r.reader);
    ra_model_release(r.model);
    return status;
}

const command command_reconstruct = {
    .name = "reconstruct",
    .summary = "reconstruct activations from codes",
    .usage = "MODEL CODES -o XHAT [--json]",
    .about = "Decodes codes with the fused dictionary. MODEL is a fused artifact or a checkpoint.\n"
             "CODES is what `rasae encode` writes, or any matrix [rows, K] in a .npy or a\n"
             ".safetensors file.\n",
    .example = "  rasae reconstruct words.safetensors codes.safetensors -o x_hat.npy\n",
    .min_arguments = 2,
    .max_arguments = 2,
    .arguments = "MODEL and CODES",
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .run = reconstruct,
};
