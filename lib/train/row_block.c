/* Sums over rows run in float64 and in the order of the rows, whatever the number of threads: loading is cut
 * into groups of rows, which are independent; adding up is cut into groups of columns, so that each sum
 * belongs to one thread and sees the rows in their order. */
#include "train/row_block.h"
#include "base/error.h"
#include "base/multiversion.h"
#include "tensor/dot.h"

enum {
    LANES = 16,     /* partial sums side by side: vector registers, in an order that is the same everywhere */
    PART_ROWS = 32, /* rows loaded by one part */
    PART_COLUMNS = 64 /* columns added up by one part */
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

RA_MULTIVERSION static void subtract(const float *restrict x, const float *restrict y, float *restrict out,
                                     size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = x[i] - y[i];
}

static void load_part(void *context, size_t part) {
    ra_row_block *block = context;
    size_t d = block->dimensions, from = part * PART_ROWS;
    size_t count = block->count - from < PART_ROWS ? block->count - from : PART_ROWS;
    ra_data_read(block->data, block->first + from, count, block->raw + from * d);
    for (size_t i = from; i < from + count; i++) {
        subtract(block->raw + i * d, block->mean, block->centred + i * d, d);
        block->norm[i] = ra_dot_f64(block->centred + i * d, block->centred + i * d, d);
    }
}

void ra_row_block_load(ra_row_block *block, size_t first) {
    size_t rest = block->rows - first;
    block->first = first;
    block->count = rest < RA_BLOCK_ROWS ? rest : RA_BLOCK_ROWS;
    ra_pool_run(block->pool, (block->count + PART_ROWS - 1) / PART_ROWS, load_part, block);
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
    for (size_t i = 0; i < job->block->count; i++) {
        size_t group = job->label ? (size_t)job->label[i] : 0;
        add_columns(job->sums + group * d + from, job->block->raw + i * d + from, columns);
    }
}

void ra_row_block_accumulate(const ra_row_block *block, const int32_t *label, double *sums) {
    sum_job job = {block, label, sums};
    ra_pool_run(block->pool, (block->dimensions + PART_COLUMNS - 1) / PART_COLUMNS, sum_part, &job);
}

/* ---- life --------------------------------------------------------------------------------------------- */

/* `sums` [d] is scratch, zeroed. */
static void measure(ra_row_block *block, double *sums) {
    for (size_t first = 0; first < block->rows; first += block->count) {
        ra_row_block_load(block, first);
        ra_row_block_accumulate(block, NULL, sums);
    }
    for (size_t j = 0; j < block->dimensions; j++) block->mean[j] = (float)(sums[j] / (double)block->rows);
    double total = 0;
    for (size_t first = 0; first < block->rows; first += block->count) {
        ra_row_block_load(block, first);
        for (size_t i = 0; i < block->count; i++) total += block->norm[i];
    }
    block->variance = total / (double)block->rows;
}

ra_status ra_row_block_init(ra_row_block *block, ra_pool *pool, const ra_data *data, ra_error *err) {
    size_t rows = ra_data_rows(data), d = ra_data_dimensions(data);
    size_t count = rows < RA_BLOCK_ROWS ? rows : RA_BLOCK_ROWS;
    *block = (ra_row_block){.pool = pool, .data = data, .rows = rows, .dimensions = d};
    double *sums = ra_calloc(d, sizeof *sums);
    block->mean = ra_calloc(d, sizeof *block->mean);
    block->raw = ra_malloc(count * d, sizeof *block->raw);
    block->centred = ra_malloc(count * d, sizeof *block->centred);
    block->norm = ra_malloc(count, sizeof *block->norm);
    bool complete = sums && block->mean && block->raw && block->centred && block->norm;
    if (complete) measure(block, sums);
    ra_free(sums);
    if (complete) return RA_OK;
    ra_row_block_release(block);
    RA_FAIL_MEMORY(err, "a block of rows", 2 * count * d * sizeof(float));
}

void ra_row_block_release(ra_row_block *block) {
    ra_free(block->mean);
    ra_free(block->raw);
    ra_free(block->centred);
    ra_free(block->norm);
    *block = (ra_row_block){0};
}
