/* A thread sleeps until a word is another one, and no longer. */
#include "serving/park.h"
#include "harness.h"

#include <pthread.h>

enum { ASLEEP, AWAKE };

static atomic_uint word, passed;

static void *sleeper(void *argument) {
    (void)argument;
    while (atomic_load(&word) == ASLEEP) park_wait(&word, ASLEEP);
    atomic_fetch_add(&passed, 1);
    return NULL;
}

START_TEST(test_a_word_that_is_another_one_is_not_waited_for) {
    atomic_store(&word, AWAKE);
    park_wait(&word, ASLEEP);
}
END_TEST

START_TEST(test_a_sleeper_goes_on_when_it_is_woken_and_no_earlier) {
    pthread_t thread;
    atomic_store(&word, ASLEEP);
    atomic_store(&passed, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, sleeper, NULL), 0);
    park_wake(&word); /* the word is what it was */
    ck_assert_uint_eq(atomic_load(&passed), 0);
    atomic_store(&word, AWAKE);
    park_wake(&word);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(atomic_load(&passed), 1);
}
END_TEST

START_TEST(test_memory_that_is_gone_may_be_woken) {
    park_wake((const atomic_uint *)16); /* nothing is there */
}
END_TEST

TEST_CASES(park, test_a_word_that_is_another_one_is_not_waited_for,
           test_a_sleeper_goes_on_when_it_is_woken_and_no_earlier, test_memory_that_is_gone_may_be_woken)
