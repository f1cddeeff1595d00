#include "metrics/quantiles.h"
#include "ra_memory.h"

#include <stdlib.h>
#include <string.h>

ra_status ra_quantiles_init(ra_quantiles *quantiles, size_t latents, size_t count, size_t rows, size_t bytes,
                            ra_error *err) {
    size_t most = count * rows;
    *quantiles = (ra_quantiles){.latents = latents, .quantiles = count, .rows = rows, .bytes = bytes};
    quantiles->start = ra_malloc(latents, sizeof *quantiles->start);
    quantiles->filled = ra_malloc(latents, sizeof *quantiles->filled);
    quantiles->bound = ra_calloc(latents, (count + 1) * sizeof *quantiles->bound);
    quantiles->row = ra_malloc(latents, most * sizeof *quantiles->row);
    quantiles->number = ra_malloc(latents, most * sizeof *quantiles->number);
    quantiles->value = ra_calloc(latents, most * sizeof *quantiles->value);
    if (quantiles->start && quantiles->filled && quantiles->bound && quantiles->row && quantiles->number &&
        quantiles->value) {
        return RA_OK;
    }
    ra_quantiles_release(quantiles);
    RA_FAIL_MEMORY(err, "the examples by quantile",
                   latents * (most * (2 * sizeof(int64_t) + sizeof(float)) + (count + 1) * sizeof(float)));
}

void ra_quantiles_release(ra_quantiles *quantiles) {
    ra_free(quantiles->start);
    ra_free(quantiles->filled);
    ra_free(quantiles->key);
    ra_free(quantiles->bound);
    ra_free(quantiles->row);
    ra_free(quantiles->number);
    ra_free(quantiles->value);
    ra_labels_free(quantiles->labels);
    *quantiles = (ra_quantiles){0};
}

ra_status ra_quantiles_begin(ra_quantiles *quantiles, const ra_latent_sums *sums, size_t end, ra_error *err) {
    size_t first = quantiles->end, k = first, keys = 0, most = quantiles->bytes / sizeof *quantiles->key;
    if (sums->rows > UINT32_MAX)
        RA_FAIL(err, RA_ERR_ARGUMENT, "examples by quantile are chosen from at most %u rows, got %zu",
                UINT32_MAX, sums->rows);
    for (; k < end && (k == first || keys + (size_t)sums->count[k] <= most); k++) {
        quantiles->start[k] = keys;
        quantiles->filled[k] = 0;
        keys += (size_t)sums->count[k];
    }
    if (keys > quantiles->key_capacity) {
        ra_free(quantiles->key);
        quantiles->key_capacity = 0;
        quantiles->key = ra_malloc(keys, sizeof *quantiles->key);
        if (!quantiles->key) RA_FAIL_MEMORY(err, "the codes of a latent", keys * sizeof *quantiles->key);
        quantiles->key_capacity = keys;
    }
    quantiles->first = first;
    quantiles->end = k;
    return RA_OK;
}

/* ---- rows --------------------------------------------------------------------------------------------- */

/* The bits of positive floats are in the order of their values. */
static uint64_t key_of(float value, size_t row) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint64_t)bits << 32 | (uint32_t)row;
}

static float value_of(uint64_t key) {
    uint32_t bits = (uint32_t)(key >> 32);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

typedef struct quantiles_job {
    ra_quantiles *quantiles;
    const ra_codes_order *order;
    const ra_latent_rows *rows;
} quantiles_job;

static void add_latent(void *context, size_t part) {
    const quantiles_job *job = context;
    const ra_codes_order *order = job->order;
    size_t k = job->quantiles->first + part, filled = job->quantiles->filled[k];
    uint64_t *key = job->quantiles->key + job->quantiles->start[k];
    for (size_t p = order->start[k]; p < order->start[k + 1]; p++)
        if (order->value[p] > 0) key[filled++] = key_of(order->value[p], order->first_row + order->row[p]);
    job->quantiles->filled[k] = filled;
}

void ra_quantiles_add(ra_quantiles *quantiles, ra_pool *pool, const ra_codes_order *order) {
    quantiles_job job = {.quantiles = quantiles, .order = order};
    ra_pool_run(pool, quantiles->end - quantiles->first, add_latent, &job);
}

/* ---- choosing ------------------------------------------------------------------------------------------ */

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The finalizer of splitmix64, of both. */
static uint64_t hash_of(uint64_t latent, uint64_t number) {
    uint64_t x = (latent + 1) * 0x9e3779b97f4a7c15u + number;
    for (int round = 0; round < 2; round++) {
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        x ^= x >> 31;
    }
    return x;
}

static uint64_t number_of(const ra_latent_rows *rows, uint64_t row) {
    return rows->number ? rows->number(rows->context, row) : row;
}

/* Largest code first, the earlier row among equals. */
static bool comes_before(uint64_t a, uint64_t b) {
    return a >> 32 != b >> 32 ? a >> 32 > b >> 32 : (uint32_t)a < (uint32_t)b;
}

/* row, value [S] <- of the keys [count] those with the smallest hashes. */
static void draw(const quantiles_job *job, size_t latent, const uint64_t *key, size_t count, int64_t *row,
                 float *value) {
    uint64_t hash[RA_LATENT_QUANTILE_ROWS_MOST], kept[RA_LATENT_QUANTILE_ROWS_MOST];
    size_t S = job->quantiles->rows, n = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t h = hash_of(latent, number_of(job->rows, (uint32_t)key[i]));
        if (n == S && h >= hash[n - 1]) continue;
        size_t at = n < S ? n++ : n - 1;
        for (; at > 0 && hash[at - 1] > h; at--) {
            hash[at] = hash[at - 1];
            kept[at] = kept[at - 1];
        }
        hash[at] = h;
        kept[at] = key[i];
    }
    for (size_t i = 1; i < n; i++) /* few: insertion */
        for (size_t at = i; at > 0 && comes_before(kept[at], kept[at - 1]); at--) {
            uint64_t other = kept[at];
            kept[at] = kept[at - 1];
            kept[at - 1] = other;
        }
    for (size_t i = 0; i < n; i++) {
        row[i] = (uint32_t)kept[i];
        value[i] = value_of(kept[i]);
    }
}

static void choose_latent(void *context, size_t part) {
    const quantiles_job *job = context;
    ra_quantiles *quantiles = job->quantiles;
    size_t k = quantiles->first + part, n = quantiles->filled[k], Q = quantiles->quantiles,
           S = quantiles->rows;
    uint64_t *key = quantiles->key + quantiles->start[k];
    float *bound = quantiles->bound + k * (Q + 1);
    for (size_t i = k * Q * S; i < (k + 1) * Q * S; i++) {
        quantiles->row[i] = -1;
        quantiles->value[i] = 0;
    }
    memset(bound, 0, (Q + 1) * sizeof *bound);
    if (n == 0) return;
    qsort(key, n, sizeof *key, ascending);
    for (size_t q = 0; q < Q; q++) {
        size_t from = q * n / Q, to = (q + 1) * n / Q, at = (k * Q + q) * S;
        bound[q] = value_of(key[from]); /* below n, even of an empty quantile */
        draw(job, k, key + from, to - from, quantiles->row + at, quantiles->value + at);
    }
    bound[Q] = value_of(key[n - 1]);
}

void ra_quantiles_choose(ra_quantiles *quantiles, ra_pool *pool, const ra_latent_rows *rows) {
    quantiles_job job = {.quantiles = quantiles, .rows = rows};
    ra_pool_run(pool, quantiles->end - quantiles->first, choose_latent, &job);
}

ra_status ra_quantiles_view(ra_quantiles *quantiles, const ra_latent_rows *rows, ra_latent_statistics *view,
                            ra_error *err) {
    size_t count = quantiles->latents * quantiles->quantiles * quantiles->rows;
    for (size_t i = 0; i < count; i++)
        quantiles->number[i] =
            quantiles->row[i] < 0 ? -1 : (int64_t)number_of(rows, (uint64_t)quantiles->row[i]);
    if (rows->labels) {
        ra_labels_free(quantiles->labels);
        quantiles->labels = NULL;
        RA_TRY(ra_latent_label_rows(quantiles->number, count, rows->labels, &quantiles->labels, err));
    }
    view->quantiles = (ra_latent_quantiles){.count = quantiles->quantiles,
                                            .rows = quantiles->rows,
                                            .bound = quantiles->bound,
                                            .row = quantiles->number,
                                            .value = quantiles->value,
                                            .label = rows->labels ? quantiles->labels : NULL};
    return RA_OK;
}
