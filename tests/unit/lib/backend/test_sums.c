/* Elementwise operations and sums (lib/backend/{cpu,reference}/sums.c and the plugins') against the reference;
 * the eight kernels of lib/backend/kernels.c; and what every backend must have. */
#include "backend_pair.h"
#include "backend/backend.h"

#include <math.h>
#include <string.h>

START_TEST(test_elements) {
    shape s = shape_of_case(_i);
    pair p = pair_open(s.device);
    size_t rows = s.first, n = s.second, size = rows * n, bytes = size * sizeof(float);
    float *x = numbers(size, 1), *y = numbers(size, 2), *row = numbers(n, 3), *out = numbers(size, 4);
    float *on_x = pair_put(&p, x, bytes), *on_y = pair_put(&p, y, bytes), *on_row = pair_put(&p, row, n * 4);
    static const ra_dtype dtypes[] = {RA_F32, RA_F16, RA_BF16};
    for (size_t i = 0; i < 3; i++) {
        ra_convert_from_f32(dtypes[i], x, out, size);
        void *on_narrow = pair_put(&p, out, size * ra_dtype_size(dtypes[i]));
        float *narrow = numbers(size, 4);
        memcpy(narrow, out, size * ra_dtype_size(dtypes[i]));
        PAIR_RUN(p, widen, (dtypes[i], narrow, y, size), (dtypes[i], on_narrow, on_y, size));
        pair_get(&p, out, on_y, bytes);
        ck_assert_mem_eq(out, y, bytes);
        pair_drop(&p, BLOCKS(on_narrow));
        ra_free(narrow);
    }
    PAIR_RUN(p, broadcast_row, (row, y, rows, n), (on_row, on_y, rows, n));
    pair_get(&p, out, on_y, bytes);
    ck_assert_mem_eq(out, y, bytes);
    x[0] = 0;
    pair_set(&p, on_x, x, bytes);
    PAIR_RUN(p, relu, (x, y, size), (on_x, on_y, size));
    pair_get(&p, out, on_y, bytes);
    assert_close(out, y, size, 0);
    PAIR_RUN(p, relu, (x, x, size), (on_x, on_x, size));
    pair_get(&p, out, on_x, bytes);
    assert_close(out, y, size, 0);
    double *factor = ra_malloc(rows, sizeof *factor);
    for (size_t i = 0; i < rows; i++) factor[i] = (double)y[i * n] - 1.0 / 3;
    PAIR_RUN(p, scale_rows, (factor, x, rows, n), (factor, on_x, rows, n));
    memset(factor, 0, rows * sizeof *factor); /* it has been read */
    pair_get(&p, out, on_x, bytes);
    assert_close(out, x, size, 0);
    pair_drop(&p, BLOCKS(on_x, on_y, on_row));
    forget(BLOCKS(x, y, row, out, factor));
    pair_close(&p);
}
END_TEST

START_TEST(test_squared_error) {
    shape s = shape_of_case(_i);
    pair p = pair_open(s.device);
    size_t n = s.first * s.second, bytes = n * sizeof(float);
    double sums[2];
    for (int where = 0; where < 3; where++) { /* g: memory of its own, a, b */
        float *a = numbers(n, 1), *b = numbers(n, 2), *g = numbers(n, 3), *out = numbers(n, 4);
        float *on_a = pair_put(&p, a, bytes), *on_b = pair_put(&p, b, bytes), *on_g = pair_put(&p, g, bytes);
        float *target = where == 0   ? g
                        : where == 1 ? a
                                     : b,
              *on_target = where == 0   ? on_g
                           : where == 1 ? on_a
                                        : on_b;
        PAIR_RUN(p, squared_error, (a, b, n, 0.3, target, &sums[0]),
                 (on_a, on_b, n, 0.3, on_target, &sums[1]));
        ck_assert_double_eq_tol(sums[1], sums[0], 1e-12 * sums[0]);
        pair_get(&p, out, on_target, bytes);
        assert_close(out, target, n, 0);
        pair_drop(&p, BLOCKS(on_a, on_b, on_g));
        forget(BLOCKS(a, b, g, out));
    }
    pair_close(&p);
}
END_TEST

START_TEST(test_sums_over_columns_and_rows) {
    shape s = shape_of_case(_i);
    pair p = pair_open(s.device);
    size_t rows = s.first, n = s.second, bytes = rows * n * sizeof(float), most = rows > n ? rows : n;
    float *x = numbers(rows * n, 1), *on_x = pair_put(&p, x, bytes);
    double *a = ra_malloc(most, sizeof *a), *b = ra_malloc(most, sizeof *b), *center = ra_malloc(n, 8);
    PAIR_RUN(p, column_sums, (x, rows, n, NULL, a), (on_x, rows, n, NULL, b));
    assert_doubles_close(b, a, n, 1e-10);
    for (size_t j = 0; j < n; j++) center[j] = a[j] / (double)rows + 0.01;
    PAIR_RUN(p, column_sums, (x, rows, n, center, a), (on_x, rows, n, center, b));
    assert_doubles_close(b, a, n, 1e-10);
    for (int l1 = 0; l1 < 2; l1++) {
        PAIR_RUN(p, row_norms, (x, rows, n, l1, a), (on_x, rows, n, l1, b));
        assert_doubles_close(b, a, rows, 1e-12);
    }
    pair_drop(&p, BLOCKS(on_x));
    forget(BLOCKS(x, a, b, center));
    pair_close(&p);
}
END_TEST

START_TEST(test_kernel_sums) {
    shape s = shape_of_case(_i);
    pair p = pair_open(s.device);
    size_t rows = s.first, n = s.second, bytes = rows * n * sizeof(float);
    float *pre = numbers(rows * n, 1), *g = numbers(rows * n, 2), *thresholds = numbers(n, 3);
    for (size_t j = 0; j < n; j++) thresholds[j] = fabsf(thresholds[j]);
    float *on_pre = pair_put(&p, pre, bytes), *on_g = pair_put(&p, g, bytes),
          *on_thresholds = pair_put(&p, thresholds, n * sizeof *thresholds);
    double *a = ra_malloc(2 * n, sizeof *a), *b = ra_malloc(2 * n, sizeof *b);
    for (ra_kernel kernel = 0; kernel < RA_KERNEL_COUNT; kernel++) {
        PAIR_RUN(p, kernel_sums, (kernel, 0.75f, pre, g, thresholds, rows, n, a),
                 (kernel, 0.75f, on_pre, on_g, on_thresholds, rows, n, b));
        assert_doubles_close(b, a, n, 1e-5);
        assert_doubles_close(b + n, a + n, n, 1e-6);
    }
    pair_drop(&p, BLOCKS(on_pre, on_g, on_thresholds));
    forget(BLOCKS(pre, g, thresholds, a, b));
    pair_close(&p);
}
END_TEST

START_TEST(test_nothing_is_missing_from_a_table) {
    for (int device = 0; device < TESTED_DEVICES; device++) {
        pair p = pair_open(device);
        const ra_backend_ops *ops = p.tested->ops;
#define RA_OPERATION(name, parameters, arguments)                                                            \
    ck_assert_msg(ops->name != NULL, "%s has no %s", ra_backend_name(p.tested), #name);
#include "ra_backend_operations.h"
        pair_close(&p);
    }
}
END_TEST

/* Outside of the grid: sums over more parts than are kept at a time use larger parts. */
START_TEST(test_sums_of_many_blocks) {
    enum { N = (1 << 24) + 1000 };
    pair p = pair_open(0);
    float *x = numbers(N, 1), *g = numbers(N, 2);
    double a, b;
    PAIR_RUN(p, squared_error, (x, g, N, 0, g, &a), (x, g, N, 1, g, &b));
    ck_assert_double_eq_tol(b, 1.0 / 3 * N,
                            0.01 * N); /* the first run set g to zero: E[x^2] of x in [-1, 1) */
    ra_ok(ra_backend_dot(p.tested, g, g, N, &a, &err));
    ck_assert_double_eq_tol(a, b, 1e-9 * b);
    forget(BLOCKS(x, g));
    pair_close(&p);
}
END_TEST

/* Every operation that sums gives the same bits with one thread and with several. */
START_TEST(test_sums_do_not_depend_on_the_number_of_threads) {
    enum { ROWS = 700, N = 300 };
    float *u = numbers(ROWS * N, 1), *v = numbers(ROWS * N, 2), *g = numbers(ROWS * N, 3);
    float statistics[2 * ROWS], gamma[N];
    test_fill(gamma, N, 4);
    const ra_norm norm = {true, statistics, statistics + ROWS, gamma, NULL};
    struct results {
        double error, columns[N], rows[ROWS], norm[2 * N], kernel[2 * N];
        float statistics[2 * ROWS], du[16 * N];
    } *first = ra_calloc(1, sizeof *first), *now = ra_calloc(1, sizeof *now);
    for (size_t threads = 1; threads <= 4; threads++) {
        ra_backend *backend = NULL;
        ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = threads}, &backend, &err));
        ra_ok(ra_backend_squared_error(backend, u, v, ROWS * N, 1, g, &now->error, &err));
        ra_ok(ra_backend_column_sums(backend, u, ROWS, N, NULL, now->columns, &err));
        ra_ok(ra_backend_row_norms(backend, u, ROWS, N, true, now->rows, &err));
        ra_ok(ra_backend_layer_norm(backend, u, ROWS, N, 1e-5, gamma, gamma, statistics, statistics + ROWS, g,
                                    &err));
        ra_ok(ra_backend_norm_sums(backend, &norm, u, v, ROWS, N, now->norm, &err));
        ra_ok(
            ra_backend_kernel_sums(backend, RA_KERNEL_CAUCHY, 0.5f, u, v, gamma, ROWS, N, now->kernel, &err));
        ra_ok(ra_backend_norm_backward(backend, &norm, u, NULL, 0, g, ROWS, N, &err));
        memcpy(now->statistics, statistics, sizeof statistics);
        memcpy(now->du, g, sizeof now->du);
        if (threads == 1) memcpy(first, now, sizeof *now);
        ck_assert_mem_eq(now, first, sizeof *now);
        ra_backend_release(backend);
    }
    ck_assert_double_gt(first->error, 0);
    forget(BLOCKS(u, v, g, first, now));
}
END_TEST

TEST_CASES_LOOP(backend_sums, 60, CASES, test_elements, test_squared_error, test_sums_over_columns_and_rows,
                test_kernel_sums)
TEST_CASES_SLOW(backend_tables, 60, test_nothing_is_missing_from_a_table, test_sums_of_many_blocks,
                test_sums_do_not_depend_on_the_number_of_threads)
