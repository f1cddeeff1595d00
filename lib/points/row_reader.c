/* Sums over rows are float64 sums in the order of the rows, for any number of threads: threads divide the
 * loading by rows, and the sums by columns, so that one thread adds up a whole column. */
#include "points/row_reader.h"
#include "ra_memory.h"
#include "base/multiversion.h"
#include "tensor/vectors.h"

#include <math.h>

enum {
    LANES = 16,        /* partial sums: they fit vector registers, in an order that is the same everywhere */
    PART_ROWS = 32,    /* rows that one part loads */
    PART_COLUMNS = 64, /* columns that one part sums */
    CHUNK_BYTES = 12 << 20, /* large enough that even a small part of its rows fills a matrix product */
    CHUNK_ROWS_LEAST = 256,
    CHUNK_ROWS_MOST = 8192,
    ANNOUNCED_MOST = 1024,
    SAMPLE_SHARE = 4, /* a copy of a sample takes at most this part of the memory */
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

/* Rows of the data, by their numbers there. */
static void gather(const ra_row_reader *reader, const uint64_t *rows, size_t n, float *out) {
    if (reader->copy.numbers)
        ra_window_gather(&reader->copy, rows, n, out);
    else
        ra_data_gather(reader->data, rows, n, out);
}

void ra_row_reader_read(const ra_row_reader *reader, const uint64_t *rows, size_t n, float *out) {
    enum { PIECE = 256 };
    uint64_t piece[PIECE];
    if (!reader->sample) {
        gather(reader, rows, n, out);
        return;
    }
    for (size_t from = 0; from < n; from += PIECE) {
        size_t count = n - from < PIECE ? n - from : PIECE;
        for (size_t i = 0; i < count; i++) piece[i] = reader->sample[rows[from + i]];
        gather(reader, piece, count, out + from * reader->dimensions);
    }
}

void ra_row_reader_announce(const ra_row_reader *reader, const uint64_t *rows, size_t n) {
    uint64_t piece[ANNOUNCED_MOST];
    if (reader->copy.numbers || !ra_data_is_large(reader->data)) return;
    for (size_t i = 0; i < n; i++) piece[i] = reader->sample ? reader->sample[rows[i]] : rows[i];
    ra_data_will_need(reader->data, piece, n);
}

typedef struct load_job {
    ra_row_reader *reader;
    const uint64_t *rows; /* [count]; NULL: those from reader->first on */
} load_job;

static void load_part(void *context, size_t part) {
    const load_job *job = context;
    const ra_row_reader *reader = job->reader;
    size_t from = part * PART_ROWS, d = reader->dimensions;
    size_t count = reader->count - from < PART_ROWS ? reader->count - from : PART_ROWS;
    float *out = reader->chunk + from * d;
    if (job->rows)
        ra_row_reader_read(reader, job->rows + from, count, out);
    else if (reader->sample)
        gather(reader, reader->sample + reader->first + from, count, out);
    else
        ra_data_read(reader->data, reader->first + from, count, out);
}

static void load(load_job *job) {
    ra_pool_run(job->reader->pool, ra_pool_parts(job->reader->count, PART_ROWS), load_part, job);
}

void ra_row_reader_load(ra_row_reader *reader, size_t first) {
    size_t rest = reader->rows - first;
    reader->first = first;
    reader->count = rest < reader->capacity ? rest : reader->capacity;
    load(&(load_job){reader, NULL});
    if (!reader->sample) ra_data_read_ahead(reader->data, first + reader->count, reader->capacity);
}

void ra_row_reader_gather(ra_row_reader *reader, const uint64_t *rows, size_t count) {
    reader->first = 0;
    reader->count = count;
    load(&(load_job){reader, rows});
}

/* ---- minus the mean ----------------------------------------------------------------------------------- */

RA_MULTIVERSION static void subtract(const float *restrict x, const float *restrict y, float *restrict out,
                                     size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = x[i] - y[i];
}

typedef struct center_job {
    const ra_row_reader *reader;
    size_t from;
    const int32_t *picked;
    size_t count;
    float *centered;
    double *norm;
} center_job;

static void center_part(void *context, size_t part) {
    const center_job *job = context;
    size_t from = part * PART_ROWS, d = job->reader->dimensions;
    size_t end = from + PART_ROWS < job->count ? from + PART_ROWS : job->count;
    for (size_t i = from; i < end; i++) {
        size_t row = job->picked ? (size_t)job->picked[job->from + i] : job->from + i;
        float *centered = job->centered + i * d;
        subtract(job->reader->chunk + row * d, job->reader->mean, centered, d);
        job->norm[i] = ra_dot_f64(centered, centered, d);
    }
}

void ra_row_reader_center(const ra_row_reader *reader, size_t from, const int32_t *picked, size_t count,
                          float *centered, double *norm) {
    center_job job = {reader, from, picked, count, centered, norm};
    ra_pool_run(reader->pool, ra_pool_parts(count, PART_ROWS), center_part, &job);
}

/* ---- sums ---------------------------------------------------------------------------------------- */

typedef struct sum_job {
    const ra_row_reader *reader;
    const int32_t *label;
    double *sums;
} sum_job;

RA_MULTIVERSION static void add_columns(double *restrict sums, const float *restrict x, size_t n) {
    for (size_t i = 0; i < n; i++) sums[i] += (double)x[i];
}

static void sum_part(void *context, size_t part) {
    const sum_job *job = context;
    size_t d = job->reader->dimensions, from = part * PART_COLUMNS;
    size_t columns = d - from < PART_COLUMNS ? d - from : PART_COLUMNS;
    for (size_t i = 0; i < job->reader->count; i++)
        add_columns(job->sums + (size_t)job->label[i] * d + from, job->reader->chunk + i * d + from, columns);
}

void ra_row_reader_accumulate(const ra_row_reader *reader, const int32_t *label, double *sums) {
    sum_job job = {reader, label, sums};
    ra_pool_run(reader->pool, ra_pool_parts(reader->dimensions, PART_COLUMNS), sum_part, &job);
}

/* ---- mean and variance -------------------------------------------------------------------------------- */

/* Sums of differences from the first row, so that data far from zero lose no digits. */
typedef struct moments_job {
    const ra_row_reader *reader;
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
    size_t d = job->reader->dimensions, from = part * PART_COLUMNS;
    size_t columns = d - from < PART_COLUMNS ? d - from : PART_COLUMNS;
    for (size_t i = 0; i < job->reader->count; i++)
        add_moments(job->reader->chunk + i * d + from, job->origin + from, job->sums + from,
                    job->squares + from, columns);
}

/* scratch [2 d] holds zeros, mean the first row. */
static void measure(ra_row_reader *reader, double *scratch) {
    size_t d = reader->dimensions;
    double rows = (double)reader->rows;
    moments_job job = {reader, reader->mean, scratch, scratch + d};
    for (size_t first = 0; first < reader->rows; first += reader->count) {
        ra_row_reader_load(reader, first);
        ra_pool_run(reader->pool, ra_pool_parts(d, PART_COLUMNS), moments_part, &job);
    }
    reader->variance = 0;
    for (size_t j = 0; j < d; j++) {
        double gap = job.sums[j] / rows;
        reader->variance += fmax(0, job.squares[j] / rows - gap * gap);
        reader->mean[j] = (float)((double)reader->mean[j] + gap);
    }
}

/* ---- life --------------------------------------------------------------------------------------------- */

static size_t chunk_rows(size_t rows, size_t d) {
    size_t fit = CHUNK_BYTES / (d * sizeof(float));
    fit = fit < CHUNK_ROWS_LEAST ? CHUNK_ROWS_LEAST : fit > CHUNK_ROWS_MOST ? CHUNK_ROWS_MOST : fit;
    return rows < fit ? rows : fit;
}

/* runs [reader->rows] <- the sample; returns how many. */
static size_t list_runs(const ra_row_reader *reader, ra_row_run *runs) {
    size_t count = 0;
    for (size_t i = 0; i < reader->rows; i++) {
        ra_row_run *last = count ? &runs[count - 1] : NULL;
        if (last && reader->sample[i] == last->first + last->count)
            last->count++;
        else
            runs[count++] = (ra_row_run){reader->sample[i], 1};
    }
    return count;
}

/* False without memory for what should fit. */
static bool copy_sample(ra_row_reader *reader) {
    const ra_data *data = reader->data;
    size_t n = reader->rows;
    double bytes = (double)n * (double)(ra_window_row_bytes(data) + 2 * sizeof(ra_row_run));
    if (!reader->sample || !ra_data_is_large(data) || bytes > (double)ra_data_memory(data) / SAMPLE_SHARE)
        return true;
    ra_row_run *runs = ra_malloc(n, sizeof *runs);
    bool complete = runs && ra_window_init(&reader->copy, data, n, n, NULL) == RA_OK;
    if (complete) ra_window_fill(&reader->copy, runs, list_runs(reader, runs), NULL);
    ra_free(runs);
    return complete;
}

ra_status ra_row_reader_init(ra_row_reader *reader, ra_pool *pool, const ra_data *data,
                             const uint64_t *sample, size_t count, ra_error *err) {
    size_t rows = sample ? count : ra_data_rows(data), d = ra_data_dimensions(data);
    *reader = (ra_row_reader){.pool = pool,
                              .data = data,
                              .sample = sample,
                              .rows = rows,
                              .dimensions = d,
                              .capacity = chunk_rows(rows, d)};
    double *scratch = ra_calloc(2 * d, sizeof *scratch);
    reader->mean = ra_calloc(d, sizeof *reader->mean);
    reader->chunk = ra_malloc(reader->capacity * d, sizeof *reader->chunk);
    bool complete = scratch && reader->mean && reader->chunk && copy_sample(reader);
    if (complete) {
        ra_row_reader_read(reader, &(uint64_t){0}, 1, reader->mean);
        measure(reader, scratch);
    }
    ra_free(scratch);
    if (complete) return RA_OK;
    size_t bytes = reader->capacity * d * sizeof(float);
    ra_row_reader_release(reader);
    RA_FAIL_MEMORY(err, "a chunk of rows", bytes);
}

void ra_row_reader_release(ra_row_reader *reader) {
    ra_free(reader->mean);
    ra_free(reader->chunk);
    ra_window_release(&reader->copy);
    *reader = (ra_row_reader){0};
}
