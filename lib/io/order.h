/* order.h - arrays whose bytes lie in another order than a ra_tensor's: big-endian numbers, Fortran's order of
 * the elements, a start that is not a multiple of the element size. They are copied once, when the file is
 * opened. */
#ifndef RA_IO_ORDER_H
#define RA_IO_ORDER_H

#include "ra_tensor.h"

/* *copy <- the elements of `source`, which has the type and shape of `tensor`: in C order, little-endian and
 * aligned; the caller frees it with ra_free(). */
ra_status ra_order_copy(const ra_tensor *tensor, const void *source, bool swapped, bool fortran,
                        const char *where, void **copy, ra_error *err);

#endif
