#include "harness.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The number of entries in the test's folder: a temporary file that is left behind would be one too many. */
static int entries(void) {
    int count = -2; /* "." and ".." */
    DIR *folder = opendir(test_folder());
    ck_assert_ptr_nonnull(folder);
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

static void assert_content(const char *path, const void *expected, size_t size) {
    ra_mapping mapping;
    ra_ok(ra_mapping_open(path, &mapping, &err));
    ck_assert_uint_eq(mapping.size, size);
    if (size) ck_assert_mem_eq(mapping.data, expected, size);
    ra_mapping_close(&mapping);
}

static ra_status replace(const char *path, const void *data, size_t size, ra_error *err) {
    ra_atomic_file *file = NULL;
    ra_status status = ra_atomic_file_begin(path, &file, err);
    if (status != RA_OK) return status;
    status = ra_atomic_file_write(file, data, size, err);
    if (status == RA_OK) return ra_atomic_file_commit(file, err);
    ra_atomic_file_abort(file);
    return status;
}

START_TEST(test_the_target_changes_only_at_the_commit) {
    const char *path = test_write("a", "old", 3);
    ra_atomic_file *file = NULL;
    ra_ok(ra_atomic_file_begin(path, &file, &err));
    ra_ok(ra_atomic_file_write(file, "ne", 2, &err));
    ra_ok(ra_atomic_file_write(file, NULL, 0, &err));
    ra_ok(ra_atomic_file_write(file, "w!", 2, &err));
    assert_content(path, "old", 3);
    ra_ok(ra_atomic_file_commit(file, &err));
    assert_content(path, "new!", 4);
    ck_assert_int_eq(entries(), 1);
}
END_TEST

START_TEST(test_abort_leaves_everything_as_it_was) {
    const char *path = test_write("a", "old", 3);
    ra_atomic_file *file = NULL;
    ra_ok(ra_atomic_file_begin(path, &file, &err));
    ra_ok(ra_atomic_file_write(file, "new", 3, &err));
    ck_assert_int_eq(entries(), 2);
    ra_atomic_file_abort(file);
    assert_content(path, "old", 3);
    ck_assert_int_eq(entries(), 1);
    ra_atomic_file_abort(NULL);
}
END_TEST

START_TEST(test_the_temporary_file_is_hidden_beside_the_target) {
    ra_atomic_file *file = NULL;
    ra_ok(ra_atomic_file_begin(test_path("model.safetensors"), &file, &err));
    DIR *folder = opendir(test_folder());
    const char *found = "";
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strncmp(entry->d_name, ".model.safetensors.", 19) == 0) found = entry->d_name;
    ck_assert_uint_eq(strlen(found), 19 + 6);
    closedir(folder);
    ra_atomic_file_abort(file);
}
END_TEST

START_TEST(test_pieces_of_every_size_come_out_in_order) {
    enum { SIZE = 1 << 20 };
    static unsigned char data[SIZE];
    for (size_t i = 0; i < SIZE; i++) data[i] = (unsigned char)(i * 2654435761u >> 13);
    static const size_t pieces[] = {1, 65535, 65536, 65537, 7, 200000, 3, 131072, 65535, 2};
    ra_atomic_file *file = NULL;
    const char *path = test_path("big");
    ra_ok(ra_atomic_file_begin(path, &file, &err));
    size_t used = 0;
    for (size_t i = 0; used < SIZE; i++) {
        size_t piece = pieces[i % 10] < SIZE - used ? pieces[i % 10] : SIZE - used;
        ra_ok(ra_atomic_file_write(file, data + used, piece, &err));
        used += piece;
    }
    ra_ok(ra_atomic_file_commit(file, &err));
    assert_content(path, data, SIZE);
}
END_TEST

START_TEST(test_an_empty_file_can_be_written) {
    const char *path = test_write("a", "old", 3);
    ra_ok(replace(path, NULL, 0, &err));
    assert_content(path, NULL, 0);
}
END_TEST

START_TEST(test_permissions_follow_the_umask) {
    static const struct { mode_t mask, mode; } cases[] = {{022, 0644}, {027, 0640}, {077, 0600}, {0, 0666}};
    const char *path = test_path("a");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stat info;
        mode_t before = umask(cases[i].mask);
        ra_ok(replace(path, "x", 1, &err));
        umask(before);
        ck_assert_int_eq(stat(path, &info), 0);
        ck_assert_uint_eq(info.st_mode & 07777, cases[i].mode);
    }
}
END_TEST

START_TEST(test_a_relative_target_survives_a_change_of_folder) {
    int home = open(".", O_RDONLY | O_DIRECTORY);
    ra_atomic_file *file = NULL;
    ck_assert_int_eq(chdir(test_folder()), 0);
    ra_ok(ra_atomic_file_begin("relative", &file, &err));
    ck_assert_int_eq(fchdir(home), 0);
    close(home);
    ra_ok(ra_atomic_file_write(file, "x", 1, &err));
    ra_ok(ra_atomic_file_commit(file, &err));
    assert_content(test_path("relative"), "x", 1);
}
END_TEST

START_TEST(test_a_link_is_followed_and_kept) {
    const char *target = test_write("target", "old", 3), *link = test_path("link");
    struct stat info;
    ck_assert_int_eq(symlink("target", link), 0);
    ra_ok(replace(link, "new", 3, &err));
    ck_assert_int_eq(lstat(link, &info), 0);
    ck_assert(S_ISLNK(info.st_mode));
    assert_content(target, "new", 3);
    ck_assert_int_eq(entries(), 2);
}
END_TEST

START_TEST(test_a_name_of_full_length_can_be_written) {
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    const char *path = test_path(name);
    ra_ok(replace(path, "x", 1, &err));
    assert_content(path, "x", 1);
    ck_assert_int_eq(entries(), 1);
}
END_TEST

START_TEST(test_refuses_targets_that_are_no_files) {
    ra_atomic_file *file = NULL;
    test_write("plain", "x", 1);
    ra_fails(replace(test_folder(), "x", 1, &err), RA_ERR_ARGUMENT, "is a directory");
    ck_assert_int_eq(mkfifo(test_path("pipe"), 0600), 0); /* in place of a device: it must stay one */
    ra_fails(replace(test_path("pipe"), "x", 1, &err), RA_ERR_ARGUMENT, "not a regular file");
    ra_fails(replace("", "x", 1, &err), RA_ERR_ARGUMENT, "not a file name");
    ra_fails(replace(test_path("missing/"), "x", 1, &err), RA_ERR_ARGUMENT, "not a file name");
    ra_fails(replace(test_path("missing/a"), "x", 1, &err), RA_ERR_NOT_FOUND, "there is no directory");
    ra_fails(replace(test_path("plain/a"), "x", 1, &err), RA_ERR_IO, "Not a directory");
    char longer[300];
    memset(longer, 'n', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    ra_fails(ra_atomic_file_begin(test_path(longer), &file, &err), RA_ERR_IO, "File name too long");
    ck_assert_ptr_null(file);
    ck_assert_int_eq(entries(), 2);
}
END_TEST

/* To this process, the disk is full after `bytes`. */
static void limit_file_size(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN); /* write() then fails with EFBIG, after a short write up to the limit */
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(test_a_full_disk_loses_nothing) {
    static char data[300000];
    const char *path = test_write("a", "old", 3);
    limit_file_size(100000);
    ra_fails(replace(path, data, sizeof data, &err), RA_ERR_IO, "File too large");
    for (size_t size = 100001; size < 200000; size += 33333) /* fails while writing or while committing */
        ra_fails(replace(path, data, size, &err), RA_ERR_IO, path);
    limit_file_size(10);
    ra_fails(replace(path, data, 11, &err), RA_ERR_IO,
             "File too large"); /* still in the buffer: it fails at the commit */
    assert_content(path, "old", 3);
    ck_assert_int_eq(entries(), 1);
    ra_ok(replace(path, data, 10, &err));
    assert_content(path, data, 10);
}
END_TEST

START_TEST(test_a_lost_write_cannot_be_committed) {
    static char data[200000];
    const char *path = test_write("a", "old", 3);
    ra_atomic_file *file = NULL;
    limit_file_size(100000);
    ra_ok(ra_atomic_file_begin(path, &file, &err));
    ra_fails(ra_atomic_file_write(file, data, sizeof data, &err), RA_ERR_IO, "File too large");
    limit_file_size(RLIM_INFINITY);
    ra_fails(ra_atomic_file_commit(file, &err), RA_ERR_IO, "an earlier write failed");
    assert_content(path, "old", 3);
    ck_assert_int_eq(entries(), 1);
}
END_TEST

START_TEST(test_a_rename_that_fails_cleans_up) {
    ra_atomic_file *file = NULL;
    const char *folder = test_path("folder"), *path = test_path("folder/a");
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    ra_ok(ra_atomic_file_begin(path, &file, &err));
    ck_assert_int_eq(mkdir(path, 0700), 0); /* the rename must fail, and the temporary file must go */
    ra_fails(ra_atomic_file_commit(file, &err), RA_ERR_IO, "renaming");
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(test_writers_of_one_target_never_mix) {
    enum { WRITERS = 3, ROUNDS = 15, SIZE = 150000 };
    static char data[SIZE];
    const char *path = test_path("shared");
    pid_t writers[WRITERS];
    for (int w = 0; w < WRITERS; w++) {
        writers[w] = fork();
        ck_assert_int_ge(writers[w], 0);
        if (writers[w] > 0) continue;
        memset(data, 'A' + w, SIZE);
        ra_status status = RA_OK;
        for (int i = 0; i < ROUNDS && status == RA_OK; i++)
            status = replace(path, data, SIZE - (size_t)w, NULL);
        _exit(status == RA_OK ? 0 : 1);
    }
    for (int running = WRITERS; running > 0;) {
        int result;
        pid_t ended = waitpid(-1, &result, WNOHANG);
        if (ended > 0) {
            running--;
            ck_assert(WIFEXITED(result) && WEXITSTATUS(result) == 0);
        }
        ra_mapping mapping;
        if (ra_mapping_open(path, &mapping, NULL) != RA_OK) continue; /* no thread has come that far yet */
        const char *bytes = mapping.data;
        ck_assert_uint_eq(mapping.size, SIZE - (size_t)(bytes[0] - 'A'));
        for (size_t i = 0; i < mapping.size; i += 997) ck_assert_int_eq(bytes[i], bytes[0]);
        ra_mapping_close(&mapping);
    }
    ck_assert_int_eq(entries(), 1);
}
END_TEST

START_TEST(test_short_memory_leaves_nothing_behind) {
    const char *path = test_write("a", "old", 3);
    for (size_t n = 1;; n++) {
        ra_error err = {0};
        ck_assert_uint_lt(n, 100);
        ra_memory_fail_at(n);
        ra_status status = replace(path, "new", 3, &err);
        ra_memory_fail_at(0);
        ck_assert_int_eq(entries(), 1);
        if (status == RA_OK) break;
        ck_assert_int_eq(status, RA_ERR_MEMORY);
        ck_assert_str_ne(err.message, "");
        assert_content(path, "old", 3);
    }
    assert_content(path, "new", 3);
}
END_TEST

START_TEST(test_a_program_may_require_that_what_it_read_is_valid) {
    enum { SIZE = 1 << 20 };
    static char content[SIZE];
    const char *path = test_write("a", "old", 3), *input = test_write("input", content, SIZE);
    ra_mapping mapping;
    ra_atomic_file *file = NULL;
    ra_atomic_file_require(ra_mapping_check_all);
    ra_ok(ra_mapping_open(input, &mapping, &err));
    ra_ok(replace(path, "new", 3, &err));
    ck_assert_int_eq(truncate(input, 4096), 0);
    ra_fails(replace(path, "bad", 3, &err), RA_ERR_CHANGED, "input was written");
    ra_ok(ra_atomic_file_begin(path, &file, &err)); /* the system reads the mapping: EFAULT, not SIGBUS */
    ra_fails(ra_atomic_file_write(file, mapping.data, SIZE, &err), RA_ERR_CHANGED, "input was written");
    ra_atomic_file_abort(file);
    ra_mapping_close(&mapping);
    assert_content(path, "new", 3);
    ck_assert_int_eq(entries(), 2);
}
END_TEST

TEST_CASES_SLOW(atomic_file, 30, test_the_target_changes_only_at_the_commit,
                test_abort_leaves_everything_as_it_was, test_the_temporary_file_is_hidden_beside_the_target,
                test_pieces_of_every_size_come_out_in_order, test_an_empty_file_can_be_written,
                test_permissions_follow_the_umask, test_a_relative_target_survives_a_change_of_folder,
                test_a_link_is_followed_and_kept, test_a_name_of_full_length_can_be_written,
                test_refuses_targets_that_are_no_files, test_a_full_disk_loses_nothing,
                test_a_lost_write_cannot_be_committed, test_a_rename_that_fails_cleans_up,
                test_writers_of_one_target_never_mix, test_short_memory_leaves_nothing_behind,
                test_a_program_may_require_that_what_it_read_is_valid)
