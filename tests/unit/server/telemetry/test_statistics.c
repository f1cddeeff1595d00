#include "harness.h"
#include "telemetry/statistics.h"

START_TEST(test_stages_add_up) {
    statistics counted = {0};
    statistics_succeeded(&counted, &(statistics_clock){1, 20, 300, 4000}, 5);
    statistics_succeeded(&counted, &(statistics_clock){1, 20, 300, 4000}, 2);
    statistics_failed(&counted, 7);
    ck_assert_uint_gt(atomic_load(&counted.last_ms), 1600000000000);
    ck_assert_uint_eq(counted.inferences, 7);
    ck_assert_uint_eq(counted.executions, 2);
    const struct {
        statistics_total *total;
        uint64_t count, ns;
    } expected[] = {{&counted.success, 2, 8642},      {&counted.fail, 1, 7},
                    {&counted.queue, 2, 2},           {&counted.compute_input, 2, 40},
                    {&counted.compute_infer, 2, 600}, {&counted.compute_output, 2, 8000},
                    {&counted.cache_hit, 0, 0},       {&counted.cache_miss, 0, 0}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        ck_assert_uint_eq(expected[i].total->count, expected[i].count);
        ck_assert_uint_eq(expected[i].total->ns, expected[i].ns);
    }
}
END_TEST

START_TEST(test_laps_follow_each_other) {
    uint64_t first, second, from = statistics_now(), start = from;
    from = statistics_lap(from, &first);
    from = statistics_lap(from, &second);
    ck_assert_uint_eq(from - start, first + second);
}
END_TEST

TEST_CASES(statistics, test_stages_add_up, test_laps_follow_each_other)
