/* A row is a table of 16 columns. Sums and differences of its lines mix each column, with no work between the lanes of a
 * vector; then lines and columns change places, and the same mixes the rest. Where the number of lines is no power of 2,
 * the first lines are mixed, then the last ones: both are rotations. */
#include "tensor/turn.h"
#include "base/multiversion.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { UNIT = RA_TURN_UNIT, JUDGED_ROWS = 64 };

/* Of `lines` lines, a power of 2. Orthogonal, so it changes no length. Signs without a pattern keep the next sums from undoing
 * it. */
RA_MULTIVERSION static void mix_lines(float *restrict x, size_t lines) {
    for (size_t half = 1; half < lines; half *= 2)
        for (size_t first = 0; first < lines; first += 2 * half)
            for (size_t i = first * UNIT; i < (first + half) * UNIT; i += UNIT)
                for (size_t l = 0; l < UNIT; l++) {
                    float a = x[i + l], b = x[i + half * UNIT + l];
                    x[i + l] = a + b;
                    x[i + half * UNIT + l] = a - b;
                }
    float scale = 1 / sqrtf((float)lines);
    for (uint32_t i = 0; i < lines; i++) {
        uint32_t signs = (i + 1) * 0x9e3779b1u;
        signs = (signs ^ signs >> 16) * 0x85ebca6bu;
        signs ^= signs >> 13;
        for (uint32_t l = 0; l < UNIT; l++) x[i * UNIT + l] *= (signs >> l & 1) ? -scale : scale;
    }
}

static void mix(float *x, size_t lines) {
    size_t power = 1;
    while (2 * power <= lines) power *= 2;
    mix_lines(x, power);
    if (power < lines) mix_lines(x + (lines - power) * UNIT, power);
}

void ra_turn(const float *x, size_t n, float *out) {
    size_t lines = (n + UNIT - 1) / UNIT;
    float table[RA_TURN_MOST];
    memcpy(table, x, n * sizeof *x);
    memset(table + n, 0, (lines * UNIT - n) * sizeof *table);
    mix(table, lines);
    for (size_t i = 0; i < lines; i++)
        for (size_t l = 0; l < UNIT; l++) out[l * lines + i] = table[i * UNIT + l];
    mix(out, lines);
}

static float largest(const float *x, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(x[i]));
    return most;
}

bool ra_turn_pays(const float *x, size_t rows, size_t d) {
    double ratios = 0;
    size_t judged = 0;
    for (size_t row = 0; row < rows && judged < JUDGED_ROWS; row++) {
        float before = 0, after = 0, turned[RA_TURN_MOST];
        for (size_t from = 0; from < d; from += RA_TURN_MOST) {
            size_t n = d - from < RA_TURN_MOST ? d - from : RA_TURN_MOST;
            ra_turn(x + row * d + from, n, turned);
            before = fmaxf(before, largest(x + row * d + from, n));
            after = fmaxf(after, largest(turned, (n + UNIT - 1) / UNIT * UNIT));
        }
        if (!(before > 0 && before < INFINITY)) continue;
        ratios += (double)(after / before);
        judged++;
    }
    return ratios < 0.75 * (double)judged; /* of Gaussian rows, the ratio is about 1 */
}
