/* One block of memory holds the parameters and two copies of the target: the first copy keeps the path as it was
 * sent, the second is cut and decoded in place (decoding never makes a text longer). */
#include "http/target.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <string.h>
#include <strings.h>

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Decodes a terminated string in place. */
static ra_status decode(char *text, ra_error *err) {
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        int high = hex_digit(from[1]), low = high < 0 ? -1 : hex_digit(from[2]);
        if (low < 0)
            RA_FAIL(err, RA_ERR_FORMAT,
                    "the request target has a '%%' without two hexadecimal digits after it");
        if (high == 0 && low == 0)
            RA_FAIL(err, RA_ERR_FORMAT, "the request target has a NUL character (%%00)");
        *to++ = (char)(high * 16 + low);
        from += 2;
    }
    *to = '\0';
    if (!ra_utf8_valid(text, (size_t)(to - text)))
        RA_FAIL(err, RA_ERR_FORMAT, "the decoded request target is not UTF-8");
    return RA_OK;
}

/* Ends the string at the first `separator`; returns what follows it, NULL when there is none. */
static char *cut(char *text, char separator) {
    char *at = strchr(text, separator);
    if (!at) return NULL;
    *at = '\0';
    return at + 1;
}

/* Doubled and trailing slashes make no segment: "/a//b/" has "a" and "b". */
static ra_status split_path(http_target *target, char *path, ra_error *err) {
    for (char *segment = path + 1, *next; segment; segment = next) {
        next = cut(segment, '/');
        if (!*segment && (next || target->segment_count)) continue;
        if (target->segment_count == HTTP_MAX_SEGMENTS)
            RA_FAIL(err, RA_ERR_TOO_LARGE, "the path has more than %d segments", HTTP_MAX_SEGMENTS);
        RA_TRY(decode(segment, err));
        target->segments[target->segment_count++] = segment;
    }
    return RA_OK;
}

static ra_status split_query(http_target *target, char *query, ra_error *err) {
    for (char *name = query, *next; name; name = next) {
        next = cut(name, '&');
        if (!*name) continue;
        if (target->parameter_count == HTTP_MAX_PARAMETERS)
            RA_FAIL(err, RA_ERR_TOO_LARGE, "the query has more than %d parameters", HTTP_MAX_PARAMETERS);
        char *value = cut(name, '=');
        if (!value) value = name + strlen(name);
        RA_TRY(decode(name, err));
        RA_TRY(decode(value, err));
        target->parameters[target->parameter_count++] = (http_parameter){name, value};
    }
    return RA_OK;
}

/* The path after "http://host" of the absolute form. */
static const char *skip_authority(const char *raw) {
    size_t scheme = strncasecmp(raw, "http://", 7) == 0 ? 7 : strncasecmp(raw, "https://", 8) == 0 ? 8 : 0;
    if (!scheme) return raw;
    const char *rest = raw + scheme + strcspn(raw + scheme, "/?");
    return *rest == '/' ? rest : "/";
}

/* As many as the target can have, within the limit. */
static size_t room_for_parameters(const char *raw) {
    size_t count = 0;
    for (const char *at = strchr(raw, '?'); at && count < HTTP_MAX_PARAMETERS; at = strchr(at + 1, '&'))
        count++;
    return count;
}

/* What is behind the prefix; of the prefix alone, nothing, or the query. */
static const char *skip_base(const char *raw, const char *base) {
    size_t size = strlen(base);
    bool has_it = size > 0 && strncmp(raw, base, size) == 0 && (!raw[size] || strchr("/?", raw[size]));
    return has_it ? raw + size : raw;
}

static ra_status fill(http_target *target, const char *raw, ra_error *err) {
    for (const char *c = raw; *c; c++)
        if (*c <= ' ' || *c > '~')
            RA_FAIL(err, RA_ERR_FORMAT, "the request target has a byte that must be percent-encoded");
    raw = skip_authority(raw);
    if (strcmp(raw, "*") == 0) { /* the server itself, of OPTIONS */
        target->path = "*";
        return RA_OK;
    }
    if (*raw != '/') RA_FAIL(err, RA_ERR_FORMAT, "the request target does not start with '/'");
    if (target->base) raw = skip_base(raw, target->base);
    bool slash = *raw != '/'; /* is missing */
    size_t size = slash + strlen(raw) + 1, room = room_for_parameters(raw) * sizeof *target->parameters;
    target->storage = ra_malloc(room + 2 * size, 1);
    if (!target->storage) RA_FAIL_MEMORY(err, "the request target", room + 2 * size);
    target->parameters = target->storage;
    char *path = (char *)target->storage + room, *work = path + size;
    path[0] = '/';
    memcpy(path + slash, raw, size - slash);
    memcpy(work, path, size);
    cut(path, '?');
    target->path = path;
    target->bare = slash;
    char *query = cut(work, '?');
    RA_TRY(split_path(target, work, err));
    return split_query(target, query, err);
}

ra_status http_target_parse(http_target *target, const char *raw, const char *base, ra_error *err) {
    *target = (http_target){.path = "", .base = base};
    ra_status status = fill(target, raw, err);
    if (status != RA_OK) target->segment_count = target->parameter_count = 0;
    return status;
}

void http_target_release(http_target *target) {
    ra_free(target->storage);
    *target = (http_target){0};
}

const char *http_target_parameter(const http_target *target, const char *name) {
    for (size_t i = 0; i < target->parameter_count; i++)
        if (strcmp(target->parameters[i].name, name) == 0) return target->parameters[i].value;
    return NULL;
}

bool http_target_list(const http_target *target, const char *name, http_list *list) {
    if (list->entry && *list->end == ',') {
        list->entry = list->end + 1;
    } else {
        while (list->next < target->parameter_count && strcmp(target->parameters[list->next].name, name) != 0)
            list->next++;
        if (list->next == target->parameter_count) return false;
        list->entry = target->parameters[list->next++].value;
    }
    list->end = list->entry + strcspn(list->entry, ",");
    return true;
}
