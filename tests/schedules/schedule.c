/* The scheduler, the locks that it stands for, and the runtime that a compiler's calls for atomic operations want.
 *
 * Linked with --wrap for each function of POSIX below: a thread of a schedule uses a lock that only this file knows, and any other
 * thread the real one. The sources under test are built with -fsanitize=thread, which turns each atomic operation into a
 * call; here are these calls, and plain reads and writes do nothing. */
#include "schedule.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_THREADS = 8, MOST_LOCKS = 256, MOST_CHOICES = 4096 };

typedef enum state { RUNS, WANTS_LOCK, WAITS, WAITS_FOR, PARKED, WOKEN, JOINS, ENDED } state;

typedef struct thread {
    pthread_t id;
    pthread_cond_t turn;
    state state;
    pthread_mutex_t *lock; /* that it wants, now or after the wait */
    pthread_cond_t *condition;
    const atomic_uint *word; /* that it is parked on */
    bool timed, timed_out;
    bool (*holds)(void *context);
    void (*run)(void *argument);
    void *argument;
} thread;

static struct {
    pthread_mutex_t token; /* held by the thread that runs */
    thread threads[MOST_THREADS];
    int count, current, preemptions, most_preemptions;
    struct {
        pthread_mutex_t *lock;
        int owner; /* -1: nobody */
    } locks[MOST_LOCKS];
    int lock_count;
    struct {
        int chosen, of;
    } choices[MOST_CHOICES];
    int length, depth; /* of the list that is known, and where this run is */
    const char *name;
} all = {.token = PTHREAD_MUTEX_INITIALIZER};

static __thread int self = -1; /* of a schedule */

#define REAL(type, name, ...) type __real_##name(__VA_ARGS__)
REAL(int, pthread_mutex_lock, pthread_mutex_t *lock);
REAL(int, pthread_mutex_unlock, pthread_mutex_t *lock);
REAL(int, pthread_cond_wait, pthread_cond_t *condition, pthread_mutex_t *lock);
REAL(int, pthread_cond_timedwait, pthread_cond_t *condition, pthread_mutex_t *lock,
     const struct timespec *until);
REAL(int, pthread_cond_signal, pthread_cond_t *condition);
REAL(int, pthread_cond_broadcast, pthread_cond_t *condition);

/* ---- choices ------------------------------------------------------------------------------------------- */

_Noreturn static void fail(const char *what) {
    static const char *const states[] = {"runs",   "wants a lock", "waits", "waits for a fact",
                                         "parked", "woken",        "joins", "ended"};
    fprintf(stderr, "%s: %s\nthe schedule:", all.name, what);
    for (int i = 0; i < all.depth; i++) fprintf(stderr, " %d/%d", all.choices[i].chosen, all.choices[i].of);
    fprintf(stderr, "\n");
    for (int i = 0; i < all.count; i++) fprintf(stderr, "thread %d %s\n", i, states[all.threads[i].state]);
    _Exit(1);
}

/* One of so many: as the list says, or else the first. */
static int choose(int of) {
    if (of == 1) return 0;
    if (all.depth == MOST_CHOICES) fail("too many choices: threads run without end");
    if (all.depth == all.length) {
        all.choices[all.length].chosen = 0;
        all.choices[all.length++].of = of;
    }
    return all.choices[all.depth++].chosen;
}

/* The next list; false after the last one. */
static bool next_list(void) {
    while (all.length > 0 && all.choices[all.length - 1].chosen + 1 == all.choices[all.length - 1].of)
        all.length--;
    if (all.length == 0) return false;
    all.choices[all.length - 1].chosen++;
    return true;
}

static int *owner_of(pthread_mutex_t *lock) {
    for (int i = 0; i < all.lock_count; i++)
        if (all.locks[i].lock == lock) return &all.locks[i].owner;
    if (all.lock_count == MOST_LOCKS) fail("too many locks");
    all.locks[all.lock_count].lock = lock;
    all.locks[all.lock_count].owner = -1;
    return &all.locks[all.lock_count++].owner;
}

static bool others_ended(int but) {
    for (int i = 0; i < all.count; i++)
        if (i != but && all.threads[i].state != ENDED) return false;
    return true;
}

static bool can_run(int i) {
    const thread *at = &all.threads[i];
    switch (at->state) {
    case RUNS:
        return true;
    case WANTS_LOCK:
        return *owner_of(at->lock) < 0;
    case WAITS:
        return at->timed && *owner_of(at->lock) < 0;
    case WOKEN:
        return true;
    case WAITS_FOR:
        return at->holds(at->argument);
    case JOINS:
        return others_ended(i);
    default:
        return false;
    }
}

/* Lets a thread go on, this one or another, and returns when it is this one's turn again. */
static void pass_on(void) {
    int able[MOST_THREADS], count = 0;
    bool goes_on = all.threads[self].state == RUNS;
    if (goes_on) able[count++] = self; /* the first choice is no preemption */
    for (int i = 0; i < all.count && !(goes_on && all.preemptions == all.most_preemptions); i++)
        if (!(i == self && goes_on) && can_run(i)) able[count++] = i;
    if (count == 0 && !others_ended(-1)) fail("no thread can go on");
    if (count == 0) return; /* the last one ends */
    int next = able[choose(count)];
    if (goes_on && next != self) all.preemptions++;
    thread *then = &all.threads[next];
    if (then->state == WAITS) then->timed_out = true;
    if (then->state == WANTS_LOCK || then->state == WAITS) *owner_of(then->lock) = next;
    then->state = RUNS;
    if (next == self) return;
    all.current = next;
    __real_pthread_cond_signal(&then->turn);
    if (all.threads[self].state == ENDED) return;
    while (all.current != self) __real_pthread_cond_wait(&all.threads[self].turn, &all.token);
}

void schedule_point(void) {
    if (self >= 0) pass_on();
}

void schedule_wait(bool (*holds)(void *context), void *context) {
    all.threads[self].state = WAITS_FOR;
    all.threads[self].holds = holds;
    all.threads[self].argument = context;
    pass_on();
}

void schedule_expect(bool holds, const char *what) {
    if (!holds) fail(what);
}

/* ---- threads ------------------------------------------------------------------------------------------- */

static void *thread_main(void *argument) {
    thread *own = argument;
    int number = (int)(own - all.threads);
    __real_pthread_mutex_lock(&all.token);
    while (all.current != number) __real_pthread_cond_wait(&own->turn, &all.token);
    self = number;
    own->run(own->argument);
    own->state = ENDED;
    pass_on();
    __real_pthread_mutex_unlock(&all.token);
    return NULL;
}

void schedule_start(void (*run)(void *argument), void *argument) {
    thread *added = &all.threads[all.count];
    if (all.count == MOST_THREADS) fail("too many threads");
    *added = (thread){.state = RUNS, .run = run, .argument = argument};
    pthread_cond_init(&added->turn, NULL);
    all.count++;
    if (pthread_create(&added->id, NULL, thread_main, added) != 0) fail("a thread did not start");
}

void schedule_join(void) {
    all.threads[self].state = JOINS;
    pass_on();
}

size_t schedule_explore(const char *name, void (*scenario)(void *context), void *context, int preemptions) {
    size_t count = 0;
    all.name = name;
    all.length = 0;
    do {
        all.depth = all.count = all.current = all.preemptions = all.lock_count = 0;
        all.most_preemptions = preemptions;
        schedule_start(scenario, context);
        for (int i = 0; i < all.count; i++) { /* the first one starts the others */
            pthread_join(all.threads[i].id, NULL);
            pthread_cond_destroy(&all.threads[i].turn);
        }
        count++;
    } while (next_list());
    return count;
}

/* ---- locks --------------------------------------------------------------------------------------------- */

#define WRAP(name, ...)                                                                                      \
    int __wrap_##name(__VA_ARGS__);                                                                          \
    int __wrap_##name(__VA_ARGS__)

WRAP(pthread_mutex_lock, pthread_mutex_t *lock) {
    if (self < 0) return __real_pthread_mutex_lock(lock);
    all.threads[self].state = WANTS_LOCK;
    all.threads[self].lock = lock;
    bool free = *owner_of(lock) < 0;
    if (free) all.threads[self].state = RUNS; /* going on is the first choice */
    pass_on();
    int *owner = owner_of(lock);
    if (*owner == self) return 0;
    while (*owner >= 0) { /* another one was quicker */
        all.threads[self].state = WANTS_LOCK;
        pass_on();
        if (*owner == self) return 0;
    }
    *owner = self;
    return 0;
}

WRAP(pthread_mutex_unlock, pthread_mutex_t *lock) {
    if (self < 0) return __real_pthread_mutex_unlock(lock);
    if (*owner_of(lock) != self) fail("a lock is released that another thread holds");
    *owner_of(lock) = -1;
    pass_on();
    return 0;
}

static int wait_on(pthread_cond_t *condition, pthread_mutex_t *lock, bool timed) {
    thread *own = &all.threads[self];
    if (*owner_of(lock) != self) fail("a wait without the lock");
    *owner_of(lock) = -1;
    own->state = WAITS;
    own->condition = condition;
    own->lock = lock;
    own->timed = timed;
    own->timed_out = false;
    pass_on();
    return own->timed_out ? ETIMEDOUT : 0;
}

WRAP(pthread_cond_wait, pthread_cond_t *condition, pthread_mutex_t *lock) {
    return self < 0 ? __real_pthread_cond_wait(condition, lock) : wait_on(condition, lock, false);
}

WRAP(pthread_cond_timedwait, pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *until) {
    return self < 0 ? __real_pthread_cond_timedwait(condition, lock, until) : wait_on(condition, lock, true);
}

static void wake(const pthread_cond_t *condition, bool every) {
    for (int i = 0; i < all.count; i++) {
        if (all.threads[i].state != WAITS || all.threads[i].condition != condition) continue;
        all.threads[i].state = WANTS_LOCK;
        if (!every) return;
    }
}

WRAP(pthread_cond_signal, pthread_cond_t *condition) {
    if (self < 0) return __real_pthread_cond_signal(condition);
    wake(condition, false);
    return 0;
}

WRAP(pthread_cond_broadcast, pthread_cond_t *condition) {
    if (self < 0) return __real_pthread_cond_broadcast(condition);
    wake(condition, true);
    return 0;
}

/* server/serving/park.h */
void __wrap_park_wait(const atomic_uint *word, unsigned still);
void __real_park_wait(const atomic_uint *word, unsigned still);
void __wrap_park_wait(const atomic_uint *word, unsigned still) {
    if (self < 0) {
        __real_park_wait(word, still);
        return;
    }
    if (atomic_load(word) == still) {
        all.threads[self].state = PARKED;
        all.threads[self].word = word;
    }
    pass_on();
}

void __wrap_park_wake(const atomic_uint *word);
void __real_park_wake(const atomic_uint *word);
void __wrap_park_wake(const atomic_uint *word) {
    if (self < 0) {
        __real_park_wake(word);
        return;
    }
    for (int i = 0; i < all.count; i++) {
        if (all.threads[i].state != PARKED || all.threads[i].word != word) continue;
        all.threads[i].state = WOKEN;
        break;
    }
    pass_on();
}

/* ---- what the compiler calls ---------------------------------------------------------------------------- */

void __tsan_init(void);
void __tsan_init(void) {
}
void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller) {
    (void)caller;
}
void __tsan_func_exit(void);
void __tsan_func_exit(void) {
}
void __tsan_vptr_update(void **at, void *value);
void __tsan_vptr_update(void **at, void *value) {
    (void)at, (void)value;
}

#define PLAIN(name)                                                                                          \
    void __tsan_##name(void *at);                                                                            \
    void __tsan_##name(void *at) {                                                                           \
        (void)at;                                                                                            \
    }
PLAIN(read1)
PLAIN(read2)
PLAIN(read4)
PLAIN(read8)
PLAIN(read16)
PLAIN(write1)
PLAIN(write2)
PLAIN(write4)
PLAIN(write8)
PLAIN(write16)
PLAIN(unaligned_read2)
PLAIN(unaligned_read4)
PLAIN(unaligned_read8)
PLAIN(unaligned_read16)
PLAIN(unaligned_write2)
PLAIN(unaligned_write4)
PLAIN(unaligned_write8)
PLAIN(unaligned_write16)
PLAIN(volatile_read1)
PLAIN(volatile_read4)
PLAIN(volatile_read8)
PLAIN(volatile_write1)
PLAIN(volatile_write4)
PLAIN(volatile_write8)

#define RANGE(name)                                                                                          \
    void __tsan_##name(void *at, size_t size);                                                               \
    void __tsan_##name(void *at, size_t size) {                                                              \
        (void)at, (void)size;                                                                                \
    }
RANGE(read_range)
RANGE(write_range)

#define ATOMIC(bits, type)                                                                                   \
    type __tsan_atomic##bits##_load(const volatile type *at, int order);                                     \
    type __tsan_atomic##bits##_load(const volatile type *at, int order) {                                    \
        (void)order;                                                                                         \
        schedule_point();                                                                                    \
        return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                                        \
    }                                                                                                        \
    void __tsan_atomic##bits##_store(volatile type *at, type value, int order);                              \
    void __tsan_atomic##bits##_store(volatile type *at, type value, int order) {                             \
        (void)order;                                                                                         \
        schedule_point();                                                                                    \
        __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                                       \
    }                                                                                                        \
    type __tsan_atomic##bits##_exchange(volatile type *at, type value, int order);                           \
    type __tsan_atomic##bits##_exchange(volatile type *at, type value, int order) {                          \
        (void)order;                                                                                         \
        schedule_point();                                                                                    \
        return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);                                             \
    }                                                                                                        \
    type __tsan_atomic##bits##_fetch_add(volatile type *at, type value, int order);                          \
    type __tsan_atomic##bits##_fetch_add(volatile type *at, type value, int order) {                         \
        (void)order;                                                                                         \
        schedule_point();                                                                                    \
        return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);                                              \
    }                                                                                                        \
    type __tsan_atomic##bits##_fetch_sub(volatile type *at, type value, int order);                          \
    type __tsan_atomic##bits##_fetch_sub(volatile type *at, type value, int order) {                         \
        (void)order;                                                                                         \
        schedule_point();                                                                                    \
        return __atomic_fetch_sub(at, value, __ATOMIC_SEQ_CST);                                              \
    }
#define EXCHANGE(bits, type, kind)                                                                           \
    int __tsan_atomic##bits##_compare_exchange_##kind(volatile type *at, type *expected, type value,         \
                                                      int order, int otherwise);                             \
    int __tsan_atomic##bits##_compare_exchange_##kind(volatile type *at, type *expected, type value,         \
                                                      int order, int otherwise) {                            \
        (void)order, (void)otherwise;                                                                        \
        schedule_point();                                                                                    \
        return __atomic_compare_exchange_n(at, expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);      \
    }
ATOMIC(8, uint8_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)
EXCHANGE(8, uint8_t, strong)
EXCHANGE(32, uint32_t, strong)
EXCHANGE(64, uint64_t, strong)
EXCHANGE(8, uint8_t, weak)
EXCHANGE(32, uint32_t, weak)
EXCHANGE(64, uint64_t, weak)
