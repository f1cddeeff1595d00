/* ra_settings.h - settings as data: from one row follow the metadata of files, the flag and its line of --help.
 *
 *     struct mine {
 *         uint64_t known;
 *         size_t top_k;
 *     } mine = {0};
 *     static const ra_setting rows[] = {
 *         {"top_k", RA_SETTING_COUNT, offsetof(struct mine, top_k), .min = 1, .max = 1000, .fallback = "32",
 *             .argument = "k", .help = "active latents per row"}};
 *     const ra_settings_table table = {rows, sizeof rows / sizeof *rows};
 *     RA_TRY(ra_setting_parse(&table, 0, &mine, "16", "--top-k", err));
 *
 * The struct that a table describes starts with `uint64_t known`, one bit per row that was set; the values lie at
 * the rows' offsets. To add a setting: a member in its struct, a row in its table (sae/settings.c,
 * train/settings.c; the programs have tables of their own). The library reads and writes metadata (ra_io.h); flags,
 * environment, configuration files and help are read and written by the programs, from the same rows.
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
    RA_SETTING_TEXT,  /* const char *, borrowed: for programs, not for files */
    RA_SETTING_LIST,  /* settings_list of app/settings.h: the same */
} ra_setting_type;

/* A value of other programs that is not among a setting's names, and what to say about it. */
typedef struct ra_setting_refusal {
    const char *value, *why;
} ra_setting_refusal;

typedef struct ra_setting {
    const char *key; /* in metadata and configuration files: "top_k" */
    ra_setting_type type;
    size_t offset;        /* of the value in its struct */
    const char *flag;     /* "concepts" where it is not the key with dashes; "no-..." of a bool says false */
    const char *known_as; /* what other programs call it, "port host": a message then names this flag */
    char letter;          /* of the flag's short form; 0: it has none */
    bool required;        /* a command cannot do without it */
    const char *const *names;           /* RA_SETTING_NAME: NULL-terminated, by value */
    const ra_setting_refusal *refusals; /* RA_SETTING_NAME: up to one without a value; NULL: none */
    double min, max;                    /* inclusive; counts and reals */
    bool bytes;                         /* of a count: a size, which may end in K, M, G or T, of 1024 */
    const char *zero;                   /* of a count: the word that stands for 0; NULL: there is none */
    const char *unit;                   /* of a real: a suffix that it may have ("x"); NULL: there is none */
    size_t unit_offset;                 /* of the bool that says whether it has */
    const char *fallback; /* the default; NULL: there is none, or it depends on other settings */
    const char *argument; /* how --help names the value: "K" */
    const char *help;     /* a phrase without a full stop; NULL: the names */
    ra_status (*check)(const char *text,
                       ra_error *err); /* of a text, of each item of a list; NULL: any is good */
} ra_setting;

typedef struct ra_settings_table {
    const ra_setting *rows;
    size_t count; /* at most 64 */
} ra_settings_table;

/* Index of the row with this key, -1 when there is none. */
int ra_setting_by_key(const ra_settings_table *table, const char *key);

/* The row's flag without its dashes: "top-k", "no-shuffle". */
typedef struct ra_setting_name {
    char text[48];
} ra_setting_name;
ra_setting_name ra_setting_flag(const ra_setting *row);

/* The row's help: its own, or its names, "relu, topk or mp", written to buffer. */
const char *ra_setting_help(const ra_setting *row, char *buffer, size_t size);

/* Parses `text` into the value of row i, checks its range, and marks it known. `where` starts the sentence of
 * a failure: "model.safetensors: top_k" or "--top-k". */
ra_status ra_setting_parse(const ra_settings_table *table, size_t i, void *settings, const char *text,
                           const char *where, ra_error *err);

/* "1000" -> 1000: true when text is decimal digits and nothing else. A number beyond size_t is SIZE_MAX, for
 * the check of its range to refuse. */
bool ra_count_parse(const char *text, size_t *count);

/* The same for a size: "64M" -> 67108864, "64MiB" too; K, M, G and T are powers of 1024. */
bool ra_size_parse(const char *text, size_t *bytes);

/* The value of row i as text that ra_setting_parse() reads back exactly: in buffer; a setting that is a text is
 * returned itself. */
const char *ra_setting_print(const ra_settings_table *table, size_t i, const void *settings, char *buffer,
                             size_t size);

bool ra_setting_known(const void *settings, size_t i);
void ra_setting_forget(void *settings, size_t i); /* it is not known any more */

/* Copies the values that `from` knows and `to` does not (the other way round with ra_settings_override). */
void ra_settings_fill(const ra_settings_table *table, void *to, const void *from);
void ra_settings_override(const ra_settings_table *table, void *to, const void *from);

/* What is not known becomes what its row falls back on. */
void ra_settings_default(const ra_settings_table *table, void *settings);

#endif
