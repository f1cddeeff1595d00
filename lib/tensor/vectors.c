/* Half-precision rows are widened on the stack, a chunk at a time, so nothing here allocates memory. The
 * product of two float32 numbers is exact in float64: the only rounding is that of the sum. */
#include "tensor/vectors.h"
#include "base/multiversion.h"
#include "ra_memory.h"

#include <math.h>
#include <stdatomic.h>

enum {
    LANES_F32 = 32,
    LANES_F64 = 16,
    CHUNK = 1024,       /* elements widened at a time */
    PART = 1024 * 1024, /* elements of one part of a parallel pass */
};

/* ---- dot products -------------------------------------------------------------------------------------- */

RA_MULTIVERSION float ra_dot_f32(const float *x, const float *y, size_t n) {
    float lane[LANES_F32] = {0};
    size_t i = 0;
    for (; i + LANES_F32 <= n; i += LANES_F32)
        for (size_t l = 0; l < LANES_F32; l++) lane[l] += x[i + l] * y[i + l];
    for (size_t l = 0; i + l < n; l++) lane[l] += x[i + l] * y[i + l];
    for (size_t half = LANES_F32 / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}

RA_MULTIVERSION double ra_dot_f64(const float *x, const float *y, size_t n) {
    double lane[LANES_F64] = {0};
    size_t i = 0;
    for (; i + LANES_F64 <= n; i += LANES_F64)
        for (size_t l = 0; l < LANES_F64; l++) lane[l] += (double)x[i + l] * (double)y[i + l];
    for (size_t l = 0; i + l < n; l++) lane[l] += (double)x[i + l] * (double)y[i + l];
    for (size_t half = LANES_F64 / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}

RA_MULTIVERSION double ra_dot_doubles(const double *x, const double *y, size_t n) {
    double lane[LANES_F64] = {0};
    size_t i = 0;
    for (; i + LANES_F64 <= n; i += LANES_F64)
        for (size_t l = 0; l < LANES_F64; l++) lane[l] += x[i + l] * y[i + l];
    for (size_t l = 0; i + l < n; l++) lane[l] += x[i + l] * y[i + l];
    for (size_t half = LANES_F64 / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

const void *ra_tensor_row(const ra_tensor *tensor, size_t row) {
    size_t bytes = tensor->shape[1] * ra_dtype_size(tensor->dtype);
    return (const char *)tensor->data + row * bytes;
}

const float *ra_row_widen(ra_dtype dtype, const void *row, size_t from, size_t n, float *chunk) {
    const char *source = (const char *)row + from * ra_dtype_size(dtype);
    if (dtype == RA_F32) return (const float *)(const void *)source;
    ra_convert_to_f32(dtype, source, chunk, n);
    return chunk;
}

double ra_row_dot(ra_dtype dtype, const void *row, const float *y, size_t n) {
    RA_UNINITIALIZED float chunk[CHUNK];
    double sum = 0;
    for (size_t from = 0; from < n; from += CHUNK) {
        size_t count = n - from < CHUNK ? n - from : CHUNK;
        sum += ra_dot_f64(ra_row_widen(dtype, row, from, count, chunk), y + from, count);
    }
    return sum;
}

static double row_norm(ra_dtype dtype, const void *row, size_t n) {
    RA_UNINITIALIZED float chunk[CHUNK];
    double sum = 0;
    for (size_t from = 0; from < n; from += CHUNK) {
        size_t count = n - from < CHUNK ? n - from : CHUNK;
        const float *values = ra_row_widen(dtype, row, from, count, chunk);
        sum += ra_dot_f64(values, values, count);
    }
    return sqrt(sum);
}

/* ---- passes over a whole tensor ----------------------------------------------------------------------- */

typedef struct norms_job {
    const ra_tensor *tensor;
    size_t rows_per_part;
    double *norm;
} norms_job;

static void norms_part(void *context, size_t part) {
    const norms_job *job = context;
    size_t first = part * job->rows_per_part, last = first + job->rows_per_part;
    if (last > job->tensor->shape[0]) last = job->tensor->shape[0];
    for (size_t row = first; row < last; row++)
        job->norm[row] = row_norm(job->tensor->dtype, ra_tensor_row(job->tensor, row), job->tensor->shape[1]);
}

void ra_tensor_row_norms(const ra_tensor *tensor, ra_pool *pool, double *norm) {
    size_t rows = tensor->shape[0], rows_per_part = PART / tensor->shape[1] + 1;
    norms_job job = {tensor, rows_per_part, norm};
    ra_pool_run(pool, ra_pool_parts(rows, rows_per_part), norms_part, &job);
}

typedef struct finite_job {
    const ra_tensor *tensor;
    size_t elements;
    atomic_size_t found; /* the lowest index so far */
} finite_job;

static void finite_part(void *context, size_t part) {
    finite_job *job = context;
    RA_UNINITIALIZED float chunk[CHUNK];
    size_t end = (part + 1) * PART < job->elements ? (part + 1) * PART : job->elements;
    for (size_t from = part * PART; from < end; from += CHUNK) {
        size_t count = end - from < CHUNK ? end - from : CHUNK;
        const float *values = ra_row_widen(job->tensor->dtype, job->tensor->data, from, count, chunk);
        size_t bad = ra_find_not_finite(values, count);
        if (bad == count) continue;
        size_t found = atomic_load(&job->found);
        while (from + bad < found && !atomic_compare_exchange_weak(&job->found, &found, from + bad)) {}
        return;
    }
}

size_t ra_tensor_find_not_finite(const ra_tensor *tensor, ra_pool *pool) {
    finite_job job = {.tensor = tensor, .elements = ra_tensor_elements(tensor)};
    atomic_init(&job.found, job.elements);
    ra_pool_run(pool, ra_pool_parts(job.elements, PART), finite_part, &job);
    return atomic_load(&job.found);
}

/* ---- standardization ----------------------------------------------------------------------------------- */

RA_MULTIVERSION static void standardize(float *restrict x, const float *restrict mean,
                                        const float *restrict scale, size_t d) {
    for (size_t j = 0; j < d; j++) x[j] = (x[j] - mean[j]) / scale[j];
}

RA_MULTIVERSION static void unstandardize(float *restrict x, const float *restrict mean,
                                          const float *restrict scale, size_t d) {
    for (size_t j = 0; j < d; j++) x[j] = x[j] * scale[j] + mean[j];
}

void ra_standardize_rows(float *x, size_t rows, size_t d, const float *mean, const float *scale) {
    for (size_t i = 0; i < rows; i++) standardize(x + i * d, mean, scale, d);
}

void ra_unstandardize_rows(float *x, size_t rows, size_t d, const float *mean, const float *scale) {
    for (size_t i = 0; i < rows; i++) unstandardize(x + i * d, mean, scale, d);
}
