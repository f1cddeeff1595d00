/* json_writer.h - JSON written straight into a text, commas included.
 *
 *     put_open(out, '{');
 *     put_key(out, "atom");
 *     put_size(out, 5);
 *     put_key(out, "archetypes");
 *     put_open(out, '[');
 *     put_number(out, 0.25f);
 *     put_close(out, ']');
 *     put_close(out, '}');                       {"atom":5,"archetypes":[0.25]}
 *
 * There is no state besides the text: a value or a key needs a comma in front exactly when the text does not
 * end in '{', '[' or ':'. Numbers go through numbers.h: the shortest decimals that read back exactly.
 * Memory running out shows in out->failed. Thread safety: a text belongs to one thread.
 */
#ifndef RASAED_CODEC_JSON_WRITER_H
#define RASAED_CODEC_JSON_WRITER_H

#include "codec/numbers.h"
#include "codec/text.h"

void put_open(text *out, char bracket);
void put_close(text *out, char bracket);
void put_key(text *out, const char *name); /* needs no escapes */

void put_string(text *out, const char *string);         /* UTF-8; NULL is written as null */
void put_string_checked(text *out, const char *string); /* any bytes: where they are not UTF-8, '?' */
void put_bool(text *out, bool value);
void put_size(text *out, size_t value);
void put_number(text *out, float value);                    /* null when it is NaN or infinite */
void put_numbers(text *out, const float *values, size_t n); /* an array; all finite */
void put_indices(text *out, const int32_t *values, size_t n);
void put_raw(text *out, const char *value); /* a value that is JSON already */

#endif
