/* The handler may not take a lock, allocate, or unwind the thread: that may be inside OpenBLAS, on a thread of a
 * pool, with locks held. So it maps zeros over the whole mapping, marks it, and returns; the instruction that
 * faulted then reads a zero. Nobody may use what was computed, and everybody asks guard_lost() before that.
 *
 * The handler finds the mapping in a list whose places are never freed, only used again. Each place has a version,
 * which is odd while the place changes: a place that is torn between two mappings is skipped. The place of the
 * mapping that faults does not change, because its reader is in the fault.
 *
 * A SIGBUS that belongs to no mapping goes where it would have gone without us. */
#include "io/guard.h"
#include "io/lease.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct guarded {
    atomic_uint version; /* odd: it changes */
    _Atomic uintptr_t start;
    atomic_size_t size; /* 0: the place is free */
    atomic_bool lost;
    void *owner; /* with the lock */
    struct guarded *next;
};

static _Atomic(struct guarded *) first;
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction previous;

/* ---- the list ------------------------------------------------------------------------------------------ */

static void set(guarded *place, const void *data, size_t size, void *owner) {
    atomic_fetch_add(&place->version, 1);
    atomic_store(&place->start, (uintptr_t)data);
    atomic_store(&place->size, size);
    atomic_store(&place->lost, false);
    place->owner = owner;
    atomic_fetch_add(&place->version, 1);
}

guarded *guard_add(const void *data, size_t size, void *owner) {
    pthread_mutex_lock(&changing);
    guarded *place = atomic_load(&first);
    while (place && atomic_load(&place->size)) place = place->next;
    guarded *fresh = place ? NULL : ra_calloc(1, sizeof *fresh);
    if (fresh) {
        fresh->next = atomic_load(&first);
        place = fresh;
    }
    if (place) set(place, data, size, owner);
    if (fresh) atomic_store(&first, fresh);
    pthread_mutex_unlock(&changing);
    return place;
}

void guard_remove(guarded *mapping) {
    if (!mapping) return;
    pthread_mutex_lock(&changing);
    set(mapping, NULL, 0, NULL);
    pthread_mutex_unlock(&changing);
}

bool guard_lost(const guarded *mapping) {
    return atomic_load(&mapping->lost);
}

void guard_each(bool (*visit)(void *owner, void *context), void *context) {
    pthread_mutex_lock(&changing);
    for (guarded *at = atomic_load(&first); at; at = at->next)
        if (atomic_load(&at->size) && !visit(at->owner, context)) break;
    pthread_mutex_unlock(&changing);
}

/* ---- the handler --------------------------------------------------------------------------------------- */

/* The mapping that holds an address; *start, *size <- where it is. */
static guarded *find(uintptr_t address, uintptr_t *start, size_t *size) {
    for (guarded *at = atomic_load(&first); at; at = at->next) {
        unsigned version = atomic_load(&at->version);
        *start = atomic_load(&at->start);
        *size = atomic_load(&at->size);
        bool whole = version % 2 == 0 && version == atomic_load(&at->version);
        if (whole && address >= *start && address - *start < *size) return at;
    }
    return NULL;
}

/* The mapping ends within a page, and the fault may lie behind its last byte. */
static size_t whole_pages(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

/* By the system call itself: sanitizers replace mmap(), and theirs is not for signal handlers. */
static bool map_zeros(uintptr_t start, size_t size) {
    return syscall(SYS_mmap, start, whole_pages(size), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                   0L) == (long)start;
}

static void on_bus_error(int number, siginfo_t *info, void *context) {
    (void)context;
    int kept = errno;
    uintptr_t start;
    size_t size;
    guarded *mapping = info->si_code > 0 ? find((uintptr_t)info->si_addr, &start, &size) : NULL;
    if (mapping) atomic_store(&mapping->lost, true); /* first: whoever reads a zero finds the mark */
    if (!mapping || !map_zeros(start, size)) {
        sigaction(number, &previous, NULL);
        if (info->si_code <= 0) raise(number); /* sent by a process: it does not come again by itself */
    }
    errno = kept;
}

static void install(void) {
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous);
    lease_prepare();
}

void ra_mapping_guard(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}
