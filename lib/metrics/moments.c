/* Products run in float32 over a block of rows and are added in float64. They are taken about the mean of the
 * first block: near enough to the mean of all for float32 to lose nothing but its last digits. */
#include "metrics/moments.h"
#include "base/error.h"
#include "metrics/unit.h"

#include <string.h>

enum { MOMENTS_BLOCK = 256 };

ra_status ra_moments_init(ra_moments *moments, ra_backend *backend, size_t d, ra_error *err) {
    *moments = (ra_moments){.backend = backend, .d = d};
    moments->block = ra_malloc(MOMENTS_BLOCK * d, sizeof *moments->block);
    moments->product = ra_malloc(d * d, sizeof *moments->product);
    moments->origin = ra_calloc(d, sizeof *moments->origin);
    moments->sum = ra_calloc(d, sizeof *moments->sum);
    moments->square = ra_calloc(d * d, sizeof *moments->square);
    if (moments->block && moments->product && moments->origin && moments->sum && moments->square)
        return RA_OK;
    ra_moments_release(moments);
    RA_FAIL_MEMORY(err, "a covariance",
                   (MOMENTS_BLOCK + d) * d * sizeof(float) + (d + 2) * d * sizeof(double));
}

void ra_moments_release(ra_moments *moments) {
    ra_free(moments->block);
    ra_free(moments->product);
    ra_free(moments->origin);
    ra_free(moments->sum);
    ra_free(moments->square);
    *moments = (ra_moments){0};
}

/* The mean of the rows that wait. */
static void set_origin(ra_moments *moments) {
    size_t d = moments->d;
    for (size_t i = 0; i < moments->waiting; i++)
        for (size_t j = 0; j < d; j++) moments->origin[j] += (double)moments->block[i * d + j];
    for (size_t j = 0; j < d; j++) moments->origin[j] /= (double)moments->waiting;
}

static ra_status flush(ra_moments *moments, ra_error *err) {
    size_t d = moments->d, count = moments->waiting;
    float *block = moments->block;
    if (count == 0) return RA_OK;
    if (moments->rows == count) set_origin(moments);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < d; j++) {
            double gap = (double)block[i * d + j] - moments->origin[j];
            moments->sum[j] += gap;
            block[i * d + j] = (float)gap;
        }
    RA_TRY(ra_backend_operations(moments->backend)
               ->gemm(ra_backend_self(moments->backend), NULL, true, false, d, d, count, 1, block, d, block,
                      d, 0, moments->product, d, err));
    for (size_t i = 0; i < d * d; i++) moments->square[i] += (double)moments->product[i];
    moments->waiting = 0;
    return RA_OK;
}

ra_status ra_moments_add(ra_moments *moments, const float *x, size_t rows, ra_error *err) {
    size_t d = moments->d;
    while (rows > 0) {
        size_t room = MOMENTS_BLOCK - moments->waiting, count = rows < room ? rows : room;
        memcpy(moments->block + moments->waiting * d, x, count * d * sizeof *x);
        moments->waiting += count;
        moments->rows += count;
        x += count * d;
        rows -= count;
        if (moments->waiting == MOMENTS_BLOCK) RA_TRY(flush(moments, err));
    }
    return RA_OK;
}

/* A copy of the sums takes in the rows that wait, so that more may follow afterwards. */
ra_status ra_moments_covariance(const ra_moments *moments, double *mean, double *covariance, ra_error *err) {
    size_t d = moments->d;
    double rows = (double)moments->rows;
    ra_moments copy = {0};
    RA_TRY(ra_moments_init(&copy, moments->backend, d, err));
    copy.rows = moments->rows;
    copy.waiting = moments->waiting;
    memcpy(copy.block, moments->block, moments->waiting * d * sizeof *copy.block);
    memcpy(copy.origin, moments->origin, d * sizeof *copy.origin);
    memcpy(copy.sum, moments->sum, d * sizeof *copy.sum);
    memcpy(copy.square, moments->square, d * d * sizeof *copy.square);
    ra_status status = flush(&copy, err);
    if (status == RA_OK) {
        for (size_t j = 0; j < d; j++) mean[j] = copy.origin[j] + copy.sum[j] / rows;
        for (size_t i = 0; i < d; i++)
            for (size_t j = 0; j < d; j++)
                covariance[i * d + j] =
                    (copy.square[i * d + j] - copy.sum[i] * copy.sum[j] / rows) / (rows - 1);
    }
    ra_moments_release(&copy);
    return status;
}
