/* ra_sae.h - the sparse autoencoder around a dictionary: encoder, activation, settings.
 *
 *     x [B,d] -> pre-codes [B,K] -> codes z [B,K], sparse -> x_hat = z D [B,d]
 *
 * Encoders
 *   linear     pre = x E^T + b
 *   mlp_ln_1   the same, followed by a LayerNorm over the K latents of a row
 *   mlp_bn_1   the same, followed by a BatchNorm of each latent over the batch
 *   tied       pre = x D^T + b, with the dictionary as its weight
 *   identity   pre = x D^T; only mp has it
 *   and, served but not trained here (sae/hidden.h):
 *   mlp_rms_1  linear, followed by an RMSNorm over the K latents of a row
 *   mlp_ln_3, mlp_bn_3
 *              two hidden layers of linear map, LayerNorm or BatchNorm, and an activation come first
 *   mlp_n, mlp_ln_n, mlp_bn_n, mlp_rms_n
 *              as many hidden layers as the file has: without a norm, or with the one that is named
 *
 * Activations (the setting `sae`), each after a ReLU
 *   relu       the positive pre-codes
 *   topk       the k largest of each row
 *   batchtopk  in training the k B largest of the batch; in evaluation those that reach a running threshold
 *   jumprelu   those that reach the latent's own threshold exp(theta)
 *   mp         matching pursuit: k times, the atom with the largest dot product with the residual of x is
 *              subtracted from it
 *
 * They are those of overcomplete 0.3.0 (sae/); the file of each says where it differs. A ra_sae is trainable;
 * a ra_model (ra_model.h), made of the same parts, is served.
 *
 *     ra_sae_settings settings = {.sae = RA_SAE_TOPK, .encoder = RA_ENCODER_LINEAR, .top_k = 32};
 *     settings.known = 1u << RA_SET_SAE | 1u << RA_SET_ENCODER | 1u << RA_SET_TOP_K;
 *     ra_sae *trainable = NULL;
 *     ra_sae_pass pass = {0};
 *     RA_TRY(ra_sae_new(&settings, dictionary, 1, &trainable, err)); // from here it owns the dictionary
 *     RA_TRY(ra_sae_forward(trainable, x, B, &pass, err));
 *     ra_sae_pass_release(&pass);
 *     ra_sae_free(trainable);
 *
 * Thread safety: one thread at a time; inside, it uses the threads of its backend.
 */
#ifndef RA_SAE_H
#define RA_SAE_H

#include "ra_dictionary.h"
#include "ra_group.h"
#include "ra_io.h"
#include "ra_settings.h"

/* The activations: the names of the setting `sae`, of RA_SAE_<ID>, and of ra_activation_<name>
 * (sae/activation.h). */
#define RA_ACTIVATIONS(X)                                                                                    \
    X(RELU, relu)                                                                                            \
    X(TOPK, topk)                                                                                            \
    X(BATCHTOPK, batchtopk)                                                                                  \
    X(JUMPRELU, jumprelu)                                                                                    \
    X(MP, mp)

#define RA_SAE_ENUM(ID, name) RA_SAE_##ID,
typedef enum ra_sae_kind { RA_ACTIVATIONS(RA_SAE_ENUM) RA_SAE_KIND_COUNT } ra_sae_kind;
#undef RA_SAE_ENUM

/* The encoders: the names of the setting `encoder`, and of RA_ENCODER_<ID> (sae/encoder.c). */
#define RA_ENCODERS(X)                                                                                       \
    X(LINEAR, linear)                                                                                        \
    X(MLP_LN_1, mlp_ln_1)                                                                                    \
    X(MLP_BN_1, mlp_bn_1)                                                                                    \
    X(TIED, tied)                                                                                            \
    X(IDENTITY, identity)                                                                                    \
    X(MLP_RMS_1, mlp_rms_1)                                                                                  \
    X(MLP_LN_3, mlp_ln_3)                                                                                    \
    X(MLP_BN_3, mlp_bn_3)                                                                                    \
    X(MLP_N, mlp_n)                                                                                          \
    X(MLP_LN_N, mlp_ln_n)                                                                                    \
    X(MLP_BN_N, mlp_bn_n)                                                                                    \
    X(MLP_RMS_N, mlp_rms_n)

#define RA_ENCODER_ENUM(ID, name) RA_ENCODER_##ID,
typedef enum ra_encoder_kind { RA_ENCODERS(RA_ENCODER_ENUM) RA_ENCODER_KIND_COUNT } ra_encoder_kind;
#undef RA_ENCODER_ENUM

/* What a hidden layer of an encoder ends with: the names of the setting `hidden_activation`, as torch.nn has them. */
#define RA_HIDDEN_ACTIVATIONS(X)                                                                             \
    X(RELU, relu)                                                                                            \
    X(GELU, gelu)                                                                                            \
    X(SILU, silu)                                                                                            \
    X(TANH, tanh)                                                                                            \
    X(SIGMOID, sigmoid)                                                                                      \
    X(ELU, elu)                                                                                              \
    X(LEAKY_RELU, leaky_relu)                                                                                \
    X(IDENTITY, identity)

#define RA_HIDDEN_ENUM(ID, name) RA_HIDDEN_##ID,
typedef enum ra_hidden_activation {
    RA_HIDDEN_ACTIVATIONS(RA_HIDDEN_ENUM) RA_HIDDEN_COUNT
} ra_hidden_activation;
#undef RA_HIDDEN_ENUM

/* The settings that a state dict does not contain, so that `__metadata__` must. A value is meaningful if its
 * bit in `known` is set; bits are in the order of ra_sae_setting. */
typedef struct ra_sae_settings {
    uint64_t known;
    int sae;                   /* ra_sae_kind */
    int encoder;               /* ra_encoder_kind */
    size_t top_k;              /* k, per sample: topk, batchtopk and mp */
    double delta;              /* largest norm of a row of Relax */
    bool delta_relative;       /* delta is in units of the points' mean norm, which the trainer resolves */
    bool use_multiplier;       /* the multiplier is trained */
    double running_threshold;  /* batchtopk */
    double threshold_momentum; /* batchtopk; 0.9 */
    double bandwidth;          /* jumprelu; 1e-3 */
    int kernel;                /* jumprelu: ra_kernel; silverman */
    int dictionary;            /* ra_dictionary_kind; archetypal */
    size_t mixture;            /* archetypal: most points per atom; 0: dense, as the reference trains */
    double hull_share;         /* of mixtures: what the median atom shares with its mixture */
    bool center_input;         /* of a model with output.bias: that is subtracted from the inputs, too */
    int hidden_activation;     /* of an encoder with hidden layers: ra_hidden_activation */
    bool hidden_residual;      /* of one: each adds its input to its output */
    const char *ignored; /* tensors that a file may hold and a model leaves out, "NAME,NAME"; not kept */
} ra_sae_settings;

enum ra_sae_setting {
    RA_SET_SAE,
    RA_SET_ENCODER,
    RA_SET_TOP_K,
    RA_SET_DELTA,
    RA_SET_USE_MULTIPLIER,
    RA_SET_RUNNING_THRESHOLD,
    RA_SET_THRESHOLD_MOMENTUM,
    RA_SET_BANDWIDTH,
    RA_SET_KERNEL,
    RA_SET_DICTIONARY,
    RA_SET_MIXTURE,
    RA_SET_HULL_SHARE,
    RA_SET_CENTER_INPUT,
    RA_SET_HIDDEN_ACTIVATION,
    RA_SET_HIDDEN_RESIDUAL,
};

const ra_settings_table *ra_sae_settings_table(void);

/* *settings <- the settings in a file's metadata. Ignores unknown keys; a malformed value is an error that
 * names the file and the key. */
ra_status ra_sae_settings_read(const ra_safetensors *file, ra_sae_settings *settings, ra_error *err);

/* What a model makes of a tensor of a file: part of the model or of what is told about it; without effect in
 * evaluation (a counter of batches, the copies of the dictionary that a tied encoder refers to); or not known. */
typedef enum ra_tensor_use { RA_TENSOR_USED, RA_TENSOR_UNUSED, RA_TENSOR_UNKNOWN } ra_tensor_use;
ra_tensor_use ra_sae_tensor_use(const char *name);
bool ra_sae_tensor_ignored(const char *ignored /* as in ra_sae_settings; NULL is fine */, const char *name);

/* RA_ERR_UNSUPPORTED, with their names, if the file holds tensors that these settings leave no use for, but that
 * may change what the model computes. Those in `ignored` are left out, with a warning in the log. */
ra_status ra_sae_check_tensors(const ra_safetensors *file, const ra_sae_settings *settings,
                               const char *ignored, ra_error *err);

/* Fills the unknown settings that have a default in overcomplete's constructors. */
void ra_sae_settings_defaults(ra_sae_settings *settings);

/* RA_ERR_ARGUMENT for settings that no autoencoder can be trained with: mp, and only mp, has the encoder identity, and
 * some encoders are only served. */
ra_status ra_sae_settings_check(const ra_sae_settings *settings, ra_error *err);

/* Whether training with the setting `sae` needs another setting, such as RA_SET_TOP_K; false if `sae` is
 * unknown. */
bool ra_sae_needs(const ra_sae_settings *settings, enum ra_sae_setting setting);

/* Whether the dictionary encodes, too, because the encoder has no weight of its own: mp and tied. */
bool ra_sae_encodes_with_dictionary(const ra_sae_settings *settings);

/* ---- the autoencoder ----------------------------------------------------------------------------------- */

typedef struct ra_sae ra_sae;

/* Owns the dictionary from now on, even if it fails. Required settings: `sae`, `encoder`, and for topk,
 * batchtopk and mp top_k, at most K. The encoder starts as torch.nn.Linear does, uniform in +-1/sqrt(d), from
 * `seed`; the bias of a tied encoder starts at 0. */
ra_status ra_sae_new(const ra_sae_settings *settings, ra_dictionary *dictionary, uint64_t seed, ra_sae **sae,
                     ra_error *err);
void ra_sae_free(ra_sae *sae);

/* The encoder of a new autoencoder <- its atoms: row k along D_k, biases 0. The rows of a linear encoder get
 * the one length that explains x [rows,d], a sample of the data, best. Runs over the same points then end
 * near each other. Not for a trained autoencoder. x is host memory. */
ra_status ra_sae_start_at_dictionary(ra_sae *sae, const float *x, size_t rows, ra_error *err);

/* Opens a checkpoint, with the settings in its metadata; those that `overrides` knows (may be NULL) replace
 * them. */
ra_status ra_sae_open(const char *path, const ra_sae_settings *overrides, ra_backend *backend, ra_sae **sae,
                      ra_error *err);

/* Adds the tensors, projected, and the settings to a writer. They stay the SAE's, which must outlive the
 * write. */
ra_status ra_sae_store(ra_sae *sae, ra_safetensors_writer *writer, ra_error *err);

/* The points that the last ra_sae_store() wrote, of a dictionary with a source; count 0: of another one. */
const ra_mixture_points *ra_sae_stored_points(const ra_sae *sae);

/* *mean, *scale [d] <- the standardization (x - mean) / scale that a checkpoint or an artifact was trained
 * with: its tensors `input.mean` and `input.scale` (proto/artifact.md), which point into the file; NULL if it
 * has neither. Fails for one without the other and for numbers that are not finite or a scale not above 0. */
ra_status ra_standardization_find(const ra_safetensors *file, size_t d, const float **mean,
                                  const float **scale, ra_error *err);

const ra_sae_settings *ra_sae_get_settings(const ra_sae *sae); /* running_threshold is kept current */
ra_dictionary *ra_sae_dictionary(ra_sae *sae);
ra_backend *ra_sae_backend(const ra_sae *sae);

/* Every trained parameter and every buffer, under its state-dict name. The array lives as long as the SAE. */
const ra_parameter *ra_sae_parameters(ra_sae *sae, size_t *count);

/* The learning rate of jumprelu's thresholds, in units of that of all else; 1 unless it is set. In log space Adam moves
 * them by about the rate in a step, whatever the loss asks for. No effect without thresholds. */
void ra_sae_set_threshold_rate(ra_sae *sae, double rate);

/* Call this after writing to parameter values: the dictionary and the thresholds follow at the next read. */
void ra_sae_changed(ra_sae *sae);

/* Training mode updates running statistics and thresholds and projects the dictionary; evaluation mode uses
 * them. */
ra_status ra_sae_set_training(ra_sae *sae, bool training, ra_error *err);

/* In training, x is this member's slice of a batch that the whole group shares: statistics, selections over
 * the batch and gradients are those of the whole batch. NULL: this process alone. Must outlive the SAE. */
void ra_sae_set_group(ra_sae *sae, const ra_group *group);
const ra_group *ra_sae_group(const ra_sae *sae);

/* What a forward pass leaves for the loss and the backward pass; reuse it for every batch. {0} is valid.
 * Arrays are backend memory, except codes and what refers to their latents. */
typedef struct ra_sae_pass {
    bool all_atoms; /* set by the caller if the loss needs inactive atoms, too: D is then whole */
    bool
        keeps_codes; /* set by the caller if codes may stay on a device in training (ra_backend_codes_view()) */
    size_t rows;     /* B */
    size_t total_rows; /* of the batch over all members of the group */
    float *pre;        /* [B,K] before the activation (after the norm) */
    ra_codes codes;    /* z */
    float *x_hat;      /* [B,d] */
    const float *D;    /* [atom_count,d] as this pass used it; owned by the dictionary. NULL: it did without
                        * (ra_dictionary_decodes()), which happens only in training and without all_atoms */
    int32_t *atoms;    /* [atom_count] the atoms in D, ascending: those active in the batch; NULL: all K */
    size_t atom_count;
    /* private */
    float *linear;      /* [B,K] before the norm; NULL: the encoder has none */
    float *mean, *rstd; /* of the norm: per row (LayerNorm) or per latent (BatchNorm) */
    float *scratch;     /* [B,K] */
    ra_buffer dvalue;   /* [entries] of codes */
    double *sums;       /* [2,K] */
    ra_codes packed; /* the codes, with latents numbered as in `atoms`; start and value are those of codes */
    int32_t *atom_list;         /* [K]; atoms points to it */
    struct ra_pursuit *pursuit; /* mp: its path */
    uint8_t *active;            /* [K] 1: active in the batch; training mode only */
    size_t row_capacity, packed_capacity;
    ra_backend *backend;
} ra_sae_pass;

void ra_sae_pass_release(ra_sae_pass *pass);

ra_status ra_sae_forward(ra_sae *sae, const float *x, size_t rows, ra_sae_pass *pass, ra_error *err);

/* Gradients of the loss with respect to the members of a pass. NULL means zero. */
typedef struct ra_sae_gradients {
    const float *x_hat; /* [B,d] */
    const float *value; /* [entries] of codes */
    const float *codes; /* [B,K], for losses that depend on inactive latents */
    const float *pre;   /* [B,K] */
    const float *D;     /* [K,d] */
    double active;      /* with respect to each code being active, the same for all: it flows to jumprelu's
                    * thresholds, through their kernel, and to nothing else */
} ra_sae_gradients;

/* Overwrites the gradient of every trained parameter (ra_parameter.gradient). A gradient that is zero except
 * in the rows of pass->atoms holds only these, packed: ra_sae_packed() tells. */
ra_status ra_sae_backward(ra_sae *sae, const float *x, ra_sae_pass *pass, const ra_sae_gradients *gradients,
                          ra_error *err);

/* Whether parameter i's gradient is packed after the last backward pass. */
bool ra_sae_packed(const ra_sae *sae, size_t i);

/* out <- the whole gradient of parameter i, including zeros, in host memory: for tests and diagnostics. */
ra_status ra_sae_gradient(const ra_sae *sae, const ra_sae_pass *pass, size_t i, float *out, ra_error *err);

#endif
