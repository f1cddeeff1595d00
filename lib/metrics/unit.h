/* unit.h - rows of length one, whose matrix products are cosines, and the tiles of these products.
 *
 * Thread safety: plain functions of their arguments; the number of threads changes no result.
 */
#ifndef RA_METRICS_UNIT_H
#define RA_METRICS_UNIT_H

#include "ra_backend.h"
#include "base/pool.h"

enum { RA_TILE = 2048 }; /* rows of either factor: 16 MiB of cosines */

/* RA_ERR_UNSUPPORTED, naming `what`, unless the backend computes in host memory. */
ra_status ra_need_host_backend(const ra_backend *backend, const char *what, ra_error *err);

/* unit [rows,d] <- each row of x divided by its norm; a row of zeros stays. unit may be x. */
void ra_unit_rows(ra_pool *pool, const float *x, size_t rows, size_t d, float *unit);

/* product [m,n] <- a [m,d] b [n,d]^T. */
ra_status ra_products(ra_backend *backend, const float *a, size_t m, const float *b, size_t n, size_t d,
                      float *product, ra_error *err);

#endif
