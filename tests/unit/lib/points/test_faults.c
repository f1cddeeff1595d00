/* Each operation of a backend fails in turn while points and traces are looked for (lib/points/{points,nearest,nearest_rows,trace}.c,
 * lib/points/kmeans): each failure is told, and nothing is lost. Leaks show under SANITIZE=address. */
#include "data_files.h"
#include "failing_backend.h"
#include "ra_trace.h"

enum { ROWS = 40, D_ = 3, N = 5 };

static ra_status find(ra_backend *backend, const ra_data *data, int how, ra_error *err) {
    float few[N * D_];
    ra_tensor vectors = ra_tensor_2d(RA_F32, few, N, D_);
    ra_kmeans_options options = {.clusters = N, .max_iterations = 3, .nearest = 2};
    ra_points points = {0};
    ra_trace trace = {0};
    ra_status status;
    test_fill(few, N * D_, 17);
    switch (how) {
    case 0:
        options.method = RA_KMEANS_LLOYD;
        status = ra_points_kmeans(backend, data, &options, &points, err);
        break;
    case 1:
        options.method = RA_KMEANS_MINIBATCH;
        options.rows = 30;
        status = ra_points_kmeans(backend, data, &options, &points, err);
        break;
    case 2:
        status = ra_points_sample(backend, data, N, 7, 3, &points, err);
        break;
    case 3:
        status = ra_points_from(backend, &vectors, data, 2, &points, err);
        break;
    default:
        status = ra_trace_atoms(backend, &vectors, data, &(ra_trace_options){.rows = 2}, &trace, err);
    }
    ra_trace_release(&trace);
    ra_points_release(&points);
    return status;
}

START_TEST(test_each_operation_of_a_device_may_fail) {
    float values[ROWS * D_];
    test_fill(values, ROWS * D_, 3);
    ra_backend *backend = failing_backend_open();
    ra_data *data = data_of(values, ROWS, D_);
    fails_at_each_operation(find(backend, data, _i, &err));
    ra_data_free(data);
    ra_backend_release(backend);
}
END_TEST

TEST_CASES_LOOP(points_faults, 60, 5, test_each_operation_of_a_device_may_fail)
