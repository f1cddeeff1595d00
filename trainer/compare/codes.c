/* The codes of two models on the same data: on how many of the rows matched latents are active together. */
#include "compare/compare.h"

#include "common/command.h"
#include "common/files.h"

#include <math.h>

static ra_status encode_all(const ra_model *a, const ra_model *b, const ra_data *data, const ra_matrix *block,
                            ra_workspace *workspace, ra_codes codes[2], ra_code_overlap *overlap,
                            ra_error *err) {
    size_t all = ra_data_rows(data);
    for (size_t first = 0; first < all; first += block->rows) {
        size_t count = all - first < block->rows ? all - first : block->rows;
        ra_data_read(data, first, count, block->data);
        RA_TRY(ra_model_encode(a, workspace, block->data, count, &codes[0], err));
        RA_TRY(ra_model_encode(b, workspace, block->data, count, &codes[1], err));
        ra_code_overlap_add(overlap, &codes[0], &codes[1]);
    }
    return RA_OK;
}

ra_status compare_codes(const ra_model *a, const ra_model *b, const ra_data *data, compared_pair *pair,
                        ra_error *err) {
    const ra_model_info *info = ra_model_get_info(a);
    ra_workspace *workspace = NULL;
    ra_code_overlap overlap = {0};
    ra_codes codes[2] = {{0}};
    ra_matrix block = {0};
    ra_status status;
    pair->codes = NAN;
    if (!data) return RA_OK;
    RA_TRY_OUT(status, ra_matrix_init(&block, rows_per_block(info), info->dimensions, err));
    RA_TRY_OUT(status, ra_workspace_new(&workspace, err));
    RA_TRY_OUT(status, ra_code_overlap_init(&overlap, info->concepts, pair->result.match, err));
    status = encode_all(a, b, data, &block, workspace, codes, &overlap, err);
    if (status == RA_OK) pair->codes = ra_code_overlap_value(&overlap);
out:
    for (size_t i = 0; i < 2; i++) ra_codes_release(&codes[i]);
    ra_code_overlap_release(&overlap);
    ra_workspace_free(workspace);
    ra_matrix_release(&block);
    return status;
}
