/* The items that rows are parts of, and the codes of whole items, which `rasae eval --save --items` adds to an artifact.
 * They are used in the mapping and checked once, here. */
#include "model/model.h"

#include <stdio.h>
#include <string.h>

enum item_tensor { ITEM, CODES, ITEM_TENSORS };

static const char *const names[ITEM_TENSORS] = {[ITEM] = "latents.item", [CODES] = "latents.item_codes"};

static const char shape_key[] = "latents.item_shape";

/* ---- the shape of an item ----------------------------------------------------------------------------- */

/* A number of at most nine digits up to `end`; false if it is none. */
static bool read_number(const char **at, size_t *number) {
    size_t digits = strspn(*at, "0123456789");
    if (digits == 0 || digits > 9) return false;
    *number = 0;
    for (size_t i = 0; i < digits; i++) *number = *number * 10 + (size_t)(*(*at)++ - '0');
    return true;
}

bool ra_latent_items_parse(const char *text, ra_latent_items *items) {
    size_t skip = 0, height, width = 0;
    if (!read_number(&text, &height)) return false;
    if (*text == '+') {
        skip = height;
        text++;
        if (!read_number(&text, &height)) return false;
    }
    if (*text == 'x') {
        text++;
        if (!read_number(&text, &width) || width == 0) return false;
    }
    if (*text || height == 0) return false;
    *items = (ra_latent_items){.rows = skip + height * (width ? width : 1), .width = width, .skip = skip};
    return items->rows <= INT32_MAX;
}

void ra_latent_items_text(const ra_latent_items *items, char text[RA_LATENT_ITEMS_TEXT]) {
    size_t parts = items->rows - items->skip;
    int used = items->skip ? snprintf(text, RA_LATENT_ITEMS_TEXT, "%zu+", items->skip) : 0;
    if (items->width)
        snprintf(text + used, RA_LATENT_ITEMS_TEXT - (size_t)used, "%zux%zu", parts / items->width,
                 items->width);
    else
        snprintf(text + used, RA_LATENT_ITEMS_TEXT - (size_t)used, "%zu", parts);
}

/* ---- opening ------------------------------------------------------------------------------------------ */

/* A given shape has as many rows as the items of the file. */
static ra_status check_given(const ra_model *model, const ra_safetensors *file, const ra_latent_items *stated,
                             const ra_latent_items *given, ra_error *err) {
    char text[RA_LATENT_ITEMS_TEXT];
    size_t rows = stated->rows ? stated->rows : ra_safetensors_find(file, names[CODES]) ? 1 : given->rows;
    if (given->rows == rows) return RA_OK;
    ra_latent_items_text(given, text);
    RA_FAIL(err, RA_ERR_SHAPE,
            "%s: its items have %zu rows each, but the shape that was given for them, %s, has %zu",
            model->info.path, rows, text, given->rows);
}

ra_status ra_model_open_item_shape(ra_model *model, const ra_safetensors *file, const ra_latent_items *given,
                                   ra_error *err) {
    const char *text = model->info.from_checkpoint ? NULL : ra_safetensors_metadata(file, shape_key);
    ra_latent_items stated = {0};
    if (text && !ra_latent_items_parse(text, &stated))
        RA_FAIL(err, RA_ERR_FORMAT,
                "%s: %s is \"%s\" in its metadata; expected the rows of an item, as 77, 16x16 or 5+16x16",
                model->info.path, shape_key, text);
    if (given->rows && !model->info.from_checkpoint) RA_TRY(check_given(model, file, &stated, given, err));
    model->statistics.items = given->rows ? *given : stated;
    return RA_OK;
}

static float peak_of(const float *codes, size_t parts) {
    float peak = codes[0];
    for (size_t p = 1; p < parts; p++)
        if (codes[p] > peak) peak = codes[p];
    return peak;
}

static ra_status check_items(const char *path, const ra_latent_item_codes *items, size_t k, ra_error *err) {
    const int64_t *item = items->item + k * items->count;
    float last = 0;
    for (size_t t = 0; t < items->count; t++) {
        if (item[t] < -1 || item[t] > INT64_MAX / (int64_t)items->parts - 1 ||
            (item[t] >= 0 && t > 0 && item[t - 1] < 0))
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: %s holds %lld at [%zu, %zu]; expected items from 0 on, then only -1", path,
                    names[ITEM], (long long)item[t], k, t);
        if (item[t] < 0) continue;
        float peak = peak_of(items->codes + (k * items->count + t) * items->parts, items->parts);
        if (peak <= 0 || (t > 0 && peak > last))
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: the largest number of %s in item %zu of latent %zu is %g; expected numbers above 0, "
                    "the largest first",
                    path, names[CODES], t, k, (double)peak);
        last = peak;
    }
    return RA_OK;
}

ra_status ra_model_open_items(ra_model *model, const ra_safetensors *file, ra_error *err) {
    const char *path = model->info.path;
    size_t K = model->info.concepts;
    ra_tensor item, codes;
    if (!ra_safetensors_find(file, names[ITEM]) && !ra_safetensors_find(file, names[CODES])) return RA_OK;
    RA_TRY(ra_safetensors_get(file, names[ITEM], &item, err));
    RA_TRY(ra_safetensors_get(file, names[CODES], &codes, err));
    RA_TRY(ra_model_check_tensor(path, names[ITEM], &item, RA_I64, 2, K, 0, err));
    size_t parts = model->statistics.items.rows ? model->statistics.items.rows : 1, width;
    if (__builtin_mul_overflow(item.shape[1], parts, &width)) width = SIZE_MAX;
    RA_TRY(ra_model_check_tensor(path, names[CODES], &codes, RA_F32, 2, K, width, err));
    RA_TRY(ra_model_check_finite(model, names[CODES], &codes, err));
    ra_latent_item_codes items = {item.shape[1], parts, item.data, codes.data, NULL};
    for (size_t k = 0; k < K; k++) RA_TRY(check_items(path, &items, k, err));
    model->statistics.item_codes = items;
    return RA_OK;
}

/* ---- saving and reading --------------------------------------------------------------------------------- */

size_t ra_model_item_tensors(const ra_latent_statistics *statistics, const char **tensor_names,
                             ra_tensor *tensors) {
    const ra_latent_item_codes *items = &statistics->item_codes;
    if (items->count == 0) return 0;
    memcpy(tensor_names, names, sizeof names);
    tensors[ITEM] = ra_tensor_2d(RA_I64, items->item, statistics->concepts, items->count);
    tensors[CODES] = ra_tensor_2d(RA_F32, items->codes, statistics->concepts, items->count * items->parts);
    return ITEM_TENSORS;
}

ra_status ra_model_store_items(const ra_latent_statistics *statistics, ra_safetensors_writer *writer,
                               ra_error *err) {
    char text[RA_LATENT_ITEMS_TEXT];
    if (statistics->items.rows == 0) return RA_OK;
    ra_latent_items_text(&statistics->items, text);
    return ra_safetensors_writer_metadata(writer, shape_key, text, err);
}

bool ra_latent_statistics_item(const ra_latent_statistics *statistics, size_t latent, size_t t,
                               ra_latent_item *item) {
    const ra_latent_item_codes *items = &statistics->item_codes;
    size_t at = latent * items->count + t;
    if (t >= items->count || items->item[at] < 0) return false;
    const float *codes = items->codes + at * items->parts;
    *item = (ra_latent_item){.item = (size_t)items->item[at],
                             .value = peak_of(codes, items->parts),
                             .codes = codes,
                             .label = ra_model_label(items->label, at),
                             .words = ra_latent_tokens_item(&statistics->tokens, (size_t)items->item[at])};
    while (codes[item->position] < item->value) item->position++;
    return true;
}
