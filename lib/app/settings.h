/* settings.h - the settings of a program, read from its command line, its environment and a file.
 *
 * Every setting is a row of a table (ra_settings.h). From the row follow the flag, the variable of the environment,
 * the key in the configuration file, the line of --help (and with it the manual page and the completions, which are
 * made from --help) and the entry of --print-config. A program lists its tables as groups, each with the struct
 * that its values go to:
 *
 *     ra_sae_settings settings = {0};
 *     const settings_group groups[] = {{"The autoencoder", ra_sae_settings_table(), &settings}};
 *     const command_line line = {.program = "rasae encode", .usage = "MODEL DATA... -o CODES", .groups = groups,
 *                                .group_count = 1, .min_arguments = 2, .max_arguments = 2};
 *     RA_TRY(settings_read_flags(&line, &argc, argv, &help, err));
 *     RA_TRY(settings_read_environment(&line, getenv, err));
 *     settings_default(&line);
 *
 * Sources are read from the strongest to the weakest: a value that is known stays, and weaker ones are only checked.
 * A list is taken from one source, too.
 *
 * Grammar of the command line: `--flag value`, `--flag=value`, `-o value`; flags and arguments in any order; `--`
 * ends the flags. A following word that starts with `--` is not a value: it is the next flag, and the value is
 * missing. `--X` sets a bool and `--no-X` clears it, as `--X=false` does. A flag may be given once, unless it is a
 * list. In the file `key = value` stands on each line and `#` begins a comment. The items of a list are given one by
 * one or, as in a variable, with ';' between them.
 *
 * Ownership: texts are borrowed from argv, the environment and the content of the file; lists are owned by their
 * struct, settings_release() frees them. Errors: RA_ERR_ARGUMENT, naming the flag, variable or line.
 * Thread safety: for main(), before there are threads.
 */
#ifndef RA_APP_SETTINGS_H
#define RA_APP_SETTINGS_H

#include "ra_settings.h"

#include <stdio.h>

/* The value of a row of type RA_SETTING_LIST. */
typedef struct settings_list {
    char **items;
    size_t count;
} settings_list;

typedef struct settings_group {
    const char *title; /* of its part of --help; NULL: continues the part before */
    const ra_settings_table *table;
    void *values;
    const void *defaults; /* its known values are shown by --help and used if nothing else is given; NULL: the
                      * fallbacks of the rows */
    bool flags_only;      /* asks something of the program: not a setting in the environment or the file */
} settings_group;

enum { SETTINGS_GROUPS = 8 };

typedef struct command_line {
    const char *program; /* "rasae train", "rasaed" */
    const char *usage;   /* what follows it in the first line of --help */
    const char *about;   /* paragraphs above the flags, wrapped by hand, ending with a newline */
    const char *below;   /* the same below them: examples, notes */
    const settings_group *groups;
    size_t group_count; /* at most SETTINGS_GROUPS */
    int min_arguments, max_arguments;
    const char *arguments; /* what they are, for messages: "MODEL and DATA, at least one file" */
    bool
        keeps_separator; /* `--` does not end the flags but stays among the arguments, once, between two lists */
    const char *environment; /* what variables begin with, "RASAED_"; NULL: there are none */
} command_line;

/* Reads argv[1 .. *argc). The arguments that are not flags are moved to the front: afterwards they are argv[0
 * .. *argc). If --help or -h is among them, *help is set and nothing else is read. */
ra_status settings_read_flags(const command_line *line, int *argc, char **argv, bool *help, ra_error *err);

/* The value of an environment variable, NULL when it is not set: getenv(). */
typedef char *settings_lookup(const char *name);
ra_status settings_read_environment(const command_line *line, settings_lookup *lookup, ra_error *err);

/* Refuses variables that begin with line->environment and that nothing reads: a mistyped one would leave its setting
 * at the default without a word. variables: environ, "NAME=VALUE", ending with NULL. `others`: names that the program
 * reads besides its settings, with spaces between them. Variables that Kubernetes sets for services (..._SERVICE_HOST,
 * ..._SERVICE_PORT..., ..._PORT and ..._PORT_... with their values) are left alone. */
ra_status settings_check_environment(const command_line *line, char *const *variables, const char *others,
                                     ra_error *err);

/* The caller frees *content, into which texts of the file point, with ra_free(). RA_ERR_NOT_FOUND and
 * RA_ERR_IO for the file itself, RA_ERR_FORMAT for lines that are not settings. */
ra_status settings_read_file(const command_line *line, const char *path, char **content, ra_error *err);

/* Values that no source has given get their default; see settings_group. */
void settings_default(const command_line *line);

/* Frees the lists. */
void settings_release(const command_line *line);

void settings_print_help(const command_line *line, FILE *out);

/* A complete configuration file: every setting of it with what it means and the value it has. */
void settings_print_file(const command_line *line, FILE *out);

/* Prints on stderr what is wrong with the command line and where to find help. Returns 2, the exit status for
 * that. */
int command_line_wrong(const command_line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
