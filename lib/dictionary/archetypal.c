/* The relaxed archetypal dictionary in training, D = e^m (W C + Relax) (Fel et al. 2025, eq. 4; the same
 * numbers as overcomplete 0.3.0, sae/archetypal_dictionary.py).
 *
 * Reading D first projects the parameters in place: the rows of W onto the simplex (nonnegative, sum 1),
 * those of Relax into the ball of radius delta. Gradients do not pass through the projection: with D = e^m (W
 * C + Relax),
 *
 *     dW = e^m dD C^T        dRelax = e^m dD        dm = sum(dD * D)
 *
 * hold at the projected parameters, also for entries that the projection set to zero: that is how they can
 * become positive again. */
#include "dictionary/dictionary.h"

#include <limits.h>
#include <math.h>

enum { W, RELAX, MULTIPLIER, C };

static ra_status project(ra_dictionary *dictionary, ra_error *err) {
    const ra_parameter *p = dictionary->parameters;
    size_t K = dictionary->concepts;
    RA_TRY(ra_backend_project_simplex(dictionary->backend, p[W].value, K, dictionary->points, err));
    return ra_backend_project_ball(dictionary->backend, p[RELAX].value, K, dictionary->dimensions,
                                   dictionary->delta, err);
}

/* The selected rows of W are gathered in the memory of its gradient, which is free until that is computed. */
static ra_status compose(ra_dictionary *dictionary, const int32_t *atoms, size_t count, float *D,
                         ra_error *err) {
    const ra_parameter *p = dictionary->parameters;
    size_t N = dictionary->points, d = dictionary->dimensions;
    const float *w = p[W].value, *relax = p[RELAX].value;
    float scale;
    RA_TRY(ra_dictionary_scale(dictionary, &scale, err));
    if (atoms) {
        RA_TRY(ra_backend_gather_rows(dictionary->backend, 1, w, atoms, count, N, p[W].gradient, err));
        RA_TRY(ra_backend_gather_rows(dictionary->backend, scale, relax, atoms, count, d, D, err));
        w = p[W].gradient;
    } else {
        RA_TRY(ra_backend_axpby(dictionary->backend, scale, relax, 0, D, count * d, err));
    }
    return ra_backend_gemm(dictionary->backend, false, false, count, d, N, scale, w, N, p[C].value, d, 1, D,
                           d, err);
}

/* dD may be the memory of Relax's gradient, which is therefore written last. */
static ra_status backward(ra_dictionary *dictionary, const float *dD, size_t count, ra_error *err) {
    const ra_parameter *p = dictionary->parameters;
    size_t N = dictionary->points, d = dictionary->dimensions;
    float scale, *relax = p[RELAX].gradient;
    RA_TRY(ra_dictionary_multiplier_gradient(dictionary, dD, count, err));
    RA_TRY(ra_dictionary_scale(dictionary, &scale, err));
    RA_TRY(ra_backend_gemm(dictionary->backend, false, true, count, N, d, scale, dD, d, p[C].value, d, 0,
                           p[W].gradient, N, err));
    if (dD == relax) return ra_backend_axpby(dictionary->backend, 0, NULL, scale, relax, count * d, err);
    return ra_backend_axpby(dictionary->backend, scale, dD, 0, relax, count * d, err);
}

/* ---- the same without D (ra_dictionary_decode()) ----------------------------------------------------------- */

static ra_status decode(ra_dictionary *dictionary, const ra_codes *z, float *x_hat, ra_error *err) {
    const ra_parameter *p = dictionary->parameters;
    ra_backend *backend = dictionary->backend;
    size_t B = z->rows, N = dictionary->points, d = dictionary->dimensions;
    float scale;
    RA_TRY(ra_dictionary_scale(dictionary, &scale, err));
    RA_TRY(ra_buffer_reserve(&dictionary->of_points, backend, B * N, err));
    float *mixed = dictionary->of_points.data;
    RA_TRY(ra_backend_decode(backend, z, RA_F32, p[W].value, N, mixed, err));
    RA_TRY(ra_backend_decode(backend, z, RA_F32, p[RELAX].value, d, x_hat, err));
    return ra_backend_gemm(backend, false, false, B, d, N, scale, mixed, N, p[C].value, d, scale, x_hat, d,
                           err);
}

/* out [rows,n] <- z^T x */
static ra_status gather(ra_backend *backend, const ra_codes *z, const float *x, size_t n, float *out,
                        ra_error *err) {
    RA_TRY(ra_backend_axpby(backend, 0, NULL, 0, out, z->latents * n, err));
    return ra_backend_accumulate(backend, z, z->value, x, n, out, err);
}

static ra_status decode_backward(ra_dictionary *dictionary, const ra_decoded *decoded, float *dvalue,
                                 ra_error *err) {
    const ra_parameter *p = dictionary->parameters;
    ra_backend *backend = dictionary->backend;
    const ra_codes *z = decoded->z;
    size_t B = z->rows, N = dictionary->points, d = dictionary->dimensions, entries = ra_codes_entries(z);
    const float *dx = decoded->dx_hat;
    float scale;
    RA_TRY(ra_dictionary_scale(dictionary, &scale, err));
    if (p[MULTIPLIER].gradient)
        RA_TRY(ra_backend_dot_into(backend, dx, decoded->x_hat, B * d, p[MULTIPLIER].gradient, err));
    RA_TRY(ra_buffer_reserve(&dictionary->of_points, backend, B * N, err));
    RA_TRY(ra_buffer_reserve(&dictionary->of_values, backend, entries, err));
    float *g = dictionary->of_points.data, *by_relax = dictionary->of_values.data;
    RA_TRY(ra_backend_gemm(backend, false, true, B, N, d, scale, dx, d, p[C].value, d, 0, g, N, err));
    RA_TRY(ra_backend_decode_gradient(backend, z, g, p[W].value, N, dvalue, err));
    RA_TRY(ra_backend_decode_gradient(backend, z, dx, p[RELAX].value, d, by_relax, err));
    RA_TRY(ra_backend_axpby(backend, scale, by_relax, 1, dvalue, entries, err));
    RA_TRY(gather(backend, decoded->packed, g, N, p[W].gradient, err));
    RA_TRY(gather(backend, decoded->packed, dx, d, p[RELAX].gradient, err));
    return ra_backend_axpby(backend, 0, NULL, scale, p[RELAX].gradient, decoded->packed->latents * d, err);
}

static const ra_dictionary_type archetypal = {.project = project,
                                              .compose = compose,
                                              .backward = backward,
                                              .decode = decode,
                                              .decode_backward = decode_backward,
                                              .dense = RELAX,
                                              .multiplier = MULTIPLIER};

/* W <- eye(K, N): atom k starts as point k. */
static ra_status start_at_points(ra_dictionary *dictionary, ra_error *err) {
    size_t K = dictionary->concepts, N = dictionary->points;
    const float one = 1;
    for (size_t k = 0; k < K && k < N; k++)
        RA_TRY(ra_backend_upload(dictionary->backend, dictionary->parameters[W].value + k * N + k, &one,
                                 sizeof one, err));
    return ra_backend_synchronize(dictionary->backend, err);
}

ra_status ra_dictionary_check_points(const ra_tensor *points, size_t in_dimensions, float delta,
                                     ra_error *err) {
    char shape[128];
    if (!(delta >= 0) || isinf(delta))
        RA_FAIL(err, RA_ERR_ARGUMENT, "delta is %g, expected a finite number of at least 0", (double)delta);
    if (!ra_dtype_is_float(points->dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "the points are %s, expected F32, F16 or BF16",
                ra_dtype_name(points->dtype));
    if (points->rank != 2 || points->shape[1] != in_dimensions || points->shape[0] == 0 ||
        points->shape[0] > INT_MAX)
        RA_FAIL(err, RA_ERR_SHAPE, "the points have shape %s, expected [N, %zu] with N from 1 to %d",
                ra_shape_text(points->rank, points->shape, shape, sizeof shape), in_dimensions, INT_MAX);
    return RA_OK;
}

ra_status ra_archetypal_dictionary_new(ra_backend *backend, size_t in_dimensions, size_t nb_concepts,
                                       const ra_tensor *points, float delta, bool use_multiplier,
                                       ra_dictionary **out, ra_error *err) {
    RA_TRY(ra_dictionary_check_points(points, in_dimensions, delta, err));
    ra_dictionary *dictionary = NULL;
    RA_TRY(ra_dictionary_make(backend, &archetypal, RA_DICTIONARY_ARCHETYPAL, nb_concepts, in_dimensions,
                              &dictionary, err));
    size_t N = dictionary->points = points->shape[0];
    dictionary->delta = delta;
    ra_status status;
    RA_TRY_OUT(status, ra_dictionary_add(dictionary, "dictionary.W", true, nb_concepts, N, err));
    RA_TRY_OUT(status,
               ra_dictionary_add(dictionary, "dictionary.Relax", true, nb_concepts, in_dimensions, err));
    dictionary->parameters[W].projection = RA_PROJECT_SIMPLEX;
    dictionary->parameters[RELAX].projection = RA_PROJECT_BALL;
    dictionary->parameters[RELAX].radius = delta;
    dictionary->by_row = true;
    RA_TRY_OUT(status, ra_dictionary_add(dictionary, "dictionary.multiplier", use_multiplier, 0, 0, err));
    RA_TRY_OUT(status, ra_dictionary_add(dictionary, "dictionary.C", false, N, in_dimensions, err));
    RA_TRY_OUT(status, ra_parameter_upload(backend, &dictionary->parameters[C], points, err));
    RA_TRY_OUT(status, start_at_points(dictionary, err));
    *out = dictionary;
    return RA_OK;
out:
    ra_dictionary_free(dictionary);
    return status;
}
