/* The layouts in which other libraries of sparse autoencoders keep theirs: tensors get the names, the axes and the
 * comparisons of proto/artifact.md, so that a reader of ours can read these. F latents, d dimensions:
 *
 *     SAELens              W_enc [d,F]  b_enc  W_dec [F,d]  b_dec  threshold [F]      cfg.json
 *       gated              b_gate, b_mag, r_mag [F] in place of b_enc
 *     sparsify             encoder.weight [F,d]  encoder.bias  W_dec [F,d]  b_dec     cfg.json
 *     dictionary_learning  encoder.weight [F,d]  encoder.bias  decoder.weight [d,F]  b_dec, bias or decoder.bias
 *                          k []  threshold []                                         config.json
 *       gated              gate_bias, mag_bias, r_mag [F] in place of encoder.bias; decoder_bias
 *       Matryoshka         SAELens's tensors, k, threshold [], group_sizes
 *     OpenMOSS             encoder.weight [F,d]  encoder.bias  decoder.weight [d,F]  decoder.bias
 *                          or W_E [d,F]  b_E  W_D [F,d]  b_D                          hyperparams.json or config.json
 *     OpenAI               encoder.weight [F,d]  latent_bias  decoder.weight [d,F]  pre_bias
 *
 * dictionary_learning's JumpReluAutoEncoder has SAELens's tensors, and so has Gemma Scope, in an npz. Settings come from the JSON file beside the
 * weights (layout_settings.c); without it they are missing, and asked for. Their thresholds are strict (>), ours are not (>=), so each
 * becomes the next float. */
#include "io/safetensors/layouts.h"
#include "ra_memory.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A tensor of a layout: its name there, its name here, and whether its axes are swapped. */
typedef struct part {
    const char *name, *ours;
    bool swapped, required;
} part;

enum { PARTS = 6 };

static const struct {
    ra_layout layout;
    part parts[PARTS];
} layouts[] = {
    {RA_LAYOUT_SAELENS,
     {{"W_enc", "encoder.final_block.0.weight", true, true},
      {"b_enc", "encoder.final_block.0.bias", false, true},
      {"W_dec", "dictionary", false, true},
      {"b_dec", "output.bias", false, true},
      {"norm_weight", "encoder.final_block.1.weight", false, false},
      {"norm_bias", "encoder.final_block.1.bias", false, false}}},
    {RA_LAYOUT_SAELENS,
     {{"W_enc", "encoder.final_block.0.weight", true, true},
      {"b_mag", "encoder.final_block.0.bias", false, true},
      {"r_mag", "gate.scale", false, true},
      {"b_gate", "gate.bias", false, true},
      {"W_dec", "dictionary", false, true},
      {"b_dec", "output.bias", false, true}}},
    {RA_LAYOUT_SPARSIFY,
     {{"encoder.weight", "encoder.final_block.0.weight", false, true},
      {"encoder.bias", "encoder.final_block.0.bias", false, true},
      {"W_dec", "dictionary", false, true},
      {"b_dec", "output.bias", false, true}}},
    {RA_LAYOUT_DICTIONARY_LEARNING,
     {{"encoder.weight", "encoder.final_block.0.weight", false, true},
      {"encoder.bias", "encoder.final_block.0.bias", false, true},
      {"decoder.weight", "dictionary", true, true},
      {"b_dec", "output.bias", false, false},
      {"bias", "output.bias", false, false}}},
    {RA_LAYOUT_DICTIONARY_LEARNING,
     {{"encoder.weight", "encoder.final_block.0.weight", false, true},
      {"encoder.bias", "encoder.final_block.0.bias", false, true},
      {"decoder.weight", "dictionary", true, true},
      {"decoder.bias", "output.bias", false, true}}},
    {RA_LAYOUT_DICTIONARY_LEARNING,
     {{"encoder.weight", "encoder.final_block.0.weight", false, true},
      {"mag_bias", "encoder.final_block.0.bias", false, true},
      {"r_mag", "gate.scale", false, true},
      {"gate_bias", "gate.bias", false, true},
      {"decoder.weight", "dictionary", true, true},
      {"decoder_bias", "output.bias", false, true}}},
    {RA_LAYOUT_OPENMOSS,
     {{"W_E", "encoder.final_block.0.weight", true, true},
      {"b_E", "encoder.final_block.0.bias", false, true},
      {"W_D", "dictionary", false, true},
      {"b_D", "output.bias", false, true}}},
    {RA_LAYOUT_OPENAI,
     {{"encoder.weight", "encoder.final_block.0.weight", false, true},
      {"latent_bias", "encoder.final_block.0.bias", false, true},
      {"decoder.weight", "dictionary", true, true},
      {"pre_bias", "output.bias", false, true}}},
};

/* Tensors that make it another model than these, by name. */
static const struct {
    const char *name, *what;
} others[] = {
    {"W_skip", "a skip connection, which only a transcoder has"},
    {"b_dec_out", "a second bias, which only a transcoder has"},
    {"encoder_glu.weight", "a gate of products (GLU)"},
    {"W_E_glu", "a gate of products (GLU)"},
};

static const char atoms_alone[] = "what can be served of it is a dictionary without an encoder: save its "
                                  "decoder [latents, dimensions] as the "
                                  "tensor `dictionary` of a safetensors file";

/* ---- tensors ------------------------------------------------------------------------------------------- */

static ra_safetensors_entry *find(ra_safetensors *file, const char *name) {
    for (size_t i = 0; i < file->readable; i++)
        if (strcmp(file->entries[i].name, name) == 0) return &file->entries[i];
    return NULL;
}

bool ra_layout_has(const ra_safetensors *file, const char *name) {
    return find((ra_safetensors *)file, name) != NULL;
}

static ra_status rename_entry(ra_safetensors_entry *entry, const char *name, ra_error *err) {
    char *copy = ra_strdup(name);
    if (!copy) RA_FAIL_MEMORY(err, "the name of a tensor", strlen(name) + 1);
    ra_free(entry->name);
    entry->name = copy;
    return RA_OK;
}

/* The tensor as a new copy with its two axes swapped. */
static ra_status swap_axes(ra_safetensors_entry *entry, ra_error *err) {
    enum { TILE = 32 };
    ra_tensor *tensor = &entry->tensor;
    size_t rows = tensor->shape[0], cols = tensor->shape[1], width = ra_dtype_size(tensor->dtype);
    unsigned char *swapped = ra_malloc(rows * cols, width);
    if (!swapped) RA_FAIL_MEMORY(err, entry->name, rows * cols * width);
    const unsigned char *from = tensor->data;
    for (size_t r0 = 0; r0 < rows; r0 += TILE)
        for (size_t c0 = 0; c0 < cols; c0 += TILE)
            for (size_t r = r0; r < rows && r < r0 + TILE; r++)
                for (size_t c = c0; c < cols && c < c0 + TILE; c++)
                    memcpy(swapped + (c * rows + r) * width, from + (r * cols + c) * width, width);
    ra_free(entry->copy);
    entry->copy = swapped;
    tensor->data = swapped;
    tensor->shape[0] = cols;
    tensor->shape[1] = rows;
    return RA_OK;
}

/* The tensor as a new copy in float32, which it returns. */
static ra_status copy_f32(ra_safetensors_entry *entry, float **values, ra_error *err) {
    ra_tensor *tensor = &entry->tensor;
    size_t n = ra_tensor_elements(tensor);
    float *copy = ra_malloc(n ? n : 1, sizeof *copy);
    if (!copy) RA_FAIL_MEMORY(err, entry->name, n * sizeof *copy);
    ra_convert_to_f32(tensor->dtype, tensor->data, copy, n);
    ra_free(entry->copy);
    entry->copy = copy;
    tensor->data = copy;
    tensor->dtype = RA_F32;
    *values = copy;
    return RA_OK;
}

float ra_layout_threshold(float strict) {
    return nextafterf(strict, INFINITY);
}

ra_status ra_layout_thresholds(ra_safetensors *file, ra_error *err) {
    ra_safetensors_entry *entry = find(file, "threshold");
    float *values = NULL;
    if (!entry || entry->tensor.rank != 1) return RA_OK;
    RA_TRY(copy_f32(entry, &values, err));
    for (size_t k = 0; k < entry->tensor.shape[0]; k++) values[k] = ra_layout_threshold(values[k]);
    return rename_entry(entry, "thresholds.value", err);
}

bool ra_layout_has_thresholds(ra_safetensors *file) {
    return find(file, "thresholds.value") != NULL;
}

ra_status ra_layout_gate(ra_safetensors *file, bool *gated, ra_error *err) {
    ra_safetensors_entry *scale = find(file, "gate.scale"), *gate = find(file, "gate.bias"),
                         *encoder = find(file, "encoder.final_block.0.weight"),
                         *bias = find(file, "encoder.final_block.0.bias");
    float *r = NULL, *g = NULL, *E = NULL, *b = NULL;
    *gated = scale != NULL;
    if (!scale) return RA_OK;
    RA_TRY(copy_f32(scale, &r, err));
    RA_TRY(copy_f32(gate, &g, err));
    RA_TRY(copy_f32(encoder, &E, err));
    RA_TRY(copy_f32(bias, &b, err));
    size_t K = encoder->tensor.shape[0], d = encoder->tensor.shape[1];
    if (scale->tensor.shape[0] != K || gate->tensor.shape[0] != K || bias->tensor.shape[0] != K)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: the parts of its gated encoder have different sizes", file->path);
    for (size_t k = 0; k < K; k++) {
        double gain = exp((double)r[k]);
        for (size_t j = 0; j < d; j++) E[k * d + j] = (float)(gain * (double)E[k * d + j]);
        g[k] = ra_layout_threshold((float)((double)b[k] - gain * (double)g[k]));
    }
    RA_TRY(rename_entry(gate, "thresholds.value", err));
    return ra_layout_leave_out(file, "gate.scale", err);
}

ra_status ra_layout_normalize_decoder(ra_safetensors *file, ra_error *err) {
    ra_safetensors_entry *decoder = find(file, "dictionary"),
                         *encoder = find(file, "encoder.final_block.0.weight"),
                         *bias = find(file, "encoder.final_block.0.bias");
    float *D = NULL, *E = NULL, *b = NULL;
    RA_TRY(copy_f32(decoder, &D, err));
    RA_TRY(copy_f32(encoder, &E, err));
    RA_TRY(copy_f32(bias, &b, err));
    size_t K = decoder->tensor.shape[0], d = decoder->tensor.shape[1];
    if (encoder->tensor.shape[0] != K || encoder->tensor.shape[1] != d || bias->tensor.shape[0] != K)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: its encoder and its decoder have other sizes", file->path);
    for (size_t k = 0; k < K; k++) {
        double square = 0;
        for (size_t j = 0; j < d; j++) square += (double)D[k * d + j] * (double)D[k * d + j];
        float norm = (float)sqrt(square);
        for (size_t j = 0; j < d; j++) {
            E[k * d + j] *= norm;
            D[k * d + j] = norm > 0 ? D[k * d + j] / norm : 0;
        }
        b[k] *= norm;
    }
    return RA_OK;
}

size_t ra_layout_dimensions(const ra_safetensors *file) {
    return find((ra_safetensors *)file, "dictionary")->tensor.shape[1];
}

ra_status ra_layout_scale(ra_safetensors *file, const char *name, double factor, ra_error *err) {
    ra_safetensors_entry *entry = find(file, name);
    float *values = NULL;
    if (!entry) return RA_OK;
    RA_TRY(copy_f32(entry, &values, err));
    size_t n = ra_tensor_elements(&entry->tensor);
    for (size_t i = 0; i < n; i++) values[i] = (float)(factor * (double)values[i]);
    return RA_OK;
}

/* Adds a tensor [n] of one number. */
static ra_status add_constant(ra_safetensors *file, const char *name, float value, size_t n, ra_error *err) {
    ra_safetensors_entry *entry = NULL;
    float *values = ra_malloc(n, sizeof *values);
    if (!values) RA_FAIL_MEMORY(err, name, n * sizeof *values);
    for (size_t i = 0; i < n; i++) values[i] = value;
    ra_status status = ra_safetensors_add_entry(file, name, &entry, err);
    if (status != RA_OK) {
        ra_free(values);
        return status;
    }
    entry->copy = values;
    entry->tensor = ra_tensor_1d(RA_F32, values, n);
    return RA_OK;
}

ra_status ra_layout_add_standardization(ra_safetensors *file, float scale, ra_error *err) {
    size_t d = ra_layout_dimensions(file);
    RA_TRY(add_constant(file, "input.mean", 0, d, err));
    return add_constant(file, "input.scale", scale, d, err);
}

ra_status ra_layout_add_thresholds(ra_safetensors *file, float strict, ra_error *err) {
    size_t F = find(file, "dictionary")->tensor.shape[0];
    return add_constant(file, "thresholds.value", ra_layout_threshold(strict), F, err);
}

ra_status ra_layout_log_thresholds(ra_safetensors *file, const char *name, bool scored, ra_error *err) {
    ra_safetensors_entry *entry = find(file, name), *decoder = find(file, "dictionary");
    float *values = NULL, *D = NULL;
    if (!entry) return RA_OK;
    size_t K = decoder->tensor.shape[0], d = decoder->tensor.shape[1];
    if (entry->tensor.rank != 1 || entry->tensor.shape[0] != K)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: %s has another number of latents than the decoder", file->path, name);
    RA_TRY(copy_f32(entry, &values, err));
    if (scored) RA_TRY(copy_f32(decoder, &D, err));
    for (size_t k = 0; k < K; k++) {
        double square = scored ? 0 : 1;
        for (size_t j = 0; scored && j < d; j++) square += (double)D[k * d + j] * (double)D[k * d + j];
        double strict = (double)expf(values[k]) / sqrt(square);
        values[k] = strict < (double)FLT_MAX ? ra_layout_threshold((float)strict) : FLT_MAX;
    }
    return rename_entry(entry, "thresholds.value", err);
}

bool ra_layout_number(const ra_safetensors *file, const char *name, double *number) {
    ra_safetensors_entry *entry = find((ra_safetensors *)file, name);
    float value;
    if (!entry || ra_tensor_elements(&entry->tensor) != 1) return false;
    ra_convert_to_f32(entry->tensor.dtype, entry->tensor.data, &value, 1);
    *number = (double)value;
    return true;
}

/* Under a name of training's, which is of no use to a model. */
static ra_status leave_out(ra_safetensors_entry *entry, ra_error *err) {
    char kept[512];
    snprintf(kept, sizeof kept, "train.%s", entry->name);
    return rename_entry(entry, kept, err);
}

ra_status ra_layout_leave_out(ra_safetensors *file, const char *name, ra_error *err) {
    ra_safetensors_entry *entry = find(file, name);
    return entry ? leave_out(entry, err) : RA_OK;
}

ra_status ra_layout_leave_out_all(ra_safetensors *file, const char *beginning, ra_error *err) {
    for (size_t i = 0; i < file->readable; i++)
        if (strncmp(file->entries[i].name, beginning, strlen(beginning)) == 0)
            RA_TRY(leave_out(&file->entries[i], err));
    return RA_OK;
}

/* ---- which one ----------------------------------------------------------------------------------------- */

static bool fits(ra_safetensors *file, const part *parts) {
    size_t biases = 0;
    for (size_t i = 0; i < PARTS && parts[i].name; i++) {
        const ra_safetensors_entry *entry = find(file, parts[i].name);
        bool matrix = strcmp(parts[i].ours, "dictionary") == 0 ||
                      strcmp(parts[i].ours, "encoder.final_block.0.weight") == 0,
             there = entry && entry->tensor.rank == (matrix ? 2 : 1);
        if (parts[i].required && !there) return false;
        biases += there && strcmp(parts[i].ours, "output.bias") == 0;
    }
    return biases == 1;
}

static ra_status refuse_others(ra_safetensors *file, ra_error *err) {
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (find(file, others[i].name))
            RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s has the tensor %s, %s, which is not supported; %s",
                    file->path, others[i].name, others[i].what, atoms_alone);
    const char *const decoders[] = {"W_dec", "decoder.weight", "W_D"};
    for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++) {
        const ra_safetensors_entry *decoder = find(file, decoders[i]);
        if (decoder && decoder->tensor.rank == 3)
            RA_FAIL(err, RA_ERR_UNSUPPORTED,
                    "%s is a crosscoder, whose %s has an axis of layers or models: its codes are of several "
                    "activations at once, which is not supported; %s, of one layer",
                    file->path, decoders[i], atoms_alone);
    }
    return RA_OK;
}

/* What overcomplete's NMF, SemiNMF, ConvexNMF and ArchetypalAnalysis keep: D [K,d], and perhaps the weights W of its rows. A
 * dictionary without an encoder: their codes are the solution of a problem, which they solve anew for each batch. */
static ra_status take_factors(ra_safetensors *file, bool *adapted, ra_error *err) {
    ra_safetensors_entry *D = find(file, "D");
    size_t more = file->count - (D != NULL) - (find(file, "W") != NULL);
    if (!D || D->tensor.rank != 2 || more) return RA_OK;
    *adapted = true;
    RA_TRY(rename_entry(D, "dictionary", err));
    return ra_layout_leave_out(file, "W", err);
}

ra_status ra_safetensors_adapt(ra_safetensors *file, bool *adapted, ra_error *err) {
    *adapted = false;
    if (find(file, "dictionary")) return RA_OK;
    if (find(file, "W_dec") || find(file, "decoder.weight") || find(file, "W_D"))
        RA_TRY(refuse_others(file, err));
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        const part *parts = layouts[i].parts;
        if (!fits(file, parts)) continue;
        *adapted = true;
        for (size_t p = 0; p < PARTS && parts[p].name; p++) {
            ra_safetensors_entry *entry = find(file, parts[p].name);
            if (!entry) continue;
            if (parts[p].swapped) RA_TRY(swap_axes(entry, err));
            RA_TRY(rename_entry(entry, parts[p].ours, err));
        }
        return ra_layout_settings(file, layouts[i].layout, err);
    }
    if (find(file, "W_dec")) RA_TRY(ra_layout_refuse_unknown(file, err));
    return take_factors(file, adapted, err);
}
