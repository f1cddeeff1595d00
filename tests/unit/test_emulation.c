/* The emulated device (tests/emulation) finds the mistakes that it is there for: each is planted
 * (tests/emulation/faults.cu) in a process of its own, which must end with the sentence that names it. */
#include "emulated.h"
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *fault, *sentence; /* "": passes */
} faults[] = {
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
    {"missing barrier", "kernel plant_rotate: its results depend on the order of its threads"},
    {"race of blocks", "kernel plant_same_place: its results depend on the order of its threads"},
    {"divergent barrier", "kernel plant_half_a_barrier, block (0,0): a barrier or an exchange that not all"},
    {"divergent exchange",
     "kernel plant_half_an_exchange, block (0,0): a barrier or an exchange that not all"},
    {"stream destroyed", "cudaStreamSynchronize: a stream that does not exist"},
    {"leak", "not freed: 1 blocks of device memory, 1 of pinned memory, 1 streams"},
};
enum { FAULTS = sizeof faults / sizeof *faults };

START_TEST(test_a_planted_fault_is_found) {
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
        emulated device = emulated_open();
        int known = device.plant(faults[_i].fault);
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
    const char *sentence = faults[_i].sentence;
    if (!*sentence) {
        ck_assert_msg(status == 0 && !*said, "%s: status %d, \"%s\"", faults[_i].fault, status, said);
        return;
    }
    ck_assert_msg(status != 0, "%s was not found", faults[_i].fault);
    ck_assert_msg(strstr(said, sentence), "%s: \"%s\" is not in \"%s\"", faults[_i].fault, sentence, said);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s: status %d", faults[_i].fault,
                  status);
}
END_TEST

TEST_CASES_LOOP(emulation, 20, FAULTS, test_a_planted_fault_is_found)
