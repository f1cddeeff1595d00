#include "dictionary/dictionary.h"
#include "ra_memory.h"

#include <limits.h>
#include <math.h>

size_t ra_parameter_size(const ra_parameter *parameter) {
    size_t size = 1;
    for (int i = 0; i < parameter->rank; i++) size *= parameter->shape[i];
    return size;
}

ra_status ra_dictionary_make(ra_backend *backend, const ra_dictionary_type *type, ra_dictionary_kind kind,
                             size_t concepts, size_t dimensions, ra_dictionary **out, ra_error *err) {
    if (concepts == 0 || concepts > INT_MAX)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the number of concepts is %zu, expected 1 to %d", concepts, INT_MAX);
    if (dimensions == 0 || dimensions > INT_MAX)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the number of dimensions is %zu, expected 1 to %d", dimensions,
                INT_MAX);
    ra_dictionary *dictionary = ra_calloc(1, sizeof *dictionary);
    if (!dictionary) RA_FAIL_MEMORY(err, "a dictionary", sizeof *dictionary);
    *dictionary = (ra_dictionary){.type = type,
                                  .kind = kind,
                                  .backend = ra_backend_retain(backend),
                                  .concepts = concepts,
                                  .dimensions = dimensions,
                                  .selected = concepts,
                                  .training = true};
    void *memory = NULL;
    ra_status status = ra_backend_allocate(backend, concepts * dimensions * sizeof(float), &memory, err);
    dictionary->D = memory;
    if (status == RA_OK) status = ra_backend_allocate(backend, concepts * sizeof(int32_t), &memory, err);
    if (status != RA_OK) {
        ra_dictionary_free(dictionary);
        return status;
    }
    dictionary->atoms = memory;
    *out = dictionary;
    return RA_OK;
}

ra_status ra_dictionary_add(ra_dictionary *dictionary, const char *name, bool trained, size_t rows,
                            size_t cols, ra_error *err) {
    void *memory = NULL;
    ra_parameter *parameter = &dictionary->parameters[dictionary->count];
    *parameter =
        (ra_parameter){.name = name, .dtype = RA_F32, .rank = rows ? cols ? 2 : 1 : 0, .shape = {rows, cols}};
    size_t bytes;
    if (__builtin_mul_overflow(ra_parameter_size(parameter), sizeof(float), &bytes) ||
        (rows && cols && SIZE_MAX / rows / sizeof(float) < cols))
        RA_FAIL(err, RA_ERR_TOO_LARGE, "%s of %zu x %zu numbers is too large", name, rows, cols);
    RA_TRY(ra_backend_allocate(dictionary->backend, bytes, &memory, err));
    parameter->value = memory;
    dictionary->count++; /* from here on ra_dictionary_free() knows it */
    if (trained) {
        RA_TRY(ra_backend_allocate(dictionary->backend, bytes, &memory, err));
        parameter->gradient = memory;
    }
    return RA_OK;
}

void ra_dictionary_free(ra_dictionary *dictionary) {
    if (!dictionary) return;
    if (dictionary->type->release) dictionary->type->release(dictionary);
    for (size_t i = 0; i < dictionary->count; i++) {
        ra_backend_deallocate(dictionary->backend, dictionary->parameters[i].value);
        ra_backend_deallocate(dictionary->backend, dictionary->parameters[i].gradient);
    }
    ra_buffer_release(&dictionary->of_points);
    ra_buffer_release(&dictionary->of_values);
    ra_backend_deallocate(dictionary->backend, dictionary->D);
    ra_backend_deallocate(dictionary->backend, dictionary->atoms);
    ra_backend_release(dictionary->backend);
    ra_free(dictionary);
}

ra_status ra_parameter_upload(ra_backend *backend, const ra_parameter *parameter, const ra_tensor *values,
                              ra_error *err) {
    size_t n = ra_parameter_size(parameter);
    const void *host = values->data;
    float *converted = NULL;
    if (values->dtype != parameter->dtype) {
        converted = ra_malloc(n, sizeof *converted);
        if (!converted) RA_FAIL_MEMORY(err, parameter->name, n * sizeof *converted);
        ra_convert_to_f32(values->dtype, values->data, converted, n);
        host = converted;
    }
    ra_status status = ra_backend_put(backend, parameter->value, host, n * sizeof(float), err);
    ra_free(converted);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

ra_dictionary_kind ra_dictionary_get_kind(const ra_dictionary *dictionary) {
    return dictionary->kind;
}

size_t ra_dictionary_concepts(const ra_dictionary *dictionary) {
    return dictionary->concepts;
}

size_t ra_dictionary_dimensions(const ra_dictionary *dictionary) {
    return dictionary->dimensions;
}

ra_backend *ra_dictionary_backend(const ra_dictionary *dictionary) {
    return dictionary->backend;
}

const ra_parameter *ra_dictionary_parameters(const ra_dictionary *dictionary, size_t *count) {
    *count = dictionary->count;
    return dictionary->parameters;
}

void ra_dictionary_changed(ra_dictionary *dictionary) {
    dictionary->fresh = dictionary->projected = dictionary->scaled = dictionary->ahead = false;
}

void ra_dictionary_moved(ra_dictionary *dictionary, size_t step, double rate) {
    ra_dictionary_changed(dictionary);
    dictionary->projected = dictionary->by_row;
    if (dictionary->type->moved) dictionary->type->moved(dictionary, step, rate);
}

ra_status ra_dictionary_loaded(ra_dictionary *dictionary, ra_error *err) {
    ra_dictionary_changed(dictionary);
    return dictionary->type->loaded ? dictionary->type->loaded(dictionary, err) : RA_OK;
}

void ra_dictionary_set_projected(ra_dictionary *dictionary) {
    dictionary->projected = true;
}

ra_status ra_dictionary_project(ra_dictionary *dictionary, ra_error *err) {
    if (dictionary->projected) return RA_OK;
    RA_TRY(dictionary->type->project(dictionary, err));
    dictionary->projected = true;
    return RA_OK;
}

void ra_dictionary_set_training(ra_dictionary *dictionary, bool training) {
    if (dictionary->training != training) dictionary->fresh = false;
    dictionary->training = training;
}

/* Training and evaluation mode both return the D of the present parameters; a second read of unchanged
 * parameters costs nothing. (overcomplete 0.3.0 keeps an old D in evaluation mode if parameters change.) */
ra_status ra_dictionary_get(ra_dictionary *dictionary, const float **D, ra_error *err) {
    RA_TRY(ra_dictionary_project(dictionary, err));
    if (!dictionary->fresh) {
        RA_TRY(dictionary->type->compose(dictionary, NULL, dictionary->concepts, dictionary->D, err));
        dictionary->fresh = true;
    }
    dictionary->selected = dictionary->concepts;
    *D = dictionary->D;
    return RA_OK;
}

ra_status ra_dictionary_select(ra_dictionary *dictionary, const int32_t *atoms, size_t count, const float **D,
                               ra_error *err) {
    if (!atoms || count == dictionary->concepts) return ra_dictionary_get(dictionary, D, err);
    RA_TRY(ra_dictionary_project(dictionary, err));
    dictionary->fresh = false;
    RA_TRY(ra_backend_put(dictionary->backend, dictionary->atoms, atoms, count * sizeof *atoms, err));
    RA_TRY(dictionary->type->compose(dictionary, dictionary->atoms, count, dictionary->D, err));
    dictionary->selected = count;
    *D = dictionary->D;
    return RA_OK;
}

ra_status ra_dictionary_forward(ra_dictionary *dictionary, const ra_codes *z, float *x_hat, ra_error *err) {
    const float *D;
    if (z->latents != dictionary->concepts)
        RA_FAIL(err, RA_ERR_SHAPE, "the codes have %zu latents, but the dictionary has %zu concepts",
                z->latents, dictionary->concepts);
    RA_TRY(ra_dictionary_get(dictionary, &D, err));
    return ra_backend_decode(dictionary->backend, z, RA_F32, D, dictionary->dimensions, x_hat, err);
}

ra_status ra_dictionary_forward_dense(ra_dictionary *dictionary, const float *z, size_t rows, float *x_hat,
                                      ra_error *err) {
    const float *D;
    size_t K = dictionary->concepts, d = dictionary->dimensions;
    RA_TRY(ra_dictionary_get(dictionary, &D, err));
    return ra_backend_gemm(dictionary->backend, false, false, rows, d, K, 1, z, K, D, d, 0, x_hat, d, err);
}

ra_status ra_dictionary_backward(ra_dictionary *dictionary, const float *dD, ra_error *err) {
    return dictionary->type->backward(dictionary, dD, dictionary->selected, err);
}

float *ra_dictionary_gradient_memory(ra_dictionary *dictionary) {
    return dictionary->parameters[dictionary->type->dense].gradient;
}

/* ---- without D ------------------------------------------------------------------------------------------ */

/* With D, 2 A N d additions for W C and as many for dD C^T, A being the number of active atoms. Without it, 2 B N d
 * twice, and 2 N for each active latent in z W, z^T g and g . W_k, which gather rows: per addition they take
 * GATHER times as long as a product of dense matrices, by estimate. N is in all of them. */
bool ra_dictionary_decodes(const ra_dictionary *dictionary, size_t rows, size_t entries, size_t atoms) {
    const double GATHER = 10, GATHERED = 3, PRODUCTS = 2;
    double d = (double)dictionary->dimensions;
    double with = PRODUCTS * (double)atoms * d;
    double without = PRODUCTS * (double)rows * d + GATHERED * GATHER * (double)entries;
    return dictionary->type->decode && ra_backend_host_memory(dictionary->backend) && without < with;
}

ra_status ra_dictionary_decode(ra_dictionary *dictionary, const ra_codes *z, float *x_hat, ra_error *err) {
    RA_TRY(ra_dictionary_project(dictionary, err));
    return dictionary->type->decode(dictionary, z, x_hat, err);
}

ra_status ra_dictionary_decode_backward(ra_dictionary *dictionary, const ra_decoded *decoded, float *dvalue,
                                        ra_error *err) {
    return dictionary->type->decode_backward(dictionary, decoded, dvalue, err);
}

/* ---- multiplier ---------------------------------------------------------------------------------------- */

static const ra_parameter *multiplier_of(const ra_dictionary *dictionary) {
    return &dictionary->parameters[dictionary->type->multiplier];
}

ra_status ra_dictionary_ask(ra_dictionary *dictionary, ra_error *err) {
    if (dictionary->scaled) return RA_OK;
    RA_TRY(ra_backend_download(dictionary->backend, &dictionary->arriving, multiplier_of(dictionary)->value,
                               sizeof dictionary->arriving, err));
    dictionary->ahead = true;
    return RA_OK;
}

void ra_dictionary_arrived(ra_dictionary *dictionary) {
    if (!dictionary->ahead) return;
    dictionary->scale = expf(dictionary->arriving);
    dictionary->scaled = true;
    dictionary->ahead = false;
}

/* From a device, a number costs a wait; a step needs it forward and backward. */
ra_status ra_dictionary_scale(ra_dictionary *dictionary, float *scale, ra_error *err) {
    if (!dictionary->scaled) {
        RA_TRY(ra_dictionary_ask(dictionary, err));
        RA_TRY(ra_backend_synchronize(dictionary->backend, err));
        ra_dictionary_arrived(dictionary);
    }
    *scale = dictionary->scale;
    return RA_OK;
}

ra_status ra_dictionary_multiplier_gradient(ra_dictionary *dictionary, const float *dD, size_t count,
                                            ra_error *err) {
    float *gradient = multiplier_of(dictionary)->gradient;
    if (!gradient) return RA_OK;
    return ra_backend_dot_into(dictionary->backend, dD, dictionary->D, count * dictionary->dimensions,
                               gradient, err);
}
