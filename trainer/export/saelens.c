/* SAELens 6: sae_weights.safetensors and cfg.json. Its thresholds are strict, ours are not, so each becomes the float below. */
#include "export/export.h"

static ra_status write_weights(const export_job *job, const char *path, ra_error *err) {
    const char *names[EXPORT_ARRAYS];
    ra_tensor tensors[EXPORT_ARRAYS];
    size_t count = 0;
    float *encoder = NULL;
    ra_safetensors_writer *writer = NULL;
    ra_status status;
    RA_TRY_OUT(status, export_arrays(job, names, tensors, &count, &encoder, err));
    RA_TRY_OUT(status, ra_safetensors_writer_new(&writer, err));
    for (size_t i = 0; i < count; i++)
        RA_TRY_OUT(status, ra_safetensors_writer_tensor(writer, names[i], &tensors[i], err));
    status = ra_safetensors_writer_write(writer, path, err);
out:
    ra_safetensors_writer_free(writer);
    ra_free(encoder);
    return status;
}

static ra_status write(const export_job *job, ra_error *err) {
    text config = {0};
    char *path = NULL;
    if (job->weights->norm_weight)
        return export_refuse(
            job, "SAELens",
            "its encoder has a LayerNorm (mlp_ln_1), which SAELens has no class for; --to npz and "
            "--to overcomplete have it",
            err);
    ra_status status = export_config(job, "SAELens", &config, err);
    if (status == RA_OK) status = export_text(job, "cfg.json", &config, err);
    if (status == RA_OK) status = export_path(job, "sae_weights.safetensors", &path, err);
    if (status == RA_OK) status = write_weights(job, path, err);
    text_release(&config);
    ra_free(path);
    return status;
}

const export_format export_saelens = {
    .name = "saelens", .files = "sae_weights.safetensors, cfg.json", .write = write};
