/* park.h - a thread sleeps until a word in memory is another one.
 *
 *     while (atomic_load(&word) == WAITING) park_wait(&word, WAITING);             the one that sleeps
 *     atomic_store(&word, DONE), park_wake(&word);                                 the one that wakes it
 *
 * In contrast to a condition the thread that wakes up needs no lock for it, which its waker may hold, and the memory of the
 * word may be gone when it is woken: park_wake() takes its address and does not read it. Source: futex(2).
 */
#ifndef RASAED_SERVING_PARK_H
#define RASAED_SERVING_PARK_H

#include <stdatomic.h>

/* Returns at once when the word is not `still`, and may return without a reason. */
void park_wait(const atomic_uint *word, unsigned still);

/* Wakes one thread that waits for the word. */
void park_wake(const atomic_uint *word);

#endif
