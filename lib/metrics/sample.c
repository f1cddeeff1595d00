#include "metrics/sample.h"
#include "ra_memory.h"

#include <string.h>

enum { SEED = 1, FIRST_ROWS = 1024 };

void ra_sample_init(ra_sample *sample, size_t d, size_t bytes) {
    size_t most = bytes / (2 * d * sizeof(float));
    *sample = (ra_sample){.d = d, .most = most ? most : 1};
    ra_random_seed(&sample->random, SEED);
}

void ra_sample_release(ra_sample *sample) {
    ra_free(sample->x);
    ra_free(sample->x_hat);
    *sample = (ra_sample){0};
}

static ra_status grow(ra_sample *sample, ra_error *err) {
    size_t capacity = sample->capacity ? 2 * sample->capacity : FIRST_ROWS;
    if (capacity > sample->most) capacity = sample->most;
    float *x = ra_realloc(sample->x, capacity * sample->d, sizeof *x);
    if (x) sample->x = x;
    float *x_hat = ra_realloc(sample->x_hat, capacity * sample->d, sizeof *x_hat);
    if (x_hat) sample->x_hat = x_hat;
    if (!x || !x_hat) RA_FAIL_MEMORY(err, "a sample of rows", 2 * capacity * sample->d * sizeof *x);
    sample->capacity = capacity;
    return RA_OK;
}

/* The position for the next row: after the others, that of one of them, or none (`most`). */
static size_t next_position(ra_sample *sample) {
    if (sample->kept < sample->most) return sample->kept++;
    uint64_t position = ra_random_below(&sample->random, sample->rows + 1);
    return position < sample->most ? (size_t)position : sample->most;
}

ra_status ra_sample_add(ra_sample *sample, const float *x, const float *x_hat, size_t rows, ra_error *err) {
    size_t d = sample->d;
    for (size_t i = 0; i < rows; i++) {
        if (sample->kept == sample->capacity && sample->kept < sample->most) RA_TRY(grow(sample, err));
        size_t position = next_position(sample);
        sample->rows++;
        if (position == sample->most) continue;
        memcpy(sample->x + position * d, x + i * d, d * sizeof *x);
        memcpy(sample->x_hat + position * d, x_hat + i * d, d * sizeof *x);
    }
    return RA_OK;
}
