/* The lists of an open file, while it is read. */
#include "io/safetensors/safetensors.h"
#include "ra_memory.h"

#include <string.h>

/* Makes room for one more item of `size` bytes; returns the list, or NULL. */
static void *grow(void *items, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity) return items;
    size_t wanted = *capacity ? 2 * *capacity : 16;
    void *grown = ra_realloc(items, wanted, size);
    if (grown) *capacity = wanted;
    return grown;
}

ra_status ra_safetensors_add_entry(ra_safetensors *file, const char *name, ra_safetensors_entry **out,
                                   ra_error *err) {
    void *grown = grow(file->entries, file->count, &file->entry_capacity, sizeof *file->entries);
    if (!grown) RA_FAIL_MEMORY(err, "the list of tensors", 2 * file->count * sizeof *file->entries);
    file->entries = grown;
    char *copy = ra_strdup(name);
    if (!copy) RA_FAIL_MEMORY(err, "the name of a tensor", strlen(name) + 1);
    *out = &file->entries[file->count];
    **out = (ra_safetensors_entry){.name = copy, .position = file->count};
    file->count++;
    return RA_OK;
}

ra_status ra_safetensors_add_text(ra_safetensors *file, const char *key, const char *text, ra_error *err) {
    void *grown = grow(file->texts, file->text_count, &file->text_capacity, sizeof *file->texts);
    if (!grown) RA_FAIL_MEMORY(err, "the metadata", 2 * file->text_count * sizeof *file->texts);
    file->texts = grown;
    ra_safetensors_text *added = &file->texts[file->text_count++]; /* the file frees it, whole or not */
    *added = (ra_safetensors_text){.key = ra_strdup(key), .text = ra_strdup(text)};
    if (!added->key || !added->text) RA_FAIL_MEMORY(err, "a setting", strlen(key) + strlen(text) + 2);
    return RA_OK;
}
