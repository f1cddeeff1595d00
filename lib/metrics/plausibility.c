/* How near the atoms come to directions that are known to mean something. */
#include "ra_metrics.h"
#include "metrics/coverage.h"
#include "metrics/unit.h"

/* An atom's largest cosine with data is what ood measures; a direction's with the atoms is the same with the
 * parts exchanged. */
ra_status ra_metric_plausibility(ra_backend *backend, const float *D, size_t K, size_t d,
                                 const float *directions, size_t count, double *value, ra_error *err) {
    RA_TRY(ra_need_host_backend(backend, "plausibility", err));
    const ra_tensor tensor = ra_tensor_2d(RA_F32, directions, count, d);
    ra_coverage coverage;
    RA_TRY(ra_coverage_init(&coverage, backend, &tensor, err));
    ra_status status = ra_coverage_add(&coverage, D, K, err);
    if (status == RA_OK) *value = 1 - ra_coverage_ood(&coverage);
    ra_coverage_release(&coverage);
    return status;
}
