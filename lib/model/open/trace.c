/* The trace of the atoms to rows of data (ra_trace.h), which checkpoints and artifacts hold under the same
 * names. */
#include "model/model.h"

#include <math.h>

static ra_status check_atom(const ra_model *model, size_t k, const int64_t *row, const float *weight,
                            const float *contribution, ra_error *err) {
    const char *path = model->info.path;
    for (size_t t = 0; t < model->trace_rows; t++) {
        if (row[t] < -1 || (row[t] >= 0 && t > 0 && row[t - 1] < 0))
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: trace.row holds %lld at [%zu, %zu]; expected data rows from 0 on, then only -1",
                    path, (long long)row[t], k, t);
        if (row[t] < 0) continue;
        if (!(weight[t] >= 0 && weight[t] <= 1.0f + 1e-4f))
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: trace.weight holds %g at [%zu, %zu]; expected weights from 0 to 1", path,
                    (double)weight[t], k, t);
        if (t > 0 && contribution[t] > contribution[t - 1])
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: trace.contribution holds %g at [%zu, %zu]; expected the largest of an atom first",
                    path, (double)contribution[t], k, t);
    }
    return RA_OK;
}

ra_status ra_model_open_trace(ra_model *model, const ra_safetensors *file, ra_error *err) {
    const char *path = model->info.path;
    size_t K = model->info.concepts;
    const ra_tensor *row = ra_safetensors_find(file, "trace.row");
    ra_tensor weight, contribution, cosine, kept;
    if (!row) return RA_OK;
    RA_TRY(ra_safetensors_get(file, "trace.weight", &weight, err));
    RA_TRY(ra_safetensors_get(file, "trace.contribution", &contribution, err));
    RA_TRY(ra_safetensors_get(file, "trace.cosine", &cosine, err));
    RA_TRY(ra_model_check_tensor(path, "trace.row", row, RA_I64, 2, K, 0, err));
    RA_TRY(ra_model_check_tensor(path, "trace.weight", &weight, RA_F32, 2, K, row->shape[1], err));
    RA_TRY(
        ra_model_check_tensor(path, "trace.contribution", &contribution, RA_F32, 2, K, row->shape[1], err));
    RA_TRY(ra_model_check_tensor(path, "trace.cosine", &cosine, RA_F32, 1, K, 0, err));
    RA_TRY(ra_model_check_finite(model, "trace.contribution", &contribution, err));
    RA_TRY(ra_model_check_finite(model, "trace.cosine", &cosine, err));
    RA_TRY(ra_model_keep(model, "the trace", row, &kept, err));
    model->trace_row = kept.data;
    RA_TRY(ra_model_keep(model, "the trace", &weight, &kept, err));
    model->trace_weight = kept.data;
    RA_TRY(ra_model_keep(model, "the trace", &contribution, &kept, err));
    model->trace_contribution = kept.data;
    RA_TRY(ra_model_keep(model, "the trace", &cosine, &kept, err));
    model->trace_cosine = kept.data;
    model->trace_rows = row->shape[1];
    for (size_t k = 0; k < K; k++) {
        size_t at = k * model->trace_rows;
        RA_TRY(check_atom(model, k, model->trace_row + at, model->trace_weight + at,
                          model->trace_contribution + at, err));
    }
    return RA_OK;
}
