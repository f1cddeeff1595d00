/* Short runs of what the golden ones leave out (lib/train/{trainer,moments}.c): every kernel, delta 0, a
 * fixed multiplier, each activation with each encoder. A run learns, and keeps its constraints. */
#include "data_files.h"
#include "harness.h"
#include "ra_memory.h"
#include "ra_train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 192, D_ = 8, N = 24, K = 16, STEPS = 60 };

typedef struct trial {
    ra_sae_settings sae;
    ra_train_settings train;
    double delta;
    bool plain;
} trial;

typedef struct run {
    ra_backend *backend;
    ra_data *data;
    ra_sae *sae;
    double first, last; /* loss of the first and of the last step */
} run;

static bool note(void *context, size_t which, const ra_train_progress *progress) {
    (void)which;
    run *r = context;
    if (progress->step == 1) r->first = progress->loss;
    r->last = progress->loss;
    return true;
}

/* Rows that are mixtures of a few unit vectors: something to learn. */
static const char *write_data(void) {
    static float x[ROWS * D_];
    float base[N * D_], share[ROWS * 3];
    test_fill(base, N * D_, 41);
    test_fill(share, ROWS * 3, 42);
    for (size_t b = 0; b < ROWS; b++)
        for (size_t i = 0; i < D_; i++) {
            x[b * D_ + i] = 0;
            for (size_t m = 0; m < 3; m++)
                x[b * D_ + i] += (1 + share[b * 3 + m]) * base[(b * (m + 1) % 11) * D_ + i];
        }
    return data_file_npy("x.npy", x, ROWS, D_);
}

static void train(const trial *t, run *r) {
    float points[N * D_];
    ra_dictionary *dictionary = NULL;
    const char *path = write_data();
    *r = (run){0};
    ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = 2}, &r->backend, &err));
    ra_ok(ra_data_open(&path, 1, NULL, &r->data, &err));
    ra_data_read(r->data, 0, N, points);
    ra_tensor view = ra_tensor_2d(RA_F32, points, N, D_);
    ra_sae_settings settings = t->sae;
    settings.known |= 1u << RA_SET_SAE | 1u << RA_SET_TOP_K;
    settings.top_k = 3;
    ra_sae_settings_defaults(&settings);
    if (t->plain)
        ra_ok(ra_plain_dictionary_new(r->backend, D_, K, RA_DICTIONARY_L2, NULL, settings.use_multiplier, 5,
                                      &dictionary, &err));
    else
        ra_ok(ra_archetypal_dictionary_new(r->backend, D_, K, &view, (float)t->delta, settings.use_multiplier,
                                           &dictionary, &err));
    ra_ok(ra_dictionary_limit_norms(dictionary, 1, &err));
    ra_ok(ra_sae_new(&settings, dictionary, 6, &r->sae, &err));
    ra_train_settings train_settings = t->train;
    const ra_settings_table *table = ra_train_settings_table();
    train_settings.steps = STEPS;
    train_settings.batch_size = 48;
    train_settings.lr = 0.01;
    train_settings.known |= 1u << ra_setting_by_key(table, "steps") |
                            1u << ra_setting_by_key(table, "batch_size") |
                            1u << ra_setting_by_key(table, "lr");
    ra_ok(ra_train(r->sae, r->data, &train_settings, note, r, &err));
}

static void release(run *r) {
    ra_sae_free(r->sae);
    ra_data_free(r->data);
    ra_backend_release(r->backend);
}

static const ra_parameter *parameter(const run *r, const char *name) {
    size_t count;
    const ra_parameter *p = ra_sae_parameters(r->sae, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(p[i].name, name) == 0) return &p[i];
    ck_abort_msg("no parameter %s", name);
    return NULL;
}

static uint32_t loss_known(void) {
    return 1u << ra_setting_by_key(ra_train_settings_table(), "loss");
}

/* All thresholds start at exp(-3), and every kernel changes them. */
START_TEST(test_every_kernel_trains) {
    static const ra_loss losses[] = {RA_LOSS_MSE_L1, RA_LOSS_L0};
    for (size_t i = 0; i < 2; i++) {
        trial t = {.delta = 1,
                   .sae = {.known = 1u << RA_SET_KERNEL | 1u << RA_SET_BANDWIDTH,
                           .sae = RA_SAE_JUMPRELU,
                           .kernel = _i,
                           .bandwidth = 0.1},
                   .train = {.known = loss_known(), .loss = (int)losses[i]}};
        run r;
        train(&t, &r);
        ck_assert_double_lt(r.last, 0.7 * r.first);
        const float *theta = parameter(&r, "thresholds")->value;
        size_t moved = 0;
        for (size_t k = 0; k < K; k++) {
            ck_assert(isfinite(theta[k]));
            moved += fabsf(theta[k] + 3) > 1e-3f;
        }
        ck_assert_uint_gt(moved, K / 2);
        release(&r);
    }
}
END_TEST

/* A larger l0 term leaves fewer latents active. */
START_TEST(test_l0_asks_for_fewer_latents) {
    static const double penalties[] = {0, 0.3};
    double active[2];
    for (size_t i = 0; i < 2; i++) {
        trial t = {
            .delta = 1,
            .sae = {.known = 1u << RA_SET_BANDWIDTH, .sae = RA_SAE_JUMPRELU, .bandwidth = 0.2},
            .train = {.known = loss_known() | 1u << ra_setting_by_key(ra_train_settings_table(), "penalty"),
                      .loss = RA_LOSS_L0,
                      .penalty = penalties[i]}};
        run r;
        float x[ROWS * D_];
        ra_sae_pass pass = {0};
        train(&t, &r);
        ra_ok(ra_sae_set_training(r.sae, false, &err));
        ra_data_read(r.data, 0, ROWS, x);
        ra_ok(ra_sae_forward(r.sae, x, ROWS, &pass, &err));
        active[i] = (double)ra_codes_entries(&pass.codes) / ROWS;
        ra_sae_pass_release(&pass);
        release(&r);
    }
    ck_assert_double_lt(active[1], active[0]);
}
END_TEST

START_TEST(test_every_kind_learns_with_every_encoder) {
    static const ra_sae_kind kinds[] = {RA_SAE_RELU, RA_SAE_TOPK, RA_SAE_BATCHTOPK, RA_SAE_JUMPRELU,
                                        RA_SAE_MP};
    static const ra_encoder_kind encoders[] = {RA_ENCODER_LINEAR, RA_ENCODER_MLP_LN_1, RA_ENCODER_MLP_BN_1,
                                               RA_ENCODER_TIED};
    for (size_t e = 0; e < 4; e++)
        for (int plain = 0; plain < 2; plain++) {
            bool mp = kinds[_i] == RA_SAE_MP;
            trial t = {.delta = 1,
                       .plain = plain,
                       .sae = {.known = 1u << RA_SET_ENCODER,
                               .sae = (int)kinds[_i],
                               .encoder = (int)(mp ? RA_ENCODER_IDENTITY : encoders[e])}};
            run r;
            if (mp && e > 0) continue;
            train(&t, &r);
            ck_assert_msg(r.last < 0.8 * r.first, "encoder %zu, plain %d: loss %g, at first %g", e, plain,
                          r.last, r.first);
            release(&r);
        }
}
END_TEST

/* delta 0: no relaxation, ever; every atom is a mixture of points. */
START_TEST(test_delta_zero_trains_inside_the_hull) {
    trial t = {.delta = 0, .sae = {.sae = RA_SAE_TOPK}};
    run r;
    train(&t, &r);
    ck_assert_double_lt(r.last, r.first);
    const ra_parameter *relax = parameter(&r, "dictionary.Relax"), *W = parameter(&r, "dictionary.W");
    for (size_t i = 0; i < K * D_; i++) ck_assert_float_eq(relax->value[i], 0);
    size_t mixed = 0;
    for (size_t k = 0; k < K; k++) {
        double sum = 0;
        size_t points = 0;
        for (size_t j = 0; j < N; j++) {
            ck_assert_float_ge(W->value[k * N + j], 0);
            sum += (double)W->value[k * N + j];
            points += W->value[k * N + j] > 0;
        }
        ck_assert_double_eq_tol(sum, 1, 1e-5);
        mixed += points > 1;
    }
    ck_assert_uint_gt(mixed, 0);
    release(&r);
}
END_TEST

START_TEST(test_a_multiplier_that_is_not_trained_stands_still) {
    for (int trained = 0; trained < 2; trained++) {
        trial t = {
            .delta = 1,
            .sae = {.known = 1u << RA_SET_USE_MULTIPLIER, .sae = RA_SAE_TOPK, .use_multiplier = trained}};
        run r;
        float points[N * D_];
        train(&t, &r);
        double longest = 0;
        ra_data_read(r.data, 0, N, points);
        for (size_t k = 0; k < K; k++) {
            double square = 0;
            for (size_t i = 0; i < D_; i++) square += (double)points[k * D_ + i] * (double)points[k * D_ + i];
            longest = square > longest ? square : longest;
        }
        float start = longest > 1 ? -(float)log(sqrt(longest)) : 0; /* what train() set it to */
        const ra_parameter *multiplier = parameter(&r, "dictionary.multiplier");
        ck_assert((multiplier->gradient != NULL) == trained);
        if (trained)
            ck_assert_float_gt(fabsf(*multiplier->value - start), 1e-3f);
        else
            ck_assert_float_eq_tol(*multiplier->value, start, 1e-5f);
        release(&r);
    }
}
END_TEST

/* Settings that cannot be trained are an error before the first step. */
START_TEST(test_refusals) {
    ra_backend *backend = NULL;
    float points[N * D_];
    test_fill(points, N * D_, 1);
    ra_tensor view = ra_tensor_2d(RA_F32, points, N, D_);
    ra_ok(ra_backend_open("cpu", NULL, &backend, &err));
    static const struct {
        ra_sae_kind sae;
        ra_encoder_kind encoder;
    } pairs[] = {{RA_SAE_MP, RA_ENCODER_LINEAR}, {RA_SAE_TOPK, RA_ENCODER_IDENTITY}};
    for (size_t i = 0; i < 2; i++) {
        ra_dictionary *dictionary = NULL;
        ra_sae *sae = NULL;
        ra_sae_settings settings = {.known = 1u << RA_SET_SAE | 1u << RA_SET_ENCODER | 1u << RA_SET_TOP_K,
                                    .sae = (int)pairs[i].sae,
                                    .encoder = (int)pairs[i].encoder,
                                    .top_k = 2};
        ra_ok(ra_archetypal_dictionary_new(backend, D_, K, &view, 1, true, &dictionary, &err));
        ra_fails(ra_sae_new(&settings, dictionary, 0, &sae, &err), RA_ERR_ARGUMENT,
                 "mp has the encoder identity");
    }
    ra_backend_release(backend);
    run r;
    trial t = {.delta = 1, .sae = {.sae = RA_SAE_TOPK}};
    train(&t, &r);
    ra_train_settings l0 = {.known = loss_known(), .loss = RA_LOSS_L0};
    ra_fails(ra_train(r.sae, r.data, &l0, note, &r, &err), RA_ERR_ARGUMENT, "which only jumprelu has");
    release(&r);
}
END_TEST

TEST_CASES_LOOP(training_kernels, 20, 8, test_every_kernel_trains)
TEST_CASES_LOOP(training_kinds, 20, 5, test_every_kind_learns_with_every_encoder)
TEST_CASES(training, test_l0_asks_for_fewer_latents, test_delta_zero_trains_inside_the_hull,
           test_a_multiplier_that_is_not_trained_stands_still, test_refusals)
