#include "dictionary/mixture/source.h"
#include "ra_memory.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = RA_MIXTURE_CHUNK };

ra_status ra_mixture_source_read(ra_dictionary *dictionary, const uint64_t *numbers, size_t n, float *vectors,
                                 ra_error *err) {
    const ra_point_source *source = &dictionary->mixture->source;
    size_t bytes = n * dictionary->dimensions * sizeof *vectors;
    bool direct = ra_backend_host_memory(dictionary->backend);
    float *rows = direct ? vectors : ra_malloc(bytes, 1);
    if (!rows) RA_FAIL_MEMORY(err, "candidate points", bytes);
    ra_status status = source->read(source->context, numbers, n, rows, err);
    if (status == RA_OK && !direct) status = ra_backend_put(dictionary->backend, vectors, rows, bytes, err);
    if (!direct) ra_free(rows);
    return status;
}

/* ---- a step -------------------------------------------------------------------------------------------- */

static bool has_candidate(const struct ra_mixture_state *state, const int32_t *index, size_t atom,
                          uint64_t number) {
    for (size_t t = 0; t < state->most && index[t] >= 0; t++)
        if (state->origin[atom * state->most + t] == number) return true;
    return false;
}

/* The candidate that came in moves from the row where it was offered to the row of its place. */
static ra_status settle(ra_dictionary *dictionary, size_t atom, size_t offer, const int32_t *index,
                        uint64_t number, ra_error *err) {
    struct ra_mixture_state *state = dictionary->mixture;
    ra_backend *backend = dictionary->backend;
    size_t T = state->most, d = dictionary->dimensions, offered = dictionary->concepts * T + offer;
    float *C = dictionary->parameters[RA_MIXTURE_POINTS].value;
    int32_t *indices = (int32_t *)(void *)dictionary->parameters[RA_MIXTURE_INDEX].value;
    for (size_t t = 0; t < T; t++) {
        if (index[t] < 0 || (size_t)index[t] != offered) continue;
        int32_t row = (int32_t)(atom * T + t);
        RA_TRY(ra_backend_axpby(backend, 1, C + offered * d, 0, C + (size_t)row * d, d, err));
        RA_TRY(ra_backend_put(backend, indices + atom * T + t, &row, sizeof row, err));
        state->origin[atom * T + t] = number;
    }
    return RA_OK;
}

ra_status ra_mixture_source_offer(ra_dictionary *dictionary, size_t first, size_t count, ra_error *err) {
    struct ra_mixture_state *state = dictionary->mixture;
    ra_mixture_price *price = &state->price;
    ra_backend *backend = dictionary->backend;
    size_t T = state->most, d = dictionary->dimensions, bytes = count * T * sizeof(int32_t);
    size_t offers = dictionary->concepts * T; /* the first row of C for offers */
    const int32_t *indices = (const int32_t *)(const void *)dictionary->parameters[RA_MIXTURE_INDEX].value;
    float *C = dictionary->parameters[RA_MIXTURE_POINTS].value;
    ra_mixture view = ra_mixture_view(dictionary);
    int32_t *index = ra_malloc(bytes ? bytes : 1, 1);
    if (!index) RA_FAIL_MEMORY(err, "the points of atoms", bytes);
    ra_status status = ra_backend_get(backend, index, indices + first * T, bytes, err);
    for (size_t i = 0; i < count && status == RA_OK; i++) {
        int32_t row = price->host_offered[i];
        price->host_picked[i] = row < 0 ? 0 : row;
        bool fresh = row >= 0 && !has_candidate(state, index + i * T, first + i, price->number[row]);
        price->host_offered[i] = fresh ? (int32_t)(offers + i) : -1;
    }
    if (status == RA_OK)
        status = ra_backend_put(backend, price->picked, price->host_picked, count * sizeof(int32_t), err);
    if (status == RA_OK)
        status =
            ra_backend_gather_rows(backend, 1, price->vectors, price->picked, count, d, C + offers * d, err);
    if (status == RA_OK)
        status = ra_backend_put(backend, price->offered, price->host_offered, count * sizeof(int32_t), err);
    if (status == RA_OK)
        status = ra_backend_mixture_exchange(backend, &view, price->list, price->offered, count, err);
    if (status == RA_OK) status = ra_backend_get(backend, index, indices + first * T, bytes, err);
    for (size_t i = 0; i < count && status == RA_OK; i++)
        if (price->host_offered[i] >= 0)
            status =
                settle(dictionary, first + i, i, index + i * T, price->number[price->host_picked[i]], err);
    ra_free(index);
    return status;
}

/* ---- from points in memory to a source, and back -------------------------------------------------------- */

/* C <- a row for each place, and for the offers of a step. */
static ra_status spread(ra_dictionary *dictionary, const int32_t *index, const uint64_t *numbers,
                        ra_error *err) {
    struct ra_mixture_state *state = dictionary->mixture;
    ra_backend *backend = dictionary->backend;
    size_t K = dictionary->concepts, T = state->most, d = dictionary->dimensions;
    size_t chunk = state->source.count < CHUNK ? state->source.count : CHUNK;
    size_t rows = K * T + ra_mixture_price_atoms(K, chunk);
    if (rows > INT_MAX)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "%zu atoms of %zu points are too many, expected at most %d points", K,
                T, INT_MAX);
    ra_parameter *points = &dictionary->parameters[RA_MIXTURE_POINTS];
    int32_t *places = (int32_t *)(void *)dictionary->parameters[RA_MIXTURE_INDEX].value;
    void *memory = NULL;
    RA_TRY(ra_backend_allocate(backend, rows * d * sizeof(float), &memory, err));
    float *spread_points = memory;
    ra_status status = RA_OK;
    for (size_t i = 0; i < K * T && status == RA_OK; i++) {
        if (index[i] < 0) continue;
        int32_t place = (int32_t)i;
        state->origin[i] = numbers[index[i]];
        status = ra_backend_axpby(backend, 1, points->value + (size_t)index[i] * d, 0, spread_points + i * d,
                                  d, err);
        if (status == RA_OK) status = ra_backend_put(backend, places + i, &place, sizeof place, err);
    }
    if (status != RA_OK) {
        ra_backend_deallocate(backend, memory);
        return status;
    }
    ra_backend_deallocate(backend, points->value);
    points->value = spread_points;
    points->shape[0] = dictionary->points = rows;
    return RA_OK;
}

bool ra_dictionary_reads_candidates(const ra_dictionary *dictionary) {
    return dictionary->mixture && dictionary->mixture->origin;
}

ra_status ra_mixture_set_source(ra_dictionary *dictionary, const ra_point_source *source,
                                const uint64_t *numbers, ra_error *err) {
    struct ra_mixture_state *state = dictionary->mixture;
    if (!state || state->origin || source->count == 0)
        RA_FAIL(err, RA_ERR_STATE,
                "a source of candidate points is for a dictionary of mixtures that has none");
    size_t places = dictionary->concepts * state->most;
    const void *index = NULL;
    void *copy = NULL;
    state->origin = ra_calloc(places, sizeof *state->origin);
    if (!state->origin) RA_FAIL_MEMORY(err, "the points of atoms", places * sizeof *state->origin);
    state->source = *source;
    ra_mixture_price_release(dictionary);
    ra_status status = ra_backend_view(dictionary->backend, dictionary->parameters[RA_MIXTURE_INDEX].value,
                                       places * sizeof(int32_t), &copy, &index, err);
    int32_t *kept = status == RA_OK ? ra_malloc(places, sizeof *kept) : NULL;
    if (status == RA_OK && !kept)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the points of atoms");
    if (status == RA_OK) {
        memcpy(kept, index, places * sizeof *kept); /* which is overwritten place by place */
        status = spread(dictionary, kept, numbers, err);
    }
    ra_free(kept);
    ra_free(copy);
    return status;
}

static int by_number(const void *a, const void *b) {
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Where a number stands among count ascending ones. */
static size_t find(const uint64_t *numbers, size_t count, uint64_t number) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void ra_mixture_points_release(ra_mixture_points *points) {
    ra_free(points->number);
    ra_free(points->index);
    ra_free(points->vectors);
    *points = (ra_mixture_points){0};
}

/* The rows of C that atoms have, each number once. */
static ra_status gather(const ra_dictionary *dictionary, ra_mixture_points *points, ra_error *err) {
    const struct ra_mixture_state *state = dictionary->mixture;
    size_t places = dictionary->concepts * state->most, d = dictionary->dimensions, used = 0;
    int32_t *first = NULL; /* a row of C that holds each point */
    for (size_t i = 0; i < places; i++)
        if (points->index[i] >= 0) points->number[used++] = state->origin[i];
    qsort(points->number, used, sizeof *points->number, by_number);
    for (size_t i = 0; i < used; i++)
        if (i == 0 || points->number[i] != points->number[points->count - 1])
            points->number[points->count++] = points->number[i];
    points->vectors = ra_malloc(points->count * d, sizeof *points->vectors);
    first = ra_malloc(points->count, sizeof *first);
    ra_status status = RA_OK;
    if (!points->vectors || !first)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: %zu points of atoms", points->count);
    for (size_t i = 0; i < places && status == RA_OK; i++) {
        if (points->index[i] < 0) continue;
        points->index[i] = (int32_t)find(points->number, points->count, state->origin[i]);
        first[points->index[i]] = (int32_t)i;
    }
    const float *C = dictionary->parameters[RA_MIXTURE_POINTS].value;
    for (size_t i = 0; i < points->count && status == RA_OK; i++)
        status = ra_backend_get(dictionary->backend, points->vectors + i * d, C + (size_t)first[i] * d,
                                d * sizeof *C, err);
    ra_free(first);
    return status;
}

ra_status ra_mixture_points_get(const ra_dictionary *dictionary, ra_mixture_points *points, ra_error *err) {
    const struct ra_mixture_state *state = dictionary->mixture;
    *points = (ra_mixture_points){0};
    if (!state || !state->origin) return RA_OK;
    size_t places = dictionary->concepts * state->most;
    points->index = ra_malloc(places, sizeof *points->index);
    points->number = ra_malloc(places, sizeof *points->number);
    ra_status status = RA_OK;
    if (!points->index || !points->number)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: %zu points of atoms", places);
    if (status == RA_OK)
        status =
            ra_backend_get(dictionary->backend, points->index, dictionary->parameters[RA_MIXTURE_INDEX].value,
                           places * sizeof *points->index, err);
    if (status == RA_OK) status = gather(dictionary, points, err);
    if (status != RA_OK) ra_mixture_points_release(points);
    return status;
}
