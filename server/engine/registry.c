/* Two locks. `lock` guards the table and the current pointers and is held for a few instructions; `loading`
 * makes loads run one after another and is held for as long as they take. Nobody waits for `loading` while
 * holding `lock`. */
#include "engine/registry.h"
#include "ra_memory.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

/* Never moves and never goes before the registry does, so that names and counters can be pointed at. */
typedef struct entry {
    char *name, *path;
    served *current;
    atomic_size_t requests;
} entry;

struct registry {
    ra_backend *backend;
    ra_sae_settings settings;
    pthread_mutex_t lock, loading;
    entry **entries;
    size_t count, capacity;
};

bool registry_name_is_good(const char *name) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t size = strspn(name, letters);
    return size >= 1 && size <= 64 && !name[size];
}

/* ---- generations --------------------------------------------------------------------------------------- */

static served *retain(served *dictionary) {
    if (dictionary) atomic_fetch_add(&dictionary->references, 1);
    return dictionary;
}

void served_release(served *dictionary) {
    if (!dictionary || atomic_fetch_sub(&dictionary->references, 1) != 1) return;
    ra_model_release(dictionary->model);
    ra_free(dictionary);
}

/* The operator's settings without those that the file states itself: `--top-k` completes a file and never
 * changes one. A file that cannot be read keeps them all; opening it will say what is wrong. */
static ra_status missing_settings(const registry *dictionaries, const char *path, ra_sae_settings *missing,
                                  ra_error *err) {
    ra_safetensors *file = NULL;
    ra_sae_settings stated = {0};
    *missing = dictionaries->settings;
    if (!missing->known || ra_safetensors_open(path, &file, NULL) != RA_OK) return RA_OK;
    ra_status status = ra_sae_settings_read(file, &stated, err);
    ra_safetensors_free(file);
    missing->known &= ~stated.known;
    return status;
}

static ra_status load(const registry *dictionaries, entry *item, size_t generation, served **out,
                      ra_error *err) {
    ra_model_options options = {.backend = dictionaries->backend};
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    ra_status status = missing_settings(dictionaries, item->path, &options.settings, err);
    if (status != RA_OK) return status;
    served *loaded = ra_calloc(1, sizeof *loaded);
    if (!loaded) return ra_error_set(err, RA_ERR_MEMORY, "out of memory: a dictionary's entry");
    status = ra_model_open(item->path, &options, &loaded->model, err);
    if (status != RA_OK) {
        ra_free(loaded);
        return status;
    }
    clock_gettime(CLOCK_MONOTONIC, &after);
    loaded->name = item->name;
    loaded->generation = generation;
    loaded->requests = &item->requests;
    atomic_init(&loaded->references, 1);
    const ra_model_info *info = ra_model_get_info(loaded->model);
    double seconds = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
    ra_log(RA_LOG_INFO,
           "dictionary %s: generation %zu, %zu atoms of %zu dimensions from the %s %s, in %.3f s", item->name,
           generation, info->concepts, info->dimensions, info->from_checkpoint ? "checkpoint" : "artifact",
           item->path, seconds);
    *out = loaded;
    return RA_OK;
}

/* ---- the table ----------------------------------------------------------------------------------------- */

ra_status registry_new(const registry_options *options, registry **out, ra_error *err) {
    registry *dictionaries = ra_calloc(1, sizeof *dictionaries);
    if (!dictionaries) return ra_error_set(err, RA_ERR_MEMORY, "out of memory: the registry");
    dictionaries->backend = options->backend ? ra_backend_retain(options->backend) : NULL;
    dictionaries->settings = options->settings;
    pthread_mutex_init(&dictionaries->lock, NULL);
    pthread_mutex_init(&dictionaries->loading, NULL);
    *out = dictionaries;
    return RA_OK;
}

static void free_entry(entry *item) {
    if (!item) return;
    served_release(item->current);
    ra_free(item->name);
    ra_free(item->path);
    ra_free(item);
}

void registry_free(registry *dictionaries) {
    if (!dictionaries) return;
    for (size_t i = 0; i < dictionaries->count; i++) free_entry(dictionaries->entries[i]);
    ra_free(dictionaries->entries);
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

static entry *find_locked(registry *dictionaries, const char *name) {
    pthread_mutex_lock(&dictionaries->lock);
    entry *item = find(dictionaries, name);
    pthread_mutex_unlock(&dictionaries->lock);
    return item;
}

static bool append(registry *dictionaries, entry *item) {
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

static ra_status add(registry *dictionaries, const char *name, const char *path, ra_error *err) {
    if (!registry_name_is_good(name))
        return ra_error_set(err, RA_ERR_ARGUMENT,
                            "the dictionary name '%s' is not 1 to 64 letters, digits, '.', '-' and '_'",
                            name);
    if (find_locked(dictionaries, name))
        return ra_error_set(err, RA_ERR_ARGUMENT, "the dictionary name '%s' is given twice", name);
    entry *item = ra_calloc(1, sizeof *item);
    if (!item) return ra_error_set(err, RA_ERR_MEMORY, "out of memory: a dictionary's entry");
    item->name = ra_strdup(name);
    item->path = ra_strdup(path);
    ra_status status = item->name && item->path
                           ? load(dictionaries, item, 1, &item->current, err)
                           : ra_error_set(err, RA_ERR_MEMORY, "out of memory: a dictionary's entry");
    if (status == RA_OK && !append(dictionaries, item))
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the registry");
    if (status != RA_OK) free_entry(item);
    return status;
}

ra_status registry_add(registry *dictionaries, const char *name, const char *path, ra_error *err) {
    pthread_mutex_lock(&dictionaries->loading);
    ra_status status = add(dictionaries, name, path, err);
    pthread_mutex_unlock(&dictionaries->loading);
    return status;
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
    served *dictionary = item ? retain(item->current) : NULL;
    pthread_mutex_unlock(&dictionaries->lock);
    return dictionary;
}

served *registry_acquire_at(registry *dictionaries, size_t i) {
    pthread_mutex_lock(&dictionaries->lock);
    served *dictionary = i < dictionaries->count ? retain(dictionaries->entries[i]->current) : NULL;
    pthread_mutex_unlock(&dictionaries->lock);
    return dictionary;
}

/* ---- reload -------------------------------------------------------------------------------------------- */

/* With `loading` held, so that generations follow one another. */
static ra_status reload(registry *dictionaries, entry *item, ra_error *err) {
    served *fresh = NULL;
    ra_error why = {0};
    size_t generation = item->current->generation; /* only a reload changes `current` */
    ra_status status = load(dictionaries, item, generation + 1, &fresh, &why);
    if (status != RA_OK) {
        ra_log(RA_LOG_ERROR, "dictionary %s: not reloaded, generation %zu goes on serving: %s", item->name,
               generation, why.message);
        return ra_error_set(err, status, "%s", why.message);
    }
    pthread_mutex_lock(&dictionaries->lock);
    served *old = item->current;
    item->current = fresh;
    pthread_mutex_unlock(&dictionaries->lock);
    served_release(old); /* outside of the lock: freeing a large mapping takes its time */
    return RA_OK;
}

ra_status registry_reload(registry *dictionaries, const char *name, ra_error *err) {
    pthread_mutex_lock(&dictionaries->loading);
    entry *item = find_locked(dictionaries, name);
    ra_status status = item ? reload(dictionaries, item, err)
                            : ra_error_set(err, RA_ERR_NOT_FOUND, "there is no dictionary named '%s'", name);
    pthread_mutex_unlock(&dictionaries->loading);
    return status;
}

size_t registry_reload_all(registry *dictionaries) {
    size_t failed = 0;
    pthread_mutex_lock(&dictionaries->loading);
    size_t count = registry_count(dictionaries);
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_lock(&dictionaries->lock);
        entry *item = dictionaries->entries[i];
        pthread_mutex_unlock(&dictionaries->lock);
        failed += reload(dictionaries, item, NULL) != RA_OK;
    }
    pthread_mutex_unlock(&dictionaries->loading);
    return failed;
}
