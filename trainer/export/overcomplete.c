/* overcomplete 0.3.0: the state dict of one of its classes, with a plain dictionary that holds D as it is; config.json, the
 * class and its arguments; and a script, which makes the object of them. The metadata of the state dict has our settings, so it
 * is a checkpoint of ours as well. */
#include "export/export.h"

static const char loader[] =
    "\"\"\"Makes the object of overcomplete that is kept in this folder: `from load import load; sae = "
    "load()`.\n"
    "Needs overcomplete, torch and safetensors.\"\"\"\n"
    "import json\n"
    "import os\n"
    "\n"
    "import overcomplete.sae\n"
    "import torch\n"
    "from safetensors.torch import load_file\n"
    "\n"
    "\n"
    "def load(folder=os.path.dirname(os.path.abspath(__file__)), device=\"cpu\"):\n"
    "    with open(os.path.join(folder, \"config.json\")) as file:\n"
    "        config = json.load(file)\n"
    "    sae = getattr(overcomplete.sae, config[\"class\"])(**config[\"arguments\"], device=device)\n"
    "    sae.load_state_dict(load_file(os.path.join(folder, \"model.safetensors\"), device=device))\n"
    "    if \"running_threshold\" in config:\n"
    "        sae.running_threshold = torch.tensor(config[\"running_threshold\"], device=device)\n"
    "    return sae.eval()\n";

static const char *const classes[RA_SAE_KIND_COUNT] = {[RA_SAE_RELU] = "SAE",
                                                       [RA_SAE_TOPK] = "TopKSAE",
                                                       [RA_SAE_BATCHTOPK] = "BatchTopKSAE",
                                                       [RA_SAE_JUMPRELU] = "JumpSAE",
                                                       [RA_SAE_MP] = "MpSAE"};

/* ---- settings ------------------------------------------------------------------------------------------ */

static const char *encoder_of(const ra_weights *w) {
    return !w->encoder ? "identity" : w->norm_weight ? "mlp_ln_1" : "linear";
}

static ra_status write_config(const export_job *job, ra_error *err) {
    const ra_weights *w = job->weights;
    const ra_sae_settings *settings = &ra_model_get_info(job->model)->settings;
    text json = {0};
    json_object(&json, NULL);
    json_text(&json, "class", classes[settings->sae]);
    json_object(&json, "arguments");
    json_count(&json, "input_shape", w->dimensions);
    json_count(&json, "nb_concepts", w->concepts);
    if (settings->sae == RA_SAE_MP)
        json_count(&json, "k", settings->top_k);
    else if (settings->sae == RA_SAE_TOPK)
        json_count(&json, "top_k", settings->top_k);
    json_text(&json, "encoder_module", encoder_of(w));
    json_object(&json, "dictionary_params");
    json_text(&json, "normalization", "identity");
    json_object_end(&json);
    json_object_end(&json);
    if (settings->sae == RA_SAE_BATCHTOPK) json_float(&json, "running_threshold", w->thresholds[0]);
    json_object_end(&json);
    text_string(&json, "\n");
    return export_text(job, "config.json", &json, err);
}

/* ---- the state dict ------------------------------------------------------------------------------------ */

static ra_status add_tensors(const export_job *job, ra_safetensors_writer *writer, ra_error *err) {
    static const float zero;
    const ra_weights *w = job->weights;
    size_t K = w->concepts, d = w->dimensions;
    const struct {
        const char *name;
        ra_tensor tensor;
    } parts[] = {
        {"dictionary._weights", ra_tensor_2d(RA_F32, w->decoder, K, d)},
        {"dictionary.multiplier", {.dtype = RA_F32, .data = &zero}},
        {"encoder.final_block.0.weight", ra_tensor_2d(RA_F32, w->encoder, K, d)},
        {"encoder.final_block.0.bias", ra_tensor_1d(RA_F32, w->encoder_bias, K)},
        {"encoder.final_block.1.weight", ra_tensor_1d(RA_F32, w->norm_weight, K)},
        {"encoder.final_block.1.bias", ra_tensor_1d(RA_F32, w->norm_bias, K)},
        {"thresholds",
         ra_tensor_1d(
             RA_F32,
             ra_model_get_info(job->model)->settings.sae == RA_SAE_JUMPRELU ? w->log_thresholds : NULL, K)},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].tensor.data)
            RA_TRY(ra_safetensors_writer_tensor(writer, parts[i].name, &parts[i].tensor, err));
    return RA_OK;
}

/* What the file says to us: the settings of the model, of which some are others now. */
static ra_status add_settings(const export_job *job, ra_safetensors_writer *writer, ra_error *err) {
    const ra_weights *w = job->weights;
    ra_sae_settings settings = ra_model_get_info(job->model)->settings;
    settings.encoder = !w->encoder      ? RA_ENCODER_IDENTITY
                       : w->norm_weight ? RA_ENCODER_MLP_LN_1
                                        : RA_ENCODER_LINEAR;
    settings.dictionary = RA_DICTIONARY_IDENTITY;
    settings.known |= UINT64_C(1) << RA_SET_ENCODER | UINT64_C(1) << RA_SET_DICTIONARY;
    settings.known &=
        ~(UINT64_C(1) << RA_SET_DELTA | UINT64_C(1) << RA_SET_MIXTURE | UINT64_C(1) << RA_SET_HULL_SHARE |
          UINT64_C(1) << RA_SET_USE_MULTIPLIER | UINT64_C(1) << RA_SET_CENTER_INPUT);
    RA_TRY(ra_settings_write(ra_sae_settings_table(), &settings, writer, err));
    if (job->network) RA_TRY(ra_safetensors_writer_metadata(writer, "model", job->network, err));
    return job->hook ? ra_safetensors_writer_metadata(writer, "hook", job->hook, err) : RA_OK;
}

static ra_status write_state(const export_job *job, ra_error *err) {
    ra_safetensors_writer *writer = NULL;
    char *path = NULL;
    ra_status status = export_path(job, "model.safetensors", &path, err);
    if (status == RA_OK) status = ra_safetensors_writer_new(&writer, err);
    if (status == RA_OK) status = add_settings(job, writer, err);
    if (status == RA_OK) status = add_tensors(job, writer, err);
    if (status == RA_OK) status = ra_safetensors_writer_write(writer, path, err);
    ra_safetensors_writer_free(writer);
    ra_free(path);
    return status;
}

static ra_status write(const export_job *job, ra_error *err) {
    text script = {0};
    if (!ra_model_get_info(job->model)->has_encoder)
        return export_refuse(job, "overcomplete",
                             "it has no encoder; --to csv and --to npz take a dictionary alone", err);
    if (job->weights->has_decoder_bias)
        return export_refuse(
            job, "overcomplete",
            "its reconstructions have a bias (of the decoder, or the mean of a standardization), which no "
            "class of overcomplete has; --to saelens and --to npz have it",
            err);
    RA_TRY(write_state(job, err));
    RA_TRY(write_config(job, err));
    text_string(&script, loader);
    return export_text(job, "load.py", &script, err);
}

const export_format export_overcomplete = {
    .name = "overcomplete", .files = "model.safetensors, config.json, load.py", .write = write};
