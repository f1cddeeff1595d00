/* Selections, which turn scores into codes: the reference backend. */
#include "backend/reference/reference.h"
#include "ra_memory.h"

#include <math.h>
#include <stdlib.h>

ra_status reference_top_k(void *self, ra_backend_stream *stream, const float *scores, size_t rows, size_t n,
                          size_t k, float above, ra_codes *codes, ra_error *err) {
    (void)self, (void)stream;
    RA_TRY(ra_codes_reserve(codes, rows, n, rows * (k < n ? k : n), err));
    size_t used = 0;
    for (size_t b = 0; b < rows; b++) {
        const float *row = scores + b * n;
        for (size_t i = 0; i < n; i++) {
            size_t better = 0; /* how many come before i by falling score, then rising index */
            for (size_t j = 0; j < n; j++) better += row[j] > row[i] || (row[j] == row[i] && j < i);
            if (better >= k || !(row[i] > above)) continue;
            codes->index[used] = (int32_t)i;
            codes->value[used++] = row[i];
        }
        codes->start[b + 1] = used;
    }
    return RA_OK;
}

ra_status reference_threshold(void *self, ra_backend_stream *stream, const float *scores, size_t rows,
                              size_t n, const float *thresholds, float threshold, ra_codes *codes,
                              ra_error *err) {
    (void)self, (void)stream;
    for (int filling = 0; filling < 2; filling++) {
        size_t used = 0;
        for (size_t b = 0; b < rows; b++) {
            for (size_t i = 0; i < n; i++) {
                float score = scores[b * n + i];
                if (!(score > 0 && score >= (thresholds ? thresholds[i] : threshold))) continue;
                if (filling) {
                    codes->index[used] = (int32_t)i;
                    codes->value[used] = score;
                }
                used++;
            }
            if (filling) codes->start[b + 1] = used;
        }
        if (!filling) RA_TRY(ra_codes_reserve(codes, rows, n, used, err));
    }
    return RA_OK;
}

static int falling(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

ra_status reference_kth_largest(void *self, ra_backend_stream *stream, const float *scores, size_t n,
                                size_t k, float *value, ra_error *err) {
    (void)self, (void)stream;
    float *sorted = ra_malloc(n, sizeof *sorted);
    if (!sorted) RA_FAIL_MEMORY(err, "the k-th largest score", n * sizeof *sorted);
    for (size_t i = 0; i < n; i++) sorted[i] = scores[i] > 0 ? scores[i] : 0;
    qsort(sorted, n, sizeof *sorted, falling);
    *value = sorted[k - 1];
    ra_free(sorted);
    return RA_OK;
}

ra_status reference_least_scores(void *self, ra_backend_stream *stream, const float *scores, size_t rows,
                                 size_t n, const float *low, const float *high, ra_least *least,
                                 ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t b = 0; b < rows; b++) {
        least[b] = (ra_least){INFINITY, INFINITY, INFINITY, -1};
        for (size_t i = 0; i < n; i++) {
            float above = scores[b * n + i] + high[i], below = scores[b * n + i] + low[i];
            if (above < least[b].high) least[b].high = above;
            if (below < least[b].low) {
                least[b].second_low = least[b].low;
                least[b].low = below;
                least[b].first = (int32_t)i;
            } else if (below < least[b].second_low)
                least[b].second_low = below;
        }
    }
    return RA_OK;
}
