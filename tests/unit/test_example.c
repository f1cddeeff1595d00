/* A complete user of the library (lib/ra.h) in one page: points, a trained autoencoder, a checkpoint, the fused
 * model, an answer. It is compiled and run with the tests, so that it stays true. */
#include "ra.h"

#include "harness.h"

#include <stdio.h>
#include <string.h>

/* Four directions in the plane, with some noise: what a dictionary should find. */
enum { ROWS = 512, DIMENSIONS = 8, CONCEPTS = 16, POINTS = 32 };

static ra_status write_data(const char *path, ra_error *err) {
    float x[ROWS * DIMENSIONS];
    test_fill(x, ROWS * DIMENSIONS, 7);
    for (size_t i = 0; i < ROWS; i++) x[i * DIMENSIONS + i % 4] += i % 8 < 4 ? 4 : -4;
    ra_tensor tensor = ra_tensor_2d(RA_F32, x, ROWS, DIMENSIONS);
    return ra_npy_write(path, &tensor, err);
}

static bool keep_last(void *context, size_t which, const ra_train_progress *progress) {
    (void)which;
    *(ra_train_progress *)context = *progress;
    return true;
}

static ra_status train(const char *data_path, const char *checkpoint_path, ra_train_progress *last,
                       ra_error *err) {
    ra_backend *backend = NULL;
    ra_data *data = NULL;
    ra_points points = {0};
    ra_dictionary *dictionary = NULL;
    ra_sae *sae = NULL;
    ra_safetensors_writer *writer = NULL;
    char *text = NULL;
    ra_sae_settings settings = {.known = 1u << RA_SET_SAE | 1u << RA_SET_TOP_K | 1u << RA_SET_DELTA,
                                .sae = RA_SAE_TOPK,
                                .top_k = 3,
                                .delta = 0.5};
    ra_train_settings training = {.known = 0};
    ra_status status = ra_backend_open("cpu", NULL, &backend, err);
    if (status == RA_OK) status = ra_data_open(&data_path, 1, NULL, &data, err);
    if (status == RA_OK)
        status = ra_points_kmeans(backend, data, &(ra_kmeans_options){.clusters = POINTS, .seed = 1}, &points,
                                  err);
    if (status == RA_OK) {
        ra_tensor C = ra_tensor_2d(RA_F32, points.vectors.data, POINTS, DIMENSIONS);
        status = ra_archetypal_dictionary_new(backend, DIMENSIONS, CONCEPTS, &C, (float)settings.delta, true,
                                              &dictionary, err);
    }
    if (status == RA_OK)
        status = ra_sae_new(&settings, dictionary, 1, &sae, err); /* the SAE owns the dictionary now */
    if (status == RA_OK) {
        ra_train_settings_defaults(&training);
        training.batch_size = 128;
        training.lr = 5e-3;
        status = ra_train(sae, data, &training, keep_last, last, err);
    }
    if (status == RA_OK) status = ra_safetensors_writer_new(&writer, err);
    if (status == RA_OK) status = ra_sae_store(sae, writer, err);
    if (status == RA_OK) status = ra_points_store(&points, NULL, writer, &text, err);
    if (status == RA_OK) status = ra_safetensors_writer_write(writer, checkpoint_path, err);
    ra_safetensors_writer_free(writer);
    ra_free(text);
    ra_sae_free(sae);
    ra_points_release(&points);
    ra_data_free(data);
    ra_backend_release(backend);
    return status;
}

START_TEST(test_from_activations_to_an_answer) {
    char data[512], checkpoint[512], fused[512];
    snprintf(data, sizeof data, "%s", test_path("x.npy"));
    snprintf(checkpoint, sizeof checkpoint, "%s", test_path("checkpoint.safetensors"));
    snprintf(fused, sizeof fused, "%s", test_path("fused.safetensors"));

    ra_train_progress last;
    ra_ok(write_data(data, &err));
    ra_ok(train(data, checkpoint, &last, &err));
    ck_assert_double_gt(last.r2, 0.8);

    ra_model *model = NULL, *again = NULL;
    ra_ok(ra_model_open(checkpoint, NULL, &model, &err)); /* a checkpoint is fused as it loads */
    ra_ok(ra_model_save(model, fused, RA_F32, &err));
    ra_ok(ra_model_open(fused, NULL, &again, &err)); /* the artifact is served from its mapping */

    ra_workspace *workspace = NULL;
    ra_codes codes = {0};
    float x[DIMENSIONS] = {4, 0, 0, 0}, x_hat[DIMENSIONS], same[DIMENSIONS];
    ra_ok(ra_workspace_new(&workspace, &err));
    ra_ok(ra_model_encode(again, workspace, x, 1, &codes, &err));
    ra_ok(ra_model_reconstruct(again, workspace, &codes, x_hat, &err));
    ra_ok(ra_model_reconstruct(model, workspace, &codes, same, &err));
    ck_assert_mem_eq(x_hat, same, sizeof same);
    assert_close(x_hat, x, DIMENSIONS, 0.5);

    ra_archetype archetype; /* a point that the strongest atom is made of */
    ck_assert(ra_model_atom_archetype(again, (size_t)codes.index[0], 0, &archetype));
    ck_assert_float_gt(archetype.weight, 0);

    ra_codes_release(&codes);
    ra_workspace_free(workspace);
    ra_model_release(again);
    ra_model_release(model);
}
END_TEST

TEST_CASES_SLOW(example, 30, test_from_activations_to_an_answer)
