#include "app/start.h"
#include "ra.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Under its own name: with /proc/self/exe, ps would show that. */
void start_with_vector_units(char **argv) {
    const char *core = ra_backend_blas_core();
    char path[4096];
    if (!core || getenv("OPENBLAS_CORETYPE")) return;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0 || setenv("OPENBLAS_CORETYPE", core, 0) != 0) return;
    path[length] = '\0';
    execv(path, argv);
}

void print_version(const char *program) {
    printf("%s %s\n", program, RA_VERSION);
}
