/* clock.h - the time that durations are measured with. Thread safety: any thread. */
#ifndef RASAED_HTTP_CLOCK_H
#define RASAED_HTTP_CLOCK_H

#include <stdint.h>

uint64_t http_now(void); /* microseconds, monotonic */

#endif
