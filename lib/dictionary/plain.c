/* The plain dictionary, D = e^m normalise(weights), for runs to compare with (overcomplete 0.3.0,
 * sae/dictionary.py). As there, normalisation happens in place on reading, outside the graph: dweights = e^m
 * dD. */
#include "dictionary/dictionary.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>

enum { WEIGHTS, MULTIPLIER };

/* How each kind divides: by which norm, the row's own or the largest of all. The reference adds 1e-8 to a
 * row's own. */
static const struct {
    bool divide, largest, l1;
} normalisations[] = {
    [RA_DICTIONARY_L2] = {true, false, false},        [RA_DICTIONARY_MAX_L2] = {true, true, false},
    [RA_DICTIONARY_L1] = {true, false, true},         [RA_DICTIONARY_MAX_L1] = {true, true, true},
    [RA_DICTIONARY_IDENTITY] = {false, false, false},
};

enum { ROWS_PER_PART = 64 };

typedef struct normalise_job {
    float *weights;
    size_t rows, n;
    bool l1;
    double *norms;  /* [rows] */
    double divisor; /* 0: the row's own norm */
} normalise_job;

static void norm_part(void *context, size_t part) {
    const normalise_job *job = context;
    for (size_t i = part * ROWS_PER_PART; i < (part + 1) * ROWS_PER_PART && i < job->rows; i++) {
        const float *row = job->weights + i * job->n;
        double sum = 0;
        for (size_t j = 0; j < job->n; j++)
            sum += job->l1 ? fabs((double)row[j]) : (double)row[j] * (double)row[j];
        job->norms[i] = job->l1 ? sum : sqrt(sum);
    }
}

static void divide_part(void *context, size_t part) {
    const normalise_job *job = context;
    for (size_t i = part * ROWS_PER_PART; i < (part + 1) * ROWS_PER_PART && i < job->rows; i++) {
        float *row = job->weights + i * job->n;
        float scale = (float)(1 / (job->divisor > 0 ? job->divisor : job->norms[i] + 1e-8));
        for (size_t j = 0; j < job->n; j++) row[j] *= scale;
    }
}

static ra_status normalise(ra_dictionary *dictionary, ra_error *err) {
    if (!normalisations[dictionary->kind].divide) return RA_OK;
    size_t K = dictionary->concepts;
    normalise_job job = {dictionary->parameters[WEIGHTS].value, K,    dictionary->dimensions,
                         normalisations[dictionary->kind].l1,   NULL, 0};
    job.norms = ra_malloc(K, sizeof *job.norms);
    if (!job.norms) RA_FAIL_MEMORY(err, "the norms of a dictionary", K * sizeof *job.norms);
    ra_pool *pool = ra_backend_pool(dictionary->backend);
    size_t parts = ra_pool_parts(K, ROWS_PER_PART);
    ra_pool_run(pool, parts, norm_part, &job);
    if (normalisations[dictionary->kind].largest)
        for (size_t i = 0; i < K; i++) job.divisor = job.norms[i] > job.divisor ? job.norms[i] : job.divisor;
    if (!normalisations[dictionary->kind].largest || job.divisor > 0) /* all zeros: nothing to divide by */
        ra_pool_run(pool, parts, divide_part, &job);
    ra_free(job.norms);
    return RA_OK;
}

static ra_status compose(ra_dictionary *dictionary, const int32_t *atoms, size_t count, float *D,
                         ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(dictionary->backend);
    void *self = ra_backend_self(dictionary->backend);
    const ra_parameter *p = dictionary->parameters;
    size_t d = dictionary->dimensions;
    const float *weights = p[WEIGHTS].value;
    float scale;
    if (atoms) {
        RA_TRY(ops->gather(self, NULL, weights, atoms, count, d, p[WEIGHTS].gradient, err));
        weights = p[WEIGHTS].gradient;
    }
    RA_TRY(ra_dictionary_scale(dictionary, MULTIPLIER, &scale, err));
    return ops->combine(self, NULL, scale, weights, 0, D, count * d, err);
}

/* dD may be the gradient of the weights itself. */
static ra_status backward(ra_dictionary *dictionary, const float *dD, size_t count, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(dictionary->backend);
    void *self = ra_backend_self(dictionary->backend);
    float scale, *weights = dictionary->parameters[WEIGHTS].gradient;
    size_t n = count * dictionary->dimensions;
    RA_TRY(ra_dictionary_multiplier_gradient(dictionary, MULTIPLIER, dD, count, err));
    RA_TRY(ra_dictionary_scale(dictionary, MULTIPLIER, &scale, err));
    if (dD == weights) return ops->combine(self, NULL, 0, NULL, scale, weights, n, err);
    return ops->combine(self, NULL, scale, dD, 0, weights, n, err);
}

static const ra_dictionary_type plain = {normalise, compose, backward, WEIGHTS};

/* Keeps these random numbers apart from the encoder's: drawn from the same seed in the same order, they would
 * start every atom along its encoder row. */
enum { DICTIONARY_STREAM = 0x0d1c7104 };

/* Xavier-uniform, as the reference starts: +-sqrt(6 / (K + d)). Host memory. */
static void start_random(ra_dictionary *dictionary, uint64_t seed) {
    ra_random random;
    ra_random_seed(&random, seed ^ DICTIONARY_STREAM);
    double bound = sqrt(6.0 / (double)(dictionary->concepts + dictionary->dimensions));
    float *weights = dictionary->parameters[WEIGHTS].value;
    for (size_t i = 0; i < dictionary->concepts * dictionary->dimensions; i++)
        weights[i] = (float)(bound * (2 * ra_random_unit(&random) - 1));
}

ra_status ra_plain_dictionary_new(ra_backend *backend, size_t in_dimensions, size_t nb_concepts,
                                  ra_dictionary_kind kind, const ra_tensor *weights, bool use_multiplier,
                                  uint64_t seed, ra_dictionary **out, ra_error *err) {
    char shape[128];
    if (kind == RA_DICTIONARY_ARCHETYPAL || (size_t)kind >= sizeof normalisations / sizeof *normalisations)
        RA_FAIL(err, RA_ERR_ARGUMENT, "dictionary kind %d is not a plain one", (int)kind);
    if (!ra_backend_operations(backend)->host_memory)
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "a plain dictionary needs a CPU backend, got %s",
                ra_backend_name(backend));
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
    RA_TRY_OUT(status, ra_dictionary_add(dictionary, "dictionary.multiplier", use_multiplier, 0, 0, err));
    if (weights)
        RA_TRY_OUT(status, ra_parameter_upload(backend, &dictionary->parameters[WEIGHTS], weights, err));
    else
        start_random(dictionary, seed);
    *out = dictionary;
    return RA_OK;
out:
    ra_dictionary_free(dictionary);
    return status;
}
