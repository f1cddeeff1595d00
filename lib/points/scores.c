#include "points/scores.h"
#include "base/multiversion.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    SCAN = 64,  /* scores tested together */
    LANES = 32, /* partial minima: they fit vector registers */
};

static const double largest_norm = 1e37; /* squared; above it float32 sums may overflow */

double ra_filter_share(const ra_backend *backend, size_t d) {
    double unit = ((double)d + 16) * 0x1p-24;
    if (ra_backend_tf32(backend)) unit += 0x1p-9;
    return 1.1 * unit;
}

int ra_filter_wild(double norm) {
    return norm > largest_norm;
}

/* float64 to float32, rounded to one side. FLT_MIN covers what underflow may lose. */
static float round_down(double value) {
    return nextafterf((float)(value - (double)FLT_MIN), -INFINITY);
}

static float round_up(double value) {
    return nextafterf((float)(value + (double)FLT_MIN), INFINITY);
}

float ra_filter_low(double norm, double share) {
    return norm > largest_norm ? -INFINITY : round_down(norm * (1 - share));
}

float ra_filter_high(double norm, double share) {
    return norm > largest_norm ? INFINITY : round_up(norm * (1 + share));
}

float ra_filter_limit(double bar, double norm, double share) {
    if (norm > largest_norm) return INFINITY;
    return round_up(bar - norm * (1 - share));
}

/* Whether some score + low does not exceed the limit; NaN does not. */
RA_MULTIVERSION static bool any_within(const float *restrict score, const float *restrict low, float limit) {
    uint32_t found = 0;
    for (size_t i = 0; i < SCAN; i++) found |= !(score[i] + low[i] > limit);
    return found;
}

size_t ra_filter_next(const float *score, const float *low, size_t from, size_t n, float limit) {
    while (from < n) {
        if (from % SCAN == 0 && n - from >= SCAN && !any_within(score + from, low + from, limit)) {
            from += SCAN;
            continue;
        }
        if (!(score[from] + low[from] > limit)) return from;
        from++;
    }
    return n;
}

static float lesser(float a, float b) {
    return a < b ? a : b;
}

static float greater(float a, float b) {
    return a > b ? a : b;
}

RA_MULTIVERSION ra_filter_least ra_filter_scan(const float *restrict score, const float *restrict low,
                                               const float *restrict high, size_t n) {
    float upper[LANES], first[LANES], second[LANES];
    ra_filter_least least = {INFINITY, INFINITY, INFINITY};
    size_t i = 0;
    for (size_t l = 0; l < LANES; l++) upper[l] = first[l] = second[l] = INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            float above = score[i + l] + high[i + l], below = score[i + l] + low[i + l];
            float loser = below > first[l] ? below : first[l];
            upper[l] = above < upper[l] ? above : upper[l];
            first[l] = below < first[l] ? below : first[l];
            second[l] = loser < second[l] ? loser : second[l];
        }
    for (size_t l = 0; i + l < n; l++) {
        float above = score[i + l] + high[i + l], below = score[i + l] + low[i + l];
        second[l] = lesser(second[l], greater(below, first[l]));
        first[l] = lesser(below, first[l]);
        upper[l] = lesser(above, upper[l]);
    }
    for (size_t l = 0; l < LANES; l++) {
        least.high = lesser(upper[l], least.high);
        least.second_low = lesser(lesser(second[l], least.second_low), greater(first[l], least.low));
        least.low = lesser(first[l], least.low);
    }
    return least;
}

/* ---- products ------------------------------------------------------------------------------------------ */

ra_status ra_uploaded_set(ra_uploaded *uploaded, ra_backend *backend, const float *host, size_t n,
                          ra_error *err) {
    uploaded->vectors = host;
    if (ra_backend_host_memory(backend)) return RA_OK;
    RA_TRY(ra_buffer_reserve(&uploaded->memory, backend, n, err));
    uploaded->vectors = uploaded->memory.data;
    return ra_backend_put(backend, uploaded->memory.data, host, n * sizeof *host, err);
}

ra_status ra_scores(ra_buffer *memory, ra_backend *backend, const float *a, size_t m, const float *b,
                    size_t n, size_t d, float *score, ra_error *err) {
    float *out = score;
    if (!ra_backend_host_memory(backend)) {
        RA_TRY(ra_buffer_reserve(memory, backend, m * n, err));
        out = memory->data;
    }
    RA_TRY(ra_backend_gemm(backend, false, true, m, n, d, -2, a, d, b, d, 0, out, n, err));
    return out == score ? RA_OK : ra_backend_get(backend, score, out, m * n * sizeof *score, err);
}
