/* Sparse codes on a device beside plain loops in float64: entries, both ways to decode, pursuits. */
#include "device_memory.h"
#include "harness.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

/* K latents, of which a row has every `step`-th from `row % step` on: entries = rows K / step. */
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

/* ---- entries
 * ------------------------------------------------------------------------------------------------------- */

static const struct {
    size_t rows, K, step;
} shapes[] = {{1, 1, 1}, {5, 67, 3}, {3, 700, 1}, {70, 9, 20}, {40, 33, 2}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

START_TEST(test_entries) {
    size_t rows = shapes[_i].rows, K = shapes[_i].K;
    test_device device = test_device_open(NULL);
    const ra_backend_ops *ops = device.ops;
    void *self = device.self;
    ra_codes codes = every(rows, K, shapes[_i].step, 1);
    size_t entries = ra_codes_entries(&codes);
    float *dense = numbers(rows * K, 2), *v = numbers(entries, 3);
    double *sums = zeros(K), *picked = zeros(entries), *full = zeros(rows * K);
    float *on_dense = test_device_put(&device, dense, rows * K * sizeof *dense),
          *on_v = test_device_put(&device, v, entries * sizeof *v),
          *on_out = test_device_put(&device, NULL, K * sizeof *on_out);
    for (int own = 0; own < 2; own++) { /* values of the device, and the codes' own */
        memset(sums, 0, K * sizeof *sums);
        for (size_t e = 0; e < entries; e++) sums[codes.index[e]] += (double)(own ? codes.value[e] : v[e]);
        ra_ok(ops->latent_sums(self, NULL, &codes, own ? codes.value : on_v, on_out, &err));
        test_assert_near("latent_sums", test_device_get(&device, on_out, K), sums, K, 1e-6);

        for (size_t i = 0; i < rows * K; i++) full[i] = (double)dense[i];
        for (size_t b = 0; b < rows; b++)
            for (size_t e = codes.start[b]; e < codes.start[b + 1]; e++)
                full[b * K + (size_t)codes.index[e]] -= 2 * (double)(own ? codes.value[e] : v[e]);
        ra_ok(ops->upload(self, NULL, on_dense, dense, rows * K * sizeof *dense, &err));
        ra_ok(ops->put(self, NULL, &codes, -2, own ? codes.value : on_v, on_dense, &err));
        test_assert_near("put", test_device_get(&device, on_dense, rows * K), full, rows * K, 1e-6);
    }
    ra_ok(ops->upload(self, NULL, on_dense, dense, rows * K * sizeof *dense, &err));
    for (int keep = 0; keep < 2; keep++) {
        for (size_t b = 0; b < rows; b++)
            for (size_t e = codes.start[b]; e < codes.start[b + 1]; e++)
                picked[e] = (double)dense[b * K + (size_t)codes.index[e]] + (keep ? 0.5 * (double)v[e] : 0);
        for (size_t e = 0; e < entries; e++) v[e] = keep ? v[e] : NAN; /* not read */
        ra_ok(ops->upload(self, NULL, on_v, v, entries * sizeof *v, &err));
        ra_ok(ops->pick(self, NULL, &codes, on_dense, keep ? 0.5f : 0, on_v, &err));
        test_assert_near("pick", test_device_get(&device, on_v, entries), picked, entries, 1e-6);
        test_fill(v, entries, 3);
    }
    ra_codes_release(&codes);
    ra_free(dense);
    ra_free(v);
    ra_free(sums);
    ra_free(picked);
    ra_free(full);
    test_device_close(&device);
}
END_TEST

START_TEST(test_entries_of_no_codes) {
    test_device device = test_device_open(NULL);
    ra_codes none = {0};
    float out[3] = {1, 2, 3};
    double expected[3] = {0};
    ra_ok(ra_codes_reserve(&none, 2, 3, 0, &err));
    none.start[1] = none.start[2] = 0;
    float *on_out = test_device_put(&device, out, sizeof out);
    ra_ok(device.ops->pick(device.self, NULL, &none, on_out, 0, on_out, &err));
    ra_ok(device.ops->put(device.self, NULL, &none, 1, none.value, on_out, &err));
    ra_ok(device.ops->latent_sums(device.self, NULL, &none, none.value, on_out, &err));
    test_assert_near("latent_sums", test_device_get(&device, on_out, 3), expected, 3, 0);
    ra_codes_release(&none);
    test_device_close(&device);
}
END_TEST

/* ---- decoding
 * ------------------------------------------------------------------------------------------------------- */

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
    ra_ok(device->ops->allocate(device->self, K * d * size, &block, &err));
    ra_ok(device->ops->allocate(device->self, codes->rows * d * sizeof(float), &x_hat, &err));
    ra_ok(device->ops->upload(device->self, NULL, block, kept, K * d * size, &err));
    ra_ok(device->ops->decode(device->self, NULL, codes, dtype, block, d, x_hat, &err));
    double *expected = decoded(codes, read, d);
    test_assert_near(ra_dtype_name(dtype), test_device_get(device, x_hat, codes->rows * d), expected,
                     codes->rows * d, tolerance);
    device->ops->deallocate(device->self, block);
    device->ops->deallocate(device->self, x_hat);
    ra_free(expected);
    ra_free(kept);
    ra_free(read);
}

/* Few rows; few entries a row; many: products.c says which of them are gathered and which multiplied. */
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

/* More than is written out at a time: rows in two blocks, half-precision atoms in two, too. */
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

/* ---- pursuit
 * ------------------------------------------------------------------------------------------------------- */

enum { B = 7, STEPS = 3, MOST_D = 600, MOST_K = 800 };
static const struct {
    size_t d, K;
    bool gram;
} pursuits[] = {{1, 1, false}, {5, 3, true}, {MOST_D, 40, true}, {33, MOST_K, false}, {33, MOST_K, true}};
enum { PURSUITS = sizeof pursuits / sizeof *pursuits };

static float dot(const float *x, const float *y, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return (float)sum;
}

START_TEST(test_pursuit) {
    size_t d = pursuits[_i].d, K = pursuits[_i].K;
    bool gram = pursuits[_i].gram;
    test_device device = test_device_open(NULL);
    const ra_backend_ops *ops = device.ops;
    void *self = device.self;
    float *D = numbers(K * d, 1), *x = numbers(B * d, 2), *g = numbers(B * STEPS, 3),
          *scores = ra_malloc(B * K, sizeof *scores), *products = ra_malloc(K * K, sizeof *products);
    for (size_t i = 0; i < K * d; i++) D[i] /= sqrtf((float)d / 3); /* of length one, about */
    for (size_t i = 0; i < B * K; i++) scores[i] = dot(x + i / K * d, D + i % K * d, d);
    for (size_t j = 0; j < d && K > 2; j++) D[(K - 1) * d + j] = D[(K - 2) * d + j]; /* a tie */
    for (size_t b = 0; b < B && K > 2; b++) scores[b * K + K - 1] = scores[b * K + K - 2] = 50;
    for (size_t i = 0; i < K * K; i++) products[i] = dot(D + i / K * d, D + i % K * d, d);
    float *on_scores = test_device_put(&device, scores, B * K * sizeof *scores),
          *on_products = test_device_put(&device, products, K * K * sizeof *products),
          *on_g = test_device_put(&device, g, B * STEPS * sizeof *g),
          *room = test_device_put(&device, NULL, 2 * B * d * sizeof(float)),
          *push = test_device_put(&device, NULL, B * STEPS * d * sizeof(float));
    ra_pursuit_path path = {.rows = B,
                            .steps = STEPS,
                            .dimensions = d,
                            .concepts = K,
                            .D = test_device_put(&device, D, K * d * sizeof *D),
                            .atom = test_device_put(&device, NULL, B * STEPS * sizeof(int32_t)),
                            .value = test_device_put(&device, NULL, B * STEPS * sizeof(float)),
                            .residual = test_device_put(&device, x, B * d * sizeof *x)};
    double *r = zeros(B * d), *value = zeros(B * STEPS), *left = zeros(B * K), *pushed = zeros(B * STEPS * d);
    int32_t atom[B * STEPS], found[B * STEPS];
    for (size_t i = 0; i < B * d; i++) r[i] = (double)x[i];
    for (size_t i = 0; i < B * K; i++) left[i] = (double)scores[i];
    for (size_t t = 0; t < STEPS; t++) {
        for (size_t b = 0; b < B; b++) {
            size_t best = 0, place = b * STEPS + t;
            for (size_t k = 1; k < K; k++)
                if (left[b * K + k] > left[b * K + best]) best = k;
            atom[place] = (int32_t)best;
            value[place] = left[b * K + best];
            for (size_t j = 0; j < d; j++) r[b * d + j] -= value[place] * (double)D[best * d + j];
            for (size_t k = 0; k < K && gram; k++)
                left[b * K + k] -= value[place] * (double)products[best * K + k];
        }
        ra_ok(ops->pursue(self, NULL, &path, gram ? on_products : NULL, t, on_scores, &err));
    }
    ra_ok(ops->download(self, NULL, found, path.atom, sizeof found, &err));
    ra_ok(ops->synchronize(self, NULL, &err));
    ck_assert_mem_eq(found, atom, sizeof found);
    if (K > 2) ck_assert_int_eq(atom[0], (int32_t)K - 2);
    test_assert_near("value", test_device_get(&device, path.value, B * STEPS), value, B * STEPS, 1e-5);
    test_assert_near("residual", test_device_get(&device, path.residual, B * d), r, B * d, 1e-4);
    test_assert_near("scores", test_device_get(&device, on_scores, B * K), left, B * K, 1e-4);

    /* back, in two blocks of rows */
    for (size_t b = 0; b < B; b++) {
        double rho[MOST_D] = {0}, *rest = r + b * d;
        for (size_t t = STEPS; t-- > 0;) {
            const float *chosen = D + (size_t)atom[b * STEPS + t] * d;
            double v = value[b * STEPS + t], dv = (double)g[b * STEPS + t];
            for (size_t j = 0; j < d; j++) dv -= rho[j] * (double)chosen[j];
            for (size_t j = 0; j < d; j++) {
                rest[j] += v * (double)chosen[j];
                pushed[(b * STEPS + t) * d + j] = dv * rest[j] - v * rho[j];
                rho[j] += dv * (double)chosen[j];
            }
        }
    }
    size_t first = B / 2;
    ra_ok(ops->pursue_back(self, NULL, &path, on_g, 0, first, room, push, &err));
    test_assert_near("push", test_device_get(&device, push, first * STEPS * d), pushed, first * STEPS * d,
                     1e-3);
    ra_ok(ops->pursue_back(self, NULL, &path, on_g, first, B - first, room, push, &err));
    test_assert_near("push", test_device_get(&device, push, (B - first) * STEPS * d),
                     pushed + first * STEPS * d, (B - first) * STEPS * d, 1e-4);
    void *host[] = {D, x, g, scores, products, r, value, left, pushed};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++) ra_free(host[i]);
    test_device_close(&device);
}
END_TEST

TEST_CASES_LOOP(backend_cuda_entries, 60, SHAPES, test_entries)
TEST_CASES_LOOP(backend_cuda_decode, 60, BATCHES, test_decode_of_few_and_of_many_entries)
TEST_CASES_LOOP(backend_cuda_pursuit, 60, PURSUITS, test_pursuit)
TEST_CASES_SLOW(backend_cuda_codes, 60, test_entries_of_no_codes, test_decode_in_blocks)
