/* json.h - JSON for --json and --log, written as it is made: no tree, no memory, nothing that can fail before
 * the file itself does (ask ferror() or fclose() at the end).
 *
 *     json_writer json = {.file = stdout};
 *     json_object(&json, NULL);
 *     json_real(&json, "r2", 0.91);
 *     json_end(&json);          // {"r2":0.91} and a newline
 *
 * Inside arrays the key is NULL. Reals are the shortest text that reads back to the same double, floats have
 * nine significant digits, which read back to the same float; NaN and infinity, which JSON has no word for,
 * are null. Texts may hold anything: what is not UTF-8 becomes U+FFFD.
 *
 * Thread safety: a writer belongs to one thread.
 */
#ifndef RASAE_JSON_H
#define RASAE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { JSON_MAX_DEPTH = 8 };

typedef struct json_writer {
    FILE *file;
    int depth;
    bool follows[JSON_MAX_DEPTH + 1]; /* something has been written at this depth: a comma comes first */
    char close[JSON_MAX_DEPTH + 1];   /* '}' or ']' */
} json_writer;

void json_object(json_writer *json, const char *key);
void json_array(json_writer *json, const char *key);
void json_end(json_writer *json); /* of the innermost; a newline after the outermost */

void json_text(json_writer *json, const char *key, const char *text); /* NULL: null */
void json_bool(json_writer *json, const char *key, bool value);
void json_count(json_writer *json, const char *key, uint64_t value);
void json_real(json_writer *json, const char *key, double value);
void json_float(json_writer *json, const char *key, double value);

#endif
