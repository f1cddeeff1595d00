/* Sparse codes: their memory, and the ways to cut, join and reorder them. */
#include "ra_tensor.h"
#include "base/multiversion.h"
#include "ra_memory.h"

#include <string.h>

/* Room for so many rows and entries, keeping what is there. */
static ra_status grow(ra_codes *codes, size_t rows, size_t entries, ra_error *err) {
    if (rows + 1 > codes->row_capacity) {
        size_t *start = ra_realloc(codes->start, rows + 1, sizeof *start);
        if (!start) RA_FAIL_MEMORY(err, "sparse codes", (rows + 1) * sizeof *start);
        codes->start = start;
        codes->row_capacity = rows + 1;
    }
    if (entries > codes->entry_capacity) {
        int32_t *index = ra_realloc(codes->index, entries, sizeof *index);
        if (index) codes->index = index;
        float *value = index ? ra_realloc(codes->value, entries, sizeof *value) : NULL;
        if (value) codes->value = value;
        if (!value) RA_FAIL_MEMORY(err, "sparse codes", entries * (sizeof *index + sizeof *value));
        codes->entry_capacity = entries;
    }
    return RA_OK;
}

ra_status ra_codes_reserve(ra_codes *codes, size_t rows, size_t latents, size_t entries, ra_error *err) {
    RA_TRY(grow(codes, rows, entries, err));
    codes->rows = rows;
    codes->latents = latents;
    codes->start[0] = 0;
    return RA_OK;
}

void ra_codes_release(ra_codes *codes) {
    ra_free(codes->start);
    ra_free(codes->index);
    ra_free(codes->value);
    if (codes->device) codes->device->free(codes->device);
    *codes = (ra_codes){0};
}

size_t ra_codes_entries(const ra_codes *codes) {
    if (codes->rows == 0) return 0;
    return codes->device ? codes->device->entries : codes->start[codes->rows];
}

static void copy_entries(ra_codes *to, size_t at, const ra_codes *from, size_t first, size_t count) {
    if (count == 0) return; /* index and value may be NULL */
    memcpy(to->index + at, from->index + first, count * sizeof *to->index);
    memcpy(to->value + at, from->value + first, count * sizeof *to->value);
}

ra_status ra_codes_slice(const ra_codes *codes, size_t first, size_t rows, ra_codes *part, ra_error *err) {
    size_t from = codes->start[first], entries = codes->start[first + rows] - from;
    RA_TRY(ra_codes_reserve(part, rows, codes->latents, entries, err));
    for (size_t b = 0; b <= rows; b++) part->start[b] = codes->start[first + b] - from;
    copy_entries(part, 0, codes, from, entries);
    return RA_OK;
}

ra_status ra_codes_append(ra_codes *codes, const ra_codes *more, ra_error *err) {
    size_t rows = codes->rows + more->rows, used = ra_codes_entries(codes), added = ra_codes_entries(more);
    if (rows + 1 > codes->row_capacity) RA_TRY(grow(codes, rows + rows / 2, 0, err));
    if (used + added > codes->entry_capacity) RA_TRY(grow(codes, 0, (used + added) * 3 / 2, err));
    copy_entries(codes, used, more, 0, added);
    for (size_t b = 0; b < more->rows; b++) codes->start[codes->rows + b + 1] = used + more->start[b + 1];
    codes->rows = rows;
    return RA_OK;
}

enum { BLOCK = 64 }; /* numbers that are all zero as a rule */

RA_MULTIVERSION static size_t count_entries(const float *z, size_t n) {
    size_t entries = 0;
    for (size_t from = 0; from < n; from += BLOCK) {
        uint32_t here = 0;
        size_t end = n - from < BLOCK ? n : from + BLOCK;
        for (size_t i = from; i < end; i++) here += z[i] != 0.0f;
        entries += here;
    }
    return entries;
}

/* The first block from k on that has an entry. */
RA_MULTIVERSION static size_t skip_zeros(const float *row, size_t k, size_t latents) {
    for (; k + BLOCK <= latents; k += BLOCK) {
        uint32_t any = 0;
        for (size_t i = k; i < k + BLOCK; i++) any |= row[i] != 0.0f;
        if (any) break;
    }
    return k;
}

ra_status ra_codes_from_dense(ra_codes *codes, const float *z, size_t rows, size_t latents, ra_error *err) {
    size_t entries = count_entries(z, rows * latents);
    RA_TRY(ra_codes_reserve(codes, rows, latents, entries, err));
    size_t used = 0;
    for (size_t b = 0; b < rows; b++) {
        const float *row = z + b * latents;
        for (size_t k = skip_zeros(row, 0, latents); k < latents; k = skip_zeros(row, k, latents))
            for (size_t end = latents - k < BLOCK ? latents : k + BLOCK; k < end; k++) {
                if (row[k] == 0.0f) continue;
                codes->index[used] = (int32_t)k;
                codes->value[used++] = row[k];
            }
        codes->start[b + 1] = used;
    }
    return RA_OK;
}

void ra_codes_to_dense(const ra_codes *codes, float *z) {
    memset(z, 0, codes->rows * codes->latents * sizeof *z);
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++)
            z[b * codes->latents + (size_t)codes->index[e]] = codes->value[e];
}

void ra_codes_by_latent(const ra_codes *codes, const float *value, size_t *start, uint32_t *row,
                        float *sorted) {
    size_t K = codes->latents, entries = ra_codes_entries(codes);
    memset(start, 0, (K + 1) * sizeof *start);
    for (size_t e = 0; e < entries; e++) start[codes->index[e] + 1]++;
    for (size_t k = 0; k < K; k++) start[k + 1] += start[k];
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++) {
            size_t to = start[codes->index[e]]++;
            row[to] = (uint32_t)b;
            sorted[to] = value[e];
        }
    memmove(start + 1, start, K * sizeof *start); /* undo the ++ */
    start[0] = 0;
}
