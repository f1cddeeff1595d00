/* Whether matched latents of two models are active on the same rows (ra_code_overlap). Two atoms may be alike and still
 * be used differently, where their encoders or the rest of their dictionaries differ. */
#include "ra_memory.h"
#include "ra_metrics.h"

#include <math.h>

ra_status ra_code_overlap_init(ra_code_overlap *overlap, size_t latents, const int32_t *match,
                               ra_error *err) {
    *overlap = (ra_code_overlap){.latents = latents, .match = match};
    overlap->first = ra_calloc(latents, sizeof *overlap->first);
    overlap->second = ra_calloc(latents, sizeof *overlap->second);
    overlap->both = ra_calloc(latents, sizeof *overlap->both);
    overlap->seen = ra_calloc(latents, sizeof *overlap->seen);
    if (overlap->first && overlap->second && overlap->both && overlap->seen) return RA_OK;
    ra_code_overlap_release(overlap);
    RA_FAIL_MEMORY(err, "the overlap of codes", latents * 4 * sizeof(uint64_t));
}

void ra_code_overlap_release(ra_code_overlap *overlap) {
    ra_free(overlap->first);
    ra_free(overlap->second);
    ra_free(overlap->both);
    ra_free(overlap->seen);
    *overlap = (ra_code_overlap){0};
}

/* seen[j]: the last row, from 1 on, on which latent j of the second model was active. */
void ra_code_overlap_add(ra_code_overlap *overlap, const ra_codes *a, const ra_codes *b) {
    for (size_t row = 0; row < a->rows; row++) {
        overlap->rows++;
        for (size_t e = b->start[row]; e < b->start[row + 1]; e++) {
            if (b->value[e] == 0) continue;
            overlap->second[b->index[e]]++;
            overlap->seen[b->index[e]] = overlap->rows;
        }
        for (size_t e = a->start[row]; e < a->start[row + 1]; e++) {
            if (a->value[e] == 0) continue;
            overlap->first[a->index[e]]++;
            overlap->both[a->index[e]] += overlap->seen[overlap->match[a->index[e]]] == overlap->rows;
        }
    }
}

double ra_code_overlap_value(const ra_code_overlap *overlap) {
    double sum = 0;
    size_t pairs = 0;
    for (size_t k = 0; k < overlap->latents; k++) {
        uint64_t any = overlap->first[k] + overlap->second[overlap->match[k]] - overlap->both[k];
        if (any == 0) continue;
        sum += (double)overlap->both[k] / (double)any;
        pairs++;
    }
    return pairs ? sum / (double)pairs : NAN;
}
