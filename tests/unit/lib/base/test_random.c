#include "harness.h"

#include "base/random.h"

START_TEST(test_a_sample_rises_and_takes_every_number_equally_often) {
    enum { NUMBERS = 20, SIZE = 5, DRAWS = 20000 };
    ra_random random;
    size_t taken[NUMBERS] = {0};
    uint64_t chosen[SIZE];
    ra_random_seed(&random, 4);
    for (size_t draw = 0; draw < DRAWS; draw++) {
        ra_random_sample(&random, NUMBERS, chosen, SIZE);
        for (size_t i = 0; i < SIZE; i++) {
            ck_assert_uint_lt(chosen[i], NUMBERS);
            if (i) ck_assert_uint_gt(chosen[i], chosen[i - 1]);
            taken[chosen[i]]++;
        }
    }
    for (size_t i = 0; i < NUMBERS; i++) /* 5,000 expected, with a deviation of 61 */
        ck_assert(taken[i] > 4700 && taken[i] < 5300);
}
END_TEST

START_TEST(test_a_sample_of_everything_is_everything) {
    ra_random random;
    uint64_t chosen[7];
    ra_random_seed(&random, 1);
    ra_random_sample(&random, 7, chosen, 7);
    for (uint64_t i = 0; i < 7; i++) ck_assert_uint_eq(chosen[i], i);
    chosen[0] = 99;
    ra_random_sample(&random, 7, chosen, 0);
    ck_assert_uint_eq(chosen[0], 99);
}
END_TEST

TEST_CASES(random, test_a_sample_rises_and_takes_every_number_equally_often,
           test_a_sample_of_everything_is_everything)
