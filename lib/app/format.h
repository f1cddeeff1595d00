/* format.h - numbers and names for people.
 *
 * Thread safety: plain functions of their arguments.
 */
#ifndef RA_APP_FORMAT_H
#define RA_APP_FORMAT_H

#include "ra_tensor.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A short text by value, so that several fit into one printf(). */
typedef struct short_text {
    char text[24];
} short_text;

short_text format_bytes(uint64_t bytes);   /* "5.7 MB", powers of ten */
short_text format_quantity(double n);      /* "850", "12.3k", "1.8M" */
short_text format_seconds(double seconds); /* "0:42", "3:04:10" */
short_text format_grouped(uint64_t n);     /* "32,000" */
short_text format_dtype(ra_dtype dtype);   /* "f32", as flags and replies spell it */

/* Names and labels come from files; control characters in them must not reach a terminal. Those become '?'. */
void print_clean(FILE *file, const char *text);

#endif
