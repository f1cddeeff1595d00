/* The values of pickles: their memory, and how to look at them. Values lie in blocks, in the order in which they were
 * made, and are freed together; only the lists of items are memory of their own. */
#include "io/torch/values.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

enum {
    PER_BLOCK = 1024,
    MOST_VALUES = 1 << 22, /* 100 MB; the state dict of a large model has some ten thousand */
};

typedef struct ra_pickle_block {
    struct ra_pickle_block *next;
    size_t used;
    ra_pickle_value values[PER_BLOCK];
} ra_pickle_block;

static bool has_items(const ra_pickle_value *value) {
    return value->kind >= RA_PICKLE_TUPLE && value->kind <= RA_PICKLE_DICT;
}

/* ---- memory -------------------------------------------------------------------------------------------- */

ra_pickle_value *ra_pickle_new(ra_pickle *pickle, ra_pickle_kind kind, ra_error *err) {
    ra_pickle_block *block = pickle->blocks;
    if (pickle->values == MOST_VALUES) {
        ra_error_set(err, RA_ERR_TOO_LARGE, "%s: its pickle has more than %d values", pickle->path,
                     MOST_VALUES);
        return NULL;
    }
    if (!block || block->used == PER_BLOCK) {
        block = ra_malloc(1, sizeof *block);
        if (!block) {
            ra_error_set(err, RA_ERR_MEMORY, "out of memory: %s has many values", pickle->path);
            return NULL;
        }
        block->next = pickle->blocks;
        block->used = 0;
        pickle->blocks = block;
    }
    ra_pickle_value *value = &block->values[block->used++];
    pickle->values++;
    *value = (ra_pickle_value){.kind = kind};
    return value;
}

void ra_pickle_release(ra_pickle *pickle) {
    while (pickle->blocks) {
        ra_pickle_block *block = pickle->blocks;
        for (size_t i = 0; i < block->used; i++)
            if (has_items(&block->values[i])) ra_free(block->values[i].is.list.items);
        pickle->blocks = block->next;
        ra_free(block);
    }
    *pickle = (ra_pickle){0};
}

ra_status ra_pickle_append(ra_pickle *pickle, ra_pickle_value *list, ra_pickle_value *item, ra_error *err) {
    if (list->count == list->is.list.capacity) {
        size_t wanted = list->count ? 2 * (size_t)list->count : 4;
        void *grown = wanted <= UINT32_MAX ? ra_realloc(list->is.list.items, wanted, sizeof item) : NULL;
        if (!grown) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a list in %s", pickle->path);
        list->is.list.items = grown;
        list->is.list.capacity = wanted;
    }
    list->is.list.items[list->count++] = item;
    return RA_OK;
}

/* ---- looking ------------------------------------------------------------------------------------------- */

bool ra_pickle_is(const ra_pickle_value *value, ra_pickle_kind kind) {
    return value && value->kind == kind;
}

bool ra_pickle_text_is(const ra_pickle_value *value, const char *text) {
    return ra_pickle_is(value, RA_PICKLE_TEXT) && value->count == strlen(text) &&
           memcmp(value->is.text, text, value->count) == 0;
}

const ra_pickle_value *ra_pickle_member(const ra_pickle_value *value, const char *key) {
    if (ra_pickle_is(value, RA_PICKLE_OBJECT)) value = value->is.object.state;
    if (!ra_pickle_is(value, RA_PICKLE_DICT)) return NULL;
    for (uint32_t i = value->count; i >= 2; i -= 2)
        if (ra_pickle_text_is(value->is.list.items[i - 2], key)) return value->is.list.items[i - 1];
    return NULL;
}

bool ra_pickle_name(const ra_pickle_value *value, char *name, size_t size) {
    if (ra_pickle_is(value, RA_PICKLE_OBJECT)) value = value->is.object.type;
    if (!ra_pickle_is(value, RA_PICKLE_GLOBAL)) return false;
    const ra_pickle_value *module = value->is.global.module, *own = value->is.global.name;
    int length =
        snprintf(name, size, "%.*s.%.*s", (int)module->count, module->is.text, (int)own->count, own->is.text);
    return length > 0 && (size_t)length < size;
}
