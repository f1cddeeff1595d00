/* The names under which tensors and metadata are found.
 *
 * A state dict is saved from within other modules (`net.`, `sae.`), from torch.compile (`_orig_mod.`) and from
 * data-parallel training (`module.`), in any order. If all of one dictionary's tensors are below one prefix,
 * that prefix is removed. Beside the file's own names a tensor is found under others:
 *
 *     what safetensors.torch.save_model left out, because it is the same memory as another tensor; the
 *     metadata then has the name that is missing and, as its text, the name that is there
 *
 *     encoder.weight, encoder.bias: overcomplete's tied() and untied() call them so, its other encoders
 *     encoder.final_block.0.weight and .bias */
#include "io/safetensors/safetensors.h"
#include "ra_memory.h"

#include <stdlib.h>
#include <string.h>

/* ---- the prefix ---------------------------------------------------------------------------------------- */

/* Every dictionary has one of these. */
static const char *const anchors[] = {"dictionary.W", "dictionary._weights", "dictionary.W.index"};

/* The length of what stands before an anchor, if the name ends with one; false: it does not. */
static bool prefix_of(const char *name, size_t *length) {
    size_t all = strlen(name);
    for (size_t i = 0; i < sizeof anchors / sizeof *anchors; i++) {
        size_t tail = strlen(anchors[i]);
        if (all < tail || strcmp(name + all - tail, anchors[i]) != 0) continue;
        if (all > tail && name[all - tail - 1] != '.') continue;
        *length = all - tail;
        return true;
    }
    return false;
}

/* With two different prefixes the file holds two models, and keeps its names. */
static const char *find_prefix(const ra_safetensors *file, size_t *length) {
    const char *found = NULL;
    *length = 0;
    for (size_t i = 0; i < file->count + file->text_count; i++) {
        const char *name = i < file->count ? file->entries[i].name : file->texts[i - file->count].key;
        size_t size;
        if (!prefix_of(name, &size)) continue;
        if (found && (size != *length || memcmp(found, name, size) != 0)) return NULL;
        found = name;
        *length = size;
    }
    return *length ? found : NULL;
}

static void remove_prefix(char *name, const char *prefix, size_t length) {
    if (strncmp(name, prefix, length) == 0) memmove(name, name + length, strlen(name + length) + 1);
}

ra_status ra_safetensors_remove_prefix(ra_safetensors *file, ra_error *err) {
    static const char parallel[] = "module."; /* data-parallel training writes it before every name */
    size_t length;
    const char *name = find_prefix(file, &length);
    for (size_t i = 0; !name && i < file->count; i++)
        remove_prefix(file->entries[i].name, parallel, sizeof parallel - 1);
    if (!name) return RA_OK;
    file->prefix = ra_strdup(name);
    if (!file->prefix) RA_FAIL_MEMORY(err, "the prefix of the names in a file", length + 1);
    file->prefix[length] = '\0';
    for (size_t i = 0; i < file->count; i++) remove_prefix(file->entries[i].name, file->prefix, length);
    for (size_t i = 0; i < file->text_count; i++) {
        remove_prefix(file->texts[i].key, file->prefix, length);
        remove_prefix(file->texts[i].text, file->prefix, length);
    }
    return RA_OK;
}

/* ---- the index ----------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b) {
    return strcmp(((const ra_safetensors_position *)a)->name, ((const ra_safetensors_position *)b)->name);
}

/* Sorts the list; returns a name that occurs twice, or NULL. */
static const char *sort_names(ra_safetensors_position *names, size_t count) {
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 1; i < count; i++)
        if (strcmp(names[i - 1].name, names[i].name) == 0) return names[i].name;
    return NULL;
}

const ra_safetensors_position *ra_safetensors_look_up(const ra_safetensors_position *names, size_t count,
                                                      const char *name) {
    return bsearch(&(ra_safetensors_position){name, 0}, names, count, sizeof *names, compare_names);
}

static const struct {
    const char *name, *other;
} spellings[] = {
    {"encoder.weight", "encoder.final_block.0.weight"},
    {"encoder.bias", "encoder.final_block.0.bias"},
};
enum { SPELLINGS = sizeof spellings / sizeof *spellings };

/* Adds `other` for the tensor `name`, unless the file lacks the one or has the other; `own` names are sorted. */
static void add_name(ra_safetensors *file, size_t own, const char *name, const char *other) {
    const ra_safetensors_position *found = ra_safetensors_look_up(file->names, own, name);
    if (!found || ra_safetensors_look_up(file->names, own, other)) return;
    file->names[file->name_count++] = (ra_safetensors_position){other, found->index};
}

ra_status ra_safetensors_index_names(ra_safetensors *file, ra_error *err) {
    size_t most = file->count + file->text_count + SPELLINGS;
    file->names = ra_malloc(most, sizeof *file->names);
    file->keys = ra_malloc(file->text_count, sizeof *file->keys);
    if (!file->names || !file->keys)
        RA_FAIL_MEMORY(err, "the names in a file", (most + file->text_count) * sizeof *file->names);
    for (size_t i = 0; i < file->count; i++)
        file->names[i] = (ra_safetensors_position){file->entries[i].name, i};
    for (size_t i = 0; i < file->text_count; i++)
        file->keys[i] = (ra_safetensors_position){file->texts[i].key, i};
    const char *twice = sort_names(file->names, file->count);
    if (twice)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: two tensors have the name \"%s\" (without the prefix module.)",
                file->path, twice);
    twice = sort_names(file->keys, file->text_count);
    if (twice) RA_FAIL(err, RA_ERR_FORMAT, "%s: __metadata__ holds \"%s\" twice", file->path, twice);
    file->name_count = file->count;
    for (size_t i = 0; i < file->text_count; i++)
        add_name(file, file->count, file->texts[i].text, file->texts[i].key);
    for (size_t i = 0; i < SPELLINGS; i++) add_name(file, file->count, spellings[i].name, spellings[i].other);
    qsort(file->names, file->name_count, sizeof *file->names, compare_names);
    return RA_OK;
}
