/* cpu.h - the parts of the CPU backend: one file a family of operations, all over one thread pool.
 *
 *   cpu_gemm.c     dense products
 *   cpu_rows.c     projections, elementwise loops, copies; cpu_adam.c
 *   cpu_sums.c     sums over everything, over columns, over rows
 *   cpu_norms.c    LayerNorm and BatchNorm
 *   cpu_codes.c    products with sparse codes; cpu_entries.c what goes over their entries once
 *   cpu_select.c   which scores become codes
 *   cpu_pursuit.c  matching pursuit
 *
 * Work is cut into parts by shape alone (ra_pool_run), so results are bit-identical for any number of
 * threads. */
#ifndef RA_BACKEND_CPU_CPU_H
#define RA_BACKEND_CPU_CPU_H

#include "backend/backend.h"

typedef struct cpu_context {
    ra_pool *pool;
} cpu_context;

static inline ra_pool *cpu_pool(void *self) {
    return ((cpu_context *)self)->pool;
}

void cpu_gemm_prepare(void);

#define X(member) RA_BACKEND_TYPE(member) cpu_##member;
RA_BACKEND_COMPUTES(X)
#undef X

#endif
