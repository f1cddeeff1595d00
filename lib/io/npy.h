/* npy.h - npy arrays in memory, for the readers of files that hold them. */
#ifndef RA_IO_NPY_H
#define RA_IO_NPY_H

#include "ra_io.h"

/* The array that takes all of these bytes. *copy <- NULL if the tensor points into them; otherwise its
 * elements, which had to be reordered or aligned, for the caller to free with ra_free(). */
ra_status ra_npy_load(const void *bytes, size_t size, const char *where, ra_tensor *tensor, void **copy,
                      ra_error *err);

/* Type and shape alone: needs the header only. The data is NULL. */
ra_status ra_npy_describe(const void *bytes, size_t size, const char *where, ra_tensor *tensor,
                          ra_error *err);

/* The files that opened arrays are views of. */
const ra_mapping *ra_npy_mapping(const ra_npy *npy);
const ra_mapping *ra_npz_mapping(const ra_npz *npz);

#endif
