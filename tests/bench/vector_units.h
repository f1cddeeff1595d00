/* vector_units.h - a benchmark runs with the kernels that the programs run
 * with: see ra_backend_blas_core(). */
#ifndef TESTS_BENCH_VECTOR_UNITS_H
#define TESTS_BENCH_VECTOR_UNITS_H

#include "ra_backend.h"

#include <stdlib.h>
#include <unistd.h>

static inline void use_vector_units(char **argv) {
    const char *core = ra_backend_blas_core();
    if (core && !getenv("OPENBLAS_CORETYPE") && setenv("OPENBLAS_CORETYPE", core, 0) == 0)
        execv("/proc/self/exe", argv);
}

#endif
