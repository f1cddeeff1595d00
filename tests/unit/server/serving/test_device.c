/* A device with a failed operation, and a lost device. */
#include "serving/device.h"
#include "emulated.h"
#include "harness.h"

#include <pthread.h>
#include <string.h>

enum { LAUNCH_FAILURE = 719, NOT_SUPPORTED = 801, THREADS = 8 }; /* of CUDA */

static atomic_int told;

static void tell(void *context) {
    ck_assert_str_eq(context, "whom");
    atomic_fetch_add(&told, 1);
}

static void *report(void *watch) {
    device_watch_failed(watch);
    return NULL;
}

START_TEST(test_a_failure_alone_is_no_loss) {
    static char whom[] = "whom";
    emulated device = emulated_open();
    ra_backend *backend = NULL;
    device_watch watch;
    void *block = NULL;
    ra_ok(ra_backend_open("cuda-emulated", NULL, &backend, &err));
    device_watch_init(&watch, backend, tell, whom);
    device.fail_at(2, NOT_SUPPORTED);
    ra_fails(ra_backend_allocate(backend, 1, &block, &err), RA_ERR_DEVICE, "cuda:0");
    device_watch_failed(&watch);
    ck_assert_ptr_null(device_watch_reason(&watch));

    device.fail_at(2, LAUNCH_FAILURE);
    ra_fails(ra_backend_allocate(backend, 1, &block, &err), RA_ERR_DEVICE, "cuda:0");
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, report, &watch), 0);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&told), 1);
    ck_assert_ptr_nonnull(strstr(device_watch_reason(&watch), "until the program is restarted"));
    ra_backend_release(backend);
    device.fail_at(0, 0);
    emulated_close(&device);
}
END_TEST

START_TEST(test_the_cpu_is_never_lost) {
    ra_backend *backend = NULL;
    device_watch watch;
    ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = 1}, &backend, &err));
    for (size_t i = 0; i < 2; i++) {
        device_watch_init(&watch, i ? backend : NULL, tell, NULL);
        device_watch_failed(&watch);
        ck_assert_ptr_null(device_watch_reason(&watch));
    }
    ra_backend_release(backend);
}
END_TEST

TEST_CASES(device, test_a_failure_alone_is_no_loss, test_the_cpu_is_never_lost)
