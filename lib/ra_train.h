/* ra_train.h - training: losses, schedules, the loop.
 *
 *     ra_train_settings settings = {.known = 0}; // ra_data_open() and ra_sae_new() have made data and sae
 *     ra_train_settings_defaults(&settings);
 *     RA_TRY(ra_train(sae, data, &settings, NULL, NULL, err));
 *
 * The same data, settings and seed give the same bytes for any number of threads.
 * Thread safety: one training run at a time per SAE; complete data and points may be shared.
 */
#ifndef RA_TRAIN_H
#define RA_TRAIN_H

#include "ra_data.h"
#include "ra_points.h"
#include "ra_sae.h"

/* ---- losses -------------------------------------------------------------------------------------------- */

/* The losses: RA_LOSS_<ID>, the names of the setting `loss`, and the default penalties. */
#define RA_LOSSES(X)                                                                                         \
    X(MSE, mse, 0)                                                                                           \
    X(MSE_L1, mse_l1, 1e-3)                                                                                  \
    X(AUXK, auxk, 0.1)                                                                                       \
    X(REANIMATE, reanimate, 0.1)                                                                             \
    X(ELASTIC, elastic, 0.5)                                                                                 \
    X(HOYER, hoyer, -0.1)                                                                                    \
    X(KAPPA_4, kappa_4, -0.1)                                                                                \
    X(L0, l0, 1e-3)

#define RA_LOSS_ENUM(ID, name, penalty) RA_LOSS_##ID,
typedef enum ra_loss { RA_LOSSES(RA_LOSS_ENUM) RA_LOSS_COUNT } ra_loss;
#undef RA_LOSS_ENUM

/* What a loss reads of one batch: backend memory, except codes. */
typedef struct ra_loss_batch {
    ra_backend *backend;
    const ra_group *group;             /* that shares the batch; NULL: this process alone */
    size_t rows, dimensions, concepts; /* B, d, K */
    size_t total_rows;                 /* of the batch over all members; 0: rows */
    const float *x, *x_hat;            /* [B,d] */
    const float *pre;                  /* [B,K] */
    const ra_codes *codes;
    const float *D; /* [K,d]; read only if ra_loss_needs_all_atoms() */
    double penalty;
} ra_loss_batch;

/* Gradients, all overwritten, in backend memory. has_*: false if the gradient is zero and its buffer
 * undefined. Buffers are kept for the next batch. {0} is valid. */
typedef struct ra_loss_gradients {
    ra_buffer x_hat;      /* [B,d] */
    ra_buffer pre, codes; /* [B,K] */
    ra_buffer D;          /* [K,d] */
    ra_buffer value;      /* [entries] of the codes */
    bool has_value, has_pre, has_codes, has_D;
    double active;   /* as in ra_sae_gradients; only l0 sets it */
    double residual; /* no gradient: ||x - x_hat||^2 over these rows; from a device with the next wait */
    double term;     /* the loss without its mean squared error, and without: */
    double magnitude, penalty; /* their product; the first comes with the residual */
    ra_buffer scratch_wide, scratch_narrow, scratch_rest; /* [B,K], [B,d], [B,d] */
    ra_codes scratch_codes;
    float *entries; /* `value` in host memory */
    size_t entry_capacity;
} ra_loss_gradients;

void ra_loss_gradients_release(ra_loss_gradients *gradients);

/* Whether a loss reads codes in host memory; others may stay on a device (ra_sae_pass.keeps_codes). */
bool ra_loss_reads_codes(ra_loss loss);

/* Whether a loss depends on inactive atoms (ra_sae_pass.all_atoms). */
bool ra_loss_needs_all_atoms(ra_loss loss);

/* The loss and its gradients (overcomplete 0.3.0, sae/losses.py). Every loss is mean((x - x_hat)^2) plus its
 * term:
 *
 *   mse        none
 *   mse_l1     penalty sum |z|, over batch and latents
 *   auxk       penalty mean((r - top_half(relu(pre) - z) D)^2), with r = x - x_hat, not detached. It trains
 *              latents whose pre-code is positive, but that were not selected; a dead latent's is not
 *   reanimate  -penalty sum(pre * dead) / (#dead + 1e-6), dead being the latents silent in this batch
 *   elastic    (1 - penalty) mean |z| + penalty mean(D^2); the penalty is elastic's alpha, from 0 to 1
 *   hoyer      penalty mean over rows of (sqrt(K) - ||z||_1 / ||z||_2) / (sqrt(K) - 1)
 *   kappa_4    penalty mean over rows of sum(z^4) / sum(z^2)^2
 *   l0         penalty mean over rows of the number of active latents; its gradient flows only to jumprelu's
 *              thresholds, through their kernel (Rajamanoharan et al. 2024)
 *
 * hoyer and kappa_4 are 1 for the sparsest rows, so a negative penalty rewards sparsity. The results are this
 * member's part: means are over the rows of all members, so the members' values and gradients add up. */
ra_status ra_loss_evaluate(ra_loss loss, const ra_loss_batch *batch, double *value,
                           ra_loss_gradients *gradients, ra_error *err);

/* The same in two halves, so that a device can compute the backward pass meanwhile: `gradients` has to stay until the
 * next wait for the default stream, after which the value is known. */
ra_status ra_loss_start(ra_loss loss, const ra_loss_batch *batch, ra_loss_gradients *gradients,
                        ra_error *err);
double ra_loss_value(const ra_loss_batch *batch, const ra_loss_gradients *gradients);

/* The same gradients as ra_sae_backward() takes them; the result points into `gradients`. */
ra_sae_gradients ra_loss_sae_gradients(const ra_loss_gradients *gradients);

/* RA_ERR_ARGUMENT for what cannot work: a penalty above 1 for elastic, a negative one for a loss other than
 * hoyer and kappa_4, or l0 with a sae other than jumprelu. */
ra_status ra_loss_check(ra_loss loss, double penalty, const ra_sae_settings *sae, ra_error *err);

/* The term of reanimate without the mse; overcomplete also has it as a function. */
ra_status ra_loss_reanimation(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                              ra_error *err);

/* ---- schedules ----------------------------------------------------------------------------------------- */

/* The schedules: RA_SCHEDULE_<ID>, and the names of the setting `schedule`. Each may begin with a linear
 * warm-up.
 *
 *   constant   base
 *   cosine     base to final along half a cosine
 *   reference_cosine  the same as overcomplete runs it: the first step of a warm-up has the base rate
 *   linear     base to final along a line
 */
#define RA_SCHEDULES(X)                                                                                      \
    X(CONSTANT, constant)                                                                                    \
    X(COSINE, cosine)                                                                                        \
    X(REFERENCE_COSINE, reference_cosine)                                                                    \
    X(LINEAR, linear)

#define RA_SCHEDULE_ENUM(ID, name) RA_SCHEDULE_##ID,
typedef enum ra_schedule { RA_SCHEDULES(RA_SCHEDULE_ENUM) RA_SCHEDULE_COUNT } ra_schedule;
#undef RA_SCHEDULE_ENUM

typedef struct ra_schedule_options {
    ra_schedule schedule;
    double base, final, warmup_start; /* learning rates */
    size_t total, warmup;             /* steps */
} ra_schedule_options;

/* Entry i of the schedule, i = 0 .. total-1; its last value for larger i. Step i + 1 has the rate of entry i,
 * except that step 1 of the cosine has `base`, as in overcomplete, which advances its counter before it
 * reads and so never uses entry 0. */
double ra_schedule_entry(const ra_schedule_options *options, size_t i);
double ra_schedule_rate(const ra_schedule_options *options, size_t step /* 1, 2, ... */);

/* ---- the optimizer ------------------------------------------------------------------------------------- */

/* adamw (Loshchilov and Hutter 2019), as torch.optim.AdamW, multiplies every trained parameter by
 * 1 - lr weight_decay before Adam's step. */
typedef enum ra_optimizer { RA_OPTIMIZER_ADAM, RA_OPTIMIZER_ADAMW } ra_optimizer;

/* ---- settings ------------------------------------------------------------------------------------------ */

/* Where an encoder starts: at random (torch.nn.Linear) or along the atoms (ra_sae_start_at_dictionary()). The
 * program that creates the SAE uses it; the loop does not. */
typedef enum ra_encoder_start { RA_ENCODER_START_UNIFORM, RA_ENCODER_START_DICTIONARY } ra_encoder_start;

/* A value is meaningful if its bit in `known` is set. Defaults stand last in each comment. */
typedef struct ra_train_settings {
    uint64_t known;
    size_t concepts;  /* K */
    int loss;         /* ra_loss */
    double penalty;   /* of the loss; RA_LOSSES has the defaults */
    double target_l0; /* active latents per row that the penalty is adapted to reach; 0: it stays as it is */
    double lr;        /* 5e-4 */
    double threshold_rate; /* learning rate of jumprelu's thresholds, in units of lr; 1 */
    int schedule;          /* ra_schedule */
    double lr_final;       /* at the end of cosine and linear; lr / 100 */
    size_t warmup;         /* steps */
    size_t batch_size;     /* 1024 */
    size_t epochs;         /* 20 */
    size_t steps;          /* if known, used in place of epochs */
    double clip_grad;      /* largest norm of the gradient over all parameters, 0: unlimited; 1 */
    bool shuffle;          /* true */
    size_t seed;           /* 0 */
    size_t shuffle_seed;   /* of the order of the rows; seed */
    size_t window_seed;  /* of the windows of rows that are shuffled together (train/order.h); shuffle_seed */
    size_t window;       /* rows of such a window, held in memory; unknown: about a million, not held */
    int standardize;     /* ra_standardize; none. The program applies it to the data, the loop does not */
    int optimizer;       /* ra_optimizer; adam */
    double weight_decay; /* adamw; 0.01, as in torch */
    double beta1, beta2; /* of the moments; 0.9, 0.999 */
    int init;            /* ra_init: where the atoms start; the first one for the kind of dictionary */
    /* How points are made, without defaults here, since not every run makes points. */
    int points_method;        /* ra_points_method */
    int kmeans;               /* ra_kmeans_method */
    size_t points_rows;       /* k-means on a random sample of this size */
    size_t points_iterations; /* of k-means, at most */
    size_t points_seed;       /* not `seed`, so that runs with different seeds share their points */
    int encoder_start;        /* ra_encoder_start; uniform */
    int precision;            /* ra_precision of the products of a step; float32 */
} ra_train_settings;

/* Rows of the table below, in its order. */
enum ra_train_setting {
    RA_TRAIN_CONCEPTS,
    RA_TRAIN_LOSS,
    RA_TRAIN_PENALTY,
    RA_TRAIN_TARGET_L0,
    RA_TRAIN_LR,
    RA_TRAIN_THRESHOLD_RATE,
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
    RA_TRAIN_WINDOW,
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
    RA_TRAIN_PRECISION,
};

const ra_settings_table *ra_train_settings_table(void);

/* *settings <- the settings in a file's metadata; ignores unknown keys. */
ra_status ra_train_settings_read(const ra_safetensors *file, ra_train_settings *settings, ra_error *err);

/* Fills the unknown settings, except concepts, steps, window, init and those of points. */
void ra_train_settings_defaults(ra_train_settings *settings);

/* RA_ERR_ARGUMENT for complete settings that cannot work together: those that ra_loss_check() refuses, and a
 * weight decay with adam. ra_train() calls it. */
ra_status ra_train_settings_check(const ra_train_settings *settings, const ra_sae_settings *sae,
                                  ra_error *err);

/* RA_ERR_DEVICE if this backend cannot train with the setting `precision`: what is not float32 needs a device. A
 * trainer checks it, and a program that works for hours before it makes one does so first.
 *
 * In a step of TF32 or bf16 the factors of matrix products are rounded (RA_PRECISION_*). Their sums, all other
 * arithmetic, parameters, gradients and moments are float32, and so is what a file holds. */
ra_status ra_train_check_precision(const ra_train_settings *settings, ra_backend *backend, ra_error *err);

/* The rows of a batch (batch_size, but at most all rows) and the batches of an epoch, the last of which may
 * be smaller. */
size_t ra_train_batch_rows(const ra_train_settings *settings, size_t rows);
size_t ra_train_steps_per_epoch(const ra_train_settings *settings, size_t rows);

/* The setting `window` for large data (ra_data_is_large()): as many rows as fit twice into so many bytes, at least a few
 * batches; 0 where the setting is better left unknown. It follows from its arguments and from the data alone. *bytes <-
 * what the two windows take. */
size_t ra_train_choose_window(const ra_data *data, double memory, size_t batch_rows, double *bytes);

/* The rows of a window, given the setting (0: unknown), and the bytes of two. */
size_t ra_train_window_rows(const ra_data *data, size_t window, double *bytes);

typedef struct ra_train_progress {
    size_t step, steps; /* 1 .. steps */
    size_t epoch, epochs;
    double loss; /* of this batch */
    /* of this batch: 1 - ||x - x_hat||^2 / ||x - mean||^2, with the mean of each dimension, and with one mean of
     * all numbers, as in overcomplete; NaN where nothing varies */
    double r2_per_dimension, r2;
    double l0;   /* mean active latents per row */
    double dead; /* share of the latents that were not active during the last epoch's number of steps */
    double lr;
    double grad_norm; /* before clipping */
    size_t rows;      /* of this batch, over all members of a group */
} ra_train_progress;

/* ---- a run, step by step ------------------------------------------------------------------------------- */

/* The state of a run: an SAE, its optimizer and the steps done. This state, the settings and the data
 * determine everything that follows, bit for bit: a run that is stored and restored continues as if it had
 * not been interrupted. */
typedef struct ra_trainer ra_trainer;

/* rows: of the data; an epoch's number of steps follows from it. The trainer uses the SAE without owning it
 * and puts it into training mode. Settings are copied and completed with their defaults. */
ra_status ra_trainer_new(ra_sae *sae, const ra_train_settings *settings, size_t rows, ra_trainer **trainer,
                         ra_error *err);
void ra_trainer_free(ra_trainer *trainer); /* NULL is fine */

ra_sae *ra_trainer_sae(const ra_trainer *trainer);
const ra_train_settings *ra_trainer_settings(const ra_trainer *trainer);
size_t ra_trainer_done(const ra_trainer *trainer);  /* steps so far */
size_t ra_trainer_steps(const ra_trainer *trainer); /* steps of the whole run */

/* One step on x [rows,d], host memory: this member's slice of the batch (ra_sae_set_group()). If the loss or
 * the gradient is not finite, the parameters stay as they were before the step and the result is
 * RA_ERR_NOT_FINITE, naming the step, the learning rate and the norms of the parameters. */
ra_status ra_trainer_step(ra_trainer *trainer, const float *x, size_t rows, ra_train_progress *progress,
                          ra_error *err);

/* RA_ERR_NOT_FINITE if a parameter or the dictionary holds a NaN or an infinity, which after the last step no
 * loss would show. Projects the parameters. */
ra_status ra_trainer_check(ra_trainer *trainer, ra_error *err);

/* Adds the SAE (ra_sae_store()) and the rest of the state to a checkpoint; the trainer owns what is added and
 * must outlive the write. With `state` false: the SAE alone. proto/artifact.md has the names. */
ra_status ra_trainer_store(ra_trainer *trainer, bool state, ra_safetensors_writer *writer, ra_error *err);

/* Takes the state from a file; the trainer is a new one, of the SAE in this file. RA_ERR_STATE for a file
 * without a state. */
ra_status ra_trainer_restore(ra_trainer *trainer, const ra_safetensors *file, ra_error *err);

/* ---- the loop ------------------------------------------------------------------------------------------ */

/* Called after every step of every trainer; `which` is the trainer's index. Returning false stops the run
 * with RA_ERR_CANCELED; the trainers then hold the state of that step. */
typedef bool ra_train_callback(void *context, size_t which, const ra_train_progress *progress);

/* Runs trainers side by side over the data. Those with the same shuffle_seed get the same batches, which are
 * read once; those with the same window_seed read the same rows at about the same time, each in its own
 * order. Trainers that were restored at different steps wait for the one behind. All must have the same
 * batch_size (RA_ERR_ARGUMENT) and the same group, whose members read a slice each. The last batch of an
 * epoch may be smaller. Without shuffling, batches follow the order of the data. If a step fails, the error
 * also names the rows of the batch. */
ra_status ra_train_all(ra_trainer *const *trainers, size_t count, const ra_data *data,
                       ra_train_callback *callback, void *context, ra_error *err);

/* Trains one SAE from start to end and leaves it in training mode, with projected parameters. */
ra_status ra_train(ra_sae *sae, const ra_data *data, const ra_train_settings *settings,
                   ra_train_callback *callback, void *context, ra_error *err);

#endif
