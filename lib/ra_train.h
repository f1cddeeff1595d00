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

/* ---- losses -------------------------------------------------------------------------------------------- */

typedef enum ra_loss {
    RA_LOSS_MSE,
    RA_LOSS_MSE_L1,
    RA_LOSS_AUXK,
    RA_LOSS_REANIMATE,
    RA_LOSS_ELASTIC,
    RA_LOSS_HOYER,
    RA_LOSS_KAPPA_4,
    RA_LOSS_L0,
    RA_LOSS_COUNT
} ra_loss;

/* What a loss sees of one batch, in backend memory but for the codes. */
typedef struct ra_loss_batch {
    ra_backend *backend;
    const ra_group *group;             /* the members that share the batch; NULL: this process alone */
    size_t rows, dimensions, concepts; /* B, d, K */
    size_t total_rows;                 /* of the batch over all members; 0: rows */
    const float *x, *x_hat;            /* [B,d] */
    const float *pre;                  /* [B,K] */
    const ra_codes *codes;
    const float *D; /* [K,d], where ra_loss_needs_all_atoms(); else unread */
    double penalty;
} ra_loss_batch;

/* Gradients, all overwritten, in backend memory. has_*: whether the block holds anything but zeros. Blocks
 * grow and are kept. {0} is valid. */
typedef struct ra_loss_gradients {
    ra_buffer x_hat;      /* [B,d] */
    ra_buffer pre, codes; /* [B,K] */
    ra_buffer D;          /* [K,d] */
    ra_buffer value;      /* one an entry of the codes */
    bool has_value, has_pre, has_codes, has_D;
    double active;   /* of every code's being active; only of l0 */
    double residual; /* not a gradient: ||x - x_hat||^2 over these rows */
    ra_buffer scratch_wide, scratch_narrow, scratch_rest; /* [B,K], [B,d], [B,d] */
    ra_codes scratch_codes;
    float *entries; /* the host's side of `value` */
    size_t entry_capacity;
} ra_loss_gradients;

void ra_loss_gradients_release(ra_loss_gradients *gradients);

/* Whether a loss looks at atoms that are not active (ra_sae_pass.all_atoms). */
bool ra_loss_needs_all_atoms(ra_loss loss);

/* The loss and its gradients, overcomplete 0.3.0, sae/losses.py. They are this member's part of the batch's:
 * means are over the rows of all members, so that the members' values and gradients add up. mse mean((x -
 * x_hat)^2), to which each of the others adds its term mse_l1     penalty sum|z|, over batch and latents auxk
 * penalty mean((r - top_half(relu(pre) - z) D)^2), r = x - x_hat, not detached reanimate  -penalty sum(pre *
 * dead) / (#dead + 1e-6), dead the latents silent in this batch elastic    (1 - penalty) mean|z| + penalty
 * mean(D^2); the penalty is its alpha, 0 to 1 hoyer      penalty mean over rows of (sqrt(K) - ||z||_1 /
 * (||z||_2 + 1e-6)) / (sqrt(K) - 1) kappa_4    penalty mean over rows of sum(z^4) / (sum(z^2)^2 + 1e-6) l0
 * penalty mean over rows of the active latents; its gradient reaches only jumprelu's thresholds, through
 * their kernel (Rajamanoharan et al. 2024) hoyer and kappa_4 are 1 for the sparsest rows: a negative penalty
 * asks for sparsity. */
ra_status ra_loss_evaluate(ra_loss loss, const ra_loss_batch *batch, double *value,
                           ra_loss_gradients *gradients, ra_error *err);

/* The same as the autoencoder's backward pass takes them; pointers into `gradients`. */
ra_sae_gradients ra_loss_sae_gradients(const ra_loss_gradients *gradients);

/* RA_ERR_ARGUMENT for what cannot work: elastic's alpha above 1, a negative penalty but for hoyer and
 * kappa_4, l0 with another sae than jumprelu. */
ra_status ra_loss_check(ra_loss loss, double penalty, const ra_sae_settings *sae, ra_error *err);

/* The reanimation term alone, without the mse, as the reference gives it. */
ra_status ra_loss_reanimation(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                              ra_error *err);

/* ---- schedules ----------------------------------------------------------------------------------------- */

/* All of them may begin with a linear warm-up. */
typedef enum ra_schedule {
    RA_SCHEDULE_CONSTANT, /* base */
    RA_SCHEDULE_COSINE,   /* base to final along half a cosine */
    RA_SCHEDULE_LINEAR,   /* base to final along a line */
} ra_schedule;

typedef struct ra_schedule_options {
    ra_schedule schedule;
    double base, final, warmup_start; /* learning rates */
    size_t total, warmup;             /* steps */
} ra_schedule_options;

/* Entry i of the schedule, i = 0 .. total-1; what it ends at beyond. Step i + 1 has entry i, but for step 1
 * of the cosine, which has `base` as in the reference: that advances its counter before it reads, so that
 * entry 0 is never used. */
double ra_schedule_entry(const ra_schedule_options *options, size_t i);
double ra_schedule_rate(const ra_schedule_options *options, size_t step /* 1, 2, ... */);

/* ---- the optimizer ------------------------------------------------------------------------------------- */

/* adamw (Loshchilov and Hutter 2019) as torch.optim.AdamW: every trained parameter is multiplied by
 * 1 - lr weight_decay before Adam's step. */
typedef enum ra_optimizer { RA_OPTIMIZER_ADAM, RA_OPTIMIZER_ADAMW } ra_optimizer;

/* ---- the loop ------------------------------------------------------------------------------------------ */

/* Where an encoder starts: at random (torch.nn.Linear) or along the atoms (ra_sae_start_at_dictionary()).
 * For whoever makes the SAE; the loop does not look at it. */
typedef enum ra_encoder_start { RA_ENCODER_START_UNIFORM, RA_ENCODER_START_DICTIONARY } ra_encoder_start;

typedef struct ra_train_settings {
    uint64_t known;
    size_t concepts;   /* K */
    int loss;          /* ra_loss */
    double penalty;    /* of the loss; each has its default (mse_l1 1e-3, auxk and reanimate 0.1, elastic 0.5,
                        * hoyer and kappa_4 -0.1, l0 1e-3) */
    double lr;         /* 5e-4 */
    int schedule;      /* ra_schedule */
    double lr_final;   /* where cosine and linear end; lr / 100 */
    size_t warmup;     /* steps */
    size_t batch_size; /* 1024 */
    size_t epochs;     /* 20 */
    size_t steps;      /* takes the place of epochs when known */
    double clip_grad;  /* largest gradient norm, over all parameters; 1; 0: no clipping */
    bool shuffle;      /* true */
    size_t seed;       /* 0 */
    size_t shuffle_seed; /* of the order of the rows; seed */
    size_t window_seed;  /* of which of them are shuffled together (train/order.h); shuffle_seed */
    int standardize;     /* ra_standardize; none. What the data are set to: trainers take them as they come */
    int optimizer;       /* ra_optimizer; adam */
    double weight_decay; /* adamw; 0.01, as in torch */
    double beta1, beta2; /* of the moments; 0.9, 0.999 */
    int init;            /* ra_init: where the atoms start; what each kind of dictionary has as its first */
    /* How points are made: none has a default here, since a run may need none of them. */
    int points_method;        /* ra_points_method */
    int kmeans;               /* ra_kmeans_method */
    size_t points_rows;       /* k-means on a sample of so many rows */
    size_t points_iterations; /* of k-means, at most */
    size_t points_seed;       /* of the points; not `seed`, so that runs that differ in it share them */
    int encoder_start;        /* ra_encoder_start; uniform */
} ra_train_settings;

/* Rows of the table below, in its order. */
enum ra_train_setting {
    RA_TRAIN_CONCEPTS,
    RA_TRAIN_LOSS,
    RA_TRAIN_PENALTY,
    RA_TRAIN_LR,
    RA_TRAIN_SCHEDULE,
    RA_TRAIN_LR_FINAL,
    RA_TRAIN_WARMUP,
    RA_TRAIN_BATCH_SIZE,
    RA_TRAIN_EPOCHS,
    RA_TRAIN_STEPS,
    RA_TRAIN_CLIP_GRAD,
    RA_TRAIN_SHUFFLE,
    RA_TRAIN_SEED,
    RA_TRAIN_SHUFFLE_SEED,
    RA_TRAIN_WINDOW_SEED,
    RA_TRAIN_STANDARDIZE,
    RA_TRAIN_OPTIMIZER,
    RA_TRAIN_WEIGHT_DECAY,
    RA_TRAIN_BETA1,
    RA_TRAIN_BETA2,
    RA_TRAIN_INIT,
    RA_TRAIN_POINTS_METHOD,
    RA_TRAIN_KMEANS,
    RA_TRAIN_POINTS_ROWS,
    RA_TRAIN_POINTS_ITERATIONS,
    RA_TRAIN_POINTS_SEED,
    RA_TRAIN_ENCODER_START,
};

const ra_settings_table *ra_train_settings_table(void);

/* Those found in a file's metadata (keys of the table; unknown keys are left alone). */
ra_status ra_train_settings_read(const ra_safetensors *file, ra_train_settings *settings, ra_error *err);

/* What is not known gets its default: all but concepts, steps, init and the settings of points. */
void ra_train_settings_defaults(ra_train_settings *settings);

/* RA_ERR_ARGUMENT for complete settings that cannot work together: what ra_loss_check() says, and a weight
 * decay with adam, which has none. ra_train() asks this itself. */
ra_status ra_train_settings_check(const ra_train_settings *settings, const ra_sae_settings *sae,
                                  ra_error *err);

/* How many of the data's rows a batch has (batch_size, but not more than there are), and how many batches an
 * epoch; the last one may be smaller. */
size_t ra_train_batch_rows(const ra_train_settings *settings, size_t rows);
size_t ra_train_steps_per_epoch(const ra_train_settings *settings, size_t rows);

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
    size_t rows;      /* of this batch, over all members of a group */
} ra_train_progress;

/* ---- a run, step by step ------------------------------------------------------------------------------- */

/* The state of a run: an SAE, its optimizer, and how far it is. Everything that a run does next follows from
 * this state, the settings and the data, bit for bit: a run that was stored and restored goes on as if
 * nothing had happened. */
typedef struct ra_trainer ra_trainer;

/* rows: of the data, which decide how many steps an epoch has. The SAE is used, not owned; it is put into
 * training mode. Settings are completed with their defaults and copied. */
ra_status ra_trainer_new(ra_sae *sae, const ra_train_settings *settings, size_t rows, ra_trainer **trainer,
                         ra_error *err);
void ra_trainer_free(ra_trainer *trainer); /* NULL is fine */

ra_sae *ra_trainer_sae(const ra_trainer *trainer);
const ra_train_settings *ra_trainer_settings(const ra_trainer *trainer);
size_t ra_trainer_done(const ra_trainer *trainer);  /* steps behind it */
size_t ra_trainer_steps(const ra_trainer *trainer); /* steps of the whole run */

/* One step on x [rows,d], host memory: this member's slice of the batch (ra_sae_set_group). A loss or a
 * gradient that is not finite is RA_ERR_NOT_FINITE, naming the step, the learning rate and the norms of the
 * parameters; the parameters stay as they were before the step. */
ra_status ra_trainer_step(ra_trainer *trainer, const float *x, size_t rows, ra_train_progress *progress,
                          ra_error *err);

/* The last step is followed by no loss that would show it: RA_ERR_NOT_FINITE when a parameter or the
 * dictionary holds a NaN or an infinity. Projects the parameters. */
ra_status ra_trainer_check(ra_trainer *trainer, ra_error *err);

/* Adds the SAE (ra_sae_store) and the rest of the state to a checkpoint; what is added stays owned by the
 * trainer and must outlive the write. With `state` false the SAE alone. proto/artifact.md has the names. */
ra_status ra_trainer_store(ra_trainer *trainer, bool state, ra_safetensors_writer *writer, ra_error *err);

/* A trainer just made of the SAE in this file takes over its state. RA_ERR_STATE for a file without one. */
ra_status ra_trainer_restore(ra_trainer *trainer, const ra_safetensors *file, ra_error *err);

/* ---- the loop ------------------------------------------------------------------------------------------ */

/* Called after every step of every trainer, `which` being its position; false stops the run with
 * RA_ERR_CANCELED, the trainers holding the state of that step. */
typedef bool ra_train_callback(void *context, size_t which, const ra_train_progress *progress);

/* Runs trainers side by side over the data: runs of one shuffle_seed get the same batches, which are read
 * once; runs of one window_seed read the same rows at about the same time, each in its own order. Trainers
 * that were restored at different steps wait for the last one. They have to agree in batch_size and in the
 * group, of which each member reads its slice (RA_ERR_ARGUMENT). In a shuffled run the last, smaller batch of
 * an epoch is used as well; with --no-shuffle batches follow the data's order and start over at its end. When
 * a step fails, the error also names the rows of the batch. */
ra_status ra_train_all(ra_trainer *const *trainers, size_t count, const ra_data *data,
                       ra_train_callback *callback, void *context, ra_error *err);

/* One SAE from the start to the end; leaves it in training mode with projected parameters. */
ra_status ra_train(ra_sae *sae, const ra_data *data, const ra_train_settings *settings,
                   ra_train_callback *callback, void *context, ra_error *err);

#endif
