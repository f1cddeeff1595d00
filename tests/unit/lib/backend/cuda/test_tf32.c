/* The option tf32, over the emulated device (lib/backend/cuda/{blas,products}.c): products round their factors
 * to 10 bits of mantissa. The rounding also shows which decodes are products, and which gather. */
#include "emulated.h"
#include "device_memory.h"
#include "harness.h"

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

TEST_CASES(backend_cuda_tf32, test_factors_are_rounded_only_when_asked, test_many_entries_are_multiplied,
           test_decode_without_memory)
