/* OpenBLAS as a whole: its threads, and the kernels that it runs.
 *
 * OpenBLAS chooses kernels when it is loaded, by the processor's model number, and a release that is older
 * than the processor falls back to its slowest: Debian 12's 0.3.21 takes Prescott (2004) on an Emerald
 * Rapids, a fifth of the speed. Only the environment can correct that, and only before the program starts; so
 * this file knows which kernels are right, and the programs execute themselves again (their main.c). */
#include "backend/cpu/blas.h"
#include "ra_backend.h"

#include <cblas.h>
#include <pthread.h>
#include <stdbool.h>
#include <strings.h>

static void use_one_thread(void) {
    openblas_set_num_threads(1);
}

void cpu_blas_use_one_thread(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_one_thread);
}

#if defined(__x86_64__)

/* Cores whose kernels use AVX2 or more. */
static bool is_vectorized(const char *core) {
    static const char *const names[] = {"Haswell",  "Zen",        "Excavator",
                                        "SkylakeX", "Cooperlake", "Sapphirerapids"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(core, names[i]) == 0) return true;
    return false;
}

const char *ra_backend_blas_core(void) {
    if (is_vectorized(openblas_get_corename())) return NULL;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return "SKYLAKEX";
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? "HASWELL" : NULL;
}

#else

const char *ra_backend_blas_core(void) {
    return NULL;
}

#endif
