/* The atoms' start. In overcomplete atom k starts at point k for every seed, which is part of the reason why
 * its runs agree with each other. The seeded starts here show how a method does without that help. */
#include "dictionary/dictionary.h"
#include "ra_memory.h"
#include "base/random.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>

enum { INIT_STREAM = 0x1217 }; /* other random numbers than those of the encoder's start */

/* order [count] <- points 0..N-1 in a random order; if there are more atoms, again in another order. */
static ra_status draw_points(ra_random *random, size_t count, size_t N, uint64_t **order, ra_error *err) {
    size_t rounds = (count + N - 1) / N;
    *order = ra_malloc(rounds * N, sizeof **order);
    if (!*order) RA_FAIL_MEMORY(err, "the atoms' points", rounds * N * sizeof **order);
    for (size_t r = 0; r < rounds; r++) ra_random_permutation(random, *order + r * N, N);
    return RA_OK;
}

/* ---- archetypal: rows of W ----------------------------------------------------------------------------- */

static ra_status start_eye(ra_random *random, float *W, size_t K, size_t N, ra_error *err) {
    (void)random, (void)err;
    for (size_t k = 0; k < K && k < N; k++) W[k * N + k] = 1;
    if (K > N)
        ra_log(RA_LOG_WARNING, "%zu concepts start at %zu points: the last %zu atoms start at zero", K, N,
               K - N);
    return RA_OK;
}

static ra_status start_permuted(ra_random *random, float *W, size_t K, size_t N, ra_error *err) {
    uint64_t *order = NULL;
    RA_TRY(draw_points(random, K, N, &order, err));
    for (size_t k = 0; k < K; k++) W[k * N + order[k]] = 1;
    ra_free(order);
    return RA_OK;
}

/* Weights that are uniform on the simplex of a few points: exponential numbers, divided by their sum. On the
 * simplex of all points every atom would start near the same mean. */
static ra_status start_random(ra_random *random, float *W, size_t K, size_t N, ra_error *err) {
    (void)err;
    size_t count = N < RA_INIT_RANDOM_POINTS ? N : RA_INIT_RANDOM_POINTS;
    for (size_t k = 0; k < K; k++) {
        size_t point[RA_INIT_RANDOM_POINTS];
        double weight[RA_INIT_RANDOM_POINTS], sum = 0;
        for (size_t i = 0; i < count;) {
            size_t j = 0;
            point[i] = (size_t)ra_random_below(random, N);
            while (point[j] != point[i]) j++;
            if (j == i) i++; /* it is a new point */
        }
        for (size_t i = 0; i < count; i++) sum += weight[i] = -log(1 - ra_random_unit(random));
        for (size_t i = 0; i < count; i++)
            W[k * N + point[i]] = (float)(sum > 0 ? weight[i] / sum : 1 / (double)count);
    }
    return RA_OK;
}

static ra_status (*const starts[])(ra_random *random, float *W, size_t K, size_t N, ra_error *err) = {
    [RA_INIT_EYE] = start_eye,
    [RA_INIT_PERMUTED] = start_permuted,
    [RA_INIT_RANDOM] = start_random,
};

/* parameter <- values in host memory. */
static ra_status put(ra_dictionary *dictionary, const ra_parameter *parameter, const float *values,
                     ra_error *err) {
    ra_tensor tensor = ra_tensor_2d(RA_F32, values, parameter->shape[0], parameter->shape[1]);
    RA_TRY(ra_parameter_upload(dictionary->backend, parameter, &tensor, err));
    ra_dictionary_changed(dictionary);
    return RA_OK;
}

ra_status ra_archetypal_dictionary_init(ra_dictionary *dictionary, ra_init init, uint64_t seed,
                                        ra_error *err) {
    size_t K = dictionary->concepts, N = dictionary->points;
    if (dictionary->kind != RA_DICTIONARY_ARCHETYPAL || (size_t)init >= sizeof starts / sizeof *starts)
        RA_FAIL(
            err, RA_ERR_ARGUMENT,
            "an archetypal dictionary can start as eye, permuted or random, a plain one as xavier or points");
    float *W = ra_calloc(K * N, sizeof *W);
    if (!W) RA_FAIL_MEMORY(err, "the atoms' start", K * N * sizeof *W);
    ra_random random;
    ra_random_seed(&random, seed ^ INIT_STREAM);
    ra_status status = starts[init](&random, W, K, N, err);
    if (status == RA_OK) status = put(dictionary, &dictionary->parameters[0], W, err);
    ra_free(W);
    return status;
}

/* ---- plain: atoms on points ---------------------------------------------------------------------------- */

ra_status ra_plain_dictionary_init(ra_dictionary *dictionary, const ra_tensor *points, uint64_t seed,
                                   ra_error *err) {
    char shape[128];
    size_t K = dictionary->concepts, d = dictionary->dimensions;
    if (dictionary->kind == RA_DICTIONARY_ARCHETYPAL)
        RA_FAIL(err, RA_ERR_ARGUMENT, "an archetypal dictionary starts at its own points; others were given");
    if (!ra_dtype_is_float(points->dtype) || points->rank != 2 || points->shape[0] == 0 ||
        points->shape[1] != d)
        RA_FAIL(err, RA_ERR_SHAPE, "the points are %s %s; expected F32, F16 or BF16 [N, %zu]",
                ra_dtype_name(points->dtype), ra_shape_text(points->rank, points->shape, shape, sizeof shape),
                d);
    size_t N = points->shape[0], row_bytes = d * ra_dtype_size(points->dtype);
    uint64_t *order = NULL;
    ra_random random;
    ra_random_seed(&random, seed ^ INIT_STREAM);
    RA_TRY(draw_points(&random, K, N, &order, err));
    float *atoms = ra_malloc(K * d, sizeof *atoms);
    ra_status status = RA_OK;
    if (!atoms)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the atoms' start needs %zu bytes",
                              K * d * sizeof *atoms);
    for (size_t k = 0; atoms && k < K; k++)
        ra_convert_to_f32(points->dtype, (const char *)points->data + order[k] * row_bytes, atoms + k * d, d);
    if (status == RA_OK) status = put(dictionary, &dictionary->parameters[0], atoms, err);
    ra_free(atoms);
    ra_free(order);
    return status;
}

/* ---- the scale ----------------------------------------------------------------------------------------- */

static const ra_parameter *multiplier_of(const ra_dictionary *dictionary) {
    const ra_parameter *p = dictionary->parameters;
    while (strcmp(p->name, "dictionary.multiplier") != 0) p++; /* both kinds have one */
    return p;
}

ra_status ra_dictionary_limit_norms(ra_dictionary *dictionary, float limit, ra_error *err) {
    const float *D;
    size_t K = dictionary->concepts, d = dictionary->dimensions;
    double largest = 0, *norms = ra_malloc(K, sizeof *norms);
    float *value = multiplier_of(dictionary)->value, multiplier = 0;
    ra_status status = RA_OK;
    if (!norms) RA_FAIL_MEMORY(err, "the atoms' lengths", K * sizeof *norms);
    RA_TRY_OUT(status, ra_dictionary_get(dictionary, &D, err));
    RA_TRY_OUT(status, ra_backend_row_norms(dictionary->backend, D, K, d, false, norms, err));
    for (size_t k = 0; k < K; k++) largest = norms[k] > largest ? norms[k] : largest;
    if (largest <= (double)limit) goto out;
    RA_TRY_OUT(status, ra_backend_get(dictionary->backend, &multiplier, value, sizeof multiplier, err));
    multiplier -= (float)log(largest / (double)limit);
    RA_TRY_OUT(status, ra_backend_put(dictionary->backend, value, &multiplier, sizeof multiplier, err));
    ra_dictionary_changed(dictionary);
out:
    ra_free(norms);
    return status;
}
