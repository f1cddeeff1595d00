/* print_f32.h - float32 as decimal text; numbers.h says how they are written. */
#ifndef RA_APP_PRINT_F32_H
#define RA_APP_PRINT_F32_H

#include <stddef.h>

/* Room that number_print_f32() may write to. The text itself has at most 15 characters. */
enum { NUMBER_F32_MAX = 32 };

/* Writes v, without a terminator; returns how many characters the text has. JSON has no word for NaN and
 * infinity, which are written "null"; replies are checked before they get here. */
size_t number_print_f32(float v, char *out);

/* Writes n numbers like that, a comma behind each, and returns how many characters that are. `out` has room for
 * n * (NUMBER_F32_MAX + 1) of them, and those behind the text may be overwritten, too. */
size_t print_f32_row(const float *values, size_t n, char *out);

#endif
