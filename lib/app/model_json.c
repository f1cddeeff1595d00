#include "app/model_json.h"
#include "app/format.h"

#include <string.h>

void json_known_count(text *out, const char *key, size_t count) {
    if (count)
        json_count(out, key, count);
    else
        json_null(out, key);
}

/* One setting by its place in the table, null when the file does not say. */
static void setting(text *out, size_t i, const ra_sae_settings *settings) {
    const ra_setting *row = &ra_sae_settings_table()->rows[i];
    char value[64];
    if (!ra_setting_known(settings, i)) {
        json_null(out, row->key);
        return;
    }
    ra_setting_print(ra_sae_settings_table(), i, settings, value, sizeof value);
    bool word = row->type == RA_SETTING_NAME || (row->zero && strcmp(value, row->zero) == 0);
    if (word)
        json_text(out, row->key, value);
    else
        json_raw(out, row->key, value); /* a number or true or false, as JSON writes them too */
}

void json_model_settings(text *out, const ra_sae_settings *settings) {
    json_object(out, "settings");
    for (size_t i = 0; i < ra_sae_settings_table()->count; i++) setting(out, i, settings);
    json_object_end(out);
}

/* With how many runs the atoms were compared, from which cosine on a run has an atom, and the median atom. */
static void agreement(text *out, const ra_model_info *info) {
    if (info->agreement_runs == 0) {
        json_null(out, "agreement");
        return;
    }
    json_object(out, "agreement");
    json_count(out, "runs", info->agreement_runs);
    json_real(out, "level", info->agreement_level);
    json_float(out, "share", info->agreement_share);
    json_float(out, "cosine", info->agreement_cosine);
    json_object_end(out);
}

static void shape(text *out, const ra_model_info *info) {
    if (!info->sides) {
        json_null(out, "shape");
        return;
    }
    json_array(out, "shape");
    for (size_t i = 0; i < info->sides; i++) json_count(out, NULL, info->shape[i]);
    json_array_end(out);
}

void json_model_info(text *out, const ra_model_info *info) {
    json_count(out, "concepts", info->concepts);
    json_count(out, "dimensions", info->dimensions);
    json_known_count(out, "points", info->points);
    json_known_count(out, "archetypes", info->archetypes);
    json_text(out, "dtype", format_dtype(info->dtype).text);
    setting(out, RA_SET_SAE, &info->settings);
    setting(out, RA_SET_ENCODER, &info->settings);
    json_bool(out, "has_encoder", info->has_encoder);
    json_bool(out, "standardized", info->has_standardization);
    json_bool(out, "has_relaxation", info->has_relaxation);
    json_bool(out, "has_atom_labels", info->has_atom_labels);
    json_bool(out, "has_explanations", info->has_explanations);
    json_bool(out, "has_point_labels", info->has_point_labels);
    json_bool(out, "has_point_vectors", info->has_point_vectors);
    json_bool(out, "has_trace", info->trace_rows > 0);
    json_float(out, "coverage", info->coverage);
    json_float(out, "hull_share", info->hull_share);
    json_float(out, "trace_cosine", info->trace_cosine);
    agreement(out, info);
    json_bool(out, "has_statistics", info->has_statistics);
    json_bool(out, "has_cofiring", info->has_cofiring);
    json_bool(out, "has_quantiles", info->has_quantiles);
    json_bool(out, "has_contrasts", info->has_contrasts);
    json_bool(out, "has_layout", info->has_layout);
    json_bool(out, "has_training", info->training_bins > 0);
    json_text(out, "model", info->model);
    json_text(out, "hook", info->hook);
    shape(out, info);
    json_text(out, "source", info->from_checkpoint ? "checkpoint" : "artifact");
    json_text(out, "device", info->device);
    json_text(out, "digest", info->digest);
    json_count(out, "bytes", info->bytes);
}
