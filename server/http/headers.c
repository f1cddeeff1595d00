#include "http/headers.h"

#include <string.h>
#include <strings.h>

static const char *const wanted[HTTP_HEADER_COUNT] = {
#define X(id, name) [HTTP_##id] = name,
    HTTP_HEADER_LIST(X)
#undef X
};

static bool is_letter_or_digit(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_token(const char *name, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)name[i];
        if (!is_letter_or_digit(c) && (!c || !strchr("!#$%&'*+-.^_`|~", c))) return false;
    }
    return size > 0;
}

static bool has_control(const char *value, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)value[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) return true;
    }
    return false;
}

static bool is_name(const char *name, size_t size, const char *expected) {
    return strlen(expected) == size && strncasecmp(name, expected, size) == 0;
}

/* Two of them could be read differently by a proxy and by us. */
static bool carries_key(http_header_id header) {
    return header == HTTP_AUTHORIZATION || header == HTTP_X_API_KEY || header == HTTP_API_KEY ||
           header == HTTP_X_SECRET_KEY;
}

static ra_status take_once(bool *seen, const char *name, ra_error *err) {
    if (*seen) RA_FAIL(err, RA_ERR_FORMAT, "the header %s appears twice", name);
    *seen = true;
    return RA_OK;
}

/* A length beyond 64 bits becomes the largest one: it is over every limit anyway. */
static bool parse_length(const char *value, size_t size, uint64_t *length) {
    *length = 0;
    for (size_t i = 0; i < size; i++) {
        if (value[i] < '0' || value[i] > '9') return false;
        bool full = *length > (UINT64_MAX - 9) / 10;
        *length = full ? UINT64_MAX : *length * 10 + (uint64_t)(value[i] - '0');
    }
    return size > 0;
}

static ra_status add_length(http_headers *headers, const char *value, size_t size, ra_error *err) {
    RA_TRY(take_once(&headers->has_length, "Content-Length", err));
    if (parse_length(value, size, &headers->length)) return RA_OK;
    RA_FAIL(err, RA_ERR_FORMAT, "the header Content-Length is not a whole number");
}

static ra_status add_encoding(http_headers *headers, const char *value, size_t size, ra_error *err) {
    RA_TRY(take_once(&headers->chunked, "Transfer-Encoding", err));
    if (is_name(value, size, "chunked")) return RA_OK;
    RA_FAIL(err, RA_ERR_FORMAT, "the header Transfer-Encoding must be chunked");
}

/* A name or an address, and perhaps a port (RFC 9110, 7.2), without the comma that a list of hosts would have. */
static bool is_host(const char *value, size_t size) {
    static const char signs[] = "-._~!$&'()*+;=%", inside[] = "0123456789abcdefABCDEF:.%";
    size_t at = 0;
    if (size && value[0] == '[') {
        for (at = 1; at < size && value[at] != ']';) {
            unsigned char c = (unsigned char)value[at++];
            if (!is_letter_or_digit(c) && !strchr(inside, c)) return false;
        }
        if (at++ == size || at == 2) return false;
    } else {
        while (at < size && (is_letter_or_digit((unsigned char)value[at]) || strchr(signs, value[at]))) at++;
        if (at == 0) return false;
    }
    if (at < size && value[at++] != ':') return false;
    while (at < size && value[at] >= '0' && value[at] <= '9') at++;
    return at == size;
}

static ra_status add_host(http_headers *headers, const char *value, size_t size, ra_error *err) {
    RA_TRY(take_once(&headers->has_host, "Host", err));
    if (is_host(value, size)) return RA_OK;
    RA_FAIL(err, RA_ERR_FORMAT, "the header Host is no name or address with or without a port");
}

static ra_status add_line(http_lines *lines, const char *value) {
    lines->last[lines->count++ % HTTP_LAST_LINES] = value;
    return RA_OK;
}

ra_status http_headers_first_line(const char *method, const char *target, ra_error *err) {
    if (!is_token(method, strlen(method)))
        RA_FAIL(err, RA_ERR_FORMAT, "the method has a character that is not allowed there");
    size_t size = strlen(target);
    if (size <= HTTP_MAX_TARGET) return RA_OK;
    RA_FAIL_FACTS(err, RA_ERR_TOO_LARGE,
                  (.kind = PROBLEM_TARGET_TOO_LONG, PROBLEM_COUNTS(HTTP_MAX_TARGET, size)),
                  "the request target has %zu bytes, but the limit is %d", size, HTTP_MAX_TARGET);
}

static ra_status check_amount(http_headers *headers, size_t size, ra_error *err) {
    headers->count++;
    headers->bytes += size;
    if (headers->count <= HTTP_MAX_HEADERS && headers->bytes <= HTTP_MAX_HEADER_BYTES) return RA_OK;
    RA_FAIL_FACTS(err, RA_ERR_TOO_LARGE,
                  (.kind = PROBLEM_HEADERS_TOO_LARGE, PROBLEM_LIMIT(HTTP_MAX_HEADER_BYTES)),
                  "the request has more than %d headers or more than %d bytes of them", HTTP_MAX_HEADERS,
                  HTTP_MAX_HEADER_BYTES);
}

ra_status http_headers_add(http_headers *headers, const char *name, size_t name_size, const char *value,
                           size_t value_size, ra_error *err) {
    RA_TRY(check_amount(headers, name_size + value_size, err));
    if (!is_token(name, name_size))
        RA_FAIL(err, RA_ERR_FORMAT, "a header name has a character that is not allowed there");
    if (has_control(value, value_size))
        RA_FAIL(err, RA_ERR_FORMAT, "the header %.*s has a control character",
                (int)(name_size < 64 ? name_size : 64), name);
    if (is_name(name, name_size, "Host")) return add_host(headers, value, value_size, err);
    if (is_name(name, name_size, "Content-Length")) return add_length(headers, value, value_size, err);
    if (is_name(name, name_size, "Transfer-Encoding")) return add_encoding(headers, value, value_size, err);
    if (is_name(name, name_size, "Forwarded")) return add_line(&headers->forwarded, value);
    if (is_name(name, name_size, "X-Forwarded-For")) return add_line(&headers->forwarded_for, value);
    for (int i = 0; i < HTTP_HEADER_COUNT; i++) {
        if (!is_name(name, name_size, wanted[i])) continue;
        if (headers->values[i] && carries_key((http_header_id)i))
            RA_FAIL_FACTS(err, RA_ERR_FORMAT, (.kind = PROBLEM_MALFORMED_REQUEST),
                          "the header %s appears twice", wanted[i]);
        if (!headers->values[i]) headers->values[i] = value;
    }
    return RA_OK;
}

ra_status http_headers_finish(const http_headers *headers, bool version_1_1, ra_error *err) {
    if (headers->has_length && headers->chunked)
        RA_FAIL(err, RA_ERR_FORMAT, "the request has both Content-Length and Transfer-Encoding");
    if (headers->chunked && !version_1_1)
        RA_FAIL(err, RA_ERR_FORMAT, "an HTTP/1.0 request cannot be chunked");
    if (!headers->has_host && version_1_1) RA_FAIL(err, RA_ERR_FORMAT, "the header Host is missing");
    return RA_OK;
}

/* ---- traceparent --------------------------------------------------------------------------------------- */

enum { VERSION = 0, TRACE = 3, PARENT = 36, FLAGS = 53, END = 55 };

/* n hexadecimal digits; the standard demands lower case. */
static bool is_hex(const char *at, size_t n) {
    return strspn(at, "0123456789abcdef") >= n;
}

static bool is_zero(const char *at, size_t n) {
    return strspn(at, "0") >= n;
}

bool trace_parent_is_good(const char *header) {
    if (!header || strlen(header) < END) return false;
    bool shaped = is_hex(header + VERSION, 2) && header[TRACE - 1] == '-' && is_hex(header + TRACE, 32) &&
                  header[PARENT - 1] == '-' && is_hex(header + PARENT, 16) && header[FLAGS - 1] == '-' &&
                  is_hex(header + FLAGS, 2);
    if (!shaped || is_zero(header + TRACE, 32) || is_zero(header + PARENT, 16)) return false;
    if (strncmp(header, "ff", 2) == 0) return false;
    bool first_version = strncmp(header, "00", 2) == 0;
    return header[END] == '\0' || (!first_version && header[END] == '-' && strlen(header) < 256);
}

const char *trace_id(const char *header, char id[TRACE_ID_SIZE]) {
    size_t size = trace_parent_is_good(header) ? TRACE_ID_SIZE - 1 : 0;
    if (size) memcpy(id, header + TRACE, size);
    id[size] = '\0';
    return id;
}
