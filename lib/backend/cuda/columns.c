/* Sums over the rows of a matrix, in float64, of which the host gets one or two a column. */
#include "backend/cuda/operations.h"

_Static_assert((int)RA_CUDA_STEP_KERNELS == (int)RA_KERNEL_COUNT, "launch.h repeats it for C++");

/* In the stream's scratch memory. */
typedef struct column_room {
    double *total, *partial; /* [n], [parts, n] */
    size_t n;
} column_room;

/* `extra` doubles behind total and partial: *given */
static ra_status make_room(ra_backend_stream *s, size_t rows, size_t columns, size_t sums, size_t extra,
                           column_room *room, double **given, ra_error *err) {
    size_t n = sums * columns, parts = ra_cuda_column_parts(rows, columns);
    void *scratch;
    RA_TRY(cuda_scratch(s, ((parts + 1) * n + extra) * sizeof(double), &scratch, err));
    *room = (column_room){.total = scratch, .partial = (double *)scratch + n, .n = n};
    if (given) *given = room->partial + parts * n;
    return RA_OK;
}

static ra_status take(ra_backend_stream *s, const column_room *room, cudaError_t code, double *sums,
                      ra_error *err) {
    RA_TRY(cuda_check(s->context, code, "sums of columns", err));
    return cuda_take_doubles(s, sums, room->total, room->n, err);
}

static ra_status column_sums(ra_backend_stream *s, const float *x, size_t rows, size_t n,
                             const double *center, double *sums, ra_error *err) {
    column_room room;
    double *on_device;
    RA_TRY(make_room(s, rows, n, 1, center ? n : 0, &room, &on_device, err));
    if (center) RA_TRY(cuda_upload_parts(s, on_device, &(cuda_part){center, n * sizeof *center}, 1, err));
    return take(
        s, &room,
        ra_cuda_column_sums(s->handle, x, rows, n, center ? on_device : NULL, room.partial, room.total), sums,
        err);
}

ra_status cuda_column_sums(void *self, ra_backend_stream *stream, const float *x, size_t rows, size_t n,
                           const double *center, double *sums, ra_error *err) {
    ra_backend_stream *s;
    if (n == 0) return RA_OK;
    RA_TRY(cuda_enter(self, stream, &s, err));
    return cuda_leave(s, column_sums(s, x, rows, n, center, sums, err));
}

static ra_status norm_sums(ra_backend_stream *s, const ra_norm *norm, const float *u, const float *dy,
                           size_t rows, size_t n, double *sums, ra_error *err) {
    column_room room;
    cuda_norm on_device = {norm->mean, norm->rstd, norm->gamma, norm->beta};
    RA_TRY(make_room(s, rows, n, 2, 0, &room, NULL, err));
    return take(
        s, &room,
        ra_cuda_norm_sums(s->handle, norm->by_row, on_device, u, dy, rows, n, room.partial, room.total), sums,
        err);
}

ra_status cuda_norm_sums(void *self, ra_backend_stream *stream, const ra_norm *norm, const float *u,
                         const float *dy, size_t rows, size_t n, double *sums, ra_error *err) {
    ra_backend_stream *s;
    if (n == 0) return RA_OK;
    RA_TRY(cuda_enter(self, stream, &s, err));
    return cuda_leave(s, norm_sums(s, norm, u, dy, rows, n, sums, err));
}

static ra_status kernel_sums(ra_backend_stream *s, ra_kernel kernel, float bandwidth, const float *pre,
                             const float *g, const float *thresholds, size_t rows, size_t n, double *sums,
                             ra_error *err) {
    column_room room;
    RA_TRY(make_room(s, rows, n, 2, 0, &room, NULL, err));
    return take(s, &room,
                ra_cuda_kernel_sums(s->handle, (int)kernel, bandwidth, pre, g, thresholds, rows, n,
                                    room.partial, room.total),
                sums, err);
}

ra_status cuda_kernel_sums(void *self, ra_backend_stream *stream, ra_kernel kernel, float bandwidth,
                           const float *pre, const float *g, const float *thresholds, size_t rows, size_t n,
                           double *sums, ra_error *err) {
    ra_backend_stream *s;
    if (n == 0) return RA_OK;
    RA_TRY(cuda_enter(self, stream, &s, err));
    return cuda_leave(s, kernel_sums(s, kernel, bandwidth, pre, g, thresholds, rows, n, sums, err));
}
