/* entries.h - the table of the registry; private to registry.c (looking up) and load.c (changing).
 *
 * There are two locks. `lock` guards the table and the members of an entry that are marked so; it is held for
 * a few instructions. `loading` makes changes happen one after another; it is held for as long as they take.
 * No thread waits for `loading` while it holds `lock`. Only the thread that holds `loading` writes what
 * `lock` guards, so that thread may read it without `lock`; but any thread may give up a generation that is lost,
 * so `current`, `lost` and `reason` are read with `lock`.
 */
#ifndef RASAED_SERVING_REGISTRY_ENTRIES_H
#define RASAED_SERVING_REGISTRY_ENTRIES_H

#include "serving/device.h"
#include "serving/registry/retired.h"
#include "serving/registry/served.h"

#include <pthread.h>
#include <time.h>

/* Identifies one state of a file. All zero: there is no file. */
typedef struct file_stamp {
    uint64_t device, inode;
    int64_t size;
    struct timespec modified, changed;
} file_stamp;

/* Lives, and stays at its address, as long as the registry: others may point at its name and counters. */
typedef struct entry {
    char *name, *path;
    /* guarded by `lock` */
    served *current; /* NULL: unavailable */
    bool unloaded, lost;
    size_t generation, loads, failures, fallbacks, losses;
    int64_t loaded; /* of the current or last generation, see served.h */
    char reason[REGISTRY_REASON_SIZE];
    /* guarded by `loading` */
    char revision[RA_DIGEST_SIZE]; /* of the current or last generation */
    file_stamp opened;             /* of the file when it was last opened, successfully or not */
    file_stamp seen;               /* of the file at the last registry_poll() */
    uint64_t begun;   /* when the last load began (http_now()); 0: none, or it was unloaded since */
    ra_status status; /* its outcome, and the message for the operator */
    char message[RA_ERROR_MESSAGE_SIZE];
    uint64_t retry, retry_pause; /* when a load that failed for a passing reason is tried again; 0: not */
    /* counters, atomic */
    atomic_size_t requests;
    statistics inference, encoding;
} entry;

typedef struct registry registry; /* registry.h */

struct registry {
    ra_backend *backend;
    ra_backend *cpu; /* guarded by `loading`; for dictionaries that did not fit on the device */
    size_t workspaces;
    device_watch *device;
    ra_sae_settings settings;
    size_t private_below;
    void (*items_of)(const void *context, const char *name, ra_latent_items *items);
    const void *items_context;
    bool verify;
    store *changes;
    char *folder;
    bool folder_failed; /* guarded by `loading`: the folder could not be read, and the log says so */
    retired_list *retired;
    pthread_mutex_t lock, loading;
    entry **entries;
    size_t count, capacity;
};

entry *entry_new(const char *name, const char *path); /* NULL when memory is short */
void entry_free(entry *item);

/* With `lock` held; NULL when there is none. */
entry *entries_named(const registry *dictionaries, const char *name);
entry *entries_at(const registry *dictionaries, size_t i);

/* A reference to what an entry serves, for the caller; NULL when there is none. Takes `lock` itself. */
served *entries_hold(registry *dictionaries, const entry *item);

/* The message for others than the operator: with the name of the file, without its folder. */
void entries_shorten(char *to, size_t size, const char *message, const char *path);

/* Takes `lock` itself; NULL when there is none. */
entry *entries_find(registry *dictionaries, const char *name);

/* Adds a complete entry to the table, which then owns it. False when memory is short. Takes `lock` itself. */
bool entries_append(registry *dictionaries, entry *item);

#endif
