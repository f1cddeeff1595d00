#include "http/points.h"

#ifdef RA_SANITIZE

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static useconds_t pauses[POINTS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_pauses(void) {
    static const char *const names[] = {
#define X(name) [POINT_##name] = #name,
        POINT_LIST(X)
#undef X
    };
    const char *given = getenv("SLEEP_AT");
    for (int i = 0; given && i < POINTS; i++) {
        const char *at = strstr(given, names[i]);
        size_t size = strlen(names[i]);
        if (at && at[size] == '=') pauses[i] = (useconds_t)strtoul(at + size + 1, NULL, 10);
    }
}

void point_reached(point at) {
    pthread_once(&once, read_pauses);
    if (pauses[at]) usleep(pauses[at]);
}

#else

typedef int other_builds_never_sleep;

#endif
