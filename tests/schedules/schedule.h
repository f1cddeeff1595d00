/* schedule.h - runs a few threads in every order in which their locks and atomic operations can follow each other.
 *
 *     static void scenario(void *context) {               // once per schedule, on a thread of its own
 *         schedule_start(reader, &a); schedule_start(reloader, &b);
 *         schedule_join();                                 // waits for both
 *         ... what must hold now ...
 *     }
 *     schedule_explore("a name", scenario, NULL, 2);
 *
 * Threads are real, but one runs at a time, and each call of pthread_mutex_lock() and its like, and each atomic operation of the
 * sources that are built for it, is a moment at which another may go on. A schedule is the list of these choices; all lists are
 * tried in order, depth first, with at most so many preemptions: switches away from a thread that could go on. A wait with a
 * deadline may end at any moment. Nothing depends on time or on the machine.
 *
 * When no thread can go on, threads run without end, or schedule_expect() does not hold, the schedule is printed, and the
 * process ends with 1. Source: Musuvathi and Qadeer, "Iterative context bounding for systematic testing of multithreaded
 * programs", 2007: most errors need two preemptions or fewer.
 */
#ifndef RASAE_TESTS_SCHEDULE_H
#define RASAE_TESTS_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

/* How many schedules there are; all of them were right. */
size_t schedule_explore(const char *name, void (*scenario)(void *context), void *context, int preemptions);

void schedule_start(void (*run)(void *argument), void *argument);
void schedule_join(void);

/* A moment at which another thread may go on. */
void schedule_point(void);

/* Until another thread made it true. */
void schedule_wait(bool (*holds)(void *context), void *context);

void schedule_expect(bool holds, const char *what);

#endif
