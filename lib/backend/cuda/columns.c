/* Sums over the rows of a matrix, in float64: the host gets one or two per column. */
#include "backend/cuda/operations.h"

_Static_assert((int)RA_CUDA_STEP_KERNELS == (int)RA_KERNEL_COUNT, "launch.h repeats it for C++");

/* In the stream's scratch memory. */
typedef struct column_scratch {
    double *total, *partial; /* [n], [parts, n] */
    double *center;          /* behind them, if asked for */
    size_t n;
} column_scratch;

static ra_status reserve(ra_backend_stream *s, size_t rows, size_t columns, size_t sums, size_t centers,
                         column_scratch *scratch, ra_error *err) {
    size_t n = sums * columns, parts = ra_cuda_column_parts(rows, columns);
    void *memory;
    RA_TRY(cuda_scratch(s, ((parts + 1) * n + centers) * sizeof(double), &memory, err));
    *scratch = (column_scratch){.total = memory, .partial = (double *)memory + n, .n = n};
    scratch->center = scratch->partial + parts * n;
    return RA_OK;
}

static ra_status download(ra_backend_stream *s, const column_scratch *scratch, cudaError_t code, double *sums,
                          ra_error *err) {
    RA_TRY(cuda_check(s->context, code, "sums of columns", err));
    return cuda_take_doubles(s, sums, scratch->total, scratch->n, err);
}

ra_status cuda_column_sums(ra_backend_stream *s, const float *x, size_t rows, size_t n, const double *center,
                           double *sums, ra_error *err) {
    column_scratch scratch;
    if (n == 0) return RA_OK;
    RA_TRY(reserve(s, rows, n, 1, center ? n : 0, &scratch, err));
    if (center)
        RA_TRY(cuda_upload_parts(s, scratch.center, &(cuda_part){center, n * sizeof *center}, 1, err));
    cudaError_t code = ra_cuda_column_sums(s->handle, x, rows, n, center ? scratch.center : NULL,
                                           scratch.partial, scratch.total);
    return download(s, &scratch, code, sums, err);
}

ra_status cuda_norm_sums(ra_backend_stream *s, const ra_norm *norm, const float *u, const float *dy,
                         size_t rows, size_t n, double *sums, ra_error *err) {
    column_scratch scratch;
    cuda_norm on_device = {norm->mean, norm->rstd, norm->gamma, norm->beta};
    if (n == 0) return RA_OK;
    RA_TRY(reserve(s, rows, n, 2, 0, &scratch, err));
    cudaError_t code =
        ra_cuda_norm_sums(s->handle, norm->by_row, on_device, u, dy, rows, n, scratch.partial, scratch.total);
    return download(s, &scratch, code, sums, err);
}

ra_status cuda_kernel_sums(ra_backend_stream *s, ra_kernel kernel, float bandwidth, const float *pre,
                           const float *g, const float *thresholds, size_t rows, size_t n, double *sums,
                           ra_error *err) {
    column_scratch scratch;
    if (n == 0) return RA_OK;
    RA_TRY(reserve(s, rows, n, 2, 0, &scratch, err));
    cudaError_t code = ra_cuda_kernel_sums(s->handle, (int)kernel, bandwidth, pre, g, thresholds, rows, n,
                                           scratch.partial, scratch.total);
    return download(s, &scratch, code, sums, err);
}
