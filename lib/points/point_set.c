#include "points/point_set.h"
#include "points/filter.h"
#include "ra_memory.h"
#include "tensor/vectors.h"

#include <string.h>

enum { PART_POINTS = 64 };

ra_status ra_point_set_init(ra_point_set *set, size_t capacity, size_t d, size_t of, ra_error *err) {
    *set = (ra_point_set){.capacity = capacity, .dimensions = d};
    set->centered = ra_malloc(capacity * d, sizeof *set->centered);
    set->norm = ra_malloc(capacity, sizeof *set->norm);
    set->low = ra_malloc(capacity, sizeof *set->low);
    set->high = ra_malloc(capacity, sizeof *set->high);
    bool complete = set->centered && set->norm && set->low && set->high;
    if (of) {
        set->index = ra_malloc(capacity, sizeof *set->index);
        set->place = ra_malloc(of, sizeof *set->place);
        complete = complete && set->index && set->place;
        for (size_t i = 0; complete && i < of; i++) set->place[i] = -1;
    }
    if (complete) return RA_OK;
    ra_point_set_release(set);
    RA_FAIL_MEMORY(err, "the points to search among", capacity * d * sizeof(float));
}

void ra_point_set_release(ra_point_set *set) {
    ra_free(set->index);
    ra_free(set->place);
    ra_free(set->centered);
    ra_free(set->norm);
    ra_free(set->low);
    ra_free(set->high);
    ra_buffer_release(&set->held.block);
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
    double share = ra_filter_share(d);
    for (size_t p = from; p < from + PART_POINTS && p < set->count; p++) {
        float *centered = set->centered + p * d;
        for (size_t j = 0; j < d; j++) centered[j] = set->vector[p * d + j] - job->mean[j];
        set->norm[p] = ra_dot_f64(centered, centered, d);
        set->low[p] = ra_filter_low(set->norm[p], share);
        set->high[p] = ra_filter_high(set->norm[p], share);
    }
}

/* The last of what is new about a set. */
static void find_wild(ra_point_set *set) {
    set->wild = set->is_held = false;
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

void ra_point_set_select(ra_point_set *set, const ra_point_set *all, const int32_t *index, size_t count) {
    size_t d = set->dimensions;
    for (size_t i = 0; i < set->count; i++) set->place[set->index[i]] = -1;
    set->vector = all->vector;
    set->count = count;
    for (size_t i = 0; i < count; i++) {
        size_t p = (size_t)index[i];
        set->index[i] = index[i];
        set->place[p] = (int32_t)i;
        memcpy(set->centered + i * d, all->centered + p * d, d * sizeof *set->centered);
        set->norm[i] = all->norm[p];
        set->low[i] = all->low[p];
        set->high[i] = all->high[p];
    }
    find_wild(set);
}

ra_status ra_point_set_hold(ra_point_set *set, ra_backend *backend, const float **vectors, ra_error *err) {
    if (!set->is_held)
        RA_TRY(ra_held_set(&set->held, backend, set->centered, set->count * set->dimensions, err));
    set->is_held = true;
    *vectors = set->held.vectors;
    return RA_OK;
}
