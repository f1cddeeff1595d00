/* The emulated device (tests/emulation) finds the mistakes that it is there for: each is planted
 * (tests/emulation/faults.cu) in a process of its own, which must end with the sentence that names it. */
#include "devices.h"
#include "emulated.h"
#include "harness.h"
#include "ra_backend.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct planted {
    const char *fault, *sentence; /* "": passes */
} planted;

static const planted faults[] = {
    {"nothing wrong", ""},
    {"write behind", "kernel plant_write_at, block (0,0), thread 0 touched byte 256 of a block of 256 bytes"},
    {"write before", "plant_write_at wrote byte -4 of a block of 256 bytes of device memory"},
    {"write beside", "plant_write_at wrote byte 4 of a block of 4 bytes of device memory"},
    {"read behind", "kernel plant_read_at, block (0,0), thread 0 touched byte 256 of a block"},
    {"use after free", "the host touched byte 4 of a freed block"},
    {"kernel after free", "kernel plant_write_at: got an address that is not on the device"},
    {"host write", "the host touched byte 12 of a block of 256 bytes of device memory"},
    {"host read", "the host touched byte 12 of a block of 256 bytes of device memory"},
    {"host address", "kernel plant_write_at: got an address that is not on the device"},
    {"double free", "freed a block of 256 bytes of device memory twice"},
    {"free as pinned", "freed device memory as pinned memory"},
    {"wrong direction", "a copy to the device: pinned memory where device memory is needed"},
    {"pageable copy", "a copy to the device: ordinary memory where pinned memory is needed"},
    {"copy too long", "a copy to the device: bytes 0 to 257 of a block of 256 bytes"},
    {"source reused", "the source of a copy to the device changed before the copy was done"},
    {"missing wait", "an answer that nobody waited for"},
    {"copy and kernel wait", ""},
    {"kernel does not wait for the copy", "a kernel and a copy that should have waited for each other"},
    {"copy does not wait for the kernel", "a kernel and a copy that should have waited for each other"},
    {"event before the copy", "a kernel and a copy that should have waited for each other"},
    {"missing barrier", "kernel plant_rotate: its results depend on the order of its threads"},
    {"race of blocks", "kernel plant_same_place: its results depend on the order of its threads"},
    {"race in the middle", "kernel plant_middle: its results depend on the order of its threads"},
    {"uninitialized shared memory", "a kernel that read shared memory before it was written"},
    {"divergent barrier", "kernel plant_half_a_barrier, block (0,0): a barrier or an exchange that not all"},
    {"divergent exchange",
     "kernel plant_half_an_exchange, block (0,0): a barrier or an exchange that not all"},
    {"bias not aligned", "a bias that is not aligned: kernels of cuBLASLt load 16 bytes at a time"},
    {"bias too short", "the bias of a product: bytes 256 to 272 of a block of 256 bytes"},
    {"stream destroyed", "cudaStreamSynchronize: a stream that does not exist"},
    {"leak", "not freed: 1 blocks of device memory, 1 of pinned memory, 2 streams, 1 events"},
};
enum { FAULTS = sizeof faults / sizeof *faults };

#ifndef RA_SANITIZE
/* Those that the checked plugin finds. */
static const struct {
    planted row;
    bool hidden; /* the results are the same in both orders of threads */
} races[] = {
    {{"nothing wrong", ""}, true},
    {{"tree without barriers", "kernel plant_tree, block 0, thread 1: writes a word of shared memory that "
                               "several threads of block 0 read"},
     false},
    {{"one buffer for two", "kernel plant_one_buffer, block 0, thread 1: reads a word of shared memory that "
                            "thread 0 of block 0 wrote"},
     true},
    {{"one buffer in a template",
      "kernel plant_in_template, block 0, thread 1: reads a word of shared memory that "
      "thread 0 of block 0 wrote"},
     true},
    {{"histogram without atomics", "kernel plant_histogram, block 0, thread 4: reads a word of shared memory "
                                   "that thread 0 of block 0 wrote, "
                                   "without a barrier between"},
     true},
    {{"sum without atomics",
      "kernel plant_sum, block 1, thread 0: reads a word of device memory that thread 0 of block 0 wrote"},
     true},
    {{"fused", "a multiplication and an addition that are rounded once"}, true},
    {{"misaligned",
      "kernel plant_wide_load, block 0, thread 0: 16 bytes at an address that is no multiple of that"},
     false},
};
enum { RACES = sizeof races / sizeof *races };
#endif

static void check(const planted *wanted, emulated (*open)(void)) {
    int ends[2];
    char said[4096] = "";
    size_t length = 0;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        signal(SIGABRT, SIG_DFL);
        emulated device = open();
        int known = device.plant(wanted->fault);
        if (!known) fputs("no such fault", stderr);
        emulated_close(&device);
        _exit(known ? 0 : 1);
    }
    close(ends[1]);
    for (ssize_t got;
         length < sizeof said - 1 && (got = read(ends[0], said + length, sizeof said - 1 - length)) > 0;)
        length += (size_t)got;
    said[length] = '\0';
    close(ends[0]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    const char *sentence = wanted->sentence;
    if (!*sentence) {
        ck_assert_msg(status == 0 && !*said, "%s: status %d, \"%s\"", wanted->fault, status, said);
        return;
    }
    ck_assert_msg(status != 0, "%s was not found", wanted->fault);
    ck_assert_msg(strstr(said, sentence), "%s: \"%s\" is not in \"%s\"", wanted->fault, sentence, said);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s: status %d", wanted->fault, status);
}

START_TEST(test_a_planted_fault_is_found) {
    check(&faults[_i], emulated_open);
}
END_TEST

TEST_CASES_LOOP(emulation, 20, FAULTS, test_a_planted_fault_is_found)

#ifndef RA_SANITIZE
START_TEST(test_a_planted_race_is_found) {
    if (strcmp(races[_i].row.fault, "fused") == 0 && !__builtin_cpu_supports("fma")) return;
    check(&races[_i].row, emulated_open_checked);
}
END_TEST

/* The other plugin runs threads in two orders, in which most of these mistakes make no difference. */
START_TEST(test_two_orders_do_not_show_it) {
    if (races[_i].hidden) check(&(planted){races[_i].row.fault, ""}, emulated_open);
}
END_TEST

/* So that every loop over rows loops. One plugin per process: the other's cuBLAS has the same name. */
START_TEST(test_its_grids_are_small) {
    enum { NUMBERS = 1 << 16 };
    emulated device = _i ? emulated_open_checked() : emulated_open();
    ra_backend *backend = NULL;
    void *x = NULL;
    ra_ok(ra_backend_open(_i ? "cuda-checked" : "cuda-emulated", NULL, &backend, &err));
    ra_ok(ra_backend_allocate(backend, NUMBERS * sizeof(float), &x, &err));
    (void)device.count();
    ra_ok(ra_backend_relu(backend, x, x, NUMBERS, &err));
    size_t blocks = device.count().most_blocks;
    if (_i)
        ck_assert_uint_eq(blocks, 2);
    else
        ck_assert_uint_gt(blocks, 2);
    ra_backend_deallocate(backend, x);
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

/* make check-gpu: a real device is opened once per process and set of options. */
START_TEST(test_a_suite_opens_its_device_once) {
    setenv("RASAE_TEST_DEVICE", "cuda-emulated", true);
    ra_backend *first = device_open(DEVICE_EMULATED, 1), *same = device_open(DEVICE_EMULATED, 1),
               *other = device_open(DEVICE_EMULATED, 2);
    ck_assert_ptr_eq(same, first);
    ck_assert_ptr_ne(other, first);
    ra_backend_release(first);
    ra_backend_release(same);
    ra_backend_release(other);
}
END_TEST

TEST_CASES(emulation_devices, test_a_suite_opens_its_device_once)
TEST_CASES_LOOP(emulation_grids, 20, 2, test_its_grids_are_small)
TEST_CASES_LOOP(emulation_races, 20, RACES, test_a_planted_race_is_found, test_two_orders_do_not_show_it)
#endif
