/* confine.h - gives up what a process that serves does not need. Nothing of it can be taken back.
 *
 * confine_files() is Landlock: from now on this thread, and the threads that it starts, open files below the given places and
 * no others, start no program, and neither connect nor bind a TCP socket. It does not look into files that are open already,
 * and asking about a file (stat, readlink, access) stays allowed. Names are those of the file system at the time of the call:
 * a place is a folder or a file, not its path, and a folder that comes later in its place is another one.
 *
 * confine_calls() is a filter of system calls (seccomp) for all threads: a call that is not in its table fails with EPERM.
 *
 * A kernel may have neither, and a container may forbid both. Each function says whether it took hold; what it cannot do is no
 * error. Source: landlock(7), seccomp(2). Thread safety: call them before there are other threads, the second one also later.
 */
#ifndef RASAED_CONFINE_CONFINE_H
#define RASAED_CONFINE_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum confine_access {
    CONFINE_READ,   /* read files, list folders */
    CONFINE_CHANGE, /* also write, make and remove files, make folders */
    CONFINE_REMOVE  /* remove files, nothing else */
} confine_access;

typedef struct confine_place {
    const char *path;
    confine_access access;
} confine_place;

/* The version of Landlock that took hold, from 1 on; 0: none did, and *why says in a few words why not. A place that is not
 * there is passed over. */
int confine_files(const confine_place *places, size_t count, const char **why);

typedef enum confine_kind {
    CONFINE_SERVING,  /* only what is listed is allowed */
    CONFINE_CHANGING, /* the same, and files may be written */
    CONFINE_DEVICE    /* only what is listed is refused: the driver of a device does what it likes */
} confine_kind;

/* Whether it took hold; if not, *why says in a few words why. */
bool confine_calls(confine_kind kind, const char **why);

/* This process gets no privileges from programs that it starts; no core dump holds its memory, and other processes of the same
 * user cannot read it: `secret`. */
void confine_privileges(bool secret);

#endif
