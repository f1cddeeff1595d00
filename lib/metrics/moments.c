/* Products are taken about the mean of the first block, so that a large mean does not cancel the variance
 * away, and in float64 (gram.c). */
#include "metrics/moments.h"
#include "base/error.h"
#include "metrics/gram.h"

#include <string.h>

ra_status ra_moments_init(ra_moments *moments, ra_pool *pool, size_t d, ra_error *err) {
    *moments = (ra_moments){.pool = pool, .d = d};
    moments->block = ra_malloc(RA_GRAM_BLOCK * d, sizeof *moments->block);
    moments->origin = ra_calloc(d, sizeof *moments->origin);
    moments->sum = ra_calloc(d, sizeof *moments->sum);
    moments->square = ra_calloc(d * d, sizeof *moments->square);
    if (moments->block && moments->origin && moments->sum && moments->square) return RA_OK;
    ra_moments_release(moments);
    RA_FAIL_MEMORY(err, "a covariance", (RA_GRAM_BLOCK + d + 2) * d * sizeof(double));
}

void ra_moments_release(ra_moments *moments) {
    ra_free(moments->block);
    ra_free(moments->origin);
    ra_free(moments->sum);
    ra_free(moments->square);
    *moments = (ra_moments){0};
}

/* The mean of the rows that wait. */
static void set_origin(ra_moments *moments) {
    size_t d = moments->d;
    for (size_t i = 0; i < moments->waiting; i++)
        for (size_t j = 0; j < d; j++) moments->origin[j] += moments->block[i * d + j];
    for (size_t j = 0; j < d; j++) moments->origin[j] /= (double)moments->waiting;
}

static void flush(ra_moments *moments) {
    size_t d = moments->d;
    if (moments->waiting == 0) return;
    if (moments->rows == moments->waiting) set_origin(moments);
    for (size_t i = 0; i < moments->waiting; i++)
        for (size_t j = 0; j < d; j++) {
            moments->block[i * d + j] -= moments->origin[j];
            moments->sum[j] += moments->block[i * d + j];
        }
    ra_gram_add(moments->pool, moments->block, moments->waiting, d, moments->square);
    moments->waiting = 0;
}

void ra_moments_add(ra_moments *moments, const float *x, size_t rows) {
    size_t d = moments->d;
    while (rows > 0) {
        size_t room = RA_GRAM_BLOCK - moments->waiting, count = rows < room ? rows : room;
        double *end = moments->block + moments->waiting * d;
        for (size_t i = 0; i < count * d; i++) end[i] = (double)x[i];
        moments->waiting += count;
        moments->rows += count;
        x += count * d;
        rows -= count;
        if (moments->waiting == RA_GRAM_BLOCK) flush(moments);
    }
}

/* A copy of the sums takes in the rows that wait, so that more may follow afterwards. */
ra_status ra_moments_covariance(const ra_moments *moments, double *mean, double *covariance, ra_error *err) {
    size_t d = moments->d;
    double rows = (double)moments->rows;
    ra_moments copy = {0};
    RA_TRY(ra_moments_init(&copy, moments->pool, d, err));
    copy.rows = moments->rows;
    copy.waiting = moments->waiting;
    memcpy(copy.block, moments->block, moments->waiting * d * sizeof *copy.block);
    memcpy(copy.origin, moments->origin, d * sizeof *copy.origin);
    memcpy(copy.sum, moments->sum, d * sizeof *copy.sum);
    memcpy(copy.square, moments->square, d * d * sizeof *copy.square);
    flush(&copy);
    for (size_t j = 0; j < d; j++) mean[j] = copy.origin[j] + copy.sum[j] / rows;
    for (size_t i = 0; i < d; i++)
        for (size_t j = i; j < d; j++)
            covariance[i * d + j] = (copy.square[i * d + j] - copy.sum[i] * copy.sum[j] / rows) / (rows - 1);
    ra_gram_mirror(covariance, d);
    ra_moments_release(&copy);
    return RA_OK;
}
