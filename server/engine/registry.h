/* registry.h - the dictionaries that are served, by name, and their replacement while requests run.
 *
 * What a request works on is a `served`: one generation of one dictionary, immutable and reference-counted. A
 * reload opens the file anew, completely aside; only when that worked is one pointer swapped. Requests that
 * began before keep the generation they have, and the last of them frees it. A file that does not open
 * changes nothing: the old generation goes on serving, and the log says why.
 *
 *     registry *dictionaries = NULL;
 *     RA_TRY(registry_new(&options, &dictionaries, err));
 *     RA_TRY(registry_add(dictionaries, "words", "words.safetensors", err));
 *     served *words = registry_acquire(dictionaries, "words");        NULL: no such name
 *     ... ra_model_reconstruct(words->model, ...) ...
 *     served_release(words);
 *
 * Thread safety: any thread may acquire, release and reload at any time; reloads run one after another, and
 * acquiring never waits for one.
 */
#ifndef RASAED_ENGINE_REGISTRY_H
#define RASAED_ENGINE_REGISTRY_H

#include "ra_model.h"

#include <stdatomic.h>

typedef struct registry registry;

typedef struct served {
    const char *name;
    size_t generation; /* 1 when first loaded, one more a reload */
    ra_model *model;
    atomic_size_t *requests;  /* of the dictionary, over all generations */
    atomic_size_t references; /* private */
} served;

typedef struct registry_options {
    ra_backend *backend;      /* retained; NULL: the CPU with one thread */
    ra_sae_settings settings; /* for files whose metadata lacks them; a setting that a file has is its own */
} registry_options;

ra_status registry_new(const registry_options *options, registry **out, ra_error *err);

/* What is still held elsewhere lives on. NULL is fine. */
void registry_free(registry *dictionaries);

/* Opens a file under a name that is not taken yet (RA_ERR_ARGUMENT). */
ra_status registry_add(registry *dictionaries, const char *name, const char *path, ra_error *err);

size_t registry_count(registry *dictionaries);

/* One reference for the caller; NULL when there is no such name. The other goes by position, in the order of
 * adding, NULL past the end. */
served *registry_acquire(registry *dictionaries, const char *name);
served *registry_acquire_at(registry *dictionaries, size_t i);
void served_release(served *dictionary); /* NULL is fine */

ra_status registry_reload(registry *dictionaries, const char *name, ra_error *err);

/* Reloads all of them; returns how many failed. */
size_t registry_reload_all(registry *dictionaries);

/* 1 to 64 letters, digits, dots, dashes and underscores: what a name in a URL may be without encoding. */
bool registry_name_is_good(const char *name);

#endif
