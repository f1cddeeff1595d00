/* Looking up: what requests and metrics ask. load.c makes entries and changes them. */
#include "serving/registry/registry.h"
#include "serving/registry/entries.h"
#include "ra_memory.h"

#include <string.h>

bool registry_name_is_good(const char *name) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t size = strspn(name, letters);
    return size >= 1 && size < REGISTRY_NAME_SIZE && !name[size];
}

ra_status registry_new(const registry_options *options, registry **out, ra_error *err) {
    registry *dictionaries = ra_calloc(1, sizeof *dictionaries);
    char *folder = options->folder ? ra_strdup(options->folder) : NULL;
    retired_list *retired = retired_new();
    if (!dictionaries || !retired || (options->folder && !folder)) {
        retired_release(retired);
        ra_free(dictionaries);
        ra_free(folder);
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the registry");
    }
    dictionaries->backend = options->backend ? ra_backend_retain(options->backend) : NULL;
    dictionaries->workspaces = options->workspaces;
    dictionaries->device = options->device;
    dictionaries->settings = options->settings;
    dictionaries->private_below = options->private_below;
    dictionaries->items_of = options->items_of;
    dictionaries->items_context = options->items_context;
    dictionaries->verify = options->verify;
    dictionaries->changes = options->changes;
    dictionaries->folder = folder;
    dictionaries->retired = retired;
    pthread_mutex_init(&dictionaries->lock, NULL);
    pthread_mutex_init(&dictionaries->loading, NULL);
    *out = dictionaries;
    return RA_OK;
}

void registry_free(registry *dictionaries) {
    if (!dictionaries) return;
    for (size_t i = 0; i < dictionaries->count; i++) entry_free(dictionaries->entries[i]);
    (void)retired_free_all(dictionaries->retired);
    retired_release(dictionaries->retired);
    ra_free(dictionaries->entries);
    ra_free(dictionaries->folder);
    ra_backend_release(dictionaries->cpu);
    ra_backend_release(dictionaries->backend);
    pthread_mutex_destroy(&dictionaries->loading);
    pthread_mutex_destroy(&dictionaries->lock);
    ra_free(dictionaries);
}

void registry_on_retired(registry *dictionaries, void (*tell)(void *context), void *context) {
    retired_tell(dictionaries->retired, tell, context);
}

size_t registry_free_retired(registry *dictionaries) {
    return retired_free_all(dictionaries->retired);
}

size_t registry_count(registry *dictionaries) {
    pthread_mutex_lock(&dictionaries->lock);
    size_t count = dictionaries->count;
    pthread_mutex_unlock(&dictionaries->lock);
    return count;
}

served *registry_acquire(registry *dictionaries, const char *name) {
    pthread_mutex_lock(&dictionaries->lock);
    entry *item = entries_named(dictionaries, name);
    served *dictionary = item ? served_retain(item->current) : NULL;
    pthread_mutex_unlock(&dictionaries->lock);
    return dictionary;
}

served *registry_acquire_at(registry *dictionaries, size_t i) {
    pthread_mutex_lock(&dictionaries->lock);
    entry *item = entries_at(dictionaries, i);
    served *dictionary = item ? served_retain(item->current) : NULL;
    pthread_mutex_unlock(&dictionaries->lock);
    return dictionary;
}

void registry_lose(registry *dictionaries, const served *dictionary, const char *why) {
    served *lost = NULL;
    pthread_mutex_lock(&dictionaries->lock);
    entry *item = entries_named(dictionaries, dictionary->name);
    if (item && item->current == dictionary) {
        lost = item->current;
        item->current = NULL;
        item->lost = true;
        item->losses++;
        entries_shorten(item->reason, sizeof item->reason, why, item->path);
    }
    pthread_mutex_unlock(&dictionaries->lock);
    if (!lost) return;
    ra_log(RA_LOG_ERROR, "dictionary %s: generation %zu is given up, load it again: %s", lost->name,
           lost->generation, why);
    served_release(lost);
}

static double numbers_of(const served *dictionary) {
    const ra_model_info *info = ra_model_get_info(dictionary->model);
    return (double)info->concepts * (double)info->dimensions;
}

served *registry_acquire_largest(registry *dictionaries) {
    served *largest = NULL;
    pthread_mutex_lock(&dictionaries->lock);
    for (size_t i = 0; i < dictionaries->count; i++) {
        served *current = dictionaries->entries[i]->current;
        if (current && (!largest || numbers_of(current) > numbers_of(largest))) largest = current;
    }
    largest = served_retain(largest);
    pthread_mutex_unlock(&dictionaries->lock);
    return largest;
}

/* With the lock held; `item` may be NULL. */
static bool describe(const entry *item, registry_status *status) {
    if (!item) return false;
    *status = (registry_status){.name = item->name,
                                .ready = item->current != NULL,
                                .unloaded = item->unloaded,
                                .lost = item->lost,
                                .losses = item->losses,
                                .generation = item->generation,
                                .loaded = item->loaded,
                                .loads = item->loads,
                                .failures = item->failures,
                                .fallbacks = item->fallbacks};
    memcpy(status->reason, item->reason, sizeof status->reason);
    return true;
}

bool registry_status_of(registry *dictionaries, const char *name, registry_status *status) {
    pthread_mutex_lock(&dictionaries->lock);
    bool known = describe(entries_named(dictionaries, name), status);
    pthread_mutex_unlock(&dictionaries->lock);
    return known;
}

bool registry_status_at(registry *dictionaries, size_t i, registry_status *status) {
    pthread_mutex_lock(&dictionaries->lock);
    bool known = describe(entries_at(dictionaries, i), status);
    pthread_mutex_unlock(&dictionaries->lock);
    return known;
}
