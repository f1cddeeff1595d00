/* What a device does with every number once, and its sums, beside plain loops in float64. */
#include "device_memory.h"
#include "harness.h"

#include <math.h>
#include <string.h>

/* One number; less than a warp; not a multiple of a load; rows enough for several parts. */
static const struct { size_t rows, n; } shapes[] = {{1, 1}, {3, 5}, {1, 300}, {67, 33}, {5, 1030}, {400, 40}};
enum { SHAPES = sizeof shapes / sizeof *shapes, MOST = 16000 };

START_TEST(test_numbers_one_by_one) {
    size_t rows = shapes[_i].rows, n = shapes[_i].n, size = rows * n;
    static float x[MOST], y[MOST];
    static uint16_t half[MOST];
    static double expected[MOST];
    test_device device = test_device_open(NULL);
    const ra_backend_ops *ops = device.ops;
    void *self = device.self;
    test_fill(x, size, 1);
    float *on_x = test_device_put(&device, x, size * sizeof *x),
          *on_y = test_device_put(&device, NULL, size * sizeof *y);
    ra_ok(ops->relu(self, NULL, on_x, on_y, size, &err));
    for (size_t i = 0; i < size; i++) expected[i] = x[i] > 0 ? (double)x[i] : 0;
    test_assert_near("relu", test_device_get(&device, on_y, size), expected, size, 0);

    ra_ok(ops->spread(self, NULL, on_x, on_y, rows, n, &err));
    for (size_t i = 0; i < size; i++) expected[i] = (double)x[i % n];
    test_assert_near("spread", test_device_get(&device, on_y, size), expected, size, 0);

    for (ra_dtype dtype = RA_F16; dtype <= RA_BF16; dtype++) {
        ra_convert_from_f32(dtype, x, half, size);
        ra_convert_to_f32(dtype, half, y, size);
        for (size_t i = 0; i < size; i++) expected[i] = (double)y[i];
        void *on_half = test_device_put(&device, half, size * sizeof *half);
        ra_ok(ops->widen(self, NULL, dtype, on_half, on_y, size, &err));
        test_assert_near("widen", test_device_get(&device, on_y, size), expected, size, 0);
        if (size == 1) continue; /* from a place that no wide load may begin at */
        ra_ok(ops->widen(self, NULL, dtype, (uint16_t *)on_half + 1, on_y, size - 1, &err));
        test_assert_near("widen", test_device_get(&device, on_y, size - 1), expected + 1, size - 1, 0);
    }
    ra_ok(ops->widen(self, NULL, RA_F32, on_x, on_y, size, &err));
    for (size_t i = 0; i < size; i++) expected[i] = (double)x[i];
    test_assert_near("widen", test_device_get(&device, on_y, size), expected, size, 0);
    ra_fails(ops->widen(self, NULL, RA_F64, on_x, on_y, size, &err), RA_ERR_DTYPE, "numbers of type F64");

    static double factor[MOST];
    for (size_t i = 0; i < rows; i++) factor[i] = 1.0 / (double)(i + 3);
    ra_ok(ops->scale_rows(self, NULL, factor, on_x, rows, n, &err));
    for (size_t i = 0; i < size; i++) expected[i] = (double)(x[i] * (float)factor[i / n]);
    memset(factor, 0, sizeof factor); /* has been read */
    test_assert_near("scale_rows", test_device_get(&device, on_x, size), expected, size, 0);
    test_device_close(&device);
}
END_TEST

static void assert_sums(const char *what, const double *sums, const double *expected, size_t n) {
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs(sums[i] - expected[i]) <= 1e-12 * (1 + fabs(expected[i])),
                      "%s: number %zu is %.17g, expected %.17g", what, i, sums[i], expected[i]);
}

START_TEST(test_sums) {
    size_t rows = shapes[_i].rows, n = shapes[_i].n, size = rows * n;
    static float a[MOST], b[MOST];
    static double expected[MOST], sums[MOST], centre[MOST], gradient[MOST];
    test_device device = test_device_open(NULL);
    const ra_backend_ops *ops = device.ops;
    void *self = device.self;
    test_fill(a, size, 1);
    test_fill(b, size, 2);
    float *on_a = test_device_put(&device, a, size * sizeof *a),
          *on_b = test_device_put(&device, b, size * sizeof *b);

    for (int squared = 0; squared < 2; squared++) {
        memset(expected, 0, n * sizeof *expected);
        for (size_t j = 0; j < n; j++) centre[j] = 0.25 + 1e-9 * (double)j;
        for (size_t i = 0; i < size; i++) {
            double value = (double)a[i], gap = value - centre[i % n];
            expected[i % n] += squared ? gap * gap : value;
        }
        ra_ok(ops->column_sums(self, NULL, on_a, rows, n, squared ? centre : NULL, sums, &err));
        assert_sums("column_sums", sums, expected, n);
    }
    for (int l1 = 0; l1 < 2; l1++) {
        memset(expected, 0, rows * sizeof *expected);
        for (size_t i = 0; i < size; i++)
            expected[i / n] += l1 ? fabs((double)a[i]) : (double)a[i] * (double)a[i];
        for (size_t i = 0; i < rows && !l1; i++) expected[i] = sqrt(expected[i]);
        ra_ok(ops->row_norms(self, NULL, on_a, rows, n, l1, sums, &err));
        assert_sums("row_norms", sums, expected, rows);
    }
    expected[0] = 0;
    for (size_t i = 0; i < size; i++) {
        double gap = (double)a[i] - (double)b[i];
        expected[0] += gap * gap;
        gradient[i] = (double)(float)(gap / 3);
    }
    ra_ok(ops->squared_error(self, NULL, on_a, on_b, size, 1.0 / 3, on_b, sums, &err)); /* in place */
    assert_sums("squared_error", sums, expected, 1);
    test_assert_near("squared_error", test_device_get(&device, on_b, size), gradient, size, 1e-7);
    test_device_close(&device);
}
END_TEST

/* A member of a group may have no rows. */
START_TEST(test_sums_over_nothing) {
    test_device device = test_device_open(NULL);
    const ra_backend_ops *ops = device.ops;
    void *self = device.self;
    float *x = test_device_put(&device, NULL, 12 * sizeof *x);
    double sums[6], none[6] = {0};
    memset(sums, 0xff, sizeof sums);
    ra_ok(ops->column_sums(self, NULL, x, 0, 3, NULL, sums, &err));
    ck_assert_mem_eq(sums, none, 3 * sizeof *sums);
    ra_ok(ops->kernel_sums(self, NULL, RA_KERNEL_GAUSSIAN, 1, x, x, x, 0, 3, sums, &err));
    ck_assert_mem_eq(sums, none, sizeof sums);
    sums[0] = NAN;
    ra_ok(ops->squared_error(self, NULL, x, x, 0, 1, x, sums, &err));
    ck_assert(sums[0] == 0);
    ra_ok(ops->row_norms(self, NULL, x, 0, 3, true, NULL, &err));
    ra_ok(ops->scale_rows(self, NULL, NULL, x, 0, 3, &err));
    ra_ok(ops->spread(self, NULL, x, x, 0, 3, &err));
    ra_ok(ops->relu(self, NULL, x, x, 0, &err));
    test_device_close(&device);
}
END_TEST

TEST_CASES_LOOP(backend_cuda_sums, 60, SHAPES, test_numbers_one_by_one, test_sums)
TEST_CASES(backend_cuda_nothing, test_sums_over_nothing)
