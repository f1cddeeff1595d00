/* The CUDA plugin (lib/backend/cuda) over an emulated device: why it cannot be used, copies through staging
 * buffers, streams and threads, numbers that are not finite, and a device that is lost. test_backend.c tests
 * its arithmetic together with the CPU's. */
#include "emulated.h"
#include "harness.h"
#include "ra_backend.h"
#include "ra_memory.h"

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define DEVICE "cuda-emulated"

static ra_backend *open_device(void) {
    ra_backend *backend = NULL;
    ra_ok(ra_backend_open(DEVICE, NULL, &backend, &err));
    return backend;
}

/* ---- what is missing ----------------------------------------------------------------------------------- */

START_TEST(test_says_what_is_missing) {
    emulated device = emulated_open();
    ra_backend *backend = NULL;
    device.machine(0, 0, 0);
    ra_fails(ra_backend_open(DEVICE, NULL, &backend, &err), RA_ERR_DEVICE,
             "the device cuda-emulated cannot be used: this machine has no NVIDIA driver (libcuda.so.1)");
    device.machine(12020, 1, 90);
    ra_fails(ra_backend_open(DEVICE, NULL, &backend, &err), RA_ERR_DEVICE,
             "the NVIDIA driver supports CUDA 12.2 at most, CUDA 13.0 is needed");
    device.machine(13000, 0, 90);
    ra_fails(ra_backend_open(DEVICE, NULL, &backend, &err), RA_ERR_DEVICE,
             "this machine has an NVIDIA driver, but no GPU that it can use");
    device.machine(13000, 1, 90);
    ra_fails(ra_backend_open(DEVICE ":1", NULL, &backend, &err), RA_ERR_DEVICE,
             "there is no device cuda:1: this machine has 1 GPU, numbered from 0");
    device.machine(13000, 2, 61);
    ra_fails(ra_backend_open(DEVICE ":1", NULL, &backend, &err), RA_ERR_DEVICE,
             "the device cuda:1 has compute capability 6.1; at least 7.5 is needed");
    device.machine(13000, 2, 75);
    ra_ok(ra_backend_open(DEVICE ":1", NULL, &backend, &err));
    ck_assert_str_eq(ra_backend_name(backend), "cuda");
    ck_assert(!ra_backend_host_memory(backend));
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

START_TEST(test_a_device_describes_itself) {
    emulated device = emulated_open();
    ra_backend *backend = open_device();
    void *symbol = dlsym(device.library, RA_BACKEND_PLUGIN_DESCRIBE);
    ra_backend_describe_fn *describe;
    char text[256];
    ck_assert_ptr_nonnull(symbol);
    memcpy(&describe, &symbol, sizeof describe);
    describe(backend->self, text, sizeof text);
    ck_assert_msg(strstr(text, "an emulated device, compute capability 9.0, 1 multiprocessors, 16.0 GiB") ==
                      text,
                  "%s", text);
    ck_assert_msg(strstr(text, "driver for CUDA 13.0, runtime 13.0, cuBLAS 130000"), "%s", text);
    for (size_t call = 1; call <= 3; call++) {
        device.fail_at(call, 1);
        describe(backend->self, text, sizeof text);
        ck_assert_str_eq(text, "cuda:0, which does not answer");
    }
    device.fail_at(0, 0);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

static void keep_line(void *context, ra_log_level level, const char *line) {
    (void)level;
    snprintf(context, 512, "%s", line);
}

/* A copy of the emulated plugin lies next to the test program under the real one's name. */
START_TEST(test_auto_takes_the_device_or_says_why_not) {
    char line[512] = "";
    emulated device = emulated_open();
    ra_backend *backend = NULL;
    ra_log_set_sink(keep_line, line);
    device.machine(0, 0, 0);
    ra_ok(ra_backend_open("auto", NULL, &backend, &err));
    ck_assert_str_eq(ra_backend_name(backend), "cpu");
    ra_backend_release(backend);
    ck_assert_str_eq(line, "using the CPU: the device cuda cannot be used: this machine has no NVIDIA driver "
                           "(libcuda.so.1)");
    line[0] = '\0';
    device.machine(13000, 1, 90);
    ra_ok(ra_backend_open("auto", &(ra_backend_options){.tf32 = true}, &backend, &err));
    ck_assert_str_eq(ra_backend_name(backend), "cuda");
    ck_assert(ra_backend_tf32(backend));
    ra_backend *beside = NULL;
    ra_ok(ra_backend_open_host(backend, &beside, &err));
    ck_assert_str_eq(ra_backend_name(beside), "cpu");
    ck_assert(!ra_backend_tf32(beside));
    ra_backend_release(backend);
    ra_ok(ra_backend_open_host(beside, &backend, &err)); /* ordinary memory already */
    ck_assert_ptr_eq(backend, beside);
    ra_backend_release(backend);
    ra_backend_release(beside);
    ck_assert_str_eq(line, ""); /* nothing to explain */
    ra_log_set_sink(NULL, NULL);
    emulated_close(&device);
}
END_TEST

/* A driver keeps functions of the code that used it, and loading it again takes long. */
START_TEST(test_a_plugin_stays_loaded) {
    ra_backend *backend = open_device();
    Dl_info where;
    ck_assert(dladdr(backend->ops, &where) != 0);
    char file[4096];
    snprintf(file, sizeof file, "%s", where.dli_fname);
    ra_backend_release(backend);
    void *still = dlopen(file, RTLD_LAZY | RTLD_NOLOAD);
    ck_assert_ptr_nonnull(still);
    dlclose(still);
}
END_TEST

/* ---- copies -------------------------------------------------------------------------------------------- */

/* Copies of several staging buffers' size, more than there are buffers; the sources are overwritten at
 * once. */
START_TEST(test_copies_of_any_size) {
    ra_backend *backend = open_device();
    static const size_t lengths[] = {1, 4096, (1 << 20) - 1, (1 << 20) + 1, (6 << 20) + 12345};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t length = lengths[i];
        unsigned char *sent = ra_malloc(length, 1), *back = ra_malloc(length, 2),
                      *expected = ra_calloc(length, 2); /* allocation is zeroed */
        for (size_t j = 0; j < length; j++) sent[j] = expected[j] = (unsigned char)(j * 7 + j / 251);
        void *block = NULL, *clear = NULL;
        ra_ok(ra_backend_allocate(backend, length, &block, &err));
        ra_ok(ra_backend_allocate(backend, length, &clear, &err));
        ra_ok(ra_backend_upload(backend, block, sent, length, &err));
        memset(sent, 0xee, length);
        /* two downloads in progress at once */
        memset(back, 1, 2 * length);
        ra_ok(ra_backend_download(backend, back, block, length, &err));
        ra_ok(ra_backend_download(backend, back + length, clear, length, &err));
        ra_ok(ra_backend_synchronize(backend, &err));
        ck_assert(memcmp(back, expected, 2 * length) == 0);
        ra_backend_deallocate(backend, block);
        ra_backend_deallocate(backend, clear);
        ra_free(expected);
        ra_free(sent);
        ra_free(back);
    }
    ra_backend_deallocate(backend, NULL);
    ra_backend_release(backend);
}
END_TEST

/* A download is complete after the wait and not before; calls on one stream run in order. */
START_TEST(test_a_stream_runs_in_order_and_only_when_waited_for) {
    ra_backend *backend = open_device();
    ra_stream stream;
    float x[3] = {1, 2, 3}, got[3] = {0};
    void *block = NULL;
    ra_ok(ra_stream_new(backend, &stream, &err));
    ra_ok(ra_backend_allocate(backend, sizeof x, &block, &err));
    for (int i = 0; i < 20; i++) { /* more copies than staging buffers */
        ra_ok(ra_stream_upload(stream, block, x, sizeof x, &err));
        ra_ok(ra_stream_axpby(stream, 0, NULL, 2, block, 3, &err));
        ra_ok(ra_stream_download(stream, x, block, sizeof x, &err));
        ra_ok(ra_stream_synchronize(stream, &err));
        for (int j = 0; j < 3; j++) ck_assert(x[j] == (float)(j + 1) * ldexpf(1, i + 1));
    }
    ra_ok(ra_stream_download(stream, got, block, sizeof got, &err));
    ck_assert(got[0] == 0);
    ra_ok(ra_stream_synchronize(stream, &err));
    ck_assert(got[0] == x[0]);
    ra_backend_deallocate(backend, block);
    ra_stream_free(stream);
    ra_backend_release(backend);
}
END_TEST

/* Doubles that are deferred: several sums, one wait. */
START_TEST(test_sums_that_come_later) {
    emulated device = emulated_open();
    ra_backend *backend = open_device();
    void *block = NULL;
    const float x[3] = {1, 2, 3};
    double sums[3] = {-1, -1, -1};
    float rounded = 0;
    ra_ok(ra_backend_allocate(backend, 2 * sizeof x, &block, &err));
    ra_ok(ra_backend_put(backend, block, x, sizeof x, &err));
    ra_ok(ra_backend_dot(backend, block, block, 3, &sums[2], &err)); /* makes scratch memory, which waits */
    (void)device.count();
    ra_backend_defer(backend, true);
    ra_ok(ra_backend_dot(backend, block, block, 3, &sums[0], &err));
    ra_ok(ra_backend_dot(backend, block, block, 2, &sums[1], &err));
    ra_backend_defer(backend, false);
    ra_ok(ra_backend_dot_into(backend, block, block, 3, (float *)block + 3, &err));
    ck_assert(sums[0] == -1 && sums[1] == -1);
    ck_assert_uint_eq(device.count().waits, 0);
    ra_ok(ra_backend_dot(backend, block, block, 1, &sums[2], &err));
    ck_assert_uint_eq(device.count().waits, 1);
    ck_assert(sums[0] == 14 && sums[1] == 5 && sums[2] == 1);
    ra_ok(ra_backend_get(backend, &rounded, (float *)block + 3, sizeof rounded, &err));
    ck_assert(rounded == 14);
    ra_backend_deallocate(backend, block);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

/* ---- memory -------------------------------------------------------------------------------------------- */

/* cuBLAS works in memory that is counted, and in less of it where there is little. */
START_TEST(test_the_work_area_of_products_is_counted) {
    emulated device = emulated_open();
    ra_backend *backend = open_device();
    ra_stream stream = {0};
    const float two = 2;
    float got = 0;
    void *block = NULL;
    size_t before, after, total;
    ra_ok(ra_backend_allocate(backend, 2 * sizeof two, &block, &err));
    ra_ok(ra_backend_put(backend, block, &two, sizeof two, &err));
    for (int little = 0; little < 2; little++) {
        ra_ok(ra_backend_memory(backend, &before, &total, &err));
        if (little) device.set_memory(total - before + 1000);
        ra_ok(ra_backend_synchronize(backend, &err)); /* the other stream uses what was put */
        ra_ok(ra_stream_new(backend, &stream, &err));
        ra_ok(ra_backend_memory(backend, &after, &total, &err));
        ck_assert_uint_eq(little ? 1000 - after : before - after, little ? 256 : 8192);
        ra_ok(ra_stream_gemm(stream, false, false, 1, 1, 1, 1, block, 1, block, 1, 0, (float *)block + 1, 1,
                             &err));
        ra_ok(ra_stream_synchronize(stream, &err));
        ra_ok(ra_backend_get(backend, &got, (float *)block + 1, sizeof got, &err));
        ck_assert(got == 4);
        ra_ok(ra_backend_memory(backend, &before, &total, &err));
        ck_assert_uint_eq(before, after); /* the product took no more */
        ra_stream_free(stream);
    }
    ra_ok(ra_backend_memory(backend, &before, &total, &err));
    device.set_memory(total - before + 100);
    ra_fails(ra_stream_new(backend, &stream, &err), RA_ERR_MEMORY, "starting cuBLAS: out of memory");
    ra_backend_deallocate(backend, block);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

/* A product of no terms is zero. */
START_TEST(test_a_product_over_nothing) {
    ra_backend *backend = open_device();
    const float three = 3;
    float got = 1;
    void *block = NULL;
    ra_ok(ra_backend_allocate(backend, sizeof three, &block, &err));
    ra_ok(ra_backend_put(backend, block, &three, sizeof three, &err));
    ra_ok(ra_backend_gemm(backend, false, true, 1, 1, 0, 1, block, 0, block, 0, 0, block, 1, &err));
    ra_ok(ra_backend_get(backend, &got, block, sizeof got, &err));
    ck_assert(got == 0);
    ra_backend_deallocate(backend, block);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_memory_that_is_left) {
    enum { ALL = 1 << 20, PART = ALL / 4 };
    emulated device = emulated_open();
    device.set_memory(ALL);
    ra_backend *backend = open_device();
    void *block = NULL, *other = NULL;
    size_t before, available, total;
    ra_ok(ra_backend_memory(backend, &before, &total, &err));
    ck_assert_uint_eq(total, ALL);
    ck_assert_uint_le(before, ALL);
    ra_ok(ra_backend_allocate(backend, PART, &block, &err));
    ra_ok(ra_backend_memory(backend, &available, &total, &err));
    ck_assert_uint_eq(available, before - PART);
    ra_fails(ra_backend_allocate(backend, available + 1, &other, &err), RA_ERR_MEMORY,
             "out of memory: an array on the device cuda:0 needs");
    ck_assert_ptr_null(other);
    ra_ok(ra_backend_allocate(backend, available, &other, &err));
    ra_backend_deallocate(backend, other);
    ra_backend_deallocate(backend, block);
    ra_ok(ra_backend_memory(backend, &available, &total, &err));
    ck_assert_uint_eq(available, before);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

/* ---- threads ------------------------------------------------------------------------------------------- */

typedef struct worker {
    ra_backend *backend;
    bool own_stream;
    double sum;
    ra_status status;
} worker;

static void *sum_many(void *context) {
    worker *w = context;
    void *block = NULL;
    ra_stream stream = ra_backend_default_stream(w->backend);
    float x[100];
    for (int i = 0; i < 100; i++) x[i] = (float)i;
    w->status = w->own_stream ? ra_stream_new(w->backend, &stream, NULL) : RA_OK;
    if (w->status == RA_OK) w->status = ra_backend_allocate(w->backend, sizeof x, &block, NULL);
    for (int i = 0; i < 20 && w->status == RA_OK; i++) {
        double sum = 0;
        w->status = ra_stream_upload(stream, block, x, sizeof x, NULL);
        if (w->status == RA_OK) w->status = ra_stream_dot(stream, block, block, 100, &sum, NULL);
        w->sum += sum;
    }
    ra_backend_deallocate(w->backend, block);
    ra_stream_free(stream);
    return NULL;
}

START_TEST(test_threads_share_a_device) {
    ra_backend *backend = open_device();
    worker workers[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        workers[i] = (worker){.backend = backend, .own_stream = i % 2};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, sum_many, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(workers[i].status, RA_OK);
        ck_assert_double_eq(workers[i].sum, 20 * 328350.0);
    }
    ra_backend_release(backend);
}
END_TEST

/* ---- numbers that are none ----------------------------------------------------------------------------- */

START_TEST(test_selections_of_special_numbers) {
    ra_backend *backend = open_device(), *oracle = NULL;
    ra_ok(ra_backend_open("reference", NULL, &oracle, &err));
    void *block = NULL;
    const float scores[] = {NAN, -0.0f, 0.0f,     INFINITY, 1e-45f, 1,     -INFINITY, 1,
                            -1,  NAN,   INFINITY, 1,        0.0f,   -0.0f, 3e38f};
    enum { N = sizeof scores / sizeof *scores };
    ra_ok(ra_backend_allocate(backend, sizeof scores, &block, &err));
    ra_ok(ra_backend_upload(backend, block, scores, sizeof scores, &err));
    static const float bars[] = {-INFINITY, -0.5f, 0, INFINITY};
    for (size_t k = 1; k <= N; k++) {
        ra_codes a = {0}, b = {0};
        for (size_t i = 0; i < sizeof bars / sizeof *bars; i++) {
            ra_ok(ra_backend_top_k(oracle, scores, 1, N, k, bars[i], &a, &err));
            ra_ok(ra_backend_top_k(backend, block, 1, N, k, bars[i], &b, &err));
            ck_assert_uint_eq(ra_codes_entries(&a), ra_codes_entries(&b));
            ck_assert(memcmp(a.index, b.index, ra_codes_entries(&a) * sizeof *a.index) == 0);
            ck_assert(memcmp(a.value, b.value, ra_codes_entries(&a) * sizeof *a.value) == 0);
        }
        float x, y;
        ra_ok(ra_backend_kth_largest(oracle, scores, N, k, &x, &err));
        ra_ok(ra_backend_kth_largest(backend, block, N, k, &y, &err));
        ck_assert(x == y);
        ra_codes_release(&a);
        ra_codes_release(&b);
    }
    ra_backend_deallocate(backend, block);
    ra_backend_release(oracle);
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_atoms_of_another_type_are_refused) {
    ra_backend *backend = open_device();
    ra_codes codes = {0};
    ra_ok(ra_codes_from_dense(&codes, (const float[]){1, 2}, 1, 2, &err));
    ra_fails(ra_backend_decode(backend, &codes, RA_F64, NULL, 2, NULL, &err), RA_ERR_DTYPE,
             "atoms of type F64");
    ra_fails(ra_backend_dots(backend, NULL, 1, RA_F64, NULL, 1, 1, NULL, NULL, 1, &err), RA_ERR_DTYPE,
             "rows of type F64 cannot be multiplied");
    ra_codes_release(&codes);
    ra_backend_release(backend);
}
END_TEST

/* ---- a device that is gone ----------------------------------------------------------------------------- */

/* After the device is lost, every operation fails at once, without a call to the device. */
START_TEST(test_a_lost_device_stays_lost) {
    emulated device = emulated_open();
    ra_backend *backend = open_device();
    void *block = NULL, *other = NULL;
    ra_stream stream;
    double sum;
    ra_ok(ra_backend_allocate(backend, 400, &block, &err));
    ra_ok(ra_backend_dot(backend, block, block, 100, &sum, &err));
    device.fail_at(2, 700); /* the first selects the device */
    ra_fails(ra_backend_dot(backend, block, block, 100, &sum, &err), RA_ERR_DEVICE,
             "the device cuda:0 failed at a dot product and does not respond until the program is restarted: "
             "an illegal "
             "memory access was encountered (cudaErrorIllegalAddress)");
    device.fail_at(0, 0);
    ra_fails(ra_backend_axpby(backend, 0, NULL, 0, block, 100, &err), RA_ERR_DEVICE,
             "failed at an earlier call");
    ra_fails(ra_backend_allocate(backend, 4, &other, &err), RA_ERR_DEVICE, "failed at an earlier call");
    ra_fails(ra_stream_new(backend, &stream, &err), RA_ERR_DEVICE, "failed at an earlier call");
    ra_fails(ra_backend_synchronize(backend, &err), RA_ERR_DEVICE, "failed at an earlier call");
    ck_assert_uint_eq(device.calls(), 0);
    ra_backend_deallocate(backend, block);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

/* A kernel fails after its launch: the next wait tells, whatever waits, and everything after it. */
START_TEST(test_a_kernel_that_fails_when_it_runs) {
    emulated device = emulated_open();
    for (int how = 0; how < 4; how++) {
        ra_backend *backend = NULL;
        ra_ok(ra_backend_open(DEVICE, &(ra_backend_options){.yield = how == 3}, &backend, &err));
        void *block = NULL;
        float got[4] = {7, 7, 7, 7};
        double sum = 0;
        ra_ok(ra_backend_allocate(backend, sizeof got, &block, &err));
        device.fail_later(2, 700);
        ra_ok(ra_backend_axpby(backend, 0, NULL, 1, block, 4, &err));
        ra_ok(ra_backend_relu(backend, block, block, 4, &err)); /* this one */
        ra_ok(ra_backend_relu(backend, block, block, 4, &err)); /* is not known yet */
        static const char said[] =
            "the device cuda:0 failed at waiting for a stream and does not respond until the "
            "program is restarted: an illegal memory access was encountered";
        if (how == 0) ra_fails(ra_backend_synchronize(backend, &err), RA_ERR_DEVICE, said);
        if (how == 1) ra_fails(ra_backend_dot(backend, block, block, 4, &sum, &err), RA_ERR_DEVICE, said);
        if (how >= 2) ra_fails(ra_backend_get(backend, got, block, sizeof got, &err), RA_ERR_DEVICE, said);
        for (int i = 0; i < 4; i++) ck_assert(got[i] == 7);
        ra_fails(ra_backend_gemm(backend, false, false, 1, 1, 1, 1, block, 1, block, 1, 0, block, 1, &err),
                 RA_ERR_DEVICE, "failed at an earlier call");
        device.fail_at(0, 0);
        ra_backend_deallocate(backend, block);
        ra_backend_release(backend);
    }
    emulated_close(&device);
}
END_TEST

/* cuBLAS has a runtime of its own, so only the device itself says that it is lost. */
START_TEST(test_a_failure_within_cublas) {
    emulated device = emulated_open();
    static const int lost[] = {226, 700, 721, 911};
    for (size_t i = 0; i < sizeof lost / sizeof *lost; i++) {
        ra_backend *backend = open_device();
        void *block = NULL;
        ra_ok(ra_backend_allocate(backend, 12, &block, &err));
        float *x = block;
        device.fail_at(2, lost[i]);
        ra_fails(ra_backend_gemm(backend, false, false, 1, 1, 1, 1, x, 1, x + 1, 1, 0, x + 2, 1, &err),
                 RA_ERR_DEVICE,
                 "failed at a matrix product and does not respond until the program is restarted");
        ra_fails(ra_backend_synchronize(backend, &err), RA_ERR_DEVICE, "failed at an earlier call");
        device.fail_at(0, 0);
        ra_backend_deallocate(backend, block);
        ra_backend_release(backend);
    }
    emulated_close(&device);
}
END_TEST

START_TEST(test_a_thread_that_waits_may_sleep) {
    ra_backend *backend = NULL;
    void *block = NULL;
    float x[4] = {1, 2, 3, 4}, got[4];
    double sum;
    ra_ok(ra_backend_open(DEVICE, &(ra_backend_options){.yield = true}, &backend, &err));
    ra_ok(ra_backend_allocate(backend, sizeof x, &block, &err));
    ra_ok(ra_backend_put(backend, block, x, sizeof x, &err));
    ra_ok(ra_backend_dot(backend, block, block, 4, &sum, &err));
    ck_assert_double_eq(sum, 30);
    ra_ok(ra_backend_get(backend, got, block, sizeof got, &err));
    ck_assert_mem_eq(got, x, sizeof x);
    ra_backend_deallocate(backend, block);
    ra_backend_release(backend);
}
END_TEST

/* Processes of one job share out the devices of their machine, unless one is named. */
START_TEST(test_processes_take_devices_by_turns) {
    emulated device = emulated_open();
    device.machine(13000, 2, 90);
    static const struct {
        const char *name;
        size_t process;
        int ordinal;
    } cases[] = {{DEVICE, 0, 0}, {DEVICE, 1, 1}, {DEVICE, 2, 0}, {DEVICE, 5, 1}, {DEVICE ":0", 1, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ra_backend *backend = NULL;
        void *block = NULL;
        char where[32];
        ra_ok(ra_backend_open(cases[i].name, &(ra_backend_options){.process = cases[i].process}, &backend,
                              &err));
        device.set_memory(0);
        snprintf(where, sizeof where, "on the device cuda:%d needs", cases[i].ordinal);
        ra_fails(ra_backend_allocate(backend, 4, &block, &err), RA_ERR_MEMORY, where);
        device.set_memory((size_t)1 << 30);
        ra_backend_release(backend);
    }
    emulated_close(&device);
}
END_TEST

TEST_CASES_SLOW(backend_cuda, 30, test_says_what_is_missing, test_a_device_describes_itself,
                test_auto_takes_the_device_or_says_why_not, test_a_plugin_stays_loaded,
                test_copies_of_any_size, test_a_stream_runs_in_order_and_only_when_waited_for,
                test_sums_that_come_later, test_the_work_area_of_products_is_counted,
                test_a_product_over_nothing, test_memory_that_is_left, test_threads_share_a_device,
                test_selections_of_special_numbers, test_atoms_of_another_type_are_refused,
                test_a_lost_device_stays_lost, test_a_kernel_that_fails_when_it_runs,
                test_a_failure_within_cublas, test_a_thread_that_waits_may_sleep,
                test_processes_take_devices_by_turns)
