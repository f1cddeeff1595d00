/* Sums over rows run in float64 and in the order of the rows, whatever the number of threads: loading is cut
 * into groups of rows, which are independent; adding up is cut into groups of columns, so that each sum
 * belongs to one thread and sees the rows in their order. */
#include "points/row_block.h"
#include "ra_memory.h"
#include "base/multiversion.h"
#include "tensor/vectors.h"

#include <math.h>

enum {
    LANES = 16,     /* partial sums side by side: vector registers, in an order that is the same everywhere */
    PART_ROWS = 32, /* rows loaded by one part */
    PART_COLUMNS = 64,      /* columns added up by one part */
    BLOCK_BYTES = 12 << 20, /* of a block: large enough that few of its rows fill a matrix product */
    BLOCK_ROWS_LEAST = 256,
    BLOCK_ROWS_MOST = 8192,
};

RA_MULTIVERSION double ra_squared_distance(const float *x, const float *y, size_t n) {
    double lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            double gap = (double)x[i + l] - (double)y[i + l];
            lane[l] += gap * gap;
        }
    for (size_t l = 0; i + l < n; l++) {
        double gap = (double)x[i + l] - (double)y[i + l];
        lane[l] += gap * gap;
    }
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}

/* ---- loading ------------------------------------------------------------------------------------------ */

void ra_row_block_read(const ra_row_block *block, const uint64_t *rows, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) {
        uint64_t row = block->sample ? block->sample[rows[i]] : rows[i];
        ra_data_gather(block->data, &row, 1, out + i * block->dimensions);
    }
}

typedef struct load_job {
    ra_row_block *block;
    const uint64_t *rows; /* [count] or NULL: those from block->first on */
} load_job;

static void load_part(void *context, size_t part) {
    const load_job *job = context;
    const ra_row_block *block = job->block;
    size_t from = part * PART_ROWS, d = block->dimensions;
    size_t count = block->count - from < PART_ROWS ? block->count - from : PART_ROWS;
    float *out = block->raw + from * d;
    if (job->rows)
        ra_row_block_read(block, job->rows + from, count, out);
    else if (block->sample)
        ra_data_gather(block->data, block->sample + block->first + from, count, out);
    else
        ra_data_read(block->data, block->first + from, count, out);
}

static void load(load_job *job) {
    ra_pool_run(job->block->pool, ra_pool_parts(job->block->count, PART_ROWS), load_part, job);
}

void ra_row_block_load(ra_row_block *block, size_t first) {
    size_t rest = block->rows - first;
    block->first = first;
    block->count = rest < block->capacity ? rest : block->capacity;
    load(&(load_job){block, NULL});
}

void ra_row_block_gather(ra_row_block *block, const uint64_t *rows, size_t count) {
    block->first = 0;
    block->count = count;
    load(&(load_job){block, rows});
}

/* ---- about the mean ----------------------------------------------------------------------------------- */

RA_MULTIVERSION static void subtract(const float *restrict x, const float *restrict y, float *restrict out,
                                     size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = x[i] - y[i];
}

typedef struct center_job {
    const ra_row_block *block;
    size_t from;
    const int32_t *picked;
    size_t count;
    float *centered;
    double *norm;
} center_job;

static void center_part(void *context, size_t part) {
    const center_job *job = context;
    size_t from = part * PART_ROWS, d = job->block->dimensions;
    size_t end = from + PART_ROWS < job->count ? from + PART_ROWS : job->count;
    for (size_t i = from; i < end; i++) {
        size_t row = job->picked ? (size_t)job->picked[job->from + i] : job->from + i;
        float *centered = job->centered + i * d;
        subtract(job->block->raw + row * d, job->block->mean, centered, d);
        job->norm[i] = ra_dot_f64(centered, centered, d);
    }
}

void ra_row_block_center(const ra_row_block *block, size_t from, const int32_t *picked, size_t count,
                         float *centered, double *norm) {
    center_job job = {block, from, picked, count, centered, norm};
    ra_pool_run(block->pool, ra_pool_parts(count, PART_ROWS), center_part, &job);
}

/* ---- adding up ---------------------------------------------------------------------------------------- */

typedef struct sum_job {
    const ra_row_block *block;
    const int32_t *label;
    double *sums;
} sum_job;

RA_MULTIVERSION static void add_columns(double *restrict sums, const float *restrict x, size_t n) {
    for (size_t i = 0; i < n; i++) sums[i] += (double)x[i];
}

static void sum_part(void *context, size_t part) {
    const sum_job *job = context;
    size_t d = job->block->dimensions, from = part * PART_COLUMNS;
    size_t columns = d - from < PART_COLUMNS ? d - from : PART_COLUMNS;
    for (size_t i = 0; i < job->block->count; i++)
        add_columns(job->sums + (size_t)job->label[i] * d + from, job->block->raw + i * d + from, columns);
}

void ra_row_block_accumulate(const ra_row_block *block, const int32_t *label, double *sums) {
    sum_job job = {block, label, sums};
    ra_pool_run(block->pool, ra_pool_parts(block->dimensions, PART_COLUMNS), sum_part, &job);
}

/* ---- mean and variance -------------------------------------------------------------------------------- */

/* Sums about the first row, so that data far from zero lose nothing. */
typedef struct moments_job {
    const ra_row_block *block;
    const float *origin;    /* [d] */
    double *sums, *squares; /* [d] */
} moments_job;

RA_MULTIVERSION static void add_moments(const float *restrict x, const float *restrict origin,
                                        double *restrict sums, double *restrict squares, size_t n) {
    for (size_t i = 0; i < n; i++) {
        double gap = (double)x[i] - (double)origin[i];
        sums[i] += gap;
        squares[i] += gap * gap;
    }
}

static void moments_part(void *context, size_t part) {
    const moments_job *job = context;
    size_t d = job->block->dimensions, from = part * PART_COLUMNS;
    size_t columns = d - from < PART_COLUMNS ? d - from : PART_COLUMNS;
    for (size_t i = 0; i < job->block->count; i++)
        add_moments(job->block->raw + i * d + from, job->origin + from, job->sums + from, job->squares + from,
                    columns);
}

/* scratch [2 d], zeroed; mean holds the first row before. */
static void measure(ra_row_block *block, double *scratch) {
    size_t d = block->dimensions;
    double rows = (double)block->rows;
    moments_job job = {block, block->mean, scratch, scratch + d};
    for (size_t first = 0; first < block->rows; first += block->count) {
        ra_row_block_load(block, first);
        ra_pool_run(block->pool, ra_pool_parts(d, PART_COLUMNS), moments_part, &job);
    }
    block->variance = 0;
    for (size_t j = 0; j < d; j++) {
        double gap = job.sums[j] / rows;
        block->variance += fmax(0, job.squares[j] / rows - gap * gap);
        block->mean[j] = (float)((double)block->mean[j] + gap);
    }
}

/* ---- life --------------------------------------------------------------------------------------------- */

static size_t block_rows(size_t rows, size_t d) {
    size_t fit = BLOCK_BYTES / (d * sizeof(float));
    fit = fit < BLOCK_ROWS_LEAST ? BLOCK_ROWS_LEAST : fit > BLOCK_ROWS_MOST ? BLOCK_ROWS_MOST : fit;
    return rows < fit ? rows : fit;
}

ra_status ra_row_block_init(ra_row_block *block, ra_pool *pool, const ra_data *data, const uint64_t *sample,
                            size_t count, ra_error *err) {
    size_t rows = sample ? count : ra_data_rows(data), d = ra_data_dimensions(data);
    *block = (ra_row_block){.pool = pool,
                            .data = data,
                            .sample = sample,
                            .rows = rows,
                            .dimensions = d,
                            .capacity = block_rows(rows, d)};
    double *scratch = ra_calloc(2 * d, sizeof *scratch);
    block->mean = ra_calloc(d, sizeof *block->mean);
    block->raw = ra_malloc(block->capacity * d, sizeof *block->raw);
    bool complete = scratch && block->mean && block->raw;
    if (complete) {
        ra_row_block_read(block, &(uint64_t){0}, 1, block->mean);
        measure(block, scratch);
    }
    ra_free(scratch);
    if (complete) return RA_OK;
    size_t bytes = block->capacity * d * sizeof(float);
    ra_row_block_release(block);
    RA_FAIL_MEMORY(err, "a block of rows", bytes);
}

void ra_row_block_release(ra_row_block *block) {
    ra_free(block->mean);
    ra_free(block->raw);
    *block = (ra_row_block){0};
}
