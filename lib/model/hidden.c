/* The layers are checked and copied when a model is opened, in one allocation: they are small next to the dictionary. */
#include "model/hidden.h"
#include "model/model.h"

#include <string.h>

/* ---- reading ------------------------------------------------------------------------------------------- */

/* *part <- tensor `which` of layer i with its shape checked; an output for each row of the weight. */
static ra_status read_part(const ra_model *model, const ra_safetensors *file, size_t i, size_t which,
                           size_t inputs, ra_model_hidden *hidden, ra_error *err) {
    ra_tensor *tensor = &hidden->part[hidden->part_count].tensor;
    bool weight = which == RA_ENCODER_WEIGHT;
    ra_hidden_name *name = &hidden->part[hidden->part_count].name;
    *name = ra_hidden_tensor_name(i, which);
    RA_TRY(ra_safetensors_get(file, name->text, tensor, err));
    RA_TRY(ra_model_check_tensor(model->info.path, name->text, tensor, RA_MODEL_ANY_FLOAT, weight ? 2 : 1,
                                 weight ? 0 : hidden->layers.layer[i].outputs, 0, err));
    if (weight && tensor->shape[1] != inputs)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: %s takes %zu numbers; expected %zu", model->info.path, name->text,
                tensor->shape[1], inputs);
    RA_TRY(ra_model_check_finite(model, name->text, tensor, err));
    if (weight) hidden->layers.layer[i].outputs = tensor->shape[0];
    hidden->part_count++;
    return RA_OK;
}

static ra_status read_parts(const ra_model *model, const ra_safetensors *file, ra_model_hidden *hidden,
                            ra_error *err) {
    size_t inputs = model->info.dimensions;
    for (size_t i = 0; i < hidden->layers.count; i++) {
        ra_hidden_layer *layer = &hidden->layers.layer[i];
        layer->inputs = inputs;
        for (size_t which = 0; which < RA_ENCODER_TENSORS; which++)
            if (ra_encoder_has_tensor(model->encoder.kind, which))
                RA_TRY(read_part(model, file, i, which, inputs, hidden, err));
        inputs = layer->outputs;
    }
    return RA_OK;
}

/* The tensors as float32, and behind those of each layer what its norm is computed with. */
static ra_status copy_parts(ra_model *model, ra_model_hidden *hidden, ra_error *err) {
    void *memory = NULL;
    size_t floats = 0, next = 0;
    for (size_t p = 0; p < hidden->part_count; p++) floats += ra_tensor_elements(&hidden->part[p].tensor);
    for (size_t i = 0; i < hidden->layers.count; i++) floats += 2 * hidden->layers.layer[i].outputs;
    RA_TRY(ra_model_allocate(model, "the hidden layers of the encoder", floats, sizeof(float), &memory, err));
    float *at = memory;
    ra_encoder_norm_kind norm = ra_encoder_norm(model->encoder.kind);
    for (size_t i = 0; i < hidden->layers.count; i++) {
        ra_hidden_layer *layer = &hidden->layers.layer[i];
        for (size_t which = 0; which < RA_ENCODER_TENSORS; which++) {
            if (!ra_encoder_has_tensor(model->encoder.kind, which)) continue;
            ra_tensor *tensor = &hidden->part[next++].tensor;
            ra_convert_to_f32(tensor->dtype, tensor->data, at, ra_tensor_elements(tensor));
            tensor->dtype = RA_F32;
            tensor->data = layer->tensor[which] = at;
            at += ra_tensor_elements(tensor);
        }
        const float *variance = layer->tensor[RA_ENCODER_RUNNING_VAR];
        size_t n = layer->outputs;
        for (size_t j = 0; variance && j < n; j++)
            if (variance[j] < 0)
                RA_FAIL(err, RA_ERR_FORMAT, "%s: %s holds %g at [%zu]; expected variances of at least 0",
                        model->info.path, ra_hidden_tensor_name(i, RA_ENCODER_RUNNING_VAR).text,
                        (double)variance[j], j);
        float *rstd = at, *zeros = at + n;
        if (variance) ra_encoder_rstd(variance, rstd, n);
        for (size_t j = 0; j < n; j++) {
            if (!variance) rstd[j] = 1;
            zeros[j] = 0;
        }
        bool rms = norm == RA_ENCODER_RMS_NORM;
        layer->scale = (ra_encoder_scale){norm, layer->tensor[RA_ENCODER_NORM_WEIGHT],
                                          rms ? zeros : layer->tensor[RA_ENCODER_NORM_BIAS],
                                          rms ? zeros : layer->tensor[RA_ENCODER_RUNNING_MEAN], rstd};
        at += 2 * n;
    }
    return RA_OK;
}

static ra_status check_settings(const ra_model *model, ra_error *err) {
    const ra_sae_settings *settings = &model->info.settings;
    bool activation = ra_setting_known(settings, RA_SET_HIDDEN_ACTIVATION),
         residual = ra_setting_known(settings, RA_SET_HIDDEN_RESIDUAL);
    if (activation && residual) return RA_OK;
    RA_FAIL(err, RA_ERR_SETTING,
            "%s: its encoder has hidden layers, and no tensor tells %s%s%s; overcomplete's %s has %s%s%s by "
            "default",
            model->info.path, activation ? "" : "what they end with (give --hidden-activation)",
            activation || residual ? "" : " or ",
            residual ? "" : "whether each adds its input (give --hidden-residual or --no-hidden-residual)",
            ra_sae_settings_table()->rows[RA_SET_ENCODER].names[model->encoder.kind],
            activation ? "" : "--hidden-activation relu", activation || residual ? "" : " and ",
            residual ? "" : "--no-hidden-residual");
}

ra_status ra_model_open_hidden(ra_model *model, const ra_safetensors *file, ra_error *err) {
    const ra_sae_settings *settings = &model->info.settings;
    void *memory = NULL;
    if (!ra_encoder_has_hidden(model->encoder.kind)) return RA_OK;
    RA_TRY(check_settings(model, err));
    RA_TRY(ra_model_allocate(model, "the hidden layers of the encoder", 1, sizeof(ra_model_hidden), &memory,
                             err));
    ra_model_hidden *hidden = memset(memory, 0, sizeof *hidden);
    hidden->layers.count = ra_hidden_count(file);
    hidden->layers.activation = (ra_hidden_activation)settings->hidden_activation;
    hidden->layers.residual = settings->hidden_residual;
    RA_TRY(read_parts(model, file, hidden, err));
    RA_TRY(copy_parts(model, hidden, err));
    RA_TRY(ra_backend_open_host(model->backend, &hidden->backend, err));
    model->hidden = hidden;
    model->info.hidden_layers = hidden->layers.count;
    model->encoder.dimensions = hidden->layers.layer[hidden->layers.count - 1].outputs;
    return RA_OK;
}

/* ---- computing ----------------------------------------------------------------------------------------- */

ra_status ra_model_apply_hidden(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                                const float **inputs, ra_error *err) {
    const ra_model_hidden *hidden = model->hidden;
    ra_execution *execution = NULL;
    void *scratch = NULL;
    *inputs = x;
    if (!hidden) return RA_OK;
    size_t width = ra_hidden_width(&hidden->layers);
    RA_TRY(ra_execution_open(&workspace->executions, hidden->backend, &execution, err));
    RA_TRY(ra_scratch_reserve(&workspace->hidden, "the hidden layers", rows, 2 * (width + 1) * sizeof(float),
                              &scratch, err));
    float *values = scratch, *statistics = values + 2 * rows * width;
    return ra_hidden_evaluate(&hidden->layers, execution->stream,
                              ra_executions_pool(&workspace->executions, hidden->backend), x, rows, values,
                              statistics, inputs, err);
}
