/* json.h - JSON written straight into a text, key and value in one call.
 *
 *     text out = {0};
 *     json_object(&out, NULL);
 *     json_count(&out, "atom", 5);
 *     json_array(&out, "weights");
 *     json_float(&out, NULL, 0.25f);
 *     json_array_end(&out);
 *     json_object_end(&out); // {"atom":5,"weights":[0.25]}
 *
 * Inside arrays the key is NULL. There is no state besides the text: a comma belongs in front exactly when the text
 * ends in none of '{', '[', ':' and a newline. So a document may be written by functions that know nothing of each
 * other, and others may follow it on the next lines.
 *
 * Numbers are the shortest decimals that read back to the same float or double. NaN and infinity, for which JSON
 * has no word, are null. Strings and keys may hold anything: bytes that are not UTF-8 become U+FFFD.
 *
 * Errors: a lack of memory shows in out->failed. Thread safety: a text belongs to one thread.
 */
#ifndef RA_APP_JSON_H
#define RA_APP_JSON_H

#include "app/numbers.h"
#include "app/text.h"

void json_object(text *out, const char *key);
void json_object_end(text *out);
void json_array(text *out, const char *key);
void json_array_end(text *out);

void json_text(text *out, const char *key, const char *string); /* NULL: null */
void json_bool(text *out, const char *key, bool value);
void json_count(text *out, const char *key, uint64_t value);
void json_float(text *out, const char *key, float value);
void json_real(text *out, const char *key, double value);
void json_null(text *out, const char *key);
void json_raw(text *out, const char *key, const char *json); /* a value that is JSON already */

/* Arrays, as fast as numbers.h writes them; all finite. */
void json_floats(text *out, const char *key, const float *values, size_t n);
void json_indices(text *out, const char *key, const int32_t *values, size_t n);

/* The end of a document: writes it to the file as one line, as text_print() does, and releases the text. */
ra_status json_print(text *out, FILE *file, ra_error *err);

#endif
