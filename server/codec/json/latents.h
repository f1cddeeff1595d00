/* json_latents.h - what is known of a latent from data, as JSON.
 *
 * Thread safety: a text belongs to one thread.
 */
#ifndef RASAED_CODEC_JSON_LATENTS_H
#define RASAED_CODEC_JSON_LATENTS_H

#include "app/json.h"
#include "ra_latent_statistics.h"

/* The member `statistics` of an atom; null when there are none. */
void json_statistics(text *out, const ra_latent_statistics *latents, size_t latent);

/* The member `layout`: [x,y]; null when it is not known. */
void json_layout(text *out, const float *place);

#endif
