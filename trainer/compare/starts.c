/* How alike two runs were before their first step, where both checkpoints say so. */
#include "compare/compare.h"

#include <math.h>
#include <stdlib.h>

/* *atoms stays {0} where a file does not keep them. */
static ra_status read_start(const char *path, ra_matrix *atoms, ra_error *err) {
    ra_safetensors *file = NULL;
    ra_status status = RA_OK;
    RA_TRY(ra_safetensors_open(path, &file, err));
    const ra_tensor *kept = ra_safetensors_find(file, "start.atoms");
    if (kept && kept->rank == 2 && ra_dtype_is_float(kept->dtype)) {
        status = ra_matrix_init(atoms, kept->shape[0], kept->shape[1], err);
        if (status == RA_OK)
            ra_convert_to_f32(kept->dtype, kept->data, atoms->data, ra_tensor_elements(kept));
    }
    ra_safetensors_free(file);
    return status;
}

ra_status compare_starts(ra_backend *backend, const char *a, const char *b, double *agreement,
                         ra_error *err) {
    ra_matrix first = {0}, second = {0};
    ra_comparison result = {0};
    ra_status status;
    *agreement = NAN;
    RA_TRY_OUT(status, read_start(a, &first, err));
    RA_TRY_OUT(status, read_start(b, &second, err));
    if (first.rows && first.rows == second.rows && first.cols == second.cols)
        RA_TRY_OUT(status,
                   ra_compare(backend, first.data, second.data, first.rows, first.cols, NULL, &result, err));
    if (result.concepts) *agreement = result.stability_without_flips;
out:
    ra_comparison_release(&result);
    ra_matrix_release(&first);
    ra_matrix_release(&second);
    return status;
}
