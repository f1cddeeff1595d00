/* by_latent.h - what needs all codes of a latent at once: the latents that are active with it (cofiring.h), examples by
 * quantile (quantiles.h).
 *
 * The codes of the first pass are kept, in memory or in a file; the work is then done when it is asked for. If they do not
 * fit into memory and there shall be no file, each further pass over the data does a band of latents.
 *
 * Thread safety: one thread. */
#ifndef RA_METRICS_BY_LATENT_H
#define RA_METRICS_BY_LATENT_H

#include "metrics/cofiring.h"
#include "metrics/kept_codes.h"
#include "metrics/quantiles.h"

typedef struct ra_by_latent_options {
    size_t partners, least;          /* 0 partners: no lists */
    size_t quantiles, quantile_rows; /* 0 quantiles: none */
    bool keep;                       /* the codes in any case: others use them, too */
    size_t bytes;
    const char *folder; /* for codes that do not fit into memory; not owned; NULL: none */
} ra_by_latent_options;

typedef struct ra_by_latent {
    ra_by_latent_options options;
    size_t latents;
    ra_kept_codes kept;
    ra_codes_order order;
    ra_cofiring cofiring;
    ra_quantiles quantiles;
    bool begun; /* a band, without the codes in memory */
    size_t pass_rows, done_rows;
} ra_by_latent;

ra_status ra_by_latent_init(ra_by_latent *by, size_t latents, const ra_by_latent_options *options,
                            ra_error *err);
void ra_by_latent_release(ra_by_latent *by); /* leaves {0}, which is valid */

/* Rows of the first pass, or of a later one. */
ra_status ra_by_latent_add(ra_by_latent *by, ra_pool *pool, const ra_codes *codes, bool first_pass,
                           ra_error *err);

/* After a pass. *again <- whether the next one is needed; unchanged if not. */
ra_status ra_by_latent_next_pass(ra_by_latent *by, ra_pool *pool, const ra_latent_sums *sums,
                                 const ra_latent_rows *rows, bool *again, ra_error *err);

/* view->cofiring and view->quantiles <- what is wanted. RA_ERR_STATE if passes are missing. */
ra_status ra_by_latent_view(ra_by_latent *by, ra_pool *pool, const ra_latent_sums *sums,
                            const ra_latent_rows *rows, ra_latent_statistics *view, ra_error *err);

#endif
