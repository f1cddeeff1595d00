/* Pairs of latents that are active together.
 *
 * A row with k active latents has k^2 pairs, of K^2 that are possible, so the work is B k^2, but the numbers are K^2:
 * too many to keep for K = 32,000 (16 GB). What is wanted of them, the T strongest of each latent, is known only
 * after the last row. So a few latents at a time meet all others, over all rows; for each of them the rows in
 * which it is active are read in order, and all sums of one latent (16 bytes times K) stay in the cache.
 *
 * A latent that is active in every row would lose the digits of a covariance where its mean is many deviations;
 * its codes are taken minus their mean. All others vary by being inactive now and then, which is enough. */
#include "metrics/cofiring.h"
#include "ra_memory.h"
#include "metrics/codes.h"

#include <math.h>
#include <string.h>

ra_status ra_cofiring_init(ra_cofiring *cofiring, size_t latents, size_t partners, size_t least, size_t bytes,
                           ra_error *err) {
    *cofiring = (ra_cofiring){.latents = latents, .partners = partners, .least = least, .bytes = bytes};
    cofiring->mean = ra_malloc(3 * latents, sizeof *cofiring->mean);
    bool complete = cofiring->mean != NULL;
    for (size_t m = 0; m < RA_COFIRING_MEASURES; m++) {
        cofiring->atom[m] = ra_malloc(latents, partners * sizeof *cofiring->atom[m]);
        cofiring->count[m] = ra_calloc(latents, partners * sizeof *cofiring->count[m]);
        cofiring->correlation[m] = ra_calloc(latents, partners * sizeof *cofiring->correlation[m]);
        complete &= cofiring->atom[m] && cofiring->count[m] && cofiring->correlation[m];
    }
    if (complete) {
        cofiring->shift = cofiring->mean + latents;
        cofiring->square = cofiring->shift + latents;
        return RA_OK;
    }
    ra_cofiring_release(cofiring);
    RA_FAIL_MEMORY(err, "the latents that are active together",
                   latents * (3 * sizeof(double) + partners * RA_COFIRING_MEASURES * 16));
}

void ra_cofiring_release(ra_cofiring *cofiring) {
    ra_free(cofiring->pair);
    ra_free(cofiring->mean);
    for (size_t m = 0; m < RA_COFIRING_MEASURES; m++) {
        ra_free(cofiring->atom[m]);
        ra_free(cofiring->count[m]);
        ra_free(cofiring->correlation[m]);
    }
    *cofiring = (ra_cofiring){0};
}

/* ---- a band ------------------------------------------------------------------------------------------ */

static ra_status reserve(ra_cofiring *cofiring, size_t count, ra_error *err) {
    if (count <= cofiring->capacity) return RA_OK;
    ra_free(cofiring->pair);
    cofiring->capacity = 0;
    cofiring->pair = ra_malloc(count, cofiring->latents * sizeof *cofiring->pair);
    if (!cofiring->pair)
        RA_FAIL_MEMORY(err, "pairs of latents", count * cofiring->latents * sizeof *cofiring->pair);
    cofiring->capacity = count;
    return RA_OK;
}

ra_status ra_cofiring_begin(ra_cofiring *cofiring, const ra_latent_sums *sums, size_t most, ra_error *err) {
    size_t K = cofiring->latents, fit = cofiring->bytes / sizeof *cofiring->pair / K,
           left = K - cofiring->end;
    size_t count = most < fit ? most : fit;
    if (sums->rows > UINT32_MAX)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "latents that are active together are counted in at most %u rows, got %zu", UINT32_MAX,
                sums->rows);
    if (count < 1) count = 1;
    if (count > left) count = left;
    RA_TRY(reserve(cofiring, count, err));
    if (cofiring->end == 0) {
        cofiring->shifted = false;
        for (size_t k = 0; k < K; k++) {
            cofiring->mean[k] = sums->sum[k] / (double)sums->rows;
            cofiring->shift[k] = (size_t)sums->count[k] == sums->rows ? cofiring->mean[k] : 0;
            cofiring->shifted |= cofiring->shift[k] != 0;
            cofiring->square[k] = 0;
        }
    }
    cofiring->first = cofiring->end;
    cofiring->end += count;
    memset(cofiring->pair, 0, count * K * sizeof *cofiring->pair);
    return RA_OK;
}

/* ---- rows --------------------------------------------------------------------------------------------- */

typedef struct cofiring_job {
    ra_cofiring *cofiring;
    const ra_codes_order *order;
    const ra_latent_sums *sums;
} cofiring_job;

static void add_latent(void *context, size_t part) {
    const cofiring_job *job = context;
    const ra_cofiring *cofiring = job->cofiring;
    const ra_codes_order *order = job->order;
    const ra_codes *codes = order->codes;
    size_t i = cofiring->first + part;
    ra_latent_pair *pair = cofiring->pair + part * cofiring->latents;
    for (size_t p = order->start[i]; p < order->start[i + 1]; p++) {
        double value = (double)order->value[p] - cofiring->shift[i];
        if (order->value[p] == 0) continue;
        for (size_t e = codes->start[order->row[p]]; e < codes->start[order->row[p] + 1]; e++) {
            size_t k = (size_t)codes->index[e];
            if (codes->value[e] == 0) continue;
            pair[k].together++;
            pair[k].product +=
                value * ((double)codes->value[e] - (cofiring->shifted ? cofiring->shift[k] : 0));
        }
    }
}

void ra_cofiring_add(ra_cofiring *cofiring, ra_pool *pool, const ra_codes_order *order) {
    const ra_codes *codes = order->codes;
    cofiring_job job = {.cofiring = cofiring, .order = order};
    if (cofiring->first == 0 && cofiring->end > 0)
        for (size_t e = 0; e < ra_codes_entries(codes); e++) {
            size_t k = (size_t)codes->index[e];
            double value = codes->value[e] != 0 ? (double)codes->value[e] - cofiring->shift[k] : 0;
            cofiring->square[k] += value * value;
        }
    ra_pool_run(pool, cofiring->end - cofiring->first, add_latent, &job);
}

/* ---- the strongest ------------------------------------------------------------------------------------ */

/* Their correlation, signed; 0 where one of the two does not vary. */
static double correlation_of(const ra_cofiring *cofiring, const ra_latent_sums *sums, size_t i, size_t k,
                             double product) {
    double rows = (double)sums->rows;
    double a = cofiring->mean[i] - cofiring->shift[i], b = cofiring->mean[k] - cofiring->shift[k];
    double covariance = product - rows * a * b;
    double strength = ra_correlation_of(covariance, fmax(0, cofiring->square[i] - rows * a * a),
                                        fmax(0, cofiring->square[k] - rows * b * b), rows, cofiring->mean[i],
                                        cofiring->mean[k]);
    return covariance < 0 ? -strength : strength;
}

/* Among equals the lower latent comes first, since it comes earlier. */
static void offer(const ra_cofiring *cofiring, size_t m, size_t i, double *keys, size_t k, double key,
                  int64_t count, double correlation) {
    size_t T = cofiring->partners, t = T;
    int32_t *atom = cofiring->atom[m] + i * T;
    int64_t *counts = cofiring->count[m] + i * T;
    float *correlations = cofiring->correlation[m] + i * T;
    while (t > 0 && (atom[t - 1] < 0 || keys[t - 1] < key)) t--;
    if (t == T) return;
    size_t behind = T - t - 1;
    memmove(atom + t + 1, atom + t, behind * sizeof *atom);
    memmove(counts + t + 1, counts + t, behind * sizeof *counts);
    memmove(correlations + t + 1, correlations + t, behind * sizeof *correlations);
    memmove(keys + t + 1, keys + t, behind * sizeof *keys);
    atom[t] = (int32_t)k;
    counts[t] = count;
    correlations[t] = (float)correlation;
    keys[t] = key;
}

static void choose_latent(void *context, size_t part) {
    const cofiring_job *job = context;
    const ra_cofiring *cofiring = job->cofiring;
    const ra_latent_sums *sums = job->sums;
    size_t K = cofiring->latents, i = cofiring->first + part;
    const ra_latent_pair *pair = cofiring->pair + part * K;
    double keys[RA_COFIRING_MEASURES][RA_COFIRING_PARTNERS_MOST];
    for (size_t m = 0; m < RA_COFIRING_MEASURES; m++)
        for (size_t t = 0; t < cofiring->partners; t++) {
            size_t at = i * cofiring->partners + t;
            cofiring->atom[m][at] = -1;
            cofiring->count[m][at] = 0;
            cofiring->correlation[m][at] = 0;
        }
    for (size_t k = 0; k < K; k++) {
        int64_t together = (int64_t)pair[k].together;
        if (pair[k].together < cofiring->least || together == 0 || k == i) continue;
        double count = (double)together;
        double lift = count * (double)sums->rows / ((double)sums->count[i] * (double)sums->count[k]);
        double correlation = correlation_of(cofiring, sums, i, k, pair[k].product);
        offer(cofiring, RA_COFIRING_COUNT, i, keys[RA_COFIRING_COUNT], k, count, together, correlation);
        if (lift > 1)
            offer(cofiring, RA_COFIRING_PMI, i, keys[RA_COFIRING_PMI], k, lift, together, correlation);
        if (correlation > 0)
            offer(cofiring, RA_COFIRING_CORRELATION, i, keys[RA_COFIRING_CORRELATION], k, correlation,
                  together, correlation);
    }
}

void ra_cofiring_choose(ra_cofiring *cofiring, ra_pool *pool, const ra_latent_sums *sums) {
    cofiring_job job = {.cofiring = cofiring, .sums = sums};
    ra_pool_run(pool, cofiring->end - cofiring->first, choose_latent, &job);
}

void ra_cofiring_view(const ra_cofiring *cofiring, ra_latent_statistics *view) {
    view->cofiring = (ra_latent_cofiring){.partners = cofiring->partners, .least = cofiring->least};
    for (size_t m = 0; m < RA_COFIRING_MEASURES; m++) {
        view->cofiring.atom[m] = cofiring->atom[m];
        view->cofiring.count[m] = cofiring->count[m];
        view->cofiring.correlation[m] = cofiring->correlation[m];
    }
}
