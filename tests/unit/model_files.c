#include "model_files.h"

#include "devices.h"
#include "ra_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t place_of(const model_file *file, const char *name) {
    size_t i = 0;
    while (i < file->count && strcmp(file->tensors[i].name, name) != 0) i++;
    return i;
}

void model_file_put(model_file *file, const char *name, ra_dtype dtype, int rank, size_t rows, size_t cols,
                    const void *values) {
    size_t i = place_of(file, name);
    ck_assert_uint_lt(i, MODEL_FILE_TENSORS);
    if (i == file->count) file->count++;
    ra_tensor tensor = {.dtype = dtype, .rank = rank, .shape = {rows, cols}};
    size_t bytes = ra_tensor_bytes(&tensor);
    void *data = ra_calloc(bytes + 1, 1);
    ck_assert_ptr_nonnull(data);
    if (values && bytes) memcpy(data, values, bytes);
    ra_free(file->tensors[i].data);
    tensor.data = data;
    file->tensors[i].name = name;
    file->tensors[i].tensor = tensor;
    file->tensors[i].data = data;
}

void model_file_put_text(model_file *file, const char *name, const char *text) {
    model_file_put(file, name, RA_U8, 1, strlen(text), 0, text);
}

void model_file_drop(model_file *file, const char *name) {
    size_t i = place_of(file, name);
    ck_assert_uint_lt(i, file->count);
    ra_free(file->tensors[i].data);
    file->tensors[i] = file->tensors[--file->count];
    file->tensors[file->count].data = NULL;
}

void model_file_set(model_file *file, const char *name, size_t element, double value) {
    size_t i = place_of(file, name);
    ck_assert_uint_lt(i, file->count);
    ck_assert_uint_lt(element, ra_tensor_elements(&file->tensors[i].tensor));
    if (file->tensors[i].tensor.dtype == RA_I32)
        ((int32_t *)file->tensors[i].data)[element] = (int32_t)value;
    else if (file->tensors[i].tensor.dtype == RA_I64)
        ((int64_t *)file->tensors[i].data)[element] = (int64_t)value;
    else
        ((float *)file->tensors[i].data)[element] = (float)value;
}

void model_file_convert(model_file *file, const char *name, ra_dtype dtype) {
    size_t i = place_of(file, name);
    ck_assert_uint_lt(i, file->count);
    ra_tensor *tensor = &file->tensors[i].tensor;
    size_t n = ra_tensor_elements(tensor);
    void *data = ra_calloc(n, ra_dtype_size(dtype));
    ra_convert_from_f32(dtype, tensor->data, data, n);
    ra_free(file->tensors[i].data);
    file->tensors[i].data = data;
    tensor->data = data;
    tensor->dtype = dtype;
}

void model_file_text(model_file *file, const char *key, const char *text) {
    size_t i = 0;
    while (i < file->text_count && strcmp(file->texts[i].key, key) != 0) i++;
    ck_assert_uint_lt(i, MODEL_FILE_TEXTS);
    if (text) {
        if (i == file->text_count) file->text_count++;
        file->texts[i].key = key;
        file->texts[i].text = text;
    } else if (i < file->text_count)
        file->texts[i] = file->texts[--file->text_count];
}

const char *model_file_write(const model_file *file, const char *name) {
    ra_safetensors_writer *writer = NULL;
    const char *path = test_path(name);
    ra_ok(ra_safetensors_writer_new(&writer, &err));
    for (size_t i = 0; i < file->text_count; i++)
        ra_ok(ra_safetensors_writer_metadata(writer, file->texts[i].key, file->texts[i].text, &err));
    for (size_t i = 0; i < file->count; i++)
        ra_ok(ra_safetensors_writer_tensor(writer, file->tensors[i].name, &file->tensors[i].tensor, &err));
    ra_ok(ra_safetensors_writer_write(writer, path, &err));
    ra_safetensors_writer_free(writer);
    return path;
}

void model_file_release(model_file *file) {
    for (size_t i = 0; i < file->count; i++) ra_free(file->tensors[i].data);
    *file = (model_file){0};
}

/* ---- the two files ------------------------------------------------------------------------------------- */

static void put_random(model_file *file, const char *name, int rank, size_t rows, size_t cols,
                       uint64_t seed) {
    float values[64];
    size_t n = rows * (rank == 2 ? cols : 1);
    ck_assert_uint_le(n, sizeof values / sizeof *values);
    test_fill(values, n, seed);
    model_file_put(file, name, RA_F32, rank, rows, cols, values);
}

static void put_common(model_file *file) {
    static const int32_t rows[FILE_N * FILE_R] = {7, 2, 0, 1, 9, -1, 4, 3, 5, 6};
    static const float distance[FILE_N * FILE_R] = {0.5f, 1, 0, 0.25f, 2, 0, 1, 1.5f, 0.125f, 3};
    put_random(file, "encoder.final_block.0.weight", 2, FILE_K, FILE_D, 1);
    put_random(file, "encoder.final_block.0.bias", 1, FILE_K, 0, 2);
    put_random(file, "thresholds", 1, FILE_K, 0, 3);
    model_file_put(file, "points.rows", RA_I32, 2, FILE_N, FILE_R, rows);
    model_file_put(file, "points.row_distance", RA_F32, 2, FILE_N, FILE_R, distance);
    model_file_put_text(file, "points.row_labels", "cat\tcat\ndog\tcow\nowl\t\n\tfox\n\t\n");
    model_file_text(file, "sae", "jumprelu");
    model_file_text(file, "delta", "0.5");
    model_file_text(file, "encoder", "linear");
}

void model_file_artifact(model_file *file) {
    static const int32_t index[FILE_K * FILE_T] = {0, 1, 2, 1, -1, -1, 3, 0, 4, 4, 2, -1, 2, 3, 1, 0, -1, -1};
    static const float weight[FILE_K * FILE_T] = {0.5f, 0.25f, 0.125f, 1,    0,     0,     0.4f,  0.3f, 0.2f,
                                                  0.9f, 0.05f, 0,      0.5f, 0.25f, 0.04f, 0.75f, 0,    0};
    static const float relaxation[FILE_K] = {0, 0.5f, 0.25f, 0.125f, 0.0625f, 0.5f};
    put_random(file, "dictionary", 2, FILE_K, FILE_D, 4);
    model_file_put(file, "archetypes.index", RA_I32, 2, FILE_K, FILE_T, index);
    model_file_put(file, "archetypes.weight", RA_F32, 2, FILE_K, FILE_T, weight);
    model_file_put(file, "relaxation.norm", RA_F32, 1, FILE_K, 0, relaxation);
    put_random(file, "points.vectors", 2, FILE_N, FILE_D, 5);
    put_common(file);
    model_file_text(file, "format", "rasae.fused.v1");
    model_file_text(file, "points", "5");
}

void model_file_measured(model_file *file) {
    static const int64_t count[FILE_K] = {3, 0, 1, 10, 2, 1};
    static const float mean[FILE_K] = {1.5f, 0, 0.5f, 2, 1, 3}, max[FILE_K] = {2.5f, 0, 0.5f, 3.5f, 1, 3};
    static const float energy[FILE_K] = {0.5f, 0, 0.125f, 1, 0.25f, 0.75f}, top[FILE_K] = {4, 0, 1, 4, 2, 4};
    static const int64_t histogram[FILE_K * FILE_BINS] = {1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0,
                                                          4, 2, 0, 4, 0, 0, 2, 0, 0, 0, 0, 1};
    static const int64_t row[FILE_K * FILE_EXAMPLES] = {9, 0, -1, -1, 4, -1, 2, 7, 3, 8, 5, -1};
    static const float value[FILE_K * FILE_EXAMPLES] = {2.5f, 1, 0, 0, 0.5f, 0, 3.5f, 3.5f, 1, 1, 3, 0};
    static const float layout[FILE_K * 2] = {0, 0.5f, -1, 0.25f, 1, -0.5f, 0.125f, 0, -0.25f, -1, 0.75f, 1};
    model_file_artifact(file);
    model_file_put(file, "latents.count", RA_I64, 1, FILE_K, 0, count);
    model_file_put(file, "latents.mean", RA_F32, 1, FILE_K, 0, mean);
    model_file_put(file, "latents.max", RA_F32, 1, FILE_K, 0, max);
    model_file_put(file, "latents.energy", RA_F32, 1, FILE_K, 0, energy);
    model_file_put(file, "latents.histogram_top", RA_F32, 1, FILE_K, 0, top);
    model_file_put(file, "latents.histogram", RA_I64, 2, FILE_K, FILE_BINS, histogram);
    model_file_put(file, "latents.top_row", RA_I64, 2, FILE_K, FILE_EXAMPLES, row);
    model_file_put(file, "latents.top_value", RA_F32, 2, FILE_K, FILE_EXAMPLES, value);
    model_file_put_text(file, "latents.top_labels", "cat\tdog\n\t\n\t\nowl\tfox\ncow\t\nhen\t\n");
    model_file_put(file, "atoms.layout", RA_F32, 2, FILE_K, 2, layout);
    model_file_text(file, "latents.rows", "10");
}

void model_file_checkpoint(model_file *file) {
    const float multiplier = 0.25f;
    put_random(file, "dictionary.W", 2, FILE_K, FILE_N, 6);
    put_random(file, "dictionary.C", 2, FILE_N, FILE_D, 7);
    put_random(file, "dictionary.Relax", 2, FILE_K, FILE_D, 8);
    model_file_put(file, "dictionary.multiplier", RA_F32, 0, 1, 1, &multiplier);
    put_common(file);
}

/* ---- opening and golden files -------------------------------------------------------------------------- */

static const char *const devices[] = {"cpu", "cuda-emulated"};
static const char *device = "cpu";

const char *model_on_device(int test) {
    return device = devices[test % MODEL_DEVICES];
}

ra_model *model_open_with(const char *path, const char *settings) {
    ra_backend *backend = device_open_named(device, &(ra_backend_options){.threads = 1});
    ra_model *model = NULL;
    const ra_model_options options = {.backend = backend, .settings = model_settings(settings)};
    ra_ok(ra_model_open(path, &options, &model, &err));
    ra_backend_release(backend); /* the model keeps it */
    return model;
}

ra_model *model_open(const char *path) {
    return model_open_with(path, "");
}

ra_sae_settings model_settings(const char *text) {
    ra_sae_settings settings = {0};
    char copy[256], *rest = copy;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *pair; (pair = strsep(&rest, " "));) {
        char *key = strsep(&pair, "=");
        int row = ra_setting_by_key(ra_sae_settings_table(), key);
        if (row >= 0)
            ra_ok(ra_setting_parse(ra_sae_settings_table(), (size_t)row, &settings, pair, key, &err));
    }
    return settings;
}

float *golden_tensor(const char *name_of_file, const char *name, size_t *rows, size_t *cols) {
    ra_safetensors *file = NULL;
    ra_tensor tensor;
    ra_ok(ra_safetensors_open(test_golden(name_of_file), &file, &err));
    ra_ok(ra_safetensors_get(file, name, &tensor, &err));
    float *values = ra_malloc(ra_tensor_elements(&tensor), sizeof *values);
    ck_assert_ptr_nonnull(values);
    ra_convert_to_f32(tensor.dtype, tensor.data, values, ra_tensor_elements(&tensor));
    if (rows) *rows = tensor.rank > 0 ? tensor.shape[0] : 1;
    if (cols) *cols = tensor.rank > 1 ? tensor.shape[1] : 1;
    ra_safetensors_free(file);
    return values;
}
