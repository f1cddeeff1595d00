/* params.npz: arrays under the names and axes of Gemma Scope and SAELens, and the cfg.json of SAELens with the settings. The
 * LayerNorm of mlp_ln_1, which neither has, is in two arrays more. */
#include "export/export.h"

static ra_status write_settings(const export_job *job, ra_error *err) {
    text config = {0};
    if (!job->weights->encoder) return RA_OK; /* a dictionary alone, or matching pursuit, has none */
    ra_status status = export_config(job, "npz", &config, err);
    if (status == RA_OK) return export_text(job, "cfg.json", &config, err);
    text_release(&config);
    return status;
}

static ra_status write(const export_job *job, ra_error *err) {
    const char *names[EXPORT_ARRAYS];
    ra_tensor tensors[EXPORT_ARRAYS];
    size_t count = 0;
    float *encoder = NULL;
    char *path = NULL;
    ra_status status = export_path(job, "params.npz", &path, err);
    if (status == RA_OK) status = export_arrays(job, names, tensors, &count, &encoder, err);
    if (status == RA_OK) status = ra_npz_write(path, names, tensors, count, err);
    if (status == RA_OK) status = write_settings(job, err);
    ra_free(encoder);
    ra_free(path);
    return status;
}

const export_format export_npz = {.name = "npz", .files = "params.npz, cfg.json", .write = write};
