/* sqlite_faults.h - an SQLite whose disk and whose memory fail, for the tests of server/state.
 *
 *     sqlite_faults_begin();                          once, before anything uses SQLite
 *     sqlite_faults_disk(3, SQLITE_FULL);             the third operation on a file from now on fails, and all later ones
 *     ... calls ...
 *     size_t seen = sqlite_faults_disk(0, 0);         none fails; how many there were
 *
 * Operations are those that a disk may refuse: opening, reading, writing, cutting, flushing, sharing memory.
 *
 * Thread safety: each thread has failures of its own, so that a thread of the tested code disturbs none of them.
 */
#ifndef RA_TEST_SQLITE_FAULTS_H
#define RA_TEST_SQLITE_FAULTS_H

#include <stddef.h>

void sqlite_faults_begin(void);

/* n 0: none fails. Both return how many operations, or allocations, of this thread there were since the last call. */
size_t sqlite_faults_disk(size_t n, int code);
size_t sqlite_faults_memory(size_t n);

#endif
