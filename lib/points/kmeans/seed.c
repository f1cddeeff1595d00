/* Greedy k-means++ (Arthur and Vassilvitskii 2007): each center is a row, drawn with a probability
 * proportional to its squared distance to the centers so far; of 2 + ln N such candidates, the one that
 * leaves the least sum of squared distances is taken. On most data this ends with an inertia several percent
 * lower than plain k-means++ does, whatever the number of Lloyd's iterations.
 *
 * Taken literally, it reads all data once per center. Three things make it cheap:
 *
 * - It runs on a sample of some rows per cluster, kept in memory: the seeds only have to show where the
 *   clusters are, and a few rows of each are enough for that.
 * - A part of the sample, the jury, compares the candidates. It takes fewer rows to tell which of two
 *   candidates is better than to find good ones.
 * - The candidates of several centers are drawn at once, from the present distances: one matrix product gives
 *   their distances to the jury. When a candidate's turn comes, other centers have been taken since; it is
 *   kept with the probability (its distance now) / (its distance when drawn). Distances only shrink, so this
 *   is rejection sampling: the candidates that are kept have exactly the distribution of the sequential
 *   method. Only their number may be smaller; a center with less than half of its candidates left waits, as
 *   do those after it, for the next product.
 *
 * The distances that are kept, and so the probabilities, are computed in float64 from the vectors. The
 * products only rank candidates and find the rows that may be nearer to a new center. They
 * are products of rows in 8 bits (products.h). */
#include "points/kmeans/kmeans.h"
#include "points/kmeans/products.h"
#include "points/scores.h"
#include "ra_memory.h"
#include "base/multiversion.h"
#include "base/random.h"
#include "tensor/vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* The sample: so many rows per cluster, or fewer where that is more than enough, as far as they fit in
     * SAMPLE_BYTES, but at least the next two. */
    ROWS_PER_CLUSTER = 64,
    ROWS_ENOUGH = 1 << 14,
    ROWS_PER_CLUSTER_BEYOND = 32,
    SAMPLE_BYTES = 256 << 20,
    MEMORY_SHARE =
        8, /* of the memory: where there is little, the sample and the distances take at most this part */
    ROWS_PER_CLUSTER_LEAST = 8,
    ROWS_LEAST = 4096,
    JURY_PER_CLUSTER = 32, /* at least ROWS_LEAST in all */
    JURY_ENOUGH = 1 << 13,
    JURY_PER_CLUSTER_BEYOND = 8,
    /* A product is for this part of the number of centers so far, but at least for so many, with ... */
    AHEAD = 8,
    AHEAD_LEAST = 8,
    CANDIDATES_MOST = 1024,   /* ... at most so many candidates ... */
    DISTANCES_MOST = 1 << 25, /* ... and so many distances to the jury */
    TRIES_MOST = 64,          /* 2 + ln N is smaller for every N */
    PART_ROWS = 512,
    LANES = 32,
    BLOCK_ROWS = 64, /* of a part, that are tested together */
};

typedef struct seeding {
    ra_kmeans *run;
    ra_random random;
    size_t rows, jury;      /* S rows in the sample, the first J of them in the jury */
    size_t d, tries;        /* candidates per center */
    uint64_t *row;          /* [S] the numbers of the rows */
    float *vector;          /* [S,d] minus the mean of the data */
    float *norm;            /* [S] squared */
    double *distance;       /* [S] squared, to the nearest center so far */
    float *near;            /* [S] the same in float32 */
    double *cumulative;     /* [S] sums of `distance` up to each row */
    size_t capacity, count; /* of candidates in a product */
    size_t *candidate;      /* [count] their positions in the sample */
    size_t *taken;          /* the positions of those that became centers */
    float *score;           /* [count,J] of the candidates, [taken,S] of the centers */
    double *left;           /* [tries, parts] sums of the distances that a candidate leaves */
    ra_seed_products products;
    bool wild; /* some row is (scores.h) */
} seeding;

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t most(size_t a, size_t b) {
    return a > b ? a : b;
}

/* ---- one center --------------------------------------------------------------------------------------- */

/* The sum of the distances that a candidate of squared norm `base` leaves: of at most PART_ROWS rows, for
 * which float32 is exact enough to rank candidates. */
RA_MULTIVERSION static float sum_left(const float *restrict score, const float *restrict norm,
                                      const float *restrict near, float base, size_t n) {
    float lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            float distance = norm[i + l] + base + score[i + l];
            distance = distance > 0 ? distance : 0;
            lane[l] += distance < near[i + l] ? distance : near[i + l];
        }
    for (; i < n; i++) sum += fminf(fmaxf(norm[i] + base + score[i], 0), near[i]);
    for (size_t l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

typedef struct left_job {
    const seeding *s;
    const size_t *kept; /* the candidates that are kept; a part is a part of the jury of one of them */
} left_job;

static void left_part(void *context, size_t part) {
    const left_job *job = context;
    const seeding *s = job->s;
    size_t parts = ra_pool_parts(s->jury, PART_ROWS), from = part % parts * PART_ROWS,
           c = job->kept[part / parts];
    s->left[part] = (double)sum_left(s->score + c * s->jury + from, s->norm + from, s->near + from,
                                     s->norm[s->candidate[c]], least(s->jury - from, PART_ROWS));
}

/* Of the candidates kept [count], the one that leaves the smallest distances in the jury. */
static size_t best_of(seeding *s, const size_t *kept, size_t count) {
    size_t parts = ra_pool_parts(s->jury, PART_ROWS), best = kept[0];
    double least_left = INFINITY;
    if (count == 1) return best;
    ra_pool_run(s->run->nearest.reader.pool, count * parts, left_part, &(left_job){s, kept});
    for (size_t i = 0; i < count; i++) {
        double left = 0;
        for (size_t p = 0; p < parts; p++) left += s->left[i * parts + p];
        if (!(left < least_left)) continue;
        least_left = left;
        best = kept[i];
    }
    return best;
}

/* The jury's distances after a new center, from the product; admit() makes them exact. */
RA_MULTIVERSION static void lower_near(float *restrict near, const float *restrict score,
                                       const float *restrict norm, float base, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float distance = norm[i] + base + score[i];
        distance = distance > 0 ? distance : 0;
        near[i] = distance < near[i] ? distance : near[i];
    }
}

/* ---- new centers -------------------------------------------------------------------------------------- */

typedef struct admit_job {
    const seeding *s;
    size_t count; /* of s->taken; s->score is [count,S] */
} admit_job;

/* What a new center's product says of the distances to it. */
typedef struct new_center {
    const float *score; /* [S] */
    float norm, rest;   /* squared; 1 minus the share of norms that is error */
    float lost, whole;  /* twice those of products.h */
} new_center;

static new_center view_center(const seeding *s, size_t t) {
    size_t at = s->taken[t];
    return (new_center){.score = s->score + t * s->rows,
                        .norm = s->norm[at],
                        .rest = (float)(1 - s->run->nearest.points.share - 1e-6), /* for sums in float32 */
                        .lost = 2 * s->products.lost[at],
                        .whole = 2 * s->products.whole[at]};
}

/* Whether one of the rows [n] may be nearer to the center than `near` tells. What is not a number may. */
RA_MULTIVERSION static bool any_nearer(const new_center *center, size_t from, const float *restrict norm,
                                       const float *restrict near, const float *restrict lost,
                                       const float *restrict whole, size_t n) {
    const float *restrict score = center->score + from;
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) {
        float least = (norm[i] + center->norm) * center->rest + score[i] -
                      (center->whole * lost[i] + center->lost * whole[i]);
        found |= !(least > near[i]);
    }
    return found;
}

static void admit_block(const seeding *s, const new_center *center, size_t t, size_t from, size_t n) {
    size_t at = s->taken[t];
    double share = s->run->nearest.points.share;
    for (size_t i = from; i < from + n; i++) {
        double norms = (double)s->norm[i] + (double)s->norm[at], score = (double)center->score[i],
               error = (double)center->whole * (double)s->products.lost[i] +
                       (double)center->lost * (double)s->products.whole[i];
        bool bounded = !ra_filter_wild(norms);
        if (bounded && norms * (1 - share) + score - error > s->distance[i]) continue;
        double distance = ra_squared_distance(s->vector + i * s->d, s->vector + at * s->d, s->d);
        if (!(distance < s->distance[i])) continue;
        s->distance[i] = distance;
        s->near[i] = (float)distance;
    }
}

/* Updates the distances of rows by those new centers that can be the nearest. */
static void admit_part(void *context, size_t part) {
    const admit_job *job = context;
    const seeding *s = job->s;
    size_t first = part * PART_ROWS, end = least(first + PART_ROWS, s->rows);
    for (size_t i = first; i < end; i++)
        s->near[i] = (float)s->distance[i]; /* more exact than the products */
    for (size_t t = 0; t < job->count; t++) {
        const new_center center = view_center(s, t);
        for (size_t from = first; from < end; from += BLOCK_ROWS) {
            size_t n = least(end - from, BLOCK_ROWS);
            if (s->wild || any_nearer(&center, from, s->norm + from, s->near + from, s->products.lost + from,
                                      s->products.whole + from, n))
                admit_block(s, &center, t, from, n);
        }
    }
}

/* The rows s->taken [count] become the centers from `first` on. */
static ra_status admit(seeding *s, size_t count, size_t first, ra_error *err) {
    ra_kmeans *run = s->run;
    if (first == 0 || s->jury < s->rows)
        RA_TRY(ra_seed_scores(&s->products, s->taken, count, s->rows, s->score, err));
    ra_pool_run(run->nearest.reader.pool, ra_pool_parts(s->rows, PART_ROWS), admit_part,
                &(admit_job){s, count});
    for (size_t t = 0; t < count; t++)
        ra_row_reader_read(&run->nearest.reader, &s->row[s->taken[t]], 1, run->center + (first + t) * s->d);
    return RA_OK;
}

/* ---- candidates --------------------------------------------------------------------------------------- */

/* The first row whose cumulative weight exceeds `target`, so never a row of weight 0. */
static size_t find_row(const double *cumulative, size_t rows, double target) {
    size_t low = 0, high = rows - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cumulative[middle] > target)
            high = middle;
        else
            low = middle + 1;
    }
    /* rounding can make the target the total: then the last row that has a weight */
    while (low > 0 && !(cumulative[low] > cumulative[low - 1])) low--;
    return low;
}

/* Draws the candidates of `centers` centers and computes their scores with the jury. */
static ra_status propose(seeding *s, size_t centers, ra_error *err) {
    s->count = centers * s->tries;
    for (size_t c = 0; c < s->count; c++) {
        double target = ra_random_unit(&s->random) * s->cumulative[s->rows - 1];
        s->candidate[c] = find_row(s->cumulative, s->rows, target);
    }
    return ra_seed_scores(&s->products, s->candidate, s->count, s->jury, s->score, err);
}

/* Whether to keep a candidate, after the `taken` centers since it was drawn. */
static bool keep(seeding *s, size_t candidate, size_t taken) {
    double then = s->distance[candidate], now = then;
    for (size_t t = 0; t < taken; t++)
        now = fmin(now,
                   ra_squared_distance(s->vector + candidate * s->d, s->vector + s->taken[t] * s->d, s->d));
    return ra_random_unit(&s->random) * then < now;
}

/* Takes centers from the candidates; returns how many, at least one. If the jury is the whole sample, admit()
 * needs no other scores than those of the centers: they are moved to the front, over scores that are no
 * longer needed. */
static size_t take(seeding *s, size_t *kept) {
    size_t taken = 0;
    for (size_t from = 0; from < s->count; from += s->tries) {
        size_t count = 0;
        for (size_t c = from; c < from + s->tries; c++)
            if (keep(s, s->candidate[c], taken)) kept[count++] = c;
        if (2 * count < s->tries) break; /* never the first center, which keeps all of its candidates */
        size_t best = best_of(s, kept, count);
        lower_near(s->near, s->score + best * s->jury, s->norm, s->norm[s->candidate[best]], s->jury);
        if (s->jury == s->rows)
            memmove(s->score + taken * s->rows, s->score + best * s->rows, s->rows * sizeof *s->score);
        s->taken[taken++] = s->candidate[best];
    }
    return taken;
}

/* ---- all centers -------------------------------------------------------------------------------------- */

static void repeat_rows(seeding *s, size_t count) {
    for (; count < s->run->clusters; count++) {
        uint64_t row = ra_random_below(&s->random, s->run->rows);
        ra_row_reader_read(&s->run->nearest.reader, &row, 1, s->run->center + count * s->d);
    }
}

static ra_status seed_all(seeding *s, ra_error *err) {
    ra_kmeans *run = s->run;
    size_t kept[TRIES_MOST], count = 0, fresh = 1;
    s->taken[0] = (size_t)ra_random_below(&s->random, s->rows);
    for (;;) {
        RA_TRY(admit(s, fresh, count, err));
        count += fresh;
        double total = 0;
        for (size_t i = 0; i < s->rows; i++) s->cumulative[i] = total += s->distance[i];
        run->inertia = total * ((double)run->rows / (double)s->rows);
        run->seeds = count;
        RA_TRY(ra_kmeans_report(run, err));
        if (count == run->clusters || !(total > 0)) break;
        size_t ahead = least(most(count / AHEAD, AHEAD_LEAST), s->capacity / s->tries);
        RA_TRY(propose(s, least(ahead, run->clusters - count), err));
        fresh = take(s, kept);
    }
    repeat_rows(s, count); /* every different row is a center already */
    return RA_OK;
}

static ra_status allocate(seeding *s, ra_error *err) {
    size_t scores = most(s->capacity * s->jury, s->capacity / s->tries * s->rows);
    s->row = ra_malloc(s->rows, sizeof *s->row);
    s->vector = ra_malloc(s->rows * s->d, sizeof *s->vector);
    s->norm = ra_malloc(s->rows, sizeof *s->norm);
    s->distance = ra_malloc(s->rows, sizeof *s->distance);
    s->near = ra_malloc(s->rows, sizeof *s->near);
    s->cumulative = ra_malloc(s->rows, sizeof *s->cumulative);
    s->candidate = ra_malloc(s->capacity, sizeof *s->candidate);
    s->taken = ra_malloc(s->capacity, sizeof *s->taken);
    s->score = ra_malloc(scores, sizeof *s->score);
    s->left = ra_malloc(s->tries * ra_pool_parts(s->jury, PART_ROWS), sizeof *s->left);
    if (s->row && s->vector && s->norm && s->distance && s->near && s->cumulative && s->candidate &&
        s->taken && s->score && s->left)
        return RA_OK;
    RA_FAIL_MEMORY(err, "the seeds of k-means", (s->rows * s->d + scores) * sizeof(float));
}

static void release(seeding *s) {
    ra_free(s->row);
    ra_free(s->vector);
    ra_free(s->norm);
    ra_free(s->distance);
    ra_free(s->near);
    ra_free(s->cumulative);
    ra_free(s->candidate);
    ra_free(s->taken);
    ra_free(s->score);
    ra_free(s->left);
    ra_seed_products_release(&s->products);
}

static void sample_part(void *context, size_t part) {
    const seeding *s = context;
    const ra_row_reader *reader = &s->run->nearest.reader;
    for (size_t i = part * PART_ROWS; i < (part + 1) * PART_ROWS && i < s->rows; i++) {
        float *vector = s->vector + i * s->d;
        for (size_t j = 0; j < s->d; j++) vector[j] -= reader->mean[j];
        s->norm[i] = (float)ra_dot_f64(vector, vector, s->d);
        s->distance[i] = INFINITY;
        s->near[i] = INFINITY;
    }
}

typedef struct place {
    uint64_t row;
    size_t at; /* in the sample */
} place;

static int by_row(const void *a, const void *b) {
    uint64_t x = ((const place *)a)->row, y = ((const place *)b)->row;
    return (x > y) - (x < y);
}

typedef struct copy_job {
    const seeding *s;
    const place *places; /* [S] by row, as they lie on the disk */
} copy_job;

static void copy_part(void *context, size_t part) {
    const copy_job *job = context;
    const seeding *s = job->s;
    const ra_row_reader *reader = &s->run->nearest.reader;
    uint64_t rows[PART_ROWS] = {0};
    size_t from = part * PART_ROWS, count = least(s->rows - from, PART_ROWS);
    for (size_t i = 0; i < count; i++) rows[i] = job->places[from + i].row;
    ra_row_reader_announce(reader, rows, count);
    for (size_t i = 0; i < count; i++)
        ra_row_reader_read(reader, &rows[i], 1, s->vector + job->places[from + i].at * s->d);
}

/* vector <- the rows of the sample. */
static ra_status copy_rows(seeding *s, ra_error *err) {
    place *places = ra_malloc(s->rows, sizeof *places);
    if (!places) RA_FAIL_MEMORY(err, "the seeds of k-means", s->rows * sizeof *places);
    for (size_t i = 0; i < s->rows; i++) places[i] = (place){s->row[i], i};
    qsort(places, s->rows, sizeof *places, by_row);
    ra_pool_run(s->run->nearest.reader.pool, ra_pool_parts(s->rows, PART_ROWS), copy_part,
                &(copy_job){s, places});
    ra_free(places);
    return RA_OK;
}

/* At most so many bytes, and a part of the memory that there is. */
static size_t bytes_for(const ra_kmeans *run, size_t most_bytes) {
    return least(most_bytes, ra_data_memory(run->nearest.reader.data) / MEMORY_SHARE);
}

/* Of many clusters, fewer rows of each show as well where they are: with 1,000 clusters of 100,000 rows the inertia
 * stays the same, and seeding takes 0.37 of the time. */
static size_t sample_rows(const ra_kmeans *run) {
    size_t fit = bytes_for(run, SAMPLE_BYTES) / (run->dimensions * sizeof(float)), N = run->clusters;
    size_t wanted = most(ROWS_PER_CLUSTER_BEYOND * N, least(ROWS_PER_CLUSTER * N, ROWS_ENOUGH));
    size_t rows = least(wanted, most(fit, ROWS_PER_CLUSTER_LEAST * N));
    return least(run->rows, most(rows, ROWS_LEAST));
}

/* In random order, so that the first of them are a sample, too. */
static void draw_rows(seeding *s) {
    ra_random_sample(&s->random, s->run->rows, s->row, s->rows);
    for (size_t i = s->rows; i > 1; i--) {
        size_t j = (size_t)ra_random_below(&s->random, i);
        uint64_t row = s->row[i - 1];
        s->row[i - 1] = s->row[j];
        s->row[j] = row;
    }
}

ra_status ra_kmeans_seed(ra_kmeans *run, ra_error *err) {
    seeding s = {.run = run, .d = run->dimensions, .rows = sample_rows(run)};
    size_t jury =
        most(JURY_PER_CLUSTER_BEYOND * run->clusters, least(JURY_PER_CLUSTER * run->clusters, JURY_ENOUGH));
    s.jury = least(s.rows, most(jury, ROWS_LEAST));
    s.tries = 2 + (size_t)log((double)run->clusters);
    s.capacity =
        most(least(CANDIDATES_MOST, bytes_for(run, DISTANCES_MOST * sizeof(float)) / sizeof(float) / s.jury),
             s.tries);
    ra_random_seed(&s.random, run->options->seed);
    ra_status status = allocate(&s, err);
    if (status == RA_OK) {
        draw_rows(&s);
        status = copy_rows(&s, err);
    }
    if (status == RA_OK) {
        ra_pool_run(run->nearest.reader.pool, ra_pool_parts(s.rows, PART_ROWS), sample_part, &s);
        for (size_t i = 0; i < s.rows; i++) s.wild |= ra_filter_wild((double)s.norm[i]);
        status =
            ra_seed_products_init(&s.products, run->nearest.backend, s.vector, s.rows, s.d, s.capacity, err);
    }
    if (status == RA_OK) status = seed_all(&s, err);
    release(&s);
    return status;
}
