/* ra_train.h - training: losses, schedules, the loop.
 *
 *     ra_data *data;  ra_points points = {0};  ra_sae *sae;
 *     RA_TRY(ra_data_open(paths, 1, NULL, &data, err));
 *     RA_TRY(ra_points_kmeans(backend, data, &(ra_kmeans_options){.clusters = 1000, .seed = 1}, &points,
 * err));
 *     ... ra_archetypal_dictionary_new(points.vectors), ra_sae_new() ...
 *     RA_TRY(ra_train(sae, data, &settings, on_step, NULL, err));
 *
 * The same data, settings and seed give the same bytes, whatever the number of threads.
 * Thread safety: one training run at a time for each SAE; data and points may be shared once they are
 * complete.
 */
#ifndef RA_TRAIN_H
#define RA_TRAIN_H

#include "ra_data.h"
#include "ra_points.h"
#include "ra_sae.h"

/* ---- losses
 * ---------------------------------------------------------------------------------------------------------
 */

typedef enum ra_loss { RA_LOSS_MSE, RA_LOSS_MSE_L1, RA_LOSS_AUXK, RA_LOSS_REANIMATE, RA_LOSS_COUNT } ra_loss;

/* What a loss sees of one batch, and where it adds its gradients. */
typedef struct ra_loss_batch {
    ra_backend *backend;
    size_t rows, dimensions, concepts; /* B, d, K */
    const float *x, *x_hat;            /* [B,d] */
    const float *pre;                  /* [B,K] */
    const ra_codes *codes;
    const float *D; /* [K,d] */
    double penalty;
} ra_loss_batch;

/* Gradients, all overwritten. has_*: whether the array holds anything but zeros. Arrays grow and are kept.
 * {0} is valid. */
typedef struct ra_loss_gradients {
    ra_matrix x_hat;      /* [B,d] */
    ra_matrix pre, codes; /* [B,K] */
    ra_matrix D;          /* [K,d] */
    float *value;         /* one an entry of the codes */
    size_t value_capacity;
    bool has_value, has_pre, has_codes, has_D;
    ra_matrix scratch_wide, scratch_narrow; /* [B,K], [B,d] */
    ra_codes scratch_codes;
} ra_loss_gradients;

void ra_loss_gradients_release(ra_loss_gradients *gradients);

/* The loss and its gradients. mse: mean((x - x_hat)^2). mse_l1: mse + penalty sum|z|. auxk: mse + penalty
 * mean((r - top_half(relu(pre) - z) D)^2), r = x - x_hat, not detached. reanimate: mse - penalty sum(pre *
 * dead) / (#dead + 1e-6), dead the latents silent in this batch. overcomplete 0.3.0, sae/losses.py. */
ra_status ra_loss_evaluate(ra_loss loss, const ra_loss_batch *batch, double *value,
                           ra_loss_gradients *gradients, ra_error *err);

/* The reanimation term alone, without the mse, as the reference gives it. */
ra_status ra_loss_reanimation(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                              ra_error *err);

/* ---- schedules
 * ------------------------------------------------------------------------------------------------------ */

typedef enum ra_schedule { RA_SCHEDULE_CONSTANT, RA_SCHEDULE_COSINE } ra_schedule;

typedef struct ra_schedule_options {
    ra_schedule schedule;
    double base, final, warmup_start; /* learning rates */
    size_t total, warmup;             /* steps */
} ra_schedule_options;

/* Entry i of the schedule, i = 0 .. total-1; final beyond. The reference applies `base` at step 1 and entry i
 * at step i + 1 (it advances its counter before it reads, so entry 0 is never used). */
double ra_schedule_entry(const ra_schedule_options *options, size_t i);
double ra_schedule_rate(const ra_schedule_options *options, size_t step /* 1, 2, ... */);

/* ---- the loop
 * ------------------------------------------------------------------------------------------------------- */

/* Where an encoder starts: at random (torch.nn.Linear) or along the atoms (ra_sae_start_at_dictionary()).
 * For whoever makes the SAE; the loop does not look at it. */
typedef enum ra_encoder_start { RA_ENCODER_START_UNIFORM, RA_ENCODER_START_DICTIONARY } ra_encoder_start;

typedef struct ra_train_settings {
    uint32_t known;
    size_t concepts;    /* K */
    int loss;           /* ra_loss */
    double penalty;     /* of the loss; each loss has its default (mse_l1 1e-3, auxk and reanimate 0.1) */
    double lr;          /* 5e-4 */
    int schedule;       /* ra_schedule */
    double lr_final;    /* cosine ends here; lr / 100 */
    size_t warmup;      /* steps */
    size_t batch_size;  /* 1024 */
    size_t epochs;      /* 20 */
    size_t steps;       /* takes the place of epochs when known */
    double clip_grad;   /* largest gradient norm, over all parameters; 1; 0: no clipping */
    bool shuffle;       /* true */
    size_t seed;        /* 0 */
    int encoder_start;  /* ra_encoder_start; uniform */
    size_t points_seed; /* 0; of k-means: runs of different `seed` share their points */
} ra_train_settings;

const ra_settings_table *ra_train_settings_table(void);

/* Those found in a file's metadata (keys of the table; unknown keys are left alone). */
ra_status ra_train_settings_read(const ra_safetensors *file, ra_train_settings *settings, ra_error *err);
void ra_train_settings_defaults(ra_train_settings *settings); /* all but concepts and steps */

typedef struct ra_train_progress {
    size_t step, steps; /* 1 .. steps */
    size_t epoch, epochs;
    double loss; /* of this batch */
    double r2;   /* of this batch; 1 - ||x - x_hat||^2 / (||x - mean||^2 + 1e-6), one scalar mean, as the
                    reference */
    double l0;   /* mean active latents a row */
    double dead; /* share of latents not active during the last epoch's worth of steps */
    double lr;
    double grad_norm; /* before clipping */
    size_t rows;      /* of this batch */
} ra_train_progress;

/* Called after every step; false stops the run with RA_ERR_CANCELLED, the SAE holding the parameters of that
 * step. */
typedef bool ra_train_callback(void *context, const ra_train_progress *progress);

/* Trains in place; leaves the SAE in training mode with projected parameters. In a shuffled run the last,
 * smaller batch of an epoch is used as well; with --no-shuffle batches follow the data's order and start over
 * at its end. A loss that is not finite stops with RA_ERR_NOT_FINITE, naming step and learning rate. */
ra_status ra_train(ra_sae *sae, const ra_data *data, const ra_train_settings *settings,
                   ra_train_callback *callback, void *context, ra_error *err);

#endif
