/* options.h - flags as tables: one row is the parser, the check of the value and the line of --help.
 *
 * A command lists groups. A group is a table of options of its own or a settings table of the library
 * (ra_settings.h), with the struct that its values go to.
 *
 *     static const option rows[] = {
 *         {.name = "output", .letter = 'o', .type = OPTION_TEXT, .offset = offsetof(struct x, output),
 *          .argument = "FILE", .required = true, .help = "where the codes go"}};
 *     const option_group groups[] = {{"Files", rows, 1, NULL, &x, NULL}};
 *     const command_line line = {"encode", "...", "...", "...", groups, 1, 2, 2, "MODEL and DATA"};
 *     switch (command_line_parse(&line, &argc, argv)) ...
 *
 * Grammar: `--flag value`, `--flag=value`, `-o value`; flags and arguments in any order; `--` ends the flags.
 * A flag may be given once: a second one is a mistake more often than a wish. A setting whose flag is `no-X`
 * takes no value and sets false; `--X` sets it true again. A following word that starts with `--` is not a
 * value: it is the next flag, and the value is missing.
 */
#ifndef RASAE_OPTIONS_H
#define RASAE_OPTIONS_H

#include "ra_settings.h"

typedef enum option_type {
    OPTION_SWITCH, /* bool, takes no value */
    OPTION_TEXT,   /* const char *, not owned */
    OPTION_COUNT,  /* size_t, min to max */
    OPTION_NAME,   /* int, an index into names */
} option_type;

typedef struct option {
    const char *name; /* without dashes */
    char letter;      /* of its short form, 0: none */
    option_type type;
    bool required;
    size_t offset;            /* of the value in the group's struct */
    const char *const *names; /* OPTION_NAME: NULL-terminated */
    size_t min, max;          /* OPTION_COUNT */
    const char *argument;     /* how --help names the value */
    const char *help;         /* one line */
} option;

/* Either `options` or `settings`. */
typedef struct option_group {
    const char *title; /* of its part of --help; NULL: goes on with the part before */
    const option *options;
    size_t count;
    const ra_settings_table *settings;
    void *values;
    const void *defaults; /* of a settings table: what --help shows as defaults (those known); may be NULL */
} option_group;

typedef struct command_line {
    const char *command; /* "train" */
    const char *usage;   /* what follows the name in the first line of --help */
    const char *about;   /* paragraphs, wrapped by hand, ending with a newline */
    const char *example; /* indented lines, ending with a newline */
    const option_group *groups;
    size_t group_count;
    int min_arguments, max_arguments;
    const char *arguments; /* what the arguments are, for messages: "DATA, at least one file" */
} command_line;

typedef enum command_line_result { LINE_GOOD, LINE_HELP, LINE_WRONG } command_line_result;

/* Fills the groups' structs from argv[1] on. The arguments that are no flags are moved to the front: on
 * LINE_GOOD they are argv[0 .. *argc). LINE_HELP: the help has been printed on stdout. LINE_WRONG: the
 * mistake has been printed on stderr. */
command_line_result command_line_parse(const command_line *line, int *argc, char **argv);

/* Says on stderr what is wrong with the command line, and where help is. Returns EXIT_USAGE. */
int usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Of the `count` names that `name(context, i)` gives, the one that `text` may have meant; NULL when none is
 * near. */
const char *nearest_name(const char *text, size_t count, const char *(*name)(const void *context, size_t i),
                         const void *context);

/* The rows "threads" and "device" of a model_choice (command.h), and the title of the group
 * of its settings. */
#define MODEL_SETTINGS_TITLE "Settings that a checkpoint's metadata lacks, or other values for them"
extern const option model_options[];
enum { MODEL_OPTION_COUNT = 2 };

#endif
