/* registry.h - the dictionaries that are served, by name, and their replacement while requests run.
 *
 * A request works on a `served` (served.h): one generation of one dictionary, immutable and
 * reference-counted. A reload opens the file again, completely aside, and swaps one pointer only if that
 * worked. Requests that began before keep their generation, and the last of them frees it. A file that does
 * not open changes nothing: the old generation keeps serving, and the log and registry_status_of() have the
 * reason.
 *
 *     registry *dictionaries = NULL;
 *     RA_TRY(registry_new(&options, &dictionaries, err));
 *     RA_TRY(registry_add(dictionaries, "words", "words.safetensors", err));
 *     served *words = registry_acquire(dictionaries, "words");        NULL: no such name, or not loaded
 *     ... ra_model_reconstruct(words->model, ...) ...
 *     served_release(words);
 *
 * A dictionary has a name from the moment it is known, and a generation while it is loaded: a dictionary that
 * was unloaded, or whose file in the folder has not opened yet, is known and unavailable. Names are never
 * forgotten, and the generations of a name only grow.
 *
 * A generation that reads its file in a mapping is lost when somebody writes the file in place: the thread that
 * notices gives it up, so that nobody gets numbers from it any more. The other dictionaries go on.
 *
 * Paths never come from requests: a name leads to the file that the operator gave, or, with a folder, to
 * FOLDER/NAME.safetensors; names have no slashes.
 *
 * When the device has no memory for a dictionary, the CPU serves it, unless its previous generation is on the
 * device: then that one keeps serving, as after any load that fails. While a new generation loads, the old
 * one stays in memory.
 *
 * Thread safety: any thread may call any function at any time, except new and free. Loads run one after
 * another, and acquiring never waits for one.
 */
#ifndef RASAED_SERVING_REGISTRY_REGISTRY_H
#define RASAED_SERVING_REGISTRY_REGISTRY_H

#include "serving/device.h"
#include "serving/registry/served.h"

typedef struct registry registry;

typedef struct registry_options {
    ra_backend *backend;      /* retained; NULL: the CPU with one thread */
    size_t workspaces;        /* of ra_model_options */
    device_watch *device;     /* told when the device fails at a load; may be NULL */
    ra_sae_settings settings; /* for files whose metadata lacks them; a setting in a file always wins */
    size_t private_below;     /* of ra_model_options */
    /* The shape of the items of a dictionary, where the operator gave one; else *items stays. NULL: he gave none. */
    void (*items_of)(const void *context, const char *name, ra_latent_items *items);
    const void *items_context; /* lives longer than the registry */
    store *changes;     /* what is kept of dictionaries; lives longer than the registry. NULL: nothing is */
    bool verify;        /* likewise */
    const char *folder; /* copied; every NAME.safetensors in it may be served. NULL: none */
} registry_options;

ra_status registry_new(const registry_options *options, registry **out, ra_error *err);

/* Generations that others hold stay alive. NULL is fine. */
void registry_free(registry *dictionaries);

/* Opens a file under a new name (RA_ERR_ARGUMENT when it is taken). On failure the name stays unknown. */
ra_status registry_add(registry *dictionaries, const char *name, const char *path, ra_error *err);

/* Opens the files of the folder whose names are not taken. A file that does not open is known, unavailable,
 * and in the log. Fails when the folder cannot be read, or when it has files and none of them opens. */
ra_status registry_add_folder(registry *dictionaries, ra_error *err);

/* ---- using --------------------------------------------------------------------------------------------- */

/* A reference for the caller; NULL when there is no such name or it is not loaded. The second one goes by
 * number, in the order of adding; NULL also past the end. */
served *registry_acquire(registry *dictionaries, const char *name);
served *registry_acquire_at(registry *dictionaries, size_t i);

/* Gives up a generation whose file has changed while it served (ra_model_check()): the dictionary is unavailable
 * until it is loaded or reloaded. Logs `why`, once; does nothing if another generation serves by now. */
void registry_lose(registry *dictionaries, const served *dictionary, const char *why);

/* The one whose scan takes longest: the most numbers in its dictionary. */
served *registry_acquire_largest(registry *dictionaries);

/* How many names are known, loaded or not. */
size_t registry_count(registry *dictionaries);

typedef struct registry_status {
    const char *name;  /* lives as long as the registry */
    bool ready;        /* loaded, so requests are answered */
    bool unloaded;     /* on purpose; only a load brings it back */
    bool lost;         /* its file changed while it was served */
    size_t generation; /* the last one that was loaded; 0: none yet */
    int64_t loaded;    /* when, in seconds since 1970; 0: never */
    size_t loads;      /* that worked */
    size_t failures;   /* those that failed */
    size_t losses;     /* generations that were lost */
    size_t fallbacks;  /* loads that the CPU serves because the device had no memory */
    char reason
        [REGISTRY_REASON_SIZE]; /* why the last load failed, with the name of the file without its folder;
                                        * "" when it worked */
} registry_status;

/* False when there is none; then *status is untouched. */
bool registry_status_of(registry *dictionaries, const char *name, registry_status *status);
bool registry_status_at(registry *dictionaries, size_t i, registry_status *status);

/* ---- changing ------------------------------------------------------------------------------------------ */

/* Opens the file of a name, loaded or not; an unknown name is looked up in the folder. RA_ERR_NOT_FOUND for a
 * name without a file; other errors are those of the file. The message is for the operator and names the
 * path; registry_status_of() has one for others. */
ra_status registry_load(registry *dictionaries, const char *name, ra_error *err);

/* The same for a name that is known; RA_ERR_STATE when it was unloaded. */
ra_status registry_reload(registry *dictionaries, const char *name, ra_error *err);

/* The same for one who asked at this moment (http_now()): a load that began later has read the file as he wants it, so its
 * outcome is his, too, and the file is not opened once more. */
ra_status registry_load_since(registry *dictionaries, const char *name, uint64_t asked, ra_error *err);
ra_status registry_reload_since(registry *dictionaries, const char *name, uint64_t asked, ra_error *err);

/* Makes a dictionary unavailable until it is loaded; requests that hold it go on. */
ra_status registry_unload(registry *dictionaries, const char *name, ra_error *err);

/* Reloads every dictionary that was not unloaded, and opens new files of the folder; returns how many
 * failed. */
size_t registry_reload_all(registry *dictionaries);

/* Reloads the dictionaries whose files have changed since they were opened and have not changed since the
 * last call, so that a file that is still being written is left alone; likewise new files of the folder.
 * A load that failed for want of memory, of a descriptor or of the device, or because the file could not be read,
 * is tried again, after a second and then less and less often, up to once per minute. Returns how many it opened or
 * tried to open. */
size_t registry_poll(registry *dictionaries);

/* ---- giving back --------------------------------------------------------------------------------------- */

/* From now on the last holder of a generation leaves its memory to the one who is told here, by any thread that must not
 * wait, and who calls registry_free_retired() soon. NULL: the last holder gives it back itself, as at first. */
void registry_on_retired(registry *dictionaries, void (*tell)(void *context), void *context);
size_t registry_free_retired(registry *dictionaries); /* returns how many generations */

/* 1 to 64 letters, digits, dots, dashes and underscores: these need no encoding in a URL. */
bool registry_name_is_good(const char *name);

#endif
