/* Parsing flags from tables.
 *
 * Rows of both kinds (our options, the library's settings) are seen through one small view, `flag`, found by
 * walking the groups; parsing, the list in --help and the suggestion for a misspelled name all stand on that
 * walk. Walking it anew for each word of the command line costs nothing and needs no index.
 *
 * Which flags were seen is a bit set by position in the walk: that is how a repeated flag is noticed, and how
 * `--shuffle --no-shuffle`, which are one row, count as repeated too. */
#include "options.h"
#include "command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_FLAGS = 64, MAX_NAME = 48, HELP_COLUMN = 30 };

const option model_options[MODEL_OPTION_COUNT] = {
    {.name = "threads",
     .type = OPTION_COUNT,
     .offset = offsetof(model_choice, threads),
     .min = 1,
     .max = 1024,
     .argument = "T",
     .help = "CPU threads (all cores); the result does not depend on it"},
    {.name = "device",
     .type = OPTION_TEXT,
     .offset = offsetof(model_choice, device),
     .argument = "NAME",
     .help = "auto, cpu, cuda or reference (auto)"},
};

/* ---- the walk ---------------------------------------------------------------------------------------- */

typedef struct flag_row {
    const option_group *group;
    const option *own; /* one of the two */
    const ra_setting *setting;
    size_t row; /* of the setting in its table */
    const char *name;
    char letter;
    const char *argument, *help; /* argument NULL: takes no value */
} flag_row;

/* The i-th flag of all groups; false past the last. */
static bool flag_at(const command_line *line, size_t i, flag_row *found) {
    for (size_t g = 0; g < line->group_count; g++) {
        const option_group *group = &line->groups[g];
        size_t count = group->settings ? group->settings->count : group->count;
        if (i >= count) {
            i -= count;
            continue;
        }
        *found = (flag_row){.group = group, .row = i};
        if (group->settings) {
            const ra_setting *setting = found->setting = &group->settings->rows[i];
            found->name = setting->flag;
            found->argument = setting->type == RA_SETTING_BOOL ? NULL : setting->argument;
            found->help = setting->help;
        } else {
            const option *row = found->own = &group->options[i];
            found->name = row->name;
            found->letter = row->letter;
            found->argument = row->argument;
            found->help = row->help;
        }
        return true;
    }
    return false;
}

/* "no-shuffle" -> "shuffle"; NULL for other names. */
static const char *positive_name(const flag_row *flag) {
    if (!flag->setting || flag->setting->type != RA_SETTING_BOOL) return NULL;
    return strncmp(flag->name, "no-", 3) == 0 ? flag->name + 3 : NULL;
}

/* How messages name a flag: by its short form where it has one, since that is what people write. */
typedef struct flag_text {
    char text[MAX_NAME + 2];
} flag_text;

static flag_text spelling(const flag_row *flag) {
    flag_text spelled;
    if (flag->letter)
        snprintf(spelled.text, sizeof spelled.text, "-%c", flag->letter);
    else
        snprintf(spelled.text, sizeof spelled.text, "--%s", flag->name);
    return spelled;
}

/* What was written on the command line, cut into its parts. */
typedef struct flag_word {
    const char *text, *value; /* the whole of it; what follows '=', or NULL */
    char name[MAX_NAME];      /* without dashes */
    char letter;
} flag_word;

static flag_word cut_word(const char *text) {
    flag_word word = {.text = text};
    if (text[1] != '-') {
        word.letter = text[2] ? '\0' : text[1];
        return word;
    }
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text - 2) : strlen(text) - 2;
    if (length < sizeof word.name) memcpy(word.name, text + 2, length);
    word.value = equals ? equals + 1 : NULL;
    return word;
}

/* Position of the flag in the walk, or MAX_FLAGS. *positive: it was written as `--X` where the row says
 * `no-X`. */
static size_t find_flag(const command_line *line, const flag_word *word, flag_row *found, bool *positive) {
    for (size_t i = 0; i < MAX_FLAGS && flag_at(line, i, found); i++) {
        const char *other = positive_name(found);
        *positive = other && strcmp(other, word->name) == 0;
        if (*positive || (word->name[0] && found->name && strcmp(found->name, word->name) == 0)) return i;
        if (word->letter && found->letter == word->letter) return i;
    }
    return MAX_FLAGS;
}

/* ---- mistakes ---------------------------------------------------------------------------------------- */

int usage_error(const char *command, const char *format, ...) {
    ra_error err; /* cleans control characters out of the message */
    char message[RA_ERROR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    ra_error_set(&err, RA_ERR_ARGUMENT, "%s", message);
    fprintf(stderr, "rasae: %s; see rasae %s%s--help\n", err.message, command, *command ? " " : "");
    return EXIT_USAGE;
}

/* How many letters have to be inserted, deleted or changed to turn one name into the other. */
static size_t edit_distance(const char *a, const char *b) {
    size_t row[MAX_NAME], columns = strlen(b);
    for (size_t j = 0; j <= columns; j++) row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < columns; j++) {
            size_t change = diagonal + (a[i] != b[j]);
            size_t step = 1 + (row[j] < row[j + 1] ? row[j] : row[j + 1]);
            diagonal = row[j + 1];
            row[j + 1] = change < step ? change : step;
        }
    }
    return row[columns];
}

const char *nearest_name(const char *text, size_t count, const char *(*name)(const void *context, size_t i),
                         const void *context) {
    const char *best = NULL;
    size_t best_distance = 3; /* farther is guessing */
    for (size_t i = 0; i < count; i++) {
        const char *candidate = name(context, i);
        if (!candidate || strlen(candidate) >= MAX_NAME) continue;
        size_t distance = edit_distance(text, candidate);
        if (distance < best_distance && distance < strlen(candidate)) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

static const char *flag_name(const void *context, size_t i) {
    flag_row flag;
    return flag_at(context, i, &flag) ? flag.name : NULL;
}

static command_line_result unknown_flag(const command_line *line, const flag_word *word) {
    const char *near = word->name[0] ? nearest_name(word->name, MAX_FLAGS, flag_name, line) : NULL;
    if (near)
        usage_error(line->command, "there is no flag %s (did you mean --%s?)", word->text, near);
    else
        usage_error(line->command, "there is no flag %s", word->text);
    return LINE_WRONG;
}

/* ---- values ------------------------------------------------------------------------------------------ */

static ra_status parse_count(const option *row, const char *text, size_t *value, ra_error *err) {
    size_t n;
    if (!ra_count_parse(text, &n) || n < row->min || n > row->max)
        RA_FAIL(err, RA_ERR_ARGUMENT, "--%s must be a whole number from %zu to %zu, not \"%s\"", row->name,
                row->min, row->max, text);
    *value = n;
    return RA_OK;
}

static ra_status parse_name(const option *row, const char *text, int *value, ra_error *err) {
    char list[128] = "";
    for (int i = 0; row->names[i]; i++) {
        if (strcmp(row->names[i], text) == 0) {
            *value = i;
            return RA_OK;
        }
        size_t used = strlen(list);
        const char *before = i == 0 ? "" : row->names[i + 1] ? ", " : " or ";
        snprintf(list + used, sizeof list - used, "%s%s", before, row->names[i]);
    }
    RA_FAIL(err, RA_ERR_ARGUMENT, "--%s must be %s, not \"%s\"", row->name, list, text);
}

static ra_status set_value(const flag_row *flag, const char *text, bool positive, ra_error *err) {
    if (flag->setting) {
        char where[MAX_NAME + 2];
        snprintf(where, sizeof where, "--%s", flag->name);
        if (!flag->argument) text = positive || !positive_name(flag) ? "true" : "false";
        return ra_setting_parse(flag->group->settings, flag->row, flag->group->values, text, where, err);
    }
    void *place = (char *)flag->group->values + flag->own->offset;
    switch (flag->own->type) {
    case OPTION_SWITCH:
        *(bool *)place = true;
        return RA_OK;
    case OPTION_TEXT:
        if (!*text) RA_FAIL(err, RA_ERR_ARGUMENT, "--%s needs a value, not \"\"", flag->name);
        *(const char **)place = text;
        return RA_OK;
    case OPTION_COUNT:
        return parse_count(flag->own, text, place, err);
    case OPTION_NAME:
        return parse_name(flag->own, text, place, err);
    }
    RA_FAIL(err, RA_ERR_INTERNAL, "the table row of --%s has no type", flag->name);
}

/* ---- help -------------------------------------------------------------------------------------------- */

static void print_flag(const flag_row *flag) {
    char left[2 * MAX_NAME], value[MAX_NAME] = "", fallback[96] = "";
    if (flag->argument) snprintf(value, sizeof value, " %s", flag->argument);
    if (flag->letter)
        snprintf(left, sizeof left, "-%c, --%s%s", flag->letter, flag->name, value);
    else
        snprintf(left, sizeof left, "    --%s%s", flag->name, value);
    const void *defaults = flag->group->defaults;
    if (flag->setting && flag->argument && defaults && ra_setting_known(defaults, flag->row)) {
        char text[64];
        ra_setting_print(flag->group->settings, flag->row, defaults, text, sizeof text);
        snprintf(fallback, sizeof fallback, " (%s)", text);
    }
    if (strlen(left) < HELP_COLUMN)
        printf("  %-*s%s%s\n", HELP_COLUMN, left, flag->help, fallback);
    else
        printf("  %s\n  %-*s%s%s\n", left, HELP_COLUMN, "", flag->help, fallback);
}

static void print_help(const command_line *line) {
    printf("Usage: rasae %s %s\n\n%s", line->command, line->usage, line->about);
    const option_group *group = NULL;
    flag_row flag;
    for (size_t i = 0; flag_at(line, i, &flag); i++) {
        if (flag.group != group && flag.group->title) printf("\n%s:\n", flag.group->title);
        group = flag.group;
        if (flag.name) print_flag(&flag);
    }
    printf("      %-*s%s\n", HELP_COLUMN - 4, "--help", "this text");
    printf("\nExample:\n%s", line->example);
}

/* ---- the command line -------------------------------------------------------------------------------- */

/* Handles the flag argv[*i], and its value behind it. */
static command_line_result parse_flag(const command_line *line, int argc, char **argv, int *i,
                                      uint64_t *seen) {
    flag_word word = cut_word(argv[*i]);
    flag_row flag;
    bool positive;
    size_t position = find_flag(line, &word, &flag, &positive);
    if (position == MAX_FLAGS) return unknown_flag(line, &word);
    if (*seen >> position & 1) {
        usage_error(line->command, "%s is given more than once", spelling(&flag).text);
        return LINE_WRONG;
    }
    *seen |= (uint64_t)1 << position;
    const char *value = word.value;
    if (!flag.argument && value) {
        usage_error(line->command, "--%s takes no value, but \"%s\" was given", word.name, value);
        return LINE_WRONG;
    }
    if (flag.argument && !value) {
        const char *next = *i + 1 < argc ? argv[*i + 1] : NULL;
        if (!next || strncmp(next, "--", 2) == 0) {
            usage_error(line->command, "%s needs a value: %s %s", word.text, word.text, flag.argument);
            return LINE_WRONG;
        }
        value = next;
        ++*i;
    }
    ra_error err;
    if (set_value(&flag, value, positive, &err) == RA_OK) return LINE_GOOD;
    usage_error(line->command, "%s", err.message);
    return LINE_WRONG;
}

static command_line_result check_complete(const command_line *line, int arguments, char **argv,
                                          uint64_t seen) {
    flag_row flag;
    if (arguments < line->min_arguments)
        usage_error(line->command, "rasae %s needs %s", line->command, line->arguments);
    else if (arguments > line->max_arguments)
        usage_error(line->command, "\"%s\" is one argument too many: rasae %s takes %s",
                    argv[line->max_arguments], line->command, line->arguments);
    else {
        for (size_t i = 0; flag_at(line, i, &flag); i++)
            if (flag.own && flag.own->required && !(seen >> i & 1)) {
                usage_error(line->command, "%s %s is missing", spelling(&flag).text, flag.argument);
                return LINE_WRONG;
            }
        return LINE_GOOD;
    }
    return LINE_WRONG;
}

command_line_result command_line_parse(const command_line *line, int *argc, char **argv) {
    int kept = 0;
    uint64_t seen = 0;
    bool flags = true;
    for (int i = 1; i < *argc; i++) {
        const char *text = argv[i];
        if (!flags || text[0] != '-' || !text[1]) {
            argv[kept++] = argv[i];
        } else if (strcmp(text, "--") == 0) {
            flags = false;
        } else if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
            print_help(line);
            return LINE_HELP;
        } else {
            command_line_result result = parse_flag(line, *argc, argv, &i, &seen);
            if (result != LINE_GOOD) return result;
        }
    }
    *argc = kept;
    return check_complete(line, kept, argv, seen);
}
