#include "ra_train.h"
#include "base/error.h"

#include <stdio.h>

/* In the order of their enums. */
static const char *const loss_names[] = {"mse", "mse_l1", "auxk", "reanimate", NULL};
static const char *const schedule_names[] = {"constant", "cosine", NULL};
static const char *const start_names[] = {"uniform", "dictionary", NULL};

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
    ENCODER_START,
    POINTS_SEED,
};

static const ra_setting rows[] = {
    [CONCEPTS] = {"nb_concepts", "concepts", RA_SETTING_COUNT, AT(concepts), NULL, 1, 2147483647, "K",
                  "atoms of the dictionary"},
    [LOSS] = {"loss", "loss", RA_SETTING_NAME, AT(loss), loss_names, 0, 0, "NAME",
              "mse, mse_l1, auxk or reanimate"},
    [PENALTY] = {"penalty", "penalty", RA_SETTING_REAL, AT(penalty), NULL, 0, 1e30, "X",
                 "weight of the loss's second term"},
    [LR] = {"lr", "lr", RA_SETTING_REAL, AT(lr), NULL, 0, 1e6, "X", "learning rate of Adam"},
    [SCHEDULE] = {"schedule", "schedule", RA_SETTING_NAME, AT(schedule), schedule_names, 0, 0, "NAME",
                  "constant or cosine"},
    [LR_FINAL] = {"lr_final", "lr-final", RA_SETTING_REAL, AT(lr_final), NULL, 0, 1e6, "X",
                  "where the cosine ends"},
    [WARMUP] = {"warmup", "warmup", RA_SETTING_COUNT, AT(warmup), NULL, 0, 2147483647, "S",
                "steps of linear warm-up (cosine)"},
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
    [ENCODER_START] = {"encoder_start", "encoder-start", RA_SETTING_NAME, AT(encoder_start), start_names, 0,
                       0, "NAME",
                       "where the encoder starts: uniform (at random) or dictionary (along the atoms)"},
    [POINTS_SEED] = {"points_seed", "points-seed", RA_SETTING_COUNT, AT(points_seed), NULL, 0,
                     9007199254740992.0, "N", "of k-means"},
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
        [RA_LOSS_MSE_L1] = 1e-3, [RA_LOSS_AUXK] = 0.1, [RA_LOSS_REANIMATE] = 0.1};
    ra_train_settings defaults = {
        .loss = RA_LOSS_MSE,
        .lr = 5e-4,
        .schedule = RA_SCHEDULE_CONSTANT,
        .batch_size = 1024,
        .epochs = 20,
        .clip_grad = 1,
        .shuffle = true,
    };
    const ra_settings_table *table = ra_train_settings_table();
    defaults.known =
        ((1u << table->count) - 1) & ~(1u << CONCEPTS | 1u << STEPS | 1u << PENALTY | 1u << LR_FINAL);
    ra_settings_fill(table, settings, &defaults);
    /* two defaults follow from other settings */
    defaults.penalty = penalties[settings->loss];
    defaults.lr_final = settings->lr / 100;
    defaults.known = 1u << PENALTY | 1u << LR_FINAL;
    ra_settings_fill(table, settings, &defaults);
}
