/* How much memory there is (lib/base/memory_limit.c): control groups of both versions as /proc and /sys describe them. */
#include "harness.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Writes a file of the machine that a test makes up, and the folders above it. */
static void describe(const char *name, const char *text) {
    char path[1024];
    snprintf(path, sizeof path, "%s%s", test_folder(), name);
    for (char *slash = path + strlen(test_folder()) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static const char mounts_1[] =
    "24 1 0:20 / /proc rw - proc proc rw\n"
    "30 24 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
    "31 24 0:27 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n";
static const char mounts_2[] = "31 24 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";

START_TEST(test_a_machine_without_groups_has_no_limit) {
    ck_assert_uint_eq(ra_memory_group_limit(test_folder()), SIZE_MAX);
    describe("/proc/self/cgroup", "0::/\n");
    ck_assert_uint_eq(ra_memory_group_limit(test_folder()), SIZE_MAX);
}
END_TEST

START_TEST(test_the_smallest_limit_of_the_groups_above_holds) {
    describe("/proc/self/mountinfo", mounts_1);
    describe("/proc/self/cgroup", "5:cpu,cpuacct:/other\n4:memory:/outer/inner\n0::/\n");
    describe("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    describe("/sys/fs/cgroup/memory/outer/memory.limit_in_bytes", "700000000\n");
    describe("/sys/fs/cgroup/memory/outer/inner/memory.limit_in_bytes", "900000000\n");
    describe("/sys/fs/cgroup/memory/other/memory.limit_in_bytes", "1000\n");
    ck_assert_uint_eq(ra_memory_group_limit(test_folder()), 700000000);
}
END_TEST

/* A container sees its own group at the mount point, and may or may not see the path above it. */
START_TEST(test_a_container_sees_its_group_at_the_mount_point) {
    describe("/proc/self/mountinfo",
             "31 24 0:27 /docker/0123 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
    describe("/proc/self/cgroup", "4:memory:/docker/0123\n");
    describe("/sys/fs/cgroup/memory/memory.limit_in_bytes", "500000000\n");
    ck_assert_uint_eq(ra_memory_group_limit(test_folder()), 500000000);
    describe("/proc/self/cgroup", "4:memory:/docker/0123/job\n");
    describe("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "400000000\n");
    ck_assert_uint_eq(ra_memory_group_limit(test_folder()), 400000000);
    describe("/proc/self/cgroup", "4:memory:/docker/01234\n"); /* another group, whose files are not seen */
    ck_assert_uint_eq(ra_memory_group_limit(test_folder()), 500000000);
}
END_TEST

START_TEST(test_version_2_has_a_limit_and_a_brake) {
    describe("/proc/self/mountinfo", mounts_2);
    describe("/proc/self/cgroup", "0::/system.slice/job.service\n");
    describe("/sys/fs/cgroup/system.slice/memory.max", "max\n");
    describe("/sys/fs/cgroup/system.slice/job.service/memory.max", "800000000\n");
    ck_assert_uint_eq(ra_memory_group_limit(test_folder()), 800000000);
    describe("/sys/fs/cgroup/system.slice/job.service/memory.high", "600000000\n");
    ck_assert_uint_eq(ra_memory_group_limit(test_folder()), 600000000);
    describe("/sys/fs/cgroup/system.slice/job.service/memory.max", "nonsense\n");
    describe("/sys/fs/cgroup/system.slice/job.service/memory.high", "\n");
    ck_assert_uint_eq(ra_memory_group_limit(test_folder()), SIZE_MAX);
}
END_TEST

START_TEST(test_the_process_has_limits_too) {
    size_t machine = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    struct rlimit before, lower;
    ck_assert_uint_gt(ra_memory_limit(), 0);
    ck_assert_uint_le(ra_memory_limit(), machine);
    ck_assert_int_eq(getrlimit(RLIMIT_DATA, &before), 0);
    lower = before;
    lower.rlim_cur = 300000000;
    ck_assert_int_eq(setrlimit(RLIMIT_DATA, &lower), 0);
    size_t limited = ra_memory_limit();
    (void)setrlimit(RLIMIT_DATA, &before);
    ck_assert_uint_le(limited, 300000000);
}
END_TEST

TEST_CASES(memory_limit, test_a_machine_without_groups_has_no_limit,
           test_the_smallest_limit_of_the_groups_above_holds,
           test_a_container_sees_its_group_at_the_mount_point, test_version_2_has_a_limit_and_a_brake,
           test_the_process_has_limits_too)
