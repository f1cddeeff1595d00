/* ra_sae.h - the sparse autoencoder around a dictionary: encoder, activation, settings.
 *
 * x [B,d] -> pre-codes [B,K] -> codes z (sparse) -> x_hat = z D [B,d]
 *
 * Encoders: `linear` pre = x E^T + b; `mlp_ln_1`, `mlp_bn_1`: the same followed by LayerNorm or BatchNorm
 * over the K latents; `tied` pre = x D^T + b, with no weights but the dictionary's. Activations, all after a
 * ReLU: `relu` keeps what is positive; `topk` the k largest of a row; `batchtopk` the k * B largest of a
 * batch in training and what reaches the running threshold in evaluation; `jumprelu` what reaches the
 * latent's own threshold exp(theta). `mp`, matching pursuit, has no encoder at all (its encoder is named
 * `identity`): k times the atom of the largest dot product with what is left of x is taken away from it; its
 * pre-codes are x D^T. See REFERENCE for each (overcomplete 0.3.0, sae/).
 *
 * A ra_sae is the trainable object. What is served is a ra_model (ra_model.h), made from the same parts.
 *
 * Thread safety: one thread at a time; it uses its backend's threads inside.
 */
#ifndef RA_SAE_H
#define RA_SAE_H

#include "ra_dictionary.h"
#include "ra_group.h"
#include "ra_io.h"
#include "ra_settings.h"

typedef enum ra_sae_kind {
    RA_SAE_RELU,
    RA_SAE_TOPK,
    RA_SAE_BATCHTOPK,
    RA_SAE_JUMPRELU,
    RA_SAE_MP,
    RA_SAE_KIND_COUNT
} ra_sae_kind;
typedef enum ra_encoder_kind {
    RA_ENCODER_LINEAR,
    RA_ENCODER_MLP_LN_1,
    RA_ENCODER_MLP_BN_1,
    RA_ENCODER_TIED,
    RA_ENCODER_IDENTITY, /* of mp, and of no other */
} ra_encoder_kind;

/* What a state dict does not hold and `__metadata__` therefore must. Values are meaningful when their bit in
 * `known` is set; the order of the bits is the order of ra_sae_setting. */
typedef struct ra_sae_settings {
    uint64_t known;
    int sae;                   /* ra_sae_kind */
    int encoder;               /* ra_encoder_kind */
    size_t top_k;              /* k, per sample, for topk, batchtopk and mp */
    double delta;              /* largest norm of a row of Relax */
    bool use_multiplier;       /* the multiplier is trained */
    double running_threshold;  /* batchtopk */
    double threshold_momentum; /* batchtopk; 0.9 */
    double bandwidth;          /* jumprelu; 1e-3 */
    int kernel;                /* jumprelu: ra_kernel; silverman */
    int dictionary;            /* ra_dictionary_kind; archetypal */
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
};

const ra_settings_table *ra_sae_settings_table(void);

/* The settings in a file's metadata; unknown keys are left alone, a malformed value is an error naming file
 * and key. */
ra_status ra_sae_settings_read(const ra_safetensors *file, ra_sae_settings *settings, ra_error *err);

/* Values of this setting have a default in the reference's constructors; fills those that are not known. */
void ra_sae_settings_defaults(ra_sae_settings *settings);

/* RA_ERR_ARGUMENT for settings that do not go together: mp has the encoder identity, and nothing else has. */
ra_status ra_sae_settings_check(const ra_sae_settings *settings, ra_error *err);

/* ---- the autoencoder ----------------------------------------------------------------------------------- */

typedef struct ra_sae ra_sae;

/* Takes over the dictionary (also when it fails). Needed settings: `sae`, `encoder`, and top_k for topk,
 * batchtopk and mp (at most K). The encoder starts as torch.nn.Linear does: uniform in +-1/sqrt(d), from
 * `seed`; the bias of a tied one at 0. */
ra_status ra_sae_new(const ra_sae_settings *settings, ra_dictionary *dictionary, uint64_t seed, ra_sae **sae,
                     ra_error *err);
void ra_sae_free(ra_sae *sae);

/* A new autoencoder's encoder <- its atoms: row k along D_k, biases 0. A linear encoder's rows get the one
 * length that explains x [rows,d], a sample of the data, best. Runs over the same points then end near each
 * other. Not for a trained autoencoder. x is host memory. */
ra_status ra_sae_start_at_dictionary(ra_sae *sae, const float *x, size_t rows, ra_error *err);

/* A checkpoint: the settings in its metadata, with `overrides` (may be NULL) taking their
 * place where known. */
ra_status ra_sae_open(const char *path, const ra_sae_settings *overrides, ra_backend *backend, ra_sae **sae,
                      ra_error *err);

/* Adds the tensors (projected) and settings to a writer; buffers stay owned by the SAE and must outlive the
 * write. */
ra_status ra_sae_store(ra_sae *sae, ra_safetensors_writer *writer, ra_error *err);

/* The standardization (x - mean) / scale that a checkpoint or an artifact was trained with, its tensors
 * `input.mean` and `input.scale` [d] (proto/artifact.md): they point into the file, and are NULL when it has
 * neither. One without the other, and numbers that cannot be, are refused. */
ra_status ra_standardization_find(const ra_safetensors *file, size_t d, const float **mean,
                                  const float **scale, ra_error *err);

const ra_sae_settings *ra_sae_get_settings(const ra_sae *sae); /* running_threshold is kept current */
ra_dictionary *ra_sae_dictionary(ra_sae *sae);
ra_backend *ra_sae_backend(const ra_sae *sae);

/* Every trained parameter and every buffer, under its state-dict name. The array lives as long as the SAE. */
const ra_parameter *ra_sae_parameters(ra_sae *sae, size_t *count);

/* To be called after writing to parameter values: the dictionary and the thresholds follow at
 * the next read. */
void ra_sae_changed(ra_sae *sae);

/* Training mode updates running statistics and thresholds and projects the dictionary; evaluation mode uses
 * them. */
ra_status ra_sae_set_training(ra_sae *sae, bool training, ra_error *err);

/* In training, x is one slice of a batch that all members of the group share: statistics, selections over the
 * whole batch and gradients are those of the whole. NULL: this process alone. Kept, not owned. */
void ra_sae_set_group(ra_sae *sae, const ra_group *group);
const ra_group *ra_sae_group(const ra_sae *sae);

/* What a forward pass leaves for the loss and the backward pass; reused from batch to batch. {0} is valid.
 * Backend memory. */
typedef struct ra_sae_pass {
    bool all_atoms;    /* set by the caller: D is to be whole, since the loss looks at atoms that
                     * are not active */
    size_t rows;       /* B */
    size_t total_rows; /* of the batch over all members of the group */
    float *pre;        /* [B,K] before the activation (after the norm) */
    ra_codes codes;    /* z */
    float *x_hat;      /* [B,d] */
    const float *D;    /* [atom_count,d] the dictionary this pass used; owned by the dictionary layer */
    /* The atoms in D, ascending: those active in the batch. NULL: all K. */
    int32_t *atoms;
    size_t atom_count;
    /* private to the backward pass */
    float *linear;      /* [B,K] before the norm; only encoders with one have it */
    float *mean, *rstd; /* of the norm: per row (LayerNorm) or per latent (BatchNorm) */
    float *scratch;     /* [B,K] */
    float *dvalue;      /* one an entry of codes */
    double *sums;       /* [2,K] */
    ra_codes
        packed; /* the codes with their latents counted among `atoms`; index is its own, the rest shared */
    int32_t *atom_list;         /* [K]: what atoms points to */
    struct ra_pursuit *pursuit; /* mp: the way to the codes */
    uint8_t *active;            /* [K] 1 for a latent active in the batch; of training */
    size_t row_capacity, dvalue_capacity, packed_capacity;
    ra_backend *backend;
} ra_sae_pass;

void ra_sae_pass_release(ra_sae_pass *pass);

ra_status ra_sae_forward(ra_sae *sae, const float *x, size_t rows, ra_sae_pass *pass, ra_error *err);

/* Gradients of the loss with respect to what a pass left. Members that are NULL are zero. */
typedef struct ra_sae_gradients {
    const float *x_hat; /* [B,d] */
    const float *value; /* one an entry of codes */
    const float *codes; /* [B,K], for losses that reach latents which are not active */
    const float *pre;   /* [B,K] */
    const float *D;     /* [K,d] */
    double active; /* of every code's being active at all, the same for each: reaches jumprelu's thresholds
                    * through their kernel, and nothing else */
} ra_sae_gradients;

/* Writes the gradient of every trained parameter (ra_parameter.gradient, overwritten). A gradient that is
 * zero but for the rows of pass->atoms holds only those, packed: ra_sae_packed() tells which. */
ra_status ra_sae_backward(ra_sae *sae, const float *x, ra_sae_pass *pass, const ra_sae_gradients *gradients,
                          ra_error *err);

/* Whether parameter i's gradient is packed after the last backward pass. */
bool ra_sae_packed(const ra_sae *sae, size_t i);

/* out <- the gradient of parameter i as a whole, zeros and all, in host memory; for looking at it. */
ra_status ra_sae_gradient(const ra_sae *sae, const ra_sae_pass *pass, size_t i, float *out, ra_error *err);

#endif
