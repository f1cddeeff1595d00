/* unit.h - rows of length one, from which cosines are products; and the tiles those products are taken in. */
#ifndef RA_METRICS_UNIT_H
#define RA_METRICS_UNIT_H

#include "ra_backend.h"
#include "base/pool.h"

enum { RA_TILE = 2048 }; /* rows of either side of one product: 16 MiB of cosines */

/* RA_ERR_UNSUPPORTED, naming what was wanted, unless the backend computes in host memory. */
ra_status ra_need_host_backend(const ra_backend *backend, const char *what, ra_error *err);

/* unit [rows,d] <- each row of x over (its norm + guard); a zero row stays zero. May be done in place. */
void ra_unit_rows(ra_pool *pool, const float *x, size_t rows, size_t d, double guard, float *unit);

/* product [m,n] <- a [m,d] b [n,d]^T. */
ra_status ra_products(ra_backend *backend, const float *a, size_t m, const float *b, size_t n, size_t d,
                      float *product, ra_error *err);

#endif
