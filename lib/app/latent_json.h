/* latent_json.h - what was measured of a latent on data, in JSON: rows on which it is active, and latents that are active
 * with it.
 *
 * In the same words for the daemon's replies and `rasae inspect --json`. Thread safety: a text belongs to one thread.
 */
#ifndef RA_APP_LATENT_JSON_H
#define RA_APP_LATENT_JSON_H

#include "app/row_json.h"

/* "top": the rows with its largest values. places: with the media of each, if that is not NULL; so below. */
void json_latent_top(text *out, const ra_latent_statistics *latents, size_t latent, const row_places *places);

/* "quantiles": rows of each part of its range, the smallest codes first. null without; latents may be NULL. */
void json_latent_quantiles(text *out, const ra_latent_statistics *latents, size_t latent,
                           const row_places *places);

/* "count", "lift", "pmi" and "correlation", in the object that is open. */
void json_latent_partner(text *out, const ra_latent_partner *partner);

#endif
