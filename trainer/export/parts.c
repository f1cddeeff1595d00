#include "export/export.h"

#include <stdio.h>
#include <string.h>

ra_status export_path(const export_job *job, const char *name, char **path, ra_error *err) {
    size_t size = strlen(job->folder) + strlen(name) + 2;
    *path = ra_malloc(size, 1);
    if (!*path) RA_FAIL_MEMORY(err, "the name of a file", size);
    snprintf(*path, size, "%s/%s", job->folder, name);
    return RA_OK;
}

static ra_status write_text(const char *path, const text *content, ra_error *err) {
    ra_atomic_file *file = NULL;
    if (content->failed) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the text of %s", path);
    RA_TRY(ra_atomic_file_begin(path, &file, err));
    ra_status status = ra_atomic_file_write(file, content->data, content->size, err);
    if (status == RA_OK) return ra_atomic_file_commit(file, err);
    ra_atomic_file_abort(file);
    return status;
}

ra_status export_text(const export_job *job, const char *name, text *content, ra_error *err) {
    char *path = NULL;
    ra_status status = export_path(job, name, &path, err);
    if (status == RA_OK) status = write_text(path, content, err);
    ra_free(path);
    text_release(content);
    return status;
}

ra_status export_refuse(const export_job *job, const char *what, const char *why, ra_error *err) {
    RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s cannot be written for %s: %s", ra_model_get_info(job->model)->path,
            what, why);
}

/* batchtopk compares with a running threshold, which is what jumprelu with one threshold for all latents does. */
static const char *architecture(const ra_sae_settings *settings) {
    static const char *const names[RA_SAE_KIND_COUNT] = {[RA_SAE_RELU] = "standard",
                                                         [RA_SAE_TOPK] = "topk",
                                                         [RA_SAE_BATCHTOPK] = "jumprelu",
                                                         [RA_SAE_JUMPRELU] = "jumprelu"};
    return names[settings->sae];
}

ra_status export_config(const export_job *job, const char *what, text *json, ra_error *err) {
    const ra_weights *w = job->weights;
    const ra_sae_settings *settings = &ra_model_get_info(job->model)->settings;
    if (!ra_model_get_info(job->model)->has_encoder)
        return export_refuse(job, what, "it has no encoder; --to csv and --to npz take a dictionary alone",
                             err);
    if (!w->encoder)
        return export_refuse(
            job, what, "it encodes by matching pursuit, which has no weights; --to overcomplete has it", err);
    json_object(json, NULL);
    json_text(json, "architecture", architecture(settings));
    json_count(json, "d_in", w->dimensions);
    json_count(json, "d_sae", w->concepts);
    json_text(json, "dtype", "float32");
    json_text(json, "device", "cpu");
    json_bool(json, "apply_b_dec_to_input", w->center_input);
    json_text(json, "normalize_activations", "none");
    json_text(json, "reshape_activations", "none");
    if (settings->sae == RA_SAE_TOPK) {
        json_count(json, "k", settings->top_k);
        json_bool(json, "rescale_acts_by_decoder_norm", false);
    }
    json_object(json, "metadata");
    if (job->network) json_text(json, "model_name", job->network);
    if (job->hook) json_text(json, "hook_name", job->hook);
    json_text(json, "written_by", "rasae " RA_VERSION);
    json_object_end(json);
    json_object_end(json);
    text_string(json, "\n");
    return RA_OK;
}

ra_status export_arrays(const export_job *job, const char *names[EXPORT_ARRAYS],
                        ra_tensor tensors[EXPORT_ARRAYS], size_t *count, float **encoder, ra_error *err) {
    const ra_weights *w = job->weights;
    size_t K = w->concepts, d = w->dimensions, n = 0;
    *encoder = NULL;
    names[n] = "W_dec";
    tensors[n++] = ra_tensor_2d(RA_F32, w->decoder, K, d);
    names[n] = "b_dec";
    tensors[n++] = ra_tensor_1d(RA_F32, w->decoder_bias, d);
    if (w->encoder) {
        *encoder = ra_malloc(K * d, sizeof **encoder);
        if (!*encoder) RA_FAIL_MEMORY(err, "the encoder", K * d * sizeof **encoder);
        ra_weights_transpose(w->encoder, K, d, *encoder);
        names[n] = "W_enc";
        tensors[n++] = ra_tensor_2d(RA_F32, *encoder, d, K);
        names[n] = "b_enc";
        tensors[n++] = ra_tensor_1d(RA_F32, w->encoder_bias, K);
    }
    if (w->strict_thresholds) {
        names[n] = "threshold";
        tensors[n++] = ra_tensor_1d(RA_F32, w->strict_thresholds, K);
    }
    if (w->norm_weight) {
        names[n] = "norm_weight";
        tensors[n++] = ra_tensor_1d(RA_F32, w->norm_weight, K);
        names[n] = "norm_bias";
        tensors[n++] = ra_tensor_1d(RA_F32, w->norm_bias, K);
    }
    *count = n;
    return RA_OK;
}
