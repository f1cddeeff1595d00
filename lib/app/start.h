/* start.h - what a program does first.
 *
 * Thread safety: for main(), before there are threads.
 */
#ifndef RA_APP_START_H
#define RA_APP_START_H

/* Starts the program again with OPENBLAS_CORETYPE set where that makes OpenBLAS several times faster
 * (ra_backend_blas_core()). A value that was set on purpose stands. Returns when there is nothing to gain, also
 * when the new start fails: that costs no more than the speed. */
void start_with_vector_units(char **argv);

#endif
