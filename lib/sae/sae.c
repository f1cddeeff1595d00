/* The autoencoder as an object. Its passes are in forward.c and backward.c. */
#include "sae/sae.h"
#include "ra_memory.h"
#include "base/random.h"

#include <math.h>
#include <string.h>

static const char theta_name[] = "thresholds";
static const double THETA_START = -3; /* exp(-3) = 0.05 */

/* ---- creation ---------------------------------------------------------------------------------------- */

static ra_status add_parameter(ra_sae *sae, const char *name, bool trained, size_t rows, size_t cols,
                               ra_error *err) {
    void *memory = NULL;
    ra_parameter *parameter = &sae->parameters[sae->count];
    *parameter = (ra_parameter){.name = name, .dtype = RA_F32, .rank = cols ? 2 : 1, .shape = {rows, cols}};
    size_t bytes = ra_parameter_size(parameter) * sizeof(float);
    RA_TRY(ra_backend_allocate(sae->backend, bytes, &memory, err));
    parameter->value = memory;
    sae->owned = ++sae->count;
    if (trained) {
        RA_TRY(ra_backend_allocate(sae->backend, bytes, &memory, err));
        parameter->gradient = memory;
    }
    return RA_OK;
}

/* parameter <- random numbers, uniform in center +- bound; random NULL: the center. */
static ra_status fill(const ra_sae *sae, const ra_parameter *parameter, double center, double bound,
                      ra_random *random, ra_error *err) {
    size_t n = ra_parameter_size(parameter), bytes = n * sizeof(float);
    float *values = ra_malloc(n, sizeof *values);
    if (!values) RA_FAIL_MEMORY(err, parameter->name, bytes);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(random ? center + bound * (2 * ra_random_unit(random) - 1) : center);
    ra_status status = ra_backend_put(sae->backend, parameter->value, values, bytes, err);
    ra_free(values);
    return status;
}

/* Like torch.nn.Linear: weight and bias uniform in +-1/sqrt(d). Norms start as the identity, the bias of a
 * tied encoder at 0. */
static ra_status start_encoder(const ra_sae *sae, uint64_t seed, ra_error *err) {
    ra_random random;
    ra_random_seed(&random, seed);
    double bound = 1 / sqrt((double)sae->encoder.dimensions);
    const ra_parameter *const *tensor = sae->encoder.tensor;
    for (size_t i = RA_ENCODER_WEIGHT; i <= RA_ENCODER_BIAS && tensor[RA_ENCODER_WEIGHT]; i++)
        RA_TRY(fill(sae, tensor[i], 0, bound, &random, err));
    for (size_t i = RA_ENCODER_NORM_WEIGHT; i < RA_ENCODER_TENSORS; i++)
        if (tensor[i])
            RA_TRY(fill(sae, tensor[i], i == RA_ENCODER_NORM_WEIGHT || i == RA_ENCODER_RUNNING_VAR ? 1 : 0, 0,
                        NULL, err));
    return RA_OK;
}

static ra_status make(ra_sae *sae, uint64_t seed, ra_error *err) {
    size_t K = ra_dictionary_concepts(sae->dictionary), d = ra_dictionary_dimensions(sae->dictionary), count;
    ra_encoder_kind kind = (ra_encoder_kind)sae->settings.encoder;
    RA_TRY(ra_sae_settings_check(&sae->settings, err));
    RA_TRY(ra_activation_init(&sae->activation, &sae->settings, K, true, "the autoencoder", err));
    sae->encoder = (ra_encoder){.kind = kind, .concepts = K, .dimensions = d};
    for (size_t i = 0; i < RA_ENCODER_TENSORS; i++) {
        if (!ra_encoder_has_tensor(kind, i)) continue;
        sae->encoder.tensor[i] = &sae->parameters[sae->count];
        RA_TRY(add_parameter(sae, ra_encoder_tensor_names[i], i < RA_ENCODER_RUNNING_MEAN, K,
                             i == RA_ENCODER_WEIGHT ? d : 0, err));
    }
    RA_TRY(start_encoder(sae, seed, err));
    if (ra_activation_types[sae->activation.kind]->has_thresholds) {
        RA_TRY(add_parameter(sae, theta_name, true, K, 0, err));
        void *memory = NULL;
        sae->theta_rate = 1;
        sae->parameters[sae->count - 1].rate = &sae->theta_rate;
        RA_TRY(fill(sae, &sae->parameters[sae->count - 1], THETA_START, 0, NULL, err));
        RA_TRY(ra_backend_allocate(sae->backend, K * sizeof *sae->thresholds, &memory, err));
        sae->activation.theta = sae->parameters[sae->count - 1].value;
        sae->activation.thresholds = sae->thresholds = memory;
    }
    ra_dictionary_parameters(sae->dictionary, &count);
    sae->count += count;
    ra_sae_changed(sae);
    return RA_OK;
}

ra_status ra_sae_new(const ra_sae_settings *settings, ra_dictionary *dictionary, uint64_t seed, ra_sae **out,
                     ra_error *err) {
    ra_sae *sae = ra_calloc(1, sizeof *sae);
    if (!sae) {
        ra_dictionary_free(dictionary);
        RA_FAIL_MEMORY(err, "an autoencoder", sizeof *sae);
    }
    sae->settings = *settings;
    ra_sae_settings_defaults(&sae->settings);
    sae->dictionary = dictionary;
    sae->backend = ra_dictionary_backend(dictionary);
    sae->training = true;
    ra_status status = make(sae, seed, err);
    if (status != RA_OK) {
        ra_sae_free(sae);
        return status;
    }
    *out = sae;
    return RA_OK;
}

void ra_sae_free(ra_sae *sae) {
    if (!sae) return;
    for (size_t i = 0; i < sae->owned; i++) {
        ra_backend_deallocate(sae->backend, sae->parameters[i].value);
        ra_backend_deallocate(sae->backend, sae->parameters[i].gradient);
    }
    ra_backend_deallocate(sae->backend, sae->thresholds);
    for (size_t i = 0; i < RA_SAE_PARAMETERS; i++) ra_free(sae->copies[i]);
    ra_mixture_points_release(&sae->points);
    ra_dictionary_free(sae->dictionary); /* it retains the backend until here */
    ra_free(sae);
}

const ra_parameter *ra_sae_theta(const ra_sae *sae) {
    const ra_parameter *last = sae->owned ? &sae->parameters[sae->owned - 1] : NULL;
    return last && last->name == theta_name ? last : NULL;
}

void ra_sae_changed(ra_sae *sae) {
    size_t count;
    const ra_parameter *parameters = ra_dictionary_parameters(sae->dictionary, &count);
    memcpy(sae->parameters + sae->owned, parameters, count * sizeof *parameters);
    ra_dictionary_changed(sae->dictionary);
    sae->thresholds_known = false;
}

ra_status ra_sae_thresholds(ra_sae *sae, ra_error *err) {
    size_t K = sae->encoder.concepts, bytes = K * sizeof *sae->thresholds;
    if (!sae->thresholds || sae->thresholds_known) return RA_OK;
    float *values = ra_malloc(K, sizeof *values);
    if (!values) RA_FAIL_MEMORY(err, "the thresholds", bytes);
    ra_status status = ra_backend_get(sae->backend, values, sae->activation.theta, bytes, err);
    if (status == RA_OK) {
        ra_activation_thresholds(values, values, K);
        status = ra_backend_put(sae->backend, sae->thresholds, values, bytes, err);
    }
    ra_free(values);
    sae->thresholds_known = status == RA_OK;
    return status;
}

const ra_sae_settings *ra_sae_get_settings(const ra_sae *sae) {
    return &sae->settings;
}

ra_dictionary *ra_sae_dictionary(ra_sae *sae) {
    return sae->dictionary;
}

ra_backend *ra_sae_backend(const ra_sae *sae) {
    return sae->backend;
}

void ra_sae_set_group(ra_sae *sae, const ra_group *group) {
    sae->group = sae->encoder.group = sae->activation.group = group;
}

const ra_mixture_points *ra_sae_stored_points(const ra_sae *sae) {
    return &sae->points;
}

const ra_group *ra_sae_group(const ra_sae *sae) {
    return sae->group;
}

void ra_sae_set_threshold_rate(ra_sae *sae, double rate) {
    sae->theta_rate = rate;
}

const ra_parameter *ra_sae_parameters(ra_sae *sae, size_t *count) {
    *count = sae->count;
    return sae->parameters;
}

ra_status ra_sae_set_training(ra_sae *sae, bool training, ra_error *err) {
    (void)err;
    sae->training = training;
    ra_dictionary_set_training(sae->dictionary, training);
    return RA_OK;
}
