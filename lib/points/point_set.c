#include "points/point_set.h"
#include "points/scores.h"
#include "ra_memory.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>

enum { PART_POINTS = 64 };

ra_status ra_point_set_init(ra_point_set *set, const ra_backend *backend, size_t capacity, size_t d,
                            size_t of, ra_error *err) {
    *set = (ra_point_set){.capacity = capacity, .dimensions = d, .share = ra_filter_share(backend, d)};
    set->centered = ra_malloc(capacity * d, sizeof *set->centered);
    set->norm = ra_malloc(capacity, sizeof *set->norm);
    set->low = ra_calloc(2 * capacity, sizeof *set->low);
    bool complete = set->centered && set->norm && set->low;
    if (complete) set->high = set->low + capacity;
    if (of) {
        set->index = ra_malloc(capacity, sizeof *set->index);
        set->position = ra_malloc(of, sizeof *set->position);
        complete = complete && set->index && set->position;
        for (size_t i = 0; complete && i < of; i++) set->position[i] = -1;
    }
    if (complete) return RA_OK;
    ra_point_set_release(set);
    RA_FAIL_MEMORY(err, "the points of a search", capacity * d * sizeof(float));
}

void ra_point_set_release(ra_point_set *set) {
    ra_free(set->index);
    ra_free(set->position);
    ra_free(set->centered);
    ra_free(set->norm);
    ra_free(set->low); /* with `high` */
    ra_buffer_release(&set->uploaded.memory);
    ra_buffer_release(&set->bounds.memory);
    ra_coarse_release(&set->rounded);
    *set = (ra_point_set){0};
}

typedef struct fill_job {
    ra_point_set *set;
    const float *mean;
} fill_job;

static void fill_part(void *context, size_t part) {
    const fill_job *job = context;
    const ra_point_set *set = job->set;
    size_t d = set->dimensions, from = part * PART_POINTS;
    for (size_t p = from; p < from + PART_POINTS && p < set->count; p++) {
        float *centered = set->centered + p * d;
        for (size_t j = 0; j < d; j++) centered[j] = set->vector[p * d + j] - job->mean[j];
        set->norm[p] = ra_dot_f64(centered, centered, d);
        set->low[p] = ra_filter_low(set->norm[p], set->share);
        set->high[p] = ra_filter_high(set->norm[p], set->share);
    }
}

/* Completes a set that has new points. */
static void find_wild(ra_point_set *set) {
    set->wild = set->is_uploaded = set->is_rounded = false;
    for (size_t p = 0; p < set->count && !set->wild; p++) set->wild = ra_filter_wild(set->norm[p]);
}

void ra_point_set_fill(ra_point_set *set, ra_pool *pool, const float *vectors, size_t count,
                       const float *mean) {
    set->vector = vectors;
    set->count = count;
    fill_job job = {set, mean};
    ra_pool_run(pool, ra_pool_parts(count, PART_POINTS), fill_part, &job);
    find_wild(set);
}

void ra_point_set_select(ra_point_set *set, const ra_point_set *whole, const int32_t *index, size_t count) {
    size_t d = set->dimensions;
    for (size_t i = 0; i < set->count; i++) set->position[set->index[i]] = -1;
    set->vector = whole->vector;
    set->count = count;
    for (size_t i = 0; i < count; i++) {
        size_t p = (size_t)index[i];
        set->index[i] = index[i];
        set->position[p] = (int32_t)i;
        memcpy(set->centered + i * d, whole->centered + p * d, d * sizeof *set->centered);
        set->norm[i] = whole->norm[p];
        set->low[i] = whole->low[p];
        set->high[i] = whole->high[p];
    }
    find_wild(set);
}

ra_status ra_point_set_upload(ra_point_set *set, ra_backend *backend, const float **vectors, ra_error *err) {
    if (!set->is_uploaded)
        RA_TRY(ra_uploaded_set(&set->uploaded, backend, set->centered, set->count * set->dimensions, err));
    if (!set->is_uploaded && !ra_backend_host_memory(backend))
        RA_TRY(ra_uploaded_set(&set->bounds, backend, set->low, 2 * set->capacity, err));
    set->is_uploaded = true;
    *vectors = set->uploaded.vectors;
    return RA_OK;
}

ra_status ra_point_set_round(ra_point_set *set, ra_pool *pool, bool turned, ra_error *err) {
    if (!set->rounded.capacity)
        RA_TRY(ra_coarse_init(&set->rounded, true, set->capacity, set->dimensions, err));
    if (set->is_rounded) return RA_OK;
    set->rounded.turned = turned;
    ra_coarse_round(&set->rounded, pool, set->centered, set->count);
    set->is_rounded = set->rounds = true;
    for (size_t p = 0; p < set->count; p++) set->rounds &= set->rounded.error[p] < INFINITY;
    return RA_OK;
}
