/* What /metrics prints (server/telemetry/{metrics,process,statistics}.c, server/codec/prometheus.c). */
#include "harness.h"
#include "codec/prometheus.h"
#include "telemetry/metrics.h"
#include "telemetry/process.h"
#include "ra_memory.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { ROUTES = 3, METHODS = 2 };

static metrics *make(void) {
    metrics *counted = NULL;
    ra_ok(metrics_new(&(metrics_options){.routes = ROUTES, .methods = METHODS}, &counted, &err));
    return counted;
}

static void end(metrics *counted, size_t route, size_t method, int status, uint64_t us) {
    metrics_began(counted);
    metrics_ended(
        counted, route, method,
        &(request_event){.status = status, .bytes_in = 10, .bytes_out = 100, .us = {us, 1, 2, 3, us}});
}

static size_t index_of(int status) {
    size_t i = 0;
    while (i < METRICS_STATUSES - 1 && metrics_statuses[i] != status) i++;
    return i;
}

START_TEST(test_statuses_ascend) {
    for (size_t i = 1; i < METRICS_STATUSES; i++)
        ck_assert_int_lt(metrics_statuses[i - 1], metrics_statuses[i]);
    ck_assert_int_eq(metrics_statuses[METRICS_STATUSES - 1], METRICS_OTHER_STATUS);
}
END_TEST

START_TEST(test_requests_are_told_apart) {
    metrics *counted = make();
    end(counted, 0, 0, 200, 1);
    end(counted, 2, 1, 404, 1);
    end(counted, 2, 1, 404, 1);
    end(counted, 2, 1, 299, 1);
    end(counted, 2, 1, -1, 1);
    end(counted, 2, 1, 12345, 1);
    ck_assert_uint_eq(metrics_requests(counted, 0, 0, index_of(200)), 1);
    ck_assert_uint_eq(metrics_requests(counted, 0, 1, index_of(200)), 0);
    ck_assert_uint_eq(metrics_requests(counted, 2, 1, index_of(404)), 2);
    ck_assert_uint_eq(metrics_requests(counted, 2, 1, METRICS_STATUSES - 1), 3);
    ck_assert_uint_eq(metrics_route(counted, 2).bytes_in, 50);
    ck_assert_uint_eq(metrics_route(counted, 2).bytes_out, 500);
    ck_assert_uint_eq(metrics_route(counted, 2).us.compute, 10);
    metrics_ended(counted, ROUTES, 0, &(request_event){.status = 200}); /* no such route and method */
    metrics_ended(counted, 0, METHODS, &(request_event){.status = 200});
    metrics_free(counted);
}
END_TEST

START_TEST(test_bounds_belong_to_their_bucket) {
    metrics *counted = make();
    for (uint64_t us = 0; us <= 100; us += 100) end(counted, 1, 0, 200, us);
    end(counted, 1, 0, 200, 101);
    end(counted, 1, 0, 200, 10000000);
    end(counted, 1, 0, 200, 10000001);
    metrics_histogram histogram = metrics_durations(counted, 1);
    ck_assert_uint_eq(histogram.bounds[0], 100);
    ck_assert_uint_eq(histogram.counts[0], 2);
    ck_assert_uint_eq(histogram.counts[1], 1);
    ck_assert_uint_eq(histogram.counts[histogram.size - 1], 1);
    ck_assert_uint_eq(histogram.counts[histogram.size], 1);
    ck_assert_uint_eq(histogram.sum, 20000202);
    metrics_joined(counted, 1);
    metrics_joined(counted, 3);
    metrics_joined(counted, 100000);
    histogram = metrics_batches(counted);
    ck_assert_uint_eq(histogram.counts[0], 1);
    ck_assert_uint_eq(histogram.counts[2], 1);
    ck_assert_uint_eq(histogram.counts[histogram.size], 1);
    ck_assert_uint_eq(histogram.sum, 100004);
    metrics_free(counted);
}
END_TEST

START_TEST(test_in_flight) {
    metrics *counted = make();
    ck_assert_uint_eq(metrics_in_flight(counted), 0);
    metrics_began(counted);
    metrics_began(counted);
    ck_assert_uint_eq(metrics_in_flight(counted), 2);
    metrics_ended(counted, 0, 0, &(request_event){.status = 200});
    ck_assert_uint_eq(metrics_in_flight(counted), 1);
    metrics_free(counted);
}
END_TEST

START_TEST(test_null_counts_nothing) {
    metrics_began(NULL);
    metrics_ended(NULL, 0, 0, &(request_event){.status = 200});
    metrics_joined(NULL, 1);
    metrics_free(NULL);
}
END_TEST

enum { THREADS = 8, EACH = 2000 };

static void *keep_counting(void *context) {
    for (int i = 0; i < EACH; i++) {
        end(context, 1, 1, 200, 7);
        metrics_joined(context, 2);
    }
    return NULL;
}

START_TEST(test_threads_lose_nothing) {
    metrics *counted = make();
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, keep_counting, counted), 0);
    /* a concurrent reading may be too high, but never wraps below zero */
    for (int i = 0; i < 100; i++) ck_assert_uint_le(metrics_in_flight(counted), THREADS * EACH);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    ck_assert_uint_eq(metrics_requests(counted, 1, 1, index_of(200)), THREADS * EACH);
    ck_assert_uint_eq(metrics_durations(counted, 1).sum, THREADS * EACH * 7);
    ck_assert_uint_eq(metrics_batches(counted).sum, THREADS * EACH * 2);
    ck_assert_uint_eq(metrics_in_flight(counted), 0);
    metrics_free(counted);
}
END_TEST

START_TEST(test_memory_that_runs_out) {
    metrics *counted = NULL;
    ra_status status = RA_ERR_MEMORY;
    for (size_t n = 1; status != RA_OK; n++) {
        ra_memory_fail_at(n);
        status = metrics_new(&(metrics_options){.routes = ROUTES, .methods = METHODS}, &counted, NULL);
        ra_memory_fail_at(0);
        ck_assert(status == RA_OK || (status == RA_ERR_MEMORY && !counted));
    }
    metrics_free(counted);
}
END_TEST

/* ---- the text ------------------------------------------------------------------------------------------ */

START_TEST(test_prometheus_text) {
    text out = {0};
    static const uint64_t bounds[] = {100, 2500}, counts[] = {3, 0, 2};
    prometheus_family(&out, "a_total", "counter", "What a is.");
    prometheus_value(&out, "a_total", NULL, 17);
    prometheus_value(&out, "a_total", (const char *const[]){"x", "q\"b\\s\nl", "y", "z", NULL}, 0.1);
    prometheus_histogram(&out, "b_seconds", (const char *const[]){"x", "y", NULL}, bounds, counts, 2, 12345,
                         1e-6);
    prometheus_histogram(&out, "c_rows", NULL, bounds, counts, 2, 5, 1);
    text_append(&out, "", 1);
    ck_assert_str_eq(out.data, "# HELP a_total What a is.\n# TYPE a_total counter\na_total 17\n"
                               "a_total{x=\"q\\\"b\\\\s\\nl\",y=\"z\"} 0.1\n"
                               "b_seconds_bucket{x=\"y\",le=\"0.0001\"} 3\n"
                               "b_seconds_bucket{x=\"y\",le=\"0.0025\"} 3\n"
                               "b_seconds_bucket{x=\"y\",le=\"+Inf\"} 5\n"
                               "b_seconds_sum{x=\"y\"} 0.012345\nb_seconds_count{x=\"y\"} 5\n"
                               "c_rows_bucket{le=\"100\"} 3\nc_rows_bucket{le=\"2500\"} 3\n"
                               "c_rows_bucket{le=\"+Inf\"} 5\nc_rows_sum 5\nc_rows_count 5\n");
    text_release(&out);
}
END_TEST

START_TEST(test_the_process_is_seen) {
    process_use use = process_look();
    ck_assert_double_gt(use.cpu_seconds, 0);
    ck_assert_double_gt(use.start_seconds, 1.5e9);
    ck_assert_double_gt(use.resident_bytes, 1e5);
    ck_assert_double_ge(use.virtual_bytes, use.resident_bytes);
    ck_assert_uint_ge(use.threads, 1);
    ck_assert_uint_ge(use.open_descriptors, 3);
    ck_assert_uint_ge(use.max_descriptors, use.open_descriptors);
}
END_TEST

/* If the start moved, the process would seem to have restarted. */
START_TEST(test_the_start_stays_where_it_was) {
    double first = process_look().start_seconds;
    for (int i = 0; i < 1000; i++) ck_assert(process_look().start_seconds == first);
}
END_TEST

TEST_CASES(server_metrics, test_statuses_ascend, test_requests_are_told_apart,
           test_bounds_belong_to_their_bucket, test_in_flight, test_null_counts_nothing,
           test_threads_lose_nothing, test_memory_that_runs_out, test_prometheus_text,
           test_the_process_is_seen, test_the_start_stays_where_it_was)
