/* settings_table.h - the settings one by one, for what reads, prints and explains them; private to
 * settings*.c.
 *
 * A setting is known by its number: first the rows of settings.c, then those of ra_sae_settings_table(). Its
 * value is set from text and printed as text; a list has several values, added one after another.
 */
#ifndef RASAED_SETTINGS_TABLE_H
#define RASAED_SETTINGS_TABLE_H

#include "settings/settings.h"

typedef enum setting_kind {
    SETTING_TEXT,
    SETTING_COUNT,
    SETTING_NAME,
    SETTING_SWITCH,
    SETTING_ADDRESS,
    SETTING_FILES,   /* a list: dictionaries */
    SETTING_ORIGINS, /* a list: cors_origins */
    SETTING_KINDS
} setting_kind;

typedef struct setting_row {
    const char *key; /* the flag is the same with dashes */
    setting_kind kind;
    size_t offset;            /* of the value in settings */
    const char *standard;     /* the default, NULL: none */
    size_t min, max;          /* SETTING_COUNT */
    const char *const *names; /* SETTING_NAME, NULL-terminated, by value */
    const char *argument, *help;
} setting_row;

/* From the weakest to the strongest. */
typedef enum setting_source { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAGS } setting_source;

/* ---- names (settings.c) -------------------------------------------------------------------------------- */

size_t setting_count(void);
const setting_row *setting_get(size_t i); /* NULL for the library's */
const char *setting_key(size_t i);

/* The flag without the dashes in front; the variable. Both return `buffer`. */
const char *setting_flag(size_t i, char *buffer, size_t size);
const char *setting_variable(size_t i, char *buffer, size_t size);

/* ---- values (settings_values.c) ------------------------------------------------------------------------ */

/* Sets the value, or adds to the list, which begins anew with each source. Several values of a list may stand
 * in one text with semicolons between them. `where` starts the sentence of a failure: "--listen". */
ra_status setting_set(settings *to, size_t i, const char *text, const char *where, setting_source source,
                      ra_error *err);

/* How many values it has: 0 when it is not set, 1, or the length of the list. */
size_t setting_values(const settings *from, size_t i);

/* The n-th of them as setting_set() reads it back. */
void setting_print(const settings *from, size_t i, size_t n, FILE *out);

#endif
