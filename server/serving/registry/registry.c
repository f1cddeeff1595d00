/* Looking up: the table and its snapshots. How entries come to be and change is registry_load.c. */
#include "serving/registry/registry.h"
#include "serving/registry/entries.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

bool registry_name_is_good(const char *name) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t size = strspn(name, letters);
    return size >= 1 && size <= 64 && !name[size];
}

/* ---- generations --------------------------------------------------------------------------------------- */

served *served_retain(served *dictionary) {
    if (dictionary) atomic_fetch_add(&dictionary->references, 1);
    return dictionary;
}

void served_release(served *dictionary) {
    if (!dictionary || atomic_fetch_sub(&dictionary->references, 1) != 1) return;
    ra_model_release(dictionary->model);
    ra_free(dictionary);
}

/* ---- entries ------------------------------------------------------------------------------------------- */

entry *registry_entry_new(const char *name, const char *path) {
    entry *item = ra_calloc(1, sizeof *item);
    if (!item) return NULL;
    item->name = ra_strdup(name);
    item->path = ra_strdup(path);
    if (item->name && item->path) return item;
    registry_entry_free(item);
    return NULL;
}

void registry_entry_free(entry *item) {
    if (!item) return;
    served_release(item->current);
    ra_free(item->name);
    ra_free(item->path);
    ra_free(item);
}

/* ---- the table ----------------------------------------------------------------------------------------- */

ra_status registry_new(const registry_options *options, registry **out, ra_error *err) {
    registry *dictionaries = ra_calloc(1, sizeof *dictionaries);
    char *folder = options->folder ? ra_strdup(options->folder) : NULL;
    if (!dictionaries || (options->folder && !folder)) {
        ra_free(dictionaries);
        ra_free(folder);
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the registry");
    }
    dictionaries->backend = options->backend ? ra_backend_retain(options->backend) : NULL;
    dictionaries->workspaces = options->workspaces;
    dictionaries->device = options->device;
    dictionaries->settings = options->settings;
    dictionaries->folder = folder;
    pthread_mutex_init(&dictionaries->lock, NULL);
    pthread_mutex_init(&dictionaries->loading, NULL);
    *out = dictionaries;
    return RA_OK;
}

void registry_free(registry *dictionaries) {
    if (!dictionaries) return;
    for (size_t i = 0; i < dictionaries->count; i++) registry_entry_free(dictionaries->entries[i]);
    ra_free(dictionaries->entries);
    ra_free(dictionaries->folder);
    ra_backend_release(dictionaries->cpu);
    ra_backend_release(dictionaries->backend);
    pthread_mutex_destroy(&dictionaries->loading);
    pthread_mutex_destroy(&dictionaries->lock);
    ra_free(dictionaries);
}

/* With the lock held. */
static entry *find(const registry *dictionaries, const char *name) {
    for (size_t i = 0; i < dictionaries->count; i++)
        if (strcmp(dictionaries->entries[i]->name, name) == 0) return dictionaries->entries[i];
    return NULL;
}

static entry *at(const registry *dictionaries, size_t i) {
    return i < dictionaries->count ? dictionaries->entries[i] : NULL;
}

entry *registry_find(registry *dictionaries, const char *name) {
    pthread_mutex_lock(&dictionaries->lock);
    entry *item = find(dictionaries, name);
    pthread_mutex_unlock(&dictionaries->lock);
    return item;
}

entry *registry_entry_at(registry *dictionaries, size_t i) {
    pthread_mutex_lock(&dictionaries->lock);
    entry *item = at(dictionaries, i);
    pthread_mutex_unlock(&dictionaries->lock);
    return item;
}

bool registry_append(registry *dictionaries, entry *item) {
    pthread_mutex_lock(&dictionaries->lock);
    if (dictionaries->count == dictionaries->capacity) {
        size_t capacity = dictionaries->capacity ? 2 * dictionaries->capacity : 4;
        entry **grown = ra_realloc(dictionaries->entries, capacity, sizeof *grown);
        if (grown) {
            dictionaries->entries = grown;
            dictionaries->capacity = capacity;
        }
    }
    bool room = dictionaries->count < dictionaries->capacity;
    if (room) dictionaries->entries[dictionaries->count++] = item;
    pthread_mutex_unlock(&dictionaries->lock);
    return room;
}

size_t registry_count(registry *dictionaries) {
    pthread_mutex_lock(&dictionaries->lock);
    size_t count = dictionaries->count;
    pthread_mutex_unlock(&dictionaries->lock);
    return count;
}

served *registry_acquire(registry *dictionaries, const char *name) {
    pthread_mutex_lock(&dictionaries->lock);
    entry *item = find(dictionaries, name);
    served *dictionary = item ? served_retain(item->current) : NULL;
    pthread_mutex_unlock(&dictionaries->lock);
    return dictionary;
}

served *registry_acquire_at(registry *dictionaries, size_t i) {
    pthread_mutex_lock(&dictionaries->lock);
    entry *item = at(dictionaries, i);
    served *dictionary = item ? served_retain(item->current) : NULL;
    pthread_mutex_unlock(&dictionaries->lock);
    return dictionary;
}

/* With the lock held; `item` may be NULL. */
static bool describe(const entry *item, registry_status *status) {
    if (!item) return false;
    *status = (registry_status){.name = item->name,
                                .ready = item->current != NULL,
                                .unloaded = item->unloaded,
                                .generation = item->generation,
                                .failures = item->failures,
                                .fallbacks = item->fallbacks};
    memcpy(status->reason, item->reason, sizeof status->reason);
    return true;
}

bool registry_status_of(registry *dictionaries, const char *name, registry_status *status) {
    pthread_mutex_lock(&dictionaries->lock);
    bool known = describe(find(dictionaries, name), status);
    pthread_mutex_unlock(&dictionaries->lock);
    return known;
}

bool registry_status_at(registry *dictionaries, size_t i, registry_status *status) {
    pthread_mutex_lock(&dictionaries->lock);
    bool known = describe(at(dictionaries, i), status);
    pthread_mutex_unlock(&dictionaries->lock);
    return known;
}
