#include "serving/registry/entries.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

/* ---- generations --------------------------------------------------------------------------------------- */

served *served_retain(served *dictionary) {
    if (dictionary) atomic_fetch_add(&dictionary->references, 1);
    return dictionary;
}

void served_release(served *dictionary) {
    if (!dictionary || atomic_fetch_sub(&dictionary->references, 1) != 1) return;
    retired_add(dictionary->retired, dictionary);
}

/* ---- entries ------------------------------------------------------------------------------------------- */

entry *entry_new(const char *name, const char *path) {
    entry *item = ra_calloc(1, sizeof *item);
    if (!item) return NULL;
    item->name = ra_strdup(name);
    item->path = ra_strdup(path);
    if (item->name && item->path) return item;
    entry_free(item);
    return NULL;
}

void entry_free(entry *item) {
    if (!item) return;
    served_release(item->current);
    ra_free(item->name);
    ra_free(item->path);
    ra_free(item);
}

/* ---- the table ----------------------------------------------------------------------------------------- */

entry *entries_named(const registry *dictionaries, const char *name) {
    for (size_t i = 0; i < dictionaries->count; i++)
        if (strcmp(dictionaries->entries[i]->name, name) == 0) return dictionaries->entries[i];
    return NULL;
}

entry *entries_at(const registry *dictionaries, size_t i) {
    return i < dictionaries->count ? dictionaries->entries[i] : NULL;
}

entry *entries_find(registry *dictionaries, const char *name) {
    pthread_mutex_lock(&dictionaries->lock);
    entry *item = entries_named(dictionaries, name);
    pthread_mutex_unlock(&dictionaries->lock);
    return item;
}

served *entries_hold(registry *dictionaries, const entry *item) {
    pthread_mutex_lock(&dictionaries->lock);
    served *current = served_retain(item->current);
    pthread_mutex_unlock(&dictionaries->lock);
    return current;
}

void entries_shorten(char *to, size_t size, const char *message, const char *path) {
    const char *slash = strrchr(path, '/'), *at = strstr(message, path);
    if (at && slash)
        snprintf(to, size, "%.*s%s", (int)(at - message), message, at + (slash + 1 - path));
    else
        snprintf(to, size, "%s", message);
}

bool entries_append(registry *dictionaries, entry *item) {
    pthread_mutex_lock(&dictionaries->lock);
    if (dictionaries->count == dictionaries->capacity) {
        size_t capacity = dictionaries->capacity ? 2 * dictionaries->capacity : 4;
        entry **grown = ra_realloc(dictionaries->entries, capacity, sizeof *grown);
        if (grown) {
            dictionaries->entries = grown;
            dictionaries->capacity = capacity;
        }
    }
    bool fits = dictionaries->count < dictionaries->capacity;
    if (fits) dictionaries->entries[dictionaries->count++] = item;
    pthread_mutex_unlock(&dictionaries->lock);
    return fits;
}
