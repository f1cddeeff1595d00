/* compute.h - threads for work that takes too long for an I/O thread, and the bounded queue in front of them.
 *
 *     compute *workers = NULL;
 *     RA_TRY(compute_start(&(compute_options){.threads = 16, .queue = 1024}, &workers, err));
 *     if (!compute_submit(workers, run, argument)) ... the queue is full: tell the client ...
 *     compute_stop(workers, 5);
 *
 * Jobs start in the order of their arrival. The queue never grows: when it is full, a new job is refused at
 * once, so waiting times stay short and memory stays bounded.
 *
 * There are more threads than cores, because many of them wait inside a job for their turn in the batcher
 * (batcher.h). They have a lower priority than the I/O threads, which only pass bytes on.
 *
 * Thread safety: any thread may submit and ask; start and stop belong to one.
 */
#ifndef RASAED_SERVING_COMPUTE_H
#define RASAED_SERVING_COMPUTE_H

#include "ra_status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct compute compute;
typedef void compute_job(void *argument);

/* The nice value of the threads that compute, these and the backend's, so that I/O threads get a core first. */
enum { COMPUTE_NICENESS = 5 };

typedef struct compute_options {
    size_t threads; /* at least 1 */
    size_t queue;   /* jobs that may wait, at least 1 */
    /* Called by a thread when a brief job is done and none follows at once: fewer are under way. May be NULL. */
    void (*fewer)(void *context);
    void *context;
} compute_options;

ra_status compute_start(const compute_options *options, compute **workers, ra_error *err);

/* False when the queue is full or the threads are stopping; then the job is not taken. brief: it takes little more
 * than its turn in the batcher. */
bool compute_submit(compute *workers, compute_job *job, void *argument, bool brief);

size_t compute_waiting(compute *workers); /* jobs not yet started */
size_t compute_running(compute *workers); /* jobs that a thread has taken and not finished */

/* Of the brief ones, those that a thread has taken or is about to take. */
size_t compute_under_way(compute *workers);

/* Runs the jobs in the queue, then frees everything. False when a job is not over within `seconds`: then the
 * threads, and all that they use, must be left to the end of the process. NULL is fine. */
bool compute_stop(compute *workers, unsigned seconds);

#endif
