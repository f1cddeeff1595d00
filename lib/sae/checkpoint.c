/* Checkpoints: reads and writes an autoencoder as a safetensors file with the state-dict names of
 * overcomplete. proto/artifact.md has the format. */
#include "sae/sae.h"
#include "dictionary/dictionary.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

/* ---- reading ------------------------------------------------------------------------------------------- */

static ra_status get_float(const ra_safetensors *file, const char *name, int rank, ra_tensor *tensor,
                           ra_error *err) {
    char shape[128];
    RA_TRY(ra_safetensors_get(file, name, tensor, err));
    if (!ra_dtype_is_float(tensor->dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "%s: %s is %s; expected F32, F16 or BF16", ra_safetensors_path(file), name,
                ra_dtype_name(tensor->dtype));
    if (tensor->rank != rank)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: %s has the shape %s; expected %d dimensions",
                ra_safetensors_path(file), name,
                ra_shape_text(tensor->rank, tensor->shape, shape, sizeof shape), rank);
    return RA_OK;
}

static ra_status need(const ra_safetensors *file, const ra_sae_settings *settings,
                      enum ra_sae_setting setting, const char *why, ra_error *err) {
    if (ra_setting_known(settings, setting)) return RA_OK;
    const ra_setting *row = &ra_sae_settings_table()->rows[setting];
    RA_FAIL(err, RA_ERR_SETTING,
            "%s: the setting %s is missing from its metadata, which %s needs; give it with --%s",
            ra_safetensors_path(file), row->key, why, ra_setting_flag(row).text);
}

static ra_status need_delta(const ra_safetensors *file, const ra_sae_settings *settings, ra_error *err) {
    RA_TRY(need(file, settings, RA_SET_DELTA, "an archetypal dictionary", err));
    if (!settings->delta_relative) return RA_OK;
    RA_FAIL(err, RA_ERR_SETTING,
            "%s: delta is %gx; only a new run can take it in units of its points, so give "
            "--delta as a number",
            ra_safetensors_path(file), settings->delta);
}

static ra_status check_finite(const ra_safetensors *file, const char *name, const ra_tensor *tensor,
                              ra_error *err) {
    enum { CHUNK = 4096 };
    float values[CHUNK];
    size_t n = ra_tensor_elements(tensor);
    for (size_t from = 0; from < n; from += CHUNK) {
        size_t count = n - from < CHUNK ? n - from : CHUNK;
        ra_convert_to_f32(tensor->dtype, (const char *)tensor->data + from * ra_dtype_size(tensor->dtype),
                          values, count);
        size_t bad = ra_find_not_finite(values, count);
        if (bad < count)
            RA_FAIL(err, RA_ERR_NOT_FINITE, "%s: %s holds %g at element %zu; expected finite numbers",
                    ra_safetensors_path(file), name, (double)values[bad], from + bad);
    }
    return RA_OK;
}

/* parameter <- the tensor of its name, which must have its shape. */
static ra_status load(const ra_safetensors *file, ra_backend *backend, const ra_parameter *parameter,
                      ra_error *err) {
    char shape[128], expected[128];
    ra_tensor tensor;
    RA_TRY(ra_safetensors_get(file, parameter->name, &tensor, err));
    bool same = tensor.rank == parameter->rank;
    for (int i = 0; same && i < tensor.rank; i++) same = tensor.shape[i] == parameter->shape[i];
    bool numbers =
        parameter->dtype == RA_F32 ? ra_dtype_is_float(tensor.dtype) : tensor.dtype == parameter->dtype;
    if (!same || !numbers)
        RA_FAIL(err, same ? RA_ERR_DTYPE : RA_ERR_SHAPE, "%s: %s is %s %s; expected %s %s",
                ra_safetensors_path(file), parameter->name, ra_dtype_name(tensor.dtype),
                ra_shape_text(tensor.rank, tensor.shape, shape, sizeof shape),
                parameter->dtype == RA_F32 ? "F32, F16 or BF16" : ra_dtype_name(parameter->dtype),
                ra_shape_text(parameter->rank, parameter->shape, expected, sizeof expected));
    if (parameter->dtype == RA_F32) RA_TRY(check_finite(file, parameter->name, &tensor, err));
    return ra_parameter_upload(backend, parameter, &tensor, err);
}

static ra_status clear(ra_backend *backend, const ra_parameter *parameter, ra_error *err) {
    size_t n = ra_parameter_size(parameter);
    float *zeros = ra_calloc(n, sizeof *zeros);
    if (!zeros) RA_FAIL_MEMORY(err, parameter->name, n * sizeof *zeros);
    ra_status status = ra_backend_put(backend, parameter->value, zeros, n * sizeof *zeros, err);
    ra_free(zeros);
    return status;
}

static ra_status make_mixtures(const ra_safetensors *file, const ra_sae_settings *settings,
                               ra_backend *backend, ra_dictionary **dictionary, ra_error *err) {
    ra_tensor index, C;
    char shape[128];
    RA_TRY(ra_safetensors_get(file, "dictionary.W.index", &index, err));
    RA_TRY(get_float(file, "dictionary.C", 2, &C, err));
    RA_TRY(need_delta(file, settings, err));
    if (index.dtype != RA_I32 || index.rank != 2)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: dictionary.W.index is %s %s, expected I32 [K, T]",
                ra_safetensors_path(file), ra_dtype_name(index.dtype),
                ra_shape_text(index.rank, index.shape, shape, sizeof shape));
    return ra_mixture_dictionary_new(backend, C.shape[1], index.shape[0], index.shape[1], &C,
                                     (float)settings->delta, settings->hull_share, settings->use_multiplier,
                                     dictionary, err);
}

static ra_status make_dictionary(const ra_safetensors *file, const ra_sae_settings *settings,
                                 ra_backend *backend, ra_dictionary **dictionary, ra_error *err) {
    ra_tensor W, C, weights;
    if (ra_safetensors_find(file, "dictionary._weights")) {
        RA_TRY(get_float(file, "dictionary._weights", 2, &weights, err));
        RA_TRY(need(file, settings, RA_SET_DICTIONARY, "a plain dictionary", err));
        return ra_plain_dictionary_new(backend, weights.shape[1], weights.shape[0],
                                       (ra_dictionary_kind)settings->dictionary, &weights,
                                       settings->use_multiplier, 0, dictionary, err);
    }
    if (ra_safetensors_find(file, "dictionary.W.index"))
        return make_mixtures(file, settings, backend, dictionary, err);
    if (!ra_safetensors_find(file, "dictionary.W"))
        RA_FAIL(err, RA_ERR_FORMAT,
                "%s is not a checkpoint: it holds neither dictionary.W nor dictionary._weights",
                ra_safetensors_path(file));
    RA_TRY(get_float(file, "dictionary.W", 2, &W, err));
    RA_TRY(get_float(file, "dictionary.C", 2, &C, err));
    RA_TRY(need_delta(file, settings, err));
    return ra_archetypal_dictionary_new(backend, C.shape[1], W.shape[0], &C, (float)settings->delta,
                                        settings->use_multiplier, dictionary, err);
}

static ra_status read_settings(const ra_safetensors *file, const ra_sae_settings *overrides,
                               ra_sae_settings *settings, ra_error *err) {
    const ra_settings_table *table = ra_sae_settings_table();
    RA_TRY(ra_sae_settings_read(file, settings, err));
    if (overrides) ra_settings_override(table, settings, overrides);
    RA_TRY(ra_sae_check_tensors(file, settings, overrides ? overrides->ignored : NULL, err));
    bool found;
    ra_encoder_kind kind;
    if (ra_safetensors_find(file, "output.bias"))
        RA_FAIL(err, RA_ERR_UNSUPPORTED,
                "%s has a bias of the decoder, which is served but cannot be trained here",
                ra_safetensors_path(file));
    RA_TRY(ra_encoder_find(file, settings, &found, &kind, err));
    if (!found)
        RA_FAIL(err, RA_ERR_STATE, "%s has a dictionary, but no encoder, so it cannot be trained",
                ra_safetensors_path(file));
    if (!ra_encoder_can_train(kind))
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s has the encoder %s, which is served but cannot be trained here",
                ra_safetensors_path(file), table->rows[RA_SET_ENCODER].names[kind]);
    settings->encoder = (int)kind;
    settings->known |= 1u << RA_SET_ENCODER;
    RA_TRY(need(file, settings, RA_SET_SAE, "an encoder", err));
    for (size_t i = 0; i < table->count; i++)
        if (ra_sae_needs(settings, (enum ra_sae_setting)i))
            RA_TRY(need(file, settings, (enum ra_sae_setting)i, table->rows[RA_SET_SAE].names[settings->sae],
                        err));
    bool plain = ra_safetensors_find(file, "dictionary._weights") != NULL,
         named = ra_setting_known(settings, RA_SET_DICTIONARY);
    if (named && plain != (settings->dictionary != RA_DICTIONARY_ARCHETYPAL))
        RA_FAIL(err, RA_ERR_ARGUMENT, "%s: the setting dictionary is %s, but the file holds %s",
                ra_safetensors_path(file), table->rows[RA_SET_DICTIONARY].names[settings->dictionary],
                plain ? "dictionary._weights" : "dictionary.W");
    if (!plain || named) ra_sae_settings_defaults(settings); /* a plain dictionary has no default kind */
    return RA_OK;
}

static ra_status open_file(const ra_safetensors *file, const ra_sae_settings *overrides, ra_backend *backend,
                           ra_sae **out, ra_error *err) {
    ra_sae_settings settings;
    ra_dictionary *dictionary = NULL;
    ra_sae *sae = NULL;
    RA_TRY(read_settings(file, overrides, &settings, err));
    RA_TRY(make_dictionary(file, &settings, backend, &dictionary, err));
    RA_TRY(ra_sae_new(&settings, dictionary, 0, &sae, err));
    ra_status status = RA_OK;
    for (size_t i = 0; i < sae->count; i++) {
        const ra_parameter *parameter = &sae->parameters[i];
        bool absent = parameter == sae->encoder.tensor[RA_ENCODER_BIAS] &&
                      !ra_safetensors_find(file, parameter->name) &&
                      ra_encoder_tensor_is_optional(file, sae->encoder.kind, RA_ENCODER_BIAS);
        RA_TRY_OUT(status, absent ? clear(backend, parameter, err) : load(file, backend, parameter, err));
    }
    const ra_tensor *batches = ra_safetensors_find(file, ra_encoder_batch_counter);
    if (batches && batches->dtype == RA_I64 && batches->rank == 0)
        memcpy(&sae->encoder.batches, batches->data, sizeof(int64_t));
    RA_TRY_OUT(status, ra_dictionary_loaded(sae->dictionary, err));
    ra_sae_changed(sae);
    *out = sae;
    return RA_OK;
out:
    ra_sae_free(sae);
    return status;
}

ra_status ra_sae_open(const char *path, const ra_sae_settings *overrides, ra_backend *backend, ra_sae **sae,
                      ra_error *err) {
    ra_safetensors *file = NULL;
    RA_TRY(ra_safetensors_open(path, &file, err));
    ra_status status = ra_safetensors_narrow(file, err);
    if (status == RA_OK) status = open_file(file, overrides, backend, sae, err);
    ra_safetensors_free(file);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

/* Of a dictionary with a source, only the points that atoms have are written, each once. */
static ra_status store_points(ra_sae *sae, ra_safetensors_writer *writer, ra_error *err) {
    ra_mixture_points *points = &sae->points;
    size_t K = sae->encoder.concepts, d = sae->encoder.dimensions;
    const ra_tensor vectors = ra_tensor_2d(RA_F32, points->vectors, points->count, d),
                    index = ra_tensor_2d(RA_I32, points->index, K, ra_dictionary_mixture(sae->dictionary)),
                    number = ra_tensor_1d(RA_I64, points->number, points->count);
    RA_TRY(ra_safetensors_writer_tensor(writer, "dictionary.C", &vectors, err));
    RA_TRY(ra_safetensors_writer_tensor(writer, "dictionary.W.index", &index, err));
    return ra_safetensors_writer_tensor(writer, "dictionary.C.number", &number, err);
}

ra_status ra_sae_store(ra_sae *sae, ra_safetensors_writer *writer, ra_error *err) {
    RA_TRY(ra_dictionary_project(sae->dictionary, err)); /* a checkpoint holds projected parameters */
    ra_mixture_points_release(&sae->points);
    RA_TRY(ra_mixture_points_get(sae->dictionary, &sae->points, err));
    if (sae->points.count) RA_TRY(store_points(sae, writer, err));
    for (size_t i = 0; i < sae->count; i++) {
        const ra_parameter *parameter = &sae->parameters[i];
        bool stored = sae->points.count && (strcmp(parameter->name, "dictionary.C") == 0 ||
                                            strcmp(parameter->name, "dictionary.W.index") == 0);
        ra_tensor tensor = {.dtype = parameter->dtype,
                            .rank = parameter->rank,
                            .shape = {parameter->shape[0], parameter->shape[1]}};
        if (stored) continue;
        RA_TRY(ra_backend_view(sae->backend, parameter->value, ra_parameter_size(parameter) * sizeof(float),
                               &sae->copies[i], &tensor.data, err));
        RA_TRY(ra_safetensors_writer_tensor(writer, parameter->name, &tensor, err));
    }
    if (ra_encoder_norm(sae->encoder.kind) == RA_ENCODER_BATCH_NORM) {
        ra_tensor batches = {.dtype = RA_I64, .rank = 0, .data = &sae->encoder.batches};
        RA_TRY(ra_safetensors_writer_tensor(writer, ra_encoder_batch_counter, &batches, err));
    }
    return ra_settings_write(ra_sae_settings_table(), &sae->settings, writer, err);
}
