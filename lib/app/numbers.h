/* numbers.h - numbers between decimal text and binary, exactly and fast.
 *
 * Printing a float32 gives the shortest decimal that reads back to the same bits, and among the shortest ones
 * the one closest to the value. Scanning gives the float32 nearest to the decimal that is written, ties to
 * even: strtof's result to the last bit, for any number of digits. Both speak the number grammar of JSON (RFC
 * 8259, section 6) and never look at the locale.
 *
 *     char out[NUMBER_F32_MAX];
 *     size_t n = number_print_f32(0.1f, out); // "0.1", n = 3
 *     float value;
 *     ra_status why;
 *     const char *rest = number_scan_f32(out, out + n, &value, &why);
 *
 * Notation: positional for 1e-4 <= |v| < 1e9 ("0.00012", "-3.5", "16777216"), otherwise with an exponent
 * ("1e-7", "3.4028235e38"); zero is "0" and negative zero "-0.0", so that its sign survives in every client.
 *
 * Cost: five to thirty nanoseconds per number; tests/bench/bench_numbers.c measures it. How it works: numbers.c, print_f32.c.
 * Thread safety: no state.
 */
#ifndef RA_APP_NUMBERS_H
#define RA_APP_NUMBERS_H

#include "app/print_f32.h"
#include "app/text.h"
#include "ra_status.h"

#include <stdint.h>

/* Reads the number at `p`, looking at nothing from `end` on. Returns the first character behind it, and the
 * number in *value. Returns NULL and a reason in *why when there is none:
 *   RA_ERR_FORMAT      not a number of JSON's grammar ("", "-", "+1", "01", "1.", ".5", "1e", "NaN")
 *   RA_ERR_NOT_FINITE  too large for float32 ("1e999", "3.5e38")
 * What is too small becomes a subnormal or a zero with its sign, as strtof has it. */
const char *number_scan_f32(const char *p, const char *end, float *value, ra_status *why);

/* The same for a whole number, without exponent; "7.0" is one.
 *   RA_ERR_FORMAT      not a number, or not written as a whole one ("1.5", "1e3")
 *   RA_ERR_ARGUMENT    outside int64 */
const char *number_scan_i64(const char *p, const char *end, int64_t *value, ra_status *why);

/* The first character behind the number at `p`, whatever its size; NULL when the grammar finds none. */
const char *number_skip(const char *p, const char *end);

/* One number, at the end of a text. */
void text_f32(text *buffer, float v); /* finite */
void text_i64(text *buffer, int64_t v);
void text_size(text *buffer, size_t v);

/* n numbers as a JSON array: "[1,2.5,-3e-9]". */
void text_f32_array(text *buffer, const float *values, size_t n); /* finite */
void text_i32_array(text *buffer, const int32_t *values, size_t n);
void text_i64_array(text *buffer, const int64_t *values, size_t n);
void text_size_array(text *buffer, const size_t *values, size_t n);

#endif
