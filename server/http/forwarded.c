/* A line is cut into entries from its end: the last one is a trusted proxy's, so it is whole, and what a client wrote
 * before it, an open quote for example, cannot swallow it.
 */
#include "http/forwarded.h"

#include <string.h>
#include <strings.h>

enum { VALUE_SIZE = 80 }; /* the longest address with brackets and port has 53 */

typedef enum entry { ENTRY_EMPTY, ENTRY_ADDRESS, ENTRY_LOCAL, ENTRY_HIDDEN, ENTRY_BROKEN } entry;

typedef struct words {
    const char *at;
    size_t size;
} words;

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static words trim(words piece) {
    while (piece.size && is_blank(piece.at[0])) piece.at++, piece.size--;
    while (piece.size && is_blank(piece.at[piece.size - 1])) piece.size--;
    return piece;
}

static bool is(words piece, const char *name) {
    return strlen(name) == piece.size && strncasecmp(piece.at, name, piece.size) == 0;
}

/* ---- a node: an address with or without a port, or a word for none -------------------------------------- */

/* "_hidden", "_a.b-c": at least one character after the underscore. */
static bool is_obfuscated(words piece) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (piece.size < 2 || piece.at[0] != '_') return false;
    for (size_t i = 1; i < piece.size; i++)
        if (!piece.at[i] || !strchr(letters, piece.at[i])) return false;
    return true;
}

/* "" or ":80" or ":_hidden" */
static bool is_port(words piece) {
    if (!piece.size) return true;
    words port = {piece.at + 1, piece.size - 1};
    if (piece.at[0] != ':' || !port.size) return false;
    if (is_obfuscated(port)) return true;
    for (size_t i = 0; i < port.size; i++)
        if (port.at[i] < '0' || port.at[i] > '9') return false;
    return port.size <= 5;
}

static entry read_node(words piece, ip_address *out) {
    if (is(piece, "unix:") || is(piece, "unix")) return ENTRY_LOCAL;
    const char *colon = memchr(piece.at, ':', piece.size);
    words name = {piece.at, colon ? (size_t)(colon - piece.at) : piece.size};
    words rest = {piece.at + name.size, piece.size - name.size};
    if (piece.at[0] == '[') {
        const char *end = memchr(piece.at, ']', piece.size);
        if (!end) return ENTRY_BROKEN;
        name = (words){piece.at + 1, (size_t)(end - piece.at) - 1};
        rest = (words){end + 1, piece.size - name.size - 2};
        if (!memchr(name.at, ':', name.size)) return ENTRY_BROKEN;
    } else if (colon && memchr(colon + 1, ':', rest.size - 1)) {
        name = piece;
        rest.size = 0;
    }
    if (!is_port(rest)) return ENTRY_BROKEN;
    if (is(name, "unknown") || is_obfuscated(name)) return ENTRY_HIDDEN;
    return ip_parse(name.at, name.size, out) ? ENTRY_ADDRESS : ENTRY_BROKEN;
}

/* ---- an entry of each header ----------------------------------------------------------------------------- */

/* The value at the start of *left, which it leaves; a quoted one is copied to `plain`. */
static bool take_value(words *left, char plain[VALUE_SIZE], words *value) {
    size_t i = 0, used = 0;
    if (!left->size || left->at[0] != '"') {
        while (i < left->size && left->at[i] != ';' && left->at[i] != '"' && !is_blank(left->at[i])) i++;
        *value = (words){left->at, i};
        *left = (words){left->at + i, left->size - i};
        return value->size > 0;
    }
    for (i = 1; i < left->size && left->at[i] != '"'; i++) {
        if (left->at[i] == '\\' && ++i == left->size) return false;
        if (used < VALUE_SIZE) plain[used++] = left->at[i];
    }
    if (i >= left->size) return false;
    *value = (words){plain, used};
    *left = (words){left->at + i + 1, left->size - i - 1};
    return true;
}

/* for="[2001:db8::1]:80";proto=https;by=_proxy */
static entry read_forwarded(words piece, ip_address *out) {
    entry found = ENTRY_HIDDEN;
    bool has_for = false;
    for (words left = piece; left.size;) {
        char plain[VALUE_SIZE];
        words value;
        left = trim(left);
        const char *equals = memchr(left.at, '=', left.size), *next = memchr(left.at, ';', left.size);
        if (next && next == left.at) { /* an empty pair */
            left = trim((words){left.at + 1, left.size - 1});
            continue;
        }
        if (!equals || (next && next < equals)) return ENTRY_BROKEN;
        words name = {left.at, (size_t)(equals - left.at)};
        left = (words){equals + 1, left.size - name.size - 1};
        if (!take_value(&left, plain, &value)) return ENTRY_BROKEN;
        left = trim(left);
        if (left.size && left.at[0] != ';') return ENTRY_BROKEN;
        if (!is(name, "for")) continue;
        if (has_for || !value.size) return ENTRY_BROKEN;
        has_for = true;
        found = read_node(value, out);
    }
    return found;
}

static entry read_plain(words piece, ip_address *out) {
    if (piece.size >= 2 && piece.at[0] == '"' && piece.at[piece.size - 1] == '"')
        piece = trim((words){piece.at + 1, piece.size - 2});
    return piece.size ? read_node(piece, out) : ENTRY_BROKEN;
}

/* ---- the way back ---------------------------------------------------------------------------------------- */

static bool is_escaped(words line, size_t at) {
    size_t slashes = 0;
    while (slashes < at && line.at[at - slashes - 1] == '\\') slashes++;
    return slashes % 2;
}

/* Takes the last entry off the line. */
static words take_last(words *line, bool has_quotes) {
    bool quoted = false;
    size_t at = line->size;
    for (; at > 0; at--) {
        char c = line->at[at - 1];
        if (has_quotes && c == '"' && !is_escaped(*line, at - 1)) quoted = !quoted;
        if (c == ',' && !quoted) break;
    }
    words last = trim((words){line->at + at, line->size - at});
    line->size = at ? at - 1 : 0;
    return last;
}

/* Whether the way goes on before this entry. */
static bool goes_on(const http_proxies *proxies, entry kind, const ip_address *address, words piece,
                    forwarded *out) {
    switch (kind) {
    case ENTRY_EMPTY:
        return true;
    case ENTRY_LOCAL:
        return proxies->local;
    case ENTRY_ADDRESS:
        out->client = *address;
        out->found = true;
        out->is_proxy = http_proxies_has(proxies, address);
        return out->is_proxy;
    case ENTRY_BROKEN:
        out->broken = piece.at;
        out->broken_size = piece.size;
        return false;
    case ENTRY_HIDDEN:
        return false;
    }
    return false;
}

static void read_lines(const http_proxies *proxies, const http_lines *lines, bool standard, forwarded *out) {
    *out = (forwarded){.header = !lines->count ? NULL : standard ? "Forwarded" : "X-Forwarded-For"};
    for (size_t i = 0; i < lines->count && i < HTTP_LAST_LINES; i++) {
        const char *at = lines->last[(lines->count - 1 - i) % HTTP_LAST_LINES];
        for (words line = {at, strlen(at)}; line.size;) {
            ip_address address;
            words piece = take_last(&line, standard);
            entry kind = !piece.size ? ENTRY_EMPTY
                         : standard  ? read_forwarded(piece, &address)
                                     : read_plain(piece, &address);
            if (!goes_on(proxies, kind, &address, piece, out)) return;
        }
    }
}

void forwarded_read(const http_proxies *proxies, const http_headers *headers, forwarded *out) {
    forwarded other;
    read_lines(proxies, &headers->forwarded_for, false, out);
    if (!headers->forwarded.count) return;
    read_lines(proxies, &headers->forwarded, true, &other);
    if (!out->header)
        *out = other;
    else if (out->found && other.found && memcmp(&out->client, &other.client, sizeof other.client) != 0)
        out->disputed = true, out->other = other.client;
}
