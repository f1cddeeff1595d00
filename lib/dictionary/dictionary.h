/* dictionary.h - the inside of a dictionary: what both kinds have, and the functions that each defines. */
#ifndef RA_DICTIONARY_DICTIONARY_H
#define RA_DICTIONARY_DICTIONARY_H

#include "ra_dictionary.h"

enum { RA_DICTIONARY_PARAMETERS = 6 };

typedef struct ra_dictionary_type {
    ra_status (*project)(ra_dictionary *dictionary, ra_error *err); /* in place */
    /* D [count,d] <- these atoms (backend memory; NULL: all), from projected parameters */
    ra_status (*compose)(ra_dictionary *dictionary, const int32_t *atoms, size_t count, float *D,
                         ra_error *err);
    /* the gradients of the parameters <- dD [count,d]; D holds the same atoms */
    ra_status (*backward)(ra_dictionary *dictionary, const float *dD, size_t count, ra_error *err);
    /* the same products without D (ra_dictionary_decode() and ra_dictionary_decode_backward()); NULL: none */
    ra_status (*decode)(ra_dictionary *dictionary, const ra_codes *z, float *x_hat, ra_error *err);
    ra_status (*decode_backward)(ra_dictionary *dictionary, const ra_decoded *decoded, float *dvalue,
                                 ra_error *err);
    void (*moved)(ra_dictionary *dictionary, size_t step, double rate); /* may be NULL */
    ra_status (*loaded)(ra_dictionary *dictionary, ra_error *err);      /* may be NULL */
    void (*release)(ra_dictionary *dictionary);                         /* may be NULL */
    size_t multiplier;                                                  /* the parameter */
    size_t dense; /* the parameter whose gradient has the shape of dD, and may hold it */
} ra_dictionary_type;

struct ra_dictionary {
    const ra_dictionary_type *type;
    ra_dictionary_kind kind;
    ra_backend *backend;
    size_t concepts, dimensions, points; /* K, d, N (0 for a plain one) */
    float delta;
    bool training;
    bool projected; /* the parameters have not changed since they were projected */
    bool by_row; /* what the optimizer does with the rows (ra_parameter.projection) is what project() does */
    bool scaled; /* `scale` is that of the parameters' present values */
    float scale; /* e^multiplier */
    bool ahead;  /* the multiplier is on its way to `arriving`: ra_dictionary_ask() */
    float arriving;
    bool fresh;      /* D holds all K rows of the parameters' present values */
    size_t selected; /* rows of D when it was last read: K, or those of a selection */
    float *D;        /* [K,d] backend memory */
    int32_t *atoms;  /* [K] backend memory: the selection */
    ra_parameter parameters[RA_DICTIONARY_PARAMETERS];
    size_t count;
    ra_buffer of_points, of_values;   /* of products without D: [B,N], [entries] */
    struct ra_mixture_state *mixture; /* of mixtures alone */
};

/* A dictionary that has no parameters yet. */
ra_status ra_dictionary_make(ra_backend *backend, const ra_dictionary_type *type, ra_dictionary_kind kind,
                             size_t concepts, size_t dimensions, ra_dictionary **dictionary, ra_error *err);

/* Adds a parameter of zeros, with a gradient if it is trained: a matrix; cols 0: a vector; rows 0: a
 * scalar. */
ra_status ra_dictionary_add(ra_dictionary *dictionary, const char *name, bool trained, size_t rows,
                            size_t cols, ra_error *err);

/* RA_ERR_DTYPE, RA_ERR_SHAPE and RA_ERR_ARGUMENT for points [N,d] and a delta that cannot be. */
ra_status ra_dictionary_check_points(const ra_tensor *points, size_t dimensions, float delta, ra_error *err);

/* parameter <- values in host memory, in any float type. */
ra_status ra_parameter_upload(ra_backend *backend, const ra_parameter *parameter, const ra_tensor *values,
                              ra_error *err);

/* e^multiplier. */
ra_status ra_dictionary_scale(ra_dictionary *dictionary, float *scale, ra_error *err);

/* The gradient of the multiplier, if it is trained: sum(dD * D), both [count,d]. */
ra_status ra_dictionary_multiplier_gradient(ra_dictionary *dictionary, const float *dD, size_t count,
                                            ra_error *err);

#endif
