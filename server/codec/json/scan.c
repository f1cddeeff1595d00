/* The problem: a request is one short envelope around tens of thousands of numbers. A tree costs 72 bytes and
 * 300 ns per number, and usual parsers accept what later code stumbles over (trailing bytes, a member twice,
 * 1e999 as infinity). The design: the caller pulls one value after another from a cursor; moving the cursor
 * validates, so every byte is looked at once, and a body that was scanned to its end is valid. The code that
 * reads a body is then the only place that says what it may contain (a file of requests/), instead of a tree walk
 * after the parser.
 *
 * State: `at` is the next byte. `fresh` means that the innermost container was just opened, so that neither a
 * comma nor a value is behind us; after a value, a comma or the closing bracket must follow. Containers
 * further out have always passed a value, the inner container itself.
 *
 * Members twice: the keys of the open objects are kept, as spans of the body. A key is compared with the keys
 * before it while they are few; an object with more of them is sorted once when it closes, so that no body
 * costs more than n log n.
 */
#include "codec/json/scan.h"
#include "app/numbers.h"
#include "ra_memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- failing ------------------------------------------------------------------------------------------- */

/* One step of a JSON pointer (RFC 6901). False, and nothing added, when it does not fit. */
static bool add_step(char *pointer, size_t *used, const char *step, size_t size) {
    enum { MOST = RA_ERROR_WHERE_SIZE - 3 };
    size_t at = *used, i = 0;
    if (at >= MOST) return false;
    pointer[at++] = '/';
    for (; i < size && at < MOST; i++) {
        bool special = step[i] == '~' || step[i] == '/';
        pointer[at++] = special ? '~' : step[i];
        if (special) pointer[at++] = step[i] == '~' ? '0' : '1';
    }
    if (i == size) *used = at;
    pointer[*used] = '\0';
    return i == size;
}

/* Where the scan is: the member or element of each open container. */
static void point(const json_scan *scan, const char *within, char pointer[RA_ERROR_WHERE_SIZE]) {
    size_t used = 0;
    bool whole = true;
    char digits[24];
    pointer[0] = '\0';
    for (unsigned depth = 1; depth <= scan->depth && whole; depth++) {
        size_t after = depth < scan->depth ? scan->first_key[depth + 1] : scan->key_count;
        if (scan->is_array[depth]) {
            if (!scan->elements[depth]) return; /* before the first one */
            int size = snprintf(digits, sizeof digits, "%zu", scan->elements[depth] - 1);
            whole = add_step(pointer, &used, digits, (size_t)size);
        } else {
            if (after == scan->first_key[depth]) return;
            whole = add_step(pointer, &used, scan->keys[after - 1].raw, scan->keys[after - 1].size);
        }
    }
    if (within && whole) (void)add_step(pointer, &used, within, strlen(within));
}

static void fail(json_scan *scan, ra_status code, const ra_error_facts *facts, const char *format,
                 va_list args) __attribute__((format(printf, 4, 0)));
static void fail(json_scan *scan, ra_status code, const ra_error_facts *facts, const char *format,
                 va_list args) {
    char message[RA_ERROR_MESSAGE_SIZE];
    vsnprintf(message, sizeof message, format, args);
    scan->status = ra_error_set(scan->err, code, "%s", message);
    if (!scan->err) return;
    ra_error_facts *to = &scan->err->facts;
    if (facts) *to = *facts;
    if (to->kind != PROBLEM_MALFORMED_BODY)
        point(scan, facts && facts->where[0] ? facts->where : NULL, to->where);
}

bool json_scan_fail(json_scan *scan, ra_status code, const char *format, ...) {
    if (scan->status != RA_OK) return false;
    va_list args;
    va_start(args, format);
    fail(scan, code, NULL, format, args);
    va_end(args);
    return false;
}

bool json_scan_fail_with(json_scan *scan, ra_status code, const ra_error_facts *facts, const char *format,
                         ...) {
    if (scan->status != RA_OK) return false;
    va_list args;
    va_start(args, format);
    fail(scan, code, facts, format, args);
    va_end(args);
    return false;
}

/* Text that is not JSON at all has no place to point at. */
static const ra_error_facts no_json = {.kind = PROBLEM_MALFORMED_BODY};
static const ra_error_facts wrong_value = {.kind = PROBLEM_INVALID_VALUE};

static size_t offset_of(const json_scan *scan, const char *p) {
    return (size_t)(p - scan->start);
}

/* "not JSON: expected <what> at byte <n>, found <the byte there>" */
static bool expected(json_scan *scan, const char *what) {
    char found[32];
    if (scan->at == scan->end)
        snprintf(found, sizeof found, "the end");
    else if (*scan->at > ' ' && *scan->at < 0x7f)
        snprintf(found, sizeof found, "'%c'", *scan->at);
    else
        snprintf(found, sizeof found, "the byte 0x%02X", (unsigned char)*scan->at);
    bool npy = scan->at == scan->start && scan->end - scan->at >= 6 && memcmp(scan->at, "\x93NUMPY", 6) == 0;
    return json_scan_fail_with(scan, RA_ERR_FORMAT, &no_json, "not JSON: expected %s at byte %zu, found %s%s",
                               what, offset_of(scan, scan->at), found,
                               npy ? "; a NumPy array has the Content-Type application/x-npy" : "");
}

/* Python's json.dumps and others write these words for floats that JSON cannot express. */
static const char *not_finite_word(const char *p, const char *end) {
    static const char *const words[] = {"NaN", "Infinity", "-Infinity", "-NaN"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0) return words[i];
    }
    return NULL;
}

static bool expected_value(json_scan *scan, const char *what) {
    const char *word = not_finite_word(scan->at, scan->end);
    if (!word) return expected(scan, what);
    return json_scan_fail(scan, RA_ERR_NOT_FINITE, "%s at byte %zu: numbers must be finite", word,
                          offset_of(scan, scan->at));
}

/* ---- begin and end ------------------------------------------------------------------------------------- */

void json_scan_begin(json_scan *scan, const char *body, size_t size, ra_error *err) {
    if (!size) body = ""; /* a request without a body has none to point to */
    *scan = (json_scan){.err = err, .start = body, .at = body, .end = body + size};
}

static inline const char *skip_space(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    return p;
}

bool json_scan_end(json_scan *scan) {
    if (scan->status != RA_OK) return false;
    scan->at = skip_space(scan->at, scan->end);
    return scan->at == scan->end || expected(scan, "the end of the body");
}

ra_status json_scan_close(json_scan *scan) {
    ra_free(scan->keys);
    scan->keys = NULL;
    scan->key_count = scan->key_capacity = 0;
    return scan->status;
}

/* ---- types --------------------------------------------------------------------------------------------- */

static const char *const type_names[] = {
    [JSON_INVALID] = "nothing", [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array",
    [JSON_STRING] = "a string", [JSON_NUMBER] = "a number",  [JSON_TRUE] = "true",
    [JSON_FALSE] = "false",     [JSON_NULL] = "null",
};

const char *json_type_name(json_type type) {
    return type_names[type];
}

json_type json_scan_peek(json_scan *scan) {
    if (scan->status != RA_OK) return JSON_INVALID;
    scan->at = skip_space(scan->at, scan->end);
    if (scan->at == scan->end) return JSON_INVALID;
    switch (*scan->at) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    case '-':
        return not_finite_word(scan->at, scan->end) ? JSON_INVALID : JSON_NUMBER;
    default:
        return *scan->at >= '0' && *scan->at <= '9' ? JSON_NUMBER : JSON_INVALID;
    }
}

/* Passes the string whose opening quote is at `at`. */
static bool pass_string(json_scan *scan, json_string *string) {
    const char *wrong, *next = json_string_scan(scan->at, scan->end, string, &wrong);
    if (wrong)
        return json_scan_fail_with(scan, RA_ERR_FORMAT, &no_json, "not JSON: %s at byte %zu", wrong,
                                   offset_of(scan, next));
    scan->at = next;
    return true;
}

/* ---- members twice ------------------------------------------------------------------------------------- */

enum { FEW_KEYS = 16 };

static bool fail_twice(json_scan *scan, json_string key) {
    static const ra_error_facts twice = {.kind = PROBLEM_CONFLICTING_PARAMETERS};
    return json_scan_fail_with(scan, RA_ERR_FORMAT, &twice,
                               "the member \"%.*s\" at byte %zu is twice in its object",
                               json_string_shown(key), key.raw, offset_of(scan, key.raw) - 1);
}

static bool remember_key(json_scan *scan, json_string key) {
    size_t first = scan->first_key[scan->depth];
    if (scan->key_count - first < FEW_KEYS)
        for (size_t i = first; i < scan->key_count; i++)
            if (json_string_compare(scan->keys[i], key) == 0) return fail_twice(scan, key);
    if (scan->key_count == scan->key_capacity) {
        size_t capacity = scan->key_capacity ? 2 * scan->key_capacity : 8;
        json_string *grown = ra_realloc(scan->keys, capacity, sizeof *grown);
        if (!grown)
            return json_scan_fail(scan, RA_ERR_MEMORY, "out of memory: the names of %zu members", capacity);
        scan->keys = grown;
        scan->key_capacity = capacity;
    }
    scan->keys[scan->key_count++] = key;
    return true;
}

static int compare_keys(const void *a, const void *b) {
    return json_string_compare(*(const json_string *)a, *(const json_string *)b);
}

/* Forgets the keys of the innermost object, which is closing. */
static bool forget_keys(json_scan *scan) {
    size_t first = scan->first_key[scan->depth], n = scan->key_count - first;
    scan->key_count = first;
    if (n <= FEW_KEYS) return true;
    json_string *keys = scan->keys + first;
    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 1; i < n; i++)
        if (json_string_compare(keys[i - 1], keys[i]) == 0)
            return fail_twice(scan, keys[i].raw > keys[i - 1].raw ? keys[i] : keys[i - 1]);
    return true;
}

/* ---- containers ---------------------------------------------------------------------------------------- */

static bool open_container(json_scan *scan, char bracket, const char *what) {
    if (scan->status != RA_OK) return false;
    scan->at = skip_space(scan->at, scan->end);
    if (scan->at == scan->end || *scan->at != bracket) return expected_value(scan, what);
    if (scan->depth == JSON_SCAN_DEPTH)
        return json_scan_fail_with(scan, RA_ERR_FORMAT, &no_json,
                                   "nested more than %d levels deep at byte %zu", JSON_SCAN_DEPTH,
                                   offset_of(scan, scan->at));
    scan->at++;
    scan->first_key[++scan->depth] = scan->key_count;
    scan->is_array[scan->depth] = bracket == '[';
    scan->elements[scan->depth] = 0;
    scan->fresh = true;
    return true;
}

/* Moves to the next value (or key) of the innermost container. False when the container ends here; its
 * bracket is passed. */
static inline bool move_on(json_scan *scan, char bracket, const char *first, const char *other) {
    if (scan->status != RA_OK) return false;
    const char *p = scan->at = skip_space(scan->at, scan->end);
    if (p < scan->end && *p == bracket) {
        scan->at++;
        scan->fresh = false;
        if (bracket == '}') forget_keys(scan);
        scan->depth--;
        return false;
    }
    if (!scan->fresh) {
        if (p == scan->end || *p != ',') return expected(scan, other);
        p++;
    } else if (p == scan->end) {
        return expected(scan, first);
    }
    scan->fresh = false;
    scan->at = skip_space(p, scan->end);
    return true;
}

bool json_scan_object(json_scan *scan) {
    return open_container(scan, '{', "'{'");
}

bool json_scan_member(json_scan *scan, json_string *key) {
    if (!move_on(scan, '}', "'\"' or '}'", "',' or '}'")) return false;
    if (scan->at == scan->end || *scan->at != '"') return expected(scan, "'\"'");
    if (!pass_string(scan, key) || !remember_key(scan, *key)) return false;
    scan->at = skip_space(scan->at, scan->end);
    if (scan->at == scan->end || *scan->at != ':') return expected(scan, "':'");
    scan->at++;
    return true;
}

bool json_scan_array(json_scan *scan) {
    return open_container(scan, '[', "'['");
}

static inline bool next_element(json_scan *scan) {
    return move_on(scan, ']', "a value or ']'", "',' or ']'");
}

bool json_scan_element(json_scan *scan) {
    scan->elements[scan->depth]++; /* one too many at the end, when nobody asks any more */
    return next_element(scan);
}

void json_scan_is_at(json_scan *scan, const json_position *position) {
    scan->elements[scan->depth] = position->column + 1;
}

/* ---- values -------------------------------------------------------------------------------------------- */

static bool pass_number(json_scan *scan) {
    const char *next = number_skip(scan->at, scan->end);
    if (!next)
        return json_scan_fail_with(scan, RA_ERR_FORMAT, &no_json, "not JSON: malformed number at byte %zu",
                                   offset_of(scan, scan->at));
    scan->at = next;
    return true;
}

static bool pass_word(json_scan *scan, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(scan->end - scan->at) < n || memcmp(scan->at, word, n) != 0) return expected(scan, word);
    scan->at += n;
    return true;
}

/* Recursion is bounded by the depth of the body. */
static bool pass_value(json_scan *scan, json_type type) {
    json_string string;
    switch (type) {
    case JSON_OBJECT:
        for (json_scan_object(scan); json_scan_member(scan, &string);) json_scan_skip(scan, NULL);
        return scan->status == RA_OK;
    case JSON_ARRAY:
        for (json_scan_array(scan); json_scan_element(scan);) json_scan_skip(scan, NULL);
        return scan->status == RA_OK;
    case JSON_STRING:
        return pass_string(scan, &string);
    case JSON_NUMBER:
        return pass_number(scan);
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        return pass_word(scan, type_names[type]);
    default:
        return expected_value(scan, "a value");
    }
}

bool json_scan_skip(json_scan *scan, json_value *value) {
    json_type type = json_scan_peek(scan);
    const char *from = scan->at;
    if (scan->status != RA_OK || !pass_value(scan, type)) return false;
    if (value) *value = (json_value){type, from, (size_t)(scan->at - from)};
    return true;
}

bool json_scan_expect(json_scan *scan, json_type type, const char *what, const char *wanted) {
    json_type found = json_scan_peek(scan);
    if (scan->status != RA_OK || found == type) return scan->status == RA_OK;
    if (!json_scan_skip(scan, NULL)) return false; /* an error in the JSON matters more */
    return json_scan_fail_with(scan, RA_ERR_FORMAT, &wrong_value, "%s is %s, expected %s", what,
                               type_names[found], wanted);
}

bool json_scan_string(json_scan *scan, const char *what, json_string *string) {
    return json_scan_expect(scan, JSON_STRING, what, "a string") && pass_string(scan, string);
}

/* ---- numbers ------------------------------------------------------------------------------------------- */

/* Fails for the value at `at`, which cannot be read as a number called `name` because of `why`. */
static bool fail_number(json_scan *scan, const char *name, const char *wanted, ra_status why) {
    enum { SHOWN = 40 };
    const char *from = scan->at;
    json_type type = json_scan_peek(scan);
    const char *word = not_finite_word(from, scan->end);
    if (word)
        return json_scan_fail(scan, RA_ERR_NOT_FINITE, "%s at byte %zu (%s): numbers must be finite", word,
                              offset_of(scan, from), name);
    if (!json_scan_skip(scan, NULL)) return false;
    int shown = scan->at - from < SHOWN ? (int)(scan->at - from) : SHOWN;
    if (type != JSON_NUMBER)
        return json_scan_fail_with(scan, RA_ERR_FORMAT, &wrong_value, "%s is %s, expected %s%s", name,
                                   type_names[type], wanted,
                                   type == JSON_NULL ? " (JavaScript writes NaN as null)" : "");
    if (why == RA_ERR_NOT_FINITE)
        return json_scan_fail(scan, why, "%.*s at byte %zu (%s) is beyond float32: numbers must be finite",
                              shown, from, offset_of(scan, from), name);
    return json_scan_fail(scan, RA_ERR_ARGUMENT, "%s is %.*s, expected %s", name, shown, from, wanted);
}

static bool fail_number_at(json_scan *scan, const json_position *position, const char *wanted,
                           ra_status why) {
    char name[96];
    json_scan_is_at(scan, position);
    if (position->flat)
        snprintf(name, sizeof name, "%s[%zu]", position->name, position->column);
    else
        snprintf(name, sizeof name, "%s[%zu][%zu]", position->name, position->row, position->column);
    return fail_number(scan, name, wanted, why);
}

static const char whole_number[] = "a whole number";

bool json_scan_f32(json_scan *scan, const char *what, float *value) {
    ra_status why;
    if (json_scan_peek(scan) == JSON_INVALID && scan->status != RA_OK) return false;
    const char *next = number_scan_f32(scan->at, scan->end, value, &why);
    if (!next) return fail_number(scan, what, "a number", why);
    scan->at = next;
    return true;
}

bool json_scan_i64(json_scan *scan, const char *what, int64_t *value) {
    ra_status why;
    if (json_scan_peek(scan) == JSON_INVALID && scan->status != RA_OK) return false;
    const char *next = number_scan_i64(scan->at, scan->end, value, &why);
    if (!next) return fail_number(scan, what, whole_number, why);
    scan->at = next;
    return true;
}

bool json_scan_next_f32(json_scan *scan, const json_position *position, float *value) {
    ra_status why;
    if (!next_element(scan)) return false;
    const char *next = number_scan_f32(scan->at, scan->end, value, &why);
    if (!next) return fail_number_at(scan, position, "a number", why);
    scan->at = next;
    return true;
}

bool json_scan_next_i64(json_scan *scan, const json_position *position, int64_t *value) {
    ra_status why;
    if (!next_element(scan)) return false;
    const char *next = number_scan_i64(scan->at, scan->end, value, &why);
    if (!next) return fail_number_at(scan, position, whole_number, why);
    scan->at = next;
    return true;
}

/* A zero in one of the ways that encoders write it, from the comma before it to the comma after it. Eight
 * bytes are compared at once; `step` leads to the comma after it. */
size_t json_scan_zeros(json_scan *scan) {
    static const struct {
        char text[8];
        size_t step;
    } ways[] = {{",0.0,", 4}, {", 0.0,", 5}, {",0,", 2}, {", 0,", 3}};
    if (scan->status != RA_OK || scan->fresh) return 0;
    const char *p = scan->at;
    size_t count = 0;
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        uint64_t zero, mask = 0, here;
        memcpy(&zero, ways[way].text, sizeof zero);
        memset(&mask, 0xff, ways[way].step + 1);
        for (; scan->end - p >= 8; p += ways[way].step, count++) {
            memcpy(&here, p, sizeof here);
            if ((here & mask) != zero) break;
        }
    }
    scan->at = p;
    return count;
}
