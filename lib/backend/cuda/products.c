/* Products with sparse codes (decode.cu, gradient.cu).
 *
 * Decoding gathers the active atoms, d floats per entry; when many are active, a matrix product with the
 * codes written out densely is faster, 2 K d operations per row. By its data sheet an H100 reads 3.35 TB/s
 * from memory, about twice as much from its cache, and multiplies some 50 TFLOP/s in float32: with half of
 * the atoms in the cache, both take equally long at one active latent in 20. For a T4 (0.32 TB/s, 6 TFLOP/s)
 * and an RTX 4090 (its D in the cache, 60 TFLOP/s) it is one in 25 to 40. Half precision halves the bytes
 * that are gathered and has to be widened for the product. With few rows the product would read all of D for
 * a few atoms. */
#include "backend/cuda/codes.h"
#include "backend/cuda/operations.h"

enum {
    DENSE_SHARE = RA_DENSE_SHARE,
    DENSE_SHARE_HALF = RA_DENSE_SHARE / 2,
    DENSE_ROWS = 16,
    BLOCK_FLOATS = 1 << 24,
    PARTIAL_BYTES = 1 << 28 /* four columns of the most entries that codes may have */
};

static bool is_dense(const ra_codes *codes, ra_dtype dtype) {
    size_t share = dtype == RA_F32 ? DENSE_SHARE : DENSE_SHARE_HALF;
    return codes->rows >= DENSE_ROWS && ra_codes_entries(codes) / codes->rows > codes->latents / share;
}

/* How many of `count` rows of n numbers are written out at a time. */
static size_t block_rows(size_t count, size_t n) {
    size_t rows = BLOCK_FLOATS / n;
    return rows < 1 ? 1 : rows < count ? rows : count;
}

/* x_hat of some rows, whose codes are in z [rows,K]; atoms of half precision are widened a block at a
 * time. */
static ra_status multiply(ra_backend_stream *s, const float *z, size_t rows, size_t K, ra_dtype dtype,
                          const void *D, size_t d, float *widened, float *x_hat, ra_error *err) {
    if (dtype == RA_F32) return cuda_gemm(s, false, false, rows, d, K, 1, z, K, D, d, 0, x_hat, d, err);
    size_t block = block_rows(K, d);
    for (size_t k = 0; k < K; k += block) {
        size_t count = K - k < block ? K - k : block;
        RA_TRY(cuda_widen(s, dtype, (const uint16_t *)D + k * d, widened, count * d, err));
        RA_TRY(cuda_gemm(s, false, false, rows, d, count, 1, z + k, K, widened, d, k > 0, x_hat, d, err));
    }
    return RA_OK;
}

static ra_status decode_dense(ra_backend_stream *s, const ra_codes *codes, ra_dtype dtype, const void *D,
                              size_t d, float *x_hat, ra_error *err) {
    size_t K = codes->latents, block = block_rows(codes->rows, K), floats = block * K,
           atoms = dtype == RA_F32 ? 0 : block_rows(K, d) * d;
    cuda_codes on_device;
    void *scratch;
    RA_TRY(
        cuda_codes_take(s, codes, codes->value, (floats + atoms) * sizeof(float), &on_device, &scratch, err));
    float *widened = scratch, *z = widened + atoms;
    for (size_t first = 0; first < codes->rows; first += block) {
        cuda_codes part = on_device;
        part.start += first;
        part.rows = codes->rows - first < block ? codes->rows - first : block;
        RA_TRY(cuda_check(s->context, cudaMemsetAsync(z, 0, part.rows * K * sizeof *z, s->handle),
                          "clearing dense codes", err));
        RA_TRY(cuda_check(s->context, ra_cuda_scatter_entries(s->handle, part, K, 1, z),
                          "writing dense codes", err));
        RA_TRY(multiply(s, z, part.rows, K, dtype, D, d, widened, x_hat + first * d, err));
    }
    return RA_OK;
}

static ra_status decode_sparse(ra_backend_stream *s, const ra_codes *codes, ra_dtype dtype, const void *D,
                               size_t d, float *x_hat, ra_error *err) {
    cuda_codes on_device;
    RA_TRY(cuda_codes_take(s, codes, codes->value, 0, &on_device, NULL, err));
    return cuda_check(s->context, ra_cuda_decode(s->handle, on_device, cuda_width_of(dtype), D, d, x_hat),
                      "decoding", err);
}

/* If there is no memory for the dense form, the atoms are gathered, which needs none. */
ra_status cuda_decode(ra_backend_stream *s, const ra_codes *codes, ra_dtype dtype, const void *D, size_t d,
                      float *x_hat, ra_error *err) {
    ra_error reason;
    ra_status status = RA_ERR_MEMORY;
    if (!ra_dtype_is_float(dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "atoms of type %s cannot be decoded: expected F32, F16 or BF16",
                ra_dtype_name(dtype));
    if (codes->rows == 0 || d == 0) return RA_OK;
    if (ra_codes_entries(codes) == 0)
        return cuda_check(s->context, cudaMemsetAsync(x_hat, 0, codes->rows * d * sizeof *x_hat, s->handle),
                          "decoding nothing", err);
    if (is_dense(codes, dtype)) status = decode_dense(s, codes, dtype, D, d, x_hat, &reason);
    if (status == RA_ERR_MEMORY) return decode_sparse(s, codes, dtype, D, d, x_hat, err);
    if (status != RA_OK && err) *err = reason;
    return status;
}

ra_status cuda_decode_gradient(ra_backend_stream *s, const ra_codes *codes, const float *g, const float *D,
                               size_t d, float *dvalue, ra_error *err) {
    cuda_codes on_device;
    if (ra_codes_entries(codes) == 0) return RA_OK;
    RA_TRY(cuda_codes_take(s, codes, NULL, 0, &on_device, NULL, err));
    return cuda_check(s->context, ra_cuda_decode_gradient(s->handle, on_device, g, D, d, dvalue),
                      "the gradient of codes", err);
}

/* As many columns at a time as the memory for their partial sums allows. */
ra_status cuda_accumulate(ra_backend_stream *s, const ra_codes *codes, const float *value, const float *x,
                          size_t d, float *out, ra_error *err) {
    cuda_by_latent on_device;
    const float *value_on_device;
    void *partial = NULL;
    if (ra_codes_entries(codes) == 0) return RA_OK;
    RA_TRY(cuda_codes_take_by_latent(s, codes, value, d * sizeof *out, PARTIAL_BYTES, &on_device,
                                     &value_on_device, &partial, err));
    size_t columns = on_device.most_sums ? PARTIAL_BYTES / sizeof *out / on_device.most_sums / 4 * 4 : d;
    if (columns < 4) columns = 4;
    for (size_t first = 0; first < d; first += columns) {
        size_t last = d - first < columns ? d : first + columns;
        RA_TRY(cuda_check(
            s->context,
            ra_cuda_accumulate(s->handle, on_device, value_on_device, x, d, first, last, out, partial),
            "a sum by latents", err));
    }
    return RA_OK;
}
