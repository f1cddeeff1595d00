#include "ra_train.h"

#include <stdio.h>

/* In the order of their enums. */
static const char *const loss_names[] = {"mse",   "mse_l1",  "auxk", "reanimate", "elastic",
                                         "hoyer", "kappa_4", "l0",   NULL};
static const char *const points_method_names[] = {"kmeans", "sample", "all", NULL};
static const char *const kmeans_names[] = {"lloyd", "minibatch", NULL};
static const char *const schedule_names[] = {"constant", "cosine", "linear", NULL};
static const char *const standardize_names[] = {"none", "element", "global", NULL};
static const char *const optimizer_names[] = {"adam", "adamw", NULL};
static const char *const start_names[] = {"uniform", "dictionary", NULL};
static const char *const init_names[] = {"eye", "permuted", "random", "xavier", "points", NULL};

#define AT(member) offsetof(ra_train_settings, member)

enum {
    CONCEPTS,
    LOSS,
    PENALTY,
    LR,
    SCHEDULE,
    LR_FINAL,
    WARMUP,
    BATCH_SIZE,
    EPOCHS,
    STEPS,
    CLIP_GRAD,
    SHUFFLE,
    SEED,
    SHUFFLE_SEED,
    WINDOW_SEED,
    STANDARDIZE,
    OPTIMIZER,
    WEIGHT_DECAY,
    BETA1,
    BETA2,
    INIT,
    POINTS_METHOD,
    KMEANS,
    POINTS_ROWS,
    POINTS_ITERATIONS,
    POINTS_SEED,
    ENCODER_START,
};

static const ra_setting rows[] = {
    [CONCEPTS] = {"nb_concepts", "concepts", RA_SETTING_COUNT, AT(concepts), NULL, 1, 2147483647, "K",
                  "atoms of the dictionary"},
    [LOSS] = {"loss", "loss", RA_SETTING_NAME, AT(loss), loss_names, 0, 0, "NAME",
              "mse, mse_l1, auxk, reanimate, elastic, hoyer, kappa_4 or l0 (jumprelu)"},
    [PENALTY] = {"penalty", "penalty", RA_SETTING_REAL, AT(penalty), NULL, -1e30, 1e30, "X",
                 "weight of the loss's second term; elastic: its alpha"},
    [LR] = {"lr", "lr", RA_SETTING_REAL, AT(lr), NULL, 0, 1e6, "X", "learning rate of Adam"},
    [SCHEDULE] = {"schedule", "schedule", RA_SETTING_NAME, AT(schedule), schedule_names, 0, 0, "NAME",
                  "constant, cosine or linear"},
    [LR_FINAL] = {"lr_final", "lr-final", RA_SETTING_REAL, AT(lr_final), NULL, 0, 1e6, "X",
                  "where cosine and linear end"},
    [WARMUP] = {"warmup", "warmup", RA_SETTING_COUNT, AT(warmup), NULL, 0, 2147483647, "S",
                "steps of linear warm-up"},
    [BATCH_SIZE] = {"batch_size", "batch-size", RA_SETTING_COUNT, AT(batch_size), NULL, 1, 2147483647, "B",
                    "rows a step"},
    [EPOCHS] = {"epochs", "epochs", RA_SETTING_COUNT, AT(epochs), NULL, 1, 2147483647, "E",
                "passes over the data"},
    [STEPS] = {"steps", "steps", RA_SETTING_COUNT, AT(steps), NULL, 1, 2147483647, "S",
               "steps, in the place of epochs"},
    [CLIP_GRAD] = {"clip_grad", "clip-grad", RA_SETTING_REAL, AT(clip_grad), NULL, 0, 1e30, "X",
                   "largest norm of the gradient; 0: any"},
    [SHUFFLE] = {"shuffle", "no-shuffle", RA_SETTING_BOOL, AT(shuffle), NULL, 0, 0, NULL,
                 "take the rows in their order"},
    [SEED] = {"seed", "seed", RA_SETTING_COUNT, AT(seed), NULL, 0, 9007199254740992.0, "N",
              "of every random choice but the points"},
    [SHUFFLE_SEED] = {"shuffle_seed", "shuffle-seed", RA_SETTING_COUNT, AT(shuffle_seed), NULL, 0,
                      9007199254740992.0, "N", "of the order of the rows (--seed)"},
    [WINDOW_SEED] = {"window_seed", "window-seed", RA_SETTING_COUNT, AT(window_seed), NULL, 0,
                     9007199254740992.0, "N", "of which million rows are shuffled together (--shuffle-seed)"},
    [STANDARDIZE] = {"standardize", "standardize", RA_SETTING_NAME, AT(standardize), standardize_names, 0, 0,
                     "HOW", "none, element or global: subtract the mean, divide by the deviation"},
    [OPTIMIZER] = {"optimizer", "optimizer", RA_SETTING_NAME, AT(optimizer), optimizer_names, 0, 0, "NAME",
                   "adam or adamw"},
    [WEIGHT_DECAY] = {"weight_decay", "weight-decay", RA_SETTING_REAL, AT(weight_decay), NULL, 0, 1e6, "X",
                      "of adamw"},
    [BETA1] = {"beta1", "beta1", RA_SETTING_REAL, AT(beta1), NULL, 0, 0.99999999, "X",
               "decay of the gradient's running mean"},
    [BETA2] = {"beta2", "beta2", RA_SETTING_REAL, AT(beta2), NULL, 0, 0.99999999, "X",
               "decay of its square's running mean"},
    [INIT] = {"init", "init-weights", RA_SETTING_NAME, AT(init), init_names, 0, 0, "NAME",
              "where atoms start: eye, permuted, random; plain ones: xavier, points"},
    [POINTS_METHOD] = {"points_method", "points-method", RA_SETTING_NAME, AT(points_method),
                       points_method_names, 0, 0, "NAME", "kmeans, sample (random rows) or all (every row)"},
    [KMEANS] = {"kmeans", "kmeans", RA_SETTING_NAME, AT(kmeans), kmeans_names, 0, 0, "NAME",
                "lloyd or minibatch"},
    [POINTS_ROWS] = {"points_rows", "points-rows", RA_SETTING_COUNT, AT(points_rows), NULL, 1, 2147483647,
                     "M", "k-means on a random sample of M rows"},
    [POINTS_ITERATIONS] = {"points_iterations", "points-iterations", RA_SETTING_COUNT, AT(points_iterations),
                           NULL, 1, 2147483647, "I", "iterations of k-means, at most"},
    [POINTS_SEED] = {"points_seed", "points-seed", RA_SETTING_COUNT, AT(points_seed), NULL, 0,
                     9007199254740992.0, "N", "of the points' random choices (0)"},
    [ENCODER_START] = {"encoder_start", "encoder-start", RA_SETTING_NAME, AT(encoder_start), start_names, 0,
                       0, "NAME", "the encoder: uniform (at random) or dictionary (along the atoms)"},
};

const ra_settings_table *ra_train_settings_table(void) {
    static const ra_settings_table table = {rows, sizeof rows / sizeof *rows};
    return &table;
}

ra_status ra_train_settings_read(const ra_safetensors *file, ra_train_settings *settings, ra_error *err) {
    *settings = (ra_train_settings){0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text = ra_safetensors_metadata(file, rows[i].key);
        char where[320];
        if (!text) continue;
        snprintf(where, sizeof where, "%s: the setting %s", ra_safetensors_path(file), rows[i].key);
        RA_TRY(ra_setting_parse(ra_train_settings_table(), i, settings, text, where, err));
    }
    return RA_OK;
}

void ra_train_settings_defaults(ra_train_settings *settings) {
    static const double penalties[RA_LOSS_COUNT] = {
        [RA_LOSS_MSE_L1] = 1e-3, [RA_LOSS_AUXK] = 0.1,     [RA_LOSS_REANIMATE] = 0.1, [RA_LOSS_ELASTIC] = 0.5,
        [RA_LOSS_HOYER] = -0.1,  [RA_LOSS_KAPPA_4] = -0.1, [RA_LOSS_L0] = 1e-3};
    ra_train_settings defaults = {
        .loss = RA_LOSS_MSE,
        .lr = 5e-4,
        .schedule = RA_SCHEDULE_CONSTANT,
        .batch_size = 1024,
        .epochs = 20,
        .clip_grad = 1,
        .shuffle = true,
        .optimizer = RA_OPTIMIZER_ADAM,
        .beta1 = 0.9,
        .beta2 = 0.999,
    };
    const ra_settings_table *table = ra_train_settings_table();
    defaults.known = ((1u << table->count) - 1) &
                     ~(1u << CONCEPTS | 1u << STEPS | 1u << PENALTY | 1u << LR_FINAL | 1u << SHUFFLE_SEED |
                       1u << WINDOW_SEED | 1u << WEIGHT_DECAY | 1u << INIT);
    defaults.known &= ~(1u << POINTS_METHOD | 1u << KMEANS | 1u << POINTS_ROWS | 1u << POINTS_ITERATIONS |
                        1u << POINTS_SEED);
    ra_settings_fill(table, settings, &defaults);
    /* some defaults follow from other settings */
    defaults.penalty = penalties[settings->loss];
    defaults.lr_final = settings->lr / 100;
    defaults.shuffle_seed = settings->seed;
    defaults.weight_decay = settings->optimizer == RA_OPTIMIZER_ADAMW ? 0.01 : 0;
    defaults.known = 1u << PENALTY | 1u << LR_FINAL | 1u << SHUFFLE_SEED | 1u << WEIGHT_DECAY;
    ra_settings_fill(table, settings, &defaults);
    defaults.window_seed = settings->shuffle_seed;
    defaults.known = 1u << WINDOW_SEED;
    ra_settings_fill(table, settings, &defaults);
}

ra_status ra_train_settings_check(const ra_train_settings *settings, const ra_sae_settings *sae,
                                  ra_error *err) {
    if (settings->weight_decay > 0 && settings->optimizer != RA_OPTIMIZER_ADAMW)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the weight decay is %g, but the optimizer %s has none; take adamw",
                settings->weight_decay, optimizer_names[settings->optimizer]);
    return ra_loss_check((ra_loss)settings->loss, settings->penalty, sae, err);
}
