/* ra_tensor.h - element types, views and owners of numbers.
 *
 * The library computes in float32, with float64 for sums that matter. Files may also hold float16, bfloat16,
 * float64 and integers; only ra_convert_*() convert between widths, rounding to nearest, ties to even.
 *
 * The type shows who owns memory: a ra_tensor never owns it (it points into a mapped file or another object),
 * a ra_matrix always does. Kernels take plain pointers, with the shape in the comment above them; arrays are
 * dense and row-major.
 *
 * Thread safety: plain data, no hidden state.
 */
#ifndef RA_TENSOR_H
#define RA_TENSOR_H

#include "ra_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One row per type: its name, its bytes, and its name in safetensors files. */
#define RA_DTYPE_LIST(X)                                                                                     \
    X(F32, 4, "F32")                                                                                         \
    X(F16, 2, "F16")                                                                                         \
    X(BF16, 2, "BF16")                                                                                       \
    X(F64, 8, "F64")                                                                                         \
    X(I64, 8, "I64")                                                                                         \
    X(I32, 4, "I32")                                                                                         \
    X(U8, 1, "U8")                                                                                           \
    X(I16, 2, "I16")                                                                                         \
    X(U16, 2, "U16")                                                                                         \
    X(I8, 1, "I8")

typedef enum ra_dtype {
#define X(name, bytes, text) RA_##name,
    RA_DTYPE_LIST(X)
#undef X
        RA_DTYPE_COUNT
} ra_dtype;

size_t ra_dtype_size(ra_dtype dtype);                       /* bytes of one element */
const char *ra_dtype_name(ra_dtype dtype);                  /* "F32" */
bool ra_dtype_from_name(const char *name, ra_dtype *dtype); /* "F32" or "f32" */
bool ra_dtype_is_float(ra_dtype dtype);                     /* F32, F16 or BF16: what atoms may be */

/* What activations in files may be: a float, F64, or an integer of at most 16 bits, which float32 holds
 * exactly. */
bool ra_dtype_is_data(ra_dtype dtype);

enum { RA_MAX_RANK = 8 };

/* A typed, read-only n-dimensional view. rank 0 is a scalar. */
typedef struct ra_tensor {
    ra_dtype dtype;
    int rank;
    size_t shape[RA_MAX_RANK];
    const void *data; /* not owned; aligned to the size of an element */
} ra_tensor;

size_t ra_tensor_elements(const ra_tensor *tensor); /* 1 for a scalar */
size_t ra_tensor_bytes(const ra_tensor *tensor);
ra_tensor ra_tensor_1d(ra_dtype dtype, const void *data, size_t n);
ra_tensor ra_tensor_2d(ra_dtype dtype, const void *data, size_t rows, size_t cols);

/* "[3, 4]" for messages; writes at most `size` bytes, always terminated; returns `buffer`. */
const char *ra_shape_text(int rank, const size_t *shape, char *buffer, size_t size);

/* n elements of any type to float32; from float32 to a float type (F32, F16, BF16, F64). */
void ra_convert_to_f32(ra_dtype dtype, const void *source, float *target, size_t n);
void ra_convert_from_f32(ra_dtype dtype, const float *source, void *target, size_t n);

/* Index of the first NaN or infinity among n values; n if there is none. */
size_t ra_find_not_finite(const float *values, size_t n);

/* ---- owners -------------------------------------------------------------------------------------------- */

/* A float32 matrix [rows, cols] that owns its memory. {0} is a valid, empty matrix. */
typedef struct ra_matrix {
    float *data;
    size_t rows, cols;
} ra_matrix;

ra_status ra_matrix_init(ra_matrix *matrix, size_t rows, size_t cols, ra_error *err); /* zeroed */
void ra_matrix_release(ra_matrix *matrix);                                            /* leaves {0} */
float *ra_matrix_row(const ra_matrix *matrix, size_t row);

/* Sparse codes of a batch in compressed rows (CSR): row b has the latents index[start[b] .. start[b+1]),
 * ascending, each with its value. Every activation produces codes in this form, and decoding takes it: with
 * 50 of 10,000 latents active, the dense form is 200 times as large and as slow. Owns its memory and keeps it
 * when reused. {0} is a valid, empty value.
 *
 * Codes may be in a device's memory instead (ra_backend_codes_keep()): then start, index and value are undefined
 * until ra_backend_codes_view(). */
typedef struct ra_device_codes { /* the first members of a struct of the backend's */
    void (*free)(struct ra_device_codes *self);
    size_t entries;
    const uint8_t *active; /* [latents] host memory: 1 where a latent has entries */
} ra_device_codes;

typedef struct ra_codes {
    size_t rows;    /* B */
    size_t latents; /* K: every index is below it */
    size_t *start;  /* [rows + 1], start[0] = 0 */
    int32_t *index; /* [entries], entries = start[rows] */
    float *value;   /* [entries] */
    size_t row_capacity, entry_capacity;
    ra_device_codes *device; /* where a device keeps them; NULL: start, index and value do */
} ra_codes;

/* Makes room for `rows` rows and `entries` entries; sets rows and latents, and start[0] = 0. The contents of
 * the rest are undefined. */
ra_status ra_codes_reserve(ra_codes *codes, size_t rows, size_t latents, size_t entries, ra_error *err);
void ra_codes_release(ra_codes *codes); /* leaves {0} */
size_t ra_codes_entries(const ra_codes *codes);

/* part <- a copy of `rows` rows from row `first` on. */
ra_status ra_codes_slice(const ra_codes *codes, size_t first, size_t rows, ra_codes *part, ra_error *err);

/* Adds the rows of `more`, which has the same latents, below those of codes, which has been reserved. */
ra_status ra_codes_append(ra_codes *codes, const ra_codes *more, ra_error *err);

/* The entries in the order of their latents, as the transposed matrix has them: start [K+1] <- where each
 * latent's entries begin; row, sorted [entries] <- their rows, ascending, and their values. value [entries]:
 * codes->value, or others in the same order. At most 2^32 rows. */
void ra_codes_by_latent(const ra_codes *codes, const float *value, size_t *start, uint32_t *row,
                        float *sorted);

/* Codes of the nonzero entries of z [rows, latents]. */
ra_status ra_codes_from_dense(ra_codes *codes, const float *z, size_t rows, size_t latents, ra_error *err);
void ra_codes_to_dense(const ra_codes *codes, float *z /* [rows, latents], overwritten */);

#endif
