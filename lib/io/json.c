#include "io/json.h"
#include "ra_memory.h"

#include <stdbool.h>
#include <string.h>

enum { DEEPEST = 8, MOST_DIGITS = 19 /* no 64-bit number has more */ };

/* ---- cJSON's allocator: set before main(), so no tree is ever freed by another one --------------------- */

static _Thread_local bool ran_out;

static void *allocate(size_t size) {
    void *memory = ra_malloc(size, 1);
    if (!memory) ran_out = true;
    return memory;
}

ra_status ra_json_parse(const char *text, size_t size, cJSON **tree) {
    ran_out = false;
    *tree = cJSON_ParseWithLength(text, size);
    return *tree ? RA_OK : ran_out ? RA_ERR_MEMORY : RA_ERR_FORMAT;
}

__attribute__((constructor)) static void use_our_allocator(void) {
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = allocate, .free_fn = ra_free});
}

/* ---- the grammar: each function moves `at` past the item in its name, or sets `problem` ---------------- */

typedef struct scanner {
    const char *at, *end;
    const char *problem; /* NULL: none so far */
} scanner;

static bool wrong(scanner *s, const char *problem) {
    s->problem = problem;
    return false;
}

static char peek(const scanner *s) {
    return s->at < s->end ? *s->at : '\0'; /* no rule allows a NUL in the text either */
}

static bool take(scanner *s, char c) {
    if (s->at == s->end || *s->at != c) return false;
    s->at++;
    return true;
}

static void skip_space(scanner *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t')) s->at++;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The four digits of a \u escape, or -1. */
static int scan_hex(scanner *s) {
    int code = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        char c = peek(s), lower = (char)(c | 0x20);
        if (is_digit(c))
            code = code * 16 + (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            code = code * 16 + (lower - 'a' + 10);
        else
            return -1;
    }
    return code;
}

static bool scan_escape(scanner *s) {
    char c = peek(s);
    if (c == '\0' || !strchr("\"\\/bfnrtu", c)) return wrong(s, "an escape that JSON does not have");
    s->at++;
    if (c != 'u') return true;
    int code = scan_hex(s);
    if (code < 0) return wrong(s, "an escape \\u takes four hexadecimal digits");
    if (code == 0) return wrong(s, "a string must not hold a NUL");
    if (code < 0xd800 || code > 0xdfff) return true;
    if (code <= 0xdbff && take(s, '\\') && take(s, 'u')) {
        code = scan_hex(s);
        if (code >= 0xdc00 && code <= 0xdfff) return true;
    }
    return wrong(s, "half of a surrogate pair");
}

static bool scan_string(scanner *s) {
    if (!take(s, '"')) return wrong(s, "a string in double quotes is missing");
    while (s->at < s->end) {
        if (take(s, '"')) return true;
        if ((unsigned char)*s->at < 0x20) return wrong(s, "a control character within a string");
        if (*s->at++ == '\\' && !scan_escape(s)) return false;
    }
    return wrong(s, "a string does not end");
}

static bool scan_number(scanner *s) {
    static const char problem[] = "a number that is not an integer in plain digits";
    const char *begin = s->at;
    while (is_digit(peek(s))) s->at++;
    size_t digits = (size_t)(s->at - begin);
    bool plain = digits > 0 && (digits == 1 || *begin != '0') && !(peek(s) && strchr(".eE", peek(s)));
    if (plain && digits <= MOST_DIGITS) return true;
    s->at = begin;
    return wrong(s, plain ? "a number beyond 64 bits" : problem);
}

static bool scan_word(scanner *s) {
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(s->end - s->at) < length || memcmp(s->at, words[i], length) != 0) continue;
        s->at += length;
        return true;
    }
    return wrong(s, "a value is missing");
}

/* Moves to the value of the next member and sets *name; sets *done at the closing brace. */
static bool next_member(scanner *s, bool first, ra_json_span *name, bool *done) {
    skip_space(s);
    if ((*done = take(s, '}'))) return true;
    if (!first && !take(s, ',')) return wrong(s, "a comma or a closing brace is missing");
    skip_space(s);
    const char *begin = s->at;
    if (!scan_string(s)) return false;
    *name = (ra_json_span){begin, (size_t)(s->at - begin)};
    skip_space(s);
    if (!take(s, ':')) return wrong(s, "a colon is missing");
    skip_space(s);
    return true;
}

static bool scan_value(scanner *s, int depth);

static bool scan_object(scanner *s, int depth) {
    ra_json_span name;
    bool done = false;
    for (bool first = true; next_member(s, first, &name, &done) && !done; first = false)
        if (!scan_value(s, depth)) return false;
    return done;
}

static bool scan_array(scanner *s, int depth) {
    skip_space(s);
    if (take(s, ']')) return true;
    do {
        skip_space(s);
        if (!scan_value(s, depth)) return false;
        skip_space(s);
    } while (take(s, ','));
    return take(s, ']') || wrong(s, "a comma or a closing bracket is missing");
}

static bool scan_value(scanner *s, int depth) {
    char c = peek(s);
    if (depth > DEEPEST) return wrong(s, "the nesting is deeper than 8");
    if (take(s, '{')) return scan_object(s, depth + 1);
    if (take(s, '[')) return scan_array(s, depth + 1);
    if (c == '"') return scan_string(s);
    if (is_digit(c) || c == '-') return scan_number(s);
    return scan_word(s);
}

/* ---- a list of strings ----------------------------------------------------------------------------------- */

/* Up to the closing bracket, whose opening one was taken. */
static ra_status visit_strings(scanner *s, ra_json_item *item, void *context, ra_error *err) {
    skip_space(s);
    if (take(s, ']')) return RA_OK;
    do {
        skip_space(s);
        const char *begin = s->at;
        if (!scan_string(s)) return RA_OK;
        RA_TRY(item(context, (ra_json_span){begin, (size_t)(s->at - begin)}, err));
        skip_space(s);
    } while (take(s, ','));
    if (!take(s, ']')) wrong(s, "a comma or a closing bracket is missing");
    return RA_OK;
}

ra_status ra_json_each_string(ra_json_span array, ra_json_item *item, void *context, const char **problem,
                              size_t *at, ra_error *err) {
    scanner s = {array.text, array.text + array.size, NULL};
    skip_space(&s);
    if (take(&s, '['))
        RA_TRY(visit_strings(&s, item, context, err));
    else
        wrong(&s, "an opening bracket is missing");
    skip_space(&s);
    if (!s.problem && s.at < s.end) wrong(&s, "there is more after the closing bracket");
    *problem = s.problem;
    *at = (size_t)(s.at - array.text);
    return RA_OK;
}

/* ---- the walk ------------------------------------------------------------------------------------------ */

ra_status ra_json_tree(ra_json_span value, cJSON **tree, ra_error *err) {
    *tree = cJSON_ParseWithLength(value.text, value.size);
    if (!*tree) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu bytes of JSON", value.size);
    return RA_OK;
}

ra_status ra_json_string(ra_json_span value, char **text, ra_error *err) {
    cJSON *tree = NULL;
    RA_TRY(ra_json_tree(value, &tree, err));
    *text = ra_strdup(cJSON_GetStringValue(tree));
    cJSON_Delete(tree);
    if (!*text) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a string of %zu bytes", value.size);
    return RA_OK;
}

/* Checks the value of a member whose name has been read, then passes both to the callback. */
static ra_status visit(scanner *s, ra_json_span name, ra_json_member *member, void *context, ra_error *err) {
    const char *begin = s->at;
    if (!scan_value(s, 1)) return RA_OK; /* the caller reports s->problem */
    char *text = NULL;
    RA_TRY(ra_json_string(name, &text, err));
    ra_status status = member(context, text, (ra_json_span){begin, (size_t)(s->at - begin)}, err);
    ra_free(text);
    return status;
}

ra_status ra_json_each_member(const char *where, ra_json_span header, ra_json_span object,
                              ra_json_member *member, void *context, ra_error *err) {
    scanner s = {object.text, object.text + object.size, NULL};
    ra_json_span name = {object.text, 0};
    bool done = false;
    if (!take(&s, '{')) wrong(&s, "an opening brace is missing");
    for (bool first = true; !s.problem && next_member(&s, first, &name, &done) && !done; first = false)
        RA_TRY(visit(&s, name, member, context, err));
    if (done) {
        skip_space(&s);
        if (s.at == s.end) return RA_OK;
        wrong(&s, "there is more after the closing brace");
    }
    /* Quotes the name as the header has it, up to the first character that is not ASCII. */
    int shown = 0;
    while ((size_t)shown < name.size && shown < 64 && (unsigned char)name.text[shown] < 0x80) shown++;
    RA_FAIL(err, RA_ERR_FORMAT, "%s: the header is malformed at byte %zu%s%.*s: %s", where,
            (size_t)(s.at - header.text), shown ? ", in or after " : "", shown, name.text, s.problem);
}
