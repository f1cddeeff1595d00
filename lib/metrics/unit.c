#include "metrics/unit.h"
#include "tensor/vectors.h"

#include <math.h>

enum { PART_ROWS = 32 };

ra_status ra_need_host_backend(const ra_backend *backend, const char *what, ra_error *err) {
    if (!ra_backend_host_memory(backend))
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s needs a CPU backend; this one is %s", what,
                ra_backend_name(backend));
    return RA_OK;
}

typedef struct unit_job {
    const float *x;
    size_t rows, d;
    float *unit;
} unit_job;

static void unit_part(void *context, size_t part) {
    const unit_job *job = context;
    size_t d = job->d, from = part * PART_ROWS;
    for (size_t i = from; i < from + PART_ROWS && i < job->rows; i++) {
        const float *x = job->x + i * d;
        double length = sqrt(ra_dot_f64(x, x, d));
        for (size_t j = 0; j < d; j++) job->unit[i * d + j] = length > 0 ? (float)((double)x[j] / length) : 0;
    }
}

void ra_unit_rows(ra_pool *pool, const float *x, size_t rows, size_t d, float *unit) {
    unit_job job = {x, rows, d, unit};
    ra_pool_run(pool, ra_pool_parts(rows, PART_ROWS), unit_part, &job);
}

ra_status ra_products(ra_backend *backend, const float *a, size_t m, const float *b, size_t n, size_t d,
                      float *product, ra_error *err) {
    return ra_backend_gemm(backend, false, true, m, n, d, 1, a, d, b, d, 0, product, n, err);
}
