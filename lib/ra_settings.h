/* ra_settings.h - settings as data: one row feeds the metadata of files, the flags of programs and their
 * --help.
 *
 * A settings struct starts with `uint32_t known`, a bit a row that was set; the rest are values at the rows'
 * offsets. To add a setting: a member in its struct, a row in its table (sae/settings.c, train/settings.c).
 * Nothing else.
 *
 * Thread safety: tables are constant; a struct belongs to its owner.
 */
#ifndef RA_SETTINGS_H
#define RA_SETTINGS_H

#include "ra_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ra_setting_type {
    RA_SETTING_COUNT, /* size_t */
    RA_SETTING_REAL,  /* double */
    RA_SETTING_BOOL,  /* bool: "true" or "false" */
    RA_SETTING_NAME,  /* int: an index into names */
} ra_setting_type;

typedef struct ra_setting {
    const char *key; /* in metadata: "top_k" */
    const char
        *flag; /* on the command line, without dashes: "top-k"; "no-..." takes no value and sets false */
    ra_setting_type type;
    size_t offset;            /* of the value in its struct */
    const char *const *names; /* RA_SETTING_NAME: NULL-terminated, by value */
    double min, max;          /* inclusive; counts and reals */
    const char *argument;     /* how --help names the value: "K" */
    const char *help;         /* one line */
} ra_setting;

typedef struct ra_settings_table {
    const ra_setting *rows;
    size_t count; /* at most 32 */
} ra_settings_table;

/* Index of the row with this key or flag, -1 when there is none. */
int ra_setting_by_key(const ra_settings_table *table, const char *key);
int ra_setting_by_flag(const ra_settings_table *table, const char *flag);

/* Parses `text` into the value of row i, checks its range, and marks it known. `where` starts the sentence of
 * a failure: "model.safetensors: top_k" or "--top-k". */
ra_status ra_setting_parse(const ra_settings_table *table, size_t i, void *settings, const char *text,
                           const char *where, ra_error *err);

/* "1000" -> 1000: true when text is decimal digits and nothing else. A number beyond size_t is SIZE_MAX, for
 * the check of its range to refuse. */
bool ra_count_parse(const char *text, size_t *count);

/* The value of row i as text that ra_setting_parse() reads back exactly. Returns buffer. */
const char *ra_setting_print(const ra_settings_table *table, size_t i, const void *settings, char *buffer,
                             size_t size);

bool ra_setting_known(const void *settings, size_t i);

/* Copies the values that `from` knows and `to` does not (the other way round with ra_settings_override). */
void ra_settings_fill(const ra_settings_table *table, void *to, const void *from);
void ra_settings_override(const ra_settings_table *table, void *to, const void *from);

#endif
