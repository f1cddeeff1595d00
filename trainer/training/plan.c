/* Which settings hold.
 *
 * A flag wins over the metadata of --init, and the metadata over the defaults; but a flag that takes the place of
 * another setting takes it away from the metadata, too: --epochs beats a stored number of steps, another --loss does
 * not inherit the penalty of the stored one, nor another --lr the end of its cosine.
 *
 * Defaults for a newcomer. The paper takes K = 5 d concepts, and each atom starts on a point of its own (W = eye), so
 * K is at most the number of points: atoms beyond it would start as zeros, and most would stay so. k is a tenth of K
 * as in the reference, but at most 32, and at most an eighth of d: with more latents active than that a
 * reconstruction is easy and its latents say little. Batches of 1024, as the authors take for millions of rows, would
 * leave small data with a handful of steps: those get smaller ones. The l1 term is a sum over the batch while the mse
 * is a mean, so that one penalty for all shapes would silence every latent of a large batch: ours is in units of the
 * squared error of a row.
 *
 * Where the reference starts its encoder at random and keeps the learning rate, an archetypal encoder starts along
 * its atoms, takes small steps and lets them fade: runs that differ in --seed then end at nearly the same dictionary
 * and explain more (`make study` has the figures). For the same reason k-means has a seed of its own (so that seeds
 * share their points), and finds one point per concept when --concepts is given: atoms that start at all of the
 * points start alike in whatever order these come. Small steps need some number of them: small data is passed over
 * more often. */
#include "training/training.h"

#include "app/format.h"

#include <stdlib.h>

enum {
    CONCEPTS_PER_DIMENSION = 5,
    TOP_K_MOST = 32,
    BATCH_MOST = 1024,
    BATCH_LEAST = 64,
    EPOCHS_LEAST = 20,
    STEPS_LEAST = 4000,
    STEPS_PER_EPOCH = 32, /* at least, while batches are not smaller than BATCH_LEAST */
};

static const double L1_OF_A_ROW = 0.03, HULL_SHARE = 0.905, LR_DENSE = 4e-4, LR = 2e-3;
static const double DELTA_DENSE = 1, DELTA = 0.5; /* of mixtures in units of the points' mean norm */
enum { MIXTURE = 8 };

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t most(size_t a, size_t b) {
    return a > b ? a : b;
}

/* ---- defaults ---------------------------------------------------------------------------------------- */

/* Where the trainer takes another default than the library, whose defaults are the reference's. */
static const ra_sae_settings own_sae = {.known = 1 << RA_SET_SAE, .sae = RA_SAE_TOPK};
static const ra_train_settings own_train = {.known = 1 << RA_TRAIN_SCHEDULE, .schedule = RA_SCHEDULE_COSINE};

/* In log space Adam moves thresholds by about the rate in a step, so at that of the weights no penalty takes them to where
 * it asks, and a narrow kernel sees too few pre-codes near them: on the standardized digits penalties of 0.1 and 1 end at
 * the same 4.4 active latents, and with a bandwidth of 0.001 all end above 60. With these a target is reached to 1 %. */
static const double BANDWIDTH = 0.03, THRESHOLD_RATE = 10;

/* The other settings of the autoencoder follow from its kind. */
static void default_sae(ra_sae_settings *sae) {
    bool plain = ra_setting_known(sae, RA_SET_DICTIONARY) && sae->dictionary != RA_DICTIONARY_ARCHETYPAL;
    bool mixtures = !plain && (!ra_setting_known(sae, RA_SET_MIXTURE) || sae->mixture > 0);
    const ra_sae_settings archetypal = {.known = 1 << RA_SET_DELTA | (plain ? 0 : 1 << RA_SET_MIXTURE) |
                                                 (mixtures ? 1 << RA_SET_HULL_SHARE : 0),
                                        .delta = mixtures ? DELTA : DELTA_DENSE,
                                        .delta_relative = mixtures,
                                        .mixture = MIXTURE,
                                        .hull_share = HULL_SHARE};
    ra_settings_fill(ra_sae_settings_table(), sae, &own_sae);
    const ra_sae_settings jumprelu = {.known = 1 << RA_SET_BANDWIDTH, .bandwidth = BANDWIDTH};
    if (sae->sae == RA_SAE_JUMPRELU) ra_settings_fill(ra_sae_settings_table(), sae, &jumprelu);
    ra_settings_fill(ra_sae_settings_table(), sae, &archetypal);
    ra_sae_settings_defaults(sae);
}

/* A dense W moves by the learning rate at every entry, and takes small steps; an atom that moves as a whole takes
 * those of a plain dictionary. */
static double default_rate(const ra_sae_settings *sae) {
    bool dense = sae->dictionary == RA_DICTIONARY_ARCHETYPAL && sae->mixture == 0;
    return dense ? LR_DENSE : LR;
}

void train_plan_defaults(ra_sae_settings *sae, ra_train_settings *train) {
    static const enum ra_train_setting in_words[] = {RA_TRAIN_LOSS, RA_TRAIN_SCHEDULE, RA_TRAIN_BATCH_SIZE,
                                                     RA_TRAIN_EPOCHS, RA_TRAIN_ENCODER_START};
    *sae = (ra_sae_settings){0};
    default_sae(sae);
    *train = own_train;
    train->lr = LR;
    train_know(train, RA_TRAIN_LR);
    ra_settings_default(ra_train_settings_table(), train);
    for (size_t i = 0; i < sizeof in_words / sizeof *in_words; i++) ra_setting_forget(train, in_words[i]);
}

static size_t default_epochs(const ra_train_settings *train, size_t rows) {
    size_t epoch = ra_train_steps_per_epoch(train, rows);
    return most(EPOCHS_LEAST, (STEPS_LEAST + epoch - 1) / epoch);
}

size_t train_plan_steps(const ra_train_settings *settings, size_t rows) {
    size_t epochs = ra_setting_known(settings, RA_TRAIN_EPOCHS) ? settings->epochs : 0;
    if (ra_setting_known(settings, RA_TRAIN_STEPS)) return settings->steps;
    return (epochs ? epochs : default_epochs(settings, rows)) * ra_train_steps_per_epoch(settings, rows);
}

/* Fills what neither a flag nor a file has said; sae: all that will hold. */
static void default_train(const ra_sae_settings *sae, const train_inputs *inputs, ra_train_settings *train) {
    size_t rows = ra_data_rows(inputs->data);
    /* Plain mse asks for no sparsity, so the kinds that do not bound the number of active latents need the l1
     * term. */
    if (!ra_setting_known(train, RA_TRAIN_LOSS) && ra_setting_known(sae, RA_SET_SAE)) {
        train->loss = ra_sae_needs(sae, RA_SET_TOP_K) ? RA_LOSS_MSE : RA_LOSS_MSE_L1;
        train_know(train, RA_TRAIN_LOSS);
    }
    if (!ra_setting_known(train, RA_TRAIN_BATCH_SIZE)) {
        train->batch_size = least(rows, least(BATCH_MOST, most(BATCH_LEAST, rows / STEPS_PER_EPOCH)));
        train_know(train, RA_TRAIN_BATCH_SIZE);
    }
    bool steps = ra_setting_known(train, RA_TRAIN_STEPS);
    if (!ra_setting_known(train, RA_TRAIN_EPOCHS) && !steps && !inputs->init) {
        train->epochs = default_epochs(train, rows);
        train_know(train, RA_TRAIN_EPOCHS);
    }
    if (!ra_setting_known(train, RA_TRAIN_PENALTY) && train->loss == RA_LOSS_MSE_L1) {
        double batch = (double)ra_train_batch_rows(train, rows);
        train->penalty = L1_OF_A_ROW / (batch * (double)ra_data_dimensions(inputs->data));
        train_know(train, RA_TRAIN_PENALTY);
    }
    ra_train_settings own = own_train;
    own.lr = default_rate(sae);
    train_know(&own, RA_TRAIN_LR);
    own.threshold_rate = sae->sae == RA_SAE_JUMPRELU ? THRESHOLD_RATE : 1;
    train_know(&own, RA_TRAIN_THRESHOLD_RATE);
    /* The number of steps may be raised later, which a schedule over the whole length does not allow. */
    if (steps) own.schedule = RA_SCHEDULE_CONSTANT;
    if (!inputs->init) /* a checkpoint of the reference may not say all */
        ra_settings_fill(ra_train_settings_table(), train, &own);
    ra_train_settings_defaults(train);
}

/* ---- with --init ------------------------------------------------------------------------------------- */

/* Takes what the file says, except settings that a flag replaces. */
static void fill_from_init(ra_train_settings stored, const ra_train_settings *flags,
                           ra_train_settings *train) {
    if (ra_setting_known(flags, RA_TRAIN_EPOCHS)) ra_setting_forget(&stored, RA_TRAIN_STEPS);
    if (ra_setting_known(flags, RA_TRAIN_LR)) ra_setting_forget(&stored, RA_TRAIN_LR_FINAL);
    if (ra_setting_known(flags, RA_TRAIN_LOSS) && flags->loss != stored.loss)
        ra_setting_forget(&stored, RA_TRAIN_PENALTY);
    if (ra_setting_known(flags, RA_TRAIN_OPTIMIZER) && flags->optimizer != stored.optimizer)
        ra_setting_forget(&stored, RA_TRAIN_WEIGHT_DECAY);
    ra_settings_fill(ra_train_settings_table(), train, &stored);
}

/* K, N and d come from the shapes. If a file lacks these tensors, the library reports it when it opens the
 * file. */
static ra_status plan_from_init(const train_options *options, const train_inputs *inputs, train_plan *plan,
                                ra_error *err) {
    const ra_tensor *W = ra_safetensors_find(inputs->init, "dictionary.W");
    if (!W) W = ra_safetensors_find(inputs->init, "dictionary.W.index");
    const ra_tensor *C = ra_safetensors_find(inputs->init, "dictionary.C");
    const ra_tensor *weights = ra_safetensors_find(inputs->init, "dictionary._weights");
    const ra_tensor *wide = C ? C : weights, *tall = W ? W : weights;
    size_t d = ra_data_dimensions(inputs->data);
    plan->source = weights ? POINTS_NONE : POINTS_INIT;
    if (!wide || !tall || wide->rank != 2 || tall->rank != 2) return RA_OK;
    plan->concepts = tall->shape[0];
    plan->points = C ? C->shape[0] : 0;
    if (wide->shape[1] != d)
        RA_FAIL(err, RA_ERR_SHAPE, "the data %s has %zu dimensions per row, but --init %s has %zu",
                options->data[0], d, options->init, wide->shape[1]);
    if (ra_setting_known(&options->train, RA_TRAIN_CONCEPTS) && options->train.concepts != plan->concepts)
        RA_FAIL(err, RA_ERR_ARGUMENT, "--concepts is %zu, but --init %s has %zu", options->train.concepts,
                options->init, plan->concepts);
    return RA_OK;
}

/* ---- from the data ----------------------------------------------------------------------------------- */

/* Candidates that were given for their names, such as the words of a vocabulary, come in an order of their own: on
 * the first of them half of the latents die, on mixtures of random ones a sixth (200 concepts, 5,000 words). */
static ra_init default_init(const train_plan *plan) {
    bool candidates = plan->sae.mixture > 0 && plan->source == POINTS_FILE && plan->points > plan->concepts;
    if (plan->sae.dictionary != RA_DICTIONARY_ARCHETYPAL) return RA_INIT_XAVIER;
    if (train_plan_reads_rows(plan)) return RA_INIT_KMEANS;
    return candidates ? RA_INIT_RANDOM : RA_INIT_EYE;
}

/* Where the atoms and the encoder start: names that go with the dictionary. */
static ra_status plan_start(train_plan *plan, ra_error *err) {
    const ra_sae_settings *sae = &plan->sae;
    ra_train_settings *train = &plan->train;
    bool archetypal = sae->dictionary == RA_DICTIONARY_ARCHETYPAL, reads_rows = train_plan_reads_rows(plan);
    bool own = !ra_sae_encodes_with_dictionary(sae); /* the encoder has weights of its own */
    const ra_train_settings defaults = {.known = 1 << RA_TRAIN_INIT | 1 << RA_TRAIN_ENCODER_START,
                                        .init = default_init(plan),
                                        .encoder_start = archetypal && own ? RA_ENCODER_START_DICTIONARY
                                                                           : RA_ENCODER_START_UNIFORM};
    ra_settings_fill(ra_train_settings_table(), train, &defaults);
    if (train->encoder_start == RA_ENCODER_START_DICTIONARY && !own)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "--encoder-start dictionary needs an encoder with weights of its own; mp and tied "
                "encode with the dictionary itself");
    bool plain_init = train->init == RA_INIT_XAVIER || train->init == RA_INIT_POINTS;
    if (train->init == RA_INIT_KMEANS && !reads_rows)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "--init-weights kmeans is for mixtures of rows (--points all, without --mixture dense)");
    if (archetypal != plain_init) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT, "--init-weights can be %s with %s dictionary",
            reads_rows   ? "kmeans, eye, permuted or random"
            : archetypal ? "eye, permuted or random"
                         : "xavier or points",
            archetypal ? "an archetypal" : "a plain");
}

static ra_status plan_from_data(const train_options *options, const train_inputs *inputs, train_plan *plan,
                                ra_error *err) {
    size_t d = ra_data_dimensions(inputs->data), rows = ra_data_rows(inputs->data);
    ra_sae_settings *sae = &plan->sae;
    default_sae(sae);
    RA_TRY(ra_sae_settings_check(sae, err));
    bool plain = sae->dictionary != RA_DICTIONARY_ARCHETYPAL;
    bool on_points = ra_setting_known(&plan->train, RA_TRAIN_INIT) && plan->train.init == RA_INIT_POINTS;
    if (!plain || on_points) RA_TRY(train_plan_points(options, inputs, plan, err));
    plan->concepts = ra_setting_known(&plan->train, RA_TRAIN_CONCEPTS)
                         ? plan->train.concepts
                         : least(CONCEPTS_PER_DIMENSION * d, plan->points ? plan->points : rows);
    RA_TRY(plan_start(plan, err));
    if (!ra_setting_known(sae, RA_SET_TOP_K) && ra_sae_needs(sae, RA_SET_TOP_K)) {
        sae->top_k = most(1, least(TOP_K_MOST, least(plan->concepts / 10, d / 8)));
        sae->known |= 1 << RA_SET_TOP_K;
    }
    return train_plan_check_points(options, plan, rows, err);
}

/* ---- what cannot work -------------------------------------------------------------------------------- */

/* Trained numbers are held four times (value, gradient, two moments of Adam), in addition to D, its gradient
 * and some matrices [B,K] of a batch. A rough figure, but it saves hours of k-means before a failure. */
static double memory_needed(const train_plan *plan, size_t d, size_t rows) {
    double K = (double)plan->concepts, N = (double)plan->points, width = (double)d;
    double batch = (double)ra_train_batch_rows(&plan->train, rows);
    double T = (double)plan->sae.mixture, held = train_plan_reads_rows(plan) ? K * T : N; /* rows of C */
    double trained = (T > 0 ? 0 : K * N) + 2 * K * width + K;
    return sizeof(float) * (4 * trained + held * width + K * T * T + 2 * K * width + 4 * batch * K);
}

double train_plan_bytes(const train_plan *plan, const train_inputs *inputs, size_t models) {
    return (double)models * memory_needed(plan, ra_data_dimensions(inputs->data), ra_data_rows(inputs->data));
}

static ra_status check_memory(const train_plan *plan, const train_inputs *inputs, size_t models,
                              ra_error *err) {
    size_t rows = ra_data_rows(inputs->data);
    double needed = train_plan_bytes(plan, inputs, models), there = (double)ra_data_memory(inputs->data);
    if (needed <= there) return RA_OK;
    RA_FAIL(err, RA_ERR_TOO_LARGE,
            "%zu concepts on %zu points with batches of %zu need about %s of memory, but there are "
            "%s (this machine's memory, or the limit of this process or of its container); take fewer "
            "--concepts or --points, or a smaller --batch-size",
            plan->concepts, plan->points, ra_train_batch_rows(&plan->train, rows),
            format_bytes((uint64_t)(needed < 1e19 ? needed : 1e19)).text, format_bytes((uint64_t)there).text);
}

static ra_status check_labels(const train_options *options, const train_inputs *inputs, ra_error *err) {
    size_t rows = ra_data_source_rows(inputs->data); /* of the files: skipped rows have labels, too */
    if (!inputs->labels || ra_labels_count(inputs->labels) == rows) return RA_OK;
    RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu labels, but the data has %zu rows; expected one per row",
            options->labels, ra_labels_count(inputs->labels), rows);
}

static ra_status check_top_k(const ra_sae_settings *sae, const train_plan *plan, ra_error *err) {
    if (!ra_sae_needs(sae, RA_SET_TOP_K) || !ra_setting_known(sae, RA_SET_TOP_K)) return RA_OK;
    if (plan->concepts == 0 || sae->top_k <= plan->concepts) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "top_k is %zu, but there are only %zu concepts; take a smaller --top-k or more --concepts%s",
            sae->top_k, plan->concepts,
            sae->sae == RA_SAE_BATCHTOPK
                ? " (it counts a row; if it is overcomplete's, which counts a batch, give its --batch-size)"
                : "");
}

/* --seeds gives the first; the seeds of the rows' order follow the seed unless a flag or the file sets them. */
static void plan_seeds(const train_options *options, const train_inputs *inputs, ra_train_settings *train) {
    const ra_train_settings *flags = &options->train;
    bool another = !inputs->init || options->seeds;
    if (options->seeds) train->seed = strtoull(options->seeds, NULL, 10);
    if (!ra_setting_known(flags, RA_TRAIN_SHUFFLE_SEED) &&
        (another || ra_setting_known(flags, RA_TRAIN_SEED)))
        train->shuffle_seed = train->seed;
    if (!ra_setting_known(flags, RA_TRAIN_WINDOW_SEED) && another) train->window_seed = train->shuffle_seed;
}

ra_status train_plan_make(const train_options *options, const train_inputs *inputs, size_t models,
                          train_plan *plan, ra_error *err) {
    ra_sae_settings sae = {0}; /* of the file; then all that will hold, as far as it is known here */
    ra_train_settings stored = {0}, *train = &plan->train;
    *plan = (train_plan){.sae = options->model.settings, .train = options->train};
    RA_TRY(check_labels(options, inputs, err));
    if (inputs->init) {
        RA_TRY(ra_sae_settings_read(inputs->init, &sae, err));
        RA_TRY(ra_train_settings_read(inputs->init, &stored, err));
        RA_TRY(plan_from_init(options, inputs, plan, err));
        fill_from_init(stored, &options->train, train);
    } else
        RA_TRY(plan_from_data(options, inputs, plan, err));
    ra_settings_override(ra_sae_settings_table(), &sae, &plan->sae);
    RA_TRY(check_top_k(&sae, plan, err));
    default_train(&sae, inputs, train);
    plan_seeds(options, inputs, train);
    RA_TRY(ra_train_settings_check(train, &sae, err));
    train->concepts = plan->concepts;
    train_know(train, RA_TRAIN_CONCEPTS);
    if (!inputs->init) /* else they describe the points of that file */
        train_plan_points_settings(plan, train);
    RA_TRY(train_plan_standardize(options, inputs, &stored, plan, err));
    return check_memory(plan, inputs, models, err);
}
