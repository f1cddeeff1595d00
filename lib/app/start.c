#include "app/start.h"
#include "ra.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool set_core(void) {
    const char *core = ra_backend_blas_core();
    return core && !getenv("OPENBLAS_CORETYPE") && setenv("OPENBLAS_CORETYPE", core, 0) == 0;
}

/* Threads of OpenBLAS's own, which no product of ours uses, would ask for work for 25 ms before they sleep. */
static bool set_one_thread(void) {
    static const char name[] = "OPENBLAS_NUM_THREADS";
    const char *threads = getenv(name);
    return !(threads && strcmp(threads, "1") == 0) && setenv(name, "1", 1) == 0;
}

/* Under its own name: with /proc/self/exe, ps would show that. */
void start_with_blas(char **argv) {
    char path[4096];
    bool core = set_core(), one = set_one_thread();
    if (!core && !one) return;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) return;
    path[length] = '\0';
    execv(path, argv);
}

void start_end(int code) {
    if (!ra_backend_addresses_are_limited()) exit(code);
    fflush(NULL);
    _exit(code);
}

void print_version(const char *program) {
    printf("%s %s\n", program, RA_VERSION);
}
