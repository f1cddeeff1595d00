/* A look at the data before anything is trained on it. It reads some thousands of rows, half of them one after
 * another (repeated rows often are neighbors) and half spread over all files, which takes milliseconds where a pass
 * over all takes minutes; what it tells is visible in any sample. */
#include "data/data.h"
#include "ra_memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 8192, MOST_NUMBERS = 1 << 24 };

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int falling(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Equal rows have equal hashes; others differ, but for one pair in 2^64. */
static uint64_t hash_of(const float *row, size_t d) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t j = 0; j < d; j++) {
        float value = row[j] + 0.0f; /* -0 is 0 */
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        hash = (hash ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash;
}

/* Sorts. */
static size_t count_equal(uint64_t *hash, size_t n) {
    size_t equal = 0;
    qsort(hash, n, sizeof *hash, by_value);
    for (size_t i = 1; i < n; i++) equal += hash[i] == hash[i - 1];
    return equal;
}

/* The numbers of the rows, ascending and distinct; returns how many. */
static size_t choose(size_t all, size_t wanted, uint64_t *rows) {
    size_t near = wanted == all ? all : wanted / 2, spread = wanted - near;
    for (size_t i = 0; i < near; i++) rows[i] = i;
    for (size_t i = 0; i < spread; i++)
        rows[near + i] = near + (uint64_t)((double)i / (double)spread * (double)(all - near));
    return near + spread;
}

typedef struct survey {
    const ra_data *data;
    uint64_t *rows, *hash;        /* [n] */
    float *row;                   /* [d] */
    double *first, *sum, *square; /* [d] about the first row */
    size_t n, d;
} survey;

static void look(survey *s) {
    enum { AHEAD = 512 };
    for (size_t i = 0; i < s->n; i++) {
        if (i % AHEAD == 0) ra_data_will_need(s->data, s->rows + i, s->n - i < AHEAD ? s->n - i : AHEAD);
        ra_data_gather(s->data, &s->rows[i], 1, s->row);
        s->hash[i] = hash_of(s->row, s->d);
        for (size_t j = 0; j < s->d; j++) {
            if (i == 0) s->first[j] = (double)s->row[j];
            double gap = (double)s->row[j] - s->first[j];
            s->sum[j] += gap;
            s->square[j] += gap * gap;
        }
    }
}

static void conclude(survey *s, ra_data_survey *result) {
    double n = (double)s->n, means = 0, variance = 0, half = 0;
    *result = (ra_data_survey){.rows = s->n};
    for (size_t j = 0; j < s->d; j++) {
        double mean = s->first[j] + s->sum[j] / n,
               own = fmax(s->square[j] / n - (s->sum[j] / n) * (s->sum[j] / n), 0);
        if (s->square[j] == 0) result->constant++;
        means += mean * mean;
        variance += s->square[j] = own;
    }
    double all = means + variance;
    result->mean_share = all > 0 ? means / all : 0;
    result->size = sqrt(all / (double)s->d);
    qsort(s->square, s->d, sizeof *s->square, falling);
    for (size_t j = 0; j < s->d && variance > 0 && half < variance / 2; j++, result->half_of_variance++)
        half += s->square[j];
    result->repeated = (double)count_equal(s->hash, s->n) / n;
}

ra_status ra_data_survey_take(const ra_data *data, ra_data_survey *result, ra_error *err) {
    size_t d = data->dimensions, most = MOST_NUMBERS / d + 1;
    most = most < MOST_ROWS ? most : MOST_ROWS;
    survey s = {.data = data, .d = d, .n = data->rows < most ? data->rows : most};
    s.rows = ra_malloc(2 * s.n, sizeof *s.rows);
    s.row = ra_malloc(d, sizeof *s.row);
    s.first = ra_calloc(3 * d, sizeof *s.first);
    bool complete = s.rows && s.row && s.first;
    if (complete) {
        s.hash = s.rows + s.n;
        s.sum = s.first + d;
        s.square = s.sum + d;
        s.n = choose(data->rows, s.n, s.rows);
        look(&s);
        conclude(&s, result);
    }
    ra_free(s.rows);
    ra_free(s.row);
    ra_free(s.first);
    if (complete) return RA_OK;
    RA_FAIL_MEMORY(err, "a look at the data", 3 * d * sizeof *s.first + 2 * s.n * sizeof *s.rows);
}

ra_status ra_rows_count_repeated(const ra_tensor *rows, size_t *repeated, ra_error *err) {
    size_t n = rows->shape[0], d = rows->shape[1], bytes = d * ra_dtype_size(rows->dtype);
    uint64_t *hash = ra_malloc(n, sizeof *hash);
    float *row = ra_malloc(d, sizeof *row);
    bool complete = hash && row;
    for (size_t i = 0; i < n && complete; i++) {
        ra_convert_to_f32(rows->dtype, (const char *)rows->data + i * bytes, row, d);
        hash[i] = hash_of(row, d);
    }
    *repeated = complete ? count_equal(hash, n) : 0;
    ra_free(hash);
    ra_free(row);
    if (complete) return RA_OK;
    RA_FAIL_MEMORY(err, "a look at rows", n * sizeof *hash + d * sizeof *row);
}
