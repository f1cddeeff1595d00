/* Mean and standard deviation in one pass. Plain sums of squares lose all digits if a mean is large compared
 * with its deviation. So the moments of a chunk of rows are taken about the chunk's own mean and then merged
 * with those of the rows before (Chan, Golub and LeVeque 1979). The deviation of a constant dimension comes
 * out as exactly 0: the sum of up to 1024 equal float32 numbers is exact in float64, and so is their mean.
 *
 * Threads divide the reading by rows and the sums by columns, so that the result does not depend on their
 * number. */
#include "data/data.h"
#include "ra_memory.h"
#include "base/multiversion.h"
#include "base/pool.h"

#include <math.h>

enum {
    CHUNK_ROWS = 1024,
    CHUNK_NUMBERS = 1 << 20, /* fewer rows if they are wide */
    PART_ROWS = 32,
    PART_COLUMNS = 64,
};

typedef struct measure {
    const ra_data *data;
    ra_pool *pool;
    size_t d, chunk_rows;
    float *chunk;   /* [chunk_rows, d] */
    double *mean;   /* [d] of the rows before `first` */
    double *moment; /* [d] their sum of squares about the mean */
    size_t first, count;
} measure;

static void load_part(void *context, size_t part) {
    measure *m = context;
    size_t from = part * PART_ROWS, count = m->count - from < PART_ROWS ? m->count - from : PART_ROWS;
    ra_data_read_raw(m->data, m->first + from, count, m->chunk + from * m->d);
}

RA_MULTIVERSION static void add_row(double *restrict sum, const float *restrict x, size_t n) {
    for (size_t j = 0; j < n; j++) sum[j] += (double)x[j];
}

RA_MULTIVERSION static void add_squares(double *restrict sum, const float *restrict x,
                                        const double *restrict mean, size_t n) {
    for (size_t j = 0; j < n; j++) sum[j] += ((double)x[j] - mean[j]) * ((double)x[j] - mean[j]);
}

/* Merges the moments of the chunk, for one group of columns, with those of the rows before. */
static void add_part(void *context, size_t part) {
    measure *m = context;
    size_t d = m->d, from = part * PART_COLUMNS, n = d - from < PART_COLUMNS ? d - from : PART_COLUMNS;
    double mean[PART_COLUMNS] = {0}, moment[PART_COLUMNS] = {0};
    double before = (double)m->first, count = (double)m->count, total = before + count;
    for (size_t i = 0; i < m->count; i++) add_row(mean, m->chunk + i * d + from, n);
    for (size_t j = 0; j < n; j++) mean[j] /= count;
    for (size_t i = 0; i < m->count; i++) add_squares(moment, m->chunk + i * d + from, mean, n);
    for (size_t j = 0; j < n; j++) {
        double gap = mean[j] - m->mean[from + j];
        m->mean[from + j] += gap * (count / total);
        m->moment[from + j] += moment[j] + gap * gap * (before * count / total);
    }
}

static void measure_all(measure *m) {
    size_t rows = m->data->rows, columns = ra_pool_parts(m->d, PART_COLUMNS);
    for (m->first = 0; m->first < rows; m->first += m->count) {
        m->count = rows - m->first < m->chunk_rows ? rows - m->first : m->chunk_rows;
        ra_pool_run(m->pool, ra_pool_parts(m->count, PART_ROWS), load_part, m);
        ra_data_read_ahead(m->data, m->first + m->count, m->chunk_rows);
        ra_pool_run(m->pool, columns, add_part, m);
    }
}

/* A deviation that is 0 in float32 is that of a constant. */
static float scale_of(double variance) {
    float scale = (float)sqrt(variance);
    return scale > 0 ? scale : 1;
}

static void write_result(const measure *m, ra_standardize how, float *mean, float *scale) {
    double rows = (double)m->data->rows, d = (double)m->d, center = 0, variance = 0;
    for (size_t j = 0; j < m->d; j++) center += m->mean[j] / d;
    for (size_t j = 0; j < m->d; j++) {
        double gap = m->mean[j] - center;
        variance += (m->moment[j] / rows + gap * gap) / d;
    }
    for (size_t j = 0; j < m->d; j++) {
        bool element = how == RA_STANDARDIZE_ELEMENT;
        mean[j] = (float)(element ? m->mean[j] : center);
        scale[j] = scale_of(element ? m->moment[j] / rows : variance);
    }
}

ra_status ra_data_measure(const ra_data *data, ra_backend *backend, ra_standardize how, float *mean,
                          float *scale, ra_error *err) {
    size_t d = data->dimensions, wide = CHUNK_NUMBERS / d + 1;
    measure m = {.data = data, .d = d, .chunk_rows = wide < CHUNK_ROWS ? wide : CHUNK_ROWS};
    for (size_t j = 0; how == RA_STANDARDIZE_NONE && j < d; j++) {
        mean[j] = 0;
        scale[j] = 1;
    }
    if (how == RA_STANDARDIZE_NONE) return RA_OK;
    m.pool = backend ? ra_backend_pool(backend) : NULL;
    if (m.chunk_rows > data->rows) m.chunk_rows = data->rows;
    m.chunk = ra_malloc(m.chunk_rows * d, sizeof *m.chunk);
    m.mean = ra_calloc(d, sizeof *m.mean);
    m.moment = ra_calloc(d, sizeof *m.moment);
    bool complete = m.chunk && m.mean && m.moment;
    if (complete) {
        measure_all(&m);
        write_result(&m, how, mean, scale);
    }
    ra_free(m.chunk);
    ra_free(m.mean);
    ra_free(m.moment);
    if (complete) return RA_OK;
    RA_FAIL_MEMORY(err, "mean and scale of the data", m.chunk_rows * d * sizeof(float));
}
