/* dictionary.h - what the two kinds of dictionary share, and what each defines. */
#ifndef RA_DICTIONARY_DICTIONARY_H
#define RA_DICTIONARY_DICTIONARY_H

#include "ra_dictionary.h"

enum { RA_DICTIONARY_PARAMETERS = 4 };

typedef struct ra_dictionary_type {
    /* projects the parameters in place, then writes D [K,d] */
    ra_status (*compose)(ra_dictionary *dictionary, float *D, ra_error *err);
    /* dD [K,d] -> the gradients of the parameters; D is the one composed last */
    ra_status (*backward)(ra_dictionary *dictionary, const float *dD, ra_error *err);
} ra_dictionary_type;

struct ra_dictionary {
    const ra_dictionary_type *type;
    ra_dictionary_kind kind;
    ra_backend *backend;
    size_t concepts, dimensions, points; /* K, d, N (0 for a plain one) */
    float delta;
    bool training;
    bool fresh; /* D belongs to the parameters as they are */
    float *D;   /* [K,d] backend memory */
    ra_parameter parameters[RA_DICTIONARY_PARAMETERS];
    size_t count;
};

/* A dictionary without parameters yet; on failure nothing is left behind. */
ra_status ra_dictionary_make(ra_backend *backend, const ra_dictionary_type *type, ra_dictionary_kind kind,
                             size_t concepts, size_t dimensions, ra_dictionary **dictionary, ra_error *err);

/* Adds a zeroed parameter, with a gradient when `trained`; rank 0, 1 or 2 by its sizes: cols 0 means a vector
 * of rows, rows 0 a scalar. */
ra_status ra_dictionary_add(ra_dictionary *dictionary, const char *name, bool trained, size_t rows,
                            size_t cols, ra_error *err);

/* Host values in any float type -> parameter. */
ra_status ra_parameter_upload(ra_backend *backend, const ra_parameter *parameter, const ra_tensor *values,
                              ra_error *err);

/* e^multiplier, the multiplier being parameter i. */
ra_status ra_dictionary_scale(const ra_dictionary *dictionary, size_t i, float *scale, ra_error *err);

/* Writes the gradient of the multiplier, parameter i, when it is trained: sum(dD * D). */
ra_status ra_dictionary_multiplier_gradient(ra_dictionary *dictionary, size_t i, const float *dD,
                                            ra_error *err);

#endif
