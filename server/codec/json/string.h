/* string.h - reads strings of a JSON text without copying them.
 *
 * Scanning validates a string (UTF-8, escapes, no lone surrogates, no control characters) and leaves it where
 * it is, escapes included; comparing and decoding undo the escapes. Ownership: a json_string points into the
 * text that it was scanned from. Thread safety: no state.
 */
#ifndef RASAED_CODEC_JSON_STRING_H
#define RASAED_CODEC_JSON_STRING_H

#include "app/text.h"

/* The text between the quotes, valid but still escaped. */
typedef struct json_string {
    const char *raw;
    size_t size;
} json_string;

/* Scans the string whose opening quote is at `p`. Returns the first character after it, with *wrong = NULL;
 * or the character that breaks it, with the reason ("an unknown escape") in *wrong. */
const char *json_string_scan(const char *p, const char *end, json_string *string, const char **wrong);

/* Compares the bytes of the decoded texts: negative, zero, positive. */
int json_string_compare(json_string a, json_string b);

/* True when the decoded text is `expected`. */
bool json_string_is(json_string string, const char *expected);

/* Appends the decoded text, which may hold NUL characters. */
void json_string_decode(json_string string, text *out);

/* The number of bytes of `raw` to show in a message, for "%.*s": all, or whole characters up to 64 bytes. */
int json_string_shown(json_string string);

#endif
