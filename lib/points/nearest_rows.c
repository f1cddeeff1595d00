/* The nearest rows of each point. The rows are read once, in order; each point keeps the R nearest so far,
 * and only a row that can be nearer than the farthest of these is computed exactly (scores.h). Where it pays, scores are
 * bounds from below, of products in 8 bits (tensor/coarse.h). */
#include "points/nearest.h"
#include "points/scores.h"
#include "ra_memory.h"
#include "tensor/turn.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    PART_POINTS = 16,
    COARSE_POINTS = 128,          /* that a part multiplies in 8 bits */
    COARSE_DIMENSIONS_LEAST = 64, /* with fewer of either, rounding takes longer than it saves */
    COARSE_POINTS_LEAST = 256,
    COMPUTED_SHARE = 32, /* one distance of so many pairs: with more of them, float32 takes less time */
};

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

typedef struct rows_job {
    const ra_nearest *nearest;
    size_t row, rows;    /* the tile: rows of the chunk from `row` on ... */
    size_t first, count; /* ... and these points; score is [count, rows] */
    size_t R;
    int32_t *row_of;  /* [N,R] so far, the nearest first; -1: none yet */
    double *distance; /* [N,R] squared; INFINITY: none yet */
    bool coarse;
    ra_coarse rows_in_columns, points; /* the rows of a tile, all points; {0} unless `coarse` */
    uint64_t *computed;                /* [N] distances of the chunk */
} rows_job;

/* Rows come in ascending order, so a new row goes after those at the same distance. */
static void keep_row(int32_t *row, double *distance, size_t R, int32_t new_row, double new_distance) {
    size_t at = R - 1;
    for (; at > 0 && distance[at - 1] > new_distance; at--) {
        distance[at] = distance[at - 1];
        row[at] = row[at - 1];
    }
    distance[at] = new_distance;
    row[at] = new_row;
}

static void search_point(const rows_job *job, size_t p) {
    const ra_nearest *nearest = job->nearest;
    const ra_row_reader *reader = &nearest->reader;
    size_t d = reader->dimensions, n = job->rows, point = job->first + p;
    double share = nearest->points.share, norm = nearest->points.norm[point];
    const float *score = nearest->score + p * n;
    int32_t *row = job->row_of + point * job->R;
    double *kept = job->distance + point * job->R, *worst = kept + job->R - 1;
    float limit = ra_filter_limit(*worst, norm, share);
    for (size_t i = ra_filter_next(score, nearest->query_low, 0, n, limit); i < n;
         i = ra_filter_next(score, nearest->query_low, i + 1, n, limit)) {
        job->computed[point]++;
        double distance =
            ra_squared_distance(reader->chunk + (job->row + i) * d, nearest->points.vector + point * d, d);
        if (!(distance < *worst)) continue;
        keep_row(row, kept, job->R, (int32_t)(reader->first + job->row + i), distance);
        limit = ra_filter_limit(*worst, norm, share);
    }
}

static void rows_part(void *context, size_t part) {
    const rows_job *job = context;
    size_t from = part * PART_POINTS;
    for (size_t p = from; p < from + PART_POINTS && p < job->count; p++) search_point(job, p);
}

static void score_part(void *context, size_t part) {
    const rows_job *job = context;
    size_t blocks = ra_pool_parts(job->count, COARSE_POINTS), panel = part / blocks,
           from = part % blocks * COARSE_POINTS, end = least(from + COARSE_POINTS, job->count);
    ra_coarse_scores(&job->rows_in_columns, panel, &job->points, job->first + from, job->first + end, true,
                     job->nearest->score + from * job->rows + panel * RA_COARSE_PANEL, job->rows);
}

/* nearest->score <- bounds of the tile. */
static void score_coarsely(ra_nearest *nearest, rows_job *job) {
    size_t panels = ra_pool_parts(job->rows, RA_COARSE_PANEL),
           blocks = ra_pool_parts(job->count, COARSE_POINTS);
    ra_pool_run(nearest->reader.pool, panels * blocks, score_part, job);
}

/* Once a chunk. In the first one, every point must find its first rows. */
static void judge(rows_job *job, size_t first) {
    size_t N = job->nearest->points.count, count = job->nearest->reader.count;
    uint64_t computed = 0;
    for (size_t p = 0; p < N; p++) computed += job->computed[p];
    if (first && computed > (uint64_t)N * count / COMPUTED_SHARE) job->coarse = false;
    memset(job->computed, 0, N * sizeof *job->computed);
}

static ra_status prepare_coarse(ra_nearest *nearest, rows_job *job, ra_error *err) {
    const ra_point_set *points = &nearest->points;
    size_t d = points->dimensions;
    if (!ra_backend_host_memory(nearest->backend) || d < COARSE_DIMENSIONS_LEAST ||
        points->count < COARSE_POINTS_LEAST || !ra_coarse_pays(d))
        return RA_OK;
    RA_TRY(ra_coarse_init(&job->points, false, points->count, d, err));
    RA_TRY(ra_coarse_init(&job->rows_in_columns, true, least(nearest->reader.rows, RA_NEAREST_TILE_ROWS), d,
                          err));
    job->points.turned = job->rows_in_columns.turned = ra_turn_pays(points->centered, points->count, d);
    ra_coarse_round(&job->points, nearest->reader.pool, points->centered, points->count);
    job->coarse = true;
    return RA_OK;
}

static ra_status search_chunk(ra_nearest *nearest, rows_job *job, ra_error *err) {
    size_t d = nearest->reader.dimensions;
    double share = nearest->points.share;
    const float *points;
    RA_TRY(ra_point_set_upload(&nearest->points, nearest->backend, &points, err));
    for (job->row = 0; job->row < nearest->reader.count; job->row += job->rows) {
        job->rows = least(nearest->reader.count - job->row, RA_NEAREST_TILE_ROWS);
        ra_row_reader_center(&nearest->reader, job->row, NULL, job->rows, nearest->query,
                             nearest->query_norm);
        for (size_t i = 0; i < job->rows; i++)
            nearest->query_low[i] = ra_filter_low(nearest->query_norm[i], share);
        RA_TRY(ra_uploaded_set(&nearest->uploaded, nearest->backend, nearest->query, job->rows * d, err));
        if (job->coarse)
            ra_coarse_round(&job->rows_in_columns, nearest->reader.pool, nearest->query, job->rows);
        for (job->first = 0; job->first < nearest->points.count; job->first += job->count) {
            job->count = least(nearest->points.count - job->first, RA_NEAREST_TILE_POINTS);
            if (job->coarse)
                score_coarsely(nearest, job);
            else
                RA_TRY(ra_scores(&nearest->memory, nearest->backend, points + job->first * d, job->count,
                                 nearest->uploaded.vectors, job->rows, d, nearest->score, err));
            ra_pool_run(nearest->reader.pool, ra_pool_parts(job->count, PART_POINTS), rows_part, job);
        }
    }
    return RA_OK;
}

ra_status ra_nearest_rows(ra_nearest *nearest, size_t R, int32_t *row, float *distance, ra_error *err) {
    ra_row_reader *reader = &nearest->reader;
    size_t entries = nearest->points.count * R;
    double *squared = ra_malloc(entries, sizeof *squared);
    if (!squared) RA_FAIL_MEMORY(err, "the distances of the nearest rows", entries * sizeof *squared);
    for (size_t i = 0; i < entries; i++) {
        row[i] = -1;
        squared[i] = INFINITY;
    }
    rows_job job = {.nearest = nearest, .R = R, .row_of = row, .distance = squared};
    job.computed = ra_calloc(nearest->points.count, sizeof *job.computed);
    ra_status status = job.computed
                           ? prepare_coarse(nearest, &job, err)
                           : ra_error_set(err, RA_ERR_MEMORY, "out of memory: the nearest rows of %zu points",
                                          nearest->points.count);
    for (size_t first = 0; first < reader->rows && status == RA_OK; first += reader->count) {
        ra_row_reader_load(reader, first);
        status = search_chunk(nearest, &job, err);
        if (job.coarse) judge(&job, first);
    }
    for (size_t i = 0; i < entries; i++)
        distance[i] = row[i] < 0 ? 0 : (float)fmin(sqrt(squared[i]), (double)FLT_MAX);
    ra_free(squared);
    ra_free(job.computed);
    ra_coarse_release(&job.points);
    ra_coarse_release(&job.rows_in_columns);
    return status;
}
