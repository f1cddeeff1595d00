#include "serving/park.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(atomic_uint) == 4, "a futex is a word of 32 bits");

void park_wait(const atomic_uint *word, unsigned still) {
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, still, NULL, NULL, 0);
}

void park_wake(const atomic_uint *word) {
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
