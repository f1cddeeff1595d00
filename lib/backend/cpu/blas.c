/* OpenBLAS as a whole: its threads, and the kernels that it runs.
 *
 * OpenBLAS chooses kernels when it is loaded, by the processor's model number, and a release that is older
 * than the processor falls back to its slowest: Debian 12's 0.3.21 takes Prescott (2004) on an Emerald
 * Rapids, a fifth of the speed. Only the environment can correct that, and only before the program starts; so
 * this file knows which kernels are right, and the programs execute themselves again (their main.c).
 *
 * Each thread that calls OpenBLAS takes a buffer of 128 MiB of addresses, which it keeps. When the system refuses it (a
 * limit on addresses, no overcommitment), OpenBLAS asks again, for ever and deaf to signals; and it starts threads of its
 * own before main(), which wait in this way for their buffers, and for which exit() waits. So the programs run without
 * such threads (app/start.h), and where addresses are limited they take all buffers at the start, when a refusal can be
 * told. */
#include "backend/cpu/blas.h"
#include "ra_backend.h"

#include "ra_memory.h"

#include <cblas.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static void use_one_thread(void) {
    openblas_set_num_threads(1);
}

void cpu_blas_use_one_thread(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_one_thread);
}

void cpu_blas_add_product(size_t m, size_t n, size_t k, const double *a, const double *b, size_t step,
                          double *c) {
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1, a, (int)step, b,
                (int)step, 1, c, (int)step);
}

/* ---- buffers ------------------------------------------------------------------------------------------ */

/* OpenBLAS exports them and has no header for them. Without them, a probe of the memory must do. */
void *blas_memory_alloc(int position) __attribute__((weak));
void blas_memory_free(void *buffer) __attribute__((weak));

enum { BUFFER_BYTES = 128 << 20 };

/* A number that a file of the system holds; -1: none. */
static long read_number(const char *path) {
    long number = -1;
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%ld", &number) != 1) number = -1;
    if (file) fclose(file);
    return number;
}

bool ra_backend_addresses_are_limited(void) {
    enum { NO_OVERCOMMITMENT = 2 };
    static const int limits[] = {RLIMIT_AS, RLIMIT_DATA};
    struct rlimit limit;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (getrlimit(limits[i], &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) return true;
    return read_number("/proc/sys/vm/overcommit_memory") == NO_OVERCOMMITMENT;
}

static bool has_room(size_t bytes) {
    void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) return false;
    munmap(room, bytes);
    return true;
}

/* Takes them all before it gives the first one back: OpenBLAS then has as many, and keeps them. */
static ra_status take_buffers(size_t count, ra_error *err) {
    if (!blas_memory_alloc || !blas_memory_free) return RA_OK;
    void **buffers = ra_calloc(count, sizeof *buffers);
    if (!buffers) RA_FAIL_MEMORY(err, "the buffers of OpenBLAS", count * sizeof *buffers);
    for (size_t i = 0; i < count; i++) buffers[i] = blas_memory_alloc(0);
    for (size_t i = 0; i < count; i++)
        if (buffers[i]) blas_memory_free(buffers[i]);
    ra_free(buffers);
    return RA_OK;
}

ra_status ra_backend_reserve(size_t threads, ra_error *err) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static size_t reserved;
    if (!ra_backend_addresses_are_limited()) return RA_OK;
    pthread_mutex_lock(&lock);
    ra_status status = RA_OK;
    size_t more = threads > reserved ? threads - reserved : 0;
    if (more && !has_room(more * BUFFER_BYTES))
        status = ra_error_set(
            err, RA_ERR_MEMORY,
            "OpenBLAS needs 128 MiB of addresses for each of %zu threads, but the system refuses %zu "
            "MiB; use fewer threads, or raise the limit (ulimit -v, ulimit -d)",
            threads, more * (BUFFER_BYTES >> 20));
    if (more && status == RA_OK) status = take_buffers(threads, err);
    if (more && status == RA_OK) reserved = threads;
    pthread_mutex_unlock(&lock);
    return status;
}

/* ---- kernels ------------------------------------------------------------------------------------------ */

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
