/* scripts.h - runs scripts beside the unit tests: one fewer than there are processors while these run, then as many.
 *
 * A process of its own starts them, each in a process group with no input and its output in a log. It ends a script's
 * group after its time, and all of them when the runner ends or is interrupted. */
#ifndef RA_TEST_SCRIPTS_H
#define RA_TEST_SCRIPTS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct script_result {
    bool late;       /* it was ended after its time */
    int status;      /* of wait() */
    const char *log; /* what it printed: a file of the folder */
} script_result;

/* paths[0..count) outlive the run. The logs go to `folder`; `times`, if it can be written, gets a line per script that
 * ended: its seconds on the clock, those of the processor, its path. */
void scripts_start(char *const *paths, size_t count, double seconds, const char *folder, const char *times);

/* Waits for the script paths[index]; from the first call on, no processor is left to others. A process that the runner
 * forked may call it. */
script_result scripts_wait(size_t index);

#endif
