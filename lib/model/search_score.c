/* The scores of all atoms for a chunk of queries, in float32. With a float32 D they are one matrix product.
 * Of a half-precision D, some atoms at a time are widened for a matrix product with many queries. For few
 * queries the time goes into reading D, not into arithmetic: then numbers are widened in the registers.
 *
 * Of a search among few of the atoms, only those are read: some of them at a time are put side by side, in the
 * first-level cache for few queries and in scratch memory for a matrix product with many. */
#include "model/model.h"
#include "ra_memory.h"
#include "tensor/dots.h"
#include "tensor/vectors.h"

#include <string.h>

enum {
    PART = 256,        /* atoms per part of the work */
    AT_ONCE = 4,       /* chosen atoms that are widened at a time in the first-level cache, */
    CHUNK = 1024,      /* so many elements of each */
    MOST_AT_ONCE = 64, /* where they are short, so many of them in the same memory */
    DEVICE_ROWS = 32,  /* the most queries for which a device reads D as it is */
    WIDENED = 1 << 20, /* numbers of D that are widened at a time for a matrix product */
};

/* Whether atoms are widened for a matrix product. */
static bool widens(const ra_model *model, const ra_execution *execution, size_t count) {
    size_t most = execution->remote ? DEVICE_ROWS : ra_dots_most_rows(model->info.dimensions);
    return model->dictionary.dtype != RA_F32 && count > most;
}

static size_t atoms_at_a_time(const ra_model *model) {
    size_t K = model->info.concepts, atoms = WIDENED / model->info.dimensions + 1;
    return atoms < K ? atoms : K;
}

size_t ra_model_score_scratch(const ra_model *model, const ra_execution *execution, size_t count) {
    if (!widens(model, execution, count)) return 0;
    return atoms_at_a_time(model) * model->info.dimensions * sizeof(float);
}

static ra_status score_widened(const ra_model *model, const ra_execution *execution, const float *queries,
                               size_t count, float *atoms, float *scores, ra_error *err) {
    size_t K = model->info.concepts, d = model->info.dimensions, step = atoms_at_a_time(model);
    ra_dtype dtype = model->dictionary.dtype;
    for (size_t from = 0; from < K; from += step) {
        size_t rows = K - from < step ? K - from : step;
        const char *source = (const char *)model->resident.dictionary + from * d * ra_dtype_size(dtype);
        RA_TRY(ra_stream_widen(execution->stream, dtype, source, atoms, rows * d, err));
        RA_TRY(ra_stream_gemm(execution->stream, false, true, count, rows, d, 1, queries, d, atoms, d, 0,
                              scores + from, K, err));
    }
    return RA_OK;
}

ra_status ra_model_score(const ra_model *model, const ra_execution *execution, const float *queries,
                         size_t count, float *atoms, float *scores, ra_error *err) {
    size_t K = model->info.concepts, d = model->info.dimensions;
    if (model->dictionary.dtype == RA_F32)
        return ra_stream_gemm(execution->stream, false, true, count, K, d, 1, queries, d,
                              model->resident.dictionary, d, 0, scores, K, err);
    if (widens(model, execution, count))
        return score_widened(model, execution, queries, count, atoms, scores, err);
    return ra_stream_dots(execution->stream, queries, count, model->dictionary.dtype,
                          model->resident.dictionary, K, d, NULL, scores, K, err);
}

/* ---- some atoms ---------------------------------------------------------------------------------------- */

typedef struct chosen_job {
    const ra_tensor *D;
    const float *queries; /* [count,d] */
    size_t count;
    const int32_t *ids; /* [n] */
    size_t n;
    float *scores; /* [count,n] */
} chosen_job;

/* to [n,width] <- columns from .. from + width of these atoms. */
static void gather(const ra_tensor *D, const int32_t *ids, size_t n, size_t from, size_t width, float *to) {
    for (size_t i = 0; i < n; i++, to += width) {
        const float *row = ra_row_widen(D->dtype, ra_tensor_row(D, (size_t)ids[i]), from, width, to);
        if (row != to) memcpy(to, row, width * sizeof *to);
    }
}

static void chosen_part(void *context, size_t part) {
    const chosen_job *job = context;
    size_t d = job->D->shape[1], last = (part + 1) * PART < job->n ? (part + 1) * PART : job->n;
    size_t at_once = d < CHUNK ? AT_ONCE * CHUNK / d : AT_ONCE;
    RA_UNINITIALIZED float chunk[AT_ONCE * CHUNK];
    if (at_once > MOST_AT_ONCE) at_once = MOST_AT_ONCE;
    for (size_t i = part * PART; i < last; i += at_once)
        for (size_t from = 0; from < d; from += CHUNK) {
            size_t width = d - from < CHUNK ? d - from : CHUNK;
            ra_dots dots = {.a = job->queries + from,
                            .lda = d,
                            .m = job->count,
                            .b = chunk,
                            .ldb = width,
                            .type = RA_F32,
                            .n = last - i < at_once ? last - i : at_once,
                            .k = width};
            gather(job->D, job->ids + i, dots.n, from, width, chunk);
            ra_dots_run(&dots, 1, from ? 1 : 0, job->scores + i, job->n);
        }
}

size_t ra_model_score_chosen_scratch(const ra_model *model, size_t count) {
    if (count <= ra_dots_most_rows(model->info.dimensions)) return 0;
    return atoms_at_a_time(model) * model->info.dimensions * sizeof(float);
}

ra_status ra_model_score_chosen(const ra_model *model, const ra_execution *execution, const float *queries,
                                size_t count, const int32_t *ids, size_t n, float *atoms, float *scores,
                                ra_error *err) {
    size_t d = model->info.dimensions, step = atoms_at_a_time(model);
    if (count <= ra_dots_most_rows(d)) {
        chosen_job job = {&model->dictionary, queries, count, ids, n, scores};
        ra_pool_run(ra_backend_pool(execution->stream.backend), ra_pool_parts(n, PART), chosen_part, &job);
        return RA_OK;
    }
    for (size_t from = 0; from < n; from += step) {
        size_t rows = n - from < step ? n - from : step;
        gather(&model->dictionary, ids + from, rows, 0, d, atoms);
        RA_TRY(ra_stream_gemm(execution->stream, false, true, count, rows, d, 1, queries, d, atoms, d, 0,
                              scores + from, n, err));
    }
    return RA_OK;
}
