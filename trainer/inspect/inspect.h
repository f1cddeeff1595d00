/* inspect.h - the parts of `rasae inspect`, whose flags and order are in trainer/inspect.c.
 *
 *   contrasts.c  the contrasts of sets of data that the file holds
 *   latents.c    what was measured of a latent on data: which others are active with it, rows from all over its range
 *   training.c   how far the training went
 *
 * Thread safety: one thread.
 */
#ifndef RASAE_INSPECT_INSPECT_H
#define RASAE_INSPECT_INSPECT_H

#include "app/json.h"
#include "ra.h"

/* `training`, an object of its last values, or null; a line. */
void inspect_training_json(text *json, const ra_model *model);
void inspect_training_print(const ra_model *model);

/* `contrasts`, an array in the object of the file; a line for each contrast. */
void inspect_contrasts_json(text *json, const ra_model *model);
void inspect_contrasts_print(const ra_model *model);

/* `cofiring` and `quantiles` of an atom's object; null where the file has none. */
void inspect_latent_json(text *json, const ra_model *model, size_t atom);

/* A line for the latents that are active with it, and one for its range. */
void inspect_latent_print(const ra_model *model, size_t atom);

#endif
