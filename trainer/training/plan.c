/* Which settings hold.
 *
 * A flag wins over the metadata of --init, that over the defaults; but a flag that takes the place of another
 * setting takes it away from the metadata too: --epochs beats a stored number of steps, another --loss does
 * not inherit the penalty of the stored one, nor another --lr the end of its cosine.
 *
 * Defaults for a newcomer. The paper takes K = 5 d concepts, and each atom starts on a point of its own
 * (W = eye), so K is not let above the number of points: atoms beyond it would start as zeros, and most would
 * stay so. k is a tenth of K as in the reference, but at most 32, and at most an eighth of d: with more
 * latents active than that a reconstruction is easy and its latents say little. Batches of 1024, as the
 * authors take for millions of rows, would leave small data with a handful of steps: those get smaller ones.
 * The l1 term is a sum over the batch while the mse is a mean, so that one penalty for all shapes would
 * silence every latent of a large batch: ours is in units of the squared error of a row.
 *
 * Where the reference starts its encoder at random and keeps the learning rate, an archetypal encoder starts
 * along its atoms, takes small steps and lets them fade: runs that differ in --seed then end at nearly the
 * same dictionary and explain more (`make study` has the figures). For the same reason k-means has a seed of
 * its own (so that seeds share their points), and finds one point a concept where --concepts is given: atoms
 * that start at all of the points start alike in whatever order these come. Small steps need some number of
 * them: small data is passed over more often. */
#include "training/training.h"

#include "app/format.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CONCEPTS_A_DIMENSION = 5,
    TOP_K_MOST = 32,
    BATCH_MOST = 1024,
    BATCH_LEAST = 64,
    EPOCHS_LEAST = 20,
    STEPS_LEAST = 4000,
    STEPS_AN_EPOCH = 32, /* at least, while batches are not smaller than BATCH_LEAST */
};

static const double L1_OF_A_ROW = 0.03, LEARNING_RATE = 4e-4;

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t most(size_t a, size_t b) {
    return a > b ? a : b;
}

/* ---- settings by their flag -------------------------------------------------------------------------- */

static uint32_t train_bit(const char *flag) {
    int row = ra_setting_by_flag(ra_train_settings_table(), flag);
    return row < 0 ? 0 : (uint32_t)1 << row;
}

bool train_knows(const ra_train_settings *settings, const char *flag) {
    return (settings->known & train_bit(flag)) != 0;
}

static bool sae_knows(const ra_sae_settings *settings, enum ra_sae_setting row) {
    return ra_setting_known(settings, row);
}

bool sae_takes_top_k(const ra_sae_settings *settings) {
    return sae_knows(settings, RA_SET_SAE) &&
           (settings->sae == RA_SAE_TOPK || settings->sae == RA_SAE_BATCHTOPK || settings->sae == RA_SAE_MP);
}

/* Plain mse asks for no sparsity, so the kinds that do not bound the number of active latents need the l1
 * term. */
static int default_loss(const ra_sae_settings *sae) {
    return sae_takes_top_k(sae) ? RA_LOSS_MSE : RA_LOSS_MSE_L1;
}

/* Of what has not been said: where the trainer takes another value than the library, whose defaults are the
 * reference's. A run whose length is a number of steps may be continued to a larger number, which a schedule
 * over the whole length would not survive. */
static void prefer(ra_train_settings *train) {
    const ra_train_settings preferred = {.known = train_bit("lr") | train_bit("schedule"),
                                         .lr = LEARNING_RATE,
                                         .schedule = train_knows(train, "steps") ? RA_SCHEDULE_CONSTANT
                                                                                 : RA_SCHEDULE_COSINE};
    ra_settings_fill(ra_train_settings_table(), train, &preferred);
}

void train_plan_defaults(ra_sae_settings *sae, ra_train_settings *train) {
    *sae = (ra_sae_settings){.known = 1u << RA_SET_SAE | 1u << RA_SET_DELTA, .sae = RA_SAE_TOPK, .delta = 1};
    ra_sae_settings_defaults(sae);
    *train = (ra_train_settings){0};
    prefer(train);
    ra_train_settings_defaults(train);
    /* these depend on others: --help explains them in words */
    train->known &=
        ~(train_bit("loss") | train_bit("penalty") | train_bit("batch-size") | train_bit("lr-final") |
          train_bit("weight-decay") | train_bit("encoder-start") | train_bit("epochs") |
          train_bit("schedule") | train_bit("shuffle-seed") | train_bit("window-seed"));
}

/* Fills what neither a flag nor a file has said. */
static void default_train(const ra_sae_settings *sae, const train_inputs *inputs, ra_train_settings *train) {
    const ra_data *data = inputs->data;
    size_t rows = ra_data_rows(data);
    if (!train_knows(train, "loss") && sae_knows(sae, RA_SET_SAE)) {
        train->loss = default_loss(sae);
        train->known |= train_bit("loss");
    }
    if (!train_knows(train, "batch-size")) {
        train->batch_size = least(rows, least(BATCH_MOST, most(BATCH_LEAST, rows / STEPS_AN_EPOCH)));
        train->known |= train_bit("batch-size");
    }
    if (!train_knows(train, "epochs") && !train_knows(train, "steps") && !inputs->init) {
        size_t epoch = ra_train_steps_per_epoch(train, rows);
        train->epochs = most(EPOCHS_LEAST, (STEPS_LEAST + epoch - 1) / epoch);
        train->known |= train_bit("epochs");
    }
    if (!train_knows(train, "penalty") && train->loss == RA_LOSS_MSE_L1) {
        double numbers = (double)ra_train_batch_rows(train, rows) * (double)ra_data_dimensions(data);
        train->penalty = L1_OF_A_ROW / numbers;
        train->known |= train_bit("penalty");
    }
    if (!inputs->init) prefer(train); /* a checkpoint may be the reference's, which has not said all */
    ra_train_settings_defaults(train);
}

static ra_status resolve_train(const train_options *options, const train_inputs *inputs,
                               const ra_sae_settings *sae, ra_train_settings *train, ra_error *err) {
    const ra_train_settings *flags = &options->train;
    ra_train_settings stored = {0};
    if (inputs->init) RA_TRY(ra_train_settings_read(inputs->init, &stored, err));
    if (train_knows(flags, "epochs")) stored.known &= ~train_bit("steps");
    if (train_knows(flags, "lr")) stored.known &= ~train_bit("lr-final");
    if (train_knows(flags, "loss") && flags->loss != stored.loss) stored.known &= ~train_bit("penalty");
    if (train_knows(flags, "optimizer") && flags->optimizer != stored.optimizer)
        stored.known &= ~train_bit("weight-decay");
    *train = *flags;
    ra_settings_fill(ra_train_settings_table(), train, &stored);
    default_train(sae, inputs, train);
    return RA_OK;
}

/* ---- with --init ------------------------------------------------------------------------------------- */

/* K, N and d are in the shapes. A file without those tensors is explained by the library when it opens it. */
static ra_status plan_from_init(const train_options *options, const train_inputs *inputs, train_plan *plan,
                                ra_error *err) {
    const ra_tensor *W = ra_safetensors_find(inputs->init, "dictionary.W");
    const ra_tensor *C = ra_safetensors_find(inputs->init, "dictionary.C");
    const ra_tensor *weights = ra_safetensors_find(inputs->init, "dictionary._weights");
    const ra_tensor *wide = C ? C : weights, *tall = W ? W : weights;
    size_t d = ra_data_dimensions(inputs->data);
    plan->source = weights ? POINTS_NONE : POINTS_INIT;
    if (!wide || !tall || wide->rank != 2 || tall->rank != 2) return RA_OK;
    plan->concepts = tall->shape[0];
    plan->points = C ? C->shape[0] : 0;
    if (wide->shape[1] != d)
        RA_FAIL(err, RA_ERR_SHAPE, "the data %s has %zu dimensions a row, but --init %s has %zu",
                options->data[0], d, options->init, wide->shape[1]);
    if (train_knows(&options->train, "concepts") && options->train.concepts != plan->concepts)
        RA_FAIL(err, RA_ERR_ARGUMENT, "--concepts is %zu, but --init %s has %zu", options->train.concepts,
                options->init, plan->concepts);
    return RA_OK;
}

/* ---- from the data ----------------------------------------------------------------------------------- */

/* Where the atoms and the encoder start: names that go with the dictionary. */
static ra_status plan_init(const train_options *options, const ra_sae_settings *sae, ra_train_settings *train,
                           ra_error *err) {
    bool archetypal = sae->dictionary == RA_DICTIONARY_ARCHETYPAL;
    train->init = archetypal ? RA_INIT_EYE : RA_INIT_XAVIER;
    if (train_knows(&options->train, "init-weights")) train->init = options->train.init;
    train->known |= train_bit("init-weights");
    bool own = sae->sae != RA_SAE_MP && sae->encoder != RA_ENCODER_TIED; /* a weight of its own */
    train->encoder_start = archetypal && own ? RA_ENCODER_START_DICTIONARY : RA_ENCODER_START_UNIFORM;
    if (train_knows(&options->train, "encoder-start")) train->encoder_start = options->train.encoder_start;
    train->known |= train_bit("encoder-start");
    if (train->encoder_start == RA_ENCODER_START_DICTIONARY && !own)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "--encoder-start dictionary needs an encoder with weights of its own; mp and tied "
                "encode with the dictionary itself");
    bool plain_init = train->init == RA_INIT_XAVIER || train->init == RA_INIT_POINTS;
    if (archetypal != plain_init) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT, "--init-weights can be %s with %s dictionary",
            archetypal ? "eye, permuted or random" : "xavier or points",
            archetypal ? "an archetypal" : "a plain");
}

static ra_status plan_from_data(const train_options *options, const train_inputs *inputs, train_plan *plan,
                                ra_error *err) {
    size_t d = ra_data_dimensions(inputs->data), rows = ra_data_rows(inputs->data);
    ra_sae_settings *sae = &plan->sae;
    ra_sae_settings defaults;
    ra_train_settings unused;
    train_plan_defaults(&defaults, &unused);
    if (sae_knows(sae, RA_SET_SAE)) ra_sae_settings_defaults(sae); /* some depend on the kind */
    ra_settings_fill(ra_sae_settings_table(), sae, &defaults);
    RA_TRY(ra_sae_settings_check(sae, err));
    RA_TRY(plan_init(options, sae, &plan->train, err));
    bool on_points = plan->train.init != RA_INIT_XAVIER;
    if (on_points) RA_TRY(train_plan_points(options, inputs, plan, err));
    size_t bound = plan->points ? plan->points : rows;
    plan->concepts = train_knows(&options->train, "concepts") ? options->train.concepts
                                                              : least(CONCEPTS_A_DIMENSION * d, bound);
    if (!sae_knows(sae, RA_SET_TOP_K) && sae_takes_top_k(sae)) {
        sae->top_k = most(1, least(TOP_K_MOST, least(plan->concepts / 10, d / 8)));
        sae->known |= 1u << RA_SET_TOP_K;
    }
    return RA_OK;
}

/* ---- what cannot work -------------------------------------------------------------------------------- */

/* Trained numbers are held four times (value, gradient, Adam's two moments); D and its gradient, and some
 * matrices [B,K] of a batch come on top. A rough figure, but k-means does not have to run for hours first. */
static double memory_needed(const train_plan *plan, size_t d, size_t rows) {
    double K = (double)plan->concepts, N = (double)plan->points, width = (double)d;
    double batch = (double)ra_train_batch_rows(&plan->train, rows);
    double trained = K * N + 2 * K * width + K;
    return sizeof(float) * (4 * trained + N * width + 2 * K * width + 4 * batch * K);
}

static ra_status check_memory(const train_plan *plan, size_t d, size_t rows, size_t models, ra_error *err) {
    double needed = (double)models * memory_needed(plan, d, rows);
    double there = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (there <= 0 || needed <= there) return RA_OK;
    RA_FAIL(err, RA_ERR_TOO_LARGE,
            "%zu concepts on %zu points with batches of %zu need about %s of memory, but this machine "
            "has %s; take fewer --concepts or --points, or a smaller --batch-size",
            plan->concepts, plan->points, ra_train_batch_rows(&plan->train, rows),
            format_bytes((uint64_t)(needed < 1e19 ? needed : 1e19)).text, format_bytes((uint64_t)there).text);
}

static ra_status check_labels(const train_options *options, const train_inputs *inputs, ra_error *err) {
    size_t rows = ra_data_source_rows(inputs->data); /* of the files: skipped rows have labels, too */
    if (!inputs->labels || ra_labels_count(inputs->labels) == rows) return RA_OK;
    RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu labels, but the data has %zu rows; expected one a row",
            options->labels, ra_labels_count(inputs->labels), rows);
}

static ra_status check_top_k(const ra_sae_settings *sae, const train_plan *plan, ra_error *err) {
    if (!sae_takes_top_k(sae) || !sae_knows(sae, RA_SET_TOP_K)) return RA_OK;
    if (plan->concepts == 0 || sae->top_k <= plan->concepts) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "top_k is %zu, but there are %zu concepts; no more latents can be active than there are",
            sae->top_k, plan->concepts);
}

ra_status train_plan_make(const train_options *options, const train_inputs *inputs, size_t models,
                          train_plan *plan, ra_error *err) {
    *plan = (train_plan){.sae = options->model.settings};
    size_t d = ra_data_dimensions(inputs->data), rows = ra_data_rows(inputs->data);
    RA_TRY(check_labels(options, inputs, err));
    if (inputs->init)
        RA_TRY(plan_from_init(options, inputs, plan, err));
    else
        RA_TRY(plan_from_data(options, inputs, plan, err));
    ra_sae_settings sae = plan->sae, stored = {0}; /* all that will hold, as far as it is known here */
    if (inputs->init) RA_TRY(ra_sae_settings_read(inputs->init, &stored, err));
    ra_settings_fill(ra_sae_settings_table(), &sae, &stored);
    RA_TRY(check_top_k(&sae, plan, err));
    ra_train_settings start = plan->train;
    RA_TRY(resolve_train(options, inputs, &sae, &plan->train, err));
    if (options->seeds) plan->train.seed = strtoull(options->seeds, NULL, 10);
    if (!train_knows(&options->train, "shuffle-seed") &&
        (!inputs->init || options->seeds || train_knows(&options->train, "seed")))
        plan->train.shuffle_seed = plan->train.seed;
    if (!train_knows(&options->train, "window-seed") && (!inputs->init || options->seeds))
        plan->train.window_seed = plan->train.shuffle_seed;
    ra_settings_override(ra_train_settings_table(), &plan->train, &start);
    RA_TRY(ra_train_settings_check(&plan->train, &sae, err));
    plan->train.concepts = plan->concepts;
    plan->train.known |= train_bit("concepts");
    if (!inputs->init) /* else they tell how the points of that file were made */
        train_plan_points_settings(plan, &plan->train);
    RA_TRY(train_plan_standardize(options, inputs, plan, err));
    return check_memory(plan, d, rows, models, err);
}
