#include "metrics/kept_codes.h"
#include "ra_memory.h"

#include <string.h>

void ra_kept_codes_init(ra_kept_codes *kept, size_t latents, size_t bytes) {
    *kept = (ra_kept_codes){.codes = {.latents = latents}, .bytes = bytes, .keeps = true};
}

void ra_kept_codes_release(ra_kept_codes *kept) {
    ra_codes_release(&kept->codes);
    *kept = (ra_kept_codes){0};
}

/* A capacity that holds `needed`, and more, so that few calls copy; never more than `most`. */
static size_t grown(size_t capacity, size_t needed, size_t most) {
    size_t more = capacity + capacity / 2;
    if (more < needed) more = needed;
    return more > most ? most : more;
}

static ra_status reserve(ra_kept_codes *kept, size_t rows, size_t entries, ra_error *err) {
    ra_codes *codes = &kept->codes;
    if (rows > codes->row_capacity || !codes->start) {
        size_t capacity = grown(codes->row_capacity, rows, UINT32_MAX);
        size_t *start = ra_realloc(codes->start, capacity + 1, sizeof *start);
        if (!start) RA_FAIL_MEMORY(err, "the codes of all rows", (capacity + 1) * sizeof *start);
        if (!codes->start) start[0] = 0;
        codes->start = start;
        codes->row_capacity = capacity;
    }
    if (entries <= codes->entry_capacity) return RA_OK;
    size_t capacity = grown(codes->entry_capacity, entries, kept->bytes / RA_KEPT_BYTES_PER_ENTRY);
    int32_t *index = ra_realloc(codes->index, capacity, sizeof *index);
    if (index) codes->index = index;
    float *value = ra_realloc(codes->value, capacity, sizeof *value);
    if (value) codes->value = value;
    if (!index || !value) RA_FAIL_MEMORY(err, "the codes of all rows", capacity * RA_KEPT_BYTES_PER_ENTRY);
    codes->entry_capacity = capacity;
    return RA_OK;
}

ra_status ra_kept_codes_add(ra_kept_codes *kept, const ra_codes *more, ra_error *err) {
    ra_codes *codes = &kept->codes;
    if (!kept->keeps) return RA_OK;
    size_t before = codes->rows ? ra_codes_entries(codes) : 0, added = ra_codes_entries(more);
    size_t rows = codes->rows + more->rows, entries = before + added;
    if (rows > UINT32_MAX || rows * sizeof *codes->start > kept->bytes ||
        entries > (kept->bytes - rows * sizeof *codes->start) / RA_KEPT_BYTES_PER_ENTRY) {
        ra_kept_codes_release(kept);
        return RA_OK;
    }
    RA_TRY(reserve(kept, rows, entries, err));
    for (size_t b = 0; b < more->rows; b++) codes->start[codes->rows + b + 1] = before + more->start[b + 1];
    if (added) {
        memcpy(codes->index + before, more->index, added * sizeof *codes->index);
        memcpy(codes->value + before, more->value, added * sizeof *codes->value);
    }
    codes->rows = rows;
    return RA_OK;
}

ra_status ra_codes_order_set(ra_codes_order *order, const ra_codes *codes, size_t first_row, ra_error *err) {
    size_t entries = ra_codes_entries(codes);
    order->codes = codes;
    order->first_row = first_row;
    if (codes->latents + 1 > order->latent_capacity) {
        ra_free(order->start);
        order->latent_capacity = 0;
        order->start = ra_malloc(codes->latents + 1, sizeof *order->start);
        if (!order->start)
            RA_FAIL_MEMORY(err, "the codes by latent", (codes->latents + 1) * sizeof *order->start);
        order->latent_capacity = codes->latents + 1;
    }
    if (entries > order->entry_capacity) {
        ra_free(order->row);
        ra_free(order->value);
        order->entry_capacity = 0;
        order->row = ra_malloc(entries, sizeof *order->row);
        order->value = ra_malloc(entries, sizeof *order->value);
        if (!order->row || !order->value)
            RA_FAIL_MEMORY(err, "the codes by latent", entries * (sizeof(uint32_t) + sizeof(float)));
        order->entry_capacity = entries;
    }
    ra_codes_by_latent(codes, codes->value, order->start, order->row, order->value);
    return RA_OK;
}

void ra_codes_order_release(ra_codes_order *order) {
    ra_free(order->start);
    ra_free(order->row);
    ra_free(order->value);
    *order = (ra_codes_order){0};
}
