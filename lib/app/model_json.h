/* model_json.h - a model in JSON, in the same words for `rasae inspect --json` and the daemon's replies.
 *
 * What a file does not say is null, a count of 0 among it. Thread safety: a text belongs to one thread.
 */
#ifndef RA_APP_MODEL_JSON_H
#define RA_APP_MODEL_JSON_H

#include "app/json.h"
#include "ra_model.h"

/* The members "concepts" to "bytes" of the object that is open. */
void json_model_info(text *out, const ra_model_info *info);

/* "settings":{...}, those that are known. */
void json_model_settings(text *out, const ra_sae_settings *settings);

void json_known_count(text *out, const char *key, size_t count); /* 0: null */

#endif
