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

/* Has to come before anything is printed or written. *group is NULL for a process on its own. */
ra_status ranks_begin(int *argc, char ***argv, const ra_group **group, ra_error *err);

/* The end of the process's part. One that failed alone takes the others with it, who would wait for it for
 * ever, and does not return. */
void ranks_end(const ra_group *group, int code);

/* After a failure: whether this process is to say so. What all have met, the first one says; what one has met
 * alone (for a moment nobody else failed) it says itself. */
bool ranks_may_speak(const ra_group *group);

#endif
