/* The autoencoder: x -> pre-codes -> codes -> x_hat, and the gradient of every parameter.
 *
 * Codes stay sparse all the way. Their gradient is needed only on active latents, with two exceptions that
 * make it dense: jumprelu, whose thresholds learn from inactive latents too, and encoders with a norm, where
 * every pre-code of a row or a batch moves all others.
 *
 * The dictionary is read before anything else: a tied encoder and the pursuit use it on the way in. So dD is
 * complete, and handed on to the dictionary's parameters, only at the very end of the backward pass. */
#include "sae/sae.h"
#include "base/error.h"
#include "base/random.h"

#include <math.h>
#include <string.h>

static const char theta_name[] = "thresholds";
static const float THETA_START = -3; /* exp(-3) = 0.05, as the reference starts */

/* ---- making one
 * ------------------------------------------------------------------------------------------------------- */

static ra_status add_parameter(ra_sae *sae, const char *name, bool trained, size_t rows, size_t cols,
                               ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(sae->backend);
    void *self = ra_backend_self(sae->backend), *block = NULL;
    ra_parameter *parameter = &sae->parameters[sae->count];
    *parameter = (ra_parameter){.name = name, .rank = cols ? 2 : 1, .shape = {rows, cols}};
    size_t bytes = ra_parameter_size(parameter) * sizeof(float);
    RA_TRY(ops->allocate(self, bytes, &block, err));
    parameter->value = block;
    sae->owned = ++sae->count;
    if (trained) {
        RA_TRY(ops->allocate(self, bytes, &block, err));
        parameter->gradient = block;
    }
    return RA_OK;
}

static void fill(const ra_parameter *parameter, float value) {
    for (size_t i = 0; i < ra_parameter_size(parameter); i++) parameter->value[i] = value;
}

/* torch.nn.Linear: weight and bias uniform in +-1/sqrt(d). Norms start as the identity, a tied encoder's bias
 * at 0. */
static void start_encoder(ra_sae *sae, uint64_t seed) {
    ra_random random;
    ra_random_seed(&random, seed);
    double bound = 1 / sqrt((double)sae->encoder.dimensions);
    const ra_parameter *const *tensor = sae->encoder.tensor;
    for (size_t i = RA_ENCODER_WEIGHT; i <= RA_ENCODER_BIAS && tensor[RA_ENCODER_WEIGHT]; i++)
        for (size_t j = 0; j < ra_parameter_size(tensor[i]); j++)
            tensor[i]->value[j] = (float)(bound * (2 * ra_random_unit(&random) - 1));
    for (size_t i = RA_ENCODER_NORM_WEIGHT; i < RA_ENCODER_TENSORS; i++)
        if (tensor[i]) fill(tensor[i], i == RA_ENCODER_NORM_WEIGHT || i == RA_ENCODER_RUNNING_VAR ? 1 : 0);
}

static ra_status make(ra_sae *sae, uint64_t seed, ra_error *err) {
    size_t K = ra_dictionary_concepts(sae->dictionary), d = ra_dictionary_dimensions(sae->dictionary), count;
    ra_encoder_kind kind = (ra_encoder_kind)sae->settings.encoder;
    if (!ra_backend_operations(sae->backend)->host_memory)
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "training needs a CPU backend, got %s",
                ra_backend_name(sae->backend));
    RA_TRY(ra_sae_settings_check(&sae->settings, err));
    RA_TRY(ra_activation_init(&sae->activation, &sae->settings, K, true, "the autoencoder", err));
    sae->encoder = (ra_encoder){.kind = kind, .concepts = K, .dimensions = d};
    for (size_t i = 0; i < RA_ENCODER_TENSORS; i++) {
        if (!ra_encoder_has_tensor(kind, i)) continue;
        sae->encoder.tensor[i] = &sae->parameters[sae->count];
        RA_TRY(add_parameter(sae, ra_encoder_tensor_names[i], i < RA_ENCODER_RUNNING_MEAN, K,
                             i == RA_ENCODER_WEIGHT ? d : 0, err));
    }
    start_encoder(sae, seed);
    if (ra_activation_types[sae->activation.kind]->has_thresholds) {
        RA_TRY(add_parameter(sae, theta_name, true, K, 0, err));
        fill(&sae->parameters[sae->count - 1], THETA_START);
        sae->thresholds = ra_malloc(K, sizeof *sae->thresholds);
        if (!sae->thresholds) RA_FAIL_MEMORY(err, "the thresholds", K * sizeof *sae->thresholds);
        sae->activation.theta = sae->parameters[sae->count - 1].value;
        sae->activation.thresholds = sae->thresholds;
    }
    const ra_parameter *dictionary = ra_dictionary_parameters(sae->dictionary, &count);
    for (size_t i = 0; i < count; i++) sae->parameters[sae->count++] = dictionary[i];
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
    const ra_backend_ops *ops = ra_backend_operations(sae->backend);
    void *self = ra_backend_self(sae->backend);
    for (size_t i = 0; i < sae->owned; i++) {
        ops->deallocate(self, sae->parameters[i].value);
        ops->deallocate(self, sae->parameters[i].gradient);
    }
    ops->deallocate(self, sae->dD);
    ra_free(sae->thresholds);
    ra_dictionary_free(sae->dictionary); /* keeps the backend until here */
    ra_free(sae);
}

const ra_parameter *ra_sae_theta(const ra_sae *sae) {
    const ra_parameter *last = sae->owned ? &sae->parameters[sae->owned - 1] : NULL;
    return last && last->name == theta_name ? last : NULL;
}

void ra_sae_changed(ra_sae *sae) {
    ra_dictionary_changed(sae->dictionary);
    if (sae->thresholds)
        ra_activation_thresholds(sae->activation.theta, sae->thresholds, sae->encoder.concepts);
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

/* ---- passes
 * -------------------------------------------------------------------------------------------------------------
 */

void ra_sae_pass_release(ra_sae_pass *pass) {
    if (pass->backend) {
        const ra_backend_ops *ops = ra_backend_operations(pass->backend);
        void *self = ra_backend_self(pass->backend);
        float *blocks[] = {pass->pre,  pass->x_hat,   pass->linear, pass->mean,
                           pass->rstd, pass->scratch, pass->dvalue};
        for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) ops->deallocate(self, blocks[i]);
        ra_backend_release(pass->backend);
    }
    if (pass->pursuit) ra_pursuit_release(pass->pursuit);
    ra_free(pass->pursuit);
    ra_codes_release(&pass->codes);
    *pass = (ra_sae_pass){0};
}

static ra_status grow(ra_sae_pass *pass, float **block, size_t n, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(pass->backend);
    void *fresh = NULL;
    RA_TRY(ops->allocate(ra_backend_self(pass->backend), n * sizeof(float), &fresh, err));
    ops->deallocate(ra_backend_self(pass->backend), *block);
    *block = fresh;
    return RA_OK;
}

static ra_status prepare(const ra_sae *sae, ra_sae_pass *pass, size_t rows, ra_error *err) {
    size_t K = sae->encoder.concepts, d = sae->encoder.dimensions, statistics = rows > K ? rows : K;
    if (!pass->backend) pass->backend = ra_backend_retain(sae->backend);
    if (rows > pass->row_capacity) {
        pass->row_capacity = 0;
        RA_TRY(grow(pass, &pass->pre, rows * K, err));
        RA_TRY(grow(pass, &pass->scratch, rows * K, err));
        RA_TRY(grow(pass, &pass->x_hat, rows * d, err));
        if (ra_encoder_has_norm(sae->encoder.kind)) {
            RA_TRY(grow(pass, &pass->linear, rows * K, err));
            RA_TRY(grow(pass, &pass->mean, statistics, err));
            RA_TRY(grow(pass, &pass->rstd, statistics, err));
        }
        pass->row_capacity = rows;
    }
    if (ra_activation_types[sae->activation.kind]->pursues && !pass->pursuit) {
        pass->pursuit = ra_calloc(1, sizeof *pass->pursuit);
        if (!pass->pursuit) RA_FAIL_MEMORY(err, "a pursuit", sizeof *pass->pursuit);
    }
    pass->rows = rows;
    return RA_OK;
}

static ra_status pursue(ra_sae *sae, const float *x, ra_sae_pass *pass, ra_error *err) {
    size_t K = sae->encoder.concepts;
    memcpy(pass->scratch, pass->pre, pass->rows * K * sizeof *pass->pre);
    return ra_pursuit_run(pass->pursuit, sae->backend, pass->D, K, sae->encoder.dimensions, x, pass->rows,
                          sae->activation.top_k, sae->training, pass->scratch, &pass->codes, err);
}

ra_status ra_sae_forward(ra_sae *sae, const float *x, size_t rows, ra_sae_pass *pass, ra_error *err) {
    const ra_activation_type *type = ra_activation_types[sae->activation.kind];
    size_t K = sae->encoder.concepts;
    RA_TRY(prepare(sae, pass, rows, err));
    RA_TRY(ra_dictionary_get(sae->dictionary, &pass->D, err));
    if (sae->training) {
        RA_TRY(ra_encoder_forward(&sae->encoder, sae->backend, x, rows, pass, err));
    } else {
        ra_encoder_weights weights = ra_encoder_view(&sae->encoder, pass->D);
        RA_TRY(ra_encoder_evaluate(sae->backend, &weights, x, rows, pass->pre, err));
    }
    if (type->pursues) {
        RA_TRY(pursue(sae, x, pass, err));
    } else if (sae->training && type->train) {
        RA_TRY(type->train(&sae->activation, sae->backend, pass->pre, rows, K, &pass->codes, err));
        sae->settings.running_threshold = (double)sae->activation.running_threshold;
        sae->settings.known |= 1u << RA_SET_RUNNING_THRESHOLD;
    } else {
        RA_TRY(type->evaluate(&sae->activation, sae->backend, pass->pre, rows, K, &pass->codes, err));
    }
    return ra_dictionary_forward(sae->dictionary, &pass->codes, pass->x_hat, err);
}

/* ---- backward
 * ---------------------------------------------------------------------------------------------------------
 */

/* dD <- codes^T dx_hat, plus what the loss adds. */
static ra_status backward_decoding(ra_sae *sae, ra_sae_pass *pass, const ra_sae_gradients *g, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(sae->backend);
    void *self = ra_backend_self(sae->backend);
    size_t K = sae->encoder.concepts, d = sae->encoder.dimensions;
    if (!sae->dD) {
        void *block = NULL;
        RA_TRY(ops->allocate(self, K * d * sizeof(float), &block, err));
        sae->dD = block;
    }
    RA_TRY(ops->combine(self, NULL, g->D ? 1 : 0, g->D, 0, sae->dD, K * d, err));
    if (g->x_hat)
        RA_TRY(ops->accumulate(self, NULL, &pass->codes, pass->codes.value, g->x_hat, d, sae->dD, err));
    return RA_OK;
}

/* scratch [B,K] <- the gradient of all codes, active or not. */
static ra_status dense_code_gradient(ra_sae *sae, ra_sae_pass *pass, const ra_sae_gradients *g,
                                     ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(sae->backend);
    void *self = ra_backend_self(sae->backend);
    size_t K = sae->encoder.concepts, d = sae->encoder.dimensions, B = pass->rows;
    RA_TRY(ops->combine(self, NULL, g->codes ? 1 : 0, g->codes, 0, pass->scratch, B * K, err));
    if (g->x_hat)
        RA_TRY(ops->gemm(self, NULL, false, true, B, K, d, 1, g->x_hat, d, pass->D, d, 1, pass->scratch, K,
                         err));
    if (g->value)
        for (size_t b = 0; b < B; b++)
            for (size_t e = pass->codes.start[b]; e < pass->codes.start[b + 1]; e++)
                pass->scratch[b * K + (size_t)pass->codes.index[e]] += g->value[e];
    return RA_OK;
}

/* pass->dvalue <- the gradient of the active codes. */
static ra_status sparse_code_gradient(ra_sae *sae, ra_sae_pass *pass, const ra_sae_gradients *g,
                                      ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(sae->backend);
    size_t K = sae->encoder.concepts, d = sae->encoder.dimensions, entries = ra_codes_entries(&pass->codes);
    if (g->x_hat)
        RA_TRY(ops->decode_gradient(ra_backend_self(sae->backend), NULL, &pass->codes, g->x_hat, pass->D, d,
                                    pass->dvalue, err));
    else
        memset(pass->dvalue, 0, entries * sizeof *pass->dvalue);
    if (g->value)
        for (size_t e = 0; e < entries; e++) pass->dvalue[e] += g->value[e];
    if (g->codes)
        for (size_t b = 0; b < pass->rows; b++)
            for (size_t e = pass->codes.start[b]; e < pass->codes.start[b + 1]; e++)
                pass->dvalue[e] += g->codes[b * K + (size_t)pass->codes.index[e]];
    return RA_OK;
}

/* scratch [B,K] <- the gradient of the pre-codes: what the loss gives directly, and that of the active codes,
 * unless those came from a pursuit. */
static ra_status dense_pre_gradient(ra_sae *sae, ra_sae_pass *pass, const ra_sae_gradients *g,
                                    ra_error *err) {
    size_t K = sae->encoder.concepts;
    RA_TRY(ra_backend_operations(sae->backend)
               ->combine(ra_backend_self(sae->backend), NULL, g->pre ? 1 : 0, g->pre, 0, pass->scratch,
                         pass->rows * K, err));
    if (ra_activation_types[sae->activation.kind]->pursues) return RA_OK;
    for (size_t b = 0; b < pass->rows; b++)
        for (size_t e = pass->codes.start[b]; e < pass->codes.start[b + 1]; e++)
            pass->scratch[b * K + (size_t)pass->codes.index[e]] += pass->dvalue[e];
    return RA_OK;
}

/* pass->dvalue, and with it the gradient of the thresholds. */
static ra_status backward_codes(ra_sae *sae, ra_sae_pass *pass, const ra_sae_gradients *g, ra_error *err) {
    const ra_activation_type *type = ra_activation_types[sae->activation.kind];
    size_t K = sae->encoder.concepts;
    if (!type->theta_gradient) return sparse_code_gradient(sae, pass, g, err);
    RA_TRY(dense_code_gradient(sae, pass, g, err));
    type->theta_gradient(&sae->activation, sae->backend, pass->pre, pass->scratch, g->active, pass->rows, K,
                         ra_sae_theta(sae)->gradient);
    for (size_t b = 0; b < pass->rows; b++)
        for (size_t e = pass->codes.start[b]; e < pass->codes.start[b + 1]; e++)
            pass->dvalue[e] = pass->scratch[b * K + (size_t)pass->codes.index[e]];
    return RA_OK;
}

ra_status ra_sae_backward(ra_sae *sae, const float *x, ra_sae_pass *pass, const ra_sae_gradients *g,
                          ra_error *err) {
    bool pursues = ra_activation_types[sae->activation.kind]->pursues;
    size_t entries = ra_codes_entries(&pass->codes);
    if (entries > pass->dvalue_capacity) {
        RA_TRY(grow(pass, &pass->dvalue, entries, err));
        pass->dvalue_capacity = entries;
    }
    RA_TRY(backward_decoding(sae, pass, g, err));
    RA_TRY(backward_codes(sae, pass, g, err));
    if (pursues)
        RA_TRY(ra_pursuit_backward(pass->pursuit, sae->backend, pass->D, sae->encoder.dimensions,
                                   &pass->codes, pass->dvalue, sae->dD, err));
    bool dense = g->pre || ra_encoder_has_norm(sae->encoder.kind);
    if (dense) RA_TRY(dense_pre_gradient(sae, pass, g, err));
    if (dense || !pursues)
        RA_TRY(ra_encoder_backward(&sae->encoder, sae->backend, x, pass, dense ? pass->scratch : NULL,
                                   sae->dD, err));
    return ra_dictionary_backward(sae->dictionary, sae->dD, err);
}
