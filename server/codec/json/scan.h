/* scan.h - a strict scan of a JSON text, without building a tree.
 *
 * The scanner holds a position in a complete body and moves over one value at a time; the caller, who knows
 * what should come next, asks for it. Every byte is validated as it is passed, exactly once, so a body that
 * was scanned up to json_scan_end() is valid JSON (RFC 8259), and more strictly than usual parsers have it:
 * valid UTF-8, no lone surrogates in escapes, no raw control characters, no member twice in an object, at
 * most JSON_SCAN_DEPTH levels, nothing after the value. Arrays of numbers go straight to float32.
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
 *     return json_scan_close(&scan);              the first error, or RA_OK
 *
 * Errors are sticky: the first one fills `err` and ends the scan, and every later call returns false and does
 * nothing. Text that is not JSON is RA_ERR_FORMAT with the position ("not JSON: expected ',' or ']' at byte
 * 17, found '}'"); NaN and Infinity, which some encoders write, and numbers beyond float32 are
 * RA_ERR_NOT_FINITE.
 *
 * Ownership: the body stays the caller's and must outlive the scan; json_scan_close() frees what little the
 * scanner keeps (the keys that it has seen). Thread safety: a scanner belongs to one thread.
 */
#ifndef RASAED_CODEC_JSON_SCAN_H
#define RASAED_CODEC_JSON_SCAN_H

#include "codec/json/string.h"
#include "codec/problems.h"
#include "ra_status.h"

#include <stdint.h>

enum { JSON_SCAN_DEPTH = 32 };

typedef enum json_type {
    JSON_INVALID, /* no value starts here, or the scan has failed */
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL
} json_type;

/* A whole value as it is in the body, brackets and quotes included. */
typedef struct json_value {
    json_type type;
    const char *text;
    size_t size;
} json_value;

/* The position of a number in its array, for messages: "latents[3][17]", or "ids[17]" in a flat one. */
typedef struct json_position {
    const char *name;
    size_t row, column;
    bool flat;
} json_position;

typedef struct json_scan {
    ra_status status; /* the first failure, RA_OK so far */
    /* private */
    ra_error *err;
    const char *start, *at, *end;
    bool fresh; /* directly after the bracket that opened the innermost container */
    unsigned depth;
    size_t first_key[JSON_SCAN_DEPTH + 1]; /* of each open container, an index into keys */
    bool is_array[JSON_SCAN_DEPTH + 1];
    size_t elements[JSON_SCAN_DEPTH +
                    1]; /* of each open array, those that were begun; not of numbers, which callers count */
    json_string *keys;  /* of the open objects */
    size_t key_count, key_capacity;
} json_scan;

void json_scan_begin(json_scan *scan, const char *body, size_t size, ra_error *err);
bool json_scan_end(json_scan *scan);        /* nothing but white space may follow */
ra_status json_scan_close(json_scan *scan); /* frees; returns status */

/* Fails the scan with a message, which is dropped when the scan has failed before. Returns false. */
bool json_scan_fail(json_scan *scan, ra_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with facts (ra_status.h); facts->where names a member of the value where the scan is. Either way the facts of
 * the error get the JSON pointer of that value, but for a body that is not JSON. */
bool json_scan_fail_with(json_scan *scan, ra_status code, const ra_error_facts *facts, const char *format,
                         ...) __attribute__((format(printf, 4, 5)));

/* The type of the next value; passes nothing. */
json_type json_scan_peek(json_scan *scan);
const char *json_type_name(json_type type); /* "an array", "a number", ... */

/* Enters an object (or array), then moves from member to member (element to element). Between two calls the
 * caller passes the value. False at the end, after passing the closing bracket, and after a failure. */
bool json_scan_object(json_scan *scan);
bool json_scan_member(json_scan *scan, json_string *key);
bool json_scan_array(json_scan *scan);
bool json_scan_element(json_scan *scan);

/* Passes and validates one value of any type; *value (may be NULL) <- its text. Numbers in it may have any
 * size, even 1e999. */
bool json_scan_skip(json_scan *scan, json_value *value);

/* True when the next value has this type; otherwise fails: "<what> is a string, expected <wanted>". */
bool json_scan_expect(json_scan *scan, json_type type, const char *what, const char *wanted);

/* Passes a string, a number, a whole number; RA_ERR_FORMAT for a value of another type, called `what`. */
bool json_scan_string(json_scan *scan, const char *what, json_string *string);
bool json_scan_f32(json_scan *scan, const char *what, float *value);
bool json_scan_i64(json_scan *scan, const char *what, int64_t *value);

/* Inside an array of numbers, after json_scan_array(): the next number. False at the end, after passing the
 * closing bracket, and after a failure, whose message names the position. */
bool json_scan_next_f32(json_scan *scan, const json_position *position, float *value);
bool json_scan_next_i64(json_scan *scan, const json_position *position, int64_t *value);

/* There too, before a failure that is about the number which was passed last: where it is. */
void json_scan_is_at(json_scan *scan, const json_position *position);

/* There too: passes a run of elements written 0 or 0.0, except the last element of the array, at about a
 * nanosecond each; returns how many. json_scan_next_f32() continues where it stops. */
size_t json_scan_zeros(json_scan *scan);

#endif
