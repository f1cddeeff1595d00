/* start.h - how a program begins, and how it names itself.
 *
 * Thread safety: for main(), before there are threads.
 */
#ifndef RA_APP_START_H
#define RA_APP_START_H

/* Restarts the program with OPENBLAS_CORETYPE set if that makes OpenBLAS several times faster
 * (ra_backend_blas_core()). A value that the user has set stays. Returns if there is nothing to gain or the
 * restart fails: that costs only speed. */
void start_with_vector_units(char **argv);

/* "rasae 0.1.0" on stdout. */
void print_version(const char *program);

#endif
