/* Products with sparse codes. With few active latents, the rows of their atoms are gathered, and nothing is
 * multiplied by zero. With many (a relu SAE early in training, half the latents in auxk), the codes are
 * written out densely, a chunk of rows at a time, and OpenBLAS multiplies; above one entry in DENSE_SHARE
 * that is faster on every machine measured. */
#include "backend/cpu/cpu.h"
#include "ra_memory.h"
#include "base/multiversion.h"
#include "tensor/vectors.h"
#include "tensor/half.h"

#include <string.h>

enum {
    ROWS_PER_PART = 8,
    ATOMS_PER_PART = 64,
    DENSE_SHARE = 8,         /* dense if entries * DENSE_SHARE > rows * latents ... */
    DENSE_ROWS = 16,         /* ... and there are enough rows for a matrix product */
    DENSE_NUMBERS = 1 << 22, /* of the dense form at a time */
    AHEAD = 4,               /* atoms between the one that is asked for and the one that is added */
    COLUMNS = 1024,          /* of a row of x_hat that stay in the first-level cache while atoms are added */
};

static bool is_dense(const ra_codes *codes) {
    return codes->rows >= DENSE_ROWS && ra_codes_entries(codes) > codes->rows * codes->latents / DENSE_SHARE;
}

/* The entry that is asked for while this one is added. */
static size_t soon(size_t entry, size_t last) {
    return entry + AHEAD < last ? entry + AHEAD : last;
}

/* ---- rows as vectors ----------------------------------------------------------------------------------- */

/* y [n] += the weighted sum of four rows, so that y is loaded and stored once for four. Rows that will be wanted soon are asked
 * for meanwhile: which ones those are, no processor guesses. */
typedef void add_four(float *restrict y, const void *const x[4], const void *const next[4], const float *v,
                      size_t n);
typedef void add_one(float *restrict y, const void *x, float v, size_t n);

#define DEFINE_ADD(name, type, widen)                                                                        \
    RA_MULTIVERSION static void add_4_##name(float *restrict y, const void *const x[4],                      \
                                             const void *const next[4], const float *v, size_t n) {          \
        const type *restrict a = x[0], *restrict b = x[1], *restrict c = x[2], *restrict d = x[3];           \
        const float s = v[0], t = v[1], u = v[2], w = v[3];                                                  \
        enum { LINE = 64 / sizeof(type) };                                                                   \
        size_t i = 0;                                                                                        \
        for (; i + LINE <= n; i += LINE) {                                                                   \
            for (size_t j = 0; j < 4; j++) __builtin_prefetch((const type *)next[j] + i);                    \
            for (size_t l = i; l < i + LINE; l++)                                                            \
                y[l] += s * widen(a[l]) + t * widen(b[l]) + u * widen(c[l]) + w * widen(d[l]);               \
        }                                                                                                    \
        for (; i < n; i++) y[i] += s * widen(a[i]) + t * widen(b[i]) + u * widen(c[i]) + w * widen(d[i]);    \
    }                                                                                                        \
    RA_MULTIVERSION static void add_1_##name(float *restrict y, const void *x, float v, size_t n) {          \
        const type *restrict a = x;                                                                          \
        for (size_t i = 0; i < n; i++) y[i] += v * widen(a[i]);                                              \
    }
#define AS_IT_IS(x) (x)

DEFINE_ADD(f32, float, AS_IT_IS)
DEFINE_ADD(f16, uint16_t, ra_f16_to_f32)
DEFINE_ADD(bf16, uint16_t, ra_bf16_to_f32)

static const struct {
    add_four *four;
    add_one *one;
    size_t size; /* of a number */
} adders[] = {[RA_F32] = {add_4_f32, add_1_f32, sizeof(float)},
              [RA_F16] = {add_4_f16, add_1_f16, sizeof(uint16_t)},
              [RA_BF16] = {add_4_bf16, add_1_bf16, sizeof(uint16_t)}};

/* ---- dense chunks of codes ----------------------------------------------------------------------------- */

static size_t dense_rows(const ra_codes *codes) {
    size_t rows = DENSE_NUMBERS / codes->latents;
    return rows < DENSE_ROWS ? DENSE_ROWS : rows > codes->rows ? codes->rows : rows;
}

static float *dense_new(const ra_codes *codes, size_t rows, ra_error *err) {
    float *dense = ra_malloc(rows * codes->latents, sizeof *dense);
    if (!dense)
        (void)ra_error_set(err, RA_ERR_MEMORY, "out of memory: a chunk of dense codes needs %zu bytes",
                           rows * codes->latents * sizeof *dense);
    return dense;
}

static void dense_fill(const ra_codes *codes, const float *value, size_t from, size_t rows, float *dense) {
    memset(dense, 0, rows * codes->latents * sizeof *dense);
    for (size_t b = 0; b < rows; b++)
        for (size_t e = codes->start[from + b]; e < codes->start[from + b + 1]; e++)
            dense[b * codes->latents + (size_t)codes->index[e]] = value[e];
}

/* ---- decode -------------------------------------------------------------------------------------------- */

typedef struct decode_job {
    const ra_codes *codes;
    ra_dtype dtype;
    const void *D;
    size_t d;
    float *x_hat;
} decode_job;

static const void *atom_of(const decode_job *job, size_t entry, size_t column) {
    size_t number = (size_t)job->codes->index[entry] * job->d + column;
    return (const char *)job->D + number * adders[job->dtype].size;
}

static void decode_row(const decode_job *job, size_t b) {
    const ra_codes *codes = job->codes;
    float *row = job->x_hat + b * job->d;
    size_t end = codes->start[b + 1], last = ra_codes_entries(codes) - 1;
    memset(row, 0, job->d * sizeof *row);
    for (size_t column = 0; column < job->d; column += COLUMNS) {
        size_t n = job->d - column < COLUMNS ? job->d - column : COLUMNS, e = codes->start[b];
        for (; e + 4 <= end; e += 4) {
            const void *atoms[4], *next[4];
            for (size_t i = 0; i < 4; i++) {
                atoms[i] = atom_of(job, e + i, column);
                next[i] = atom_of(job, soon(e + i, last), column);
            }
            adders[job->dtype].four(row + column, atoms, next, codes->value + e, n);
        }
        for (; e < end; e++)
            adders[job->dtype].one(row + column, atom_of(job, e, column), codes->value[e], n);
    }
}

static void decode_part(void *context, size_t part) {
    const decode_job *job = context;
    size_t first = part * ROWS_PER_PART, last = first + ROWS_PER_PART;
    for (size_t b = first; b < last && b < job->codes->rows; b++) decode_row(job, b);
}

ra_status cpu_decode(void *self, ra_backend_stream *stream, const ra_codes *codes, ra_dtype dtype,
                     const void *D, size_t d, float *x_hat, ra_error *err) {
    if (dtype == RA_F32 && is_dense(codes)) {
        size_t rows = dense_rows(codes);
        float *dense = dense_new(codes, rows, err);
        if (!dense) return RA_ERR_MEMORY;
        for (size_t from = 0; from < codes->rows; from += rows) {
            size_t count = codes->rows - from < rows ? codes->rows - from : rows;
            dense_fill(codes, codes->value, from, count, dense);
            (void)cpu_gemm(self, stream, false, false, count, d, codes->latents, 1, dense, codes->latents, D,
                           d, 0, x_hat + from * d, d, err);
        }
        ra_free(dense);
        return RA_OK;
    }
    decode_job job = {codes, dtype, D, d, x_hat};
    ra_pool_run(self, ra_pool_parts(codes->rows, ROWS_PER_PART), decode_part, &job);
    return RA_OK;
}

/* ---- gradient of the values ---------------------------------------------------------------------------- */

typedef struct gradient_job {
    const ra_codes *codes;
    const float *g, *D;
    size_t d;
    float *dvalue;
} gradient_job;

static void gradient_part(void *context, size_t part) {
    const gradient_job *job = context;
    size_t first = part * ROWS_PER_PART, last = first + ROWS_PER_PART;
    for (size_t b = first; b < last && b < job->codes->rows; b++)
        for (size_t e = job->codes->start[b]; e < job->codes->start[b + 1]; e++)
            job->dvalue[e] =
                ra_dot_f32(job->g + b * job->d, job->D + (size_t)job->codes->index[e] * job->d, job->d);
}

ra_status cpu_decode_gradient(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *g,
                              const float *D, size_t d, float *dvalue, ra_error *err) {
    if (is_dense(codes)) {
        size_t rows = dense_rows(codes);
        float *dense = dense_new(codes, rows, err);
        if (!dense) return RA_ERR_MEMORY;
        for (size_t from = 0; from < codes->rows; from += rows) {
            size_t count = codes->rows - from < rows ? codes->rows - from : rows;
            (void)cpu_gemm(self, stream, false, true, count, codes->latents, d, 1, g + from * d, d, D, d, 0,
                           dense, codes->latents, err);
            for (size_t b = 0; b < count; b++)
                for (size_t e = codes->start[from + b]; e < codes->start[from + b + 1]; e++)
                    dvalue[e] = dense[b * codes->latents + (size_t)codes->index[e]];
        }
        ra_free(dense);
        return RA_OK;
    }
    gradient_job job = {codes, g, D, d, dvalue};
    ra_pool_run(self, ra_pool_parts(codes->rows, ROWS_PER_PART), gradient_part, &job);
    return RA_OK;
}

/* ---- codes^T x ----------------------------------------------------------------------------------------- */

/* The entries by latent: a part owns some latents, so no two parts write the same row of out. */
typedef struct by_latent {
    size_t *start; /* [latents + 1] */
    uint32_t *row; /* [entries] */
    float *value;  /* [entries] */
} by_latent;

typedef struct accumulate_job {
    by_latent entries;
    size_t latents, d;
    const float *x;
    float *out;
} accumulate_job;

static void accumulate_part(void *context, size_t part) {
    const accumulate_job *job = context;
    const by_latent *entries = &job->entries;
    size_t first = part * ATOMS_PER_PART, behind = first + ATOMS_PER_PART;
    size_t last = entries->start[job->latents] - 1;
    for (size_t k = first; k < behind && k < job->latents; k++) {
        float *row = job->out + k * job->d;
        size_t e = entries->start[k], end = entries->start[k + 1];
        for (; e + 4 <= end; e += 4) {
            const void *inputs[4], *next[4];
            for (size_t i = 0; i < 4; i++) {
                inputs[i] = job->x + entries->row[e + i] * job->d;
                next[i] = job->x + entries->row[soon(e + i, last)] * job->d;
            }
            add_4_f32(row, inputs, next, entries->value + e, job->d);
        }
        for (; e < end; e++) add_1_f32(row, job->x + entries->row[e] * job->d, entries->value[e], job->d);
    }
}

static ra_status accumulate_sparse(ra_pool *pool, const ra_codes *codes, const float *value, const float *x,
                                   size_t d, float *out, ra_error *err) {
    size_t entries = ra_codes_entries(codes);
    size_t bytes = (codes->latents + 1) * sizeof(size_t) + entries * (sizeof(uint32_t) + sizeof(float));
    char *memory = ra_malloc(bytes, 1);
    if (!memory) RA_FAIL_MEMORY(err, "the transposed codes", bytes);
    by_latent sorted;
    sorted.start = (size_t *)(void *)memory;
    sorted.value = (float *)(void *)(sorted.start + codes->latents + 1);
    sorted.row = (uint32_t *)(void *)(sorted.value + entries);
    ra_codes_by_latent(codes, value, sorted.start, sorted.row, sorted.value);
    accumulate_job job = {sorted, codes->latents, d, x, out};
    ra_pool_run(pool, ra_pool_parts(codes->latents, ATOMS_PER_PART), accumulate_part, &job);
    ra_free(memory);
    return RA_OK;
}

ra_status cpu_accumulate(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *value,
                         const float *x, size_t d, float *out, ra_error *err) {
    if (!is_dense(codes)) return accumulate_sparse(self, codes, value, x, d, out, err);
    size_t rows = dense_rows(codes);
    float *dense = dense_new(codes, rows, err);
    if (!dense) return RA_ERR_MEMORY;
    for (size_t from = 0; from < codes->rows; from += rows) {
        size_t count = codes->rows - from < rows ? codes->rows - from : rows;
        dense_fill(codes, value, from, count, dense);
        (void)cpu_gemm(self, stream, true, false, codes->latents, d, count, 1, dense, codes->latents,
                       x + from * d, d, 1, out, d, err);
    }
    ra_free(dense);
    return RA_OK;
}
