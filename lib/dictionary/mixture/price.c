/* Which points an atom is made of.
 *
 * In each step a few atoms are offered a point: of a chunk of the candidates the one that lies farthest along
 * the atom's Relax, which is the direction in which its hull is missed, the vertex of a Frank-Wolfe step. It
 * comes in if the nearest mixture is then nearer to the atom (mixture_exchange). Active sets with periodic
 * pricing are how archetypal analysis is solved (Chen, Mairal, Harchaoui 2014); looking at a part of the
 * candidates at a time keeps what a step costs at RA_MIXTURE_PRODUCTS dot products per atom, however many there are.
 *
 * Atoms take turns in their order, and when all have had one the next chunk is looked at. A chunk is made of
 * stripes from all over the candidates, since data are often sorted. All of this follows from the number of
 * the step alone, so that a run which is continued goes on as if it had not stopped. */
#include "dictionary/mixture/source.h"
#include "ra_memory.h"

enum { STRIPE = 64, CHUNK = RA_MIXTURE_CHUNK };

/* ---- chunks -------------------------------------------------------------------------------------------- */

/* number <- those of the candidates of a chunk, ascending. Returns how many. */
static size_t list_chunk(const ra_mixture_price *price, size_t chunk, uint64_t *number) {
    size_t count = 0;
    for (size_t stripe = chunk; stripe * STRIPE < price->candidates; stripe += price->chunks)
        for (size_t i = 0; i < STRIPE && stripe * STRIPE + i < price->candidates; i++)
            number[count++] = stripe * STRIPE + i;
    return count;
}

static ra_status load_chunk(ra_dictionary *dictionary, size_t chunk, ra_error *err) {
    ra_mixture_price *price = &dictionary->mixture->price;
    if (price->loaded == chunk + 1) return RA_OK;
    price->loaded = 0;
    price->rows = list_chunk(price, chunk, price->number);
    if (dictionary->mixture->origin) {
        RA_TRY(ra_mixture_source_read(dictionary, price->number, price->rows, price->vectors, err));
    } else if (price->vectors) {
        for (size_t i = 0; i < price->rows; i++) price->host_picked[i] = (int32_t)price->number[i];
        RA_TRY(ra_backend_put(dictionary->backend, price->picked, price->host_picked,
                              price->rows * sizeof *price->picked, err));
        RA_TRY(ra_backend_gather_rows(dictionary->backend, 1, dictionary->parameters[RA_MIXTURE_POINTS].value,
                                      price->picked, price->rows, dictionary->dimensions, price->vectors,
                                      err));
    }
    price->loaded = chunk + 1;
    return RA_OK;
}

/* ---- memory -------------------------------------------------------------------------------------------- */

static ra_status reserve(ra_dictionary *dictionary, void **memory, size_t count, size_t size, ra_error *err) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        RA_FAIL(err, RA_ERR_TOO_LARGE, "%zu numbers to look at candidate points with are too many", count);
    return ra_backend_allocate(dictionary->backend, bytes, memory, err);
}

static ra_status allocate(ra_dictionary *dictionary, ra_error *err) {
    struct ra_mixture_state *state = dictionary->mixture;
    ra_mixture_price *price = &state->price;
    size_t K = dictionary->concepts, d = dictionary->dimensions;
    void *memory = NULL;
    price->candidates = state->origin ? state->source.count : dictionary->points;
    size_t stripes = (price->candidates + STRIPE - 1) / STRIPE;
    price->chunks = (stripes + CHUNK / STRIPE - 1) / (CHUNK / STRIPE);
    size_t rows = price->candidates < CHUNK ? price->candidates : CHUNK;
    price->atoms = ra_mixture_price_atoms(K, rows);
    if (state->origin || price->chunks > 1) {
        RA_TRY(reserve(dictionary, &memory, rows * d, sizeof(float), err));
        price->vectors = memory;
    }
    RA_TRY(reserve(dictionary, &memory, price->atoms * d, sizeof(float), err));
    price->relax = memory;
    RA_TRY(reserve(dictionary, &memory, price->atoms * rows, sizeof(float), err));
    price->scores = memory;
    RA_TRY(reserve(dictionary, &memory, price->atoms, sizeof *price->list, err));
    price->list = memory;
    RA_TRY(reserve(dictionary, &memory, price->atoms, sizeof *price->offered, err));
    price->offered = memory;
    RA_TRY(reserve(dictionary, &memory, rows, sizeof *price->picked, err));
    price->picked = memory;
    price->host_list = ra_malloc(price->atoms, sizeof *price->host_list);
    price->host_offered = ra_malloc(price->atoms, sizeof *price->host_offered);
    price->host_picked = ra_malloc(rows, sizeof *price->host_picked);
    price->number = ra_malloc(rows, sizeof *price->number);
    if (!price->host_list || !price->host_offered || !price->host_picked || !price->number)
        RA_FAIL_MEMORY(err, "the candidate points of a step", rows * sizeof *price->number);
    return RA_OK;
}

static ra_status prepare(ra_dictionary *dictionary, ra_error *err) {
    if (dictionary->mixture->price.number) return RA_OK;
    ra_status status = allocate(dictionary, err);
    if (status != RA_OK) ra_mixture_price_release(dictionary);
    return status;
}

/* ---- a step -------------------------------------------------------------------------------------------- */

ra_status ra_mixture_price_step(ra_dictionary *dictionary, size_t step, ra_error *err) {
    ra_backend *backend = dictionary->backend;
    size_t K = dictionary->concepts, d = dictionary->dimensions;
    RA_TRY(prepare(dictionary, err));
    ra_mixture_price *price = &dictionary->mixture->price;
    size_t turns = (K + price->atoms - 1) / price->atoms, turn = (step - 1) % turns;
    size_t first = turn * price->atoms, count = K - first < price->atoms ? K - first : price->atoms;
    RA_TRY(load_chunk(dictionary, (step - 1) / turns % price->chunks, err));
    const float *vectors = price->vectors ? price->vectors : dictionary->parameters[RA_MIXTURE_POINTS].value;
    for (size_t i = 0; i < count; i++) price->host_list[i] = (int32_t)(first + i);
    RA_TRY(ra_backend_put(backend, price->list, price->host_list, count * sizeof *price->list, err));
    const float *relax = dictionary->parameters[RA_MIXTURE_RELAX].value + first * d;
    RA_TRY(ra_backend_gemm(backend, false, true, count, price->rows, d, 1, relax, d, vectors, d, 0,
                           price->scores, price->rows, err));
    RA_TRY(ra_backend_top_k(backend, price->scores, count, price->rows, 1, 0, &price->best, err));
    for (size_t i = 0; i < count; i++) {
        bool some = price->best.start[i] < price->best.start[i + 1];
        price->host_offered[i] = some ? price->best.index[price->best.start[i]] : -1;
    }
    ra_mixture view = ra_mixture_view(dictionary);
    if (dictionary->mixture->origin) return ra_mixture_source_offer(dictionary, first, count, err);
    for (size_t i = 0; i < count; i++)
        if (price->host_offered[i] >= 0)
            price->host_offered[i] = (int32_t)price->number[price->host_offered[i]];
    RA_TRY(ra_backend_put(backend, price->offered, price->host_offered, count * sizeof *price->offered, err));
    return ra_backend_mixture_exchange(backend, &view, price->list, price->offered, count, err);
}
