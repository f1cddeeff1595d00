/* cpu.h - the CPU backend: one file per family of operations, all over one thread pool, which is what `self`
 * points to.
 *
 *   gemm.c     matrix products
 *   rows.c     projections, elementwise loops, copies; adam.c
 *   sums.c     sums over everything, over columns, over rows
 *   norms.c    LayerNorm and BatchNorm
 *   codes.c    products with sparse codes; entries.c: one pass over their entries
 *   select.c   which scores become codes
 *   pursuit.c  matching pursuit
 *   mixture.c  atoms as mixtures of a few points
 *
 * Work is divided into parts by shape alone (ra_pool_run), so results are bit-identical for any number of
 * threads. */
#ifndef RA_BACKEND_CPU_CPU_H
#define RA_BACKEND_CPU_CPU_H

#include "backend/backend.h"

#define RA_OPERATION(name, parameters, arguments)                                                            \
    ra_status cpu_##name(void *self, ra_backend_stream *stream, RA_UNPACK parameters, ra_error *err);
#include "ra_backend_operations.h"

/* A row, as the operations on many of them compute it. */
double cpu_row_norm(const float *row, size_t n, bool l1);
void cpu_project_row(ra_projection projection, float radius, float *row, size_t n);

#endif
