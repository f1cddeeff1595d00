/* Z^T Z and metrics of it.
 *
 * A row of codes with k active latents adds to k^2 / 2 entries of a matrix that is too large for any cache.
 * So the codes are sorted by latent first, and each latent's row of the matrix (80 kB for K = 10,000) gets
 * all its terms at once. Rows of the matrix are independent; threads divide them.
 *
 * The interference of two atoms is their dot product weighted by how strongly they are active together; D D^T
 * is computed a tile at a time. The matrix of interference is symmetric without a negative entry, so its
 * spectral norm is its largest eigenvalue (Perron and Frobenius), which Lanczos' method finds. */
#include "metrics/pairs.h"
#include "ra_memory.h"
#include "base/multiversion.h"
#include "metrics/codes.h"
#include "metrics/lanczos.h"
#include "metrics/unit.h"

#include <math.h>
#include <string.h>

enum { PART_LATENTS = 16, TILE_ROWS = 256 };

static const double CERTAIN = 1 - 1e-12; /* leaves room for rounding */

/* ---- memory ------------------------------------------------------------------------------------------- */

void ra_pairs_init(ra_pairs *pairs, size_t latents, size_t bytes) {
    *pairs = (ra_pairs){.latents = latents, .bytes = bytes};
}

void ra_pairs_release(ra_pairs *pairs) {
    ra_free(pairs->value);
    ra_shift_release(&pairs->shift);
    ra_free(pairs->square);
    ra_free(pairs->start);
    ra_free(pairs->row);
    ra_free(pairs->code);
    *pairs = (ra_pairs){0};
}

/* How many numbers the rows [first, i) of the triangle have. */
static size_t rows_before(size_t latents, size_t first, size_t i) {
    return (i - first) * (latents - first) - (i - first) * (i - first > 0 ? i - first - 1 : 0) / 2;
}

size_t ra_pairs_triangle(size_t latents) {
    size_t square;
    return __builtin_mul_overflow(latents, latents + 1, &square) ? SIZE_MAX : square / 2;
}

static double *row_of(const ra_pairs *pairs, size_t i) {
    return pairs->value + rows_before(pairs->latents, pairs->first, i);
}

ra_status ra_pairs_begin(ra_pairs *pairs, ra_error *err) {
    size_t K = pairs->latents, most = pairs->bytes / sizeof *pairs->value, first = pairs->end;
    size_t end = first, numbers = 0;
    while (end < K && (end == first || numbers + (K - end) <= most)) numbers += K - end++;
    pairs->first = first;
    pairs->end = end;
    if (numbers > pairs->capacity) {
        ra_free(pairs->value);
        pairs->capacity = 0;
        pairs->value = ra_malloc(numbers, sizeof *pairs->value);
        if (!pairs->value) RA_FAIL_MEMORY(err, "Z^T Z of the codes", numbers * sizeof *pairs->value);
        pairs->capacity = numbers;
    }
    if (!pairs->start) pairs->start = ra_malloc(K + 1, sizeof *pairs->start);
    if (!pairs->start) RA_FAIL_MEMORY(err, "the codes by latent", (K + 1) * sizeof *pairs->start);
    if (!pairs->square) pairs->square = ra_malloc(K, sizeof *pairs->square);
    if (!pairs->square) RA_FAIL_MEMORY(err, "the squares of codes", K * sizeof *pairs->square);
    memset(pairs->value, 0, numbers * sizeof *pairs->value);
    memset(pairs->square, 0, K * sizeof *pairs->square);
    return RA_OK;
}

static ra_status reserve(ra_pairs *pairs, size_t entries, ra_error *err) {
    if (entries <= pairs->entry_capacity) return RA_OK;
    size_t capacity = entries + entries / 2;
    ra_free(pairs->row);
    ra_free(pairs->code);
    pairs->entry_capacity = 0;
    pairs->row = ra_malloc(capacity, sizeof *pairs->row);
    pairs->code = ra_malloc(capacity, sizeof *pairs->code);
    if (!pairs->row || !pairs->code)
        RA_FAIL_MEMORY(err, "the codes by latent", capacity * (sizeof(uint32_t) + sizeof(float)));
    pairs->entry_capacity = capacity;
    return RA_OK;
}

/* ---- codes ------------------------------------------------------------------------------------------- */

typedef struct add_job {
    ra_pairs *pairs;
    const ra_codes *codes;
} add_job;

static void add_part(void *context, size_t part) {
    const add_job *job = context;
    const ra_pairs *pairs = job->pairs;
    const ra_codes *codes = job->codes;
    size_t from = pairs->first + part * PART_LATENTS;
    for (size_t i = from; i < from + PART_LATENTS && i < pairs->end; i++) {
        double *sum = row_of(pairs, i); /* from the diagonal on */
        for (size_t p = pairs->start[i]; p < pairs->start[i + 1]; p++) {
            double value = (double)pairs->code[p];
            size_t b = pairs->row[p];
            for (size_t e = codes->start[b + 1]; e-- > codes->start[b] && (size_t)codes->index[e] >= i;)
                sum[(size_t)codes->index[e] - i] += value * (double)codes->value[e];
        }
    }
}

ra_status ra_pairs_add(ra_pairs *pairs, ra_pool *pool, const ra_codes *codes, ra_error *err) {
    RA_TRY(ra_shift_choose(&pairs->shift, codes, err));
    RA_TRY(ra_shift_apply(&pairs->shift, codes, &codes, err));
    for (size_t e = 0; e < ra_codes_entries(codes); e++)
        pairs->square[codes->index[e]] += (double)codes->value[e] * (double)codes->value[e];
    RA_TRY(reserve(pairs, ra_codes_entries(codes), err));
    ra_codes_by_latent(codes, codes->value, pairs->start, pairs->row, pairs->code);
    add_job job = {pairs, codes};
    ra_pool_run(pool, ra_pool_parts(pairs->end - pairs->first, PART_LATENTS), add_part, &job);
    return RA_OK;
}

/* ---- metrics ---------------------------------------------------------------------------------------- */

typedef struct measure_job {
    const ra_pairs *pairs;
    const ra_latent_sums *sums;
    const double *shift;         /* [K] of the codes in `pairs` */
    const double *mean, *square; /* [K] of the codes; the sum of squares about it */
    const double *inverse;       /* [K] 1 / the root of that; 0 if it is 0 */
    const float *dot;            /* [rows, columns] of D D^T: rows from i0 on, columns from j0 on */
    size_t i0, rows, j0, columns;
    float *interference;
    ra_pairs_result part[TILE_ROWS];
} measure_job;

/* The sum of z_i z_j from that of shifted codes. Shifts leave rounding errors where the sum is zero. */
static double unshifted(const measure_job *job, double sum, size_t i, size_t j) {
    static const double rounding = 1e-12;
    double a = job->shift[i], b = job->shift[j];
    if (a == 0 && b == 0) return sum;
    double cross = a * job->sums->sum[j] + b * job->sums->sum[i], square = a * b * (double)job->sums->rows;
    double whole = sum + cross - square;
    return fabs(whole) > rounding * (fabs(sum) + fabs(cross) + fabs(square)) ? whole : 0;
}

/* One row of a tile, from the diagonal on: the matrix is symmetric. Most correlations are certainly not the largest. */
static void measure_row(void *context, size_t part) {
    measure_job *job = context;
    const ra_pairs *pairs = job->pairs;
    size_t i = job->i0 + part, from = job->j0 > i ? job->j0 : i, end = job->j0 + job->columns;
    double rows = (double)job->sums->rows;
    const double *value = row_of(pairs, i);
    ra_pairs_result sum = {0};
    for (size_t j = from; j < end; j++) {
        double together = unshifted(job, value[j - i], i, j), twice = j == i ? 1 : 2;
        double product = -together * (double)job->dot[part * job->columns + (j - job->j0)],
               opposed = product > 0 ? product : 0;
        sum.together += together != 0 ? twice : 0;
        sum.interference_square += twice * opposed * opposed;
        if (job->interference)
            job->interference[rows_before(pairs->latents, pairs->first, i) + (j - i)] = (float)opposed;
        if (j == i || rows < 2) continue;
        double covariance =
            value[j - i] - rows * (job->mean[i] - job->shift[i]) * (job->mean[j] - job->shift[j]);
        if (fabs(covariance) * job->inverse[i] * job->inverse[j] < sum.correlation * CERTAIN) continue;
        sum.correlation = fmax(sum.correlation, ra_correlation_of(covariance, job->square[i], job->square[j],
                                                                  rows, job->mean[i], job->mean[j]));
    }
    job->part[part] = sum;
}

static ra_status measure_tile(measure_job *job, ra_backend *backend, const float *D, size_t d, float *dot,
                              ra_pairs_result *result, ra_error *err) {
    RA_TRY(ra_products(backend, D + job->i0 * d, job->rows, D + job->j0 * d, job->columns, d, dot, err));
    ra_pool_run(ra_backend_pool(backend), job->rows, measure_row, job);
    for (size_t r = 0; r < job->rows; r++) {
        result->together += job->part[r].together;
        result->interference_square += job->part[r].interference_square;
        result->correlation = fmax(result->correlation, job->part[r].correlation);
    }
    return RA_OK;
}

static void fill_moments(const ra_pairs *pairs, const ra_latent_sums *sums, double *shift, double *mean,
                         double *square, double *inverse) {
    double rows = (double)sums->rows;
    for (size_t k = 0; k < sums->latents; k++) {
        shift[k] = pairs->shift.by ? (double)pairs->shift.by[k] : 0;
        mean[k] = sums->sum[k] / rows;
        double gap = mean[k] - shift[k];
        square[k] = fmax(0, pairs->square[k] - rows * gap * gap);
        inverse[k] = square[k] > 0 ? 1 / sqrt(square[k]) : 0;
    }
}

ra_status ra_pairs_measure(const ra_pairs *pairs, ra_backend *backend, const ra_latent_sums *sums,
                           const float *D, size_t d, float *interference, ra_pairs_result *result,
                           ra_error *err) {
    size_t K = pairs->latents, tile = K < RA_TILE ? K : RA_TILE;
    double *shift = ra_malloc(4 * K, sizeof *shift);
    float *dot = ra_malloc(TILE_ROWS * tile, sizeof *dot);
    measure_job *job = ra_calloc(1, sizeof *job);
    ra_status status = RA_OK;
    if (shift && dot && job) {
        double *mean = shift + K, *square = mean + K, *inverse = square + K;
        fill_moments(pairs, sums, shift, mean, square, inverse);
        *job = (measure_job){
            .pairs = pairs, .sums = sums, .shift = shift, .mean = mean, .square = square, .inverse = inverse};
        job->dot = dot;
        job->interference = interference;
        for (job->i0 = pairs->first; job->i0 < pairs->end && status == RA_OK; job->i0 += TILE_ROWS) {
            job->rows = pairs->end - job->i0 < TILE_ROWS ? pairs->end - job->i0 : TILE_ROWS;
            for (job->j0 = job->i0; job->j0 < K && status == RA_OK; job->j0 += tile) {
                job->columns = K - job->j0 < tile ? K - job->j0 : tile;
                status = measure_tile(job, backend, D, d, dot, result, err);
            }
        }
    } else {
        status =
            ra_error_set(err, RA_ERR_MEMORY, "out of memory: the metrics of pairs of latents need %zu bytes",
                         4 * K * sizeof *shift + TILE_ROWS * tile * sizeof *dot + sizeof *job);
    }
    ra_free(shift);
    ra_free(dot);
    ra_free(job);
    return status;
}

/* ---- the norm of the interference --------------------------------------------------------------------- */

enum { NORM_PARTS = 16 };

typedef struct norm_job {
    const float *triangle;
    size_t n;
    const double *v;
    double *partial; /* [NORM_PARTS,n] */
} norm_job;

RA_MULTIVERSION static double multiply_row(const float *restrict row, const double *restrict v, double scale,
                                           double *restrict w, size_t n) {
    double lane[16] = {0}, sum = 0;
    size_t j = 0;
    for (; j + 16 <= n; j += 16)
        for (size_t l = 0; l < 16; l++) {
            lane[l] += (double)row[j + l] * v[j + l];
            w[j + l] += scale * (double)row[j + l];
        }
    for (; j < n; j++) {
        sum += (double)row[j] * v[j];
        w[j] += scale * (double)row[j];
    }
    for (size_t l = 0; l < 16; l++) sum += lane[l];
    return sum;
}

/* Every NORM_PARTS-th row: rows get shorter, and so the parts are of similar size. */
static void norm_part(void *context, size_t part) {
    const norm_job *job = context;
    size_t n = job->n;
    double *w = job->partial + part * n;
    memset(w, 0, n * sizeof *w);
    for (size_t i = part; i < n; i += NORM_PARTS) {
        const float *row = job->triangle + rows_before(n, 0, i);
        w[i] += (double)row[0] * job->v[i];
        if (i + 1 < n) w[i] += multiply_row(row + 1, job->v + i + 1, job->v[i], w + i + 1, n - i - 1);
    }
}

typedef struct norm_context {
    ra_pool *pool;
    norm_job job;
} norm_context;

static void multiply(void *context, const double *v, double *product) {
    norm_context *norm = context;
    size_t n = norm->job.n;
    norm->job.v = v;
    ra_pool_run(norm->pool, NORM_PARTS, norm_part, &norm->job);
    for (size_t i = 0; i < n; i++) {
        product[i] = 0;
        for (size_t p = 0; p < NORM_PARTS; p++) product[i] += norm->job.partial[p * n + i];
    }
}

ra_status ra_pairs_norm(ra_pool *pool, const float *triangle, size_t n, double *value, ra_error *err) {
    double *partial = ra_malloc(NORM_PARTS * n, sizeof *partial);
    if (!partial) RA_FAIL_MEMORY(err, "the norm of the interference", NORM_PARTS * n * sizeof *partial);
    norm_context norm = {pool, {.triangle = triangle, .n = n, .partial = partial}};
    ra_status status = ra_lanczos_largest(multiply, &norm, n, value, err);
    ra_free(partial);
    return status;
}
