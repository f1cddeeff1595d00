/* Computes D = e^m (project(W) C + project(Relax)) from the tensors of a mapped checkpoint, and the
 * provenance of each atom.
 *
 * W is large: [32000, 32000] is 4 GB in a published checkpoint, and after this only D is kept. So W is read
 * once, some rows at a time, from the mapping; it is never copied as a whole, and the memory of each part is given back. */
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
    float *weights;      /* [step,N] */
    float *atoms;        /* [step,d]: Relax, then D */
    float *host;         /* [step, N or d] to convert in, if the backend's memory is not the host's */
    ra_codes codes;
    void *memory[3];
} fuse;

static ra_status reserve(fuse *f, const ra_tensor *C, ra_error *err) {
    size_t numbers = f->step * (f->N > f->d ? f->N : f->d);
    if (!ra_backend_host_memory(f->backend)) f->host = ra_malloc(numbers, sizeof *f->host);
    if (!ra_backend_host_memory(f->backend) && !f->host)
        RA_FAIL_MEMORY(err, "fusing a dictionary", numbers * sizeof *f->host);
    RA_TRY(ra_backend_allocate(f->backend, f->step * f->N * sizeof(float), &f->memory[0], err));
    f->weights = f->memory[0];
    if (ra_backend_host_memory(f->backend) && C->dtype == RA_F32) {
        f->points = C->data;
        return RA_OK;
    }
    RA_TRY(ra_backend_allocate(f->backend, f->N * f->d * sizeof(float), &f->memory[1], err));
    if (!ra_backend_host_memory(f->backend))
        RA_TRY(ra_backend_allocate(f->backend, f->step * f->d * sizeof(float), &f->memory[2], err));
    f->points = f->memory[1];
    f->atoms = f->memory[2];
    return RA_OK;
}

static void release(fuse *f) {
    for (size_t i = 0; i < sizeof f->memory / sizeof *f->memory; i++)
        ra_backend_deallocate(f->backend, f->memory[i]);
    ra_codes_release(&f->codes);
    ra_free(f->host);
}

/* target <- at most `step` rows of a tensor in any float type. */
static ra_status load(const fuse *f, const ra_tensor *tensor, size_t first, size_t rows, float *target,
                      ra_error *err) {
    size_t n = tensor->shape[1] * rows;
    const void *source = (const char *)tensor->data + first * tensor->shape[1] * ra_dtype_size(tensor->dtype);
    if (f->host && tensor->dtype != RA_F32) {
        ra_convert_to_f32(tensor->dtype, source, f->host, n);
        source = f->host;
    } else if (!f->host) {
        return ra_backend_widen(f->backend, tensor->dtype, source, target, n, err); /* on all threads */
    }
    return ra_backend_put(f->backend, target, source, n * sizeof *target, err);
}

static ra_status load_points(const fuse *f, const ra_tensor *C, float *target, ra_error *err) {
    for (size_t first = 0; first < f->N; first += f->step) {
        size_t rows = f->N - first < f->step ? f->N - first : f->step;
        RA_TRY(load(f, C, first, rows, target + first * f->d, err));
    }
    return RA_OK;
}

/* Some rows of D, and their provenance. */
static ra_status fuse_rows(fuse *f, const ra_tensor *W, const ra_tensor *C, const ra_tensor *Relax,
                           float scale, float delta, size_t first, size_t rows, float *D,
                           const ra_provenance *provenance, ra_error *err) {
    size_t N = f->N, d = f->d;
    float *out = f->atoms ? f->atoms : D + first * d;
    size_t bytes = N * ra_dtype_size(W->dtype);
    RA_TRY(load(f, W, first, rows, f->weights, err));
    ra_mapping_advise((const char *)W->data + first * bytes, rows * bytes, RA_ACCESS_DONE);
    RA_TRY(load(f, Relax, first, rows, out, err));
    RA_TRY(ra_backend_project_simplex(f->backend, f->weights, rows, N, err));
    RA_TRY(ra_backend_project_ball(f->backend, out, rows, d, delta, err));
    RA_TRY(ra_backend_gemm(f->backend, false, false, rows, d, N, scale, f->weights, N, f->points, d, scale,
                           out, d, err));
    if (f->atoms) RA_TRY(ra_backend_get(f->backend, D + first * d, out, rows * d * sizeof *D, err));
    if (!provenance) return RA_OK;
    size_t most = provenance->count < N / LOOKED_AT ? provenance->count * LOOKED_AT : N;
    RA_TRY(ra_backend_top_k(f->backend, f->weights, rows, N, most, 0, &f->codes, err));
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
    ra_status status = reserve(&f, C, err);
    if (status == RA_OK && f.memory[1]) status = load_points(&f, C, f.memory[1], err);
    for (size_t first = 0; first < K && status == RA_OK; first += f.step) {
        size_t rows = K - first < f.step ? K - first : f.step;
        status = fuse_rows(&f, W, C, Relax, expf(multiplier), delta, first, rows, D, provenance, err);
    }
    release(&f);
    return status;
}
