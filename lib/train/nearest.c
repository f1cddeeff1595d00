/* Nearest neighbours at the speed of matrix products, exactly.
 *
 * The squared distance of x and c is ||x||^2 + ||c||^2 - 2 x.c, and the products x.c of a whole tile of pairs
 * are one gemm. But that form cancels: in float32 two vectors that differ by little have a distance made of
 * rounding errors, equal distances come out different, and which of two is smaller depends on where in the
 * tile they stood. So the products are a filter only. With u = 2^-24 and e = (d + 16) u, about,
 *
 *     | computed - exact | <= e (||x||^2 + ||c||^2)
 *
 * holds whatever the order of the sums in gemm: d u for the sum of d products (and 2 |x||c| <= x^2 + c^2),
 * the rest for the roundings around it. `low` = (1 - e) ||c||^2 and `high` = (1 + e) ||c||^2 put the c-part
 * of the bound into the score, the x-part goes into the limit. A pair whose lower bound is above the least
 * upper bound cannot win; the others, two or three of ten thousand, are computed in float64 from the vectors
 * as they are.
 *
 * All products are taken about the mean of the data: distances do not change, but norms, and with them the
 * bound, become as small as they can. Squares that leave float32's range get bounds of infinity, so such
 * vectors are always computed exactly; nothing else in here cares about them. */
#include "train/nearest.h"
#include "base/error.h"
#include "base/multiversion.h"
#include "tensor/dot.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    TILE_POINTS = 4096, /* of one gemm, with a block of rows: 16 MiB of scores */
    SCAN = 64,          /* scores looked at together */
    PART_ROWS = 16,     /* rows, or points, of one part of a parallel loop */
    LANES = 16,
};

static const double largest_norm = 1e37; /* squared; beyond it sums in float32 may overflow */

static double error_share(size_t d) {
    return 1.1 * ((double)d + 16) * 0x1p-24;
}

/* A bound in float32 that is on the safe side of the float64 one. FLT_MIN covers what underflow may lose. */
static float round_down(double value) {
    return nextafterf((float)(value - (double)FLT_MIN), -INFINITY);
}

static float round_up(double value) {
    return nextafterf((float)(value + (double)FLT_MIN), INFINITY);
}

static float low_bound(double norm, double share) {
    return norm > largest_norm ? -INFINITY : round_down(norm * (1 - share));
}

static float high_bound(double norm, double share) {
    return norm > largest_norm ? INFINITY : round_up(norm * (1 + share));
}

/* ---- life --------------------------------------------------------------------------------------------- */

ra_status ra_nearest_init(ra_nearest *nearest, ra_backend *backend, const ra_data *data, size_t points,
                          ra_error *err) {
    size_t rows = ra_data_rows(data), d = ra_data_dimensions(data);
    *nearest = (ra_nearest){.backend = backend, .points = points};
    if (!ra_backend_operations(backend)->host_memory)
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "searching nearest rows needs a CPU backend, got %s",
                ra_backend_name(backend));
    if (rows > INT32_MAX || points > INT32_MAX)
        RA_FAIL(
            err, RA_ERR_TOO_LARGE,
            "the data have %zu rows and %zu points are wanted; nearest rows can be found among at most %d",
            rows, points, INT32_MAX);
    RA_TRY(ra_row_block_init(&nearest->block, ra_backend_pool(backend), data, err));
    size_t block = rows < RA_BLOCK_ROWS ? rows : RA_BLOCK_ROWS;
    size_t tile = points < TILE_POINTS ? points : TILE_POINTS;
    nearest->centred = ra_malloc(points * d, sizeof *nearest->centred);
    nearest->norm = ra_malloc(points, sizeof *nearest->norm);
    nearest->low = ra_malloc(points, sizeof *nearest->low);
    nearest->high = ra_malloc(points, sizeof *nearest->high);
    nearest->row_low = ra_malloc(block, sizeof *nearest->row_low);
    nearest->score = ra_malloc(block * tile, sizeof *nearest->score);
    if (nearest->centred && nearest->norm && nearest->low && nearest->high && nearest->row_low &&
        nearest->score)
        return RA_OK;
    ra_nearest_release(nearest);
    RA_FAIL_MEMORY(err, "the search for nearest rows", (points * d + block * tile) * sizeof(float));
}

void ra_nearest_release(ra_nearest *nearest) {
    ra_row_block_release(&nearest->block);
    ra_free(nearest->centred);
    ra_free(nearest->norm);
    ra_free(nearest->low);
    ra_free(nearest->high);
    ra_free(nearest->row_low);
    ra_free(nearest->score);
    *nearest = (ra_nearest){0};
}

void ra_nearest_set(ra_nearest *nearest, const float *vectors, size_t first, size_t count) {
    size_t d = nearest->block.dimensions;
    double share = error_share(d);
    nearest->vector = vectors;
    for (size_t p = first; p < first + count; p++) {
        float *centred = nearest->centred + p * d;
        for (size_t j = 0; j < d; j++) centred[j] = vectors[p * d + j] - nearest->block.mean[j];
        nearest->norm[p] = ra_dot_f64(centred, centred, d);
        nearest->low[p] = low_bound(nearest->norm[p], share);
        nearest->high[p] = high_bound(nearest->norm[p], share);
    }
}

/* ---- the filter --------------------------------------------------------------------------------------- */

/* The least of score + high. A NaN, which only vectors out of range can make, never is. */
RA_MULTIVERSION static float least_upper(const float *restrict score, const float *restrict high, size_t n) {
    float lane[LANES], least = INFINITY;
    size_t i = 0;
    for (size_t l = 0; l < LANES; l++) lane[l] = INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            float upper = score[i + l] + high[i + l];
            lane[l] = upper < lane[l] ? upper : lane[l];
        }
    for (; i < n; i++) {
        float upper = score[i] + high[i];
        least = upper < least ? upper : least;
    }
    for (size_t l = 0; l < LANES; l++) least = lane[l] < least ? lane[l] : least;
    return least;
}

/* Whether score + low may be as small as the limit; written so that a NaN may. */
RA_MULTIVERSION static bool any_within(const float *restrict score, const float *restrict low, float limit) {
    uint32_t found = 0;
    for (size_t i = 0; i < SCAN; i++) found |= !(score[i] + low[i] > limit);
    return found;
}

/* The next i in [from, n) whose score + low may be as small as the limit; n when there is none. */
static size_t next_within(const float *score, const float *low, size_t from, size_t n, float limit) {
    while (from < n) {
        if (from % SCAN == 0 && n - from >= SCAN && !any_within(score + from, low + from, limit)) {
            from += SCAN;
            continue;
        }
        if (!(score[from] + low[from] > limit)) return from;
        from++;
    }
    return n;
}

/* Scores above this cannot lead to a squared distance below `bar`, for a vector of this squared norm. */
static float limit_of(double bar, double norm, double share) {
    if (norm > largest_norm) return INFINITY;
    return round_up(bar - norm * (1 - share));
}

/* ---- the nearest point of each row -------------------------------------------------------------------- */

typedef struct point_job {
    const ra_nearest *nearest;
    size_t first, count; /* points of the tile; score is [rows of the block, count] */
    int32_t *label;
    double *distance;
} point_job;

static void search_row(const point_job *job, size_t i) {
    const ra_nearest *nearest = job->nearest;
    const ra_row_block *block = &nearest->block;
    size_t d = block->dimensions;
    double share = error_share(d), norm = block->norm[i], bar = job->distance[i];
    const float *score = nearest->score + i * job->count, *low = nearest->low + job->first;
    /* some point is no farther than this, so none that is farther can win */
    double reached = norm * (1 + share) + (double)least_upper(score, nearest->high + job->first, job->count);
    float limit = limit_of(reached < bar ? reached : bar, norm, share);
    for (size_t p = next_within(score, low, 0, job->count, limit); p < job->count;
         p = next_within(score, low, p + 1, job->count, limit)) {
        size_t point = job->first + p;
        double distance = ra_squared_distance(block->raw + i * d, nearest->vector + point * d, d);
        if (!(distance < job->distance[i])) continue;
        job->distance[i] = distance;
        job->label[i] = (int32_t)point;
    }
}

static void point_part(void *context, size_t part) {
    const point_job *job = context;
    size_t rows = job->nearest->block.count, from = part * PART_ROWS;
    for (size_t i = from; i < from + PART_ROWS && i < rows; i++) search_row(job, i);
}

ra_status ra_nearest_point(ra_nearest *nearest, size_t first, size_t count, int32_t *label, double *distance,
                           ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(nearest->backend);
    const ra_row_block *block = &nearest->block;
    size_t d = block->dimensions;
    for (size_t from = first; from < first + count; from += TILE_POINTS) {
        size_t rest = first + count - from, tile = rest < TILE_POINTS ? rest : TILE_POINTS;
        RA_TRY(ops->gemm(ra_backend_self(nearest->backend), NULL, false, true, block->count, tile, d, -2,
                         block->centred, d, nearest->centred + from * d, d, 0, nearest->score, tile, err));
        point_job job = {nearest, from, tile, label, distance};
        ra_pool_run(block->pool, (block->count + PART_ROWS - 1) / PART_ROWS, point_part, &job);
    }
    return RA_OK;
}

/* ---- the nearest rows of each point ------------------------------------------------------------------- */

typedef struct rows_job {
    const ra_nearest *nearest;
    size_t first, count; /* points of the tile; score is [count, rows of the block] */
    size_t R;
    int32_t *row;     /* [N,R] so far, nearest first; -1 where there is none yet */
    double *distance; /* [N,R] squared; INFINITY where there is none yet */
} rows_job;

/* Rows come in rising order, so behind equals is the place of a new one. */
static void keep_row(int32_t *row, double *distance, size_t R, int32_t new_row, double new_distance) {
    size_t place = R - 1;
    for (; place > 0 && distance[place - 1] > new_distance; place--) {
        distance[place] = distance[place - 1];
        row[place] = row[place - 1];
    }
    distance[place] = new_distance;
    row[place] = new_row;
}

static void search_point(const rows_job *job, size_t p) {
    const ra_nearest *nearest = job->nearest;
    const ra_row_block *block = &nearest->block;
    size_t d = block->dimensions, n = block->count, point = job->first + p;
    double share = error_share(d), norm = nearest->norm[point];
    const float *score = nearest->score + p * n;
    int32_t *row = job->row + point * job->R;
    double *kept = job->distance + point * job->R, *worst = kept + job->R - 1;
    float limit = limit_of(*worst, norm, share);
    for (size_t i = next_within(score, nearest->row_low, 0, n, limit); i < n;
         i = next_within(score, nearest->row_low, i + 1, n, limit)) {
        double distance = ra_squared_distance(block->raw + i * d, nearest->vector + point * d, d);
        if (!(distance < *worst)) continue;
        keep_row(row, kept, job->R, (int32_t)(block->first + i), distance);
        limit = limit_of(*worst, norm, share);
    }
}

static void rows_part(void *context, size_t part) {
    const rows_job *job = context;
    size_t from = part * PART_ROWS;
    for (size_t p = from; p < from + PART_ROWS && p < job->count; p++) search_point(job, p);
}

static ra_status search_block(ra_nearest *nearest, size_t R, int32_t *row, double *distance, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(nearest->backend);
    const ra_row_block *block = &nearest->block;
    size_t d = block->dimensions;
    for (size_t i = 0; i < block->count; i++) nearest->row_low[i] = low_bound(block->norm[i], error_share(d));
    for (size_t first = 0; first < nearest->points; first += TILE_POINTS) {
        size_t rest = nearest->points - first, tile = rest < TILE_POINTS ? rest : TILE_POINTS;
        RA_TRY(ops->gemm(ra_backend_self(nearest->backend), NULL, false, true, tile, block->count, d, -2,
                         nearest->centred + first * d, d, block->centred, d, 0, nearest->score, block->count,
                         err));
        rows_job job = {nearest, first, tile, R, row, distance};
        ra_pool_run(block->pool, (tile + PART_ROWS - 1) / PART_ROWS, rows_part, &job);
    }
    return RA_OK;
}

ra_status ra_nearest_rows(ra_nearest *nearest, size_t R, int32_t *row, float *distance, ra_error *err) {
    ra_row_block *block = &nearest->block;
    size_t entries = nearest->points * R;
    double *squared = ra_malloc(entries, sizeof *squared);
    if (!squared) RA_FAIL_MEMORY(err, "the distances of the nearest rows", entries * sizeof *squared);
    for (size_t i = 0; i < entries; i++) {
        row[i] = -1;
        squared[i] = INFINITY;
    }
    ra_status status = RA_OK;
    for (size_t first = 0; first < block->rows && status == RA_OK; first += block->count) {
        ra_row_block_load(block, first);
        status = search_block(nearest, R, row, squared, err);
    }
    for (size_t i = 0; i < entries; i++)
        distance[i] = row[i] < 0 ? 0 : (float)fmin(sqrt(squared[i]), (double)FLT_MAX);
    ra_free(squared);
    return status;
}
