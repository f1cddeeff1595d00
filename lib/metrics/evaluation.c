/* One pass of a model over data. Codes and reconstructions live for a block of rows only; what is kept is
 * sums (reconstruction.c) and each atom's best cosine (coverage.c), so data may be of any length. All of it
 * in the space of the dictionary: there the loss was measured, and there cosines with atoms mean something.
 */
#include "ra_metrics.h"
#include "base/error.h"
#include "metrics/coverage.h"
#include "metrics/reconstruction.h"
#include "model/model.h"

enum { BLOCK_ROWS = 1024 };

struct ra_evaluation {
    ra_model *model;
    ra_workspace *workspace;
    ra_codes codes;
    ra_matrix x_hat; /* [BLOCK_ROWS,d] */
    ra_reconstruction sums;
    ra_coverage coverage;
};

static ra_status prepare(ra_evaluation *evaluation, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(evaluation->model);
    RA_TRY(ra_workspace_new(&evaluation->workspace, err));
    RA_TRY(ra_matrix_init(&evaluation->x_hat, BLOCK_ROWS, info->dimensions, err));
    RA_TRY(ra_reconstruction_init(&evaluation->sums, info->dimensions, info->concepts, err));
    return ra_coverage_init(&evaluation->coverage, evaluation->model->backend,
                            ra_model_dictionary(evaluation->model), err);
}

ra_status ra_evaluation_new(ra_model *model, ra_evaluation **out, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(model);
    if (!info->has_encoder)
        RA_FAIL(err, RA_ERR_STATE, "%s has no encoder, so its reconstructions cannot be evaluated",
                info->path);
    ra_evaluation *evaluation = ra_calloc(1, sizeof *evaluation);
    if (!evaluation) RA_FAIL_MEMORY(err, "an evaluation", sizeof *evaluation);
    evaluation->model = ra_model_retain(model);
    ra_status status = prepare(evaluation, err);
    if (status != RA_OK) {
        ra_evaluation_free(evaluation);
        return status;
    }
    *out = evaluation;
    return RA_OK;
}

void ra_evaluation_free(ra_evaluation *evaluation) {
    if (!evaluation) return;
    ra_coverage_release(&evaluation->coverage);
    ra_reconstruction_release(&evaluation->sums);
    ra_matrix_release(&evaluation->x_hat);
    ra_codes_release(&evaluation->codes);
    ra_workspace_free(evaluation->workspace);
    ra_model_release(evaluation->model);
    ra_free(evaluation);
}

ra_status ra_evaluation_add(ra_evaluation *evaluation, const float *x, size_t rows, ra_error *err) {
    const ra_model *model = evaluation->model;
    size_t d = evaluation->sums.dimensions;
    float *x_hat = evaluation->x_hat.data;
    for (size_t from = 0; from < rows; from += BLOCK_ROWS) {
        const float *block;
        size_t count = rows - from < BLOCK_ROWS ? rows - from : BLOCK_ROWS;
        RA_TRY(ra_model_take_inputs(model, evaluation->workspace, x + from * d, count, &block, err));
        RA_TRY(ra_model_encode_inputs(model, evaluation->workspace, block, count, &evaluation->codes, err));
        RA_TRY(ra_model_decode(model, &evaluation->codes, x_hat, err));
        RA_TRY(ra_coverage_add(&evaluation->coverage, block, count, err));
        ra_reconstruction_add(&evaluation->sums, block, x_hat, &evaluation->codes);
    }
    return RA_OK;
}

/* What is known without data, of D in float32. */
static ra_status measure_dictionary(ra_backend *backend, const ra_tensor *D, ra_evaluation_result *result,
                                    ra_error *err) {
    size_t K = D->shape[0], d = D->shape[1];
    ra_matrix wide = {0};
    const float *atoms = D->data;
    if (D->dtype != RA_F32) {
        RA_TRY(ra_matrix_init(&wide, K, d, err));
        ra_convert_to_f32(D->dtype, D->data, wide.data, K * d);
        atoms = wide.data;
    }
    ra_status status = ra_metric_collinearity(backend, atoms, K, d, &result->collinearity, err);
    if (status == RA_OK) status = ra_metric_stable_rank(backend, atoms, K, d, &result->stable_rank, err);
    ra_matrix_release(&wide);
    return status;
}

ra_status ra_evaluation_finish(ra_evaluation *evaluation, ra_evaluation_result *result, ra_error *err) {
    if (evaluation->sums.rows == 0)
        RA_FAIL(err, RA_ERR_STATE, "an evaluation needs at least one row of data, got none");
    ra_evaluation_result found = {0};
    RA_TRY(
        measure_dictionary(evaluation->model->backend, ra_model_dictionary(evaluation->model), &found, err));
    ra_reconstruction_result(&evaluation->sums, &found);
    found.ood = ra_coverage_ood(&evaluation->coverage);
    *result = found;
    return RA_OK;
}
