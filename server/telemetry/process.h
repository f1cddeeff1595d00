/* process.h - what the operating system knows about this process: time, memory, descriptors.
 *
 * Source: proc(5). What cannot be read is zero. Thread safety: any thread.
 */
#ifndef RASAED_TELEMETRY_PROCESS_H
#define RASAED_TELEMETRY_PROCESS_H

#include <stddef.h>

typedef struct process_use {
    double cpu_seconds;   /* of all threads, user and system */
    double start_seconds; /* since the epoch */
    double resident_bytes, virtual_bytes;
    size_t threads, open_descriptors, max_descriptors;
} process_use;

process_use process_look(void);

#endif
