#include "harness.h"
#include "ra_io.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 64, SIZE = PAGES * PAGE + 7, READERS = 4 };

static const char *write_pages(const char *name) {
    static char content[SIZE];
    memset(content, 'a', sizeof content);
    return test_write(name, content, sizeof content);
}

static size_t sum(const ra_mapping *mapping) {
    const unsigned char *bytes = mapping->data;
    size_t total = 0;
    for (size_t i = 0; i < mapping->size; i++) total += bytes[i];
    return total;
}

START_TEST(test_a_page_that_is_gone_reads_as_zeros) {
    ra_mapping lost, other;
    const char *path = write_pages("lost");
    ra_mapping_guard();
    ra_mapping_guard();
    ra_ok(ra_mapping_open(path, &lost, &err));
    ra_ok(ra_mapping_open(write_pages("other"), &other, &err));
    ck_assert_int_eq(truncate(path, PAGE), 0);
    ck_assert_int_eq(((const char *)lost.data)[10 * PAGE], 0);
    ck_assert_uint_eq(sum(&lost), 0);
    ra_fails(ra_mapping_check(&lost, &err), RA_ERR_CHANGED,
             "/lost was shortened, or could no longer be read,");
    ck_assert_int_eq(unlink(path), 0); /* also when there is nothing to compare with any more */
    ra_fails(ra_mapping_check(&lost, &err), RA_ERR_CHANGED, "was shortened");
    ck_assert_uint_eq(sum(&other), (size_t)SIZE * 'a');
    ra_ok(ra_mapping_check(&other, &err));
    ra_mapping_close(&lost);
    ra_mapping_close(&other);
    ra_ok(ra_mapping_open(write_pages("next"), &lost, &err)); /* in the place of the lost one */
    ra_ok(ra_mapping_check(&lost, &err));
    ck_assert_uint_eq(sum(&lost), (size_t)SIZE * 'a');
    ra_mapping_close(&lost);
}
END_TEST

typedef struct reader {
    const ra_mapping *mapping;
    pthread_barrier_t *together;
} reader;

static void *read_all(void *context) {
    const reader *self = context;
    pthread_barrier_wait(self->together);
    (void)sum(self->mapping);
    return NULL;
}

START_TEST(test_all_threads_survive) {
    ra_mapping_guard();
    for (int round = 0; round < 50; round++) {
        ra_mapping mapping;
        pthread_barrier_t together;
        pthread_t threads[READERS];
        const char *path = write_pages("a");
        ra_ok(ra_mapping_open(path, &mapping, &err));
        reader self = {&mapping, &together};
        pthread_barrier_init(&together, NULL, READERS + 1);
        for (int i = 0; i < READERS; i++) pthread_create(&threads[i], NULL, read_all, &self);
        pthread_barrier_wait(&together);
        ck_assert_int_eq(truncate(path, 0), 0);
        for (int i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
        ra_fails(ra_mapping_check(&mapping, &err), RA_ERR_CHANGED, "while it was in use");
        ra_mapping_close(&mapping);
        pthread_barrier_destroy(&together);
    }
}
END_TEST

/* Opens and closes mappings while another thread's handler walks the list. */
static char steady[4096];
static atomic_bool stop;

static void *open_and_close(void *context) {
    (void)context;
    while (!atomic_load(&stop)) {
        ra_mapping a, b;
        ra_ok(ra_mapping_open(steady, &a, &err));
        ra_ok(ra_mapping_open(steady, &b, &err));
        ck_assert_uint_eq(sum(&a), (size_t)SIZE * 'a');
        ra_ok(ra_mapping_check(&a, &err));
        ra_mapping_close(&a);
        ra_mapping_close(&b);
    }
    return NULL;
}

START_TEST(test_only_the_mapping_that_faults_is_lost) {
    pthread_t thread;
    char path[4096]; /* test_path() is for one thread, and for few names */
    ra_mapping_guard();
    snprintf(steady, sizeof steady, "%s", write_pages("steady"));
    snprintf(path, sizeof path, "%s", test_path("a"));
    pthread_create(&thread, NULL, open_and_close, NULL);
    for (int round = 0; round < 100; round++) {
        ra_mapping mapping;
        write_pages("a");
        ra_ok(ra_mapping_open(path, &mapping, &err));
        ck_assert_int_eq(truncate(path, 0), 0);
        ck_assert_uint_eq(sum(&mapping), 0);
        ra_fails(ra_mapping_check(&mapping, &err), RA_ERR_CHANGED, "was shortened");
        ra_mapping_close(&mapping);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
}
END_TEST

/* The wait status of a child that does this with the guard in place. */
static int in_a_child(void (*act)(void)) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        ra_mapping_guard();
        close(STDERR_FILENO); /* where sanitizers would report what is wanted here */
        act();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

static void fault_elsewhere(void) {
    int fd = open(write_pages("own"), O_RDWR);
    volatile char *bytes = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
    if (ftruncate(fd, 0) == 0) (void)bytes[PAGE];
}

static void receive_one(void) {
    kill(getpid(), SIGBUS);
}

START_TEST(test_other_bus_errors_end_the_process_as_before) {
    ck_assert_int_ne(in_a_child(fault_elsewhere), 0);
    ck_assert_int_ne(in_a_child(receive_one), 0);
}
END_TEST

/* Such stores change the file's time once per page. */
START_TEST(test_who_maps_the_file_for_writing_is_noticed) {
    ra_mapping mapping;
    const char *path = write_pages("a");
    ra_mapping_guard();
    int fd = open(path, O_RDWR);
    char *bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(bytes, MAP_FAILED);
    close(fd);
    ra_fails(ra_mapping_open_steady(path, 0, &mapping, &err), RA_ERR_CHANGED,
             "is open for writing in some process");
    ck_assert_ptr_null(mapping.data);
    munmap(bytes, SIZE);
    ra_ok(ra_mapping_open_steady(path, 0, &mapping, &err));
    ra_ok(ra_mapping_check(&mapping, &err));
    fd = open(path, O_RDWR);
    bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    ra_ok(ra_mapping_check(&mapping, &err)); /* nothing is written yet */
    ((volatile char *)bytes)[5000] = 'a';    /* the same content, and later another one, unseen */
    ra_fails(ra_mapping_check(&mapping, &err), RA_ERR_CHANGED, "was written");
    munmap(bytes, SIZE);
    ra_mapping_close(&mapping);
}
END_TEST

TEST_CASES_SLOW(guard, 60, test_a_page_that_is_gone_reads_as_zeros, test_all_threads_survive,
                test_only_the_mapping_that_faults_is_lost, test_other_bus_errors_end_the_process_as_before,
                test_who_maps_the_file_for_writing_is_noticed)
