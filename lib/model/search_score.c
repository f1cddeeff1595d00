/* Scores of all atoms for a block of queries, in float32. A float32 D is one product of the backend. A
 * half-precision D is widened a block at a time for a product with many queries; for few, which are bound by
 * reading D and not by arithmetic, each atom is widened in the first-level cache instead. */
#include "model/model.h"
#include "model/vectors.h"
#include "tensor/dot.h"

enum {
    FEW = 8,           /* queries up to here are scored side by side */
    PART = 256,        /* atoms of one part of the work */
    CHUNK = 1024,      /* elements of an atom in the first-level cache */
    WIDENED = 1 << 20, /* floats of D widened at a time for a matrix product */
};

typedef struct score_job {
    const ra_tensor *D;
    const float *queries; /* [count,d] */
    size_t count;
    float *scores; /* [count,K] */
} score_job;

static void score_part(void *context, size_t part) {
    const score_job *job = context;
    size_t K = job->D->shape[0], d = job->D->shape[1], last = (part + 1) * PART < K ? (part + 1) * PART : K;
    float chunk[CHUNK];
    for (size_t k = part * PART; k < last; k++) {
        const char *atom = ra_tensor_row(job->D, k);
        float sums[FEW] = {0};
        for (size_t from = 0; from < d; from += CHUNK) {
            size_t n = d - from < CHUNK ? d - from : CHUNK;
            const float *values = ra_vector_widen(job->D->dtype, atom, from, n, chunk);
            for (size_t q = 0; q < job->count; q++)
                sums[q] += ra_dot_f32(values, job->queries + q * d + from, n);
        }
        for (size_t q = 0; q < job->count; q++) job->scores[q * K + k] = sums[q];
    }
}

/* A half-precision D and many queries. */
static ra_status score_widened(const ra_model *model, ra_workspace *workspace, const float *queries,
                               size_t count, float *scores, ra_error *err) {
    const ra_tensor *D = &model->dictionary;
    const ra_backend_ops *ops = ra_backend_operations(model->backend);
    void *self = ra_backend_self(model->backend), *atoms = NULL;
    size_t K = D->shape[0], d = D->shape[1], block = WIDENED / d + 1 < K ? WIDENED / d + 1 : K;
    RA_TRY(ra_scratch_reserve(&workspace->atoms, "widened atoms", block * d, sizeof(float), &atoms, err));
    for (size_t from = 0; from < K; from += block) {
        size_t rows = K - from < block ? K - from : block;
        ra_convert_to_f32(D->dtype, ra_tensor_row(D, from), atoms, rows * d);
        RA_TRY(ops->gemm(self, NULL, false, true, count, rows, d, 1, queries, d, atoms, d, 0, scores + from,
                         K, err));
    }
    return RA_OK;
}

ra_status ra_model_score(const ra_model *model, ra_workspace *workspace, const float *queries, size_t count,
                         float *scores, ra_error *err) {
    const ra_tensor *D = &model->dictionary;
    size_t K = D->shape[0], d = D->shape[1];
    if (D->dtype == RA_F32)
        return ra_backend_operations(model->backend)
            ->gemm(ra_backend_self(model->backend), NULL, false, true, count, K, d, 1, queries, d, D->data, d,
                   0, scores, K, err);
    if (count > FEW) return score_widened(model, workspace, queries, count, scores, err);
    score_job job = {D, queries, count, scores};
    ra_pool_run(ra_backend_pool(model->backend), ra_pool_parts(K, PART), score_part, &job);
    return RA_OK;
}
