#include "harness.h"
#include "io/lease.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_new(const char *name) {
    int fd = open(test_write(name, "content", 7), O_RDONLY);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* Another process opens the file for writing and writes; returns when it is done. */
static void write_elsewhere(const char *name) {
    const char *path = test_path(name);
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        int fd = open(path, O_WRONLY);
        _exit(fd >= 0 && write(fd, "C", 1) == 1 ? 0 : 1);
    }
    while (waitpid(child, &status, 0) < 0) continue;
    ck_assert_int_eq(status, 0);
}

START_TEST(test_a_lease_holds_until_somebody_opens_the_file_for_writing) {
    lease_prepare();
    lease_prepare();
    int a = open_new("a"), b = open_new("b");
    bool written;
    lease *first = lease_take(a, &written), *second = lease_take(b, &written);
    ck_assert(first && second);
    ck_assert(lease_holds(first) && lease_holds(second));
    close(open(test_path("a"), O_RDONLY));
    ck_assert_int_eq(rename(test_path("b"), test_path("c")), 0);
    ck_assert(lease_holds(first) && lease_holds(second));
    write_elsewhere("a");
    ck_assert(!lease_holds(first));
    ck_assert(lease_holds(second));
    int writer = open(test_path("a"), O_WRONLY);
    ck_assert(!lease_renew(first) && !lease_holds(first));
    close(writer);
    ck_assert(lease_renew(first) && lease_holds(first));
    lease_drop(first);
    close(a);
    a = open_new("d"); /* in the place of the first one */
    first = lease_take(a, &written);
    ck_assert(lease_holds(first));
    ck_assert_int_eq(truncate(test_path("d"), 0), 0); /* by this thread, which the handler interrupts */
    ck_assert(!lease_holds(first));
    write_elsewhere("c");
    ck_assert(!lease_holds(second));
    lease_drop(first);
    lease_drop(second);
    close(a);
    close(b);
}
END_TEST

START_TEST(test_there_is_no_lease_on_a_file_that_is_being_written) {
    lease_prepare();
    int fd = open_new("a"), writer = open(test_path("a"), O_WRONLY);
    bool written;
    ck_assert_ptr_null(lease_take(fd, &written));
    ck_assert(written);
    close(writer);
    lease *held = lease_take(fd, &written);
    ck_assert(lease_holds(held) && !written);
    lease_drop(held);
    lease_drop(NULL);
    ck_assert(!lease_holds(NULL));
    close(fd);
}
END_TEST

static void others(int number) {
    (void)number;
}

START_TEST(test_a_handler_of_others_stays) {
    signal(SIGIO, others);
    lease_prepare();
    ck_assert_ptr_eq(signal(SIGIO, SIG_DFL), others);
    int fd = open_new("a");
    bool written;
    ck_assert_ptr_null(lease_take(fd, &written));
    ck_assert(!written);
    close(fd);
}
END_TEST

TEST_CASES(lease, test_a_lease_holds_until_somebody_opens_the_file_for_writing,
           test_there_is_no_lease_on_a_file_that_is_being_written, test_a_handler_of_others_stays)
