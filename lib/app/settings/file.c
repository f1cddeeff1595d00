/* The environment and the configuration file. */
#include "app/nearest.h"
#include "app/settings/walk.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <ctype.h>
#include <string.h>

/* ---- the environment ----------------------------------------------------------------------------------- */

typedef struct variable_name {
    char text[64];
} variable_name;

static variable_name variable_of(const command_line *line, const ra_setting *row) {
    variable_name variable;
    snprintf(variable.text, sizeof variable.text, "%.12s%s", line->environment, setting_file_name(row).text);
    for (char *c = variable.text; *c; c++) *c = (char)toupper((unsigned char)*c);
    return variable;
}

ra_status settings_read_environment(const command_line *line, settings_lookup *lookup, ra_error *err) {
    settings_source source = settings_source_begin(line);
    setting_place place;
    for (size_t n = 0; setting_at(line, n, &place); n++) {
        if (place.group->flags_only) continue;
        variable_name variable = variable_of(line, place.row);
        const char *value = lookup(variable.text);
        if (value) RA_TRY(setting_set(&source, &place, value, variable.text, err));
    }
    return RA_OK;
}

/* name: without what all variables begin with. A service named "rasaed" has RASAED_PORT=tcp://..., which is not a port
 * that someone wants to listen on. */
static bool is_of_kubernetes(const char *name, const char *value) {
    bool address = strstr(value, "://") != NULL;
    return strstr(name, "SERVICE_HOST") || strstr(name, "SERVICE_PORT") || strstr(name, "PORT_") ||
           (address && strlen(name) >= 4 && strcmp(name + strlen(name) - 4, "PORT") == 0);
}

static ra_status check_variable(const command_line *line, const char *name, const char *value,
                                const char *others, ra_error *err) {
    setting_place place;
    nearest near = nearest_to(name);
    const char *own = name + strlen(line->environment), *meant = NULL;
    char asked[64];
    for (size_t n = 0; setting_at(line, n, &place); n++) {
        if (place.group->flags_only) continue;
        variable_name variable = variable_of(line, place.row);
        if (strcmp(variable.text, name) == 0) return RA_OK;
        nearest_try(&near, variable.text);
    }
    snprintf(asked, sizeof asked, "%s", own);
    for (char *c = asked; *c; c++) *c = *c == '_' ? '-' : (char)tolower((unsigned char)*c);
    if (setting_is_among(others, name) || is_of_kubernetes(own, value)) return RA_OK;
    variable_name known_as;
    for (size_t n = 0; setting_at(line, n, &place) && !meant; n++)
        if (!place.group->flags_only && setting_is_among(place.row->known_as, asked)) {
            known_as = variable_of(line, place.row);
            meant = known_as.text;
        }
    if (!meant && near.name[0]) meant = near.name;
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "the environment has %s, which is no setting%s%s%s; take it out, or correct its name", name,
            meant ? " (did you mean " : "", meant ? meant : "", meant ? "?)" : "");
}

ra_status settings_check_environment(const command_line *line, char *const *variables, const char *others,
                                     ra_error *err) {
    for (; *variables; variables++) {
        char name[128];
        size_t size = strcspn(*variables, "=");
        if (strncmp(*variables, line->environment, strlen(line->environment)) != 0) continue;
        snprintf(name, sizeof name, "%.*s", (int)(size < sizeof name ? size : sizeof name - 1), *variables);
        RA_TRY(check_variable(line, name, *variables + size + ((*variables)[size] == '='), others, err));
    }
    return RA_OK;
}

/* ---- the file ------------------------------------------------------------------------------------------ */

static char *trim(char *words) {
    while (isspace((unsigned char)*words)) words++;
    size_t size = strlen(words);
    while (size && isspace((unsigned char)words[size - 1])) words[--size] = '\0';
    return words;
}

static bool find(const command_line *line, const char *key, setting_place *place, nearest *near) {
    for (size_t n = 0; setting_at(line, n, place); n++) {
        ra_setting_name name = setting_file_name(place->row);
        if (place->group->flags_only) continue;
        if (strcmp(name.text, key) == 0) return true;
        nearest_try(near, name.text);
    }
    return false;
}

/* words: a line, cut in place. where: "rasaed.conf, line 3" */
static ra_status read_line(const command_line *line, settings_source *source, char *words, const char *where,
                           ra_error *err) {
    setting_place place;
    char *key = trim(words), *equals = strchr(key, '='), full[512];
    if (!*key || *key == '#') return RA_OK;
    if (!equals) RA_FAIL(err, RA_ERR_FORMAT, "%s: \"%s\" is not of the form key = value", where, key);
    *equals = '\0';
    key = trim(key);
    nearest near = nearest_to(key);
    if (!find(line, key, &place, &near))
        RA_FAIL(err, RA_ERR_FORMAT,
                near.name[0] ? "%s: there is no setting \"%s\" (did you mean %s?)"
                             : "%s: there is no setting \"%s\"",
                where, key, near.name);
    snprintf(full, sizeof full, "%s: %s", where, key);
    return setting_set(source, &place, trim(equals + 1), full, err);
}

static ra_status copy_content(const char *path, const ra_mapping *file, char **content, ra_error *err) {
    if (file->size && memchr(file->data, '\0', file->size))
        RA_FAIL(err, RA_ERR_FORMAT, "%s is not a text file", path);
    *content = ra_malloc(file->size + 1, 1);
    if (!*content) RA_FAIL_MEMORY(err, "the settings", file->size + 1);
    if (file->size) memcpy(*content, file->data, file->size);
    (*content)[file->size] = '\0';
    return RA_OK;
}

ra_status settings_read_file(const command_line *line, const char *path, char **content, ra_error *err) {
    settings_source source = settings_source_begin(line);
    ra_mapping file = {0};
    *content = NULL;
    RA_TRY(ra_mapping_open_steady(path, SIZE_MAX, &file, err));
    ra_status status = copy_content(path, &file, content, err);
    ra_mapping_close(&file);
    size_t number = 1;
    for (char *words = *content, *next; status == RA_OK && words; words = next, number++) {
        char where[400];
        next = strchr(words, '\n');
        if (next) *next++ = '\0';
        snprintf(where, sizeof where, "%s, line %zu", path, number);
        status = read_line(line, &source, words, where, err);
    }
    return status;
}

/* ---- the same, written --------------------------------------------------------------------------------- */

static void print_entry(const setting_place *place, FILE *out) {
    const ra_setting *row = place->row;
    ra_setting_name name = setting_file_name(row);
    const settings_list *list = setting_value(place);
    char value[64], names[256];
    bool is_list = row->type == RA_SETTING_LIST;
    size_t count = is_list ? list->count : ra_setting_known(place->group->values, place->i);
    /* --no-multiplier says what it does; the key is about the opposite. */
    bool denied = row->type == RA_SETTING_BOOL && strncmp(ra_setting_flag(row).text, "no-", 3) == 0;
    fprintf(out, "\n# %s%s", denied ? "false: " : "", ra_setting_help(row, names, sizeof names));
    if (row->fallback && !place->group->defaults) fprintf(out, " (%s)", row->fallback);
    fputc('\n', out);
    for (size_t n = 0; n < count; n++)
        fprintf(out, "%s = %s\n", name.text,
                is_list ? list->items[n]
                        : ra_setting_print(place->group->table, place->i, place->group->values, value,
                                           sizeof value));
    if (!count)
        fprintf(out, "# %s = %s\n", name.text,
                row->type == RA_SETTING_BOOL ? "true or false" : row->argument);
}

void settings_print_file(const command_line *line, FILE *out) {
    setting_place place;
    fprintf(out,
            "# Settings of %s, for --config. One \"key = value\" per line; a list has a line for each item.\n"
            "# A line that begins with # is a comment, here also a setting without a value.\n",
            line->program);
    for (size_t n = 0; setting_at(line, n, &place); n++)
        if (!place.group->flags_only) print_entry(&place, out);
}
