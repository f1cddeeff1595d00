#include "ra_waiting.h"
#include "ra_status.h"

#include <stdbool.h>

static _Thread_local bool forbidden;

void ra_waiting_forbid(void) {
    forbidden = true;
}

void ra_waiting_check(const char *what) {
#ifdef RA_SANITIZE
    if (!forbidden) return;
    ra_log(RA_LOG_ERROR, "a thread that must not wait is about to wait for %s", what);
    __builtin_trap();
#else
    (void)what;
#endif
}
