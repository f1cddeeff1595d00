/* Opening the database of changes, and its failures: every one is a sentence that clients may read, and none leaves a
 * database that the next start could not open. */
#include "state/database.h"
#include "codec/problems.h"
#include "harness.h"
#include "sqlite_faults.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *state_folder(void) {
    return test_path("state");
}

static const char *state_file(void) {
    return test_path("state/rasaed.sqlite");
}

static sqlite3 *opened(void) {
    sqlite3 *database = NULL;
    ra_ok(database_open(state_folder(), &database, &err));
    return database;
}

static void create(void) {
    sqlite3_close(opened());
}

static void fails_with(const char *words) {
    sqlite3 *database = NULL;
    ra_error why = {0};
    ck_assert_int_eq(database_open(state_folder(), &database, &why), RA_ERR_IO);
    ck_assert_ptr_null(database);
    ck_assert_int_eq(why.facts.kind, PROBLEM_STATE_UNAVAILABLE);
    ck_assert_msg(strstr(why.message, words), "\"%s\" is not in \"%s\"", words, why.message);
    ck_assert_msg(!strstr(why.message, state_folder()), "%s",
                  why.message); /* clients never learn where it is */
}

static void ask(sqlite3 *database, const char *statement, char answer[32]) {
    sqlite3_stmt *row = NULL;
    ra_ok(database_prepare(database, statement, &row, &err));
    int code = sqlite3_step(row);
    snprintf(answer, 32, "%s", code == SQLITE_ROW ? database_text(row, 0) : "");
    ra_ok(database_end(database, row, code, &err));
}

START_TEST(test_it_makes_what_is_missing) {
    struct stat found;
    char answer[32];
    sqlite3 *database = opened();
    ck_assert(stat(state_folder(), &found) == 0 && (found.st_mode & 0777) == 0700);
    static const char *const wanted[][2] = {
        {"PRAGMA journal_mode", "wal"},       {"PRAGMA synchronous", "2"}, /* FULL: flushed at each commit */
        {"PRAGMA user_version", "1"},         {"SELECT number FROM changes", "0"},
        {"SELECT count(*) FROM labels", "0"}, {"SELECT count(*) FROM lists", "0"}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        ask(database, wanted[i][0], answer);
        ck_assert_str_eq(answer, wanted[i][1]);
    }
    ra_ok(database_run(database, "UPDATE changes SET number = 5", &err));
    sqlite3 *second = opened(); /* which does not begin anew */
    ask(second, "SELECT number FROM changes", answer);
    ck_assert_str_eq(answer, "5");
    sqlite3_close(second);
    sqlite3_close(database);
}
END_TEST

START_TEST(test_texts_and_nulls) {
    sqlite3 *database = opened();
    sqlite3_stmt *row = NULL;
    ra_ok(database_prepare(database, "SELECT ?1, ?2", &row, &err));
    database_bind(row, 1, "Zoë");
    database_bind(row, 2, NULL);
    ck_assert_int_eq(sqlite3_step(row), SQLITE_ROW);
    ck_assert_str_eq(database_text(row, 0), "Zoë");
    ck_assert_ptr_null(database_text(row, 1));
    ra_ok(database_end(database, row, SQLITE_ROW, &err));
    ra_fails(database_run(database, "no statement", &err), RA_ERR_IO, "cannot be used");
    ra_fails(database_prepare(database, "SELECT nothing FROM nowhere", &row, &err), RA_ERR_IO,
             "cannot be used");
    sqlite3_close(database);
}
END_TEST

START_TEST(test_a_folder_that_cannot_be_one) {
    char long_name[5000];
    sqlite3 *database = NULL;
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    ra_fails(database_open(long_name, &database, &err), RA_ERR_IO, "too long");
    ra_fails(database_open(test_path("no/such/folder"), &database, &err), RA_ERR_IO, "cannot be made");
    test_write("state", "a file", 6);
    fails_with("cannot be used");
}
END_TEST

/* Root may write everywhere: without this capability it may what others may. */
static void obey_permissions(void) {
    struct __user_cap_header_struct who = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct may[_LINUX_CAPABILITY_U32S_3];
    ck_assert_int_eq(syscall(SYS_capget, &who, may), 0);
    may[0].effective &= ~(1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH);
    ck_assert_int_eq(syscall(SYS_capset, &who, may), 0);
}

START_TEST(test_a_folder_that_cannot_be_written) {
    obey_permissions();
    ck_assert_int_eq(mkdir(state_folder(), 0500), 0);
    fails_with("cannot be used");
    chmod(state_folder(), 0700);
    create();
    chmod(state_file(), 0400);
    fails_with("cannot be written");
    chmod(state_file(), 0000);
    fails_with("cannot be used");
    chmod(state_file(), 0600);
    chmod(test_path("state/rasaed.sqlite-wal"), 0600); /* made with the permissions of the first */
    chmod(test_path("state/rasaed.sqlite-shm"), 0600);
    create();
}
END_TEST

static void overwrite(const char *path, long from, size_t size) {
    int file = open(path, O_WRONLY);
    char garbage[4096];
    memset(garbage, 0xa5, sizeof garbage);
    ck_assert_int_ge(file, 0);
    for (size_t done = 0; done < size; done += sizeof garbage)
        ck_assert_int_eq(pwrite(file, garbage, sizeof garbage, from + (long)done), sizeof garbage);
    close(file);
}

START_TEST(test_a_file_that_is_none) {
    create();
    overwrite(state_file(), 0, 4096);
    fails_with("damaged");
    unlink(state_file());
    create();
    overwrite(state_file(), 4096, 4096); /* the table of changes */
    fails_with("damaged");
}
END_TEST

START_TEST(test_a_later_version) {
    sqlite3 *database = opened();
    ra_ok(database_run(database, "PRAGMA user_version=2", &err));
    sqlite3_close(database);
    fails_with("a later version of rasaed wrote the database");
}
END_TEST

START_TEST(test_another_program_holds_it) {
    sqlite3 *other = opened();
    ra_ok(database_run(other, "BEGIN IMMEDIATE", &err));
    fails_with("another program holds"); /* after DATABASE_BUSY_MS */
    ra_ok(database_run(other, "ROLLBACK", &err));
    create();
    sqlite3_close(other);
}
END_TEST

START_TEST(test_a_file_that_was_moved) {
    sqlite3 *database = opened();
    ck_assert(!database_has_moved(database));
    ck_assert_int_eq(rename(state_file(), test_path("elsewhere")), 0);
    ck_assert(database_has_moved(database));
    create();
    ck_assert(database_has_moved(database)); /* another one is there */
    sqlite3_close(database);
    create();
}
END_TEST

static const int codes[] = {SQLITE_FULL, SQLITE_READONLY, SQLITE_IOERR_WRITE, SQLITE_CORRUPT, SQLITE_PERM};
static const char *const words[] = {"is full", "cannot be written", "cannot be used", "damaged",
                                    "cannot be written"};

/* Each operation in turn, and all after it, in making a database and in changing one. */
START_TEST(test_every_operation_of_the_disk_may_fail) {
    sqlite_faults_begin();
    bool said = false;
    for (int made = 0; made < 2; made++) {
        ra_status status = RA_ERR_IO;
        for (size_t n = 1; status != RA_OK; n++) {
            ra_error why = {0};
            sqlite3 *database = NULL;
            ck_assert_uint_lt(n, 500);
            if (!made) unlink(state_file()), unlink(test_path("state/rasaed.sqlite-wal"));
            sqlite_faults_disk(n, codes[_i]);
            status = database_open(state_folder(), &database, &why);
            if (status == RA_OK)
                status = database_run(database, "UPDATE changes SET number = number + 1", &why);
            sqlite_faults_disk(0, 0);
            sqlite3_close(database);
            if (status == RA_OK) break;
            ck_assert_msg(status == RA_ERR_IO && why.facts.kind == PROBLEM_STATE_UNAVAILABLE, "%s",
                          why.message);
            said |= strstr(why.message, words[_i]) != NULL;
            create(); /* what was left opens */
        }
    }
    ck_assert_msg(said, "nothing says %s", words[_i]);
}
END_TEST

START_TEST(test_every_allocation_of_sqlite_may_fail) {
    sqlite_faults_begin();
    ra_status status = RA_ERR_MEMORY;
    for (size_t n = 1; status != RA_OK; n++) {
        ra_error why = {0};
        sqlite3 *database = NULL;
        ck_assert_uint_lt(n, 5000);
        sqlite_faults_memory(n);
        status = database_open(state_folder(), &database, &why);
        sqlite_faults_memory(0);
        sqlite3_close(database);
        if (status == RA_OK) break;
        ck_assert_ptr_null(database);
        ck_assert_msg(status == RA_ERR_MEMORY || status == RA_ERR_IO, "%s", why.message);
    }
    create();
}
END_TEST

TEST_CASES_SLOW(state_database, 60, test_it_makes_what_is_missing, test_texts_and_nulls,
                test_a_folder_that_cannot_be_one, test_a_folder_that_cannot_be_written,
                test_a_file_that_is_none, test_a_later_version, test_another_program_holds_it,
                test_a_file_that_was_moved, test_every_allocation_of_sqlite_may_fail)
TEST_CASES_LOOP(state_database_disk, 60, sizeof codes / sizeof *codes,
                test_every_operation_of_the_disk_may_fail)
