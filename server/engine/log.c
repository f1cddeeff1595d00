#include "engine/log.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static ra_log_level least;

static void write_line(void *context, ra_log_level level, const char *line) {
    static const char *const names[] = {[RA_LOG_DEBUG] = "debug",
                                        [RA_LOG_INFO] = "info ",
                                        [RA_LOG_WARNING] = "warn ",
                                        [RA_LOG_ERROR] = "error"};
    (void)context;
    if (level < least) return;
    struct timespec now;
    struct tm utc;
    char stamp[32], out[1200];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    int n = snprintf(out, sizeof out, "%s.%03ldZ %s %s\n", stamp, now.tv_nsec / 1000000, names[level], line);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof out ? (size_t)n : sizeof out - 1;
    if (write(STDERR_FILENO, out, size) < 0) return; /* nowhere to say so */
}

void log_start(ra_log_level level) {
    least = level;
    ra_log_set_sink(write_line, NULL);
}
