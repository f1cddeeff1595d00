#include "telemetry/process.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double seconds_of(clockid_t clock) {
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* When the system started, since the epoch. Two clocks cannot be read at the same moment, and one of them may
 * be set, so this is computed once: otherwise the process would seem to have restarted. */
static double booted;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_booted(void) {
    booted = seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_BOOTTIME);
}

/* The fields of /proc/self/stat after the name, which may hold spaces and brackets: "R 1 2 ...". */
static void read_stat(process_use *use) {
    char line[1024] = "";
    unsigned long long ticks = 0, bytes = 0;
    long threads = 0, pages = 0;
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file) return;
    char *name_end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    /* state, 16 numbers, the threads, itrealvalue, the start in ticks since boot, virtual bytes, pages */
    if (!name_end ||
        sscanf(name_end + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu %llu %ld",
               &threads, &ticks, &bytes, &pages) != 4)
        return;
    pthread_once(&once, find_booted);
    use->start_seconds = booted + (double)ticks / (double)sysconf(_SC_CLK_TCK);
    use->threads = (size_t)threads;
    use->virtual_bytes = (double)bytes;
    use->resident_bytes = (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static size_t count_descriptors(void) {
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder) return 0;
    for (const struct dirent *entry; (entry = readdir(folder));) count += entry->d_name[0] != '.';
    closedir(folder);
    return count ? count - 1 : 0; /* without the one that reads the folder */
}

process_use process_look(void) {
    struct rlimit limit = {0};
    process_use use = {.cpu_seconds = seconds_of(CLOCK_PROCESS_CPUTIME_ID),
                       .open_descriptors = count_descriptors()};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) use.max_descriptors = (size_t)limit.rlim_cur;
    read_stat(&use);
    return use;
}
