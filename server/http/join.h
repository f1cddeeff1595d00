/* join.h - waits for the end of a thread, but not for ever.
 *
 * Thread safety: one thread may wait for another one.
 */
#ifndef RASAED_HTTP_JOIN_H
#define RASAED_HTTP_JOIN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* False when it has not ended within so many microseconds of a clock that is never set; then it is not joined. */
bool join_within(pthread_t thread, uint64_t microseconds);

#endif
