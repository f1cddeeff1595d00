#include "metrics/items.h"
#include "ra_memory.h"

#include <string.h>

ra_status ra_item_codes_init(ra_item_codes *items, size_t latents, size_t count, size_t parts, size_t bytes,
                             ra_error *err) {
    size_t numbers, needed;
    *items = (ra_item_codes){.latents = latents, .count = count, .parts = parts};
    if (count == 0) return RA_OK;
    if (__builtin_mul_overflow(count + 1, parts, &numbers) ||
        __builtin_mul_overflow(numbers, latents * sizeof(float), &needed) || needed > bytes) {
        *items = (ra_item_codes){0};
        RA_FAIL(err, RA_ERR_TOO_LARGE,
                "the codes of %zu items for each of %zu latents, %zu numbers of an item, do not fit into %zu "
                "bytes; keep fewer items, or give them more memory",
                count, latents, parts, bytes);
    }
    items->open = ra_malloc(latents, sizeof *items->open);
    items->open_peak = ra_calloc(latents, sizeof *items->open_peak);
    items->open_codes = ra_calloc(latents, parts * sizeof *items->open_codes);
    items->item = ra_malloc(latents, count * sizeof *items->item);
    items->peak = ra_calloc(latents, count * sizeof *items->peak);
    items->codes = ra_calloc(latents, count * parts * sizeof *items->codes);
    items->peak_row = ra_malloc(latents, count * sizeof *items->peak_row);
    if (!items->open || !items->open_peak || !items->open_codes || !items->item || !items->peak ||
        !items->codes || !items->peak_row) {
        ra_item_codes_release(items);
        RA_FAIL_MEMORY(err, "the codes of items", needed);
    }
    for (size_t k = 0; k < latents; k++) items->open[k] = -1;
    for (size_t i = 0; i < latents * count; i++) items->item[i] = -1;
    return RA_OK;
}

void ra_item_codes_release(ra_item_codes *items) {
    ra_free(items->open);
    ra_free(items->open_peak);
    ra_free(items->open_codes);
    ra_free(items->item);
    ra_free(items->peak);
    ra_free(items->codes);
    ra_free(items->peak_row);
    ra_labels_free(items->labels);
    *items = (ra_item_codes){0};
}

/* The open item of a latent joins the kept ones, if it is stronger than the last of them; then none is open. */
static void close_item(ra_item_codes *items, size_t k) {
    size_t I = items->count, P = items->parts, t = I;
    int64_t *item = items->item + k * I;
    float *peak = items->peak + k * I, *codes = items->codes + k * I * P;
    float *open = items->open_codes + k * P, strength = items->open_peak[k];
    if (strength > 0 && (item[I - 1] < 0 || strength > peak[I - 1])) {
        while (t > 0 && (item[t - 1] < 0 || peak[t - 1] < strength)) t--;
        memmove(item + t + 1, item + t, (I - t - 1) * sizeof *item);
        memmove(peak + t + 1, peak + t, (I - t - 1) * sizeof *peak);
        memmove(codes + (t + 1) * P, codes + t * P, (I - t - 1) * P * sizeof *codes);
        item[t] = items->open[k];
        peak[t] = strength;
        memcpy(codes + t * P, open, P * sizeof *codes);
    }
    memset(open, 0, P * sizeof *open);
    items->open_peak[k] = 0;
    items->open[k] = -1;
}

void ra_item_codes_add(ra_item_codes *items, const ra_codes *codes, const ra_latent_rows *rows) {
    if (items->count == 0) return;
    for (size_t b = 0; b < codes->rows; b++) {
        uint64_t row = items->rows++, number = rows->number ? rows->number(rows->context, row) : row;
        int64_t item = (int64_t)(number / items->parts);
        size_t part = (size_t)(number % items->parts);
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++) {
            size_t k = (size_t)codes->index[e];
            float value = codes->value[e];
            if (value == 0) continue;
            if (items->open[k] != item) close_item(items, k);
            items->open[k] = item;
            items->open_codes[k * items->parts + part] = value;
            if (value > items->open_peak[k]) items->open_peak[k] = value;
        }
    }
}

/* Which part of an item has the largest code, the first of equal ones. */
static size_t strongest_part(const float *codes, size_t parts) {
    size_t best = 0;
    for (size_t p = 1; p < parts; p++)
        if (codes[p] > codes[best]) best = p;
    return best;
}

ra_status ra_item_codes_view(ra_item_codes *items, const ra_latent_rows *rows, ra_latent_statistics *view,
                             ra_error *err) {
    if (items->count == 0) return RA_OK;
    size_t count = items->latents * items->count, P = items->parts;
    for (size_t k = 0; k < items->latents; k++) close_item(items, k);
    for (size_t i = 0; i < count; i++)
        items->peak_row[i] =
            items->item[i] < 0
                ? -1
                : (int64_t)((size_t)items->item[i] * P + strongest_part(items->codes + i * P, P));
    if (rows->labels) {
        ra_labels_free(items->labels);
        items->labels = NULL;
        RA_TRY(ra_latent_label_rows(items->peak_row, count, rows->labels, &items->labels, err));
    }
    view->item_codes = (ra_latent_item_codes){.count = items->count,
                                              .parts = P,
                                              .item = items->item,
                                              .codes = items->codes,
                                              .label = rows->labels ? items->labels : NULL};
    return RA_OK;
}
