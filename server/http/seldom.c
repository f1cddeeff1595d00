#include "http/seldom.h"
#include "http/clock.h"

enum { PERIOD_US = 60000000 };

bool seldom_is_due(seldom *about, size_t *since) {
    uint64_t now = http_now(), last = atomic_load(&about->last);
    atomic_fetch_add(&about->since, 1);
    if ((last && now - last < PERIOD_US) || !atomic_compare_exchange_strong(&about->last, &last, now))
        return false;
    *since = atomic_exchange(&about->since, 0);
    return true;
}
