/* Work by the clock and on request, on a thread of its own. */
#include "harness.h"
#include "http/ticker.h"
#include "ra_memory.h"

#include <stdatomic.h>
#include <unistd.h>

static atomic_size_t by_clock, asked_for, pause_us;

static void work(void *context, bool asked) {
    ck_assert_ptr_eq(context, &by_clock);
    atomic_fetch_add(asked ? &asked_for : &by_clock, 1);
    usleep((useconds_t)atomic_load(&pause_us));
}

static ticker *start(uint64_t every_us) {
    ticker *clock = NULL;
    atomic_store(&by_clock, 0);
    atomic_store(&asked_for, 0);
    ticker_options options = {.name = "the test",
                              .thread = "test-ticker",
                              .every_us = every_us,
                              .work = work,
                              .context = &by_clock};
    ra_ok(ticker_start(&options, &clock, &err));
    return clock;
}

static void wait_for(atomic_size_t *count, size_t wanted) {
    for (int i = 0; i < 5000 && atomic_load(count) < wanted; i++) usleep(1000);
    ck_assert_uint_ge(atomic_load(count), wanted);
}

START_TEST(test_the_clock_runs_at_once_and_again) {
    ticker *clock = start(1000);
    wait_for(&by_clock, 5);
    ck_assert(ticker_stop(clock, TICKER_FOREVER));
    clock = start(3600u * 1000000);
    wait_for(&by_clock, 1);
    ck_assert(ticker_stop(clock, TICKER_FOREVER)); /* and does not wait for the hour */
    ck_assert_uint_eq(atomic_load(&by_clock), 1);
}
END_TEST

START_TEST(test_without_a_clock_it_only_works_when_asked) {
    ticker *clock = start(0);
    ticker_ask(clock);
    wait_for(&asked_for, 1);
    ck_assert(ticker_stop(clock, TICKER_FOREVER));
    ck_assert_uint_eq(atomic_load(&asked_for), 1);
    ck_assert_uint_eq(atomic_load(&by_clock), 0);
}
END_TEST

START_TEST(test_what_is_asked_during_a_run_is_one_more_run) {
    atomic_store(&pause_us, 100000);
    ticker *clock = start(0);
    ticker_ask(clock);
    wait_for(&asked_for, 1);
    for (int i = 0; i < 10; i++) ticker_ask(clock);
    wait_for(&asked_for, 2);
    ck_assert(ticker_stop(clock, TICKER_FOREVER));
    ck_assert_uint_eq(atomic_load(&asked_for), 2);
    atomic_store(&pause_us, 0);
}
END_TEST

START_TEST(test_stopping_gives_up_on_a_run_that_takes_long) {
    atomic_store(&pause_us, 1500000);
    ticker *clock = start(0);
    ticker_ask(clock);
    wait_for(&asked_for, 1);
    ck_assert(!ticker_stop(clock, 1));
    ck_assert(ticker_stop(clock, TICKER_FOREVER));
    ck_assert(ticker_stop(NULL, 1));
    atomic_store(&pause_us, 0);
}
END_TEST

START_TEST(test_no_memory_no_thread) {
    ticker *clock = NULL;
    ticker_options options = {
        .name = "the test", .thread = "test-ticker", .work = work, .context = &by_clock};
    ra_memory_fail_at(1);
    ra_fails(ticker_start(&options, &clock, &err), RA_ERR_MEMORY, "the test");
    ra_memory_fail_at(0);
    ck_assert_ptr_null(clock);
}
END_TEST

TEST_CASES(ticker, test_the_clock_runs_at_once_and_again, test_without_a_clock_it_only_works_when_asked,
           test_what_is_asked_during_a_run_is_one_more_run, test_stopping_gives_up_on_a_run_that_takes_long,
           test_no_memory_no_thread)
