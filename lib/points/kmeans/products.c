#include "points/kmeans/products.h"
#include "base/multiversion.h"
#include "base/pool.h"
#include "ra_memory.h"
#include "tensor/turn.h"

#include <string.h>

enum {
    ROUNDED_DIMENSIONS_LEAST =
        64,               /* with fewer, rounding and the rest take longer than products in float32 */
    PART_CANDIDATES = 64, /* that a part multiplies in 8 bits */
    WIDENED_ROWS = 1024,
    PART_ROWS = 64, /* that a part widens */
};

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* ---- life --------------------------------------------------------------------------------------------- */

typedef struct widen_job {
    const ra_seed_products *products;
    size_t from, count; /* of the sample */
} widen_job;

static void widen_part(void *context, size_t part) {
    const widen_job *job = context;
    const ra_seed_products *products = job->products;
    size_t from = part * PART_ROWS, count = least(job->count - from, PART_ROWS);
    ra_coarse_widen(&products->rounded, job->from + from, count, products->widened + from * products->inner);
}

/* products->widened <- the integers of rows of the sample, from this one on; returns of how many. */
static size_t widen(ra_seed_products *products, size_t from, size_t rows) {
    widen_job job = {products, from, least(rows - from, WIDENED_ROWS)};
    ra_pool_run(ra_backend_pool(products->backend), ra_pool_parts(job.count, PART_ROWS), widen_part, &job);
    return job.count;
}

/* products->sample <- the integers of the whole sample, on a device. */
static ra_status upload_integers(ra_seed_products *products, ra_error *err) {
    ra_backend *backend = products->backend;
    ra_uploaded *sample = &products->sample;
    size_t width = products->inner;
    RA_TRY(ra_buffer_reserve(&sample->memory, backend, products->rows * width, err));
    sample->vectors = sample->memory.data;
    for (size_t from = 0, count; from < products->rows; from += count) {
        count = widen(products, from, products->rows);
        RA_TRY(ra_backend_put(backend, sample->memory.data + from * width, products->widened,
                              count * width * sizeof *products->widened, err));
    }
    return RA_OK;
}

static ra_status prepare_rounded(ra_seed_products *products, ra_error *err) {
    bool host = ra_backend_host_memory(products->backend);
    size_t rows = products->rows, d = products->d, width = products->inner;
    products->coarse = host && ra_coarse_pays(d);
    RA_TRY(ra_coarse_init(&products->rounded, products->coarse, rows, d, err));
    RA_TRY(ra_coarse_init(&products->candidates, false, products->capacity, d, err));
    products->rounded.turned = products->candidates.turned = ra_turn_pays(products->vector, rows, d);
    ra_coarse_round(&products->rounded, ra_backend_pool(products->backend), products->vector, rows);
    products->lost = products->rounded.error;
    products->whole = products->rounded.length;
    if (products->coarse) return RA_OK;
    products->widened = ra_malloc(WIDENED_ROWS * width, sizeof *products->widened);
    if (!products->widened)
        RA_FAIL_MEMORY(err, "the products of seeds", WIDENED_ROWS * width * sizeof *products->widened);
    return host ? RA_OK : upload_integers(products, err);
}

ra_status ra_seed_products_init(ra_seed_products *products, ra_backend *backend, const float *vector,
                                size_t rows, size_t d, size_t capacity, ra_error *err) {
    *products =
        (ra_seed_products){.backend = backend, .vector = vector, .rows = rows, .d = d, .capacity = capacity};
    products->is_rounded = d >= ROUNDED_DIMENSIONS_LEAST;
    products->inner = products->is_rounded ? ra_coarse_width(d) : d;
    products->proposed = ra_malloc(capacity * products->inner, sizeof *products->proposed);
    if (!products->is_rounded)
        products->lost = products->whole = products->none = ra_calloc(rows, sizeof *products->none);
    if (!products->proposed || (!products->is_rounded && !products->none))
        RA_FAIL_MEMORY(err, "the products of seeds", (capacity * products->inner + rows) * sizeof(float));
    if (products->is_rounded) return prepare_rounded(products, err);
    return ra_uploaded_set(&products->sample, backend, vector, rows * d, err);
}

void ra_seed_products_release(ra_seed_products *products) {
    ra_coarse_release(&products->rounded);
    ra_coarse_release(&products->candidates);
    ra_free(products->widened);
    ra_free(products->proposed);
    ra_free(products->none);
    ra_buffer_release(&products->sample.memory);
    ra_buffer_release(&products->uploaded.memory);
    ra_buffer_release(&products->memory);
    *products = (ra_seed_products){0};
}

/* ---- scores ------------------------------------------------------------------------------------------- */

typedef struct score_job {
    const ra_seed_products *products;
    ra_coarse sample; /* the rows of it that are multiplied */
    size_t count;     /* of candidates */
    float *score;
} score_job;

static void coarse_part(void *context, size_t part) {
    const score_job *job = context;
    size_t blocks = ra_pool_parts(job->count, PART_CANDIDATES), panel = part / blocks,
           from = part % blocks * PART_CANDIDATES;
    ra_coarse_scores(&job->sample, panel, &job->products->candidates, from,
                     least(from + PART_CANDIDATES, job->count), false,
                     job->score + from * job->sample.rows + panel * RA_COARSE_PANEL, job->sample.rows);
}

RA_MULTIVERSION static void scale(float *restrict score, const float *restrict step, float by, size_t n) {
    for (size_t i = 0; i < n; i++) score[i] *= by * step[i];
}

static void scale_part(void *context, size_t part) {
    const score_job *job = context;
    size_t rows = job->sample.rows;
    scale(job->score + part * rows, job->sample.step, job->products->candidates.step[part], rows);
}

/* score <- of products->proposed with what the backend has of the sample. */
static ra_status multiply(ra_seed_products *products, size_t count, size_t rows, float *score,
                          ra_error *err) {
    ra_backend *backend = products->backend;
    RA_TRY(ra_uploaded_set(&products->uploaded, backend, products->proposed, count * products->inner, err));
    return ra_scores(&products->memory, backend, products->uploaded.vectors, count, products->sample.vectors,
                     rows, products->inner, score, err);
}

/* The same on the host, for which the integers of the sample are widened again each time. */
static ra_status multiply_widened(ra_seed_products *products, size_t count, size_t rows, float *score,
                                  ra_error *err) {
    size_t width = products->inner;
    for (size_t from = 0, n; from < rows; from += n) {
        n = widen(products, from, rows);
        RA_TRY(ra_backend_gemm(products->backend, false, true, count, n, width, -2, products->proposed, width,
                               products->widened, width, 0, score + from, rows, err));
    }
    return RA_OK;
}

static ra_status score_rounded(ra_seed_products *products, size_t count, size_t rows, float *score,
                               ra_error *err) {
    ra_pool *pool = ra_backend_pool(products->backend);
    score_job job = {products, products->rounded, count, score};
    job.sample.rows = rows;
    ra_coarse_round(&products->candidates, pool, products->proposed, count);
    if (products->coarse) {
        ra_pool_run(pool, ra_pool_parts(rows, RA_COARSE_PANEL) * ra_pool_parts(count, PART_CANDIDATES),
                    coarse_part, &job);
        return RA_OK;
    }
    ra_coarse_widen(&products->candidates, 0, count, products->proposed);
    RA_TRY((ra_backend_host_memory(products->backend) ? multiply_widened : multiply)(products, count, rows,
                                                                                     score, err));
    ra_pool_run(pool, count, scale_part, &job);
    return RA_OK;
}

ra_status ra_seed_scores(ra_seed_products *products, const size_t *positions, size_t count, size_t rows,
                         float *score, ra_error *err) {
    size_t d = products->d;
    for (size_t c = 0; c < count; c++)
        memcpy(products->proposed + c * d, products->vector + positions[c] * d,
               d * sizeof *products->proposed);
    return (products->is_rounded ? score_rounded : multiply)(products, count, rows, score, err);
}
