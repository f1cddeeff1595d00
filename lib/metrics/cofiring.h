/* cofiring.h - the latents that are active together with each latent.
 *
 * Exact: for a band of latents all K counts and products of each are kept, over all rows; then the strongest are
 * chosen and the rest is dropped. Memory is that of the lists, K * T entries for each measure, plus the band,
 * 16 bytes per pair.
 *
 *     ra_cofiring cofiring;
 *     RA_TRY(ra_cofiring_init(&cofiring, K, 16, 5, bytes, err));
 *     while (cofiring.end < K) {
 *         RA_TRY(ra_cofiring_begin(&cofiring, sums, K, err));
 *         ra_cofiring_add(&cofiring, pool, &order); // for the codes of all rows
 *         ra_cofiring_choose(&cofiring, pool, sums);
 *     }
 *     ra_cofiring_release(&cofiring);
 *
 * The number of threads, of bands and of calls changes no bit of a result.
 */
#ifndef RA_METRICS_COFIRING_H
#define RA_METRICS_COFIRING_H

#include "base/pool.h"
#include "metrics/kept_codes.h"
#include "metrics/statistics.h"

/* Side by side, since both are needed together. */
typedef struct ra_latent_pair {
    double product;    /* sum of the products of their codes minus `shift` */
    uint64_t together; /* rows in which both are active */
} ra_latent_pair;

typedef struct ra_cofiring {
    size_t latents, partners, least; /* K, T; the fewest rows in which both are active */
    size_t bytes;                    /* the most for a band, which has at least one latent */
    size_t first, end;               /* the latents of the present band */
    size_t capacity;                 /* latents that `pair` holds */
    ra_latent_pair *pair;            /* [end - first, K] */
    double *mean, *shift, *square; /* [K] of the codes; 0, or the mean if it is active in all rows; the sum of
                                      * the squares of the codes minus `shift` */
    bool shifted;                  /* any latent */
    int32_t *atom[RA_COFIRING_MEASURES]; /* [K,T] the lists, -1 after the last */
    int64_t *count[RA_COFIRING_MEASURES];
    float *correlation[RA_COFIRING_MEASURES];
} ra_cofiring;

ra_status ra_cofiring_init(ra_cofiring *cofiring, size_t latents, size_t partners, size_t least, size_t bytes,
                           ra_error *err);
void ra_cofiring_release(ra_cofiring *cofiring); /* leaves {0}, which is valid */

/* The next band, of at most `most` latents and at most what the memory allows. sums: of all rows. */
ra_status ra_cofiring_begin(ra_cofiring *cofiring, const ra_latent_sums *sums, size_t most, ra_error *err);

void ra_cofiring_add(ra_cofiring *cofiring, ra_pool *pool, const ra_codes_order *order);

/* The lists of the latents of the band. */
void ra_cofiring_choose(ra_cofiring *cofiring, ra_pool *pool, const ra_latent_sums *sums);

void ra_cofiring_view(const ra_cofiring *cofiring, ra_latent_statistics *view);

#endif
