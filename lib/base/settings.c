#include "ra_settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ra_setting_by_key(const ra_settings_table *table, const char *key) {
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].key, key) == 0) return (int)i;
    return -1;
}

ra_setting_name ra_setting_flag(const ra_setting *row) {
    ra_setting_name name;
    snprintf(name.text, sizeof name.text, "%s", row->flag ? row->flag : row->key);
    for (char *c = name.text; *c && !row->flag; c++)
        if (*c == '_') *c = '-';
    return name;
}

static uint64_t *known_bits(void *settings) {
    return settings; /* the first member, by convention */
}

bool ra_setting_known(const void *settings, size_t i) {
    return *(const uint64_t *)settings >> i & 1;
}

void ra_setting_forget(void *settings, size_t i) {
    *known_bits(settings) &= ~((uint64_t)1 << i);
}

/* "relu, topk, batchtopk or jumprelu" */
static const char *list_names(const char *const *names, char *buffer, size_t size) {
    size_t used = 0;
    buffer[0] = '\0';
    for (size_t i = 0; names[i] && used < size; i++) {
        const char *before = i == 0 ? "" : names[i + 1] ? ", " : " or ";
        int n = snprintf(buffer + used, size - used, "%s%s", before, names[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    return buffer;
}

const char *ra_setting_help(const ra_setting *row, char *buffer, size_t size) {
    return row->help ? row->help : list_names(row->names, buffer, size);
}

bool ra_count_parse(const char *text, size_t *count) {
    size_t n = 0;
    if (!*text) return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        if (__builtin_mul_overflow(n, (size_t)10, &n) || __builtin_add_overflow(n, (size_t)(*text - '0'), &n))
            n = SIZE_MAX; /* times ten it overflows again */
    }
    *count = n;
    return true;
}

bool ra_size_parse(const char *text, size_t *bytes) {
    static const char units[] = "KMGT";
    char digits[32];
    size_t length = strspn(text, "0123456789");
    const char *unit = text[length] ? strchr(units, text[length]) : NULL;
    if (!unit) return ra_count_parse(text, bytes);
    const char *rest = text + length + 1;
    if (length >= sizeof digits || (*rest && strcmp(rest, "iB") != 0)) return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    if (!ra_count_parse(digits, bytes)) return false;
    if (__builtin_mul_overflow(*bytes, (size_t)1 << (10 * (unit - units + 1)), bytes)) *bytes = SIZE_MAX;
    return true;
}

static ra_status parse_count(const ra_setting *row, const char *text, size_t *value, const char *where,
                             ra_error *err) {
    size_t number;
    if (row->zero && strcmp(text, row->zero) == 0) {
        *value = 0;
        return RA_OK;
    }
    bool whole = row->bytes ? ra_size_parse(text, &number) : ra_count_parse(text, &number);
    if (!whole || (double)number < row->min || (double)number > row->max)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s is \"%s\", expected a whole number from %.0f to %.0f%s%s%s", where,
                text, row->min, row->max, row->bytes ? ", or one with K, M, G or T behind it" : "",
                row->zero ? " or " : "", row->zero ? row->zero : "");
    *value = number;
    return RA_OK;
}

static ra_status parse_real(const ra_setting *row, const char *text, double *value, bool *has_unit,
                            const char *where, ra_error *err) {
    char *end;
    double number = strtod(text, &end);
    bool unit = row->unit && end != text && strcmp(end, row->unit) == 0;
    if (end == text || (*end && !unit) || !isfinite(number) || number < row->min || number > row->max)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s is \"%s\", expected a number from %g to %g%s%s", where, text,
                row->min, row->max, row->unit ? ", or one followed by " : "", row->unit ? row->unit : "");
    *value = number;
    if (row->unit) *has_unit = unit;
    return RA_OK;
}

/* ", which is ..."; empty: nothing is known about the value. */
static const char *refusal(const ra_setting *row, const char *text) {
    for (const ra_setting_refusal *r = row->refusals; r && r->value; r++)
        if (strcmp(r->value, text) == 0) return r->why;
    return "";
}

ra_status ra_setting_parse(const ra_settings_table *table, size_t i, void *settings, const char *text,
                           const char *where, ra_error *err) {
    const ra_setting *row = &table->rows[i];
    char *place = (char *)settings + row->offset, names[256];
    switch (row->type) {
    case RA_SETTING_COUNT:
        RA_TRY(parse_count(row, text, (size_t *)(void *)place, where, err));
        break;
    case RA_SETTING_REAL:
        RA_TRY(
            parse_real(row, text, (double *)(void *)place, (bool *)settings + row->unit_offset, where, err));
        break;
    case RA_SETTING_BOOL:
        if (strcasecmp(text, "true") != 0 && strcasecmp(text, "false") != 0)
            RA_FAIL(err, RA_ERR_ARGUMENT, "%s is \"%s\", expected true or false", where, text);
        *(bool *)(void *)place = strcasecmp(text, "true") == 0;
        break;
    case RA_SETTING_NAME: {
        int found = -1;
        for (int n = 0; row->names[n]; n++)
            if (strcmp(row->names[n], text) == 0) found = n;
        if (found < 0)
            RA_FAIL(err, RA_ERR_ARGUMENT, "%s is \"%s\"%s, expected %s", where, text, refusal(row, text),
                    list_names(row->names, names, sizeof names));
        *(int *)(void *)place = found;
        break;
    }
    case RA_SETTING_TEXT:
        *(const char **)(void *)place = text;
        break;
    case RA_SETTING_LIST:
        RA_FAIL(err, RA_ERR_INTERNAL, "%s: a list has no one value", where);
    }
    *known_bits(settings) |= (uint64_t)1 << i;
    return RA_OK;
}

/* The fewest digits that read back to the same double: 0.9, not 0.90000000000000002. */
static void print_real(double value, char *buffer, size_t size) {
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(buffer, size, "%.*g", digits, value);
        if (strtod(buffer, NULL) == value) return;
    }
}

const char *ra_setting_print(const ra_settings_table *table, size_t i, const void *settings, char *buffer,
                             size_t size) {
    const ra_setting *row = &table->rows[i];
    const char *place = (const char *)settings + row->offset;
    switch (row->type) {
    case RA_SETTING_COUNT: {
        size_t count = *(const size_t *)(const void *)place;
        if (row->zero && count == 0)
            snprintf(buffer, size, "%s", row->zero);
        else
            snprintf(buffer, size, "%zu", count);
        break;
    }
    case RA_SETTING_REAL: {
        bool unit = row->unit && *((const bool *)settings + row->unit_offset);
        print_real(*(const double *)(const void *)place, buffer, size);
        if (unit) snprintf(buffer + strlen(buffer), size - strlen(buffer), "%s", row->unit);
        break;
    }
    case RA_SETTING_BOOL:
        snprintf(buffer, size, "%s", *(const bool *)(const void *)place ? "true" : "false");
        break;
    case RA_SETTING_NAME:
        snprintf(buffer, size, "%s", row->names[*(const int *)(const void *)place]);
        break;
    case RA_SETTING_TEXT:
        return *(const char *const *)(const void *)place;
    case RA_SETTING_LIST:
        return "";
    }
    return buffer;
}

static size_t value_size(ra_setting_type type) {
    static const size_t sizes[] = {
        [RA_SETTING_COUNT] = sizeof(size_t),      [RA_SETTING_REAL] = sizeof(double),
        [RA_SETTING_BOOL] = sizeof(bool),         [RA_SETTING_NAME] = sizeof(int),
        [RA_SETTING_TEXT] = sizeof(const char *),
    };
    return sizes[type];
}

static void copy_known(const ra_settings_table *table, void *to, const void *from, bool replace) {
    for (size_t i = 0; i < table->count; i++) {
        if (!ra_setting_known(from, i) || (!replace && ra_setting_known(to, i))) continue;
        if (table->rows[i].type == RA_SETTING_LIST) continue; /* owned: it stays where it is */
        size_t offset = table->rows[i].offset;
        memcpy((char *)to + offset, (const char *)from + offset, value_size(table->rows[i].type));
        if (table->rows[i].unit)
            ((bool *)to)[table->rows[i].unit_offset] = ((const bool *)from)[table->rows[i].unit_offset];
        *known_bits(to) |= (uint64_t)1 << i;
    }
}

void ra_settings_fill(const ra_settings_table *table, void *to, const void *from) {
    copy_known(table, to, from, false);
}

void ra_settings_override(const ra_settings_table *table, void *to, const void *from) {
    copy_known(table, to, from, true);
}

void ra_settings_default(const ra_settings_table *table, void *settings) {
    ra_error impossible; /* unit tests parse every fallback of every table */
    for (size_t i = 0; i < table->count; i++) {
        const ra_setting *row = &table->rows[i];
        if (row->fallback && !ra_setting_known(settings, i))
            (void)ra_setting_parse(table, i, settings, row->fallback, row->key, &impossible);
    }
}
