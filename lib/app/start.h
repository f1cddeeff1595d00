/* start.h - how a program begins, and how it names itself.
 *
 * Thread safety: for main(), before there are threads.
 */
#ifndef RA_APP_START_H
#define RA_APP_START_H

/* Restarts the program with the environment that OpenBLAS needs: OPENBLAS_CORETYPE if that makes it several times
 * faster (ra_backend_blas_core()), where a value that the user has set stays; OPENBLAS_NUM_THREADS=1,
 * because our own threads share its products: threads of its own would only burn 25 ms, and never get their memory
 * where addresses are limited. Returns if there is nothing to gain or the restart fails. */
void start_with_blas(char **argv);

/* Ends the program: as a return from main() does, but where addresses are limited without OpenBLAS's end, which waits
 * for its threads. */
_Noreturn void start_end(int code);

/* "rasae 0.1.0" on stdout. */
void print_version(const char *program);

#endif
