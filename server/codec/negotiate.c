/* Accept and Accept-Encoding are both lists of names with parameters, of which only `q` matters:
 *
 *     application/x-npy, application/json;q=0.5, * / *;q=0.1          (without the spaces around the slash)
 *
 * A reader moves from element to element and skips an element that it does not understand: a reply in the
 * default form helps more than an error about the header. Qualities are kept in thousandths, which is all
 * that the grammar has.
 */
#include "codec/negotiate.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { QUALITY_ONE = 1000 };

static const struct {
    const char *name, *media_type;
} forms[FORM_COUNT] = {
#define X(id, name, media) [FORM_##id] = {name, media},
    FORM_LIST(X)
#undef X
};

const char *form_name(form which) {
    return forms[which].name;
}

const char *form_media_type(form which) {
    return forms[which].media_type;
}

static bool is_text(const char *name, size_t size, const char *expected) {
    return strlen(expected) == size && (size == 0 || strncasecmp(name, expected, size) == 0);
}

bool form_from_name(const char *name, form *which) {
    for (int i = 0; i < FORM_COUNT; i++)
        if (strcmp(forms[i].name, name) == 0) {
            *which = (form)i;
            return true;
        }
    return false;
}

const char *form_names(unsigned set, char *list, size_t size) {
    size_t used = 0;
    list[0] = '\0';
    for (int i = 0; i < FORM_COUNT && used < size; i++) {
        if (!(set >> i & 1)) continue;
        bool last = set >> i == 1;
        used += (size_t)snprintf(list + used, size - used, "%s%s",
                                 !used  ? ""
                                 : last ? " and "
                                        : ", ",
                                 forms[i].name);
    }
    return list;
}

/* ---- Content-Type -------------------------------------------------------------------------------------- */

bool form_from_content_type(const char *type, form *which) {
    static const char *const counts_as_json[] = {"", "application/x-www-form-urlencoded", "text/json",
                                                 "text/plain"};
    size_t size = type ? strcspn(type, "; \t") : 0;
    *which = FORM_JSON;
    for (size_t i = 0; i < sizeof counts_as_json / sizeof *counts_as_json; i++)
        if (is_text(type, size, counts_as_json[i])) return true;
    for (int i = 0; i < FORM_COUNT; i++)
        if (is_text(type, size, forms[i].media_type)) {
            *which = (form)i;
            return true;
        }
    return false;
}

/* ---- lists with qualities ------------------------------------------------------------------------------ */

typedef struct element {
    const char *name;
    size_t size;
    int quality; /* thousandths */
} element;

static const char *skip_space(const char *at) {
    return at + strspn(at, " \t");
}

/* "0", "1", "0.5", "0.123"; anything else counts as 1, the default. */
static int read_quality(const char *at, size_t size) {
    int quality = 0, unit = QUALITY_ONE;
    if (size == 0 || (*at != '0' && *at != '1')) return QUALITY_ONE;
    quality = (*at - '0') * QUALITY_ONE;
    if (size > 1 && at[1] != '.') return QUALITY_ONE;
    for (size_t i = 2; i < size && i < 5; i++) {
        if (at[i] < '0' || at[i] > '9') return QUALITY_ONE;
        quality += (at[i] - '0') * (unit /= 10);
    }
    return quality < QUALITY_ONE ? quality : QUALITY_ONE;
}

/* The end of an element or parameter; quoted strings may hold the separators. */
static const char *find(const char *at, const char *separators) {
    for (bool quoted = false; *at && (quoted || !strchr(separators, *at)); at++) {
        if (*at == '"') quoted = !quoted;
        if (*at == '\\' && quoted && at[1]) at++;
    }
    return at;
}

static size_t trimmed(const char *from, const char *to) {
    while (to > from && (to[-1] == ' ' || to[-1] == '\t')) to--;
    return (size_t)(to - from);
}

/* Moves *at past the next element. False at the end of the list. */
static bool next_element(const char **at, element *found) {
    const char *from = *at;
    while (*from == ',' || *from == ' ' || *from == '\t') from++;
    if (!*from) return false;
    const char *to = find(from, ",;");
    *found = (element){from, trimmed(from, to), QUALITY_ONE};
    while (*to == ';') {
        const char *parameter = skip_space(to + 1);
        to = find(parameter, ",;");
        if ((*parameter == 'q' || *parameter == 'Q') && parameter[1] == '=')
            found->quality = read_quality(parameter + 2, trimmed(parameter + 2, to));
    }
    *at = to;
    return true;
}

/* ---- Accept -------------------------------------------------------------------------------------------- */

/* How closely a media range fits: 3 for the type itself, 2 for type / *, 1 for * / *, 0 for no fit. */
static int fit(const element *range, const char *media_type) {
    size_t kind = strcspn(media_type, "/") + 1;
    if (is_text(range->name, range->size, media_type)) return 3;
    if (range->size == kind + 1 && range->name[kind] == '*')
        return strncasecmp(range->name, media_type, kind) == 0 ? 2 : 0;
    return is_text(range->name, range->size, "*/*") || is_text(range->name, range->size, "*") ? 1 : 0;
}

/* The quality that the closest range gives to a media type; 0 when none fits. */
static int quality_of(const char *accept, const char *media_type) {
    element range;
    int best = 0, quality = 0;
    while (next_element(&accept, &range)) {
        int closeness = fit(&range, media_type);
        if (closeness <= best) continue;
        best = closeness;
        quality = range.quality;
    }
    return quality;
}

static bool has_range(const char *accept) {
    element range;
    while (next_element(&accept, &range))
        if (memchr(range.name, '/', range.size) || is_text(range.name, range.size, "*")) return true;
    return false;
}

bool form_choose(const char *accept, unsigned offered, form preferred, form *chosen) {
    *chosen = preferred;
    if (!accept || !has_range(accept)) return true;
    int best = quality_of(accept, forms[preferred].media_type);
    for (int i = 0; i < FORM_COUNT; i++) {
        int quality = offered >> i & 1 ? quality_of(accept, forms[i].media_type) : 0;
        if (quality <= best) continue;
        best = quality;
        *chosen = (form)i;
    }
    return best > 0;
}

/* ---- Accept-Encoding ----------------------------------------------------------------------------------- */

static bool names_coding(const element *one, content_coding coding) {
    return is_text(one->name, one->size, content_coding_name(coding)) ||
           (coding == CODING_GZIP && is_text(one->name, one->size, "x-gzip"));
}

/* -1: it is not named. */
static int quality_of_coding(const char *accept_encoding, content_coding coding) {
    element one;
    int any = -1;
    while (next_element(&accept_encoding, &one)) {
        if (names_coding(&one, coding)) return one.quality;
        if (is_text(one.name, one.size, "*")) any = one.quality;
    }
    return coding == CODING_GZIP ? any : -1;
}

content_coding coding_choose(const char *accept_encoding, unsigned offered) {
    content_coding best = CODING_IDENTITY;
    int highest = 1; /* below it is refused */
    for (int i = CODING_IDENTITY + 1; i < CODING_COUNT && accept_encoding; i++) {
        int quality = offered >> i & 1 ? quality_of_coding(accept_encoding, (content_coding)i) : -1;
        if (quality < highest) continue;
        highest = quality;
        best = (content_coding)i;
    }
    return best;
}
