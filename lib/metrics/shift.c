#include "metrics/shift.h"
#include "ra_memory.h"

#include <math.h>

static const float STEADY = 1.0f / 16; /* of the first code, how far the others may be from it */

void ra_shift_release(ra_shift *shift) {
    ra_free(shift->by);
    ra_free(shift->which);
    ra_codes_release(&shift->codes);
    *shift = (ra_shift){0};
}

/* seen [K] <- on how many rows the code is close to the first one. */
static void count_steady(const ra_codes *codes, float *first, uint64_t *seen) {
    for (size_t e = 0; e < ra_codes_entries(codes); e++) {
        size_t k = (size_t)codes->index[e];
        if (first[k] == 0) first[k] = codes->value[e];
        seen[k] += fabsf(codes->value[e] - first[k]) <= STEADY * fabsf(first[k]);
    }
}

ra_status ra_shift_choose(ra_shift *shift, const ra_codes *first, ra_error *err) {
    size_t K = first->latents;
    if (shift->by || first->rows == 0) return RA_OK;
    uint64_t *seen = ra_calloc(K, sizeof *seen);
    shift->by = ra_calloc(K, sizeof *shift->by);
    shift->which = ra_malloc(K, sizeof *shift->which);
    if (!seen || !shift->by || !shift->which) {
        ra_free(seen);
        ra_shift_release(shift);
        RA_FAIL_MEMORY(err, "the shifts of latents", K * (sizeof *seen + sizeof(float) + sizeof(int32_t)));
    }
    count_steady(first, shift->by, seen);
    for (size_t k = 0; k < K; k++) {
        if (seen[k] == first->rows)
            shift->which[shift->count++] = (int32_t)k;
        else
            shift->by[k] = 0;
    }
    ra_free(seen);
    return RA_OK;
}

/* One row of codes and the shifted latents, both ascending, merged. */
static size_t merge_row(const ra_shift *shift, const ra_codes *codes, size_t row, size_t at, ra_codes *out) {
    size_t e = codes->start[row], end = codes->start[row + 1], s = 0;
    while (e < end || s < shift->count) {
        int32_t own = e < end ? codes->index[e] : INT32_MAX,
                steady = s < shift->count ? shift->which[s] : INT32_MAX;
        out->index[at] = own < steady ? own : steady;
        out->value[at++] = (own <= steady ? codes->value[e] : 0) - (steady <= own ? shift->by[steady] : 0);
        e += own <= steady;
        s += steady <= own;
    }
    return at;
}

ra_status ra_shift_apply(ra_shift *shift, const ra_codes *codes, const ra_codes **shifted, ra_error *err) {
    *shifted = codes;
    if (shift->count == 0) return RA_OK;
    RA_TRY(ra_codes_reserve(&shift->codes, codes->rows, codes->latents,
                            ra_codes_entries(codes) + codes->rows * shift->count, err));
    shift->codes.start[0] = 0;
    for (size_t b = 0; b < codes->rows; b++)
        shift->codes.start[b + 1] = merge_row(shift, codes, b, shift->codes.start[b], &shift->codes);
    *shifted = &shift->codes;
    return RA_OK;
}
