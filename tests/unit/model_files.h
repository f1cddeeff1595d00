/* model_files.h - files for the tests of models: one is built in memory, spoilt in one place if the test
 * is about that, and written.
 *
 *     model_file file = {0};
 *     model_file_artifact(&file);
 *     model_file_set(&file, "dictionary", 3, NAN);
 *     const char *path = model_file_write(&file, "nan.safetensors");
 *     model_file_release(&file);
 */
#ifndef RA_TEST_MODEL_FILES_H
#define RA_TEST_MODEL_FILES_H

#include "harness.h"
#include "ra_model.h"

enum { MODEL_FILE_TENSORS = 40, MODEL_FILE_TEXTS = 16 };

typedef struct model_file {
    struct {
        const char *name;
        ra_tensor tensor;
        void *data; /* owned */
    } tensors[MODEL_FILE_TENSORS];
    struct {
        const char *key, *text;
    } texts[MODEL_FILE_TEXTS];
    size_t count, text_count;
} model_file;

/* Sizes of the files below. */
enum { FILE_K = 6, FILE_D = 4, FILE_N = 5, FILE_T = 3, FILE_R = 2 };

/* A complete fused artifact: jumprelu with a linear encoder, archetypes, relaxation, points with rows and
 * labels of rows, labels of neither points nor atoms. */
void model_file_artifact(model_file *file);

/* The same with statistics of its latents on 10 rows, labels of their examples, and a layout. */
enum { FILE_ROWS = 10, FILE_BINS = 4, FILE_EXAMPLES = 2 };
void model_file_measured(model_file *file);

/* A complete checkpoint of the same sizes and kind. */
void model_file_checkpoint(model_file *file);

/* Adds a tensor, or takes the place of the one with this name. rank 0 to 2; values are copied, NULL: zeros. */
void model_file_put(model_file *file, const char *name, ra_dtype dtype, int rank, size_t rows, size_t cols,
                    const void *values);
void model_file_put_text(model_file *file, const char *name, const char *text); /* U8 */
void model_file_drop(model_file *file, const char *name);

/* One element of an F32, I32 or I64 tensor. */
void model_file_set(model_file *file, const char *name, size_t element, double value);

/* An F32 tensor in another float type. */
void model_file_convert(model_file *file, const char *name, ra_dtype dtype);

/* A string of the metadata; NULL takes it out. */
void model_file_text(model_file *file, const char *key, const char *text);

/* The path, in the folder of this test. */
const char *model_file_write(const model_file *file, const char *name);
void model_file_release(model_file *file);

/* Tests that compute are loops over cases and devices: test i * MODEL_DEVICES + j is case i on device j.
 * Where the models of this process are opened from now on; at first the CPU. */
enum { MODEL_DEVICES = 2 };
const char *model_on_device(int test); /* its name */

/* The model in a file, which must open, there; and the same with settings given on top, "top_k=3 delta=1". */
ra_model *model_open(const char *path);
ra_model *model_open_with(const char *path, const char *settings);
ra_sae_settings model_settings(const char *text);

/* A tensor of a golden file as f32 (freed with ra_free), its shape in rows and cols, which may be NULL. */
float *golden_tensor(const char *file, const char *name, size_t *rows, size_t *cols);

#endif
