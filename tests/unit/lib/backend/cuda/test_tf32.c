/* What products round (lib/backend/cuda/{blas,products}.c, lib/backend/cuda/narrow.cu), over the emulated device: with
 * the option tf32 factors have 10 bits of mantissa, and a caller may ask for that, or for the 7 bits of bf16. The
 * rounding also shows which decodes are products, and which gather. */
#include "emulated.h"
#include "device_memory.h"
#include "harness.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

enum { ROWS = 16, LATENTS = 8 };
static const float fine = 1 + 0x1p-12f; /* 1 in TF32 */

START_TEST(test_factors_are_rounded_only_when_asked) {
    for (int tf32 = 0; tf32 < 2; tf32++) {
        ra_backend *backend = NULL;
        ra_ok(ra_backend_open("cuda-emulated", &(ra_backend_options){.tf32 = tf32}, &backend, &err));
        test_device device = {.backend = backend};
        const float factors[2] = {fine, 2};
        float *on_device = test_device_put(&device, factors, sizeof factors),
              *product = test_device_put(&device, NULL, sizeof *product);
        ra_stream streams[2] = {ra_backend_default_stream(backend)};
        ra_ok(ra_stream_new(backend, &streams[1], &err));
        for (int own = 0; own < 2; own++) {
            ra_ok(ra_stream_gemm(streams[own], false, false, 1, 1, 1, 1, on_device, 1, on_device + 1, 1, 0,
                                 product, 1, &err));
            ra_ok(ra_stream_synchronize(streams[own], &err));
            ck_assert(*test_device_get(&device, product, 1) == (tf32 ? 2 : 2 * fine));
        }
        ra_stream_free(streams[1]);
        test_device_close(&device);
    }
}
END_TEST

/* 1 + 2^-12 is 1 in TF32, and 1 + 2^-9 is so in bf16 alone. */
START_TEST(test_a_caller_says_how_products_round) {
    static const float halves = 1 + 0x1p-9f;
    static const struct {
        ra_precision precision;
        float fine, halves;
    } cases[] = {
        {RA_PRECISION_BF16, 1, 1}, {RA_PRECISION_TF32, 1, halves}, {RA_PRECISION_FLOAT32, fine, halves}};
    for (int tf32 = 0; tf32 < 2; tf32++) {
        ra_backend *backend = NULL;
        ra_ok(ra_backend_open("cuda-emulated", &(ra_backend_options){.tf32 = tf32}, &backend, &err));
        test_device device = {.backend = backend};
        ra_stream own;
        ra_ok(ra_stream_new(backend, &own, &err));
        const float factors[3] = {fine, halves, 1};
        float *on_device = test_device_put(&device, factors, sizeof factors),
              *product = test_device_put(&device, NULL, 3 * sizeof *product);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            ra_ok(ra_backend_products(backend, cases[i].precision, &err));
            for (size_t j = 0; j < 2; j++)
                ra_ok(ra_backend_gemm(backend, false, false, 1, 1, 1, 1, on_device + j, 1, on_device + 2, 1,
                                      0, product + j, 1, &err));
            ra_ok(ra_stream_gemm(own, false, false, 1, 1, 1, 1, on_device, 1, on_device + 2, 1, 0,
                                 product + 2, 1, &err)); /* another stream stays as it was */
            ra_ok(ra_stream_synchronize(own, &err));
            const float *got = test_device_get(&device, product, 3);
            bool as_opened = tf32 && cases[i].precision == RA_PRECISION_FLOAT32;
            ck_assert(got[0] == (as_opened ? 1 : cases[i].fine) && got[1] == cases[i].halves);
            ck_assert(got[2] == (tf32 ? 1 : fine));
        }
        ra_stream_free(own);
        test_device_close(&device);
    }
}
END_TEST

static float to_bf16(float x) {
    uint16_t half;
    float y;
    ra_convert_from_f32(RA_BF16, &x, &half, 1);
    ra_convert_to_f32(RA_BF16, &half, &y, 1);
    return y;
}

/* Of matrices of any shape, transposed or not, whole or parts of larger ones: the product of the rounded factors, with
 * sums in float32. */
START_TEST(test_products_of_bf16) {
    static const size_t shapes[][3] = {{1, 1, 1}, {3, 5, 7}, {8, 4, 12}, {33, 17, 64}, {2, 40, 300}};
    enum { MOST = 48 * 320 };
    ra_backend *backend = NULL;
    ra_ok(ra_backend_open("cuda-emulated", NULL, &backend, &err));
    test_device device = {.backend = backend};
    float *a = ra_malloc(MOST, sizeof *a), *b = ra_malloc(48 * 320, sizeof *b);
    test_fill(a, MOST, 1);
    test_fill(b, 48 * 320, 2);
    b[3] = -0.0f;
    a[0] = 1 + 0x1p-8f; /* between two: the even one is 1 */
    float *on_a = test_device_put(&device, a, MOST * sizeof *a),
          *on_b = test_device_put(&device, b, 48 * 320 * sizeof *b),
          *on_c = test_device_put(&device, NULL, 33 * 40 * sizeof *on_c);
    ra_ok(ra_backend_products(backend, RA_PRECISION_BF16, &err));
    for (int form = 0; form < 8; form++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            bool ta = form & 1, tb = form & 2;
            size_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2], more = form & 4 ? 3 : 0,
                   lda = (ta ? m : k) + more, ldb = (tb ? k : n) + more;
            ra_ok(ra_backend_gemm(backend, ta, tb, m, n, k, 1.5f, on_a, lda, on_b, ldb, 0, on_c, n, &err));
            const float *c = test_device_get(&device, on_c, m * n);
            for (size_t r = 0; r < m; r++)
                for (size_t s = 0; s < n; s++) {
                    double sum = 0, size = 0;
                    for (size_t j = 0; j < k; j++) {
                        double term = 1.5 * (double)to_bf16(ta ? a[j * lda + r] : a[r * lda + j]) *
                                      (double)to_bf16(tb ? b[s * ldb + j] : b[j * ldb + s]);
                        sum += term;
                        size += fabs(term);
                    }
                    ck_assert_msg(fabs((double)c[r * n + s] - sum) <= (double)(k + 2) * 0x1p-24 * size,
                                  "form %d, shape %zu, [%zu, %zu]: %.9g, expected %.9g", form, i, r, s,
                                  (double)c[r * n + s], sum);
                }
        }
    const float odd[3] = {NAN, INFINITY, 1};
    float *on_odd = test_device_put(&device, odd, sizeof odd);
    for (size_t i = 0; i < 2; i++)
        ra_ok(ra_backend_gemm(backend, false, false, 1, 1, 1, 1, on_odd + i, 1, on_odd + 2, 1, 0, on_c + i, 1,
                              &err));
    const float *got = test_device_get(&device, on_c, 2);
    ck_assert(isnan(got[0]) && isinf(got[1]));
    ra_free(a);
    ra_free(b);
    test_device_close(&device);
}
END_TEST

START_TEST(test_an_old_device_does_not_round) {
    emulated emulation = emulated_open();
    ra_backend *backend = NULL;
    emulation.machine(13000, 1, 75);
    ra_ok(ra_backend_open("cuda-emulated", NULL, &backend, &err));
    for (int precision = RA_PRECISION_TF32; precision < RA_PRECISION_COUNT; precision++)
        ra_fails(ra_backend_products(backend, (ra_precision)precision, &err), RA_ERR_DEVICE,
                 "the device cuda:0 has compute capability 7.5; products of TF32 and bf16 need 8.0");
    ra_ok(ra_backend_products(backend, RA_PRECISION_FLOAT32, &err));
    ra_backend_release(backend);
    emulation.machine(13000, 1, 90);
    emulated_close(&emulation);
}
END_TEST

/* Row b has its first `length` latents. */
static ra_codes some(size_t rows, size_t length) {
    ra_codes codes = {0};
    ra_ok(ra_codes_reserve(&codes, rows, LATENTS, rows * length, &err));
    for (size_t e = 0; e < rows * length; e++) {
        codes.index[e] = (int32_t)(e % length);
        codes.value[e] = fine;
    }
    for (size_t b = 0; b < rows; b++) codes.start[b + 1] = (b + 1) * length;
    return codes;
}

START_TEST(test_many_entries_are_multiplied) {
    static const struct {
        size_t rows, length, memory; /* memory: free bytes; 0: enough */
        bool product;
    } cases[] = {
        {ROWS, LATENTS, 0, true},
        {ROWS, 1, 0, true},
        {ROWS - 1, LATENTS, 0, false}, /* too few rows */
        {ROWS, LATENTS, 1400, false},  /* enough for the codes, but not for their dense form */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        emulated emulation = emulated_open();
        ra_backend *backend = NULL;
        ra_ok(ra_backend_open("cuda-emulated", &(ra_backend_options){.tf32 = true}, &backend, &err));
        test_device device = {.backend = backend};
        ra_codes codes = some(cases[i].rows, cases[i].length);
        float D[LATENTS];
        for (size_t k = 0; k < LATENTS; k++) D[k] = 1;
        float *on_D = test_device_put(&device, D, sizeof D),
              *x_hat = test_device_put(&device, NULL, ROWS * sizeof *x_hat);
        size_t available, total;
        ra_ok(ra_backend_memory(device.backend, &available, &total, &err));
        if (cases[i].memory) emulation.set_memory(total - available + cases[i].memory);
        ra_ok(ra_backend_decode(device.backend, &codes, RA_F32, on_D, 1, x_hat, &err));
        const float *got = test_device_get(&device, x_hat, cases[i].rows);
        for (size_t b = 0; b < cases[i].rows; b++)
            ck_assert_msg(got[b] == (float)cases[i].length * (cases[i].product ? 1 : fine),
                          "case %zu, row %zu: %.9g", i, b, (double)got[b]);
        ra_codes_release(&codes);
        test_device_close(&device);
        emulated_close(&emulation);
    }
}
END_TEST

/* Not even enough for the codes: an error. */
START_TEST(test_decode_without_memory) {
    emulated emulation = emulated_open();
    ra_backend *backend = NULL;
    ra_ok(ra_backend_open("cuda-emulated", NULL, &backend, &err));
    test_device device = {.backend = backend};
    ra_codes codes = some(ROWS, LATENTS);
    float *D = test_device_put(&device, NULL, LATENTS * sizeof *D),
          *x_hat = test_device_put(&device, NULL, ROWS * sizeof *x_hat);
    emulation.set_memory(0);
    ra_fails(ra_backend_decode(device.backend, &codes, RA_F32, D, 1, x_hat, &err), RA_ERR_MEMORY,
             "the device cuda:0 failed at making a work area: out of memory");
    ra_codes_release(&codes);
    test_device_close(&device);
    emulated_close(&emulation);
}
END_TEST

TEST_CASES(backend_cuda_tf32, test_factors_are_rounded_only_when_asked, test_a_caller_says_how_products_round,
           test_products_of_bf16, test_an_old_device_does_not_round, test_many_entries_are_multiplied,
           test_decode_without_memory)
