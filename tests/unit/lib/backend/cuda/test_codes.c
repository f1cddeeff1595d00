/* Cases of sparse codes on a device that the grid of test_backend.c does not reach: nothing to do, both ways to
 * decode, blocks. */
#include "device_memory.h"
#include "harness.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

/* Codes in which each row has every `step`-th of K latents, from `row % step` on: rows K / step entries. */
static ra_codes every(size_t rows, size_t K, size_t step, uint64_t seed) {
    ra_codes codes = {0};
    size_t used = 0;
    ra_ok(ra_codes_reserve(&codes, rows, K, rows * (K / step + 1), &err));
    for (size_t b = 0; b < rows; b++) {
        for (size_t k = b % step; k < K; k += step) codes.index[used++] = (int32_t)k;
        codes.start[b + 1] = used;
    }
    test_fill(codes.value, used, seed);
    return codes;
}

static double *zeros(size_t n) {
    double *values = ra_calloc(n, sizeof *values);
    ck_assert_ptr_nonnull(values);
    return values;
}

static float *numbers(size_t n, uint64_t seed) {
    float *values = ra_malloc(n, sizeof *values);
    ck_assert_ptr_nonnull(values);
    test_fill(values, n, seed);
    return values;
}

/* ---- nothing at all ------------------------------------------------------------------------------------ */

START_TEST(test_entries_of_no_codes) {
    test_device device = test_device_open(NULL);
    ra_codes none = {0};
    float out[3] = {1, 2, 3};
    double expected[3] = {0};
    ra_ok(ra_codes_reserve(&none, 2, 3, 0, &err));
    none.start[1] = none.start[2] = 0;
    float *on_out = test_device_put(&device, out, sizeof out);
    ra_ok(ra_backend_gather_entries(device.backend, &none, on_out, 0, on_out, &err));
    ra_ok(ra_backend_scatter_entries(device.backend, &none, 1, none.value, on_out, &err));
    ra_ok(ra_backend_latent_sums(device.backend, &none, none.value, on_out, &err));
    test_assert_near("latent_sums", test_device_get(&device, on_out, 3), expected, 3, 0);
    ra_codes_release(&none);
    test_device_close(&device);
}
END_TEST

/* A member of a group may have no rows. */
START_TEST(test_sums_over_nothing) {
    test_device device = test_device_open(NULL);
    float *x = test_device_put(&device, NULL, 12 * sizeof *x);
    double sums[6], none[6] = {0};
    memset(sums, 0xff, sizeof sums);
    ra_ok(ra_backend_column_sums(device.backend, x, 0, 3, NULL, sums, &err));
    ck_assert_mem_eq(sums, none, 3 * sizeof *sums);
    ra_ok(ra_backend_kernel_sums(device.backend, RA_KERNEL_GAUSSIAN, 1, x, x, x, 0, 3, sums, &err));
    ck_assert_mem_eq(sums, none, sizeof sums);
    sums[0] = NAN;
    ra_ok(ra_backend_squared_error(device.backend, x, x, 0, 1, x, sums, &err));
    ck_assert(sums[0] == 0);
    ra_ok(ra_backend_row_norms(device.backend, x, 0, 3, true, NULL, &err));
    ra_ok(ra_backend_scale_rows(device.backend, NULL, x, 0, 3, &err));
    ra_ok(ra_backend_broadcast_row(device.backend, x, x, 0, 3, &err));
    ra_ok(ra_backend_relu(device.backend, x, x, 0, &err));
    test_device_close(&device);
}
END_TEST

/* ---- decoding ------------------------------------------------------------------------------------------ */

static double *decoded(const ra_codes *codes, const float *D, size_t d) {
    double *x_hat = zeros(codes->rows * d);
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++)
            for (size_t j = 0; j < d; j++)
                x_hat[b * d + j] += (double)codes->value[e] * (double)D[(size_t)codes->index[e] * d + j];
    return x_hat;
}

static void check_decode(test_device *device, const ra_codes *codes, ra_dtype dtype, const float *D, size_t d,
                         double tolerance) {
    size_t K = codes->latents, size = ra_dtype_size(dtype);
    float *read = numbers(K * d, 0);
    void *kept = ra_malloc(K * d, size), *block = NULL, *x_hat = NULL;
    ra_convert_from_f32(dtype, D, kept, K * d);
    ra_convert_to_f32(dtype, kept, read, K * d);
    ra_ok(ra_backend_allocate(device->backend, K * d * size, &block, &err));
    ra_ok(ra_backend_allocate(device->backend, codes->rows * d * sizeof(float), &x_hat, &err));
    ra_ok(ra_backend_upload(device->backend, block, kept, K * d * size, &err));
    ra_ok(ra_backend_decode(device->backend, codes, dtype, block, d, x_hat, &err));
    double *expected = decoded(codes, read, d);
    test_assert_near(ra_dtype_name(dtype), test_device_get(device, x_hat, codes->rows * d), expected,
                     codes->rows * d, tolerance);
    ra_backend_deallocate(device->backend, block);
    ra_backend_deallocate(device->backend, x_hat);
    ra_free(expected);
    ra_free(kept);
    ra_free(read);
}

/* Few rows, few entries per row, many entries: products.c explains which are gathered and which
 * multiplied. */
static const struct {
    size_t rows, K, step;
} batches[] = {{15, 64, 2}, {16, 64, 20}, {16, 64, 10}, {16, 64, 2}, {33, 70, 1}};
enum { BATCHES = sizeof batches / sizeof *batches };

START_TEST(test_decode_of_few_and_of_many_entries) {
    test_device device = test_device_open(NULL);
    ra_codes codes = every(batches[_i].rows, batches[_i].K, batches[_i].step, 1);
    float *D = numbers(batches[_i].K * 37, 2);
    for (ra_dtype dtype = RA_F32; dtype <= RA_BF16; dtype++)
        check_decode(&device, &codes, dtype, D, 37, 2e-6);
    ra_free(D);
    ra_codes_release(&codes);
    test_device_close(&device);
}
END_TEST

/* More than are written out at a time: rows in two chunks, and half-precision atoms in two. */
START_TEST(test_decode_in_blocks) {
    enum { ROWS = 20, WIDE = 1200000, NARROW = 40000, D_ = 500 };
    test_device device = test_device_open(NULL);
    ra_codes wide = every(ROWS, WIDE, 12, 1), narrow = every(ROWS, NARROW, 6, 1);
    float *D = numbers((size_t)NARROW * D_, 2);
    check_decode(&device, &wide, RA_F32, D, 1, 1e-4);
    check_decode(&device, &narrow, RA_BF16, D, D_, 1e-4);
    ra_free(D);
    ra_codes_release(&wide);
    ra_codes_release(&narrow);
    test_device_close(&device);
}
END_TEST

/* ---- sums by latent ------------------------------------------------------------------------------------ */

/* Latents whose entries make one part, exactly one, several (lib/backend/cuda/codes.c). */
START_TEST(test_latents_that_are_active_in_many_rows) {
    enum { ROWS = 700, K = 5 };
    static const size_t active[K] = {700, 256, 257, 0, 512}; /* rows, from the first on */
    test_device device = test_device_open(NULL);
    size_t d = _i ? 5 : 8, used = 0;
    ra_codes codes = {0};
    ra_ok(ra_codes_reserve(&codes, ROWS, K, (size_t)ROWS * K, &err));
    for (size_t b = 0; b < ROWS; b++) {
        for (size_t k = 0; k < K; k++)
            if (b < active[k]) codes.index[used++] = (int32_t)k;
        codes.start[b + 1] = used;
    }
    test_fill(codes.value, used, 1);
    float *x = numbers(ROWS * d, 2), *out = numbers(K * d, 3);
    double *expected = zeros(K * d);
    for (size_t i = 0; i < K * d; i++) expected[i] = (double)out[i];
    for (size_t b = 0; b < ROWS; b++)
        for (size_t e = codes.start[b]; e < codes.start[b + 1]; e++)
            for (size_t j = 0; j < d; j++)
                expected[(size_t)codes.index[e] * d + j] += (double)codes.value[e] * (double)x[b * d + j];
    float *on_x = test_device_put(&device, x, ROWS * d * sizeof *x), *on_out[2];
    for (int i = 0; i < 2; i++) { /* with values of the codes, and with those of the device */
        on_out[i] = test_device_put(&device, out, K * d * sizeof *out);
        const float *value =
            i ? test_device_put(&device, codes.value, used * sizeof *codes.value) : codes.value;
        ra_ok(ra_backend_accumulate(device.backend, &codes, value, on_x, d, on_out[i], &err));
        test_assert_near("accumulate", test_device_get(&device, on_out[i], K * d), expected, K * d, 1e-5);
    }
    ck_assert_mem_eq(test_device_get(&device, on_out[0], K * d), test_device_get(&device, on_out[1], K * d),
                     K * d * sizeof *out);
    ra_free(expected);
    ra_free(out);
    ra_free(x);
    ra_codes_release(&codes);
    test_device_close(&device);
}
END_TEST

TEST_CASES_LOOP(backend_cuda_accumulate, 60, 2, test_latents_that_are_active_in_many_rows)
TEST_CASES_LOOP(backend_cuda_decode, 60, BATCHES, test_decode_of_few_and_of_many_entries)
TEST_CASES_SLOW(backend_cuda_codes, 60, test_entries_of_no_codes, test_sums_over_nothing,
                test_decode_in_blocks)
