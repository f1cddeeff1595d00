/* globals.h - the names that a pickle may use, and what a call of each stands for. */
#ifndef RA_IO_TORCH_GLOBALS_H
#define RA_IO_TORCH_GLOBALS_H

#include "io/torch/values.h"

/* RA_ERR_UNSUPPORTED, by its name, for a global that no list has. */
ra_status ra_pickle_check_global(const ra_pickle *pickle, const ra_pickle_value *global, ra_error *err);

/* *result <- what a call with these arguments, a tuple, stands for. `construct`: NEWOBJ, which makes an object of a
 * class, otherwise REDUCE, which calls a function. */
ra_status ra_pickle_call(ra_pickle *pickle, const ra_pickle_value *global, ra_pickle_value *arguments,
                         bool construct, ra_pickle_value **result, ra_error *err);

/* BUILD: gives a value its attributes. */
ra_status ra_pickle_build(const ra_pickle *pickle, ra_pickle_value *value, const ra_pickle_value *state,
                          ra_error *err);

/* *result <- what a persistent id refers to: a storage, or in the legacy format a class. */
ra_status ra_pickle_persistent(ra_pickle *pickle, const ra_pickle_value *id, ra_pickle_value **result,
                               ra_error *err);

#endif
