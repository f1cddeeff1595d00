/* Each operation of a backend, and each allocation, fails in turn while a dictionary of each kind is made and trained two steps with
 * each loss, activation and encoder, is stored, opened again, and served (lib/sae, lib/model,
 * lib/dictionary/{archetypal,plain,init,dictionary}.c, lib/dictionary/mixture, lib/train/{trainer,moments,loop,fit}.c): each failure is
 * told, and nothing is lost. Leaks show under SANITIZE=address. */
#include "data_files.h"
#include "failing_backend.h"
#include "ra_memory.h"
#include "ra_model.h"
#include "ra_train.h"

#include <stdio.h>

enum { ROWS = 24, D_ = 4, N = 8, K = 6, BATCH = 12, STEPS = 2 };

typedef struct scenario {
    ra_sae_kind sae;
    ra_encoder_kind encoder;
    ra_loss loss;
    bool plain, at_dictionary, adamw, target;
    size_t mixture;
    ra_dictionary_kind kind; /* of a plain one */
    ra_init init;
} scenario;

static const scenario scenarios[] = {
    {.sae = RA_SAE_RELU,
     .encoder = RA_ENCODER_LINEAR,
     .loss = RA_LOSS_MSE_L1,
     .init = RA_INIT_EYE,
     .target = true},
    {.sae = RA_SAE_TOPK, .encoder = RA_ENCODER_LINEAR, .loss = RA_LOSS_AUXK, .init = RA_INIT_PERMUTED},
    {.sae = RA_SAE_TOPK,
     .encoder = RA_ENCODER_TIED,
     .loss = RA_LOSS_MSE,
     .init = RA_INIT_RANDOM,
     .mixture = 3},
    {.sae = RA_SAE_BATCHTOPK, .encoder = RA_ENCODER_MLP_LN_1, .loss = RA_LOSS_REANIMATE, .init = RA_INIT_EYE},
    {.sae = RA_SAE_BATCHTOPK,
     .encoder = RA_ENCODER_LINEAR,
     .loss = RA_LOSS_ELASTIC,
     .mixture = 2,
     .at_dictionary = true},
    {.sae = RA_SAE_JUMPRELU,
     .encoder = RA_ENCODER_LINEAR,
     .loss = RA_LOSS_L0,
     .init = RA_INIT_EYE,
     .target = true},
    {.sae = RA_SAE_JUMPRELU,
     .encoder = RA_ENCODER_MLP_BN_1,
     .loss = RA_LOSS_HOYER,
     .plain = true,
     .kind = RA_DICTIONARY_L2},
    {.sae = RA_SAE_RELU,
     .encoder = RA_ENCODER_TIED,
     .loss = RA_LOSS_KAPPA_4,
     .plain = true,
     .kind = RA_DICTIONARY_MAX_L2},
    {.sae = RA_SAE_RELU,
     .encoder = RA_ENCODER_MLP_BN_1,
     .loss = RA_LOSS_MSE,
     .plain = true,
     .kind = RA_DICTIONARY_L1,
     .adamw = true},
    {.sae = RA_SAE_TOPK,
     .encoder = RA_ENCODER_MLP_LN_1,
     .loss = RA_LOSS_MSE,
     .plain = true,
     .kind = RA_DICTIONARY_MAX_L1},
    {.sae = RA_SAE_TOPK,
     .encoder = RA_ENCODER_LINEAR,
     .loss = RA_LOSS_MSE,
     .plain = true,
     .kind = RA_DICTIONARY_IDENTITY,
     .at_dictionary = true},
    {.sae = RA_SAE_MP, .encoder = RA_ENCODER_IDENTITY, .loss = RA_LOSS_MSE, .init = RA_INIT_EYE},
};
enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };

static ra_status new_dictionary(const scenario *s, ra_backend *backend, const ra_tensor *points,
                                ra_dictionary **out, ra_error *err) {
    if (s->plain) {
        RA_TRY(ra_plain_dictionary_new(backend, D_, K, s->kind, NULL, true, 5, out, err));
        return ra_plain_dictionary_init(*out, points, 3, err);
    }
    if (s->mixture)
        RA_TRY(ra_mixture_dictionary_new(backend, D_, K, s->mixture, points, 1, 0.9, true, out, err));
    else
        RA_TRY(ra_archetypal_dictionary_new(backend, D_, K, points, 1, true, out, err));
    RA_TRY(ra_archetypal_dictionary_init(*out, s->init, 3, err));
    return ra_dictionary_limit_norms(*out, 1, err);
}

static ra_train_settings settings_of(const scenario *s) {
    ra_train_settings t = {.loss = (int)s->loss,
                           .steps = STEPS,
                           .batch_size = BATCH,
                           .optimizer = s->adamw ? RA_OPTIMIZER_ADAMW : RA_OPTIMIZER_ADAM,
                           .target_l0 = s->target ? 2 : 0};
    t.known = UINT64_C(1) << RA_TRAIN_LOSS | UINT64_C(1) << RA_TRAIN_STEPS |
              UINT64_C(1) << RA_TRAIN_BATCH_SIZE | UINT64_C(1) << RA_TRAIN_OPTIMIZER |
              UINT64_C(1) << RA_TRAIN_TARGET_L0;
    return t;
}

static ra_status store(ra_trainer *trainer, const char *path, ra_error *err) {
    ra_safetensors_writer *writer = NULL;
    RA_TRY(ra_safetensors_writer_new(&writer, err));
    ra_status status = ra_trainer_store(trainer, true, writer, err);
    if (status == RA_OK) status = ra_safetensors_writer_write(writer, path, err);
    ra_safetensors_writer_free(writer);
    return status;
}

/* The checkpoint, opened again, with the state of the run. */
static ra_status reopen(const char *path, ra_backend *backend, const ra_train_settings *settings,
                        ra_error *err) {
    ra_sae *sae = NULL;
    ra_trainer *trainer = NULL;
    ra_safetensors *file = NULL;
    ra_status status = ra_sae_open(path, NULL, backend, &sae, err);
    if (status == RA_OK) status = ra_trainer_new(sae, settings, ROWS, &trainer, err);
    if (status == RA_OK) status = ra_safetensors_open(path, &file, err);
    if (status == RA_OK) status = ra_trainer_restore(trainer, file, err);
    ra_safetensors_free(file);
    ra_trainer_free(trainer);
    ra_sae_free(sae);
    return status;
}

/* What the run has made, as it answers. */
static ra_status serve(const char *path, ra_backend *backend, const float *x, ra_error *err) {
    enum { B = 2 };
    ra_model *model = NULL;
    ra_workspace *workspace = NULL;
    ra_codes codes = {0};
    ra_explanation explanation = {0};
    float out[B * D_], scores[2 * B], before[B], after[B];
    size_t ids[2 * B];
    const ra_steer push = {1, 2};
    const ra_edit edit = {1, RA_EDIT_SCALE, 2};
    ra_status status = ra_model_open(path, &(ra_model_options){.backend = backend}, &model, err);
    if (status == RA_OK) status = ra_workspace_new(&workspace, err);
    if (status == RA_OK) status = ra_model_encode(model, workspace, x, B, &codes, err);
    if (status == RA_OK) status = ra_model_reconstruct(model, workspace, &codes, out, err);
    if (status == RA_OK)
        status = ra_model_search(model, workspace, x, B, 2, RA_SIMILARITY_COSINE, ids, scores, err);
    if (status == RA_OK)
        status = ra_model_neighbors(model, workspace, 1, 2, RA_SIMILARITY_DOT, ids, scores, err);
    if (status == RA_OK) status = ra_model_explain(model, workspace, x, B, &explanation, err);
    if (status == RA_OK)
        status =
            ra_model_steer(model, workspace, x, B, RA_STEER_RECONSTRUCTION, RA_STEER_ADD, &push, 1, out, err);
    if (status == RA_OK)
        status = ra_model_edit(model, workspace, x, B, true, &edit, 1, out, before, after, err);
    ra_explanation_release(&explanation);
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
    ra_model_release(model);
    return status;
}

static ra_status work(const scenario *s, ra_backend *backend, const float *x, const char *path,
                      ra_error *err) {
    ra_tensor points = ra_tensor_2d(RA_F32, (void *)(uintptr_t)x, N, D_);
    ra_dictionary *dictionary = NULL;
    ra_sae *sae = NULL;
    ra_trainer *trainer = NULL;
    ra_sae_pass pass = {0};
    ra_train_progress progress;
    ra_sae_settings settings = {.sae = (int)s->sae,
                                .encoder = (int)s->encoder,
                                .top_k = 2,
                                .delta = 1,
                                .dictionary = (int)(s->plain ? s->kind : RA_DICTIONARY_ARCHETYPAL),
                                .mixture = s->mixture,
                                .hull_share = 0.9};
    settings.known = 1u << RA_SET_SAE | 1u << RA_SET_ENCODER | 1u << RA_SET_TOP_K | 1u << RA_SET_DICTIONARY;
    if (!s->plain) settings.known |= 1u << RA_SET_DELTA | 1u << RA_SET_MIXTURE;
    if (s->mixture) settings.known |= 1u << RA_SET_HULL_SHARE;
    ra_train_settings training = settings_of(s);
    ra_sae_settings_defaults(&settings);
    ra_status status = new_dictionary(s, backend, &points, &dictionary, err);
    if (status != RA_OK) {
        ra_dictionary_free(dictionary);
        return status;
    }
    RA_TRY(ra_sae_new(&settings, dictionary, 6, &sae, err)); /* it has the dictionary, also after a failure */
    if (s->at_dictionary) status = ra_sae_start_at_dictionary(sae, x, ROWS, err);
    if (status == RA_OK) status = ra_trainer_new(sae, &training, ROWS, &trainer, err);
    for (size_t i = 0; i < STEPS && status == RA_OK; i++)
        status = ra_trainer_step(trainer, x + i * BATCH * D_, BATCH, &progress, err);
    if (status == RA_OK) status = ra_trainer_check(trainer, err);
    if (status == RA_OK) status = store(trainer, path, err);
    if (status == RA_OK) status = ra_sae_set_training(sae, false, err);
    if (status == RA_OK) status = ra_sae_forward(sae, x, 3, &pass, err);
    ra_sae_pass_release(&pass);
    ra_trainer_free(trainer);
    ra_sae_free(sae);
    if (status == RA_OK) status = reopen(path, backend, &training, err);
    return status == RA_OK ? serve(path, backend, x, err) : status;
}

static const float *rows(void) {
    static float x[ROWS * D_];
    test_fill(x, ROWS * D_, 41);
    return x;
}

START_TEST(test_each_operation_of_a_device_may_fail) {
    ra_backend *backend = failing_backend_open();
    const char *path = test_path("run.safetensors");
    fails_at_each_operation(work(&scenarios[_i], backend, rows(), path, &err));
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_each_allocation_may_fail) {
    ra_backend *backend = backend_of("reference", 1);
    const char *path = test_path("run.safetensors");
    fails_at_each_allocation(work(&scenarios[_i], backend, rows(), path, &err));
    ra_backend_release(backend);
}
END_TEST

/* ---- whole runs ---------------------------------------------------------------------------------------- */

static ra_status read_candidates(void *context, const uint64_t *numbers, size_t n, float *out,
                                 ra_error *err) {
    const float *candidates = context;
    (void)err;
    for (size_t i = 0; i < n; i++) memcpy(out + i * D_, candidates + numbers[i] * D_, D_ * sizeof *out);
    return RA_OK;
}

/* Over data that are standardized, with candidate points in memory (which 0), or read from a source (1). */
static ra_status whole_run(ra_backend *backend, ra_data *data, const float *x, int which, ra_error *err) {
    static const uint64_t first[K] = {0, 1, 2, 3, 4, 5};
    const ra_point_source source = {ROWS, read_candidates, (void *)(uintptr_t)x};
    ra_tensor points = ra_tensor_2d(RA_F32, (void *)(uintptr_t)x, which ? K : ROWS, D_);
    float mean[D_], scale[D_];
    ra_dictionary *dictionary = NULL;
    ra_mixture_points kept = {0};
    ra_sae *sae = NULL;
    ra_sae_settings settings = {.known = 1u << RA_SET_SAE | 1u << RA_SET_ENCODER | 1u << RA_SET_TOP_K,
                                .sae = RA_SAE_TOPK,
                                .encoder = RA_ENCODER_LINEAR,
                                .top_k = 2};
    ra_train_settings training = {.known = UINT64_C(1) << RA_TRAIN_EPOCHS | UINT64_C(1)
                                                                                << RA_TRAIN_BATCH_SIZE,
                                  .epochs = 3,
                                  .batch_size = 10};
    ra_sae_settings_defaults(&settings);
    RA_TRY(ra_data_measure(data, backend, RA_STANDARDIZE_ELEMENT, mean, scale, err));
    RA_TRY(ra_data_set_standardization(data, mean, scale, err));
    ra_status status = ra_mixture_dictionary_new(backend, D_, K, 3, &points, 1, 0.9, true, &dictionary, err);
    if (status == RA_OK && which) status = ra_mixture_set_source(dictionary, &source, first, err);
    if (status != RA_OK) {
        ra_dictionary_free(dictionary);
        return status;
    }
    RA_TRY(ra_sae_new(&settings, dictionary, 6, &sae, err));
    status = ra_train(sae, data, &training, NULL, NULL, err);
    if (status == RA_OK) status = ra_mixture_points_get(dictionary, &kept, err);
    ra_mixture_points_release(&kept);
    ra_sae_free(sae);
    return status;
}

START_TEST(test_each_operation_of_a_whole_run_may_fail) {
    ra_backend *backend = failing_backend_open();
    ra_data *data = data_of(rows(), ROWS, D_);
    fails_at_each_operation(whole_run(backend, data, rows(), _i, &err));
    ra_data_free(data);
    ra_backend_release(backend);
}
END_TEST

TEST_CASES_LOOP(whole_training_faults, 60, 2, test_each_operation_of_a_whole_run_may_fail)
TEST_CASES_LOOP(training_faults, 60, SCENARIOS, test_each_operation_of_a_device_may_fail,
                test_each_allocation_may_fail)
