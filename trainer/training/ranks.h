/* ranks.h - the processes that train together, as `mpirun` started them.
 *
 * Built with MPI=1 (ranks_mpi.c) they are a group in the sense of ra_group.h; without (ranks_alone.c) there
 * is one process, and being one of several is an error rather than several runs over each other's files.
 *
 * Thread safety: one thread.
 */
#ifndef RASAE_TRAINING_RANKS_H
#define RASAE_TRAINING_RANKS_H

#include "ra.h"

#include <stdbool.h>

/* Call it before anything is printed or written. *group is NULL for a process on its own. */
ra_status ranks_begin(int *argc, char ***argv, const ra_group **group, ra_error *err);

/* Which of the group's processes on this machine this one is, from 0. */
size_t ranks_process(void);

/* Ends the part of this process. If it failed alone, it aborts the others, which would wait for it forever,
 * and does not return. */
void ranks_end(const ra_group *group, int code);

/* After a failure: whether this process should report it. A failure of all is reported by the first one, a
 * failure of one process (no other failed within a moment) by that process. */
bool ranks_may_speak(const ra_group *group);

#endif
