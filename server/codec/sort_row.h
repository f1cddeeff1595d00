/* sort_row.h - puts a sparse row in the order of its indices.
 *
 * Thread safety: no state.
 */
#ifndef RASAED_CODEC_SORT_ROW_H
#define RASAED_CODEC_SORT_ROW_H

#include <stddef.h>
#include <stdint.h>

/* Sorts n entries, index and value together, by index. In place; no order of the input makes it slow. */
void sort_row(int32_t *index, float *value, size_t n);

/* Drops the entries of a sorted row whose value is zero and writes the others to to_index and to_value, which
 * may be the row itself or memory before it; *kept <- how many. Returns an index that occurs twice, or -1. */
int32_t compact_row(const int32_t *index, const float *value, size_t n, int32_t *to_index, float *to_value,
                    size_t *kept);

#endif
