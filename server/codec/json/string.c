#include "codec/json/string.h"
#include "ra_io.h"

#include <string.h>

/* ---- scanning ------------------------------------------------------------------------------------------ */

/* The value of the four hexadecimal digits at p; -1 when they are not. */
static int hex4(const char *p, const char *end) {
    if (end - p < 4) return -1;
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int c = p[i] | 0x20; /* letters in lower case, digits as they are */
        bool digit = p[i] >= '0' && p[i] <= '9';
        if (!digit && (c < 'a' || c > 'f')) return -1;
        value = value * 16 + (digit ? c - '0' : c - 'a' + 10);
    }
    return value;
}

static bool is_high_surrogate(int unit) {
    return (unit & ~0x3ff) == 0xd800;
}

static bool is_low_surrogate(int unit) {
    return (unit & ~0x3ff) == 0xdc00;
}

/* The length of the escape at p, which is a backslash; 0 and a reason when it is not valid. */
static size_t scan_escape(const char *p, const char *end, const char **wrong) {
    *wrong = "an unknown escape";
    if (end - p < 2 || !p[1] || !strchr("\"\\/bfnrtu", p[1])) return 0;
    if (p[1] != 'u') return 2;
    *wrong = "\\u without four hexadecimal digits";
    int unit = hex4(p + 2, end);
    if (unit < 0) return 0;
    *wrong = "half of a surrogate pair";
    if (is_low_surrogate(unit)) return 0;
    if (!is_high_surrogate(unit)) return 6;
    bool pair = end - p >= 12 && p[6] == '\\' && p[7] == 'u' && is_low_surrogate(hex4(p + 8, end));
    return pair ? 12 : 0;
}

const char *json_string_scan(const char *p, const char *end, json_string *string, const char **wrong) {
    const char *quote = p++;
    bool ascii = true;
    while (p < end && *p != '"') {
        size_t length = 1;
        if ((unsigned char)*p < 0x20) {
            *wrong = "an unescaped control character";
            return p;
        }
        if (*p == '\\') length = scan_escape(p, end, wrong);
        if (!length) return p;
        ascii &= (unsigned char)*p < 0x80;
        p += length;
    }
    *wrong = "a string without its closing quote";
    if (p >= end) return quote;
    *string = (json_string){quote + 1, (size_t)(p - quote) - 1};
    *wrong = "a string that is not valid UTF-8";
    if (!ascii && !ra_utf8_valid(string->raw, string->size)) return quote;
    *wrong = NULL;
    return p + 1;
}

/* ---- decoding ------------------------------------------------------------------------------------------ */

/* Yields the bytes of the decoded text, one at a time. */
typedef struct decoder {
    const char *p, *end;
    unsigned char pending[3]; /* the remaining UTF-8 bytes of an escape, last byte first */
    int pending_count;
} decoder;

static decoder decode(json_string string) {
    return (decoder){.p = string.raw, .end = string.raw + string.size};
}

/* Returns the first UTF-8 byte of a code point; the others become pending. */
static int begin_utf8(decoder *bytes, int code) {
    static const int marks[] = {0, 0xc0, 0xe0, 0xf0};
    int more = (code >= 0x80) + (code >= 0x800) + (code >= 0x10000);
    for (int i = 0; i < more; i++) {
        bytes->pending[i] = (unsigned char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    bytes->pending_count = more;
    return marks[more] | code;
}

/* -1 at the end. Scanning has checked that every escape is complete. */
static int next_byte(decoder *bytes) {
    static const char letters[] = "bfnrt", characters[] = "\b\f\n\r\t";
    if (bytes->pending_count) return bytes->pending[--bytes->pending_count];
    if (bytes->p == bytes->end) return -1;
    unsigned char c = (unsigned char)*bytes->p++;
    if (c != '\\') return c;
    c = (unsigned char)*bytes->p++;
    if (c != 'u') {
        const char *letter = strchr(letters, c);
        return letter ? characters[letter - letters] : c;
    }
    int unit = hex4(bytes->p, bytes->end);
    bytes->p += 4;
    if (!is_high_surrogate(unit)) return begin_utf8(bytes, unit);
    int low = hex4(bytes->p + 2, bytes->end); /* after its \u */
    bytes->p += 6;
    return begin_utf8(bytes, 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff));
}

int json_string_compare(json_string a, json_string b) {
    decoder left = decode(a), right = decode(b);
    for (;;) {
        int x = next_byte(&left), y = next_byte(&right);
        if (x != y) return x < y ? -1 : 1;
        if (x < 0) return 0;
    }
}

bool json_string_is(json_string string, const char *expected) {
    decoder bytes = decode(string);
    for (; *expected; expected++)
        if (next_byte(&bytes) != (unsigned char)*expected) return false;
    return next_byte(&bytes) < 0;
}

void json_string_decode(json_string string, text *out) {
    decoder bytes = decode(string);
    for (int c; (c = next_byte(&bytes)) >= 0;) text_append(out, &(char){(char)c}, 1);
}

int json_string_shown(json_string string) {
    enum { SHOWN = 64 };
    if (string.size <= SHOWN) return (int)string.size;
    int n = SHOWN;
    while (n && (string.raw[n] & 0xc0) == 0x80) n--; /* not in the middle of a character */
    return n;
}
