/* x -> pre-codes -> codes -> x_hat.
 *
 * Codes are sparse. In training, only the atoms that are active in the batch are computed: the others change
 * neither x_hat nor any gradient, and their rows of W C would cost as much as those of the active ones. The
 * active atoms are a dictionary of their own, for which the latents of the codes are numbered anew. Of many atoms
 * made of many points not even that is computed, but the codes times W, times C (ra_dictionary_decode()).
 * Thresholds that learn from inactive latents, and some losses, need the whole dictionary. */
#include "sae/sae.h"
#include "ra_memory.h"

#include <string.h>

/* ---- the memory of a pass ------------------------------------------------------------------------------ */

/* The codes first: they may be on the device. */
void ra_sae_pass_release(ra_sae_pass *pass) {
    ra_codes_release(&pass->codes);
    if (pass->packed.device) pass->packed.device->free(pass->packed.device);
    if (pass->backend) {
        float *arrays[] = {pass->pre, pass->x_hat, pass->linear, pass->mean, pass->rstd, pass->scratch};
        for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
            ra_backend_deallocate(pass->backend, arrays[i]);
        ra_backend_release(pass->backend);
    }
    ra_buffer_release(&pass->dvalue);
    if (pass->pursuit) ra_pursuit_release(pass->pursuit);
    ra_free(pass->pursuit);
    ra_free(pass->sums);
    ra_free(pass->packed.index);
    ra_free(pass->atom_list);
    ra_free(pass->active);
    *pass = (ra_sae_pass){0};
}

ra_status ra_sae_pass_grow(ra_sae_pass *pass, float **array, size_t n, ra_error *err) {
    void *fresh = NULL;
    RA_TRY(ra_backend_allocate(pass->backend, n * sizeof(float), &fresh, err));
    ra_backend_deallocate(pass->backend, *array);
    *array = fresh;
    return RA_OK;
}

static ra_status prepare(const ra_sae *sae, ra_sae_pass *pass, size_t rows, ra_error *err) {
    size_t K = sae->encoder.concepts, d = sae->encoder.dimensions;
    size_t capacity = rows ? rows : 1; /* a member of a group may have no rows */
    size_t statistics = capacity > K ? capacity : K;
    bool norm = ra_encoder_norm(sae->encoder.kind) != RA_ENCODER_NO_NORM;
    if (!pass->backend) pass->backend = ra_backend_retain(sae->backend);
    if (!pass->active) pass->active = ra_malloc(K, sizeof *pass->active);
    if (!pass->atom_list) pass->atom_list = ra_malloc(K, sizeof *pass->atom_list);
    if (!pass->sums && norm) pass->sums = ra_malloc(2 * K, sizeof *pass->sums);
    if (!pass->active || !pass->atom_list || (norm && !pass->sums))
        RA_FAIL_MEMORY(err, "the list of active latents", K * sizeof *pass->atom_list);
    if (capacity > pass->row_capacity) {
        pass->row_capacity = 0;
        RA_TRY(ra_sae_pass_grow(pass, &pass->pre, capacity * K, err));
        RA_TRY(ra_sae_pass_grow(pass, &pass->scratch, capacity * K, err));
        RA_TRY(ra_sae_pass_grow(pass, &pass->x_hat, capacity * d, err));
        if (norm) {
            RA_TRY(ra_sae_pass_grow(pass, &pass->linear, capacity * K, err));
            RA_TRY(ra_sae_pass_grow(pass, &pass->mean, statistics, err));
            RA_TRY(ra_sae_pass_grow(pass, &pass->rstd, statistics, err));
        }
        pass->row_capacity = capacity;
    }
    if (ra_activation_types[sae->activation.kind]->pursues && !pass->pursuit) {
        pass->pursuit = ra_calloc(1, sizeof *pass->pursuit);
        if (!pass->pursuit) RA_FAIL_MEMORY(err, "a pursuit", sizeof *pass->pursuit);
    }
    if (pass->keeps_codes && sae->training && !pass->pursuit) {
        RA_TRY(ra_backend_codes_keep(pass->backend, &pass->codes, err));
        RA_TRY(ra_backend_codes_keep(pass->backend, &pass->packed, err));
    }
    uint64_t total = rows;
    if (sae->training) RA_TRY(ra_group_sum_u64(sae->group, &total, 1, err));
    pass->rows = rows;
    pass->total_rows = (size_t)total;
    return RA_OK;
}

/* pass->atom_list <- the latents that are active in the batch of any member of the group. */
static ra_status list_active(const ra_sae *sae, ra_sae_pass *pass, ra_error *err) {
    size_t K = sae->encoder.concepts, entries = ra_codes_entries(&pass->codes);
    const ra_device_codes *device = pass->codes.device;
    if (device)
        memcpy(pass->active, device->active, K);
    else {
        memset(pass->active, 0, K);
        for (size_t e = 0; e < entries; e++) pass->active[pass->codes.index[e]] = 1;
    }
    RA_TRY(ra_group_unite(sae->group, pass->active, K, err));
    pass->atom_count = 0;
    for (size_t k = 0; k < K; k++)
        if (pass->active[k]) pass->atom_list[pass->atom_count++] = (int32_t)k;
    return RA_OK;
}

/* pass->packed <- the codes, each latent numbered by its position in the list. */
static ra_status pack_codes(const ra_sae *sae, ra_sae_pass *pass, ra_error *err) {
    size_t K = sae->encoder.concepts, entries = ra_codes_entries(&pass->codes);
    int32_t *position = ra_malloc(K, sizeof *position), *index = pass->packed.index;
    bool kept = pass->codes.device != NULL;
    if (position && !kept && entries > pass->packed_capacity) {
        index = ra_realloc(pass->packed.index, entries, sizeof *index);
        if (index) pass->packed_capacity = entries;
        if (index) pass->packed.index = index;
    }
    if (!position || (entries && !kept && !index)) {
        ra_free(position);
        RA_FAIL_MEMORY(err, "the codes of a batch", entries * sizeof *index);
    }
    for (size_t k = 0; k < K; k++) position[k] = -1;
    for (size_t i = 0; i < pass->atom_count; i++) position[pass->atom_list[i]] = (int32_t)i;
    if (kept) {
        ra_status status =
            ra_backend_codes_pack(sae->backend, &pass->codes, position, pass->atom_count, &pass->packed, err);
        ra_free(position);
        return status;
    }
    for (size_t e = 0; e < entries; e++) index[e] = position[pass->codes.index[e]];
    pass->packed = pass->codes;
    pass->packed.index = index;
    pass->packed.latents = pass->atom_count;
    ra_free(position);
    return RA_OK;
}

/* A pursuit, or an encoder without a weight: both need the whole dictionary. */
static bool encodes_with_dictionary(const ra_sae *sae) {
    return ra_activation_types[sae->activation.kind]->pursues || !sae->encoder.tensor[RA_ENCODER_WEIGHT];
}

/* pass->x_hat <- the codes times the dictionary, and what of it the backward pass needs. */
static ra_status decode(ra_sae *sae, ra_sae_pass *pass, ra_error *err) {
    size_t K = sae->encoder.concepts;
    bool whole = !sae->training || pass->all_atoms || encodes_with_dictionary(sae) ||
                 ra_activation_types[sae->activation.kind]->theta_gradient != NULL;
    if (sae->training) RA_TRY(list_active(sae, pass, err));
    if (whole) pass->atom_count = K;
    pass->atoms = pass->atom_count < K ? pass->atom_list : NULL;
    if (pass->atoms) RA_TRY(pack_codes(sae, pass, err));
    bool without =
        !whole && ra_group_size(sae->group) == 1 &&
        ra_dictionary_decodes(sae->dictionary, pass->rows, ra_codes_entries(&pass->codes), pass->atom_count);
    pass->D = NULL;
    if (without) return ra_dictionary_decode(sae->dictionary, &pass->codes, pass->x_hat, err);
    RA_TRY(ra_dictionary_select(sae->dictionary, pass->atoms, pass->atom_count, &pass->D, err));
    return ra_backend_decode(sae->backend, ra_sae_pass_codes(pass), RA_F32, pass->D, sae->encoder.dimensions,
                             pass->x_hat, err);
}

static ra_status pursue(ra_sae *sae, const float *x, ra_sae_pass *pass, ra_error *err) {
    size_t K = sae->encoder.concepts;
    RA_TRY(ra_backend_axpby(sae->backend, 1, pass->pre, 0, pass->scratch, pass->rows * K, err));
    return ra_pursuit_run(pass->pursuit, ra_backend_default_stream(sae->backend), pass->D, K,
                          sae->encoder.dimensions, x, pass->rows, sae->activation.top_k, sae->training,
                          pass->scratch, &pass->codes, err);
}

/* The scale of the dictionary is on its way while the codes are computed, whose selection waits. */
static ra_status run_forward(ra_sae *sae, const float *x, size_t rows, ra_sae_pass *pass, ra_error *err) {
    const ra_activation_type *type = ra_activation_types[sae->activation.kind];
    size_t K = sae->encoder.concepts;
    RA_TRY(prepare(sae, pass, rows, err));
    RA_TRY(ra_sae_thresholds(sae, err));
    pass->D = NULL;
    if (encodes_with_dictionary(sae)) RA_TRY(ra_dictionary_get(sae->dictionary, &pass->D, err));
    RA_TRY(ra_dictionary_ask(sae->dictionary, err));
    RA_TRY(ra_encoder_forward(&sae->encoder, sae->backend, x, rows, sae->training, pass, err));
    if (type->pursues) {
        RA_TRY(pursue(sae, x, pass, err));
    } else if (sae->training && type->train) {
        RA_TRY(type->train(&sae->activation, sae->backend, pass->pre, rows, K, &pass->codes, err));
        if (sae->activation.has_running_threshold) {
            sae->settings.running_threshold = (double)sae->activation.running_threshold;
            sae->settings.known |= 1u << RA_SET_RUNNING_THRESHOLD;
        }
    } else {
        RA_TRY(type->evaluate(&sae->activation, ra_backend_default_stream(sae->backend), pass->pre, rows, K,
                              &pass->codes, err));
    }
    ra_dictionary_arrived(sae->dictionary);
    return decode(sae, pass, err);
}

/* After a failure, nothing is on its way to the dictionary. */
ra_status ra_sae_forward(ra_sae *sae, const float *x, size_t rows, ra_sae_pass *pass, ra_error *err) {
    ra_status status = run_forward(sae, x, rows, pass, err);
    if (status != RA_OK) {
        (void)ra_backend_synchronize(sae->backend, NULL);
        ra_dictionary_changed(sae->dictionary);
    }
    return status;
}
