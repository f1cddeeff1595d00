/* The plain dictionary, D = e^m normalize(weights), the usual one that archetypal runs are compared with (the
 * same numbers as overcomplete 0.3.0, sae/dictionary.py). Reading D normalizes the weights in place, and
 * gradients do not pass through that: dweights = e^m dD. */
#include "dictionary/dictionary.h"
#include "ra_memory.h"
#include "base/random.h"

#include <math.h>

enum { WEIGHTS, MULTIPLIER };

/* What each kind divides a row by: its own norm plus 1e-8, or the largest norm of all rows. */
static const struct {
    bool divide, largest, l1;
    ra_projection by_row; /* the same in a step of the optimizer, which sees one row at a time */
} normalizations[] = {
    [RA_DICTIONARY_L2] = {true, false, false, RA_PROJECT_UNIT_L2},
    [RA_DICTIONARY_L1] = {true, false, true, RA_PROJECT_UNIT_L1},
    [RA_DICTIONARY_MAX_L2] = {true, true, false, RA_PROJECT_NOTHING},
    [RA_DICTIONARY_MAX_L1] = {true, true, true, RA_PROJECT_NOTHING},
    [RA_DICTIONARY_IDENTITY] = {false, false, false, RA_PROJECT_NOTHING},
};

/* norms [K] <- each row's factor; false if all rows are zero and have none. */
static bool factors_of(double *norms, size_t rows, bool largest) {
    double divisor = 0;
    for (size_t i = 0; i < rows && largest; i++) divisor = norms[i] > divisor ? norms[i] : divisor;
    if (largest && divisor == 0) return false;
    for (size_t i = 0; i < rows; i++) norms[i] = 1 / (largest ? divisor : norms[i] + 1e-8);
    return true;
}

static ra_status normalize(ra_dictionary *dictionary, ra_error *err) {
    if (!normalizations[dictionary->kind].divide) return RA_OK;
    float *weights = dictionary->parameters[WEIGHTS].value;
    size_t K = dictionary->concepts, d = dictionary->dimensions;
    double *norms = ra_malloc(K, sizeof *norms);
    if (!norms) RA_FAIL_MEMORY(err, "the norms of a dictionary", K * sizeof *norms);
    ra_status status = ra_backend_row_norms(dictionary->backend, weights, K, d,
                                            normalizations[dictionary->kind].l1, norms, err);
    if (status == RA_OK && factors_of(norms, K, normalizations[dictionary->kind].largest))
        status = ra_backend_scale_rows(dictionary->backend, norms, weights, K, d, err);
    ra_free(norms);
    return status;
}

static ra_status compose(ra_dictionary *dictionary, const int32_t *atoms, size_t count, float *D,
                         ra_error *err) {
    const ra_parameter *p = dictionary->parameters;
    size_t d = dictionary->dimensions;
    const float *weights = p[WEIGHTS].value;
    float scale;
    RA_TRY(ra_dictionary_scale(dictionary, &scale, err));
    if (atoms) return ra_backend_gather_rows(dictionary->backend, scale, weights, atoms, count, d, D, err);
    return ra_backend_axpby(dictionary->backend, scale, weights, 0, D, count * d, err);
}

/* dD may be the memory of the weights' gradient. */
static ra_status backward(ra_dictionary *dictionary, const float *dD, size_t count, ra_error *err) {
    float scale, *weights = dictionary->parameters[WEIGHTS].gradient;
    size_t n = count * dictionary->dimensions;
    RA_TRY(ra_dictionary_multiplier_gradient(dictionary, dD, count, err));
    RA_TRY(ra_dictionary_scale(dictionary, &scale, err));
    if (dD == weights) return ra_backend_axpby(dictionary->backend, 0, NULL, scale, weights, n, err);
    return ra_backend_axpby(dictionary->backend, scale, dD, 0, weights, n, err);
}

static const ra_dictionary_type plain = {.project = normalize,
                                         .compose = compose,
                                         .backward = backward,
                                         .dense = WEIGHTS,
                                         .multiplier = MULTIPLIER};

/* Other random numbers than the encoder's: with the same ones, every atom would start parallel to its encoder
 * row. */
enum { DICTIONARY_STREAM = 0x0d1c7104 };

/* Xavier-uniform: +-sqrt(6 / (K + d)). */
static ra_status start_random(ra_dictionary *dictionary, uint64_t seed, ra_error *err) {
    size_t K = dictionary->concepts, d = dictionary->dimensions;
    double bound = sqrt(6.0 / (double)(K + d));
    float *weights = ra_malloc(K * d, sizeof *weights);
    if (!weights) RA_FAIL_MEMORY(err, "the start of a dictionary", K * d * sizeof *weights);
    ra_random random;
    ra_random_seed(&random, seed ^ DICTIONARY_STREAM);
    for (size_t i = 0; i < K * d; i++) weights[i] = (float)(bound * (2 * ra_random_unit(&random) - 1));
    const ra_tensor start = ra_tensor_2d(RA_F32, weights, K, d);
    ra_status status =
        ra_parameter_upload(dictionary->backend, &dictionary->parameters[WEIGHTS], &start, err);
    ra_free(weights);
    return status;
}

ra_status ra_plain_dictionary_new(ra_backend *backend, size_t in_dimensions, size_t nb_concepts,
                                  ra_dictionary_kind kind, const ra_tensor *weights, bool use_multiplier,
                                  uint64_t seed, ra_dictionary **out, ra_error *err) {
    char shape[128];
    if (kind == RA_DICTIONARY_ARCHETYPAL || (size_t)kind >= sizeof normalizations / sizeof *normalizations)
        RA_FAIL(err, RA_ERR_ARGUMENT, "dictionary kind %d is not that of a plain dictionary", (int)kind);
    if (weights && (!ra_dtype_is_float(weights->dtype) || weights->rank != 2 ||
                    weights->shape[0] != nb_concepts || weights->shape[1] != in_dimensions))
        RA_FAIL(err, RA_ERR_SHAPE, "the dictionary's weights are %s %s, expected F32, F16 or BF16 [%zu, %zu]",
                ra_dtype_name(weights->dtype),
                ra_shape_text(weights->rank, weights->shape, shape, sizeof shape), nb_concepts,
                in_dimensions);
    ra_dictionary *dictionary = NULL;
    RA_TRY(ra_dictionary_make(backend, &plain, kind, nb_concepts, in_dimensions, &dictionary, err));
    ra_status status;
    RA_TRY_OUT(status,
               ra_dictionary_add(dictionary, "dictionary._weights", true, nb_concepts, in_dimensions, err));
    dictionary->parameters[WEIGHTS].projection = normalizations[kind].by_row;
    dictionary->by_row = !normalizations[kind].largest;
    RA_TRY_OUT(status, ra_dictionary_add(dictionary, "dictionary.multiplier", use_multiplier, 0, 0, err));
    if (weights)
        RA_TRY_OUT(status, ra_parameter_upload(backend, &dictionary->parameters[WEIGHTS], weights, err));
    else
        RA_TRY_OUT(status, start_random(dictionary, seed, err));
    *out = dictionary;
    return RA_OK;
out:
    ra_dictionary_free(dictionary);
    return status;
}
