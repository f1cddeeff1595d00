/* The table of settings and what reads it.
 *
 * To add a setting: a member in `settings`, a row below. That gives it a flag, a variable in the environment,
 * a key in the file, a default, a range and a line in --help. A new kind of value is a parser and a row in
 * `parsers`.
 *
 * Values are set from the weakest source to the strongest, so that the last one stays. A setting that is a
 * list begins anew with each source: dictionaries on the command line replace those of the file.
 *
 * In Kubernetes every service puts variables of its own into the environment; for one named "rasaed" they
 * are RASAED_PORT, RASAED_PORT_..., RASAED_SERVICE_HOST and RASAED_SERVICE_PORT. No key may make one of
 * these, and variables that no row knows are left alone.
 */
#include "settings.h"
#include "engine/registry.h"
#include "ra_memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef enum setting_kind {
    SETTING_TEXT,
    SETTING_COUNT,
    SETTING_NAME,
    SETTING_ADDRESS,
    SETTING_FILES
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

static const char *const log_levels[] = {[RA_LOG_DEBUG] = "debug",
                                         [RA_LOG_INFO] = "info",
                                         [RA_LOG_WARNING] = "warning",
                                         [RA_LOG_ERROR] = "error",
                                         NULL};

#define AT(member) offsetof(settings, member)
#define MIB ((size_t)1 << 20)

static const setting_row rows[] = {
    {"dictionary", SETTING_FILES, AT(dictionaries), NULL, 0, 0, NULL, "NAME=FILE",
     "serves FILE, an artifact or a checkpoint, as NAME; may be repeated"},
    {"listen", SETTING_ADDRESS, AT(listen), "127.0.0.1:8080", 0, 0, NULL, "HOST:PORT",
     "where to listen; port 0 takes a free one, IPv6 is written [::1]:8080"},
    {"device", SETTING_TEXT, AT(device), "auto", 0, 0, NULL, "NAME", "auto, cpu, reference or cuda"},
    {"threads", SETTING_COUNT, AT(threads), "0", 0, 1024, NULL, "N", "I/O threads; 0: one a core"},
    {"compute_threads", SETTING_COUNT, AT(compute_threads), "0", 0, 1024, NULL, "N",
     "threads for one large computation; 0: one a core"},
    {"max_body", SETTING_COUNT, AT(max_body), "67108864", 1, SIZE_MAX / 2, NULL, "BYTES",
     "largest request body"},
    {"max_rows", SETTING_COUNT, AT(max_rows), "4096", 1, 1 << 30, NULL, "N", "most rows of a batch"},
    {"idle_seconds", SETTING_COUNT, AT(idle_seconds), "60", 1, 86400, NULL, "N",
     "a connection without traffic for so long is closed"},
    {"drain_seconds", SETTING_COUNT, AT(drain_seconds), "20", 0, 86400, NULL, "N",
     "how long a stop waits for the requests that have begun"},
    {"log_level", SETTING_NAME, AT(log_level), "info", 0, 0, log_levels, "LEVEL",
     "debug (logs every request), info, warning or error"},
    {"config", SETTING_TEXT, AT(config), NULL, 0, 0, NULL, "FILE",
     "reads settings, one \"key = value\" a line"},
};

enum { ROWS = sizeof rows / sizeof *rows };

/* ---- names: every setting has a number, ours first, then those of ra_sae_settings_table() -------------- */

static size_t setting_count(void) {
    return ROWS + ra_sae_settings_table()->count;
}

/* The library's `dictionary` says how a plain dictionary is normalised; here that word is taken. */
static const char *key_of(size_t i) {
    if (i < ROWS) return rows[i].key;
    return i == ROWS + RA_SET_DICTIONARY ? "dictionary_kind" : ra_sae_settings_table()->rows[i - ROWS].key;
}

/* The flag without its dashes in front. A "no-" flag takes no value and says false. */
static const char *flag_of(size_t i, char *buffer, size_t size) {
    const char *name =
        i < ROWS || i == ROWS + RA_SET_DICTIONARY ? key_of(i) : ra_sae_settings_table()->rows[i - ROWS].flag;
    size_t n = 0;
    for (; name[n] && n + 1 < size; n++) buffer[n] = name[n] == '_' ? '-' : name[n];
    buffer[n] = '\0';
    return buffer;
}

static bool is_switch(size_t i) {
    return i >= ROWS && ra_sae_settings_table()->rows[i - ROWS].type == RA_SETTING_BOOL;
}

static const char *variable_of(size_t i, char *buffer, size_t size) {
    snprintf(buffer, size, "RASAED_%s", key_of(i));
    for (char *c = buffer; *c; c++) *c = (char)toupper((unsigned char)*c);
    return buffer;
}

static size_t find(const char *name, size_t size, bool by_flag) {
    char flag[64];
    for (size_t i = 0; i < setting_count(); i++) {
        const char *candidate = by_flag ? flag_of(i, flag, sizeof flag) : key_of(i);
        if (strlen(candidate) == size && strncmp(candidate, name, size) == 0) return i;
    }
    return setting_count();
}

/* ---- values -------------------------------------------------------------------------------------------- */

/* Sets the value at `place` from `text`; `where` names the source in messages: "--listen". */
typedef ra_status parser(const setting_row *row, void *place, const char *text, const char *where,
                         ra_error *err);

static ra_status set_text(char **place, const char *text, size_t size, ra_error *err) {
    char *copy = ra_malloc(size + 1, 1);
    if (!copy) return ra_error_set(err, RA_ERR_MEMORY, "out of memory: the settings");
    memcpy(copy, text, size);
    copy[size] = '\0';
    ra_free(*place);
    *place = copy;
    return RA_OK;
}

static ra_status parse_text(const setting_row *row, void *place, const char *text, const char *where,
                            ra_error *err) {
    (void)row;
    if (!*text) return ra_error_set(err, RA_ERR_ARGUMENT, "%s is empty", where);
    return set_text(place, text, strlen(text), err);
}

static ra_status parse_count(const setting_row *row, void *place, const char *text, const char *where,
                             ra_error *err) {
    size_t value = 0;
    bool good = *text != '\0';
    for (const char *c = text; *c && good; c++)
        good = *c >= '0' && *c <= '9' && !__builtin_mul_overflow(value, 10, &value) &&
               !__builtin_add_overflow(value, (size_t)(*c - '0'), &value);
    if (!good || value < row->min || value > row->max)
        return ra_error_set(err, RA_ERR_ARGUMENT, "%s is '%s', expected a whole number from %zu to %zu",
                            where, text, row->min, row->max);
    *(size_t *)place = value;
    return RA_OK;
}

static ra_status parse_name(const setting_row *row, void *place, const char *text, const char *where,
                            ra_error *err) {
    for (int i = 0; row->names[i]; i++)
        if (strcmp(row->names[i], text) == 0) {
            *(int *)place = i;
            return RA_OK;
        }
    return ra_error_set(err, RA_ERR_ARGUMENT, "%s is '%s', expected %s", where, text, row->help);
}

static ra_status parse_address(const setting_row *row, void *place, const char *text, const char *where,
                               ra_error *err) {
    (void)row;
    ra_error why = {0};
    ra_status status = http_address_parse(text, place, &why);
    return status == RA_OK ? RA_OK : ra_error_set(err, status, "%s: %s", where, why.message);
}

/* One NAME=FILE, added to the list that `place`, the settings themselves, has. */
static ra_status add_file(settings *to, const char *text, size_t size, const char *where, ra_error *err) {
    const char *equals = memchr(text, '=', size);
    if (!equals || equals == text + size - 1)
        return ra_error_set(err, RA_ERR_ARGUMENT, "%s is '%.*s', expected NAME=FILE", where, (int)size, text);
    dictionary_setting *grown = ra_realloc(to->dictionaries, to->dictionary_count + 1, sizeof *grown);
    if (!grown) return ra_error_set(err, RA_ERR_MEMORY, "out of memory: the settings");
    to->dictionaries = grown;
    dictionary_setting *added = &grown[to->dictionary_count++];
    *added = (dictionary_setting){0};
    ra_status status = set_text(&added->name, text, (size_t)(equals - text), err);
    if (status == RA_OK) status = set_text(&added->path, equals + 1, size - (size_t)(equals + 1 - text), err);
    if (status != RA_OK) return status;
    if (!registry_name_is_good(added->name))
        return ra_error_set(err, RA_ERR_ARGUMENT,
                            "%s: the name '%s' is not 1 to 64 letters, digits, '.', '-' and '_'", where,
                            added->name);
    for (size_t i = 0; i + 1 < to->dictionary_count; i++)
        if (strcmp(grown[i].name, added->name) == 0)
            return ra_error_set(err, RA_ERR_ARGUMENT, "%s: the name '%s' is given twice", where, added->name);
    return RA_OK;
}

static void clear_files(settings *from) {
    for (size_t i = 0; i < from->dictionary_count; i++) {
        ra_free(from->dictionaries[i].name);
        ra_free(from->dictionaries[i].path);
    }
    ra_free(from->dictionaries);
    from->dictionaries = NULL;
    from->dictionary_count = 0;
}

/* One or several, with semicolons between them (in the environment there is only one place to write). */
static ra_status parse_files(settings *to, const char *text, const char *where, int source, ra_error *err) {
    if (to->source != source) clear_files(to);
    to->source = source;
    ra_status status = RA_OK;
    for (const char *end; status == RA_OK && text; text = *end ? end + 1 : NULL) {
        end = strchrnul(text, ';');
        status = add_file(to, text, (size_t)(end - text), where, err);
    }
    return status;
}

static ra_status set_value(settings *to, size_t i, const char *text, const char *where, int source,
                           ra_error *err) {
    static parser *const parsers[] = {[SETTING_TEXT] = parse_text,
                                      [SETTING_COUNT] = parse_count,
                                      [SETTING_NAME] = parse_name,
                                      [SETTING_ADDRESS] = parse_address};
    if (i >= ROWS) return ra_setting_parse(ra_sae_settings_table(), i - ROWS, &to->sae, text, where, err);
    if (rows[i].kind == SETTING_FILES) return parse_files(to, text, where, source, err);
    return parsers[rows[i].kind](&rows[i], (char *)to + rows[i].offset, text, where, err);
}

/* ---- sources, from the weakest to the strongest -------------------------------------------------------- */

enum { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAGS };

static ra_status read_defaults(settings *to, ra_error *err) {
    ra_status status = RA_OK;
    for (size_t i = 0; i < ROWS && status == RA_OK; i++)
        if (rows[i].standard) status = set_value(to, i, rows[i].standard, rows[i].key, FROM_DEFAULT, err);
    return status;
}

static char *trim(char *text) {
    while (isspace((unsigned char)*text)) text++;
    size_t size = strlen(text);
    while (size && isspace((unsigned char)text[size - 1])) text[--size] = '\0';
    return text;
}

static ra_status read_line(settings *to, char *line, const char *path, size_t number, ra_error *err) {
    char where[512], *key = trim(line);
    if (!*key || *key == '#') return RA_OK;
    char *equals = strchr(key, '=');
    if (!equals)
        return ra_error_set(err, RA_ERR_FORMAT, "%s, line %zu: '%s' is not written key = value", path, number,
                            key);
    *equals = '\0';
    key = trim(key);
    size_t i = find(key, strlen(key), false);
    if (i == setting_count() || strcmp(key, "config") == 0)
        return ra_error_set(err, RA_ERR_FORMAT, "%s, line %zu: there is no setting '%s'", path, number, key);
    snprintf(where, sizeof where, "%s, line %zu: %s", path, number, key);
    return set_value(to, i, trim(equals + 1), where, FROM_FILE, err);
}

static ra_status read_file(settings *to, const char *path, ra_error *err) {
    ra_mapping file = {0};
    ra_status status = ra_mapping_open(path, &file, err);
    if (status != RA_OK) return status;
    char *text = NULL;
    if (file.size && memchr(file.data, '\0', file.size))
        status = ra_error_set(err, RA_ERR_FORMAT, "%s is not a text file", path);
    else
        status = set_text(&text, file.size ? file.data : "", file.size, err);
    ra_mapping_close(&file);
    size_t number = 1;
    for (char *line = text, *next; status == RA_OK && line; line = next, number++) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        status = read_line(to, line, path, number, err);
    }
    ra_free(text);
    return status;
}

static ra_status read_environment(settings *to, settings_lookup *environment, ra_error *err) {
    ra_status status = RA_OK;
    for (size_t i = 0; i < setting_count() && status == RA_OK; i++) {
        char name[64];
        const char *text = environment(variable_of(i, name, sizeof name));
        if (text) status = set_value(to, i, text, name, FROM_ENVIRONMENT, err);
    }
    return status;
}

/* A flag of the command line with its value. */
typedef struct flag_given {
    size_t i; /* the setting */
    const char *text;
    char where[128]; /* "--listen" */
} flag_given;

/* Reads the flag at argv[*at] and moves behind it. A value that starts with two dashes is written
 * --flag=VALUE. */
static ra_status read_flag(int argc, char **argv, int *at, flag_given *given, ra_error *err) {
    const char *flag = argv[(*at)++];
    if (strncmp(flag, "--", 2) != 0)
        return ra_error_set(err, RA_ERR_ARGUMENT,
                            "'%s' is not a flag; a file is given as --dictionary NAME=FILE", flag);
    size_t size = strcspn(flag, "=");
    given->i = find(flag + 2, size - 2, true);
    given->text = flag[size] ? flag + size + 1 : NULL;
    snprintf(given->where, sizeof given->where, "%.*s", (int)(size < 100 ? size : 100), flag);
    if (given->i == setting_count())
        return ra_error_set(err, RA_ERR_ARGUMENT, "there is no flag %s; --help lists them", given->where);
    if (is_switch(given->i)) {
        if (given->text) return ra_error_set(err, RA_ERR_ARGUMENT, "%s takes no value", given->where);
        given->text = strncmp(flag, "--no-", 5) == 0 ? "false" : "true";
    }
    if (!given->text && *at < argc && strncmp(argv[*at], "--", 2) != 0) given->text = argv[(*at)++];
    if (!given->text) return ra_error_set(err, RA_ERR_ARGUMENT, "%s needs a value", given->where);
    return RA_OK;
}

/* Sets the setting `only`, or all of them when it is setting_count(); every flag is checked. */
static ra_status read_flags(settings *to, int argc, char **argv, size_t only, ra_error *err) {
    ra_status status = RA_OK;
    for (int at = 1; at < argc && status == RA_OK;) {
        flag_given given = {0};
        status = read_flag(argc, argv, &at, &given, err);
        if (status == RA_OK && (only == setting_count() || only == given.i))
            status = set_value(to, given.i, given.text, given.where, FROM_FLAGS, err);
    }
    return status;
}

static bool asks(int argc, char **argv, const char *flag) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], flag) == 0) return true;
    return false;
}

static ra_status read_all(settings *to, int argc, char **argv, settings_lookup *environment, ra_error *err) {
    char variable[64];
    size_t config = find("config", strlen("config"), false);
    const char *path = environment(variable_of(config, variable, sizeof variable));
    ra_status status = read_defaults(to, err);
    if (status == RA_OK) status = read_flags(to, argc, argv, config, err);
    if (status == RA_OK && to->config) path = to->config;
    if (status == RA_OK && path) status = read_file(to, path, err);
    if (status == RA_OK) status = read_environment(to, environment, err);
    if (status == RA_OK) status = read_flags(to, argc, argv, setting_count(), err);
    if (status == RA_OK && to->dictionary_count == 0)
        return ra_error_set(err, RA_ERR_ARGUMENT, "no dictionary is given: say --dictionary NAME=FILE");
    return status;
}

ra_status settings_read(int argc, char **argv, settings_lookup *environment, settings *out, ra_error *err) {
    *out = (settings){.help = asks(argc, argv, "--help"), .version = asks(argc, argv, "--version")};
    if (out->help || out->version) return RA_OK;
    ra_status status = read_all(out, argc, argv, environment, err);
    if (status != RA_OK) settings_release(out);
    return status;
}

void settings_release(settings *read) {
    clear_files(read);
    ra_free(read->device);
    ra_free(read->config);
    read->device = read->config = NULL;
}

/* ---- help ---------------------------------------------------------------------------------------------- */

static void help_line(FILE *out, size_t i, const char *argument, const char *help, const char *standard) {
    char flag[64], left[96];
    snprintf(left, sizeof left, "--%s%s%s", flag_of(i, flag, sizeof flag), argument ? " " : "",
             argument ? argument : "");
    fprintf(out, "  %-26s %s", left, help);
    if (standard) fprintf(out, " (%s)", standard);
    fputc('\n', out);
}

void settings_help(FILE *out) {
    const ra_settings_table *table = ra_sae_settings_table();
    fputs("Usage: rasaed --dictionary NAME=FILE [--dictionary NAME=FILE ...] [settings]\n"
          "Serves dictionaries of Relaxed Archetypal SAEs over HTTP.\n\n",
          out);
    for (size_t i = 0; i < ROWS; i++) help_line(out, i, rows[i].argument, rows[i].help, rows[i].standard);
    fputs("  --help                     prints this\n"
          "  --version                  prints the version\n\n"
          "For files that lack them (a file's own settings are never changed):\n",
          out);
    for (size_t i = 0; i < table->count; i++)
        help_line(out, ROWS + i, table->rows[i].argument, table->rows[i].help, NULL);
    fputs("\nA setting can also stand in the environment (RASAED_MAX_BODY for --max-body; several "
          "dictionaries\n"
          "with ';' between them) and in the file of --config (max_body = 1048576). A flag wins over the\n"
          "environment, the environment over the file.\n\n"
          "SIGHUP reloads all dictionaries; SIGTERM and SIGINT let the running requests finish, then stop.\n"
          "Exit status: 0 stopped as asked, 1 failed, 2 wrong usage.\n",
          out);
}
