/* The labels that were set, as they are at one moment. */
#include "state/set_labels.h"
#include "harness.h"
#include "ra_memory.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

enum { LABELS = 3, CLIENTS = 4, ROUNDS = 200 };

static set_labels *make(void) {
    char dog[] = "dog, puppy";
    const set_label items[LABELS] = {
        {.atom = 2,
         .label = dog,
         .explanation = "any dog",
         .source = "me",
         .score = 0.5,
         .change = 7,
         .time = 100},
        {.atom = 5, .label = "red fox", .score = NAN, .change = 9, .time = 101},
        {.atom = 900, .label = "Füchse", .explanation = "", .score = -1, .change = 8, .time = 102}};
    set_labels *labels = NULL;
    ra_ok(set_labels_new(items, LABELS, &labels, &err));
    memset(dog, 'x', sizeof dog - 1); /* they are copies */
    return labels;
}

static void note(void *context, size_t atom) {
    *(size_t *)context += atom;
}

/* The sum of the atoms. */
static size_t find(set_labels *labels, const char *query) {
    size_t sum = 0;
    ra_ok(set_labels_find(labels, query, note, &sum, &err));
    return sum;
}

START_TEST(test_labels_are_found_by_atom) {
    set_labels *labels = make();
    ck_assert_uint_eq(set_labels_count(labels), LABELS);
    ck_assert_int_eq(set_labels_change(labels), 9);
    static const size_t with[] = {2, 5, 900}, without[] = {0, 1, 3, 4, 6, 899, 901, SIZE_MAX};
    for (size_t i = 0; i < LABELS; i++) {
        ck_assert_ptr_eq(set_labels_at(labels, with[i]), set_labels_item(labels, i));
        ck_assert_uint_eq(set_labels_item(labels, i)->atom, with[i]);
    }
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        ck_assert_ptr_null(set_labels_at(labels, without[i]));
    const set_label *dog = set_labels_at(labels, 2), *fox = set_labels_at(labels, 5);
    ck_assert_str_eq(dog->label, "dog, puppy");
    ck_assert_str_eq(dog->explanation, "any dog");
    ck_assert_str_eq(dog->source, "me");
    ck_assert(dog->score == 0.5 && dog->change == 7 && dog->time == 100);
    ck_assert(!fox->explanation && !fox->source && isnan(fox->score));
    ck_assert_str_eq(set_labels_at(labels, 900)->explanation, "");
    set_labels_release(labels);
}
END_TEST

START_TEST(test_labels_are_found_by_words) {
    set_labels *labels = make();
    ck_assert_uint_eq(find(labels, "pup"), 2);
    ck_assert_uint_eq(find(labels, "fuchs"), 900);
    ck_assert_uint_eq(find(labels, "fox red"), 5);
    ck_assert_uint_eq(find(labels, "any"), 0); /* what is said with a label is not its words */
    ck_assert_uint_eq(find(labels, ""), 0);
    size_t sum = 0;
    char longer[2000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ra_fails(set_labels_find(labels, longer, note, &sum, &err), RA_ERR_ARGUMENT, "q has 1999 bytes");
    set_labels_release(labels);
}
END_TEST

START_TEST(test_none_are_set) {
    ck_assert_ptr_null(set_labels_retain(NULL));
    set_labels_release(NULL);
    ck_assert_uint_eq(set_labels_count(NULL), 0);
    ck_assert_ptr_null(set_labels_at(NULL, 3));
    ck_assert_int_eq(set_labels_change(NULL), 0);
    ck_assert_uint_eq(find(NULL, "dog"), 0);
    set_labels *empty = NULL;
    ra_ok(set_labels_new(NULL, 0, &empty, &err));
    ck_assert_ptr_null(set_labels_at(empty, 0));
    ck_assert_uint_eq(find(empty, "dog"), 0);
    set_labels_release(empty);
}
END_TEST

static void *search(void *context) {
    set_labels *labels = set_labels_retain(context);
    for (size_t i = 0; i < ROUNDS; i++) {
        size_t sum = 0;
        if (set_labels_find(labels, "fox", note, &sum, NULL) != RA_OK || sum != 5) return context;
    }
    set_labels_release(labels);
    return NULL;
}

/* The first search makes the index, whoever comes first. */
START_TEST(test_many_search_at_the_same_time) {
    set_labels *labels = make();
    pthread_t clients[CLIENTS];
    void *wrong[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(pthread_create(&clients[i], NULL, search, labels), 0);
    for (size_t i = 0; i < CLIENTS; i++) pthread_join(clients[i], &wrong[i]);
    for (size_t i = 0; i < CLIENTS; i++) ck_assert_ptr_null(wrong[i]);
    set_labels_release(labels);
}
END_TEST

static ra_status make_and_find(ra_error *err) {
    static const set_label items[] = {{.atom = 1, .label = "dog"},
                                      {.atom = 2, .label = "cat", .source = "me"}};
    set_labels *labels = NULL;
    size_t sum = 0;
    RA_TRY(set_labels_new(items, 2, &labels, err));
    ra_status status = set_labels_find(labels, "cat", note, &sum, err);
    if (status == RA_OK) ck_assert_uint_eq(sum, 2);
    set_labels_release(labels);
    return status;
}

START_TEST(test_every_allocation_may_fail) {
    ra_status status = RA_ERR_MEMORY;
    for (size_t n = 1; status != RA_OK; n++) {
        ra_error why = {0};
        ck_assert_uint_lt(n, 50);
        ra_memory_fail_at(n);
        status = make_and_find(&why);
        ra_memory_fail_at(0);
        if (status == RA_OK) break;
        ck_assert_int_eq(status, RA_ERR_MEMORY);
        ck_assert_ptr_nonnull(strstr(why.message, "memory"));
    }
}
END_TEST

TEST_CASES(state_set_labels, test_labels_are_found_by_atom, test_labels_are_found_by_words, test_none_are_set,
           test_many_search_at_the_same_time, test_every_allocation_may_fail)
