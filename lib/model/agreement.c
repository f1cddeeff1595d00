/* The agreement of the atoms with other runs (ra_agreement.h): its part in files, and in a model. Checkpoints and
 * artifacts hold it under the same names. */
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char share_name[] = "agreement.share", cosine_name[] = "agreement.cosine",
                  runs_key[] = "agreement.runs", level_key[] = "agreement.level";

void ra_agreement_release(ra_agreement *agreement) {
    ra_free(agreement->share);
    ra_free(agreement->cosine);
    *agreement = (ra_agreement){0};
}

ra_status ra_agreement_store(const ra_agreement *agreement, ra_safetensors_writer *writer, ra_error *err) {
    const ra_tensor share = ra_tensor_1d(RA_F32, agreement->share, agreement->atoms),
                    cosine = ra_tensor_1d(RA_F32, agreement->cosine, agreement->atoms);
    char level[32];
    snprintf(level, sizeof level, "%.9g", agreement->level);
    if (strtod(level, NULL) != agreement->level) snprintf(level, sizeof level, "%.17g", agreement->level);
    RA_TRY(ra_safetensors_writer_count(writer, runs_key, agreement->runs, err));
    RA_TRY(ra_safetensors_writer_metadata(writer, level_key, level, err));
    RA_TRY(ra_safetensors_writer_tensor(writer, share_name, &share, err));
    return ra_safetensors_writer_tensor(writer, cosine_name, &cosine, err);
}

/* ---- opening ------------------------------------------------------------------------------------------ */

static ra_status read_number(const ra_model *model, const ra_safetensors *file, const char *key, double least,
                             double most, double *value, ra_error *err) {
    const char *text = ra_safetensors_metadata(file, key);
    char *end = NULL;
    *value = text ? strtod(text, &end) : NAN;
    if (text && end != text && !*end && *value >= least && *value <= most) return RA_OK;
    RA_FAIL(err, RA_ERR_FORMAT,
            "%s: it has %s, but its metadata %s is %s%s%s; expected a number from %g to %g", model->info.path,
            share_name, key, text ? "\"" : "", text ? text : "missing", text ? "\"" : "", least, most);
}

static ra_status read_values(ra_model *model, const ra_safetensors *file, const char *name, float least,
                             const float **values, ra_error *err) {
    const char *path = model->info.path;
    size_t K = model->info.concepts;
    ra_tensor tensor, kept;
    RA_TRY(ra_safetensors_get(file, name, &tensor, err));
    RA_TRY(ra_model_check_tensor(path, name, &tensor, RA_F32, 1, K, 0, err));
    RA_TRY(ra_model_keep(model, "the agreement of the atoms", &tensor, &kept, err));
    *values = kept.data;
    for (size_t k = 0; k < K; k++)
        if (!((*values)[k] >= least && (*values)[k] <= 1))
            RA_FAIL(err, RA_ERR_FORMAT, "%s: %s holds %g for atom %zu; expected %g to 1", path, name,
                    (double)(*values)[k], k, (double)least);
    return RA_OK;
}

ra_status ra_model_open_agreement(ra_model *model, const ra_safetensors *file, ra_error *err) {
    double runs;
    if (!ra_safetensors_find(file, share_name)) return RA_OK;
    RA_TRY(read_number(model, file, runs_key, 1, 0x1p31, &runs, err));
    RA_TRY(read_number(model, file, level_key, -1, 1, &model->info.agreement_level, err));
    RA_TRY(read_values(model, file, share_name, 0, &model->agreement_share, err));
    RA_TRY(read_values(model, file, cosine_name, -1, &model->agreement_cosine, err));
    model->info.agreement_runs = (size_t)runs;
    return RA_OK;
}

/* ---- an atom ------------------------------------------------------------------------------------------- */

float ra_model_atom_agreement(const ra_model *model, size_t atom) {
    return model->agreement_share ? model->agreement_share[atom] : NAN;
}

float ra_model_atom_agreement_cosine(const ra_model *model, size_t atom) {
    return model->agreement_cosine ? model->agreement_cosine[atom] : NAN;
}
