/* blas.h - OpenBLAS as a whole: its threads. */
#ifndef RA_BACKEND_CPU_BLAS_H
#define RA_BACKEND_CPU_BLAS_H

/* The threads are ours (gemm.c says why). For the whole process; may be called more than once. */
void cpu_blas_use_one_thread(void);

#endif
