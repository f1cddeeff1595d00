/* Adam for parameters of which only some rows have a gradient in a batch.
 *
 * A packed gradient holds the rows of the active atoms only (ra_sae_packed()). The other rows have a gradient
 * of zero: their moments decay and their momentum moves them, exactly as if the zeros were written out. */
#include "train/moments.h"
#include "ra_memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static ra_status add_slot(ra_moments *moments, const ra_parameter *parameter, size_t index, ra_error *err) {
    ra_backend *backend = ra_sae_backend(moments->sae);
    void *memory = NULL;
    size_t bytes = ra_parameter_size(parameter) * sizeof(float), rows = parameter->shape[0];
    ra_moments_slot *slot = &moments->slots[moments->count++];
    *slot = (ra_moments_slot){.index = index, .parameter = parameter};
    snprintf(slot->names[0], RA_MOMENTS_NAME, "optimizer.%s.exp_avg", parameter->name);
    snprintf(slot->names[1], RA_MOMENTS_NAME, "optimizer.%s.exp_avg_sq", parameter->name);
    RA_TRY(ra_backend_allocate(backend, bytes, &memory, err));
    slot->first = memory;
    RA_TRY(ra_backend_allocate(backend, bytes, &memory, err));
    slot->second = memory;
    if (parameter->rank != 2) return RA_OK;
    slot->touched = ra_calloc(rows, sizeof *slot->touched);
    if (!slot->touched) RA_FAIL_MEMORY(err, "the optimizer's rows", rows);
    return RA_OK;
}

ra_status ra_moments_init(ra_moments *moments, ra_sae *sae, const ra_train_settings *settings,
                          ra_error *err) {
    size_t count, K = ra_dictionary_concepts(ra_sae_dictionary(sae));
    const ra_parameter *parameters = ra_sae_parameters(sae, &count);
    *moments = (ra_moments){.sae = sae, .settings = settings};
    moments->position = ra_malloc(K, sizeof *moments->position);
    if (!moments->position) RA_FAIL_MEMORY(err, "the optimizer's rows", K * sizeof *moments->position);
    ra_backend *backend = ra_sae_backend(sae);
    void *memory = NULL;
    RA_TRY(ra_backend_allocate(backend, K * sizeof *moments->position, &memory, err));
    moments->device_position = memory;
    for (size_t i = 0; i < count; i++)
        if (parameters[i].gradient) RA_TRY(add_slot(moments, &parameters[i], i, err));
    return RA_OK;
}

void ra_moments_release(ra_moments *moments) {
    if (!moments->sae) return;
    ra_backend *backend = ra_sae_backend(moments->sae);
    for (size_t i = 0; i < moments->count; i++) {
        ra_backend_deallocate(backend, moments->slots[i].first);
        ra_backend_deallocate(backend, moments->slots[i].second);
        ra_free(moments->slots[i].touched);
        ra_free(moments->slots[i].copies[0]);
        ra_free(moments->slots[i].copies[1]);
    }
    ra_backend_deallocate(backend, moments->device_position);
    ra_free(moments->position);
    *moments = (ra_moments){0};
}

/* ---- steps --------------------------------------------------------------------------------------------- */

ra_status ra_moments_ask_norm(ra_moments *moments, const ra_sae_pass *pass, ra_error *err) {
    const float *gradient[RA_MOMENTS_SLOTS];
    size_t size[RA_MOMENTS_SLOTS];
    ra_backend *backend = ra_sae_backend(moments->sae);
    for (size_t i = 0; i < moments->count; i++) {
        const ra_parameter *p = moments->slots[i].parameter;
        bool packed = ra_sae_packed(moments->sae, moments->slots[i].index);
        gradient[i] = p->gradient;
        size[i] = packed ? pass->atom_count * p->shape[1] : ra_parameter_size(p);
    }
    ra_backend_defer(backend, true);
    ra_status status = ra_backend_squares(backend, gradient, size, moments->count, moments->squares, err);
    ra_backend_defer(backend, false);
    return status;
}

double ra_moments_gradient_norm(const ra_moments *moments) {
    double total = 0;
    for (size_t i = 0; i < moments->count; i++) total += moments->squares[i];
    return sqrt(total);
}

/* moments->position <- the row of each atom in the packed gradient: mostly the same for all parameters of a step. */
static ra_status find_positions(ra_moments *moments, ra_moments_slot *slot, const ra_sae_pass *pass,
                                ra_error *err) {
    size_t rows = slot->parameter->shape[0], a = 0;
    bool changed = !moments->positions_sent;
    for (size_t k = 0; k < rows; k++) {
        bool active = a < pass->atom_count && (size_t)pass->atoms[a] == k;
        if (active) slot->touched[k] = 1;
        int32_t position = active ? (int32_t)a++ : slot->touched[k] ? RA_ROW_STILL : RA_ROW_UNTOUCHED;
        changed = changed || moments->position[k] != position;
        moments->position[k] = position;
    }
    if (!changed) return RA_OK;
    moments->positions_sent = true;
    return ra_backend_put(ra_sae_backend(moments->sae), moments->device_position, moments->position,
                          rows * sizeof *moments->position, err);
}

ra_status ra_moments_step(ra_moments *moments, const ra_sae_pass *pass, size_t step, double rate, double norm,
                          ra_error *err) {
    ra_backend *backend = ra_sae_backend(moments->sae);
    const ra_train_settings *settings = moments->settings;
    double clip = settings->clip_grad;
    const ra_adam_step step_of_all = {.lr = rate,
                                      .beta1 = settings->beta1,
                                      .beta2 = settings->beta2,
                                      .epsilon = 1e-8,
                                      .bias1 = 1 - pow(settings->beta1, (double)step),
                                      .bias2 = 1 - pow(settings->beta2, (double)step),
                                      .grad_scale =
                                          clip > 0 && clip / (norm + 1e-6) < 1 ? clip / (norm + 1e-6) : 1,
                                      .decay = settings->weight_decay};
    for (size_t i = 0; i < moments->count; i++) {
        ra_moments_slot *slot = &moments->slots[i];
        const ra_parameter *p = slot->parameter;
        bool packed = ra_sae_packed(moments->sae, slot->index);
        ra_adam_step adam = step_of_all;
        adam.projection = p->projection;
        adam.radius = p->radius;
        if (p->rate) {
            adam.lr *= *p->rate;
            adam.decay /= *p->rate; /* which is in units of the parameter itself */
        }
        size_t n = p->rank == 2 ? p->shape[1] : 1, rows = ra_parameter_size(p) / n;
        if (packed)
            RA_TRY(find_positions(moments, slot, pass, err));
        else if (slot->touched)
            memset(slot->touched, 1, rows);
        RA_TRY(ra_backend_adam(backend, &adam, p->value, p->gradient,
                               packed ? moments->device_position : NULL, slot->first, slot->second, rows, n,
                               err));
    }
    ra_sae_changed(moments->sae);
    ra_dictionary_moved(ra_sae_dictionary(moments->sae), step, rate);
    return RA_OK;
}

/* ---- files --------------------------------------------------------------------------------------------- */

ra_status ra_moments_store(ra_moments *moments, ra_safetensors_writer *writer, ra_error *err) {
    for (size_t i = 0; i < moments->count; i++) {
        ra_moments_slot *slot = &moments->slots[i];
        const float *const values[] = {slot->first, slot->second};
        for (size_t j = 0; j < 2; j++) {
            const ra_parameter *p = slot->parameter;
            ra_tensor tensor = {.dtype = RA_F32, .rank = p->rank, .shape = {p->shape[0], p->shape[1]}};
            RA_TRY(ra_backend_view(ra_sae_backend(moments->sae), values[j],
                                   ra_parameter_size(p) * sizeof(float), &slot->copies[j], &tensor.data,
                                   err));
            RA_TRY(ra_safetensors_writer_tensor(writer, slot->names[j], &tensor, err));
        }
    }
    return RA_OK;
}

static ra_status restore(ra_backend *backend, const ra_safetensors *file, const char *name,
                         const ra_parameter *parameter, float *moment, ra_error *err) {
    char shape[128], expected[128];
    ra_tensor tensor;
    RA_TRY(ra_safetensors_get(file, name, &tensor, err));
    bool same = tensor.rank == parameter->rank && tensor.dtype == RA_F32;
    for (int i = 0; same && i < tensor.rank; i++) same = tensor.shape[i] == parameter->shape[i];
    if (!same)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: %s is %s %s; expected F32 %s", ra_safetensors_path(file), name,
                ra_dtype_name(tensor.dtype), ra_shape_text(tensor.rank, tensor.shape, shape, sizeof shape),
                ra_shape_text(parameter->rank, parameter->shape, expected, sizeof expected));
    size_t n = ra_parameter_size(parameter);
    const float *values = tensor.data;
    size_t bad = ra_find_not_finite(values, n);
    if (bad < n)
        RA_FAIL(err, RA_ERR_NOT_FINITE, "%s: %s holds %g at element %zu; expected finite numbers",
                ra_safetensors_path(file), name, (double)values[bad], bad);
    return ra_backend_put(backend, moment, values, n * sizeof *values, err);
}

/* A file does not say which rows never had a gradient. To treat all as if they had costs time, but changes no
 * bit. */
ra_status ra_moments_restore(ra_moments *moments, const ra_safetensors *file, ra_error *err) {
    ra_backend *backend = ra_sae_backend(moments->sae);
    for (size_t i = 0; i < moments->count; i++) {
        ra_moments_slot *slot = &moments->slots[i];
        RA_TRY(restore(backend, file, slot->names[0], slot->parameter, slot->first, err));
        RA_TRY(restore(backend, file, slot->names[1], slot->parameter, slot->second, err));
        if (slot->touched) memset(slot->touched, 1, slot->parameter->shape[0]);
    }
    return RA_OK;
}
