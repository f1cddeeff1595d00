/* Computes D = e^m (project(W) C + project(Relax)) from the tensors of a mapped checkpoint, and the
 * provenance of each atom.
 *
 * W is large: [32000, 32000] is 4 GB in a published checkpoint, and after this only D is kept. So W is read
 * once, some rows at a time, from the mapping; it is never copied as a whole, and the memory of each part is given back.
 *
 * A device gets the next rows on a stream of their own, while it computes with these: fuse() in two places, then. */
#include "dictionary/provenance.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <math.h>

enum { STEP_NUMBERS = 1 << 24, STEP_ROWS = 2048 };

enum { LOOKED_AT = 4 }; /* times as many points of an atom as are kept */

static ra_status check_shapes(const ra_tensor *W, const ra_tensor *C, const ra_tensor *Relax, ra_error *err) {
    char w[64], c[64], r[64];
    if (W->rank != 2 || C->rank != 2 || Relax->rank != 2 || W->shape[1] != C->shape[0] ||
        W->shape[0] != Relax->shape[0] || C->shape[1] != Relax->shape[1])
        RA_FAIL(err, RA_ERR_SHAPE,
                "W %s, C %s and Relax %s do not fit each other; expected [K, N], [N, d] and [K, d]",
                ra_shape_text(W->rank, W->shape, w, sizeof w), ra_shape_text(C->rank, C->shape, c, sizeof c),
                ra_shape_text(Relax->rank, Relax->shape, r, sizeof r));
    return RA_OK;
}

/* Backend memory. On the CPU, points and atoms are the caller's own arrays. */
typedef struct fuse {
    ra_backend *backend;
    size_t N, d, step;   /* step: rows of W at a time */
    const float *points; /* [N,d] */
    float *weights
        [2]; /* [step,N], used by turns; twice the same: only the rows that are computed with are there */
    float *atoms; /* [step,d]: Relax, then D */
    float *host;  /* [step, N or d] to convert in, if the backend's memory is not the host's */
    ra_codes codes;
    ra_stream copies; /* of W */
    void *memory[4];
} fuse;

static bool loads_ahead(const fuse *f) {
    return f->weights[0] != f->weights[1];
}

/* Where there is no memory for that, rows are loaded when the rows before them are done. */
static ra_status reserve_ahead(fuse *f, ra_error *err) {
    ra_error why;
    ra_status status = ra_backend_allocate(f->backend, f->step * f->N * sizeof(float), &f->memory[3], &why);
    if (status == RA_ERR_MEMORY) return RA_OK;
    if (status != RA_OK && err) *err = why;
    RA_TRY(status);
    RA_TRY(ra_stream_new_for_copies(f->backend, &f->copies, err));
    f->weights[1] = f->memory[3];
    return RA_OK;
}

static ra_status reserve(fuse *f, const ra_tensor *C, bool several, ra_error *err) {
    size_t numbers = f->step * (f->N > f->d ? f->N : f->d);
    if (!ra_backend_host_memory(f->backend)) f->host = ra_malloc(numbers, sizeof *f->host);
    if (!ra_backend_host_memory(f->backend) && !f->host)
        RA_FAIL_MEMORY(err, "fusing a dictionary", numbers * sizeof *f->host);
    RA_TRY(ra_backend_allocate(f->backend, f->step * f->N * sizeof(float), &f->memory[0], err));
    f->weights[0] = f->weights[1] = f->memory[0];
    if (ra_backend_host_memory(f->backend) && C->dtype == RA_F32) {
        f->points = C->data;
        return RA_OK;
    }
    RA_TRY(ra_backend_allocate(f->backend, f->N * f->d * sizeof(float), &f->memory[1], err));
    if (!ra_backend_host_memory(f->backend))
        RA_TRY(ra_backend_allocate(f->backend, f->step * f->d * sizeof(float), &f->memory[2], err));
    f->points = f->memory[1];
    f->atoms = f->memory[2];
    return f->atoms && several ? reserve_ahead(f, err) : RA_OK;
}

static void release(fuse *f) {
    if (f->copies.own) ra_stream_free(f->copies);
    for (size_t i = 0; i < sizeof f->memory / sizeof *f->memory; i++)
        ra_backend_deallocate(f->backend, f->memory[i]);
    ra_codes_release(&f->codes);
    ra_free(f->host);
}

/* target <- at most `step` rows of a tensor in any float type. */
static ra_status load(const fuse *f, ra_stream stream, const ra_tensor *tensor, size_t first, size_t rows,
                      float *target, ra_error *err) {
    size_t n = tensor->shape[1] * rows;
    const void *source = (const char *)tensor->data + first * tensor->shape[1] * ra_dtype_size(tensor->dtype);
    if (f->host && tensor->dtype != RA_F32) {
        ra_convert_to_f32(tensor->dtype, source, f->host, n);
        source = f->host;
    } else if (!f->host) {
        return ra_backend_widen(f->backend, tensor->dtype, source, target, n, err); /* on all threads */
    }
    return ra_stream_upload(stream, target, source, n * sizeof *target, err);
}

static ra_status load_points(const fuse *f, const ra_tensor *C, float *target, ra_error *err) {
    for (size_t first = 0; first < f->N; first += f->step) {
        size_t rows = f->N - first < f->step ? f->N - first : f->step;
        RA_TRY(load(f, ra_backend_default_stream(f->backend), C, first, rows, target + first * f->d, err));
    }
    return RA_OK;
}

static size_t rows_from(const fuse *f, const ra_tensor *W, size_t first) {
    size_t left = first < W->shape[0] ? W->shape[0] - first : 0;
    return left < f->step ? left : f->step;
}

static float *weights_of(const fuse *f, size_t first) {
    return f->weights[first / f->step % 2];
}

/* The rows of W from `first` on. Those whose place they take have been computed with: their D has arrived. */
static ra_status load_weights(const fuse *f, const ra_tensor *W, size_t first, ra_error *err) {
    size_t rows = rows_from(f, W, first), bytes = f->N * ra_dtype_size(W->dtype);
    ra_stream stream = loads_ahead(f) ? f->copies : ra_backend_default_stream(f->backend);
    if (rows == 0) return RA_OK;
    RA_TRY(load(f, stream, W, first, rows, weights_of(f, first), err));
    ra_mapping_advise((const char *)W->data + first * bytes, rows * bytes, RA_ACCESS_DONE);
    return RA_OK;
}

/* Some rows of D, and their provenance. */
static ra_status fuse_rows(fuse *f, const ra_tensor *W, const ra_tensor *C, const ra_tensor *Relax,
                           float scale, float delta, size_t first, size_t rows, float *D,
                           const ra_provenance *provenance, ra_error *err) {
    size_t N = f->N, d = f->d;
    ra_stream stream = ra_backend_default_stream(f->backend);
    float *out = f->atoms ? f->atoms : D + first * d, *weights = weights_of(f, first);
    if (first == 0 || !loads_ahead(f)) RA_TRY(load_weights(f, W, first, err));
    RA_TRY(load(f, stream, Relax, first, rows, out, err));
    if (loads_ahead(f)) RA_TRY(ra_stream_follow(stream, f->copies, err));
    RA_TRY(ra_backend_project_simplex(f->backend, weights, rows, N, err));
    RA_TRY(ra_backend_project_ball(f->backend, out, rows, d, delta, err));
    RA_TRY(ra_backend_gemm(f->backend, false, false, rows, d, N, scale, weights, N, f->points, d, scale, out,
                           d, err));
    if (loads_ahead(f)) RA_TRY(load_weights(f, W, first + rows, err));
    if (f->atoms) RA_TRY(ra_backend_get(f->backend, D + first * d, out, rows * d * sizeof *D, err));
    if (!provenance) return RA_OK;
    size_t most = provenance->count < N / LOOKED_AT ? provenance->count * LOOKED_AT : N;
    RA_TRY(ra_backend_top_k(f->backend, weights, rows, N, most, 0, &f->codes, err));
    const ra_fused fused = {.first = first,
                            .mixture = &f->codes,
                            .C = C,
                            .Relax = Relax,
                            .scale = scale,
                            .delta = delta,
                            .D = D + first * d};
    return ra_provenance_measure(provenance, &fused, ra_backend_pool(f->backend), err);
}

ra_status ra_dictionary_fuse(ra_backend *backend, const ra_tensor *W, const ra_tensor *C,
                             const ra_tensor *Relax, float multiplier, float delta, float *D,
                             const ra_provenance *provenance, ra_error *err) {
    RA_TRY(check_shapes(W, C, Relax, err));
    if (!(delta >= 0)) RA_FAIL(err, RA_ERR_ARGUMENT, "delta is %g, expected at least 0", (double)delta);
    size_t K = W->shape[0], N = W->shape[1], step = STEP_NUMBERS / (N ? N : 1);
    step = step < 1 ? 1 : step > STEP_ROWS ? STEP_ROWS : step;
    fuse f = {.backend = backend, .N = N, .d = C->shape[1], .step = step > K ? K : step};
    ra_status status = reserve(&f, C, f.step < K, err);
    if (status == RA_OK && f.memory[1]) status = load_points(&f, C, f.memory[1], err);
    for (size_t first = 0; first < K && status == RA_OK; first += f.step) {
        status = fuse_rows(&f, W, C, Relax, expf(multiplier), delta, first, rows_from(&f, W, first), D,
                           provenance, err);
    }
    if (status != RA_OK && loads_ahead(&f)) (void)ra_stream_synchronize(f.copies, NULL);
    release(&f);
    return status;
}
