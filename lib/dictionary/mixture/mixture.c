/* The relaxed archetypal dictionary with few points per atom: D = e^m (W C + Relax), each row of W with at
 * most T weights, kept as index and weight [K,T].
 *
 * Why W is not trained by gradient. Adam moves every entry by about the learning rate, whatever its gradient,
 * so that a dense W ends as a mixture of hundreds of points, most of them noise; such an atom cannot be
 * traced. Here the optimizer moves the whole atom, A = W C + Relax, through Relax, whose gradient is that of
 * A. Before each read the atom is split anew: W C becomes the mixture of its T points that is nearest to it
 * (the projection onto their hull), Relax the rest. This is projected gradient descent on A. It has no step
 * size of its own, and with a large delta it is the training of a plain dictionary.
 *
 * How far from the hull. delta bounds Relax. Within it Relax is pulled back, to 1 - rate * pull of itself in
 * each step; pull follows the aim `hull_share`: it grows while the cosine between mixture and atom is below
 * the aim for more than half of the atoms, and fades otherwise. An atom that explains much outside of its
 * hull may stay there; the median keeps the aim. A bound alone treats all atoms alike, and explains less at
 * the same median.
 *
 * The scale. Points are as long as the rows of the data. With the multiplier trained it starts at -log of
 * their mean norm, so that atoms start at about unit length, as those of a plain dictionary do, and the
 * optimizer's rate for Relax is in units of that norm. */
#include "dictionary/mixture/mixture.h"
#include "ra_memory.h"

#include <limits.h>
#include <math.h>
#include <string.h>

static const double PULL_SPEED = 0.02, PULL_LEAST = 0.01, PULL_MOST = 1000;

/* ---- what the dictionary layer asks for ---------------------------------------------------------------- */

/* The state as it is saved, and as it was loaded. */
static ra_status put_state(ra_dictionary *dictionary, ra_error *err) {
    const struct ra_mixture_state *state = dictionary->mixture;
    float numbers[RA_MIXTURE_NUMBERS] = {(float)state->point_norm, (float)state->pull};
    return ra_backend_put(dictionary->backend, dictionary->parameters[RA_MIXTURE_STATE].value, numbers,
                          sizeof numbers, err);
}

static ra_status get_state(ra_dictionary *dictionary, ra_error *err) {
    float numbers[RA_MIXTURE_NUMBERS];
    RA_TRY(ra_backend_get(dictionary->backend, numbers, dictionary->parameters[RA_MIXTURE_STATE].value,
                          sizeof numbers, err));
    dictionary->mixture->point_norm = numbers[RA_MIXTURE_POINT_NORM];
    dictionary->mixture->pull = numbers[RA_MIXTURE_PULL];
    return RA_OK;
}

/* pull follows the share of atoms that are below the aim. */
static ra_status follow_aim(ra_dictionary *dictionary, ra_error *err) {
    struct ra_mixture_state *state = dictionary->mixture;
    size_t K = dictionary->concepts, below = 0;
    const void *shares = NULL;
    if (state->aim <= 0) return RA_OK;
    RA_TRY(ra_backend_view(dictionary->backend, state->share, K * sizeof(float), &state->share_copy, &shares,
                           err));
    for (size_t k = 0; k < K; k++) below += ((const float *)shares)[k] < state->aim;
    state->pull *= exp(PULL_SPEED * (2 * (double)below / (double)K - 1));
    state->pull = fmin(fmax(state->pull, PULL_LEAST), PULL_MOST);
    state->pull = (double)(float)state->pull; /* as a file holds it */
    return put_state(dictionary, err);
}

/* After a step of the optimizer; at other times, an atom that was only loaded or set keeps all of its Relax
 * within delta. */
static ra_status project(ra_dictionary *dictionary, ra_error *err) {
    struct ra_mixture_state *state = dictionary->mixture;
    ra_mixture view = ra_mixture_view(dictionary);
    double keep = state->aim > 0 ? 1 - state->rate * state->pull : 1;
    bool moved = state->rate > 0;
    /* first, while Relax still says where the optimizer wants the atom to be */
    if (moved) RA_TRY(ra_mixture_price_step(dictionary, state->step, err));
    RA_TRY(ra_backend_mixture_fit(dictionary->backend, &view, (float)fmax(keep, 0), dictionary->delta,
                                  state->share, err));
    if (moved) RA_TRY(follow_aim(dictionary, err));
    state->rate = 0;
    return RA_OK;
}

static ra_status compose(ra_dictionary *dictionary, const int32_t *atoms, size_t count, float *D,
                         ra_error *err) {
    ra_mixture view = ra_mixture_view(dictionary);
    float scale;
    RA_TRY(ra_dictionary_scale(dictionary, &scale, err));
    return ra_backend_mixture_compose(dictionary->backend, &view, atoms, count, scale, D, err);
}

/* dD may be the gradient of Relax itself. */
static ra_status backward(ra_dictionary *dictionary, const float *dD, size_t count, ra_error *err) {
    float scale, *relax = dictionary->parameters[RA_MIXTURE_RELAX].gradient;
    size_t n = count * dictionary->dimensions;
    RA_TRY(ra_dictionary_multiplier_gradient(dictionary, dD, count, err));
    RA_TRY(ra_dictionary_scale(dictionary, &scale, err));
    if (dD == relax) return ra_backend_axpby(dictionary->backend, 0, NULL, scale, relax, n, err);
    return ra_backend_axpby(dictionary->backend, scale, dD, 0, relax, n, err);
}

static void note_step(ra_dictionary *dictionary, size_t step, double rate) {
    dictionary->mixture->step = step;
    dictionary->mixture->rate = rate;
}

static ra_status check_atom(const int32_t *index, float *weight, size_t k, size_t T, size_t points,
                            ra_error *err) {
    double sum = 0;
    for (size_t t = 0; t < T; t++) {
        bool fits = index[t] >= -1 && (index[t] < 0 || (size_t)index[t] < points) &&
                    (t == 0 || index[t] < 0 || index[t - 1] >= 0);
        for (size_t s = 0; s < t; s++) fits &= index[t] < 0 || index[s] != index[t];
        if (!fits)
            RA_FAIL(err, RA_ERR_FORMAT,
                    "dictionary.W.index holds %d for point %zu of atom %zu, expected different numbers below "
                    "%zu, and -1 behind the last",
                    index[t], t, k, points);
        if (!(weight[t] >= 0) || isinf(weight[t]))
            RA_FAIL(err, RA_ERR_FORMAT,
                    "dictionary.W.weight holds %g for point %zu of atom %zu, expected a finite number of at "
                    "least 0",
                    (double)weight[t], t, k);
        if (index[t] < 0) weight[t] = 0;
        sum += (double)weight[t];
    }
    if (index[0] < 0 || fabs(sum - 1) <= 1e-4) return RA_OK;
    if (!(sum > 0)) weight[0] = 1, sum = 1;
    for (size_t t = 0; t < T; t++) weight[t] = (float)((double)weight[t] / sum);
    return RA_OK;
}

ra_status ra_mixture_check(const int32_t *index, float *weight, size_t K, size_t T, size_t points,
                           ra_error *err) {
    for (size_t k = 0; k < K; k++) RA_TRY(check_atom(index + k * T, weight + k * T, k, T, points, err));
    return RA_OK;
}

static ra_status loaded(ra_dictionary *dictionary, ra_error *err) {
    const ra_parameter *p = dictionary->parameters;
    size_t bytes = dictionary->concepts * dictionary->mixture->most * sizeof(float);
    int32_t *index = ra_malloc(bytes, 1);
    float *weight = ra_malloc(bytes, 1);
    ra_status status = RA_OK;
    if (!index || !weight)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the mixtures need %zu bytes", bytes);
    if (status == RA_OK)
        status = ra_backend_get(dictionary->backend, index, p[RA_MIXTURE_INDEX].value, bytes, err);
    if (status == RA_OK)
        status = ra_backend_get(dictionary->backend, weight, p[RA_MIXTURE_WEIGHT].value, bytes, err);
    if (status == RA_OK)
        status = ra_mixture_check(index, weight, dictionary->concepts, dictionary->mixture->most,
                                  dictionary->points, err);
    if (status == RA_OK)
        status = ra_backend_put(dictionary->backend, p[RA_MIXTURE_WEIGHT].value, weight, bytes, err);
    if (status == RA_OK) status = get_state(dictionary, err);
    if (status == RA_OK) status = ra_mixture_points_changed(dictionary, err);
    ra_free(index);
    ra_free(weight);
    return status;
}

static void release(ra_dictionary *dictionary) {
    struct ra_mixture_state *state = dictionary->mixture;
    if (!state) return;
    ra_mixture_price_release(dictionary);
    ra_backend_deallocate(dictionary->backend, state->gram);
    ra_backend_deallocate(dictionary->backend, state->share);
    ra_free(state->share_copy);
    ra_free(state->origin);
    ra_free(state);
    dictionary->mixture = NULL;
}

static const ra_dictionary_type mixture = {.project = project,
                                           .compose = compose,
                                           .backward = backward,
                                           .moved = note_step,
                                           .loaded = loaded,
                                           .release = release,
                                           .dense = RA_MIXTURE_RELAX,
                                           .multiplier = RA_MIXTURE_MULTIPLIER};

/* ---- making one ---------------------------------------------------------------------------------------- */

/* The mean norm of the rows of C; 1 for points that are all zeros. */
static ra_status measure_points(ra_dictionary *dictionary, ra_error *err) {
    size_t N = dictionary->points;
    double sum = 0, *norms = ra_malloc(N, sizeof *norms);
    if (!norms) RA_FAIL_MEMORY(err, "the norms of the points", N * sizeof *norms);
    ra_status status =
        ra_backend_row_norms(dictionary->backend, dictionary->parameters[RA_MIXTURE_POINTS].value, N,
                             dictionary->dimensions, false, norms, err);
    for (size_t i = 0; status == RA_OK && i < N; i++) sum += norms[i];
    ra_free(norms);
    RA_TRY(status);
    dictionary->mixture->point_norm = sum > 0 ? (double)(float)(sum / (double)N) : 1;
    float multiplier = (float)-log(dictionary->mixture->point_norm);
    if (dictionary->parameters[RA_MIXTURE_MULTIPLIER].gradient)
        RA_TRY(ra_backend_put(dictionary->backend, dictionary->parameters[RA_MIXTURE_MULTIPLIER].value,
                              &multiplier, sizeof multiplier, err));
    return put_state(dictionary, err);
}

/* Atom k starts on point k; those without one as zeros. */
static ra_status start_at_points(ra_dictionary *dictionary, ra_error *err) {
    size_t K = dictionary->concepts, T = dictionary->mixture->most, bytes = K * T * sizeof(float);
    int32_t *index = ra_malloc(K * T, sizeof *index);
    float *weight = ra_calloc(K * T, sizeof *weight);
    ra_status status = RA_OK;
    if (!index || !weight)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the mixtures need %zu bytes", bytes);
    for (size_t i = 0; status == RA_OK && i < K * T; i++) {
        bool starts = i % T == 0 && i / T < dictionary->points;
        index[i] = starts ? (int32_t)(i / T) : -1;
        weight[i] = starts;
    }
    if (status == RA_OK) status = ra_mixture_set(dictionary, index, weight, err);
    ra_free(index);
    ra_free(weight);
    return status;
}

ra_status ra_mixture_set(ra_dictionary *dictionary, const int32_t *index, const float *weight,
                         ra_error *err) {
    const ra_parameter *p = dictionary->parameters;
    size_t bytes = dictionary->concepts * dictionary->mixture->most * sizeof(float);
    RA_TRY(ra_backend_put(dictionary->backend, p[RA_MIXTURE_INDEX].value, index, bytes, err));
    RA_TRY(ra_backend_put(dictionary->backend, p[RA_MIXTURE_WEIGHT].value, weight, bytes, err));
    return ra_mixture_points_changed(dictionary, err);
}

static ra_status fill(ra_dictionary *dictionary, const ra_tensor *points, bool use_multiplier,
                      ra_error *err) {
    size_t K = dictionary->concepts, T = dictionary->mixture->most, d = dictionary->dimensions;
    void *memory = NULL;
    RA_TRY(ra_dictionary_add(dictionary, "dictionary.W.index", false, K, T, err));
    dictionary->parameters[RA_MIXTURE_INDEX].dtype = RA_I32;
    RA_TRY(ra_dictionary_add(dictionary, "dictionary.W.weight", false, K, T, err));
    RA_TRY(ra_dictionary_add(dictionary, "dictionary.Relax", true, K, d, err));
    dictionary->parameters[RA_MIXTURE_RELAX].rate = &dictionary->mixture->point_norm;
    RA_TRY(ra_dictionary_add(dictionary, "dictionary.multiplier", use_multiplier, 0, 0, err));
    RA_TRY(ra_dictionary_add(dictionary, "dictionary.C", false, dictionary->points, d, err));
    RA_TRY(ra_dictionary_add(dictionary, "dictionary.mixture", false, RA_MIXTURE_NUMBERS, 0, err));
    RA_TRY(ra_backend_allocate(dictionary->backend, K * T * T * sizeof(float), &memory, err));
    dictionary->mixture->gram = memory;
    RA_TRY(ra_backend_allocate(dictionary->backend, K * sizeof(float), &memory, err));
    dictionary->mixture->share = memory;
    RA_TRY(ra_parameter_upload(dictionary->backend, &dictionary->parameters[RA_MIXTURE_POINTS], points, err));
    RA_TRY(measure_points(dictionary, err));
    return start_at_points(dictionary, err);
}

ra_status ra_mixture_dictionary_new(ra_backend *backend, size_t in_dimensions, size_t nb_concepts,
                                    size_t most, const ra_tensor *points, float delta, double hull_share,
                                    bool use_multiplier, ra_dictionary **out, ra_error *err) {
    if (most < 1 || most > RA_MIXTURE_MOST)
        RA_FAIL(err, RA_ERR_ARGUMENT, "a mixture of %zu points per atom is not possible, expected 1 to %d",
                most, RA_MIXTURE_MOST);
    if (!(hull_share >= 0 && hull_share <= 1))
        RA_FAIL(err, RA_ERR_ARGUMENT, "the hull share is %g, expected a number from 0 to 1", hull_share);
    RA_TRY(ra_dictionary_check_points(points, in_dimensions, delta, err));
    ra_dictionary *dictionary = NULL;
    RA_TRY(ra_dictionary_make(backend, &mixture, RA_DICTIONARY_ARCHETYPAL, nb_concepts, in_dimensions,
                              &dictionary, err));
    dictionary->points = points->shape[0];
    dictionary->delta = delta;
    dictionary->mixture = ra_calloc(1, sizeof *dictionary->mixture);
    ra_status status = RA_OK;
    if (dictionary->mixture) {
        dictionary->mixture->most = most;
        dictionary->mixture->aim = hull_share;
        dictionary->mixture->pull = 1;
        status = fill(dictionary, points, use_multiplier, err);
    } else {
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: a dictionary of mixtures");
    }
    if (status != RA_OK) {
        ra_dictionary_free(dictionary);
        return status;
    }
    *out = dictionary;
    return RA_OK;
}
