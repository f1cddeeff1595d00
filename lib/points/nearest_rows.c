/* The nearest rows of each point. The rows are read once, in order; each point keeps the R nearest so far,
 * and only a row that can be nearer than the farthest of these is computed exactly (scores.h). */
#include "points/nearest.h"
#include "points/scores.h"
#include "ra_memory.h"

#include <float.h>
#include <math.h>

enum { PART_POINTS = 16 };

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
        for (job->first = 0; job->first < nearest->points.count; job->first += job->count) {
            job->count = least(nearest->points.count - job->first, RA_NEAREST_TILE_POINTS);
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
    ra_status status = RA_OK;
    for (size_t first = 0; first < reader->rows && status == RA_OK; first += reader->count) {
        ra_row_reader_load(reader, first);
        status = search_chunk(nearest, &job, err);
    }
    for (size_t i = 0; i < entries; i++)
        distance[i] = row[i] < 0 ? 0 : (float)fmin(sqrt(squared[i]), (double)FLT_MAX);
    ra_free(squared);
    return status;
}
