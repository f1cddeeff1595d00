/* kinds.h - files that are something else: what they are, and how to convert them.
 *
 * People bring what their tools write: HDF5, Parquet, pickles, the text that Git LFS leaves in place of a file.
 * The message names it and gives the line of Python (or the command) that makes a file of it that can be read. */
#ifndef RA_IO_KINDS_H
#define RA_IO_KINDS_H

#include "ra_status.h"

#include <stdbool.h>
#include <stddef.h>

/* Fails if the bytes are those of a file of another kind, which is then named; RA_OK: they are of no kind that is
 * known. model: a model belongs there, otherwise an array. */
ra_status ra_kinds_refuse(const char *path, const void *bytes, size_t size, bool model, ra_error *err);

#endif
