/* layouts.h - what the two parts of the reader of other libraries' layouts share: layouts.c finds the layout and changes
 * tensors, layout_settings.c reads the JSON file beside the weights. */
#ifndef RA_IO_SAFETENSORS_LAYOUTS_H
#define RA_IO_SAFETENSORS_LAYOUTS_H

#include "io/safetensors/safetensors.h"

typedef enum ra_layout {
    RA_LAYOUT_SAELENS, /* or dictionary_learning's JumpReluAutoEncoder, which the JSON file tells; or Gemma Scope's, in an npz */
    RA_LAYOUT_SPARSIFY,
    RA_LAYOUT_DICTIONARY_LEARNING,
    RA_LAYOUT_OPENAI,
    RA_LAYOUT_OPENMOSS, /* its files have dictionary_learning's tensors, too, which the JSON file tells */
} ra_layout;

/* Adds the settings of a file whose tensors have our names already. RA_ERR_UNSUPPORTED, by its name, for what would
 * make it another model. */
ra_status ra_layout_settings(ra_safetensors *file, ra_layout layout, ra_error *err);

/* RA_ERR_UNSUPPORTED if the JSON file beside it names an architecture whose tensors fit no layout. */
ra_status ra_layout_refuse_unknown(ra_safetensors *file, ra_error *err);

/* The least number that is above a threshold. */
float ra_layout_threshold(float strict);

/* Turns the tensor `threshold` [F], which is strict, into ours. */
ra_status ra_layout_thresholds(ra_safetensors *file, ra_error *err);

/* A gated encoder is a jumprelu: with pre-codes p, the gate p + gate > 0 and the magnitude m = relu(exp(r) p + b) it is
 * open where m > b - exp(r) gate. *gated: the file has one; its weight, bias and thresholds are then those of the jumprelu. */
ra_status ra_layout_gate(ra_safetensors *file, bool *gated, ra_error *err);

bool ra_layout_has_thresholds(ra_safetensors *file); /* whether that has been done */

/* Latents count in units of their atom's norm: multiplies encoder and bias by it, and divides the atoms. */
ra_status ra_layout_normalize_decoder(ra_safetensors *file, ra_error *err);

/* *number <- a tensor of one number; false if there is none of that name. */
bool ra_layout_number(const ra_safetensors *file, const char *name, double *number);

bool ra_layout_has(const ra_safetensors *file, const char *name); /* a readable tensor of this name */

size_t ra_layout_dimensions(const ra_safetensors *file); /* of the tensor `dictionary`, which there is */

/* Multiplies a tensor, if there is one of this name. */
ra_status ra_layout_scale(ra_safetensors *file, const char *name, double factor, ra_error *err);

/* Adds input.mean 0 and input.scale, the same for all dimensions. */
ra_status ra_layout_add_standardization(ra_safetensors *file, float scale, ra_error *err);

/* Adds the thresholds of all latents, of one that is strict. */
ra_status ra_layout_add_thresholds(ra_safetensors *file, float strict, ra_error *err);

/* Turns a tensor [F] of logarithms of strict thresholds, if there is one of this name, into ours; scored: they are for
 * pre-codes in units of their atom's norm. */
ra_status ra_layout_log_thresholds(ra_safetensors *file, const char *name, bool scored, ra_error *err);

/* Keeps all tensors whose names begin so from being ones that a model lacks. */
ra_status ra_layout_leave_out_all(ra_safetensors *file, const char *beginning, ra_error *err);

/* Keeps a tensor that a model does not need from being one that it lacks. */
ra_status ra_layout_leave_out(ra_safetensors *file, const char *name, ra_error *err);

#endif
