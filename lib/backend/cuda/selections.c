/* Selections: the device finds, the host gets sparse codes. Each waits for its results, since the caller
 * needs them next. After a failure the codes have no rows. */
#include "backend/cuda/codes.h"
#include "backend/cuda/operations.h"

#include <string.h>

/* The codes start empty; *count <- memory for the entries of each row. */
static ra_status prepare(const char *what, size_t rows, size_t n, ra_codes *codes, uint32_t **count,
                         ra_error *err) {
    codes->rows = 0;
    if (n > INT32_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "%s over [%zu, %zu] scores: a row has at most %d", what, rows, n,
                INT32_MAX);
    RA_TRY(ra_codes_reserve(codes, 0, n, 0, err));
    *count = ra_malloc(rows, sizeof **count);
    if (!*count) RA_FAIL_MEMORY(err, "the counts of a selection", rows * sizeof **count);
    return RA_OK;
}

/* ---- the k largest ------------------------------------------------------------------------------------- */

/* Row b has count[b] entries at b k; closes the gaps. */
static void close_up(ra_codes *codes, const uint32_t *count, size_t k) {
    size_t used = 0;
    for (size_t b = 0; b < codes->rows; b++) {
        if (used != b * k) {
            memmove(codes->index + used, codes->index + b * k, count[b] * sizeof *codes->index);
            memmove(codes->value + used, codes->value + b * k, count[b] * sizeof *codes->value);
        }
        used += count[b];
        codes->start[b + 1] = used;
    }
}

static ra_status top_k(ra_backend_stream *s, const float *scores, size_t rows, size_t n, size_t k,
                       float above, ra_codes *codes, uint32_t *count, ra_error *err) {
    size_t entries = rows * k;
    int32_t *index;
    float *value;
    uint32_t *counts;
    void *scratch, *parts;
    const cuda_array arrays[] = {{&index, entries * sizeof *index},
                                 {&value, entries * sizeof *value},
                                 {&counts, rows * sizeof *counts},
                                 {&parts, ra_cuda_top_k_scratch(rows, n, k)}};
    RA_TRY(ra_codes_reserve(codes, rows, n, entries, err));
    RA_TRY(cuda_scratch(s, cuda_lay_out(arrays, 4, NULL), &scratch, err));
    cuda_lay_out(arrays, 4, scratch);
    RA_TRY(cuda_check(s->context,
                      ra_cuda_top_k(s->handle, scores, rows, n, k, above, index, value, counts, parts),
                      "a selection of the largest", err));
    RA_TRY(cuda_download_bytes(s, codes->index, index, entries * sizeof *index, err));
    RA_TRY(cuda_download_bytes(s, codes->value, value, entries * sizeof *value, err));
    RA_TRY(cuda_download_bytes(s, count, counts, rows * sizeof *count, err));
    RA_TRY(cuda_wait(s, err));
    close_up(codes, count, k);
    return RA_OK;
}

/* Codes that stay: k places per row, then without gaps, then by latent. */
static ra_status top_k_kept(ra_backend_stream *s, const float *scores, size_t rows, size_t n, size_t k,
                            float above, ra_codes *codes, ra_error *err) {
    cuda_kept *kept = cuda_kept_of(codes);
    size_t entries = rows * k, bytes;
    int32_t *index;
    float *value;
    uint32_t *counts;
    cuda_marks marks;
    void *scratch, *parts;
    bool complete;
    const cuda_array arrays[] = {{&index, entries * sizeof *index},
                                 {&value, entries * sizeof *value},
                                 {&counts, rows * sizeof *counts},
                                 {&parts, ra_cuda_top_k_scratch(rows, n, k)}};
    RA_TRY(cuda_codes_check(rows, entries, err));
    RA_TRY(cuda_kept_reserve(kept, rows, n, entries, err));
    bytes = cuda_lay_out(arrays, 4, NULL);
    RA_TRY(cuda_scratch(s, bytes + cuda_marks_layout(&marks, n, rows, NULL), &scratch, err));
    cuda_lay_out(arrays, 4, scratch);
    cuda_marks_layout(&marks, n, rows, (char *)scratch + bytes);
    kept->codes.rows = rows;
    kept->codes.longest = k;
    cudaError_t code = ra_cuda_top_k(s->handle, scores, rows, n, k, above, index, value, counts, parts);
    if (code == cudaSuccess)
        code = ra_cuda_scan_rows(s->handle, counts, rows, entries, (uint64_t *)(uintptr_t)kept->codes.start,
                                 kept->found);
    if (code == cudaSuccess)
        code =
            ra_cuda_close_up(s->handle, kept->codes, index, value, k, (int32_t *)(uintptr_t)kept->codes.index,
                             (float *)(uintptr_t)kept->codes.value, n, marks);
    RA_TRY(cuda_check(s->context, code, "a selection of the largest", err));
    return cuda_kept_finish(s, kept, codes, rows, n, marks, true, &complete, err);
}

/* Nothing selected. */
static ra_status keep_none(ra_codes *codes, size_t rows, size_t n, ra_error *err) {
    cuda_kept *kept = cuda_kept_of(codes);
    RA_TRY(cuda_kept_reserve(kept, rows, n, 0, err));
    memset(kept->arrived, 0, kept->arrived_bytes);
    kept->head.entries = 0;
    kept->head.active = (const uint8_t *)kept->arrived + sizeof(cuda_found);
    kept->codes.rows = codes->rows = rows;
    kept->codes.longest = 0;
    codes->latents = n;
    return RA_OK;
}

ra_status cuda_top_k(ra_backend_stream *s, const float *scores, size_t rows, size_t n, size_t k, float above,
                     ra_codes *codes, ra_error *err) {
    uint32_t *count = NULL;
    if (k > n) k = n;
    RA_TRY(prepare("the largest", rows, n, codes, &count, err));
    ra_status status = codes->device ? rows ? top_k_kept(s, scores, rows, n, k, above, codes, err)
                                            : keep_none(codes, rows, n, err)
                       : rows ? top_k(s, scores, rows, n, k, above, codes, count, err)
                                     : RA_OK;
    ra_free(count);
    if (status != RA_OK) codes->rows = 0;
    return status;
}

/* ---- thresholds ---------------------------------------------------------------------------------------- */

static ra_status count_above(ra_backend_stream *s, const float *scores, size_t rows, size_t n,
                             const float *thresholds, float threshold, uint32_t *count, ra_error *err) {
    void *scratch;
    RA_TRY(cuda_scratch(s, rows * sizeof *count, &scratch, err));
    RA_TRY(cuda_check(s->context,
                      ra_cuda_threshold_count(s->handle, scores, rows, n, thresholds, threshold, scratch),
                      "a count of scores", err));
    RA_TRY(cuda_download_bytes(s, count, scratch, rows * sizeof *count, err));
    return cuda_wait(s, err);
}

static ra_status select_above(ra_backend_stream *s, const float *scores, size_t rows, size_t n,
                              const float *thresholds, float threshold, ra_codes *codes, uint32_t *count,
                              ra_error *err) {
    size_t entries = 0, starts = (rows + 1) * sizeof *codes->start;
    void *scratch;
    RA_TRY(count_above(s, scores, rows, n, thresholds, threshold, count, err));
    for (size_t b = 0; b < rows; b++) entries += count[b];
    RA_TRY(ra_codes_reserve(codes, rows, n, entries, err));
    for (size_t b = 0; b < rows; b++) codes->start[b + 1] = codes->start[b] + count[b];
    if (entries == 0) return RA_OK;
    RA_TRY(cuda_scratch(s, starts + entries * (sizeof(int32_t) + sizeof(float)), &scratch, err));
    RA_TRY(cuda_upload_parts(s, scratch, &(cuda_part){codes->start, starts}, 1, err));
    int32_t *index = (int32_t *)(void *)((char *)scratch + starts);
    float *value = (float *)(void *)(index + entries);
    RA_TRY(cuda_check(
        s->context,
        ra_cuda_threshold_fill(s->handle, scores, rows, n, thresholds, threshold, scratch, index, value),
        "a selection by threshold", err));
    RA_TRY(cuda_download_bytes(s, codes->index, index, entries * sizeof *index, err));
    RA_TRY(cuda_download_bytes(s, codes->value, value, entries * sizeof *value, err));
    return cuda_wait(s, err);
}

/* Codes that stay: counted, and written into the memory that the last ones needed. More of it is made, and all
 * written again, only where these are more. */
static ra_status keep_above(ra_backend_stream *s, const float *scores, size_t rows, size_t n,
                            const float *thresholds, float threshold, ra_codes *codes, ra_error *err) {
    cuda_kept *kept = cuda_kept_of(codes);
    size_t most = rows * n,
           entries = kept->rows == rows && kept->latents == n ? kept->entries : most / RA_KEPT_SHARE;
    bool complete = false;
    uint32_t *counts;
    cuda_marks marks;
    void *scratch;
    const cuda_array arrays[] = {{&counts, rows * sizeof *counts}};
    size_t bytes = cuda_lay_out(arrays, 1, NULL);
    RA_TRY(cuda_scratch(s, bytes + cuda_marks_layout(&marks, n, rows, NULL), &scratch, err));
    cuda_lay_out(arrays, 1, scratch);
    cuda_marks_layout(&marks, n, rows, (char *)scratch + bytes);
    RA_TRY(cuda_check(s->context,
                      ra_cuda_threshold_count(s->handle, scores, rows, n, thresholds, threshold, counts),
                      "a count of scores", err));
    while (!complete) {
        RA_TRY(cuda_codes_check(rows, entries, err));
        RA_TRY(cuda_kept_reserve(kept, rows, n, entries, err));
        kept->codes.rows = rows;
        kept->codes.longest = n;
        uint64_t *start = (uint64_t *)(uintptr_t)kept->codes.start;
        cudaError_t code = ra_cuda_scan_rows(s->handle, counts, rows, entries, start, kept->found);
        if (code == cudaSuccess)
            code = ra_cuda_threshold_fill(s->handle, scores, rows, n, thresholds, threshold, start,
                                          (int32_t *)(uintptr_t)kept->codes.index,
                                          (float *)(uintptr_t)kept->codes.value);
        RA_TRY(cuda_check(s->context, code, "a selection by threshold", err));
        RA_TRY(cuda_kept_finish(s, kept, codes, rows, n, marks, false, &complete, err));
        entries = kept->head.entries + kept->head.entries / 2 < most
                      ? kept->head.entries + kept->head.entries / 2
                      : most;
    }
    return RA_OK;
}

ra_status cuda_threshold(ra_backend_stream *s, const float *scores, size_t rows, size_t n,
                         const float *thresholds, float threshold, ra_codes *codes, ra_error *err) {
    uint32_t *count = NULL;
    RA_TRY(prepare("a threshold", rows, n, codes, &count, err));
    ra_status status = codes->device ? rows && n
                                           ? keep_above(s, scores, rows, n, thresholds, threshold, codes, err)
                                           : keep_none(codes, rows, n, err)
                       : rows ? select_above(s, scores, rows, n, thresholds, threshold, codes, count, err)
                              : RA_OK;
    ra_free(count);
    if (status != RA_OK) codes->rows = 0;
    return status;
}

/* ---- the k-th largest ---------------------------------------------------------------------------------- */

ra_status cuda_kth_largest(ra_backend_stream *s, const float *scores, size_t n, size_t k, float *value,
                           ra_error *err) {
    void *scratch;
    RA_TRY(cuda_scratch(s, sizeof(cuda_kth), &scratch, err));
    cuda_kth *work = scratch;
    RA_TRY(cuda_check(s->context, ra_cuda_kth_largest(s->handle, scores, n, k, work),
                      "the k-th largest score", err));
    RA_TRY(cuda_download_bytes(s, value, &work->bits, sizeof *value, err));
    return cuda_wait(s, err);
}

/* ---- the least ----------------------------------------------------------------------------------------- */

_Static_assert(sizeof(cuda_least) == sizeof(ra_least), "launch.h repeats it for C++");

ra_status cuda_least_scores(ra_backend_stream *s, const float *scores, size_t rows, size_t n,
                            const float *low, const float *high, ra_least *least, ra_error *err) {
    cudaError_t code =
        ra_cuda_least_scores(s->handle, scores, rows, n, low, high, (cuda_least *)(void *)least);
    return cuda_check(s->context, code, "the least scores", err);
}
