/* Sums whose result the host gets, in float64, and factors that come from it. */
#include "backend/cuda/operations.h"

ra_status cuda_take_doubles(ra_backend_stream *s, double *host, const double *device, size_t n,
                            ra_error *err) {
    RA_TRY(cuda_download_bytes(s, host, device, n * sizeof *host, err));
    return s->deferred ? RA_OK : cuda_wait(s, err);
}

/* For a sum over everything: its parts, then the whole. */
static ra_status reserve(ra_backend_stream *s, double **partial, double **total, ra_error *err) {
    void *scratch;
    RA_TRY(cuda_scratch(s, (RA_CUDA_SUM_PARTS + 1) * sizeof **partial, &scratch, err));
    *partial = scratch;
    *total = *partial + RA_CUDA_SUM_PARTS;
    return RA_OK;
}

ra_status cuda_dot(ra_backend_stream *s, const float *x, const float *y, size_t n, double *sum,
                   ra_error *err) {
    double *partial, *total;
    RA_TRY(reserve(s, &partial, &total, err));
    RA_TRY(cuda_check(s->context, ra_cuda_dot(s->handle, x, y, n, partial, total), "a dot product", err));
    return cuda_take_doubles(s, sum, total, 1, err);
}

ra_status cuda_dot_into(ra_backend_stream *s, const float *x, const float *y, size_t n, float *out,
                        ra_error *err) {
    double *partial, *total;
    RA_TRY(reserve(s, &partial, &total, err));
    return cuda_check(s->context, ra_cuda_dot_into(s->handle, x, y, n, partial, out), "a dot product", err);
}

/* Many arrays in each launch, and one wait for all. */
ra_status cuda_squares(ra_backend_stream *s, const float *const *x, const size_t *n, size_t count,
                       double *sums, ra_error *err) {
    void *scratch;
    size_t most = count < RA_CUDA_ARRAYS ? count : RA_CUDA_ARRAYS;
    if (count == 0) return RA_OK;
    RA_TRY(cuda_scratch(s, (most * RA_CUDA_SUM_PARTS + count) * sizeof *sums, &scratch, err));
    double *partial = scratch, *totals = partial + most * RA_CUDA_SUM_PARTS;
    for (size_t first = 0; first < count; first += most) {
        cuda_arrays arrays = {.count = 0};
        for (size_t i = first; i < count && arrays.count < RA_CUDA_ARRAYS; i++) {
            arrays.x[arrays.count] = x[i];
            arrays.n[arrays.count++] = n[i];
        }
        RA_TRY(cuda_check(s->context, ra_cuda_squares(s->handle, arrays, partial, totals + first),
                          "sums of squares", err));
    }
    return cuda_take_doubles(s, sums, totals, count, err);
}

ra_status cuda_squared_error(ra_backend_stream *s, const float *a, const float *b, size_t n, double scale,
                             float *g, double *sum, ra_error *err) {
    double *partial, *total;
    RA_TRY(reserve(s, &partial, &total, err));
    RA_TRY(cuda_check(s->context, ra_cuda_squared_error(s->handle, a, b, n, scale, g, partial, total),
                      "a squared error", err));
    return cuda_take_doubles(s, sum, total, 1, err);
}

ra_status cuda_row_norms(ra_backend_stream *s, const float *x, size_t rows, size_t n, bool l1, double *norms,
                         ra_error *err) {
    void *scratch;
    if (rows == 0) return RA_OK;
    RA_TRY(cuda_scratch(s, rows * sizeof *norms, &scratch, err));
    RA_TRY(
        cuda_check(s->context, ra_cuda_row_norms(s->handle, x, rows, n, l1, scratch), "norms of rows", err));
    return cuda_take_doubles(s, norms, scratch, rows, err);
}

ra_status cuda_scale_rows(ra_backend_stream *s, const double *factor, float *x, size_t rows, size_t n,
                          ra_error *err) {
    void *scratch;
    size_t bytes = rows * sizeof *factor;
    if (rows == 0) return RA_OK;
    RA_TRY(cuda_scratch(s, bytes, &scratch, err));
    RA_TRY(cuda_upload_parts(s, scratch, &(cuda_part){factor, bytes}, 1, err));
    return cuda_check(s->context, ra_cuda_scale_rows(s->handle, scratch, x, rows, n), "factors of rows", err);
}
