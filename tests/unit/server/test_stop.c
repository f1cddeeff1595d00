/* server/{stop,signals}.c: causes, statuses, and the wait for what is under way. */
#include "harness.h"
#include "signals.h"
#include "stop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t count_down(void *context) {
    size_t *left = context;
    return *left > 0 ? (*left)-- : 0;
}

static size_t always_two(void *context) {
    (void)context;
    return 2;
}

START_TEST(test_the_strongest_cause_counts) {
    signals_while_loading();
    signals_while_serving();
    ck_assert_int_eq(stop_cause_now(), STOP_NOT_ASKED);
    ck_assert_int_eq(stop_status(), 0);
    stop_ask(STOP_SIGTERM);
    ck_assert_str_eq(stop_cause_text(stop_cause_now()), "SIGTERM");
    ck_assert_int_eq(stop_status(), 0);
    ck_assert_int_eq(stop_status_at_once(), 1);
    stop_ask(STOP_DEVICE);
    stop_ask(STOP_SIGINT);
    ck_assert_int_eq(stop_cause_now(), STOP_DEVICE);
    ck_assert_int_eq(stop_status(), 3);
    ck_assert_int_eq(stop_status_at_once(), 3);
    ck_assert_int_eq(signals_wait(), SIGNALS_WOKEN);
}
END_TEST

static void *lose_device(void *unused) {
    stop_ask(STOP_DEVICE);
    return unused;
}

START_TEST(test_a_cause_from_another_thread_is_no_signal) {
    pthread_t other;
    size_t left = 5;
    const stop_count counts[] = {{"things", count_down, &left}};
    signals_while_loading();
    signals_while_serving();
    stop_ask(STOP_SIGTERM);
    ck_assert_int_eq(pthread_create(&other, NULL, lose_device, NULL), 0);
    pthread_join(other, NULL);
    ck_assert(stop_drain(counts, 1, 60));
    ck_assert_uint_eq(left, 0);
    ck_assert_int_eq(stop_status(), 3);
}
END_TEST

START_TEST(test_a_wait_has_an_end) {
    size_t left = 3;
    const stop_count counts[] = {{"things", count_down, &left}, {"others", always_two, NULL}};
    signals_while_loading();
    signals_while_serving();
    ck_assert(!stop_drain(counts, 2, 0));
    ck_assert(stop_drain(counts, 0, 60));
}
END_TEST

static int status_seven(void) {
    return 7;
}

/* In a child that would wait for ever. */
START_TEST(test_a_second_signal_always_ends_it) {
    for (int i = 0; i < 2; i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            const stop_count counts[] = {{"others", always_two, NULL}};
            signals_while_loading();
            signals_while_serving();
            raise(SIGTERM);
            if (signals_wait() != SIGTERM) _exit(9);
            stop_ask(STOP_SIGTERM);
            if (i == 0) {
                raise(SIGINT);
                (void)stop_drain(counts, 1, 60);
            } else {
                signals_while_stopping(status_seven);
                raise(SIGTERM);
                sleep(60);
            }
            _exit(8);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), i == 0 ? 1 : 7);
    }
}
END_TEST

TEST_CASES(stop, test_the_strongest_cause_counts, test_a_cause_from_another_thread_is_no_signal,
           test_a_wait_has_an_end, test_a_second_signal_always_ends_it)
