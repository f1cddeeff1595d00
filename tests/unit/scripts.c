#include "scripts.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_AT_ONCE = 16, PAUSE = 20 /* ms between two looks */ };

typedef struct script {
    atomic_bool done;
    bool late;
    int status;
    pid_t pid; /* 0: not started, or ended */
    double started;
} script;

/* In memory that the process that starts scripts shares with the tests that wait for them. */
static struct shared {
    atomic_bool all_processors;
    atomic_bool gone; /* the process that starts scripts has ended */
    script scripts[];
} * shared;

static char *const *paths;
static size_t count;
static double seconds_each;
static char folder[512];

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static const char *log_of(size_t index) {
    static char path[600];
    snprintf(path, sizeof path, "%s/%zu.log", folder, index);
    return path;
}

static size_t at_once(void) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (!atomic_load(&shared->all_processors)) processors--;
    return processors < 1 ? 1 : processors > MOST_AT_ONCE ? MOST_AT_ONCE : (size_t)processors;
}

/* ---- the process that starts them ------------------------------------------------------------------------- */

static void become(size_t index, const sigset_t *mask) {
    size_t length = strlen(paths[index]);
    const char *interpreter = strcmp(paths[index] + length - 3, ".py") == 0 ? "python3" : "bash";
    int out = open(log_of(index), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (out < 0 || in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) _exit(126);
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execlp(interpreter, interpreter, paths[index], (char *)NULL);
    _exit(127);
}

static void start(size_t index, const sigset_t *mask) {
    script *one = &shared->scripts[index];
    one->started = now();
    pid_t child = fork();
    if (child == 0) become(index, mask);
    if (child > 0) {
        one->pid = child;
        setpgid(child, child);
    } else {
        one->status = 126 << 8;
        atomic_store(&one->done, true);
    }
}

static void end_all(void) {
    for (size_t i = 0; i < count; i++)
        if (shared->scripts[i].pid) kill(-shared->scripts[i].pid, SIGTERM);
}

/* Returns how many ended. */
static size_t collect(FILE *times) {
    int status;
    struct rusage used;
    size_t ended = 0;
    for (pid_t pid; (pid = wait4(-1, &status, WNOHANG, &used)) > 0;) {
        for (size_t i = 0; i < count; i++) {
            script *one = &shared->scripts[i];
            if (one->pid != pid) continue;
            if (times)
                fprintf(times, "%7.1f %7.1f  %s\n", now() - one->started,
                        (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                            1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec),
                        paths[i]);
            one->pid = 0;
            one->status = status;
            atomic_store(&one->done, true);
            ended++;
        }
    }
    for (size_t i = 0; i < count; i++) {
        script *one = &shared->scripts[i];
        if (!one->pid || now() - one->started < seconds_each) continue;
        one->late = true;
        kill(-one->pid, SIGKILL);
    }
    return ended;
}

static void run_all(FILE *times) {
    sigset_t waited, before;
    sigemptyset(&waited);
    const int ending[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) sigaddset(&waited, ending[i]);
    sigprocmask(SIG_BLOCK, &waited, &before);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    size_t running = 0;
    for (size_t next = 0; next < count || running;) {
        for (; next < count && running < at_once(); next++) {
            start(next, &before);
            if (shared->scripts[next].pid) running++;
        }
        struct timespec pause = {0, PAUSE * 1000000};
        if (sigtimedwait(&waited, NULL, &pause) > 0) {
            end_all();
            return;
        }
        running -= collect(times);
    }
}

/* ---- the runner's side ------------------------------------------------------------------------------------- */

void scripts_start(char *const *list, size_t n, double seconds, const char *logs, const char *times) {
    paths = list;
    count = n;
    seconds_each = seconds;
    snprintf(folder, sizeof folder, "%s", logs);
    shared = mmap(NULL, sizeof *shared + n * sizeof *shared->scripts, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) abort();
    pid_t child = fork();
    if (child < 0) abort();
    if (child) return;
    FILE *file = fopen(times, "we");
    if (file) setlinebuf(file);
    run_all(file);
    if (file) fclose(file);
    atomic_store(&shared->gone, true);
    _exit(0);
}

script_result scripts_wait(size_t index) {
    script *one = &shared->scripts[index];
    atomic_store(&shared->all_processors, true);
    while (!atomic_load(&one->done) && !atomic_load(&shared->gone)) usleep(PAUSE * 1000);
    return (script_result){one->late, atomic_load(&one->done) ? one->status : -1, log_of(index)};
}
