/* pickle.h - what a pickle describes, without running any of it.
 *
 * A pickle is a program for a small stack machine: most operations push a value or join values, and three of them
 * call what a name refers to (REDUCE, NEWOBJ, BUILD), which is how a hostile file runs code in Python. This reader has
 * a value for each thing that torch writes, and calls nothing: an object is its class's name and its attributes, a
 * tensor is the arguments that would rebuild it. A name or an operation that is not in a list (globals.c, pickle.c)
 * is refused by its name.
 *
 * Memory: at most MOST_VALUES values of 24 bytes, and lists that hold each value that the pickle appends; texts point
 * into the bytes of the pickle, which must outlive it. Values may refer to each other in circles and may share parts
 * any number of times: a walk over them has to bound its depth and its number of steps.
 *
 * Thread safety: one thread at a time. Source: Python's module pickletools; protocols 2 to 5. */
#ifndef RA_IO_TORCH_PICKLE_H
#define RA_IO_TORCH_PICKLE_H

#include "io/torch/values.h"

/* *root <- the value of the pickle at `bytes`; *used <- its length, at most `size`. Several may be read into one. */
ra_status ra_pickle_read(ra_pickle *pickle, const void *bytes, size_t size, size_t *used,
                         const ra_pickle_value **root, ra_error *err);

#endif
