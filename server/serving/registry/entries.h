/* registry_entries.h - what registry.c (looking up) and registry_load.c (changing) share; nobody else.
 *
 * Two locks. `lock` guards the table and all of an entry that is marked so, and is held for a few
 * instructions; `loading` makes changes happen one after another and is held for as long as they take. Nobody
 * waits for `loading` while holding `lock`. Only the holder of `loading` writes what `lock` guards, so he may
 * read it without.
 */
#ifndef RASAED_SERVING_REGISTRY_ENTRIES_H
#define RASAED_SERVING_REGISTRY_ENTRIES_H

#include "serving/registry/registry.h"

#include <pthread.h>
#include <time.h>

/* What tells one state of a file from another. All zero: there is no file. */
typedef struct file_stamp {
    uint64_t device, inode;
    int64_t size;
    struct timespec modified, changed;
} file_stamp;

/* Never moves and never goes before the registry does, so that names and counters can be pointed at. */
typedef struct entry {
    char *name, *path;
    /* under `lock` */
    served *current; /* NULL: unavailable */
    bool unloaded;
    size_t generation, failures, fallbacks;
    char reason[REGISTRY_REASON_SIZE];
    /* under `loading` */
    file_stamp opened; /* as the file was when it was last opened, well or not */
    file_stamp seen;   /* as registry_poll() last saw it */
    /* counters of their own */
    atomic_size_t requests;
    statistics inference;
} entry;

struct registry {
    ra_backend *backend;
    ra_backend *cpu; /* under `loading`: beside a device, once a dictionary did not fit there */
    size_t workspaces;
    device_watch *device;
    ra_sae_settings settings;
    char *folder;
    bool folder_failed; /* under `loading`: the last look at it failed, and the log says so */
    pthread_mutex_t lock, loading;
    entry **entries;
    size_t count, capacity;
};

/* NULL when there is none; takes the lock for a moment. */
entry *registry_find(registry *dictionaries, const char *name);
entry *registry_entry_at(registry *dictionaries, size_t i);

/* Puts a complete entry into the table, which owns it then. False when memory is short. */
bool registry_append(registry *dictionaries, entry *item);

entry *registry_entry_new(const char *name, const char *path); /* NULL when memory is short */
void registry_entry_free(entry *item);

#endif
