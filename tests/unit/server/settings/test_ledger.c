#include "harness.h"
#include "settings/ledger.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static void limit_files(rlim_t soft, rlim_t hard) {
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){soft, hard}), 0);
}

/* What is left for everything else when all connections are taken: as many as those tests open. */
static void check_spare(const ledger *shares, size_t threads, size_t admin) {
    size_t taken = shares->connections + 3 * threads + 2 + (admin ? admin + 5 : 0), open = 0;
    for (int i = 0; i < 1024; i++) open += fcntl(i, F_GETFD) >= 0;
    ck_assert_uint_ge(shares->descriptors, taken + open + 32);
}

START_TEST(test_connections_are_what_is_left) {
    ledger shares;
    settings chosen = {.threads = 4};
    limit_files(128, 500); /* a test of its own process */
    ra_ok(ledger_settle(&chosen, false, &shares, &err));
    ck_assert_uint_eq(shares.descriptors, 500); /* the soft limit was raised */
    ck_assert_uint_gt(shares.connections, 400);
    check_spare(&shares, 4, 0);
    size_t alone = shares.connections;
    ra_ok(ledger_settle(&chosen, true, &shares, &err));
    ck_assert_uint_lt(shares.connections, alone - shares.admin_connections);
    check_spare(&shares, 4, shares.admin_connections);
    chosen.threads = 64; /* with 64 spare ones for all threads, these would have had none */
    ra_ok(ledger_settle(&chosen, false, &shares, &err));
    ck_assert_uint_le(shares.connections, alone - 3 * 60);
    check_spare(&shares, 64, 0);
}
END_TEST

START_TEST(test_what_does_not_fit_is_refused) {
    ledger shares;
    limit_files(500, 500);
    settings chosen = {.threads = 2, .max_connections = 300};
    ra_ok(ledger_settle(&chosen, false, &shares, &err));
    ck_assert_uint_eq(shares.connections, 300);
    chosen.max_connections = 480;
    ra_fails(ledger_settle(&chosen, false, &shares, &err), RA_ERR_SETTING,
             "--max-connections is 480, but the limit of 500 open files (ulimit -n) leaves 4");
    chosen = (settings){.threads = 1000};
    ra_fails(ledger_settle(&chosen, false, &shares, &err), RA_ERR_SETTING, "lower --threads");
}
END_TEST

START_TEST(test_threads_follow_the_cores) {
    ledger shares;
    ra_ok(ledger_settle(&(settings){0}, false, &shares, &err));
    ck_assert_uint_ge(shares.io_threads, 1);
    ck_assert_uint_ge(shares.compute_threads, 64);
    ck_assert_uint_eq(shares.admin_connections, 0);
}
END_TEST

TEST_CASES(ledger, test_connections_are_what_is_left, test_what_does_not_fit_is_refused,
           test_threads_follow_the_cores)
