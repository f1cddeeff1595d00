/* Selections: the k largest of a row, the scores that reach a threshold, the k-th largest of all. All exact.
 *
 * Top-k divides a row into blocks and takes the largest score of each. The k-th largest of these is a bar that at
 * least k scores of the row reach, and few more do: of 10,000 random scores and k = 50, about 60. So a second pass
 * collects what reaches the bar, from the blocks that have such a score, without a branch per score; a quickselect
 * keeps the best k. If very many reach it (equal scores), the quickselect runs whenever the buffer is full, and raises
 * the bar. */
#include "backend/cpu/cpu.h"
#include "ra_memory.h"
#include "base/multiversion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCAN = 64, /* scores of a block, unless that makes more than ... */
    BLOCKS = 512,
    ROWS_PER_PART = 4,
    SMALL = 512, /* candidates that fit on the stack, so that serving allocates nothing */
};

typedef struct candidate {
    float score;
    int32_t index;
} candidate;

/* most [blocks] <- the largest score of each block of `width`, a multiple of SCAN; NaN is none. */
RA_MULTIVERSION static void block_maxima(const float *restrict scores, size_t blocks, size_t width,
                                         float *restrict most) {
    for (size_t i = 0; i < blocks; i++, scores += width) {
        float lane[SCAN / 4];
        for (size_t l = 0; l < SCAN / 4; l++) lane[l] = -INFINITY;
        for (size_t j = 0; j < width; j += SCAN / 4)
            for (size_t l = 0; l < SCAN / 4; l++) lane[l] = scores[j + l] > lane[l] ? scores[j + l] : lane[l];
        for (size_t half = SCAN / 8; half > 0; half /= 2)
            for (size_t l = 0; l < half; l++) lane[l] = lane[l + half] > lane[l] ? lane[l + half] : lane[l];
        most[i] = lane[0];
    }
}

static bool better(candidate a, candidate b) {
    return a.score > b.score || (a.score == b.score && a.index < b.index);
}

static void swap(candidate *a, candidate *b) {
    candidate first = *a;
    *a = *b;
    *b = first;
}

/* Moves the median of first, middle and last to the front, where Hoare's partition expects its pivot. */
static candidate take_pivot(candidate *c, size_t n) {
    candidate *x = &c[0], *y = &c[n / 2], *z = &c[n - 1];
    candidate *median = better(*x, *y) ? (better(*y, *z)   ? y
                                          : better(*x, *z) ? z
                                                           : x)
                                       : (better(*x, *z)   ? x
                                          : better(*y, *z) ? z
                                                           : y);
    swap(x, median);
    return *x;
}

/* c[0..k) <- the k best of n candidates, in no order. No two candidates are equal, since indices differ. */
static void keep_best(candidate *c, size_t n, size_t k) {
    size_t low = 0, high = n; /* c[0..low) are selected, c[high..n) are not */
    while (low < k && k < high) {
        candidate pivot = take_pivot(c + low, high - low);
        size_t i = low, j = high - 1;
        for (;;) { /* [low, j] no worse than the pivot, (j, high) no better */
            while (better(c[i], pivot)) i++;
            while (better(pivot, c[j])) j--;
            if (i >= j) break;
            swap(&c[i++], &c[j--]);
        }
        if (j + 1 <= k)
            low = j + 1;
        else
            high = j + 1;
    }
}

static int by_index(const void *a, const void *b) {
    int32_t x = ((const candidate *)a)->index, y = ((const candidate *)b)->index;
    return (x > y) - (x < y);
}

/* The worst of the candidates; count > 0. */
static candidate worst_of(const candidate *c, size_t count) {
    candidate worst = c[0];
    for (size_t i = 1; i < count; i++) worst = better(worst, c[i]) ? c[i] : worst;
    return worst;
}

/* One row's candidates: those collected so far, and the score that others must exceed. */
typedef struct collection {
    candidate *out;
    size_t count, capacity, k;
    float bar;
    bool ascending; /* the candidates stand by rising index */
} collection;

/* Keeps the best k. Later ones must beat the worst of them: equal ones have a higher index. */
static void shrink(collection *c) {
    keep_best(c->out, c->count, c->k);
    c->count = c->k;
    c->bar = worst_of(c->out, c->k).score;
    c->ascending = false;
}

/* Bit i says whether scores[i] > bar; n <= SCAN. */
RA_MULTIVERSION static uint64_t above_bar(const float *restrict scores, size_t n, float bar) {
    uint64_t bits = 0;
    if (n == SCAN)
        for (size_t i = 0; i < SCAN; i++) bits |= (uint64_t)(scores[i] > bar) << i;
    else
        for (size_t i = 0; i < n; i++) bits |= (uint64_t)(scores[i] > bar) << i;
    return bits;
}

static void collect(collection *c, const float *scores, size_t from, size_t end) {
    for (; from < end; from += SCAN) {
        size_t to = end - from < SCAN ? end : from + SCAN, count = c->count;
        if (c->capacity - count < SCAN) {
            shrink(c);
            count = c->count;
        }
        for (uint64_t bits = above_bar(scores + from, to - from, c->bar); bits; bits &= bits - 1) {
            size_t i = from + (size_t)__builtin_ctzll(bits);
            c->out[count++] = (candidate){scores[i], (int32_t)i};
        }
        c->count = count;
    }
}

/* ---- the k-th largest by halving ----------------------------------------------------------------------- */

RA_MULTIVERSION static size_t count_above(const float *restrict x, size_t n, float bar) {
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++) count += x[i] > bar;
    return count;
}

/* A bar that at least k and at most `most` of n numbers exceed, n > k: the interval from the least number to the largest
 * is halved until it is found. Returns how many exceed it; 0: not found, as when many are equal, or not finite. A
 * quickselect would move numbers and guess wrong branches instead, ten times as long. */
static size_t find_bar(const float *x, size_t n, size_t k, size_t most, float *bar) {
    enum { STEPS = 24 };
    float low = x[0], high = x[0];
    for (size_t i = 1; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    for (int step = 0; step < STEPS; step++) {
        float middle = low + (high - low) / 2;
        size_t count = count_above(x, n, middle);
        if (count >= k && count <= most) {
            *bar = middle;
            return count;
        }
        if (count > most)
            low = middle;
        else
            high = middle;
    }
    return 0;
}

/* What at least k of the blocks' largest scores exceed; a score that does not cannot be one of the best k. */
static float first_bar(const float *most, size_t blocks, size_t k, float above) {
    RA_UNINITIALIZED candidate sorted[BLOCKS];
    float bar;
    if (!find_bar(most, blocks, k, k + k / 16, &bar)) {
        for (size_t i = 0; i < blocks; i++) sorted[i] = (candidate){most[i], (int32_t)i};
        keep_best(sorted, blocks, k);
        bar = nextafterf(worst_of(sorted, k).score, -INFINITY);
    }
    return bar > above ? bar : above;
}

/* Keeps the candidates above a bar that only k of them exceed; false: there is none. */
static bool keep_above(collection *c) {
    RA_UNINITIALIZED float scores[SMALL];
    float bar;
    size_t kept = 0;
    if (c->count > SMALL) return false;
    for (size_t i = 0; i < c->count; i++) scores[i] = c->out[i].score;
    if (!find_bar(scores, c->count, c->k, c->k, &bar)) return false;
    for (size_t i = 0; i < c->count; i++) {
        c->out[kept] = c->out[i];
        kept += scores[i] > bar;
    }
    c->count = kept;
    return true;
}

/* The best k of the candidates, by rising index. spare: room for them. */
static void finish(collection *c, candidate *spare) {
    size_t kept = 0;
    if (c->count > c->k && c->ascending) {
        if (keep_above(c)) return;
        memcpy(spare, c->out, c->count * sizeof *spare);
        keep_best(spare, c->count, c->k);
        candidate worst = worst_of(spare, c->k);
        for (size_t i = 0; i < c->count; i++)
            if (!better(worst, c->out[i])) c->out[kept++] = c->out[i];
        c->count = kept;
    } else if (c->count > c->k) {
        shrink(c);
    }
    if (!c->ascending) qsort(c->out, c->count, sizeof *c->out, by_index);
}

/* out: room for twice `capacity` candidates, capacity >= 2 k + SCAN. Returns how many (at most k) stand in out, by
 * rising index. */
static size_t select_row(const float *scores, size_t n, size_t k, float above, candidate *out,
                         size_t capacity) {
    RA_UNINITIALIZED float most[BLOCKS];
    collection c = {.out = out, .capacity = capacity, .k = k, .bar = above, .ascending = true};
    size_t width = SCAN, blocks;
    if (k == 0) return 0;
    while (n / width > BLOCKS) width *= 2;
    blocks = n / width;
    if (blocks > k) {
        block_maxima(scores, blocks, width, most);
        c.bar = first_bar(most, blocks, k, above);
        for (size_t i = 0; i < blocks; i++)
            if (most[i] > c.bar) collect(&c, scores, i * width, (i + 1) * width);
        collect(&c, scores, blocks * width, n);
    } else {
        collect(&c, scores, 0, n);
    }
    finish(&c, out + capacity);
    return c.count;
}

typedef struct top_k_job {
    const float *scores;
    size_t rows, n, k, capacity;
    float above;
    candidate *buffers; /* [parts, 2, capacity]; NULL when capacity <= SMALL */
    ra_codes *codes;    /* row b is written at b * k, its count at start[b + 1] */
} top_k_job;

static void top_k_part(void *context, size_t part) {
    const top_k_job *job = context;
    RA_UNINITIALIZED candidate small[2 * SMALL];
    candidate *buffer = job->buffers ? job->buffers + part * 2 * job->capacity : small;
    for (size_t b = part * ROWS_PER_PART; b < (part + 1) * ROWS_PER_PART && b < job->rows; b++) {
        size_t count =
            select_row(job->scores + b * job->n, job->n, job->k, job->above, buffer, job->capacity);
        for (size_t i = 0; i < count; i++) {
            job->codes->index[b * job->k + i] = buffer[i].index;
            job->codes->value[b * job->k + i] = buffer[i].score;
        }
        job->codes->start[b + 1] = count;
    }
}

ra_status cpu_top_k(void *self, ra_backend_stream *stream, const float *scores, size_t rows, size_t n,
                    size_t k, float above, ra_codes *codes, ra_error *err) {
    (void)stream;
    if (k > n) k = n;
    RA_TRY(ra_codes_reserve(codes, rows, n, rows * k, err));
    size_t parts = ra_pool_parts(rows, ROWS_PER_PART), capacity = 2 * k + SCAN;
    candidate *buffers = capacity > SMALL ? ra_malloc(parts * capacity, 2 * sizeof *buffers) : NULL;
    if (capacity > SMALL && !buffers)
        RA_FAIL_MEMORY(err, "top-k buffers", parts * capacity * 2 * sizeof *buffers);
    top_k_job job = {scores, rows, n, k, capacity, above, buffers, codes};
    ra_pool_run(self, parts, top_k_part, &job);
    ra_free(buffers);
    size_t used = 0;
    for (size_t b = 0; b < rows; b++) { /* close the gaps after rows with fewer than k entries */
        size_t count = codes->start[b + 1];
        if (used != b * k) {
            memmove(codes->index + used, codes->index + b * k, count * sizeof *codes->index);
            memmove(codes->value + used, codes->value + b * k, count * sizeof *codes->value);
        }
        used += count;
        codes->start[b + 1] = used;
    }
    return RA_OK;
}

/* ---- thresholds ---------------------------------------------------------------------------------------- */

typedef struct threshold_job {
    const float *scores;
    size_t rows, n;
    const float *thresholds;
    float threshold;
    ra_codes *codes;
} threshold_job;

RA_MULTIVERSION static size_t count_row(const float *restrict scores, size_t n,
                                        const float *restrict thresholds, float threshold) {
    uint32_t count = 0;
    if (thresholds)
        for (size_t i = 0; i < n; i++) count += (scores[i] > 0) & (scores[i] >= thresholds[i]);
    else
        for (size_t i = 0; i < n; i++) count += (scores[i] > 0) & (scores[i] >= threshold);
    return count;
}

static void count_part(void *context, size_t part) {
    const threshold_job *job = context;
    for (size_t b = part * ROWS_PER_PART; b < (part + 1) * ROWS_PER_PART && b < job->rows; b++)
        job->codes->start[b + 1] =
            count_row(job->scores + b * job->n, job->n, job->thresholds, job->threshold);
}

static void fill_part(void *context, size_t part) {
    const threshold_job *job = context;
    ra_codes *codes = job->codes;
    for (size_t b = part * ROWS_PER_PART; b < (part + 1) * ROWS_PER_PART && b < job->rows; b++) {
        const float *row = job->scores + b * job->n;
        size_t e = codes->start[b], end = codes->start[b + 1];
        for (size_t i = 0; i < job->n && e < end; i++) {
            if (!(row[i] > 0 && row[i] >= (job->thresholds ? job->thresholds[i] : job->threshold))) continue;
            codes->index[e] = (int32_t)i;
            codes->value[e++] = row[i];
        }
    }
}

ra_status cpu_threshold(void *self, ra_backend_stream *stream, const float *scores, size_t rows, size_t n,
                        const float *thresholds, float threshold, ra_codes *codes, ra_error *err) {
    (void)stream;
    ra_pool *pool = self;
    size_t parts = ra_pool_parts(rows, ROWS_PER_PART);
    RA_TRY(ra_codes_reserve(codes, rows, n, 0, err));
    threshold_job job = {scores, rows, n, thresholds, threshold, codes};
    ra_pool_run(pool, parts, count_part, &job);
    size_t entries = 0;
    for (size_t b = 0; b < rows; b++) entries += codes->start[b + 1];
    if (entries > codes->entry_capacity) { /* growing may lose the counts; count again */
        RA_TRY(ra_codes_reserve(codes, rows, n, entries, err));
        ra_pool_run(pool, parts, count_part, &job);
    }
    for (size_t b = 0; b < rows; b++) codes->start[b + 1] += codes->start[b];
    ra_pool_run(pool, parts, fill_part, &job);
    return RA_OK;
}

/* ---- k-th largest -------------------------------------------------------------------------------------- */

/* Positive floats have the order of their bits. Three counting passes over 11, 11 and 10 bits, the most
 * significant first, find the bits of the k-th largest without moving anything. */
enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, CHUNKS = 16 };

typedef struct radix_job {
    const float *scores;
    size_t n;
    uint32_t prefix, prefix_mask; /* the bits known so far */
    int shift;
    uint32_t digit_mask;
    size_t (*counts)[DIGITS]; /* [CHUNKS] */
} radix_job;

static uint32_t positive_bits(float score) {
    uint32_t bits = 0;
    if (score > 0) memcpy(&bits, &score, sizeof bits);
    return bits;
}

static void radix_part(void *context, size_t part) {
    const radix_job *job = context;
    size_t *counts = job->counts[part];
    memset(counts, 0, sizeof job->counts[part]);
    size_t from = job->n * part / CHUNKS, to = job->n * (part + 1) / CHUNKS;
    for (size_t i = from; i < to; i++) {
        uint32_t bits = positive_bits(job->scores[i]);
        if ((bits & job->prefix_mask) == job->prefix) counts[(bits >> job->shift) & job->digit_mask]++;
    }
}

ra_status cpu_kth_largest(void *self, ra_backend_stream *stream, const float *scores, size_t n, size_t k,
                          float *value, ra_error *err) {
    (void)stream;
    static const struct {
        int shift;
        uint32_t mask;
    } passes[] = {{21, 0x7ff}, {10, 0x7ff}, {0, 0x3ff}};
    size_t(*counts)[DIGITS] = ra_malloc(CHUNKS, sizeof *counts);
    if (!counts) RA_FAIL_MEMORY(err, "the k-th largest score", CHUNKS * sizeof *counts);
    radix_job job = {.scores = scores, .n = n, .counts = counts};
    for (size_t pass = 0; pass < sizeof passes / sizeof *passes; pass++) {
        job.shift = passes[pass].shift;
        job.digit_mask = passes[pass].mask;
        ra_pool_run(self, CHUNKS, radix_part, &job);
        uint32_t digit = job.digit_mask;
        for (;; digit--) { /* from the largest digit down until k of them are covered */
            size_t here = 0;
            for (size_t chunk = 0; chunk < CHUNKS; chunk++) here += counts[chunk][digit];
            if (here >= k || digit == 0) break;
            k -= here;
        }
        job.prefix |= digit << job.shift;
        job.prefix_mask |= job.digit_mask << job.shift;
    }
    ra_free(counts);
    memcpy(value, &job.prefix, sizeof *value);
    return RA_OK;
}

/* ---- the least ----------------------------------------------------------------------------------------- */

enum { LEAST_ROWS = 16 };

typedef struct least_job {
    const float *scores, *low, *high;
    size_t rows, n;
    ra_least *least;
} least_job;

static void least_part(void *context, size_t part) {
    const least_job *job = context;
    for (size_t b = part * LEAST_ROWS; b < (part + 1) * LEAST_ROWS && b < job->rows; b++) {
        const float *row = job->scores + b * job->n;
        ra_least least = {INFINITY, INFINITY, INFINITY, -1};
        for (size_t i = 0; i < job->n; i++) {
            float above = row[i] + job->high[i], below = row[i] + job->low[i];
            if (above < least.high) least.high = above;
            if (below >= least.second_low) continue;
            bool first = below < least.low;
            least.second_low = first ? least.low : below < least.second_low ? below : least.second_low;
            if (first) least.low = below;
            if (first) least.first = (int32_t)i;
        }
        job->least[b] = least;
    }
}

/* For completeness: on the host, k-means looks through its scores where they are (points/scores.c). */
ra_status cpu_least_scores(void *self, ra_backend_stream *stream, const float *scores, size_t rows, size_t n,
                           const float *low, const float *high, ra_least *least, ra_error *err) {
    (void)stream, (void)err;
    least_job job = {scores, low, high, rows, n, least};
    ra_pool_run(self, ra_pool_parts(rows, LEAST_ROWS), least_part, &job);
    return RA_OK;
}
