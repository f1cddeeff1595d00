/* turn.h - a rotation that spreads what is in few numbers of a row over many of them.
 *
 * Where a few numbers are much larger than the others, as in activations of language models, these others would hardly
 * be seen in 8 bits. A rotation of both factors changes no product and no length, but numbers of a turned row are about
 * as large as each other. It consists of Walsh and Hadamard's sums and differences, and is the same for all rows.
 *
 * Thread safety: plain functions of their arguments. */
#ifndef RA_TENSOR_TURN_H
#define RA_TENSOR_TURN_H

#include <stdbool.h>
#include <stddef.h>

enum {
    RA_TURN_MOST = 1024, /* numbers at once */
    RA_TURN_UNIT = 16,
};

/* What float32 loses of the length of a row when it is turned, as a part of it, is below this. */
#define RA_TURN_LOSS 2e-6f

/* out <- x [n] turned, n <= RA_TURN_MOST; out has n numbers, rounded up to a multiple of RA_TURN_UNIT. */
void ra_turn(const float *x, size_t n, float *out);

/* Whether the largest numbers of most rows of x [rows,d] become much smaller: whether turning makes rounding finer. */
bool ra_turn_pays(const float *x, size_t rows, size_t d);

#endif
