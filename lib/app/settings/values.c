/* Values of settings: set from text, whatever the source, and released. */
#include "app/settings/walk.h"
#include "ra_memory.h"

#include <string.h>

/* ---- the walk ------------------------------------------------------------------------------------------ */

bool setting_at(const command_line *line, size_t n, setting_place *place) {
    for (size_t g = 0; g < line->group_count; g++) {
        const settings_group *group = &line->groups[g];
        if (n < group->table->count) {
            *place = (setting_place){group, g, n, &group->table->rows[n]};
            return true;
        }
        n -= group->table->count;
    }
    return false;
}

const char *setting_without_no(const char *flag) {
    return strncmp(flag, "no-", 3) == 0 ? flag + 3 : flag;
}

ra_setting_name setting_file_name(const ra_setting *row) {
    ra_setting_name name = ra_setting_flag(row);
    if (row->type == RA_SETTING_BOOL && setting_without_no(name.text) != name.text)
        snprintf(name.text, sizeof name.text, "%s", row->key);
    for (char *c = name.text; *c; c++)
        if (*c == '-') *c = '_';
    return name;
}

bool setting_is_among(const char *words, const char *word) {
    size_t length = strlen(word);
    for (const char *at = words; at && *at;) {
        size_t size = strcspn(at, " ");
        if (size == length && memcmp(at, word, length) == 0) return true;
        at += size + (at[size] == ' ');
    }
    return false;
}

/* ---- lists --------------------------------------------------------------------------------------------- */

static ra_status list_add(settings_list *list, const char *item, size_t size, ra_error *err) {
    char **grown = ra_realloc(list->items, list->count + 1, sizeof *grown);
    if (grown) list->items = grown;
    char *copy = grown ? ra_malloc(size + 1, 1) : NULL;
    if (!copy) RA_FAIL_MEMORY(err, "the settings", size + 1);
    memcpy(copy, item, size);
    copy[size] = '\0';
    list->items[list->count++] = copy;
    return RA_OK;
}

static void list_release(settings_list *list) {
    for (size_t i = 0; i < list->count; i++) ra_free(list->items[i]);
    ra_free(list->items);
    *list = (settings_list){0};
}

static ra_status check_text(const ra_setting *row, const char *words, const char *where, ra_error *err) {
    ra_error why = {0};
    if (!row->check) return RA_OK;
    ra_status status = row->check(words, &why);
    if (status != RA_OK) RA_FAIL(err, status, "%s: %s", where, why.message);
    return RA_OK;
}

static ra_status add_items(settings_list *list, const ra_setting *row, const char *words, const char *where,
                           ra_error *err) {
    for (const char *end; words; words = *end ? end + 1 : NULL) {
        end = strchrnul(words, ';');
        RA_TRY(list_add(list, words, (size_t)(end - words), err));
        RA_TRY(check_text(row, list->items[list->count - 1], where, err));
    }
    return RA_OK;
}

static ra_status set_list(const setting_place *place, bool keep, const char *words, const char *where,
                          ra_error *err) {
    settings_list *list = setting_value(place), unused = {0};
    if (!keep) *(uint64_t *)place->group->values |= (uint64_t)1 << place->i;
    ra_status status = add_items(keep ? &unused : list, place->row, words, where, err);
    list_release(&unused);
    return status;
}

/* ---- one value ----------------------------------------------------------------------------------------- */

settings_source settings_source_begin(const command_line *line) {
    settings_source source = {0};
    for (size_t g = 0; g < line->group_count; g++)
        source.before[g] = *(const uint64_t *)line->groups[g].values;
    return source;
}

ra_status setting_set(settings_source *source, const setting_place *place, const char *words,
                      const char *where, ra_error *err) {
    const ra_setting *row = place->row;
    bool keep = source->before[place->group_number] >> place->i & 1;
    if (row->type == RA_SETTING_LIST) return set_list(place, keep, words, where, err);
    uint64_t *given = &source->given[place->group_number], own = (uint64_t)1 << place->i;
    if (*given & own) RA_FAIL(err, RA_ERR_ARGUMENT, "%s is given more than once", where);
    *given |= own;
    if (row->type == RA_SETTING_TEXT) {
        if (!*words) RA_FAIL(err, RA_ERR_ARGUMENT, "%s needs a value", where);
        RA_TRY(check_text(row, words, where, err));
    }
    if (!keep)
        return ra_setting_parse(place->group->table, place->i, place->group->values, words, where, err);
    struct {
        uint64_t known;
        union {
            size_t count;
            double real;
            const char *words;
        } value;
    } unused = {0};
    ra_setting moved = *row;
    moved.offset = offsetof(__typeof__(unused), value);
    return ra_setting_parse(&(ra_settings_table){&moved, 1}, 0, &unused, words, where, err);
}

void settings_default(const command_line *line) {
    for (size_t g = 0; g < line->group_count; g++) {
        const settings_group *group = &line->groups[g];
        if (group->defaults)
            ra_settings_fill(group->table, group->values, group->defaults);
        else
            ra_settings_default(group->table, group->values);
    }
}

void settings_release(const command_line *line) {
    setting_place place;
    for (size_t n = 0; setting_at(line, n, &place); n++)
        if (place.row->type == RA_SETTING_LIST) list_release(setting_value(&place));
}
