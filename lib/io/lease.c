/* The handler walks a list whose places are never freed, only used again, and asks the system for each lease whether it is
 * being broken.
 *
 * The system waits for the handler, but not for ever (45 seconds, /proc/sys/fs/lease-break-time): a process that was
 * frozen for longer finds its lease gone, and perhaps answers a request before its handler runs. So a lease counts only
 * for some seconds after the system has confirmed it, far less than the system would wait. */
#include "io/lease.h"
#include "ra_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { CONFIRMED_SECONDS = 5, LEAST_BREAK_SECONDS = 4 * CONFIRMED_SECONDS, FREE = -1 };

struct lease {
    atomic_int descriptor; /* FREE: the place is */
    atomic_bool held;
    atomic_long confirmed; /* seconds of the monotonic clock, before the system was asked */
    struct lease *next;
};

static _Atomic(struct lease *) first;
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool prepared;
static atomic_int handlers; /* that run now */

static long seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (long)now.tv_sec;
}

/* Gives it back unless it holds. Also for the handler. */
static bool confirm(lease *held) {
    int descriptor = atomic_load(&held->descriptor);
    long before = seconds_now();
    if (descriptor == FREE || !atomic_load(&held->held)) return false;
    if (fcntl(descriptor, F_GETLEASE) == F_RDLCK) {
        atomic_store(&held->confirmed, before);
        return true;
    }
    atomic_store(&held->held, false); /* first: the other goes on when the lease is given back */
    (void)fcntl(descriptor, F_SETLEASE, F_UNLCK);
    return false;
}

static void on_break(int number) {
    int kept = errno;
    (void)number;
    atomic_fetch_add(&handlers, 1);
    for (lease *at = atomic_load(&first); at; at = at->next) (void)confirm(at);
    atomic_fetch_sub(&handlers, 1);
    errno = kept;
}

static long break_seconds(void) {
    long seconds = 0;
    FILE *file = fopen("/proc/sys/fs/lease-break-time", "re");
    if (file && fscanf(file, "%ld", &seconds) != 1) seconds = 0;
    if (file) fclose(file);
    return seconds;
}

void lease_prepare(void) {
    struct sigaction present, action = {.sa_handler = on_break, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (atomic_load(&prepared) || break_seconds() < LEAST_BREAK_SECONDS) return;
    if (sigaction(SIGIO, NULL, &present) != 0 || present.sa_handler != SIG_DFL) return;
    atomic_store(&prepared, sigaction(SIGIO, &action, NULL) == 0);
}

static lease *place_for(int descriptor) {
    lease *place = atomic_load(&first);
    while (place && atomic_load(&place->descriptor) != FREE) place = place->next;
    lease *fresh = place ? NULL : ra_calloc(1, sizeof *fresh);
    if (fresh) {
        fresh->next = atomic_load(&first);
        place = fresh;
    }
    if (place) {
        atomic_store(&place->held, true); /* before it is taken: it may be broken at once */
        atomic_store(&place->confirmed, seconds_now());
        atomic_store(&place->descriptor, descriptor);
    }
    if (fresh) atomic_store(&first, fresh);
    return place;
}

static void free_place(lease *place) {
    atomic_store(&place->held, false);
    atomic_store(&place->descriptor, FREE);
}

lease *lease_take(int descriptor, bool *written) {
    *written = false;
    if (!atomic_load(&prepared)) return NULL;
    pthread_mutex_lock(&changing);
    lease *place = place_for(descriptor);
    if (place && fcntl(descriptor, F_SETLEASE, F_RDLCK) != 0) {
        *written = errno == EAGAIN;
        free_place(place);
        place = NULL;
    }
    pthread_mutex_unlock(&changing);
    return place;
}

bool lease_holds(lease *held) {
    if (!held || !atomic_load(&held->held)) return false;
    return seconds_now() - atomic_load(&held->confirmed) < CONFIRMED_SECONDS || confirm(held);
}

bool lease_renew(lease *held) {
    pthread_mutex_lock(&changing);
    atomic_store(&held->confirmed, seconds_now());
    atomic_store(&held->held, true); /* before it is taken, as above */
    bool taken = fcntl(atomic_load(&held->descriptor), F_SETLEASE, F_RDLCK) == 0;
    if (!taken) atomic_store(&held->held, false);
    pthread_mutex_unlock(&changing);
    return taken;
}

void lease_drop(lease *held) {
    if (!held) return;
    pthread_mutex_lock(&changing);
    int descriptor = atomic_load(&held->descriptor);
    free_place(held);
    while (atomic_load(&handlers))
        sched_yield(); /* one may have read the descriptor, which is soon another file's */
    (void)fcntl(descriptor, F_SETLEASE, F_UNLCK);
    pthread_mutex_unlock(&changing);
}
