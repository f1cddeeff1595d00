/* registry.h - the dictionaries that are served, by name, and their replacement while requests run.
 *
 * What a request works on is a `served`: one generation of one dictionary, immutable and reference-counted. A
 * reload opens the file anew, completely aside; only when that worked is one pointer swapped. Requests that
 * began before keep the generation they have, and the last of them frees it. A file that does not open
 * changes nothing: the old generation goes on serving, the log says why, and registry_status_of() keeps it.
 *
 *     registry *dictionaries = NULL;
 *     RA_TRY(registry_new(&options, &dictionaries, err));
 *     RA_TRY(registry_add(dictionaries, "words", "words.safetensors", err));
 *     served *words = registry_acquire(dictionaries, "words");        NULL: no such name, or not loaded
 *     ... ra_model_reconstruct(words->model, ...) ...
 *     served_release(words);
 *
 * A dictionary has a name from the moment it is known, and a generation while it is loaded: one that was
 * unloaded, or whose file in the folder has not opened yet, is known and unavailable. Names are never
 * forgotten, generations of a name only grow.
 *
 * No path ever comes from outside: a name leads to the file that the operator gave, or, with a folder, to
 * FOLDER/NAME.safetensors; names have no slashes.
 *
 * A dictionary for which the device of the options has no memory is served by the CPU beside it, unless its
 * generation before is on the device: that one then goes on serving, as after any load that fails. While it
 * is loaded a new generation lies beside the old one.
 *
 * Thread safety: any thread may call any of these at any time, but for new and free; loads run one after
 * another, and acquiring never waits for one.
 */
#ifndef RASAED_SERVING_REGISTRY_REGISTRY_H
#define RASAED_SERVING_REGISTRY_REGISTRY_H

#include "serving/device.h"
#include "telemetry/statistics.h"
#include "ra_model.h"

#include <stdatomic.h>

typedef struct registry registry;

typedef struct served {
    const char *name;
    size_t generation; /* 1 when first loaded, one more a reload */
    ra_model *model;
    bool beside;              /* on the CPU, because the device had no memory for it */
    atomic_size_t *requests;  /* of the dictionary, over all generations */
    statistics *inference;    /* likewise */
    atomic_size_t references; /* private */
} served;

typedef struct registry_options {
    ra_backend *backend;      /* retained; NULL: the CPU with one thread */
    size_t workspaces;        /* of ra_model_options */
    device_watch *device;     /* told of loads that the device failed at; NULL: nobody is */
    ra_sae_settings settings; /* for files whose metadata lacks them; a setting that a file has is its own */
    const char *folder;       /* copied; every NAME.safetensors in it may be served. NULL: none */
} registry_options;

ra_status registry_new(const registry_options *options, registry **out, ra_error *err);

/* What is still held elsewhere lives on. NULL is fine. */
void registry_free(registry *dictionaries);

/* Opens a file under a name that is not taken yet (RA_ERR_ARGUMENT). On failure the name is not known. */
ra_status registry_add(registry *dictionaries, const char *name, const char *path, ra_error *err);

/* Opens all files of the folder whose names are not taken. One that does not open is known, unavailable, and
 * in the log; it is a failure when the folder cannot be read, or has files and not one of them opens. */
ra_status registry_add_folder(registry *dictionaries, ra_error *err);

/* 
 * ---- using ---------------------------------------------------------------------------------------------- */

/* One reference for the caller; NULL when there is no such name or it is not loaded. The other goes by
 * position, in the order of adding: NULL for one that is not loaded, and past the end. */
served *registry_acquire(registry *dictionaries, const char *name);
served *registry_acquire_at(registry *dictionaries, size_t i);
served *served_retain(served *dictionary);
void served_release(served *dictionary); /* NULL is fine */

/* How many names are known, loaded or not. */
size_t registry_count(registry *dictionaries);

enum { REGISTRY_REASON_SIZE = RA_ERROR_MESSAGE_SIZE };

typedef struct registry_status {
    const char *name;                  /* lives as long as the registry */
    bool ready;                        /* loaded: requests are answered */
    bool unloaded;                     /* taken out on purpose; only a load brings it back */
    size_t generation;                 /* the last one that was loaded; 0: none yet */
    size_t failures;                   /* loads that failed */
    size_t fallbacks;                  /* loads for which the device had no memory, so that the CPU serves */
    char reason[REGISTRY_REASON_SIZE]; /* why the last load failed, with the file's name but not its folder;
                                        * "" when it worked */
} registry_status;

/* False, *status untouched, when there is none. */
bool registry_status_of(registry *dictionaries, const char *name, registry_status *status);
bool registry_status_at(registry *dictionaries, size_t i, registry_status *status);

/* 
 * ---- changing ------------------------------------------------------------------------------------------- */

/* Opens the file of a name anew, whether it is loaded or not; a name that is not known is looked for in the
 * folder. RA_ERR_NOT_FOUND for a name that leads to no file; other failures are those of the file. The
 * sentence is for the operator and names the path; registry_status_of() has one for others. */
ra_status registry_load(registry *dictionaries, const char *name, ra_error *err);

/* The same for a name that is loaded or has failed to; RA_ERR_STATE when it was unloaded. */
ra_status registry_reload(registry *dictionaries, const char *name, ra_error *err);

/* Makes a dictionary unavailable until it is loaded; requests that hold it go on. */
ra_status registry_unload(registry *dictionaries, const char *name, ra_error *err);

/* Reloads all that were not unloaded, and opens what is new in the folder; returns how many failed. */
size_t registry_reload_all(registry *dictionaries);

/* Reloads those whose files have changed since they were last opened and have stayed the same since the last
 * call, so that a file that is still being written is left alone; new files of the folder likewise. Returns
 * how many it opened, or tried to. */
size_t registry_poll(registry *dictionaries);

/* 1 to 64 letters, digits, dots, dashes and underscores: what a name in a URL may be without encoding. */
bool registry_name_is_good(const char *name);

#endif
