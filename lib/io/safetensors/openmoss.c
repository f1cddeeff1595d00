/* The autoencoders of OpenMOSS's lm_saes (later llamascopium): Llama Scope, and its later releases. d dimensions, nf = sqrt(d) /
 * the mean norm of the activations, n the norms of the decoder's rows.
 *
 *   hyperparams.json (2024)   What its from_pretrained() makes of the file: with norm_activation "dataset-wise" the encoder's bias
 *       is divided by nf(in), the decoder's bias by nf(out) and the decoder multiplied by nf(in) / nf(out); with
 *       sparsity_include_decoder_norm the atoms then become unit vectors, and weight and bias of the encoder are multiplied by n.
 *       The one threshold of all latents belongs to this: codes count in the units of the inputs, and SAELens's, which reads the
 *       same files, are nf times those.
 *   config.json (since 2025)  What encode() computes of normalized activations: the inputs are multiplied by nf, of which the
 *       file has the mean norm in a tensor, and a latent is active where its pre-code times n is above exp(log_jumprelu_threshold).
 *       That is a standardization with mean 0 and scale 1 / nf. A topk, which selects by the pre-code times n, too, is read as the
 *       library's transform_to_unit_decoder_norm() writes it.
 *
 * All thresholds are strict. */
#include "io/safetensors/layout_json.h"
#include "ra_memory.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include <strings.h>

/* ---- what both have ------------------------------------------------------------------------------------ */

static ra_status check_kind(const ra_layout_reading *r, ra_error *err) {
    const char *in = ra_layout_text(r->json, "hook_point_in"),
               *out = ra_layout_text(r->json, "hook_point_out");
    if (in && out && strcmp(in, out) != 0)
        RA_LAYOUT_REFUSE(r, err,
                         "it is a transcoder, from %.60s to %.60s, whose reconstructions are of other "
                         "activations than its inputs, which is not supported",
                         in, out);
    if (cJSON_IsTrue(ra_layout_member(r->json, "use_glu_encoder")))
        RA_LAYOUT_REFUSE(r, err,
                         "its encoder has a gate of products (use_glu_encoder), which is not supported");
    return in ? ra_layout_add(r, "hook", in, err) : RA_OK;
}

/* *wise <- whether activations are divided by the mean norm of the data. */
static ra_status check_normalization(const ra_layout_reading *r, bool *wise, ra_error *err) {
    const char *how = ra_layout_text(r->json, "norm_activation");
    *wise = how && strcmp(how, "dataset-wise") == 0;
    if (*wise || (how && (strcmp(how, "inference") == 0 || strcmp(how, "none") == 0))) return RA_OK;
    if (!how) RA_LAYOUT_REFUSE(r, err, "it does not say how activations are normalized (norm_activation)");
    RA_LAYOUT_REFUSE(r, err,
                     "norm_activation is \"%.100s\", by which each input is normalized at run time, which is "
                     "not supported",
                     how);
}

static ra_status missing_norm(const ra_layout_reading *r, const char *key, ra_error *err) {
    RA_LAYOUT_REFUSE(r, err,
                     "norm_activation is dataset-wise, but the mean norm of the activations is missing; add "
                     "\"dataset_average_activation_norm\": {\"%.100s\": NORM} to this file",
                     key);
}

/* *norm <- a member of dataset_average_activation_norm. */
static bool get_norm(const ra_layout_reading *r, const char *key, double *norm) {
    const cJSON *value = ra_layout_member(ra_layout_member(r->json, "dataset_average_activation_norm"), key);
    if (!cJSON_IsNumber(value)) return false;
    *norm = value->valuedouble;
    return isfinite(*norm) && *norm > 0;
}

static ra_status add_top_k(const ra_layout_reading *r, ra_error *err) {
    const cJSON *k = ra_layout_member(r->json, "top_k");
    return cJSON_IsNumber(k) ? ra_layout_add_number(r, "top_k", k->valuedouble, err) : RA_OK;
}

static ra_status add_centering(const ra_layout_reading *r, bool known, ra_error *err) {
    const cJSON *centered = ra_layout_member(r->json, "apply_decoder_bias_to_pre_encoder");
    if (!known && !cJSON_IsBool(centered)) return RA_OK; /* asked for */
    return ra_layout_add(r, "center_input", cJSON_IsTrue(centered) ? "true" : "false", err);
}

/* ---- 2024 ---------------------------------------------------------------------------------------------- */

static ra_status to_units_of_inputs(const ra_layout_reading *r, ra_error *err) {
    double in, out, root = sqrt((double)ra_layout_dimensions(r->file));
    if (!get_norm(r, "in", &in)) return missing_norm(r, "in", err);
    if (!get_norm(r, "out", &out)) return missing_norm(r, "out", err);
    RA_TRY(ra_layout_scale(r->file, "encoder.final_block.0.bias", in / root, err));
    RA_TRY(ra_layout_scale(r->file, "output.bias", out / root, err));
    return in == out ? RA_OK : ra_layout_scale(r->file, "dictionary", out / in, err);
}

ra_status ra_layout_llama_scope(const ra_layout_reading *r, ra_error *err) {
    const char *function = ra_layout_text(r->json, "act_fn");
    const cJSON *value = ra_layout_member(r->json, "jump_relu_threshold");
    double threshold = cJSON_IsNumber(value) ? value->valuedouble : 0;
    bool wise, topk = function && strcasecmp(function, "topk") == 0,
               jumps = function && strcasecmp(function, "jumprelu") == 0;
    RA_TRY(check_kind(r, err));
    if (!function || (!topk && !jumps && strcasecmp(function, "relu") != 0))
        RA_LAYOUT_REFUSE(r, err, "its act_fn is \"%.100s\"; expected relu, topk or jumprelu",
                         function ? function : "missing");
    if (jumps && !(threshold >= 0 && threshold <= (double)FLT_MAX))
        RA_LAYOUT_REFUSE(r, err, "its jump_relu_threshold is %g; expected a number of at least 0", threshold);
    RA_TRY(check_normalization(r, &wise, err));
    if (wise) RA_TRY(to_units_of_inputs(r, err));
    if (!cJSON_IsFalse(ra_layout_member(r->json, "sparsity_include_decoder_norm")))
        RA_TRY(ra_layout_normalize_decoder(r->file, err));
    RA_TRY(ra_layout_add(r, "sae", jumps ? "jumprelu" : topk ? "topk" : "relu", err));
    RA_TRY(add_centering(r, false, err));
    if (topk) RA_TRY(add_top_k(r, err));
    return jumps ? ra_layout_add_thresholds(r->file, (float)threshold, err) : RA_OK;
}

/* ---- since 2025 ---------------------------------------------------------------------------------------- */

static const char *const log_thresholds[] = {"log_jumprelu_threshold",
                                             "activation_function.log_jumprelu_threshold"};
static const char norm_prefix[] = "dataset_average_activation_norm.";

static ra_status standardize(const ra_layout_reading *r, ra_error *err) {
    const char *hook = ra_layout_text(r->json, "hook_point_in");
    char name[512];
    double norm = 0;
    snprintf(name, sizeof name, "%s%s", norm_prefix, hook ? hook : "");
    bool found = (hook && ra_layout_number(r->file, name, &norm) && isfinite(norm) && norm > 0) ||
                 (hook && get_norm(r, hook, &norm));
    if (!found) return missing_norm(r, hook ? hook : "HOOK", err);
    double scale = norm / sqrt((double)ra_layout_dimensions(r->file));
    if (!(scale >= (double)FLT_MIN && scale <= (double)FLT_MAX))
        RA_LAYOUT_REFUSE(r, err, "the mean norm of the activations is %g, which is beyond float32", norm);
    return ra_layout_add_standardization(r->file, (float)scale, err);
}

ra_status ra_layout_openmoss(const ra_layout_reading *r, ra_error *err) {
    static const char *const functions[] = {"relu", "topk", "jumprelu", "batchtopk"};
    const char *type = ra_layout_text(r->json, "sae_type"), *function = ra_layout_text(r->json, "act_fn");
    bool wise, scored = !cJSON_IsFalse(ra_layout_member(r->json, "sparsity_include_decoder_norm"));
    size_t i = 0, count = sizeof functions / sizeof *functions;
    if (type && strcmp(type, "sae") != 0)
        RA_LAYOUT_REFUSE(r, err, "its sae_type is \"%.100s\", which is not supported; expected sae", type);
    RA_TRY(check_kind(r, err));
    while (i < count && (!function || strcasecmp(function, functions[i]) != 0)) i++;
    if (i == count)
        RA_LAYOUT_REFUSE(r, err, "its act_fn is \"%.100s\"; expected relu, topk, jumprelu or batchtopk",
                         function ? function : "missing");
    RA_TRY(ra_layout_add(r, "sae", functions[i], err));
    RA_TRY(check_normalization(r, &wise, err));
    if (wise) RA_TRY(standardize(r, err));
    RA_TRY(ra_layout_leave_out_all(r->file, norm_prefix, err));
    RA_TRY(add_centering(r, true, err));
    if (strstr(functions[i], "topk")) {
        RA_TRY(add_top_k(r, err));
        return scored ? ra_layout_normalize_decoder(r->file, err) : RA_OK;
    }
    for (size_t t = 0; t < 2; t++) RA_TRY(ra_layout_log_thresholds(r->file, log_thresholds[t], scored, err));
    return RA_OK;
}
