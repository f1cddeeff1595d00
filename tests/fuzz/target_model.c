/* Files of models: artifacts and checkpoints as they are served (lib/model), and checkpoints as training goes on from them
 * (lib/sae, lib/train). */
#include "fuzz/fuzz.h"
#include "ra_contrast.h"
#include "ra_memory.h"
#include "ra_model.h"
#include "ra_train.h"

#include <stdio.h>
#include <string.h>

enum { WIDEST = 4096, MOST_ATOMS = 16 };

static void read_text(const char *text) {
    if (text) fuzz_read(text, strlen(text));
}

/* ---- served -------------------------------------------------------------------------------------------- */

/* Its row may be beyond all->rows: files have rows that were left out. */
static void use_example(const ra_latent_statistics *all, const ra_latent_example *example) {
    fuzz_expect(!all->items.rows || example->position < all->items.rows, "a row behind its item");
    read_text(example->label);
    read_text(example->token);
}

static void use_item(const ra_latent_statistics *all, const ra_latent_item *item) {
    size_t parts = all->item_codes.parts;
    fuzz_expect(item->position < parts, "an item is strongest behind its end");
    fuzz_read(item->codes, parts * sizeof *item->codes);
    read_text(item->label);
    for (size_t p = 0; item->words && p < parts; p++)
        read_text(ra_latent_tokens_word(&all->tokens, item->words[p]));
}

static void use_latent(const ra_latent_statistics *all, size_t k) {
    ra_latent_example example;
    ra_latent_partner partner;
    ra_latent_item item;
    int64_t sum = 0;
    for (size_t h = 0; h < all->bins; h++) sum += all->histogram[k * all->bins + h];
    fuzz_expect(sum == all->count[k], "a histogram of another number of rows");
    for (size_t t = 0; ra_latent_statistics_example(all, k, t, &example); t++) use_example(all, &example);
    for (size_t q = 0; q < all->quantiles.count; q++)
        for (size_t t = 0; ra_latent_statistics_quantile_example(all, k, q, t, &example); t++)
            use_example(all, &example);
    for (int measure = 0; measure < RA_COFIRING_MEASURES; measure++)
        for (size_t t = 0; ra_latent_statistics_partner(all, (ra_cofiring_measure)measure, k, t, &partner);
             t++)
            fuzz_expect(partner.latent < all->concepts, "a partner that is no latent");
    for (size_t t = 0; ra_latent_statistics_item(all, k, t, &item); t++) use_item(all, &item);
}

static void use_atom(const ra_model *model, size_t k) {
    const ra_model_info *info = ra_model_get_info(model);
    const ra_latent_statistics *statistics = ra_model_latent_statistics(model);
    ra_label_words words = {0};
    ra_archetype archetype;
    ra_trace_row row;
    float position[2];
    read_text(ra_model_atom_label(model, k));
    read_text(ra_label_source_name(ra_model_atom_label_source(model, k)));
    if (ra_model_atom_words(model, k, &words)) read_text(words.explanation), read_text(words.source);
    for (size_t t = 0; ra_model_atom_archetype(model, k, t, &archetype); t++) {
        fuzz_expect(archetype.point < info->points, "an archetype that is no point");
        read_text(archetype.label);
    }
    for (size_t t = 0; ra_model_atom_trace_row(model, k, t, &row); t++) read_text(row.label);
    if (ra_model_atom_layout(model, k, position)) fuzz_read(position, sizeof position);
    if (statistics) use_latent(statistics, k);
    for (size_t i = 0; i < ra_model_contrast_count(model); i++) {
        const ra_contrast *contrast = ra_model_contrast(model, i);
        const ra_contrast_latent latent = ra_contrast_of(contrast, k);
        fuzz_expect(latent.count[0] <= contrast->rows[0] && latent.count[1] <= contrast->rows[1],
                    "a latent is active in more rows than there are");
    }
}

static void use_point(const ra_model *model, size_t n, float *vector) {
    ra_error err = {0};
    ra_point_use uses[4];
    ra_point_row rows[4];
    read_text(ra_model_point_label(model, n));
    size_t count = ra_model_point_atoms(model, n, uses, 4);
    for (size_t i = 0; i < count && i < 4; i++)
        fuzz_expect(uses[i].atom < ra_model_get_info(model)->concepts, "a point is part of no atom");
    count = ra_model_point_rows(model, n, rows, 4);
    for (size_t i = 0; i < count && i < 4; i++) read_text(rows[i].label);
    fuzz_expect_error(ra_model_point(model, n, vector, &err), &err);
}

static void compute(const ra_model *model, float *rows) {
    ra_error err = {0};
    ra_workspace *workspace = NULL;
    ra_codes codes = {0};
    size_t width = ra_model_get_info(model)->dimensions;
    if (ra_workspace_new(&workspace, &err) == RA_OK) {
        fuzz_expect_error(ra_model_atom(model, 0, rows, &err), &err);
        for (size_t i = 0; i < width; i++) rows[i] = (float)(i % 3) - 1;
        if (ra_model_encode(model, workspace, rows, 1, &codes, &err) == RA_OK)
            (void)ra_model_reconstruct(model, workspace, &codes, rows + width, &err);
    }
    ra_codes_release(&codes);
    ra_workspace_free(workspace);
}

/* The path of a file with this content. */
static const char *write_parts(const ra_artifact *artifact, const char *name) {
    size_t count = 0;
    const ra_bytes *parts = ra_artifact_parts(artifact, &count);
    const char *path = fuzz_file(name, "", 0);
    FILE *file = fopen(path, "wb");
    fuzz_expect(file, "there is no room for files");
    for (size_t i = 0; i < count; i++)
        fuzz_expect(fwrite(parts[i].data, 1, parts[i].size, file) == parts[i].size, "a file is cut");
    fuzz_expect(fclose(file) == 0, "a file is cut");
    return path;
}

/* What was opened is written, and opens as the same. */
static void write_again(const ra_model *model) {
    ra_artifact *artifact = NULL, *second = NULL;
    ra_model *again = NULL;
    ra_error err = {0};
    ra_status status = ra_artifact_new(model, &artifact, &err);
    fuzz_expect_error(status, &err);
    if (status != RA_OK) return;
    status = ra_model_open(write_parts(artifact, "again.safetensors"), NULL, &again, &err);
    if (status != RA_OK) fprintf(stderr, "%s\n", err.message);
    fuzz_expect(status == RA_OK, "a model that was written cannot be opened");
    fuzz_expect(ra_artifact_new(again, &second, &err) == RA_OK,
                "a model that was written cannot be written again");
    fuzz_expect(strcmp(ra_artifact_digest(artifact), ra_artifact_digest(second)) == 0,
                "a model that was written opens as another");
    ra_artifact_free(second);
    ra_model_release(again);
    ra_artifact_free(artifact);
    fuzz_remove("again.safetensors");
}

static void use_model(const ra_model *model) {
    const ra_model_info *info = ra_model_get_info(model);
    size_t width = info->dimensions, bins = 0;
    float *rows = width < WIDEST ? ra_calloc(2 * width + 1, sizeof *rows) : NULL;
    const float *training = ra_model_training(model, &bins);
    if (training) fuzz_read(training, bins * RA_TRAINING_COLUMNS * sizeof *training);
    for (size_t k = 0; k < info->concepts && k < MOST_ATOMS; k++) use_atom(model, k);
    if (rows) {
        for (size_t n = 0; n < info->points && n < MOST_ATOMS; n++) use_point(model, n, rows);
        compute(model, rows);
        write_again(model);
    }
    ra_free(rows);
}

static void artifact(const uint8_t *bytes, size_t size) {
    ra_error err = {0};
    ra_model *model = NULL;
    const char *path = fuzz_file("model.safetensors", bytes, size);
    bool steady = size % 16 == 0; /* which waits for the clock */
    ra_status status =
        ra_model_open(path, &(ra_model_options){.steady = steady, .private_below = 1 << 20}, &model, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK) use_model(model);
    ra_model_release(model);
    fuzz_remove("model.safetensors");
}
FUZZ_TARGET(artifact, FUZZ_SAFETENSORS, artifact)

/* ---- trained ------------------------------------------------------------------------------------------- */

enum { ROWS = 4 };

static void store(ra_trainer *trainer) {
    ra_error err = {0};
    ra_safetensors_writer *writer = NULL;
    ra_bytes *parts = NULL;
    size_t count = 0;
    fuzz_expect(ra_safetensors_writer_new(&writer, &err) == RA_OK, "out of memory");
    ra_status status = ra_trainer_store(trainer, true, writer, &err);
    if (status == RA_OK) status = ra_safetensors_writer_image(writer, &parts, &count, &err);
    fuzz_expect_error(status, &err);
    for (size_t i = 0; status == RA_OK && i < count; i++) fuzz_read(parts[i].data, parts[i].size);
    ra_free(parts);
    ra_safetensors_writer_free(writer);
}

static void step(ra_trainer *trainer) {
    ra_error err = {0};
    ra_train_progress progress;
    size_t width = ra_dictionary_dimensions(ra_sae_dictionary(ra_trainer_sae(trainer)));
    float *x = width < WIDEST ? ra_calloc(ROWS * width, sizeof *x) : NULL;
    if (!x) return;
    for (size_t i = 0; i < ROWS * width; i++) x[i] = (float)(i % 5) - 2;
    fuzz_expect_error(ra_trainer_step(trainer, x, ROWS, &progress, &err), &err);
    ra_free(x);
}

/* As `rasae train --resume` opens it; then one step, and the state is stored. */
static void checkpoint(const uint8_t *bytes, size_t size) {
    ra_error err = {0};
    ra_backend *backend = NULL;
    ra_sae *sae = NULL;
    ra_safetensors *file = NULL;
    ra_trainer *trainer = NULL;
    ra_train_settings settings = {0};
    const char *path = fuzz_file("checkpoint.safetensors", bytes, size);
    fuzz_expect(ra_backend_open("cpu", &(ra_backend_options){.threads = 1}, &backend, &err) == RA_OK,
                "no CPU");
    ra_status status = ra_sae_open(path, NULL, backend, &sae, &err);
    if (status == RA_OK) status = ra_safetensors_open(path, &file, &err);
    if (status == RA_OK) status = ra_train_settings_read(file, &settings, &err);
    if (status == RA_OK) status = ra_trainer_new(sae, &settings, ROWS, &trainer, &err);
    if (status == RA_OK) status = ra_trainer_restore(trainer, file, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK) {
        store(trainer);
        step(trainer);
    }
    ra_trainer_free(trainer);
    ra_safetensors_free(file);
    ra_sae_free(sae);
    ra_backend_release(backend);
    fuzz_remove("checkpoint.safetensors");
}
FUZZ_TARGET(checkpoint, FUZZ_SAFETENSORS, checkpoint)
