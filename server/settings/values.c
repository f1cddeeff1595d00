/* The kinds of values: how each is read from text, printed, and let go of. A new kind is a row in `kinds`.
 *
 * A list begins anew with each source: dictionaries on the command line replace those of the file. In the
 * environment, where there is only one place to write, several values stand with semicolons between them.
 */
#include "serving/registry/registry.h"
#include "http/cors.h"
#include "ra_memory.h"
#include "settings/table.h"

#include <string.h>

typedef ra_status kind_set(settings *to, const setting_row *row, const char *string, const char *where,
                           ra_error *err);
typedef size_t kind_count(const settings *from, const setting_row *row);
typedef void kind_print(const settings *from, const setting_row *row, size_t n, FILE *out);
typedef void kind_clear(settings *from, const setting_row *row);

static void *place_of(settings *of, const setting_row *row) {
    return (char *)of + row->offset;
}

static const void *look_at(const settings *of, const setting_row *row) {
    return (const char *)of + row->offset;
}

/* Every kind that always has a value. */
static size_t count_one(const settings *from, const setting_row *row) {
    (void)from, (void)row;
    return 1;
}

static ra_status set_string(char **place, const char *string, size_t size, ra_error *err) {
    char *copy = ra_malloc(size + 1, 1);
    if (!copy) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the settings");
    memcpy(copy, string, size);
    copy[size] = '\0';
    ra_free(*place);
    *place = copy;
    return RA_OK;
}

/* ---- text ---------------------------------------------------------------------------------------------- */

static ra_status set_text(settings *to, const setting_row *row, const char *string, const char *where,
                          ra_error *err) {
    if (!*string) RA_FAIL(err, RA_ERR_ARGUMENT, "%s is empty", where);
    return set_string(place_of(to, row), string, strlen(string), err);
}

static size_t count_text(const settings *from, const setting_row *row) {
    return *(char *const *)look_at(from, row) != NULL;
}

static void print_text(const settings *from, const setting_row *row, size_t n, FILE *out) {
    (void)n;
    fputs(*(char *const *)look_at(from, row), out);
}

static void clear_text(settings *from, const setting_row *row) {
    char **place = place_of(from, row);
    ra_free(*place);
    *place = NULL;
}

/* ---- counts -------------------------------------------------------------------------------------------- */

static ra_status set_count(settings *to, const setting_row *row, const char *string, const char *where,
                           ra_error *err) {
    size_t value = 0;
    bool good = *string != '\0';
    for (const char *c = string; *c && good; c++)
        good = *c >= '0' && *c <= '9' && !__builtin_mul_overflow(value, 10, &value) &&
               !__builtin_add_overflow(value, (size_t)(*c - '0'), &value);
    if (!good || value < row->min || value > row->max)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s is '%s', expected a whole number from %zu to %zu", where, string,
                row->min, row->max);
    *(size_t *)place_of(to, row) = value;
    return RA_OK;
}

static void print_count(const settings *from, const setting_row *row, size_t n, FILE *out) {
    (void)n;
    fprintf(out, "%zu", *(const size_t *)look_at(from, row));
}

/* ---- names and switches -------------------------------------------------------------------------------- */

static ra_status set_name(settings *to, const setting_row *row, const char *string, const char *where,
                          ra_error *err) {
    char known[160] = "";
    for (int i = 0, used = 0; row->names[i]; i++) {
        if (strcmp(row->names[i], string) == 0) {
            *(int *)place_of(to, row) = i;
            return RA_OK;
        }
        const char *before = i == 0 ? "" : row->names[i + 1] ? ", " : " or ";
        used += snprintf(known + used, sizeof known - (size_t)used, "%s%s", before, row->names[i]);
    }
    RA_FAIL(err, RA_ERR_ARGUMENT, "%s is '%s', expected %s", where, string, known);
}

static void print_name(const settings *from, const setting_row *row, size_t n, FILE *out) {
    (void)n;
    fputs(row->names[*(const int *)look_at(from, row)], out);
}

static ra_status set_switch(settings *to, const setting_row *row, const char *string, const char *where,
                            ra_error *err) {
    bool yes = strcmp(string, "true") == 0;
    if (!yes && strcmp(string, "false") != 0)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s is '%s', expected true or false", where, string);
    *(bool *)place_of(to, row) = yes;
    return RA_OK;
}

static void print_switch(const settings *from, const setting_row *row, size_t n, FILE *out) {
    (void)n;
    fputs(*(const bool *)look_at(from, row) ? "true" : "false", out);
}

/* ---- addresses ----------------------------------------------------------------------------------------- */

static ra_status set_address(settings *to, const setting_row *row, const char *string, const char *where,
                             ra_error *err) {
    ra_error why = {0};
    ra_status status = http_address_parse(string, place_of(to, row), &why);
    return status == RA_OK ? RA_OK : ra_error_set(err, status, "%s: %s", where, why.message);
}

static size_t count_address(const settings *from, const setting_row *row) {
    return ((const http_address *)look_at(from, row))->port[0] != '\0';
}

static void print_address(const settings *from, const setting_row *row, size_t n, FILE *out) {
    (void)n;
    const http_address *address = look_at(from, row);
    fprintf(out, strchr(address->host, ':') ? "[%s]:%s" : "%s:%s", address->host, address->port);
}

/* ---- dictionaries: NAME=FILE --------------------------------------------------------------------------- */

static ra_status check_dictionary_name(const settings *from, const char *name, const char *where,
                                       ra_error *err) {
    if (!registry_name_is_good(name))
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s: the name '%s' is not 1 to 64 letters, digits, '.', '-' and '_'",
                where, name);
    for (size_t i = 0; i + 1 < from->dictionary_count; i++)
        if (strcmp(from->dictionaries[i].name, name) == 0)
            RA_FAIL(err, RA_ERR_ARGUMENT, "%s: the name '%s' is given twice", where, name);
    return RA_OK;
}

static ra_status add_dictionary(settings *to, const char *string, size_t size, const char *where,
                                ra_error *err) {
    const char *equals = memchr(string, '=', size);
    if (!equals || equals == string + size - 1)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s is '%.*s', expected NAME=FILE", where, (int)size, string);
    dictionary_setting *grown = ra_realloc(to->dictionaries, to->dictionary_count + 1, sizeof *grown);
    if (!grown) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the settings");
    to->dictionaries = grown;
    dictionary_setting *added = &grown[to->dictionary_count++];
    *added = (dictionary_setting){0};
    ra_status status = set_string(&added->name, string, (size_t)(equals - string), err);
    if (status == RA_OK)
        status = set_string(&added->path, equals + 1, size - (size_t)(equals + 1 - string), err);
    return status == RA_OK ? check_dictionary_name(to, added->name, where, err) : status;
}

static ra_status add_dictionaries(settings *to, const setting_row *row, const char *string, const char *where,
                                  ra_error *err) {
    (void)row;
    ra_status status = RA_OK;
    for (const char *end; status == RA_OK && string; string = *end ? end + 1 : NULL) {
        end = strchrnul(string, ';');
        status = add_dictionary(to, string, (size_t)(end - string), where, err);
    }
    return status;
}

static size_t count_dictionaries(const settings *from, const setting_row *row) {
    (void)row;
    return from->dictionary_count;
}

static void print_dictionary(const settings *from, const setting_row *row, size_t n, FILE *out) {
    (void)row;
    fprintf(out, "%s=%s", from->dictionaries[n].name, from->dictionaries[n].path);
}

static void clear_dictionaries(settings *from, const setting_row *row) {
    (void)row;
    for (size_t i = 0; i < from->dictionary_count; i++) {
        ra_free(from->dictionaries[i].name);
        ra_free(from->dictionaries[i].path);
    }
    ra_free(from->dictionaries);
    from->dictionaries = NULL;
    from->dictionary_count = 0;
}

/* ---- origins ------------------------------------------------------------------------------------------- */

static ra_status add_origin(settings *to, const char *string, size_t size, const char *where, ra_error *err) {
    char **grown = ra_realloc(to->cors_origins, to->cors_origin_count + 1, sizeof *grown);
    if (!grown) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the settings");
    to->cors_origins = grown;
    char **added = &grown[to->cors_origin_count++];
    *added = NULL;
    ra_status status = set_string(added, string, size, err);
    if (status == RA_OK && !cors_origin_is_good(*added))
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "%s is '%s', expected an origin such as https://example.org or "
                "http://localhost:3000, without a path, or *",
                where, *added);
    return status;
}

static ra_status add_origins(settings *to, const setting_row *row, const char *string, const char *where,
                             ra_error *err) {
    (void)row;
    ra_status status = RA_OK;
    for (const char *end; status == RA_OK && string; string = *end ? end + 1 : NULL) {
        end = strchrnul(string, ';');
        status = add_origin(to, string, (size_t)(end - string), where, err);
    }
    return status;
}

static size_t count_origins(const settings *from, const setting_row *row) {
    (void)row;
    return from->cors_origin_count;
}

static void print_origin(const settings *from, const setting_row *row, size_t n, FILE *out) {
    (void)row;
    fputs(from->cors_origins[n], out);
}

static void clear_origins(settings *from, const setting_row *row) {
    (void)row;
    for (size_t i = 0; i < from->cors_origin_count; i++) ra_free(from->cors_origins[i]);
    ra_free(from->cors_origins);
    from->cors_origins = NULL;
    from->cors_origin_count = 0;
}

/* ---- the table of kinds -------------------------------------------------------------------------------- */

static const struct {
    kind_set *set;
    kind_count *count;
    kind_print *print;
    kind_clear *clear; /* NULL: nothing to free */
    bool is_list;
} kinds[SETTING_KINDS] = {
    [SETTING_TEXT] = {set_text, count_text, print_text, clear_text, false},
    [SETTING_COUNT] = {set_count, count_one, print_count, NULL, false},
    [SETTING_NAME] = {set_name, count_one, print_name, NULL, false},
    [SETTING_SWITCH] = {set_switch, count_one, print_switch, NULL, false},
    [SETTING_ADDRESS] = {set_address, count_address, print_address, NULL, false},
    [SETTING_FILES] = {add_dictionaries, count_dictionaries, print_dictionary, clear_dictionaries, true},
    [SETTING_ORIGINS] = {add_origins, count_origins, print_origin, clear_origins, true},
};

ra_status setting_set(settings *to, size_t i, const char *string, const char *where, setting_source source,
                      ra_error *err) {
    const setting_row *row = setting_get(i);
    if (!row) {
        size_t first = setting_count() - ra_sae_settings_table()->count;
        return ra_setting_parse(ra_sae_settings_table(), i - first, &to->sae, string, where, err);
    }
    if (kinds[row->kind].is_list && to->list_sources[row->kind] != (int)source) {
        kinds[row->kind].clear(to, row);
        to->list_sources[row->kind] = (int)source;
    }
    return kinds[row->kind].set(to, row, string, where, err);
}

size_t setting_values(const settings *from, size_t i) {
    const setting_row *row = setting_get(i);
    if (row) return kinds[row->kind].count(from, row);
    return ra_setting_known(&from->sae, i - (setting_count() - ra_sae_settings_table()->count));
}

void setting_print(const settings *from, size_t i, size_t n, FILE *out) {
    const setting_row *row = setting_get(i);
    char buffer[64];
    if (row) {
        kinds[row->kind].print(from, row, n, out);
        return;
    }
    size_t first = setting_count() - ra_sae_settings_table()->count;
    fputs(ra_setting_print(ra_sae_settings_table(), i - first, &from->sae, buffer, sizeof buffer), out);
}

void settings_release(settings *read) {
    const setting_row *row;
    for (size_t i = 0; (row = setting_get(i)); i++)
        if (kinds[row->kind].clear) kinds[row->kind].clear(read, row);
}
