/* Opening files, for the first time and again, while requests run.
 *
 * Every change is made by the thread that holds `loading`: it opens and checks the new generation without any
 * other lock, then puts it in place of the old one under `lock`, in a few instructions. It releases the old
 * generation after that, because unmapping a large file takes time.
 *
 * Watching compares what stat() says, without inotify: that works on network file systems, through the
 * symbolic links that Kubernetes swaps, and on a folder whose files come and go, and one call per file and
 * second costs nothing. A changed file is opened only when two looks in a row agree, so that a copy in
 * progress is left alone, and only once: a file that does not open waits for its next change.
 */
#include "serving/registry/registry.h"
#include "serving/registry/entries.h"
#include "http/exchange.h"
#include "http/points.h"
#include "ra_memory.h"
#include "ra_waiting.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { FIRST_RETRY_US = 1000000, LAST_RETRY_US = 60000000 };

static const char suffix[] = ".safetensors";

enum { MOST_TICKS = 20 };

/* Changes follow one after another, and one can take long. */
static void begin_change(registry *dictionaries) {
    ra_waiting_check("a load of dictionaries");
    pthread_mutex_lock(&dictionaries->loading);
}

/* ---- files --------------------------------------------------------------------------------------------- */

/* A file that was just written is looked at again when its clock has gone on: a later change then has another
 * stamp. */
static file_stamp stamp_of(const char *path) {
    const struct timespec tick = {.tv_nsec = 1000000};
    struct stat about;
    for (int i = 0;; i++) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
        if (stat(path, &about) != 0) return (file_stamp){0};
        bool old = now.tv_sec > about.st_ctim.tv_sec ||
                   (now.tv_sec == about.st_ctim.tv_sec && now.tv_nsec > about.st_ctim.tv_nsec);
        if (old || i == MOST_TICKS) break;
        nanosleep(&tick, NULL);
    }
    return (file_stamp){.device = about.st_dev,
                        .inode = about.st_ino,
                        .size = about.st_size,
                        .modified = about.st_mtim,
                        .changed = about.st_ctim};
}

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_file(const file_stamp *a, const file_stamp *b) {
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

/* ---- one generation ------------------------------------------------------------------------------------ */

/* The settings of the operator that the file lacks: `--top-k` completes a file and never changes one. A file
 * that cannot be read lacks all of them; opening it will say what is wrong. */
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

/* Whether the CPU may serve a dictionary that the device has no memory for. */
static bool may_fall_back(registry *dictionaries, const entry *item) {
    if (!dictionaries->backend || ra_backend_host_memory(dictionaries->backend)) return false;
    served *current = entries_hold(dictionaries, item);
    bool may = !current || current->on_cpu;
    served_release(current);
    return may;
}

static ra_status open_on_cpu(registry *dictionaries, const entry *item, ra_model_options *options,
                             const char *why, ra_model **model, ra_error *err) {
    if (!dictionaries->cpu) RA_TRY(ra_backend_open_host(dictionaries->backend, &dictionaries->cpu, err));
    options->backend = dictionaries->cpu;
    RA_TRY(ra_model_open(item->path, options, model, err));
    ra_log(RA_LOG_WARNING, "dictionary %s: the CPU serves it: %s", item->name, why);
    return RA_OK;
}

static ra_status open_model(registry *dictionaries, const entry *item, served *loaded, ra_error *err) {
    ra_error why = {0};
    ra_model_options options = {.backend = dictionaries->backend,
                                .workspaces = dictionaries->workspaces,
                                .steady = true,
                                .private_below = dictionaries->private_below,
                                .verify = dictionaries->verify};
    RA_TRY(missing_settings(dictionaries, item->path, &options.settings, err));
    if (dictionaries->items_of)
        dictionaries->items_of(dictionaries->items_context, item->name, &options.items);
    ra_status status = ra_model_open(item->path, &options, &loaded->model, &why);
    loaded->on_cpu = status == RA_ERR_MEMORY && may_fall_back(dictionaries, item);
    if (loaded->on_cpu) return open_on_cpu(dictionaries, item, &options, why.message, &loaded->model, err);
    if (status != RA_OK) RA_FAIL(err, status, "%s", why.message);
    return RA_OK;
}

/* The same content, from whatever file, is the same generation. */
static void number_generation(entry *item, served *loaded) {
    const char *revision = ra_artifact_digest(loaded->artifact);
    bool same = strcmp(item->revision, revision) == 0;
    int64_t now = time(NULL), later = item->loaded < now ? now : item->loaded + 1;
    loaded->generation = item->generation + (same ? 0 : 1);
    loaded->loaded = same ? item->loaded : later;
    snprintf(item->revision, sizeof item->revision, "%s", revision);
}

static ra_status open_generation(registry *dictionaries, entry *item, served **out, ra_error *err) {
    uint64_t before = statistics_now(), took;
    served *loaded = ra_calloc(1, sizeof *loaded);
    if (!loaded) RA_FAIL_MEMORY(err, "a dictionary's entry", sizeof *loaded);
    ra_status status = open_model(dictionaries, item, loaded, err);
    if (status == RA_OK) status = ra_artifact_new(loaded->model, &loaded->artifact, err);
    if (status == RA_OK) status = atom_index_new(loaded->model, &loaded->atoms, err);
    if (status == RA_OK && dictionaries->changes)
        status = store_slot_of(dictionaries->changes, ra_model_get_info(loaded->model)->digest,
                               &loaded->changes, err);
    if (status != RA_OK) {
        atom_index_free(loaded->atoms);
        ra_artifact_free(loaded->artifact);
        ra_model_release(loaded->model);
        ra_free(loaded);
        return status;
    }
    statistics_lap(before, &took);
    loaded->name = item->name;
    number_generation(item, loaded);
    loaded->requests = &item->requests;
    loaded->inference = &item->inference;
    loaded->encoding = &item->encoding;
    loaded->retired = retired_retain(dictionaries->retired);
    atomic_init(&loaded->references, 1);
    const ra_model_info *info = ra_model_get_info(loaded->model);
    ra_log(RA_LOG_INFO,
           "dictionary %s: generation %zu, %zu atoms of %zu dimensions from the %s %s, in %.3f s", item->name,
           loaded->generation, info->concepts, info->dimensions,
           info->from_checkpoint ? "checkpoint" : "artifact", item->path, (double)took / 1e9);
    *out = loaded;
    return RA_OK;
}

static void note_failure(registry *dictionaries, entry *item, const char *message) {
    served *current = entries_hold(dictionaries, item);
    if (current)
        ra_log(RA_LOG_ERROR, "dictionary %s: not reloaded, generation %zu keeps serving: %s", item->name,
               item->generation, message);
    else
        ra_log(RA_LOG_ERROR, "dictionary %s: not loaded: %s", item->name, message);
    served_release(current);
    pthread_mutex_lock(&dictionaries->lock);
    item->failures++;
    entries_shorten(item->reason, sizeof item->reason, message, item->path);
    pthread_mutex_unlock(&dictionaries->lock);
}

/* NULL unloads. */
static void put_in_place(registry *dictionaries, entry *item, served *fresh) {
    pthread_mutex_lock(&dictionaries->lock);
    served *old = item->current;
    item->current = fresh;
    item->unloaded = !fresh;
    item->lost = false;
    snprintf(item->reason, sizeof item->reason, "%s", fresh ? "" : "unloaded");
    if (fresh) item->generation = fresh->generation;
    if (fresh) item->loaded = fresh->loaded;
    if (fresh) item->loads++;
    if (fresh && fresh->on_cpu) item->fallbacks++;
    pthread_mutex_unlock(&dictionaries->lock);
    if (!fresh) item->begun = 0;
    point_reached(POINT_swapped);
    served_release(old);
}

/* Whether the same file may open a little later. */
static bool is_passing(ra_status status) {
    return status == RA_ERR_IO || status == RA_ERR_MEMORY || status == RA_ERR_DEVICE;
}

/* Keeps the outcome for those who wait for the same. */
static void note_outcome(entry *item, ra_status status, const char *message) {
    uint64_t pause = item->retry_pause ? 2 * item->retry_pause : FIRST_RETRY_US;
    item->status = status;
    snprintf(item->message, sizeof item->message, "%s", message);
    item->retry_pause = !is_passing(status) ? 0 : pause < LAST_RETRY_US ? pause : LAST_RETRY_US;
    item->retry = item->retry_pause ? http_now() + item->retry_pause : 0;
}

/* Opens the file of an entry, which may not be in the table yet. */
static ra_status renew(registry *dictionaries, entry *item, ra_error *err) {
    served *fresh = NULL;
    ra_error why = {0};
    item->begun = http_now();
    item->opened = item->seen = stamp_of(item->path); /* first: a change during the reading shows later */
    ra_status status = open_generation(dictionaries, item, &fresh, &why);
    note_outcome(item, status, why.message);
    if (status != RA_OK) {
        note_failure(dictionaries, item, why.message);
        if (status == RA_ERR_DEVICE && dictionaries->device) device_watch_failed(dictionaries->device);
        RA_FAIL(err, status, "%s", why.message);
    }
    put_in_place(dictionaries, item, fresh);
    return RA_OK;
}

/* ---- adding -------------------------------------------------------------------------------------------- */

static ra_status fail_memory(ra_error *err) {
    RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a dictionary's entry");
}

static ra_status add(registry *dictionaries, const char *name, const char *path, ra_error *err) {
    if (!registry_name_is_good(name))
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "the dictionary name '%s' is not allowed: expected 1 to 64 letters, digits, '.', '-' and '_'",
                name);
    if (entries_find(dictionaries, name))
        RA_FAIL(err, RA_ERR_ARGUMENT, "the dictionary name '%s' is given twice", name);
    entry *item = entry_new(name, path);
    if (!item) return fail_memory(err);
    ra_status status = renew(dictionaries, item, err);
    if (status == RA_OK && !entries_append(dictionaries, item)) status = fail_memory(err);
    if (status != RA_OK) entry_free(item);
    return status;
}

ra_status registry_add(registry *dictionaries, const char *name, const char *path, ra_error *err) {
    begin_change(dictionaries);
    ra_status status = add(dictionaries, name, path, err);
    pthread_mutex_unlock(&dictionaries->loading);
    return status;
}

/* ---- the folder ---------------------------------------------------------------------------------------- */

/* name <- the name of a file that can be served. Hidden files are still being written. */
static bool name_of_file(const char *file, char name[REGISTRY_NAME_SIZE]) {
    size_t size = strlen(file), end = sizeof suffix - 1;
    if (size <= end || size - end >= REGISTRY_NAME_SIZE || file[0] == '.' ||
        strcmp(file + size - end, suffix) != 0)
        return false;
    memcpy(name, file, size - end);
    name[size - end] = '\0';
    return registry_name_is_good(name);
}

static int is_wanted(const struct dirent *item) {
    char name[REGISTRY_NAME_SIZE];
    return name_of_file(item->d_name, name);
}

/* Adds an entry for a file of the folder, unavailable, without opening it. */
static ra_status add_unopened(registry *dictionaries, const char *name, ra_error *err) {
    size_t size = strlen(dictionaries->folder) + 1 + strlen(name) + sizeof suffix;
    char *path = ra_malloc(size, 1);
    if (!path) return fail_memory(err);
    snprintf(path, size, "%s/%s%s", dictionaries->folder, name, suffix);
    entry *item = entry_new(name, path);
    ra_free(path);
    if (!item) return fail_memory(err);
    snprintf(item->reason, sizeof item->reason, "%s%s was not opened yet", name, suffix);
    if (entries_append(dictionaries, item)) return RA_OK;
    entry_free(item);
    return fail_memory(err);
}

/* Adds entries for all new files of the folder; *found <- how many files it has. */
static ra_status scan(registry *dictionaries, size_t *found, ra_error *err) {
    struct dirent **list = NULL;
    *found = 0;
    if (!dictionaries->folder) return RA_OK;
    int count = scandir(dictionaries->folder, &list, is_wanted, alphasort);
    if (count < 0)
        RA_FAIL(err, errno == ENOENT ? RA_ERR_NOT_FOUND : RA_ERR_IO,
                "%s: cannot read the folder of dictionaries: %s", dictionaries->folder, strerror(errno));
    ra_status status = RA_OK;
    for (int i = 0; i < count; i++) {
        char name[REGISTRY_NAME_SIZE];
        if (status == RA_OK && name_of_file(list[i]->d_name, name) && !entries_find(dictionaries, name))
            status = add_unopened(dictionaries, name, err);
        free(list[i]); /* from scandir(), not from our allocator */
    }
    free(list);
    *found = (size_t)count;
    return status;
}

ra_status registry_add_folder(registry *dictionaries, ra_error *err) {
    size_t found, opened = 0;
    ra_error first = {0};
    begin_change(dictionaries);
    ra_status status = scan(dictionaries, &found, err);
    for (size_t i = 0; status == RA_OK && i < dictionaries->count; i++) {
        entry *item = dictionaries->entries[i];
        served *current = entries_hold(dictionaries, item);
        served_release(current);
        opened += current || renew(dictionaries, item, first.code ? NULL : &first) == RA_OK;
    }
    pthread_mutex_unlock(&dictionaries->loading);
    if (status == RA_OK && found && !opened) RA_FAIL(err, first.code, "%s", first.message);
    return status;
}

/* ---- load, reload, unload ------------------------------------------------------------------------------ */

static ra_status fail_unknown(const char *name, ra_error *err) {
    RA_FAIL(err, RA_ERR_NOT_FOUND, "there is no dictionary named '%.64s'", name);
}

/* The entry of a name; a new file in the folder may be the one. */
static ra_status look_up(registry *dictionaries, const char *name, entry **out, ra_error *err) {
    *out = entries_find(dictionaries, name);
    if (*out) return RA_OK;
    char file[REGISTRY_NAME_SIZE + sizeof suffix], clean[REGISTRY_NAME_SIZE];
    size_t found;
    snprintf(file, sizeof file, "%.64s%s", name, suffix);
    if (!dictionaries->folder || !registry_name_is_good(name) || !name_of_file(file, clean))
        return fail_unknown(name, err);
    RA_TRY(scan(dictionaries, &found, err));
    *out = entries_find(dictionaries, name);
    return *out ? RA_OK : fail_unknown(name, err);
}

/* Or the outcome of the last load, for one who asked before it began. */
static ra_status renew_since(registry *dictionaries, entry *item, uint64_t asked, ra_error *err) {
    if (!asked || item->begun < asked) return renew(dictionaries, item, err);
    if (item->status != RA_OK) RA_FAIL(err, item->status, "%s", item->message);
    return RA_OK;
}

ra_status registry_load_since(registry *dictionaries, const char *name, uint64_t asked, ra_error *err) {
    entry *item = NULL;
    begin_change(dictionaries);
    ra_status status = look_up(dictionaries, name, &item, err);
    if (status == RA_OK) status = renew_since(dictionaries, item, asked, err);
    pthread_mutex_unlock(&dictionaries->loading);
    return status;
}

ra_status registry_load(registry *dictionaries, const char *name, ra_error *err) {
    return registry_load_since(dictionaries, name, 0, err);
}

ra_status registry_reload_since(registry *dictionaries, const char *name, uint64_t asked, ra_error *err) {
    begin_change(dictionaries);
    entry *item = entries_find(dictionaries, name);
    ra_status status;
    if (!item)
        status = fail_unknown(name, err);
    else if (item->unloaded)
        status = ra_error_set(err, RA_ERR_STATE, "dictionary %s is unloaded; load it instead of reloading it",
                              item->name);
    else
        status = renew_since(dictionaries, item, asked, err);
    pthread_mutex_unlock(&dictionaries->loading);
    return status;
}

ra_status registry_reload(registry *dictionaries, const char *name, ra_error *err) {
    return registry_reload_since(dictionaries, name, 0, err);
}

ra_status registry_unload(registry *dictionaries, const char *name, ra_error *err) {
    begin_change(dictionaries);
    entry *item = entries_find(dictionaries, name);
    if (item) {
        put_in_place(dictionaries, item, NULL);
        ra_log(RA_LOG_INFO, "dictionary %s: unloaded", item->name);
    }
    pthread_mutex_unlock(&dictionaries->loading);
    return item ? RA_OK : fail_unknown(name, err);
}

/* ---- all of them --------------------------------------------------------------------------------------- */

/* Logs a folder that cannot be read once, not at every look. */
static void scan_or_log(registry *dictionaries) {
    ra_error err = {0};
    size_t found;
    bool failed = scan(dictionaries, &found, &err) != RA_OK;
    if (failed && !dictionaries->folder_failed) ra_log(RA_LOG_ERROR, "%s", err.message);
    dictionaries->folder_failed = failed;
}

size_t registry_reload_all(registry *dictionaries) {
    size_t failed = 0;
    begin_change(dictionaries);
    scan_or_log(dictionaries);
    for (size_t i = 0; i < dictionaries->count; i++) {
        entry *item = dictionaries->entries[i];
        if (!item->unloaded) failed += renew(dictionaries, item, NULL) != RA_OK;
    }
    pthread_mutex_unlock(&dictionaries->loading);
    return failed;
}

/* True when the file exists, differs from the one that was opened, and is no longer changing. */
static bool has_changed(entry *item) {
    static const file_stamp none;
    file_stamp now = stamp_of(item->path);
    bool rests = same_file(&now, &item->seen);
    item->seen = now;
    return rests && !same_file(&now, &item->opened) && !same_file(&now, &none);
}

size_t registry_poll(registry *dictionaries) {
    size_t opened = 0;
    begin_change(dictionaries);
    scan_or_log(dictionaries);
    for (size_t i = 0; i < dictionaries->count; i++) {
        entry *item = dictionaries->entries[i];
        bool changed = has_changed(item), again = item->retry && http_now() >= item->retry;
        if (item->unloaded || (!changed && !again)) continue;
        renew(dictionaries, item, NULL);
        opened++;
    }
    pthread_mutex_unlock(&dictionaries->loading);
    return opened;
}
