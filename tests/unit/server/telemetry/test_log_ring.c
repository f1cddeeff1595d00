/* server/telemetry/log_ring.c: no put waits, every line is read, told as dropped, or still there. */
#include "harness.h"
#include "telemetry/log_ring.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RING = 16384 };

static log_ring *ring; /* lives until the end of the process */

static size_t dropped(char *data, uint64_t lines) {
    return (size_t)snprintf(data, LOG_RING_LINE_MOST, "dropped %llu\n", (unsigned long long)lines);
}

static void start(int descriptor) {
    ra_ok(log_ring_start(&(log_ring_options){descriptor, RING, dropped}, &ring, &err));
}

/* Line i, `size` bytes long. */
static void put(size_t i, size_t size) {
    char line[LOG_RING_LINE_MOST];
    memset(line, '.', size);
    int n = snprintf(line, sizeof line, "%zu", i);
    line[n] = ' ';
    line[size - 1] = '\n';
    log_ring_put(ring, line, size);
}

static char *read_until_empty(int descriptor) {
    static char text[1 << 20];
    size_t used = 0;
    ssize_t n;
    ck_assert_int_eq(fcntl(descriptor, F_SETFL, O_NONBLOCK), 0);
    while ((n = read(descriptor, text + used, sizeof text - 1 - used)) > 0) used += (size_t)n;
    text[used] = '\0';
    return text;
}

START_TEST(test_lines_arrive_whole_and_in_order) {
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    start(ends[1]);
    size_t next = 0;
    for (size_t round = 0; round < 40; round++) {
        for (size_t i = 0; i < 10; i++) put(round * 10 + i, 1 + 997 * (i + 1) % 1400 + 8);
        ck_assert(log_ring_flush(ring, 10000));
        for (char *line = read_until_empty(ends[0]), *end; (end = strchr(line, '\n')); line = end + 1) {
            size_t i = next % 10;
            ck_assert_uint_eq(strtoul(line, NULL, 10), next++);
            ck_assert_uint_eq((size_t)(end - line) + 1, 1 + 997 * (i + 1) % 1400 + 8);
        }
    }
    ck_assert_uint_eq(next, 400);
    ck_assert_uint_eq(log_ring_dropped(ring), 0);
}
END_TEST

START_TEST(test_lines_that_nobody_reads_are_counted_and_told) {
    enum { LINES = 3000, SIZE = 100 };
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_gt(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
    start(ends[1]);
    for (size_t i = 0; i < LINES; i++) put(i, SIZE);
    ck_assert(!log_ring_flush(ring, 50));
    uint64_t lost = log_ring_dropped(ring);
    ck_assert_uint_gt(lost, 0);
    char *text = NULL;
    size_t read = 0, next = 0;
    uint64_t told = 0;
    for (int round = 0; round < 20; round++) { /* the pipe and the ring, part by part */
        text = read_until_empty(ends[0]);
        for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
            if (strncmp(line, "dropped ", 8) == 0) {
                uint64_t here = strtoull(line + 8, NULL, 10);
                told += here;
                next += here;
            } else {
                ck_assert_uint_eq(strtoul(line, NULL, 10), next++);
                read++;
            }
        }
        log_ring_flush(ring, 100);
    }
    ck_assert_uint_eq(told, lost);
    ck_assert_uint_eq(read + lost, LINES);
    put(LINES, SIZE);
    ck_assert(log_ring_flush(ring, 10000));
    ck_assert_uint_eq(strtoul(read_until_empty(ends[0]), NULL, 10), LINES);
    ck_assert_uint_eq(log_ring_dropped(ring), lost);
}
END_TEST

START_TEST(test_a_descriptor_that_takes_nothing_counts_too) {
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    start(ends[1]);
    for (size_t i = 0; i < 5; i++) put(i, 50);
    ck_assert(log_ring_flush(ring, 10000));
    ck_assert_uint_eq(log_ring_dropped(ring), 5);
}
END_TEST

START_TEST(test_a_descriptor_that_does_not_block_is_waited_for) {
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_gt(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
    start(ends[1]);
    for (size_t i = 0; i < 100; i++) put(i, 100);
    size_t next = 0;
    for (int round = 0; round < 50 && next < 100; round++) {
        for (char *line = read_until_empty(ends[0]), *end; (end = strchr(line, '\n')); line = end + 1)
            ck_assert_uint_eq(strtoul(line, NULL, 10), next++);
        log_ring_flush(ring, 100);
    }
    ck_assert_uint_eq(next, 100);
    ck_assert_uint_eq(log_ring_dropped(ring), 0);
}
END_TEST

TEST_CASES(log_ring, test_lines_arrive_whole_and_in_order, test_lines_that_nobody_reads_are_counted_and_told,
           test_a_descriptor_that_takes_nothing_counts_too,
           test_a_descriptor_that_does_not_block_is_waited_for)
