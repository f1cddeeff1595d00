/* The gradient of every parameter. dD comes from decoding and, if the dictionary encodes, too, from encoding;
 * when it is complete, the dictionary computes the gradients of its parameters. A pass that did without D (forward.c)
 * does without dD: the dictionary's gradients come from those of x_hat.
 *
 * The gradient of the codes is needed for active latents only, with two exceptions that need it for all:
 * jumprelu, whose thresholds learn from inactive latents, too, and encoders with a norm, in which every
 * pre-code of a row or of a batch changes the others. */
#include "sae/sae.h"
#include "ra_memory.h"

#include <string.h>

/* The gradients of the dictionary's parameters, and pass->dvalue <- that of the active codes through x_hat. */
static ra_status backward_without(ra_sae *sae, ra_sae_pass *pass, const ra_sae_gradients *g, ra_error *err) {
    size_t n = pass->rows * sae->encoder.dimensions;
    const ra_decoded decoded = {.z = &pass->codes,
                                .packed = ra_sae_pass_codes(pass),
                                .x_hat = pass->x_hat,
                                .dx_hat = g->x_hat ? g->x_hat : pass->x_hat};
    if (!g->x_hat) RA_TRY(ra_backend_axpby(sae->backend, 0, NULL, 0, pass->x_hat, n, err));
    return ra_dictionary_decode_backward(sae->dictionary, &decoded, pass->dvalue.data, err);
}

/* dD <- codes^T dx_hat + the loss's own gradient of D. */
static ra_status backward_decoding(ra_sae *sae, ra_sae_pass *pass, const ra_sae_gradients *g, float *dD,
                                   ra_error *err) {
    if (!pass->D) return backward_without(sae, pass, g, err);
    size_t d = sae->encoder.dimensions, n = pass->atom_count * d;
    RA_TRY(ra_backend_axpby(sae->backend, g->D ? 1 : 0, g->D, 0, dD, n, err));
    if (!g->x_hat) return RA_OK;
    const ra_codes *codes = ra_sae_pass_codes(pass);
    return ra_backend_accumulate(sae->backend, codes, codes->value, g->x_hat, d, dD, err);
}

/* pass->scratch [B,K] <- the gradient of all codes, active or not. */
static ra_status dense_code_gradient(ra_sae *sae, ra_sae_pass *pass, const ra_sae_gradients *g,
                                     ra_error *err) {
    size_t K = sae->encoder.concepts, d = sae->encoder.dimensions, B = pass->rows;
    RA_TRY(ra_backend_axpby(sae->backend, g->codes ? 1 : 0, g->codes, 0, pass->scratch, B * K, err));
    if (g->x_hat)
        RA_TRY(ra_backend_gemm(sae->backend, false, true, B, K, d, 1, g->x_hat, d, pass->D, d, 1,
                               pass->scratch, K, err));
    return g->value ? ra_backend_scatter_entries(sae->backend, &pass->codes, 1, g->value, pass->scratch, err)
                    : RA_OK;
}

/* pass->dvalue <- the gradient of the active codes. */
static ra_status sparse_code_gradient(ra_sae *sae, ra_sae_pass *pass, const ra_sae_gradients *g,
                                      ra_error *err) {
    size_t d = sae->encoder.dimensions, entries = ra_codes_entries(&pass->codes);
    bool there = g->x_hat || !pass->D;
    if (g->x_hat && pass->D)
        RA_TRY(ra_backend_decode_gradient(sae->backend, ra_sae_pass_codes(pass), g->x_hat, pass->D, d,
                                          pass->dvalue.data, err));
    if (g->value || !there)
        RA_TRY(ra_backend_axpby(sae->backend, g->value ? 1 : 0, g->value, there ? 1 : 0, pass->dvalue.data,
                                entries, err));
    return g->codes
               ? ra_backend_gather_entries(sae->backend, &pass->codes, g->codes, 1, pass->dvalue.data, err)
               : RA_OK;
}

/* pass->scratch [B,K] <- the gradient of the pre-codes: the loss's own, plus that of the active codes, unless
 * a pursuit computed them. */
static ra_status dense_pre_gradient(ra_sae *sae, ra_sae_pass *pass, const ra_sae_gradients *g,
                                    ra_error *err) {
    size_t n = pass->rows * sae->encoder.concepts;
    RA_TRY(ra_backend_axpby(sae->backend, g->pre ? 1 : 0, g->pre, 0, pass->scratch, n, err));
    if (ra_activation_types[sae->activation.kind]->pursues) return RA_OK;
    return ra_backend_scatter_entries(sae->backend, &pass->codes, 1, pass->dvalue.data, pass->scratch, err);
}

/* pass->dvalue <- the gradient of the active codes; also computes that of the thresholds. */
static ra_status backward_codes(ra_sae *sae, ra_sae_pass *pass, const ra_sae_gradients *g, ra_error *err) {
    const ra_activation_type *type = ra_activation_types[sae->activation.kind];
    size_t K = sae->encoder.concepts;
    if (!type->theta_gradient) return sparse_code_gradient(sae, pass, g, err);
    RA_TRY(dense_code_gradient(sae, pass, g, err));
    RA_TRY(type->theta_gradient(&sae->activation, sae->backend, pass->pre, pass->scratch, g->active,
                                pass->rows, K, ra_sae_theta(sae)->gradient, err));
    return ra_backend_gather_entries(sae->backend, &pass->codes, pass->scratch, 0, pass->dvalue.data, err);
}

/* gradient [n] <- its sum over the members, which exchange host memory. */
static ra_status sum_over_members(const ra_sae *sae, float *gradient, size_t n, ra_error *err) {
    void *copy = NULL;
    const void *view = NULL;
    if (ra_group_size(sae->group) == 1) return RA_OK;
    if (ra_backend_host_memory(sae->backend)) return ra_group_sum_f32(sae->group, gradient, n, err);
    ra_status status = ra_backend_view(sae->backend, gradient, n * sizeof *gradient, &copy, &view, err);
    if (status == RA_OK) status = ra_group_sum_f32(sae->group, copy, n, err);
    if (status == RA_OK) status = ra_backend_put(sae->backend, gradient, copy, n * sizeof *gradient, err);
    ra_free(copy);
    return status;
}

/* Adds up the members' gradients of the encoder and the thresholds. Those of the dictionary follow from the
 * sum of dD; those of BatchNorm's gamma and beta were added up before, because the gradient of its input
 * needs the sums. */
static ra_status sum_gradients(const ra_sae *sae, const ra_sae_pass *pass, ra_error *err) {
    for (size_t i = 0; i < sae->owned; i++) {
        const ra_parameter *p = &sae->parameters[i];
        bool summed = ra_encoder_norm(sae->encoder.kind) == RA_ENCODER_BATCH_NORM &&
                      (p == sae->encoder.tensor[RA_ENCODER_NORM_WEIGHT] ||
                       p == sae->encoder.tensor[RA_ENCODER_NORM_BIAS]);
        size_t n = sae->packed[i] ? pass->atom_count * p->shape[1] : ra_parameter_size(p);
        if (p->gradient && !summed) RA_TRY(sum_over_members(sae, p->gradient, n, err));
    }
    return RA_OK;
}

/* The gradients of the dictionary's parameters, from dD summed over the members; they may be there already. */
static ra_status backward_dictionary(ra_sae *sae, const ra_sae_pass *pass, float *dD, ra_error *err) {
    for (size_t i = sae->owned; i < sae->count; i++)
        sae->packed[i] = pass->atoms && sae->parameters[i].rank == 2 && sae->parameters[i].gradient;
    if (!pass->D) return RA_OK;
    RA_TRY(sum_over_members(sae, dD, pass->atom_count * sae->encoder.dimensions, err));
    return ra_dictionary_backward(sae->dictionary, dD, err);
}

ra_status ra_sae_backward(ra_sae *sae, const float *x, ra_sae_pass *pass, const ra_sae_gradients *g,
                          ra_error *err) {
    bool pursues = ra_activation_types[sae->activation.kind]->pursues;
    float *dD = ra_dictionary_gradient_memory(sae->dictionary);
    RA_TRY(ra_buffer_reserve(&pass->dvalue, sae->backend, ra_codes_entries(&pass->codes), err));
    RA_TRY(backward_decoding(sae, pass, g, dD, err));
    RA_TRY(backward_codes(sae, pass, g, err));
    if (pursues)
        RA_TRY(ra_pursuit_backward(pass->pursuit, sae->backend, pass->D, sae->encoder.dimensions,
                                   &pass->codes, pass->dvalue.data, dD, err));
    bool dense = g->pre || ra_encoder_norm(sae->encoder.kind) != RA_ENCODER_NO_NORM;
    if (dense) RA_TRY(dense_pre_gradient(sae, pass, g, err));
    for (size_t i = 0; i < sae->owned; i++)
        sae->packed[i] =
            pass->atoms && !dense && &sae->parameters[i] == sae->encoder.tensor[RA_ENCODER_WEIGHT];
    if (dense || !pursues)
        RA_TRY(
            ra_encoder_backward(&sae->encoder, sae->backend, x, pass, dense ? pass->scratch : NULL, dD, err));
    RA_TRY(sum_gradients(sae, pass, err));
    return backward_dictionary(sae, pass, dD, err);
}

/* ---- whole gradients ------------------------------------------------------------------------------ */

bool ra_sae_packed(const ra_sae *sae, size_t i) {
    return sae->packed[i];
}

ra_status ra_sae_gradient(const ra_sae *sae, const ra_sae_pass *pass, size_t i, float *out, ra_error *err) {
    const ra_parameter *parameter = &sae->parameters[i];
    size_t n = parameter->shape[1], rows = pass->atom_count, end = parameter->shape[0];
    if (!sae->packed[i])
        return ra_backend_get(sae->backend, out, parameter->gradient,
                              ra_parameter_size(parameter) * sizeof *out, err);
    RA_TRY(ra_backend_get(sae->backend, out, parameter->gradient, rows * n * sizeof *out, err));
    /* atoms ascend, so from the last to the first no row overwrites one that has not moved yet */
    for (size_t a = rows; a-- > 0;) {
        size_t atom = (size_t)pass->atoms[a];
        memmove(out + atom * n, out + a * n, n * sizeof *out);
        memset(out + (atom + 1) * n, 0, (end - atom - 1) * n * sizeof *out);
        end = atom;
    }
    memset(out, 0, end * n * sizeof *out);
    return RA_OK;
}
