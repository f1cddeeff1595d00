/* Ward's hierarchy by chains of nearest neighbors (Murtagh 1983). From any group go to its nearest one, from there to
 * the nearest of that, and so on; distances along the chain only fall, so it ends with two groups that are nearest to
 * each other. These can be joined at once: with Ward's distance
 *
 *     d(a,b) = |a| |b| / (|a| + |b|) ||mean_a - mean_b||^2
 *
 * no other join changes that they are to be joined. The joins come in another order than by distance, but they are the
 * same; sorted by distance, the first n - K of them make the K groups.
 *
 * Rounding may let a chain come back to a group that it has left, in place of ending. The last step is then joined: it
 * was as short as any but for rounding.
 *
 * A search looks at the means of all groups; there are less than 3 n of them, in parts on the pool. No matrix of
 * distances is kept: for 64 runs of 5,000 atoms it would take 400 GB. */
#include "metrics/consensus/consensus.h"
#include "ra_memory.h"
#include "tensor/vectors.h"

#include <math.h>
#include <stdlib.h>

enum { PART = 256 };

typedef struct join {
    double distance;
    uint32_t a, b; /* rows that are in the two groups */
    uint32_t order;
} join;

typedef struct found {
    double distance;
    uint32_t at; /* place in `alive` */
} found;

typedef struct ward {
    size_t n, d, groups;
    float *mean;     /* [n,d] of the group that row i stands for */
    double *square;  /* [n] its squared norm */
    double *size;    /* [n] */
    uint32_t *alive; /* [groups] the rows that stand for groups */
    uint32_t *place; /* [n] of a row in `alive` */
    uint32_t *chain; /* [n] */
    uint32_t *link;  /* [n] where a row stands in the chain, from 1; 0: nowhere */
    join *joins;     /* [n-1] */
    found *best;     /* [parts] */
    uint32_t from;   /* whose nearest group is searched */
} ward;

static double distance(const ward *w, uint32_t a, uint32_t b) {
    double dot = (double)ra_dot_f32(w->mean + a * w->d, w->mean + b * w->d, w->d);
    double gap = w->square[a] + w->square[b] - 2 * dot;
    return w->size[a] * w->size[b] / (w->size[a] + w->size[b]) * fmax(gap, 0);
}

static void search_part(void *context, size_t part) {
    ward *w = context;
    found best = {INFINITY, 0};
    for (size_t i = part * PART; i < ra_pool_part_end(part, PART, w->groups); i++) {
        if (w->alive[i] == w->from) continue;
        double here = distance(w, w->from, w->alive[i]);
        if (here < best.distance) best = (found){here, (uint32_t)i};
    }
    w->best[part] = best;
}

/* The group nearest to `from`; before (of the chain; from itself: none) wins where several are, or a chain might run in
 * a circle. */
static uint32_t nearest(ward *w, ra_pool *pool, uint32_t from, uint32_t before, double *value) {
    size_t parts = ra_pool_parts(w->groups, PART);
    uint32_t row = before;
    w->from = from;
    ra_pool_run(pool, parts, search_part, w);
    *value = before != from ? distance(w, from, before) : INFINITY;
    for (size_t p = 0; p < parts; p++)
        if (w->best[p].distance < *value) {
            *value = w->best[p].distance;
            row = w->alive[w->best[p].at];
        }
    return row;
}

/* From here on the smaller of two rows stands for both groups. */
static void unite(ward *w, uint32_t a, uint32_t b) {
    uint32_t keep = a < b ? a : b, gone = a < b ? b : a;
    double whole = w->size[keep] + w->size[gone];
    float *x = w->mean + keep * w->d;
    const float *y = w->mean + gone * w->d;
    for (size_t j = 0; j < w->d; j++)
        x[j] = (float)(((double)x[j] * w->size[keep] + (double)y[j] * w->size[gone]) / whole);
    w->size[keep] = whole;
    w->square[keep] = ra_dot_f64(x, x, w->d);
    uint32_t last = w->alive[--w->groups];
    w->alive[w->place[gone]] = last;
    w->place[last] = w->place[gone];
}

static void join_all(ward *w, ra_pool *pool) {
    size_t length = 0, count = 0;
    while (w->groups > 1) {
        if (length == 0) w->chain[length++] = w->alive[0];
        uint32_t top = w->chain[length - 1], before = length > 1 ? w->chain[length - 2] : top;
        double value;
        uint32_t next = nearest(w, pool, top, before, &value);
        w->link[top] = (uint32_t)length;
        if (w->link[next]) {
            w->joins[count] = (join){value, top, next, (uint32_t)count};
            count++;
            unite(w, top, next);
            for (size_t keep = w->link[next] - 1; length > keep;) w->link[w->chain[--length]] = 0;
        } else
            w->chain[length++] = next;
    }
}

static int by_distance(const void *a, const void *b) {
    const join *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static uint32_t root_of(uint32_t *parent, uint32_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

/* The first n - K joins, as groups numbered by their first rows. */
static void cut(ward *w, size_t K, int32_t *group) {
    uint32_t *parent = w->place; /* which is not needed any more */
    int32_t count = 0;
    qsort(w->joins, w->n - 1, sizeof *w->joins, by_distance);
    for (size_t i = 0; i < w->n; i++) parent[i] = (uint32_t)i;
    for (size_t i = 0; i < w->n - K; i++) {
        uint32_t a = root_of(parent, w->joins[i].a), b = root_of(parent, w->joins[i].b);
        parent[a > b ? a : b] = a > b ? b : a;
    }
    for (size_t i = 0; i < w->n; i++) {
        uint32_t root = root_of(parent, (uint32_t)i); /* the first row of its group */
        group[i] = root == i ? count++ : group[root];
    }
}

ra_status ra_ward(ra_pool *pool, float *x, size_t n, size_t d, size_t K, int32_t *group, ra_error *err) {
    ward w = {.n = n, .d = d, .groups = n, .mean = x};
    ra_status status = RA_OK;
    if (n > INT32_MAX) RA_FAIL(err, RA_ERR_TOO_LARGE, "%zu atoms are too many to cluster", n);
    w.square = ra_malloc(n, sizeof *w.square);
    w.size = ra_malloc(n, sizeof *w.size);
    w.alive = ra_malloc(n, sizeof *w.alive);
    w.place = ra_malloc(n, sizeof *w.place);
    w.chain = ra_malloc(n, sizeof *w.chain);
    w.link = ra_calloc(n, sizeof *w.link);
    w.joins = ra_malloc(n, sizeof *w.joins);
    w.best = ra_malloc(ra_pool_parts(n, PART), sizeof *w.best);
    if (w.square && w.size && w.alive && w.place && w.chain && w.link && w.joins && w.best) {
        for (size_t i = 0; i < n; i++) {
            w.square[i] = ra_dot_f64(x + i * d, x + i * d, d);
            w.size[i] = 1;
            w.alive[i] = w.place[i] = (uint32_t)i;
        }
        join_all(&w, pool);
        cut(&w, K, group);
    } else
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the hierarchy of %zu atoms", n);
    ra_free(w.square);
    ra_free(w.size);
    ra_free(w.alive);
    ra_free(w.place);
    ra_free(w.chain);
    ra_free(w.link);
    ra_free(w.joins);
    ra_free(w.best);
    return status;
}
