/* processor.h - which vectors this processor has, by the names of x86-64's levels: v3 is AVX2, v4 the AVX-512 of servers. What code
 * compiled for `arch=x86-64-v4` asks before it runs; a compiler's own names of the levels are not those of every compiler.
 *
 * Thread safety: functions without state. */
#ifndef RA_BASE_PROCESSOR_H
#define RA_BASE_PROCESSOR_H

#include <stdbool.h>

#ifdef __x86_64__

static inline bool ra_processor_is_v3(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}

static inline bool ra_processor_is_v4(void) {
    return ra_processor_is_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

#endif

#endif
