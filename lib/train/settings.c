#include "ra_train.h"

#define NAME(ID, name, ...) #name,
static const char *const loss_names[] = {RA_LOSSES(NAME) NULL};
static const char *const schedule_names[] = {RA_SCHEDULES(NAME) NULL};
static const char *const kmeans_names[] = {RA_KMEANS_METHODS(NAME) NULL};
#undef NAME

/* In the order of their enums. */
static const char *const points_method_names[] = {"kmeans", "sample", "all", NULL};
static const char *const standardize_names[] = {"none", "element", "global", NULL};
static const char *const optimizer_names[] = {"adam", "adamw", NULL};
static const char *const start_names[] = {"uniform", "dictionary", NULL};
static const char *const precision_names[] = {
    [RA_PRECISION_FLOAT32] = "float32", [RA_PRECISION_TF32] = "tf32", [RA_PRECISION_BF16] = "bf16", NULL};
static const char *const init_names[] = {"eye", "permuted", "random", "kmeans", "xavier", "points", NULL};

#define AT(member) offsetof(ra_train_settings, member)

/* clang-format off */
static const ra_setting rows[] = {
    [RA_TRAIN_CONCEPTS] = {"nb_concepts", RA_SETTING_COUNT, AT(concepts), .flag = "concepts", .min = 1,
        .max = 2147483647, .argument = "K", .help = "atoms of the dictionary"},
    [RA_TRAIN_LOSS] = {"loss", RA_SETTING_NAME, AT(loss), .names = loss_names, .fallback = "mse",
        .argument = "NAME"},
    [RA_TRAIN_PENALTY] = {"penalty", RA_SETTING_REAL, AT(penalty), .min = -1e30, .max = 1e30,
        .argument = "X", .help = "weight of the loss's second term; elastic: its alpha"},
    [RA_TRAIN_TARGET_L0] = {"target_l0", RA_SETTING_REAL, AT(target_l0), .max = 1e9, .fallback = "0",
        .argument = "L", .help = "active latents per row: the penalty is adapted to reach them; 0: it stays"},
    [RA_TRAIN_LR] = {"lr", RA_SETTING_REAL, AT(lr), .max = 1e6, .fallback = "0.0005", .argument = "X",
        .help = "learning rate of Adam"},
    [RA_TRAIN_THRESHOLD_RATE] = {"threshold_rate", RA_SETTING_REAL, AT(threshold_rate), .max = 1e6,
        .fallback = "1", .argument = "X", .help = "learning rate of jumprelu's thresholds, in units of --lr"},
    [RA_TRAIN_SCHEDULE] = {"schedule", RA_SETTING_NAME, AT(schedule), .names = schedule_names,
        .fallback = "constant", .argument = "NAME"},
    [RA_TRAIN_LR_FINAL] = {"lr_final", RA_SETTING_REAL, AT(lr_final), .max = 1e6, .argument = "X",
        .help = "learning rate at which cosine and linear end"},
    [RA_TRAIN_WARMUP] = {"warmup", RA_SETTING_COUNT, AT(warmup), .max = 2147483647, .fallback = "0",
        .argument = "S", .help = "steps of linear warm-up"},
    [RA_TRAIN_BATCH_SIZE] = {"batch_size", RA_SETTING_COUNT, AT(batch_size), .min = 1, .max = 2147483647,
        .fallback = "1024", .argument = "B", .help = "rows per step"},
    [RA_TRAIN_EPOCHS] = {"epochs", RA_SETTING_COUNT, AT(epochs), .min = 1, .max = 2147483647,
        .fallback = "20", .argument = "E", .help = "passes over the data"},
    [RA_TRAIN_STEPS] = {"steps", RA_SETTING_COUNT, AT(steps), .min = 1, .max = 2147483647, .argument = "S",
        .help = "steps, instead of epochs"},
    [RA_TRAIN_CLIP_GRAD] = {"clip_grad", RA_SETTING_REAL, AT(clip_grad), .max = 1e30, .fallback = "1",
        .argument = "X", .help = "largest norm of the gradient; 0: no limit"},
    [RA_TRAIN_SHUFFLE] = {"shuffle", RA_SETTING_BOOL, AT(shuffle), .flag = "no-shuffle", .fallback = "true",
        .help = "take the rows in order"},
    [RA_TRAIN_SEED] = {"seed", RA_SETTING_COUNT, AT(seed), .max = 9007199254740992.0, .fallback = "0",
        .argument = "N", .help = "seed of every random choice except the points"},
    [RA_TRAIN_SHUFFLE_SEED] = {"shuffle_seed", RA_SETTING_COUNT, AT(shuffle_seed),
        .max = 9007199254740992.0, .argument = "N", .help = "seed of the order of the rows (--seed)"},
    [RA_TRAIN_WINDOW_SEED] = {"window_seed", RA_SETTING_COUNT, AT(window_seed), .max = 9007199254740992.0,
        .argument = "N", .help = "seed of which million rows are shuffled together (--shuffle-seed)"},
    [RA_TRAIN_WINDOW] = {"window", RA_SETTING_COUNT, AT(window), .min = 1, .max = 9007199254740992.0,
        .argument = "ROWS",
        .help = "rows that are shuffled together (a million; of data larger than memory, as many as fit)"},
    [RA_TRAIN_STANDARDIZE] = {"standardize", RA_SETTING_NAME, AT(standardize), .names = standardize_names,
        .fallback = "none", .argument = "HOW",
        .help = "none, element or global: subtract the mean, divide by the deviation"},
    [RA_TRAIN_OPTIMIZER] = {"optimizer", RA_SETTING_NAME, AT(optimizer), .names = optimizer_names,
        .fallback = "adam", .argument = "NAME"},
    [RA_TRAIN_WEIGHT_DECAY] = {"weight_decay", RA_SETTING_REAL, AT(weight_decay), .max = 1e6,
        .argument = "X", .help = "weight decay of adamw"},
    [RA_TRAIN_BETA1] = {"beta1", RA_SETTING_REAL, AT(beta1), .max = 0.99999999, .fallback = "0.9",
        .argument = "X", .help = "decay of the gradient's running mean"},
    [RA_TRAIN_BETA2] = {"beta2", RA_SETTING_REAL, AT(beta2), .max = 0.99999999, .fallback = "0.999",
        .argument = "X", .help = "decay of the running mean of its square"},
    [RA_TRAIN_INIT] = {"init", RA_SETTING_NAME, AT(init), .flag = "init-weights", .names = init_names,
        .argument = "NAME", .help = "start of the atoms: eye, permuted, random, kmeans; of plain ones: xavier, points"},
    [RA_TRAIN_POINTS_METHOD] = {"points_method", RA_SETTING_NAME, AT(points_method),
        .names = points_method_names, .argument = "NAME",
        .help = "kmeans, sample (random rows) or all (every row)"},
    [RA_TRAIN_KMEANS] = {"kmeans", RA_SETTING_NAME, AT(kmeans), .names = kmeans_names, .argument = "NAME"},
    [RA_TRAIN_POINTS_ROWS] = {"points_rows", RA_SETTING_COUNT, AT(points_rows), .min = 1, .max = 2147483647,
        .argument = "M", .help = "k-means on a random sample of M rows"},
    [RA_TRAIN_POINTS_ITERATIONS] = {"points_iterations", RA_SETTING_COUNT, AT(points_iterations), .min = 1,
        .max = 2147483647, .argument = "I", .help = "most iterations of k-means"},
    [RA_TRAIN_POINTS_SEED] = {"points_seed", RA_SETTING_COUNT, AT(points_seed), .max = 9007199254740992.0,
        .argument = "N", .help = "seed of the points' random choices (0)"},
    [RA_TRAIN_ENCODER_START] = {"encoder_start", RA_SETTING_NAME, AT(encoder_start), .names = start_names,
        .fallback = "uniform", .argument = "NAME",
        .help = "start of the encoder: uniform (at random) or dictionary (along the atoms)"},
    [RA_TRAIN_PRECISION] = {"precision", RA_SETTING_NAME, AT(precision), .names = precision_names,
        .fallback = "float32", .argument = "NAME",
        .help = "what the products of a step take: float32, or on a GPU tf32 or bf16, which are faster"},
};
/* clang-format on */

const ra_settings_table *ra_train_settings_table(void) {
    static const ra_settings_table table = {rows, sizeof rows / sizeof *rows};
    return &table;
}

ra_status ra_train_settings_read(const ra_safetensors *file, ra_train_settings *settings, ra_error *err) {
    *settings = (ra_train_settings){0};
    return ra_settings_read(ra_train_settings_table(), file, settings, err);
}

#define BIT(setting) ((uint64_t)1 << RA_TRAIN_##setting)
#define PENALTY(ID, name, penalty) penalty,

void ra_train_settings_defaults(ra_train_settings *settings) {
    static const double penalties[] = {RA_LOSSES(PENALTY)};
    const ra_settings_table *table = ra_train_settings_table();
    ra_settings_default(table, settings);
    const ra_train_settings others = {
        /* that follow from these */
        .known = BIT(PENALTY) | BIT(LR_FINAL) | BIT(SHUFFLE_SEED) | BIT(WEIGHT_DECAY),
        .penalty = penalties[settings->loss],
        .lr_final = settings->lr / 100,
        .shuffle_seed = settings->seed,
        .weight_decay = settings->optimizer == RA_OPTIMIZER_ADAMW ? 0.01 : 0,
    };
    ra_settings_fill(table, settings, &others);
    const ra_train_settings last = {.known = BIT(WINDOW_SEED), .window_seed = settings->shuffle_seed};
    ra_settings_fill(table, settings, &last);
}

ra_status ra_train_settings_check(const ra_train_settings *settings, const ra_sae_settings *sae,
                                  ra_error *err) {
    if (settings->weight_decay > 0 && settings->optimizer != RA_OPTIMIZER_ADAMW)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the weight decay is %g, but the optimizer %s has none; take adamw",
                settings->weight_decay, optimizer_names[settings->optimizer]);
    bool sparse = settings->loss == RA_LOSS_L0 || settings->loss == RA_LOSS_MSE_L1;
    if (settings->target_l0 > 0 && (!sparse || !(settings->penalty > 0)))
        RA_FAIL(
            err, RA_ERR_ARGUMENT,
            "--target-l0 adapts the penalty of the losses l0 and mse_l1, which is above 0; the loss is %s "
            "with a penalty of %g",
            loss_names[settings->loss], settings->penalty);
    return ra_loss_check((ra_loss)settings->loss, settings->penalty, sae, err);
}

ra_status ra_train_check_precision(const ra_train_settings *settings, ra_backend *backend, ra_error *err) {
    ra_error reason;
    if (!ra_setting_known(settings, RA_TRAIN_PRECISION) || settings->precision == RA_PRECISION_FLOAT32)
        return RA_OK;
    if (ra_backend_products(backend, (ra_precision)settings->precision, &reason) != RA_OK)
        RA_FAIL(err, RA_ERR_DEVICE,
                "--precision %s needs a GPU that multiplies such numbers (--device cuda), but %s; take "
                "--precision float32",
                precision_names[settings->precision], reason.message);
    return ra_backend_products(backend, RA_PRECISION_FLOAT32, err);
}
