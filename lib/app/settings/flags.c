/* The command line. */
#include "app/nearest.h"
#include "app/settings/walk.h"

#include <stdarg.h>
#include <string.h>

/* A word of the command line that is a flag, cut into its parts. */
typedef struct flag_word {
    const char *word, *value; /* the whole of it; what follows '=', or NULL */
    char name[64];            /* without dashes; "" when it is too long to be one, or a letter */
    char letter;
} flag_word;

static flag_word cut(const char *word) {
    flag_word flag = {.word = word};
    if (word[1] != '-') {
        flag.letter = word[2] ? '\0' : word[1];
        return flag;
    }
    size_t length = strcspn(word + 2, "=");
    if (length < sizeof flag.name) memcpy(flag.name, word + 2, length);
    flag.value = word[2 + length] ? word + 3 + length : NULL;
    return flag;
}

/* A bool is found by its name with and without "no-"; *denied: the word has one. */
static bool find(const command_line *line, const flag_word *flag, setting_place *place, bool *denied) {
    *denied = strncmp(flag->name, "no-", 3) == 0;
    for (size_t n = 0; setting_at(line, n, place); n++) {
        if (flag->letter && place->row->letter == flag->letter) return true;
        ra_setting_name name = ra_setting_flag(place->row);
        bool same = place->row->type == RA_SETTING_BOOL
                        ? strcmp(setting_without_no(name.text), setting_without_no(flag->name)) == 0
                        : strcmp(name.text, flag->name) == 0;
        if (flag->name[0] && same) return true;
    }
    return false;
}

/* How messages name a flag: by its short form where it has one, since that is what people write. */
static ra_setting_name spelling(const ra_setting *row) {
    ra_setting_name spelled;
    if (row->letter)
        snprintf(spelled.text, sizeof spelled.text, "-%c", row->letter);
    else
        snprintf(spelled.text, sizeof spelled.text, "--%.40s", ra_setting_flag(row).text);
    return spelled;
}

static ra_status fail_unknown(const command_line *line, const flag_word *flag, ra_error *err) {
    setting_place place;
    nearest near = nearest_to(flag->name);
    for (size_t n = 0; flag->name[0] && setting_at(line, n, &place); n++)
        if (setting_is_among(place.row->known_as, flag->name))
            RA_FAIL(err, RA_ERR_ARGUMENT, "there is no flag %s (did you mean --%s %s?)", flag->word,
                    ra_setting_flag(place.row).text, place.row->argument);
    for (size_t n = 0; flag->name[0] && setting_at(line, n, &place); n++)
        nearest_try(&near, ra_setting_flag(place.row).text);
    if (near.name[0])
        RA_FAIL(err, RA_ERR_ARGUMENT, "there is no flag %s (did you mean --%s?)", flag->word, near.name);
    RA_FAIL(err, RA_ERR_ARGUMENT, "there is no flag %s", flag->word);
}

/* Reads the flag argv[*at], and its value behind it. */
static ra_status read_flag(const command_line *line, settings_source *source, int argc, char **argv, int *at,
                           ra_error *err) {
    flag_word flag = cut(argv[*at]);
    setting_place place;
    bool denied;
    if (!find(line, &flag, &place, &denied)) return fail_unknown(line, &flag, err);
    ra_setting_name where = spelling(place.row);
    const char *value = flag.value;
    if (place.row->type == RA_SETTING_BOOL) {
        if (denied && value)
            RA_FAIL(err, RA_ERR_ARGUMENT, "--%s takes no value, but \"%s\" was given", flag.name, value);
        if (!value) value = denied ? "false" : "true";
    } else if (!value) {
        value = *at + 1 < argc ? argv[*at + 1] : NULL;
        if (!value || strncmp(value, "--", 2) == 0)
            RA_FAIL(err, RA_ERR_ARGUMENT, "%s needs a value: %s %s", where.text, where.text,
                    place.row->argument);
        ++*at;
    }
    return setting_set(source, &place, value, where.text, err);
}

/* One `--`, with a list behind the first argument and one at the end. */
static bool is_separated(int arguments, char **argv) {
    int count = 0, at = 0;
    for (int i = 0; i < arguments; i++)
        if (strcmp(argv[i], "--") == 0) count++, at = i;
    return count == 1 && at >= 2 && at + 1 < arguments;
}

static ra_status check_complete(const command_line *line, int arguments, char **argv, ra_error *err) {
    setting_place place;
    if (arguments < line->min_arguments || (line->keeps_separator && !is_separated(arguments, argv)))
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s needs %s", line->program, line->arguments);
    if (arguments > line->max_arguments)
        RA_FAIL(err, RA_ERR_ARGUMENT, "\"%s\" is one argument too many: %s takes %s",
                argv[line->max_arguments], line->program, line->arguments);
    for (size_t n = 0; setting_at(line, n, &place); n++)
        if (place.row->required && !ra_setting_known(place.group->values, place.i))
            RA_FAIL(err, RA_ERR_ARGUMENT, "%s %s is missing", spelling(place.row).text, place.row->argument);
    return RA_OK;
}

static bool asks_for_help(const command_line *line, int argc, char **argv) {
    for (int i = 1; i < argc && (line->keeps_separator || strcmp(argv[i], "--") != 0); i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    return false;
}

ra_status settings_read_flags(const command_line *line, int *argc, char **argv, bool *help, ra_error *err) {
    settings_source source = settings_source_begin(line);
    bool flags = true;
    int kept = 0;
    *help = asks_for_help(line, *argc, argv);
    if (*help) return RA_OK;
    for (int i = 1; i < *argc; i++) {
        if (!flags || argv[i][0] != '-' || !argv[i][1])
            argv[kept++] = argv[i];
        else if (strcmp(argv[i], "--") != 0)
            RA_TRY(read_flag(line, &source, *argc, argv, &i, err));
        else if (line->keeps_separator)
            argv[kept++] = argv[i];
        else
            flags = false;
    }
    *argc = kept;
    return check_complete(line, kept, argv, err);
}

int command_line_wrong(const command_line *line, const char *format, ...) {
    ra_error err; /* cleans control characters out of the message */
    char message[RA_ERROR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    ra_error_set(&err, RA_ERR_ARGUMENT, "%s", message);
    fprintf(stderr, "%.*s: %s; see %s --help\n", (int)strcspn(line->program, " "), line->program, err.message,
            line->program);
    return 2;
}
