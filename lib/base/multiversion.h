/* multiversion.h - one source, one binary, the vector width of the machine it runs on.
 *
 * RA_MULTIVERSION before a hot function makes the compiler emit it for AVX-512, AVX2 and plain x86-64; the
 * dynamic linker selects one at start. Off on other machines, and under sanitizers, whose runtime is not yet
 * up when the linker selects. */
#ifndef RA_BASE_MULTIVERSION_H
#define RA_BASE_MULTIVERSION_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(RA_SANITIZE)
#define RA_MULTIVERSION __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define RA_MULTIVERSION
#endif

#endif
