/* pthread_timedjoin_np() goes by a clock that may be set, and ThreadSanitizer does not know pthread_clockjoin_np(). */
#include "http/join.h"
#include "http/exchange.h"

#include <time.h>

bool join_within(pthread_t thread, uint64_t microseconds) {
    const struct timespec step = {.tv_nsec = 1000000};
    for (uint64_t end = http_now() + microseconds; pthread_tryjoin_np(thread, NULL) != 0;) {
        if (http_now() >= end) return false;
        nanosleep(&step, NULL);
    }
    return true;
}
