/* What changes while serving and is kept: each change is on the disk when it returns, all of it or nothing, and what another
 * connection changes is seen. */
#include "state/store.h"
#include "codec/problems.h"
#include "harness.h"
#include "ra_memory.h"
#include "sqlite_faults.h"
#include "state/database.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000 };

static const char digest[] = "0123456789abcdef0123456789abcdef", other_digest[] = "another";

static const char *state_folder(void) {
    return test_path("state");
}

static const char *state_file(void) {
    return test_path("state/rasaed.sqlite");
}

typedef struct opened_store {
    store *store;
    store_slot *slot;
} opened_store;

static opened_store open_store(void) {
    opened_store made = {0};
    ra_ok(store_new(state_folder(), &made.store, &err));
    ra_ok(store_slot_of(made.store, digest, &made.slot, &err));
    return made;
}

static ra_status set(store_slot *slot, size_t atom, const char *label, ra_error *err) {
    bool held;
    const set_label item = {.atom = atom, .label = label, .score = NAN};
    return store_set_labels(slot, &item, 1, NULL, NULL, &held, err);
}

/* Compares what the slot shows; NULL: nothing. */
static bool shows(store_slot *slot, size_t atom, const char *label) {
    set_labels *now = store_labels(slot);
    const set_label *one = set_labels_at(now, atom);
    bool same = label ? one && strcmp(one->label, label) == 0 : !one;
    set_labels_release(now);
    return same;
}

/* What a process that starts now finds. */
static bool is_on_disk(size_t atom, const char *label) {
    opened_store fresh = open_store();
    bool same = shows(fresh.slot, atom, label);
    store_free(fresh.store);
    return same;
}

static void wait_until_shown(store_slot *slot, size_t atom, const char *label) {
    const struct timespec pause = {.tv_nsec = 5000000};
    for (int i = 0; i < PATIENCE_MS / 5 && !shows(slot, atom, label); i++) nanosleep(&pause, NULL);
    ck_assert(shows(slot, atom, label));
}

/* ---- labels -------------------------------------------------------------------------------------------- */

START_TEST(test_labels_are_kept) {
    opened_store a = open_store();
    bool held;
    const set_label items[] = {
        {.atom = 5, .label = "dog", .explanation = "any\ndog", .source = "me", .score = 0.25},
        {.atom = 2, .label = "Füchse", .score = NAN},
        {.atom = 9, .label = NULL, .score = NAN}}; /* which was not set */
    ck_assert_ptr_null(store_labels(a.slot));
    ra_ok(store_set_labels(a.slot, items, 3, NULL, NULL, &held, &err));
    ck_assert(held && shows(a.slot, 2, "Füchse") && shows(a.slot, 9, NULL));
    store_slot *again, *other;
    ra_ok(store_slot_of(a.store, digest, &again, &err));
    ra_ok(store_slot_of(a.store, other_digest, &other, &err));
    ck_assert_ptr_eq(again, a.slot);
    ck_assert(shows(other, 5, NULL)); /* another dictionary */
    store_free(a.store);

    a = open_store();
    set_labels *now = store_labels(a.slot);
    const set_label *dog = set_labels_at(now, 5);
    ck_assert_uint_eq(set_labels_count(now), 2);
    ck_assert_str_eq(dog->explanation, "any\ndog");
    ck_assert_str_eq(dog->source, "me");
    ck_assert(dog->score == 0.25 && dog->change == 1 && dog->time > 1700000000);
    ra_ok(set(a.slot, 5, NULL, &err));
    ck_assert_str_eq(dog->label, "dog"); /* a reader keeps what it has */
    set_labels_release(now);
    ck_assert(shows(a.slot, 5, NULL) && shows(a.slot, 2, "Füchse"));
    store_free(a.store);
    store_free(NULL);
    ck_assert_ptr_null(store_labels(NULL));
    ck_assert(is_on_disk(5, NULL) && is_on_disk(2, "Füchse"));
}
END_TEST

static bool is_change(void *context, int64_t change) {
    return change == *(const int64_t *)context;
}

START_TEST(test_a_condition_is_of_what_is_there) {
    opened_store a = open_store();
    bool held;
    int64_t wanted = 0;
    const set_label both[] = {{.atom = 1, .label = "a", .score = NAN},
                              {.atom = 2, .label = "a", .score = NAN}};
    ra_ok(store_set_labels(a.slot, both, 1, is_change, &wanted, &held, &err));
    ck_assert(held && shows(a.slot, 1, "a"));
    ra_ok(store_set_labels(a.slot, both, 2, is_change, &wanted, &held, &err)); /* not of the first */
    ck_assert(!held && shows(a.slot, 2, NULL));
    ra_ok(set(a.slot, 1, NULL, &err));
    ra_ok(set(a.slot, 1, "a", &err)); /* the same again has another number */
    wanted = 1;
    ra_ok(store_set_labels(a.slot, both, 1, is_change, &wanted, &held, &err));
    ck_assert(!held);
    set_labels *now = store_labels(a.slot);
    ck_assert_int_eq(set_labels_change(now), 3);
    set_labels_release(now);
    store_free(a.store);
}
END_TEST

/* ---- lists --------------------------------------------------------------------------------------------- */

static void add_up(void *context, const store_list *list) {
    size_t *sum = context;
    *sum += 1000 * list->count + strlen(list->name);
    for (size_t i = 0; i < list->count; i++) *sum += list->atoms[i];
}

static size_t sum_of(store_slot *slot, const char *name) {
    size_t sum = 0;
    ra_ok(store_read_lists(slot, name, add_up, &sum, &err));
    return sum;
}

START_TEST(test_lists_are_kept) {
    opened_store a = open_store();
    static const uint32_t atoms[] = {7, 70, 7};
    const store_list zoo = {.name = "zoo", .description = "animals", .atoms = atoms, .count = 3},
                     none = {.name = "none"};
    bool held, found;
    int64_t first, second;
    ra_ok(store_put_list(a.slot, &zoo, 2, NULL, NULL, &held, &first, &err));
    ra_ok(store_put_list(a.slot, &none, 2, NULL, NULL, &held, &second, &err));
    ck_assert(held && second > first);
    ra_fails(store_put_list(a.slot, &(store_list){.name = "third"}, 2, NULL, NULL, &held, &second, &err),
             RA_ERR_TOO_LARGE, "has 2 lists already");
    ra_ok(store_put_list(a.slot, &zoo, 2, is_change, &first, &held, &second, &err)); /* in place of itself */
    ck_assert(held && second != first);
    ra_ok(store_put_list(a.slot, &none, 2, is_change, &first, &held, &second, &err));
    ck_assert(!held);
    store_free(a.store);
    a = open_store();
    ck_assert_uint_eq(sum_of(a.slot, "zoo"), 3000 + 3 + 84);
    ck_assert_uint_eq(sum_of(a.slot, NULL), 3000 + 3 + 84 + 4);
    ck_assert_uint_eq(sum_of(a.slot, "nothing"), 0);
    ra_ok(store_delete_list(a.slot, "zoo", is_change, &first, &held, &found, &err));
    ck_assert(found && !held);
    ra_ok(store_delete_list(a.slot, "zoo", NULL, NULL, &held, &found, &err));
    ck_assert(found && held);
    ra_ok(store_delete_list(a.slot, "zoo", NULL, NULL, &held, &found, &err));
    ck_assert(!found);
    ck_assert_uint_eq(sum_of(a.slot, NULL), 4);
    store_free(a.store);
}
END_TEST

/* ---- others -------------------------------------------------------------------------------------------- */

START_TEST(test_what_another_one_sets_is_seen) {
    opened_store a = open_store(), b = open_store();
    ra_ok(set(a.slot, 3, "of a", &err));
    wait_until_shown(b.slot, 3, "of a");
    ra_ok(set(b.slot, 3, "of b", &err));
    ck_assert(shows(b.slot, 3, "of b"));
    wait_until_shown(a.slot, 3, "of b");
    store_free(b.store);
    store_free(a.store);
}
END_TEST

typedef struct writer {
    store_slot *slot;
    size_t first;
    ra_error why;
} writer;

enum { WRITERS = 4, WRITES = 20 };

static void *write_some(void *context) {
    writer *own = context;
    for (size_t i = 0; i < WRITES; i++)
        if (set(own->slot, own->first + i, "written", &own->why) != RA_OK) return context;
    return NULL;
}

/* Two stores, as two daemons, with two threads each. */
START_TEST(test_no_change_is_lost) {
    opened_store stores[2] = {open_store(), open_store()};
    writer writers[WRITERS];
    pthread_t threads[WRITERS];
    void *failed;
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i] = (writer){.slot = stores[i % 2].slot, .first = 100 * i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_some, &writers[i]), 0);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], &failed);
        ck_assert_msg(!failed, "%s", writers[i].why.message);
    }
    for (size_t i = 0; i < 2; i++) store_free(stores[i].store);
    opened_store fresh = open_store();
    set_labels *now = store_labels(fresh.slot);
    ck_assert_uint_eq(set_labels_count(now), WRITERS * WRITES);
    ck_assert_int_eq(set_labels_change(now), WRITERS * WRITES); /* each has a number of its own */
    set_labels_release(now);
    store_free(fresh.store);
}
END_TEST

/* ---- failures ------------------------------------------------------------------------------------------ */

START_TEST(test_another_program_holds_the_database) {
    opened_store a = open_store();
    sqlite3 *other = NULL;
    pthread_t threads[2];
    writer writers[2] = {{.slot = a.slot, .first = 10}, {.slot = a.slot, .first = 20}};
    ra_ok(set(a.slot, 1, "before", &err));
    ra_ok(database_open(state_folder(), &other, &err));
    ra_ok(database_run(other, "BEGIN IMMEDIATE", &err));
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_some, &writers[i]), 0);
    size_t waited = 0;
    for (size_t i = 0; i < 2; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        ck_assert_ptr_eq(failed, &writers[i]);
        ck_assert_int_eq(writers[i].why.code, RA_ERR_IO);
        ck_assert_int_eq(writers[i].why.facts.kind, PROBLEM_STATE_UNAVAILABLE);
        waited += strstr(writers[i].why.message, "another program holds") != NULL;
    }
    ck_assert_uint_ge(waited, 1);
    ck_assert(shows(a.slot, 1, "before") && shows(a.slot, 10, NULL));
    ra_ok(database_run(other, "ROLLBACK", &err));
    sqlite3_close(other);
    ra_ok(set(a.slot, 10, "after", &err));
    store_free(a.store);
}
END_TEST

/* Somebody clears the folder: what is answered later is in the new file, not in the one that has gone. */
START_TEST(test_the_file_is_removed) {
    opened_store a = open_store();
    ra_ok(set(a.slot, 1, "before", &err));
    ck_assert_int_eq(unlink(state_file()), 0);
    ra_ok(set(a.slot, 2, "after", &err));
    ck_assert(shows(a.slot, 2, "after"));
    ck_assert(is_on_disk(2, "after"));
    wait_until_shown(a.slot, 1, NULL);
    store_free(a.store);
    ck_assert(is_on_disk(2, "after"));
}
END_TEST

START_TEST(test_a_database_that_cannot_be_used) {
    test_write("state", "a file", 6);
    ra_fails(store_check(state_folder(), &err), RA_ERR_IO, "cannot be used");
    opened_store a = open_store(); /* serves all the same */
    ck_assert_ptr_null(store_labels(a.slot));
    ra_fails(set(a.slot, 1, "x", &err), RA_ERR_IO, "cannot be used");
    size_t sum;
    ra_fails(store_read_lists(a.slot, NULL, add_up, &sum, &err), RA_ERR_IO, "cannot be used");
    unlink(state_folder());
    ra_ok(store_check(state_folder(), &err));
    ra_ok(set(a.slot, 1, "x", &err));
    store_free(a.store);
    ck_assert(is_on_disk(1, "x"));
}
END_TEST

START_TEST(test_a_damaged_file) {
    enum { ATOMS = 20000, PAGE = 4096 };
    opened_store a = open_store();
    static uint32_t atoms[ATOMS];
    bool held;
    int64_t change;
    ra_ok(set(a.slot, 1, "fine", &err));
    ra_ok(store_put_list(a.slot, &(store_list){.name = "long", .atoms = atoms, .count = ATOMS}, 9, NULL, NULL,
                         &held, &change, &err));
    store_free(a.store);
    char garbage[PAGE];
    memset(garbage, 0xa5, sizeof garbage);
    int file = open(state_file(), O_WRONLY);
    for (off_t at = 4 * PAGE; at < lseek(file, 0, SEEK_END); at += PAGE)
        ck_assert_int_eq(pwrite(file, garbage, PAGE, at), PAGE);
    close(file);
    a = open_store();
    size_t sum = 0;
    ra_fails(store_read_lists(a.slot, NULL, add_up, &sum, &err), RA_ERR_IO, "is damaged");
    store_free(a.store);
}
END_TEST

/* A change that returned RA_OK is there, and one that did not has changed nothing. */
START_TEST(test_every_operation_of_the_disk_may_fail) {
    sqlite_faults_begin();
    opened_store a = open_store();
    ra_ok(set(a.slot, 1, "before", &err));
    ra_status status = RA_ERR_IO;
    for (size_t n = 1; status != RA_OK; n++) {
        ra_error why = {0};
        ck_assert_uint_lt(n, 500);
        sqlite_faults_disk(n, SQLITE_FULL);
        status = set(a.slot, 1, "after", &why);
        sqlite_faults_disk(0, 0);
        if (status == RA_OK) break;
        ck_assert_msg(status == RA_ERR_IO && why.facts.kind == PROBLEM_STATE_UNAVAILABLE, "%zu: %s", n,
                      why.message);
        ck_assert(shows(a.slot, 1, "before") && is_on_disk(1, "before"));
    }
    ck_assert(is_on_disk(1, "after"));
    wait_until_shown(a.slot, 1, "after");
    store_free(a.store);
}
END_TEST

/* What is shown is ready before the change happens: the two never differ. */
START_TEST(test_every_allocation_may_fail) {
    sqlite_faults_begin();
    for (int of_sqlite = 0; of_sqlite < 2; of_sqlite++) {
        opened_store a = open_store();
        bool failed = true;
        char label[32];
        for (size_t n = 1; failed; n++) {
            ra_error why = {0};
            ck_assert_uint_lt(n, 2000);
            snprintf(label, sizeof label, "%d.%zu", of_sqlite, n);
            if (of_sqlite)
                sqlite_faults_memory(n);
            else
                ra_memory_fail_at(n);
            ra_status status = set(a.slot, 1, label, &why);
            size_t seen = of_sqlite ? sqlite_faults_memory(0) : ra_memory_fail_at(0);
            failed = seen >= n;
            ck_assert_msg(status == RA_OK || status == RA_ERR_MEMORY || status == RA_ERR_IO, "%s",
                          why.message);
            if (status == RA_OK) ck_assert(shows(a.slot, 1, label) && is_on_disk(1, label));
            if (status != RA_OK) ck_assert(!shows(a.slot, 1, label) && is_on_disk(1, label) == false);
            ra_ok(set(a.slot, 2, label, &err)); /* with memory, it goes on */
        }
        store_free(a.store);
    }
}
END_TEST

START_TEST(test_a_store_may_lack_memory) {
    for (size_t n = 1;; n++) {
        store *made = NULL;
        store_slot *slot = NULL;
        ck_assert_uint_lt(n, 50);
        ra_memory_fail_at(n);
        ra_status status = store_new(state_folder(), &made, NULL);
        if (status == RA_OK) status = store_slot_of(made, digest, &slot, NULL);
        ra_memory_fail_at(0);
        store_free(made);
        if (status == RA_OK) break;
        ck_assert_int_eq(status, RA_ERR_MEMORY);
    }
}
END_TEST

TEST_CASES_SLOW(state_store, 120, test_labels_are_kept, test_a_condition_is_of_what_is_there,
                test_lists_are_kept, test_what_another_one_sets_is_seen, test_no_change_is_lost,
                test_another_program_holds_the_database, test_the_file_is_removed,
                test_a_database_that_cannot_be_used, test_a_damaged_file,
                test_every_operation_of_the_disk_may_fail, test_every_allocation_may_fail,
                test_a_store_may_lack_memory)
