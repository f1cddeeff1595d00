/* json_scan.h - a strict walk over a JSON text, without building a tree.
 *
 * The walker holds a position in a complete body and moves over one value at a time; the caller, who knows
 * what should come, asks for it. Every byte is validated as it is passed, exactly once, so a body that has
 * been walked to json_scan_end() is JSON in full (RFC 8259), and more strictly than the usual parsers have
 * it: valid UTF-8, no lone surrogates in escapes, no raw control characters, no member twice in an object, at
 * most JSON_SCAN_DEPTH levels, nothing behind the value. Arrays of numbers go straight to float32.
 *
 *     json_scan scan;
 *     json_string key;
 *     json_scan_begin(&scan, body, size, err);
 *     json_scan_object(&scan);
 *     while (json_scan_member(&scan, &key)) {
 *         if (json_string_is(key, "k")) json_scan_i64(&scan, "k", &k);
 *         else json_scan_fail(&scan, RA_ERR_FORMAT, "...");
 *     }
 *     json_scan_end(&scan);
 *     return json_scan_close(&scan);              what went wrong first, or RA_OK
 *
 * Errors are sticky: the first failure fills `err` and ends the walk, every later call returns false and does
 * nothing. What is not JSON is RA_ERR_FORMAT with the position ("not JSON: expected ',' or ']' at byte 17,
 * found '}'"); NaN and Infinity, which some encoders write, and numbers beyond float32 are RA_ERR_NOT_FINITE.
 *
 * Ownership: the body stays the caller's and must outlive the walk; json_scan_close() frees the little the
 * walker keeps (the keys seen). Thread safety: a walker belongs to one thread.
 */
#ifndef RASAED_CODEC_JSON_SCAN_H
#define RASAED_CODEC_JSON_SCAN_H

#include "codec/json/string.h"
#include "ra_status.h"

#include <stdint.h>

enum { JSON_SCAN_DEPTH = 32 };

typedef enum json_type {
    JSON_INVALID, /* what stands here starts no value, or the walk has failed */
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL
} json_type;

/* A whole value of the body as it is written, brackets and quotes included. */
typedef struct json_value {
    json_type type;
    const char *text;
    size_t size;
} json_value;

/* Where a number stands, for messages: "latents[3][17]". */
typedef struct json_place {
    const char *name;
    size_t row, column;
} json_place;

typedef struct json_scan {
    ra_status status; /* the first failure, RA_OK so far */
    /* the rest is the walker's own */
    ra_error *err;
    const char *start, *at, *end;
    bool fresh; /* directly behind the bracket that opened the innermost container */
    unsigned depth;
    size_t first_key[JSON_SCAN_DEPTH + 1]; /* per open container, into keys */
    json_string *keys;                     /* of the open objects */
    size_t key_count, key_capacity;
} json_scan;

void json_scan_begin(json_scan *scan, const char *body, size_t size, ra_error *err);
bool json_scan_end(json_scan *scan);        /* nothing but white space may follow */
ra_status json_scan_close(json_scan *scan); /* frees; returns status */

/* Fails the walk with a sentence of the caller's (kept only when nothing failed before). Returns false. */
bool json_scan_fail(json_scan *scan, ra_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What kind of value stands next; nothing is passed. */
json_type json_scan_peek(json_scan *scan);
const char *json_type_name(json_type type); /* "an array", "a number", ... */

/* Enters an object (or array), then moves from member to member (element to element). Between two calls the
 * caller passes the value. False at the end, the closing bracket passed, and after a failure. */
bool json_scan_object(json_scan *scan);
bool json_scan_member(json_scan *scan, json_string *key);
bool json_scan_array(json_scan *scan);
bool json_scan_element(json_scan *scan);

/* Passes one value of any kind, validating it; *value (may be NULL) is what it spans. Numbers in it may be of
 * any size, 1e999 too. */
bool json_scan_skip(json_scan *scan, json_value *value);

/* True when the next value is of this type; otherwise "<what> is a string, but <wanted> is expected". */
bool json_scan_expect(json_scan *scan, json_type type, const char *what, const char *wanted);

/* Passes a string, a number, a whole number; a value of another kind is RA_ERR_FORMAT and named `what`. */
bool json_scan_string(json_scan *scan, const char *what, json_string *string);
bool json_scan_f32(json_scan *scan, const char *what, float *value);
bool json_scan_i64(json_scan *scan, const char *what, int64_t *value);

/* The inside of an array of numbers, behind json_scan_array(): the next number. False at the end, the closing
 * bracket passed, and after a failure, whose message names the place. */
bool json_scan_next_f32(json_scan *scan, const json_place *place, float *value);
bool json_scan_next_i64(json_scan *scan, const json_place *place, int64_t *value);

/* There too: passes a run of elements written 0 or 0.0 that are not the array's last, at about a nanosecond
 * each, and returns how many; 0 when there is none. Where it stops json_scan_next_f32() goes on. */
size_t json_scan_zeros(json_scan *scan);

#endif
