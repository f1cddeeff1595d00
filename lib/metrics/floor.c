/* The floor of a stability: what untrained dictionaries have in common. */
#include "base/random.h"
#include "ra_memory.h"
#include "ra_metrics.h"

#include <math.h>

static const double TURN = 6.283185307179586;

/* Normal numbers, two from each pair of uniform ones (Box and Muller 1958). */
static void fill_normal(float *values, size_t n, uint64_t seed) {
    ra_random random;
    ra_random_seed(&random, seed);
    for (size_t i = 0; i < n; i += 2) {
        double radius = sqrt(-2 * log(1 - ra_random_unit(&random))), angle = TURN * ra_random_unit(&random);
        values[i] = (float)(radius * cos(angle));
        if (i + 1 < n) values[i + 1] = (float)(radius * sin(angle));
    }
}

ra_status ra_compare_directions(ra_backend *backend, size_t K, size_t d, double *stability, ra_error *err) {
    float *A = ra_malloc(K * d, sizeof *A), *B = ra_malloc(K * d, sizeof *B);
    ra_comparison comparison = {0};
    ra_status status = RA_OK;
    if (!A || !B)
        RA_TRY_OUT(status, ra_error_set(err, RA_ERR_MEMORY, "out of memory: %zu random directions", 2 * K));
    fill_normal(A, K * d, 1);
    fill_normal(B, K * d, 2);
    RA_TRY_OUT(status, ra_compare(backend, A, B, K, d, NULL, &comparison, err));
    *stability = comparison.stability_without_flips;
out:
    ra_comparison_release(&comparison);
    ra_free(A);
    ra_free(B);
    return status;
}
