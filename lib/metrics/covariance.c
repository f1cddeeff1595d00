/* The mean of the first chunk is subtracted from all rows, so that a large mean loses no digits of the
 * variance. Products are float64 (gram.c). */
#include "metrics/covariance.h"
#include "ra_memory.h"
#include "metrics/gram.h"

#include <string.h>

ra_status ra_covariance_init(ra_covariance *sums, ra_pool *pool, size_t d, ra_error *err) {
    *sums = (ra_covariance){.pool = pool, .d = d};
    RA_TRY(ra_gram_prepare(pool, err));
    sums->chunk = ra_malloc(RA_GRAM_ROWS * d, sizeof *sums->chunk);
    sums->origin = ra_calloc(d, sizeof *sums->origin);
    sums->sum = ra_calloc(d, sizeof *sums->sum);
    sums->square = ra_calloc(d * d, sizeof *sums->square);
    if (sums->chunk && sums->origin && sums->sum && sums->square) return RA_OK;
    ra_covariance_release(sums);
    RA_FAIL_MEMORY(err, "a covariance", (RA_GRAM_ROWS + d + 2) * d * sizeof(double));
}

void ra_covariance_release(ra_covariance *sums) {
    ra_free(sums->chunk);
    ra_free(sums->origin);
    ra_free(sums->sum);
    ra_free(sums->square);
    *sums = (ra_covariance){0};
}

/* The mean of the rows that wait. */
static void set_origin(ra_covariance *sums) {
    size_t d = sums->d;
    for (size_t i = 0; i < sums->waiting; i++)
        for (size_t j = 0; j < d; j++) sums->origin[j] += sums->chunk[i * d + j];
    for (size_t j = 0; j < d; j++) sums->origin[j] /= (double)sums->waiting;
}

static void flush(ra_covariance *sums) {
    size_t d = sums->d;
    if (sums->waiting == 0) return;
    if (sums->rows == sums->waiting) set_origin(sums);
    for (size_t i = 0; i < sums->waiting; i++)
        for (size_t j = 0; j < d; j++) {
            sums->chunk[i * d + j] -= sums->origin[j];
            sums->sum[j] += sums->chunk[i * d + j];
        }
    ra_gram_add(sums->pool, sums->chunk, sums->waiting, d, sums->square);
    sums->waiting = 0;
}

void ra_covariance_add(ra_covariance *sums, const float *x, size_t rows) {
    size_t d = sums->d;
    while (rows > 0) {
        size_t free = RA_GRAM_ROWS - sums->waiting, count = rows < free ? rows : free;
        double *end = sums->chunk + sums->waiting * d;
        for (size_t i = 0; i < count * d; i++) end[i] = (double)x[i];
        sums->waiting += count;
        sums->rows += count;
        x += count * d;
        rows -= count;
        if (sums->waiting == RA_GRAM_ROWS) flush(sums);
    }
}

/* A copy adds the waiting rows to its sums, so that more rows may be added afterwards. */
ra_status ra_covariance_measure(const ra_covariance *sums, double *mean, double *covariance, ra_error *err) {
    size_t d = sums->d;
    double rows = (double)sums->rows;
    ra_covariance copy = {0};
    RA_TRY(ra_covariance_init(&copy, sums->pool, d, err));
    copy.rows = sums->rows;
    copy.waiting = sums->waiting;
    memcpy(copy.chunk, sums->chunk, sums->waiting * d * sizeof *copy.chunk);
    memcpy(copy.origin, sums->origin, d * sizeof *copy.origin);
    memcpy(copy.sum, sums->sum, d * sizeof *copy.sum);
    memcpy(copy.square, sums->square, d * d * sizeof *copy.square);
    flush(&copy);
    for (size_t j = 0; j < d; j++) mean[j] = copy.origin[j] + copy.sum[j] / rows;
    for (size_t i = 0; i < d; i++)
        for (size_t j = i; j < d; j++)
            covariance[i * d + j] = (copy.square[i * d + j] - copy.sum[i] * copy.sum[j] / rows) / (rows - 1);
    ra_gram_mirror(covariance, d);
    ra_covariance_release(&copy);
    return RA_OK;
}
