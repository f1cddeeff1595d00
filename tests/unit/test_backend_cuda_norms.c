/* LayerNorm, BatchNorm and jumprelu's kernels on a device, beside plain loops in float64. */
#include "device_memory.h"
#include "harness.h"

#include <math.h>
#include <string.h>

static const struct { size_t rows, n; } shapes[] = {{1, 1}, {3, 5}, {1, 300}, {67, 33}, {5, 1030}, {400, 40}};
enum { SHAPES = sizeof shapes / sizeof *shapes, MOST = 16000 };

typedef struct scene {
    test_device device;
    size_t rows, n, size;
    float u[MOST], dy[MOST], mean[MOST], rstd[MOST], gamma[MOST], beta[MOST];
    float *on_u, *on_dy, *on_gamma, *on_beta;
} scene;

static scene *make_scene(int shape) {
    static scene s;
    s.device = test_device_open(NULL);
    s.rows = shapes[shape].rows;
    s.n = shapes[shape].n;
    s.size = s.rows * s.n;
    float *const values[] = {s.u, s.dy, s.gamma, s.beta};
    float **const places[] = {&s.on_u, &s.on_dy, &s.on_gamma, &s.on_beta};
    for (uint64_t i = 0; i < 4; i++) {
        size_t count = i < 2 ? s.size : s.n;
        test_fill(values[i], count, i + 1);
        *places[i] = test_device_put(&s.device, values[i], count * sizeof(float));
    }
    return &s;
}

/* mean and rstd of every row, or of every column */
static ra_norm make_norm(scene *s, bool by_row) {
    size_t count = by_row ? s->rows : s->n, over = by_row ? s->n : s->rows;
    for (size_t c = 0; c < count; c++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < over; i++) sum += (double)s->u[by_row ? c * s->n + i : i * s->n + c];
        double mean = sum / (double)over;
        for (size_t i = 0; i < over; i++)
            squares += pow((double)s->u[by_row ? c * s->n + i : i * s->n + c] - mean, 2);
        s->mean[c] = (float)mean;
        s->rstd[c] = (float)(1 / sqrt(squares / (double)over + 1e-5));
    }
    return (ra_norm){.by_row = by_row,
                     .mean = test_device_put(&s->device, s->mean, count * sizeof(float)),
                     .rstd = test_device_put(&s->device, s->rstd, count * sizeof(float)),
                     .gamma = s->on_gamma,
                     .beta = s->on_beta};
}

static double xhat(const scene *s, bool by_row, size_t i) {
    size_t place = by_row ? i / s->n : i % s->n;
    return ((double)s->u[i] - (double)s->mean[place]) * (double)s->rstd[place];
}

START_TEST(test_row_statistics) {
    scene *s = make_scene(_i);
    static double mean[MOST], rstd[MOST];
    float *on_mean = test_device_put(&s->device, NULL, s->rows * sizeof(float)),
          *on_rstd = test_device_put(&s->device, NULL, s->rows * sizeof(float));
    make_norm(s, true);
    for (size_t b = 0; b < s->rows; b++) mean[b] = (double)s->mean[b], rstd[b] = (double)s->rstd[b];
    ra_ok(s->device.ops->row_statistics(s->device.self, NULL, s->on_u, s->rows, s->n, 1e-5, on_mean, on_rstd,
                                        &err));
    test_assert_near("mean", test_device_get(&s->device, on_mean, s->rows), mean, s->rows, 1e-7);
    test_assert_near("rstd", test_device_get(&s->device, on_rstd, s->rows), rstd, s->rows, 1e-6);
    test_device_close(&s->device);
}
END_TEST

static void check_norm(scene *s, bool by_row) {
    static double y[MOST], sums[2 * MOST], expected[2 * MOST], du[MOST];
    const ra_backend_ops *ops = s->device.ops;
    void *self = s->device.self;
    size_t n = s->n;
    ra_norm norm = make_norm(s, by_row);
    float *on_y = test_device_put(&s->device, s->u, s->size * sizeof(float));
    for (size_t i = 0; i < s->size; i++)
        y[i] = xhat(s, by_row, i) * (double)s->gamma[i % n] + (double)s->beta[i % n];
    ra_ok(ops->normalise(self, NULL, &norm, on_y, on_y, s->rows, n, &err)); /* in place */
    test_assert_near("normalise", test_device_get(&s->device, on_y, s->size), y, s->size, 1e-6);

    memset(expected, 0, 2 * n * sizeof *expected);
    for (size_t i = 0; i < s->size; i++) {
        expected[i % n] += (double)s->dy[i] * xhat(s, by_row, i);
        expected[n + i % n] += (double)s->dy[i];
    }
    norm.beta = NULL; /* not read on the way back */
    ra_ok(ops->norm_sums(self, NULL, &norm, s->on_u, s->on_dy, s->rows, n, sums, &err));
    for (size_t j = 0; j < 2 * n; j++)
        ck_assert_msg(fabs(sums[j] - expected[j]) <= 1e-5 * (1 + fabs(expected[j])),
                      "norm_sums: number %zu is %.9g, expected %.9g", j, sums[j], expected[j]);

    double count = by_row ? (double)n : 2 * (double)s->rows; /* as if another member had as many rows */
    for (size_t b = 0; b < s->rows; b++) {
        double sum = 0, product = 0;
        for (size_t j = 0; j < n; j++) {
            double dxhat = (double)s->gamma[j] * (double)s->dy[b * n + j];
            sum += dxhat;
            product += dxhat * xhat(s, true, b * n + j);
        }
        for (size_t j = 0; j < n; j++) {
            size_t i = b * n + j;
            double gamma = (double)s->gamma[j], rstd = (double)s->rstd[by_row ? b : j];
            double average = by_row ? sum / count : gamma * sums[n + j] / count,
                   projected = by_row ? product / count : gamma * sums[j] / count;
            du[i] = rstd * (gamma * (double)s->dy[i] - average - xhat(s, by_row, i) * projected);
        }
    }
    ra_ok(ops->norm_backward(self, NULL, &norm, s->on_u, by_row ? NULL : sums, by_row ? 0 : count, s->on_dy,
                             s->rows, n, &err));
    memset(sums, 0xff, sizeof sums); /* have been read */
    test_assert_near("norm_backward", test_device_get(&s->device, s->on_dy, s->size), du, s->size, 2e-5);
    test_device_close(&s->device);
}

START_TEST(test_layer_norm) {
    check_norm(make_scene(_i), true);
}
END_TEST

START_TEST(test_batch_norm) {
    scene *s = make_scene(_i);
    if (s->rows == 1) /* u = mean everywhere: rstd is 1 / sqrt(epsilon), and rounding is all that is left */
        test_device_close(&s->device);
    else
        check_norm(s, false);
}
END_TEST

START_TEST(test_kernel_sums) {
    scene *s = make_scene(_i);
    size_t n = s->n;
    static double sums[2 * MOST], expected[2 * MOST];
    for (size_t j = 0; j < n; j++) s->gamma[j] = 0.25f + fabsf(s->gamma[j]) / 2; /* thresholds */
    float *on_thresholds = test_device_put(&s->device, s->gamma, n * sizeof(float));
    for (int kernel = 0; kernel < RA_KERNEL_COUNT; kernel++) {
        static const float bandwidth = 0.8f;
        memset(expected, 0, 2 * n * sizeof *expected);
        for (size_t i = 0; i < s->size; i++) {
            float gap = fmaxf(s->u[i], 0) - s->gamma[i % n], kappa;
            ra_kernel_evaluate((ra_kernel)kernel, bandwidth, &gap, &kappa, 1);
            expected[i % n] += (double)kappa * (double)s->dy[i];
            expected[n + i % n] += (double)kappa;
        }
        ra_ok(s->device.ops->kernel_sums(s->device.self, NULL, (ra_kernel)kernel, bandwidth, s->on_u,
                                         s->on_dy, on_thresholds, s->rows, n, sums, &err));
        for (size_t j = 0; j < 2 * n; j++)
            ck_assert_msg(fabs(sums[j] - expected[j]) <= 1e-6 * (1 + fabs(expected[2 * n - 1])),
                          "kernel %d: number %zu is %.9g, expected %.9g", kernel, j, sums[j], expected[j]);
    }
    test_device_close(&s->device);
}
END_TEST

TEST_CASES_LOOP(backend_cuda_norms, 60, SHAPES, test_row_statistics, test_layer_norm, test_batch_norm,
                test_kernel_sums)
