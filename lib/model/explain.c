/* Explains a reconstruction. The codes and x_hat are those of encode and reconstruct; shares, norms and R2
 * are computed in float64, so that the shares of a row add up to the part of the row that its reconstruction
 * explains. */
#include "model/model.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>

static ra_status allocate(ra_explanation *explanation, size_t rows, size_t entries, ra_error *err) {
    *explanation = (ra_explanation){.rows = rows};
    explanation->start = ra_malloc(rows + 1, sizeof *explanation->start);
    explanation->entries = ra_malloc(entries, sizeof *explanation->entries);
    explanation->residual_norm = ra_malloc(rows, sizeof(float));
    explanation->input_norm = ra_malloc(rows, sizeof(float));
    explanation->r2 = ra_malloc(rows, sizeof(float));
    if (explanation->start && explanation->entries && explanation->residual_norm && explanation->input_norm &&
        explanation->r2)
        return RA_OK;
    ra_explanation_release(explanation);
    RA_FAIL_MEMORY(err, "an explanation",
                   (rows + 1) * sizeof(size_t) + 3 * rows * sizeof(float) +
                       entries * sizeof(ra_contribution));
}

void ra_explanation_release(ra_explanation *explanation) {
    ra_free(explanation->start);
    ra_free(explanation->entries);
    ra_free(explanation->residual_norm);
    ra_free(explanation->input_norm);
    ra_free(explanation->r2);
    *explanation = (ra_explanation){0};
}

ra_status ra_explanation_slice(const ra_explanation *all, size_t first, size_t rows, ra_explanation *part,
                               ra_error *err) {
    size_t from = all->start[first], entries = all->start[first + rows] - from;
    RA_TRY(allocate(part, rows, entries, err));
    for (size_t row = 0; row <= rows; row++) part->start[row] = all->start[first + row] - from;
    memcpy(part->entries, all->entries + from, entries * sizeof *part->entries);
    memcpy(part->residual_norm, all->residual_norm + first, rows * sizeof(float));
    memcpy(part->input_norm, all->input_norm + first, rows * sizeof(float));
    memcpy(part->r2, all->r2 + first, rows * sizeof(float));
    return RA_OK;
}

typedef struct explain_job {
    const ra_model *model;
    const ra_codes *codes;
    const float *x, *x_hat; /* [B,d] both in the space of the dictionary */
    ra_ranked *ranked;      /* [entries] */
    float *share;           /* [entries] */
    ra_explanation *out;
} explain_job;

static void explain_norms(const explain_job *job, size_t row, double square) {
    size_t d = job->model->info.dimensions;
    const float *x = job->x + row * d, *x_hat = job->x_hat + row * d;
    double mean = 0, residual = 0, spread = 0;
    for (size_t i = 0; i < d; i++) mean += x[i];
    mean /= (double)d;
    for (size_t i = 0; i < d; i++) {
        double gap = (double)x[i] - (double)x_hat[i], offset = (double)x[i] - mean;
        residual += gap * gap;
        spread += offset * offset;
    }
    job->out->input_norm[row] = (float)sqrt(square);
    job->out->residual_norm[row] = (float)sqrt(residual);
    job->out->r2[row] = spread > 0 ? (float)(1 - residual / spread) : NAN;
}

/* One row; rows are independent, and each writes its own part of every array. */
static void explain_row(void *context, size_t row) {
    const explain_job *job = context;
    const ra_codes *codes = job->codes;
    const ra_tensor *D = &job->model->dictionary;
    const float *x = job->x + row * D->shape[1];
    size_t first = codes->start[row], count = codes->start[row + 1] - first;
    double square = ra_dot_f64(x, x, D->shape[1]);
    for (size_t e = first; e < first + count; e++) {
        double dot = ra_row_dot(D->dtype, ra_tensor_row(D, (size_t)codes->index[e]), x, D->shape[1]);
        job->share[e] = square > 0 ? (float)(codes->value[e] * dot / square) : 0.0f;
        job->ranked[e] = (ra_ranked){fabsf(job->share[e]), (uint32_t)(e - first)};
    }
    ra_ranking_sort(job->ranked + first,
                    count); /* entries are in the order of atoms, so equal shares are, too */
    for (size_t i = 0; i < count; i++) {
        size_t e = first + job->ranked[first + i].id;
        job->out->entries[first + i] =
            (ra_contribution){(size_t)codes->index[e], codes->value[e], job->share[e]};
    }
    explain_norms(job, row, square);
    job->out->start[row + 1] = first + count;
}

ra_status ra_model_explain(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                           ra_explanation *explanation, ra_error *err) {
    ra_codes *codes = &workspace->codes;
    void *x_hat = NULL, *ranked = NULL, *share = NULL;
    *explanation = (ra_explanation){0};
    RA_TRY(ra_model_take_inputs(model, workspace, x, rows, &x, err));
    RA_TRY(ra_model_encode_inputs(model, workspace, x, rows, codes, err));
    size_t entries = ra_codes_entries(codes), d = model->info.dimensions;
    RA_TRY(ra_scratch_reserve(&workspace->x_hat, "reconstructions", rows * d, sizeof(float), &x_hat, err));
    RA_TRY(ra_scratch_reserve(&workspace->ranked, "a ranking", entries, sizeof(ra_ranked), &ranked, err));
    RA_TRY(ra_scratch_reserve(&workspace->share, "contributions", entries, sizeof(float), &share, err));
    RA_TRY(ra_model_decode(model, workspace, codes, x_hat, err));
    RA_TRY(allocate(explanation, rows, entries, err));
    explain_job job = {model, codes, x, x_hat, ranked, share, explanation};
    explanation->start[0] = 0;
    ra_pool_run(ra_executions_pool(&workspace->executions, model->backend), rows, explain_row, &job);
    return RA_OK;
}
