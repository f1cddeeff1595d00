/* store.h - what changes while serving and is kept: labels of atoms, and named lists of them. One database in the directory
 * of --state (database.h), keyed by the digest of a dictionary's numbers.
 *
 *     store *kept = NULL;
 *     RA_TRY(store_new("/var/lib/rasaed", &kept, err));
 *     store_slot *slot;
 *     RA_TRY(store_slot_of(kept, digest, &slot, err));
 *     set_labels *now = store_labels(slot);
 *     set_labels_release(now);
 *     store_free(kept);
 *
 * Reading labels never touches the database: each slot has them in memory, and a change puts new ones in their place before
 * it returns. What another process changes is seen within STORE_LOOK_MS. A database that cannot be used stops changes alone:
 * labels stay what they were, and the store looks again every STORE_LOOK_MS whether it can be opened.
 *
 * Thread safety: any thread may call any function, except new and free; all but store_labels() may wait for a disk, so none
 * of these is for an I/O thread.
 */
#ifndef RASAED_STATE_STORE_H
#define RASAED_STATE_STORE_H

#include "state/set_labels.h"

enum { STORE_LOOK_MS = 250 };

typedef struct store store;
typedef struct store_slot store_slot; /* lives as long as the store */

/* Whether the directory can be used; makes it if it is missing. */
ra_status store_check(const char *folder, ra_error *err);

/* RA_ERR_MEMORY alone: a database that cannot be opened goes to the log. */
ra_status store_new(const char *folder, store **out, ra_error *err);
void store_free(store *kept); /* NULL is fine */

/* The slot of a dictionary; RA_ERR_MEMORY. */
ra_status store_slot_of(store *kept, const char *digest, store_slot **out, ra_error *err);

/* A reference for the caller; NULL: none is set. slot may be NULL. */
set_labels *store_labels(store_slot *slot);

/* ---- changes; all or nothing, and on the disk when they return ----------------------------------------- */

/* Whether a change may happen, given what is there now: `change` is its number, 0 where there is nothing. */
typedef bool store_condition(void *context, int64_t change);

/* Sets labels, or with a NULL label takes one back. *held <- false if the condition, which may be NULL, refused. */
ra_status store_set_labels(store_slot *slot, const set_label *items, size_t count, store_condition *holds,
                           void *context, bool *held, ra_error *err);

/* ---- lists --------------------------------------------------------------------------------------------- */

typedef struct store_list {
    const char *name, *description; /* description NULL: there is none */
    const uint32_t *atoms;          /* [count] */
    size_t count;
    int64_t change, time;
} store_list;

/* Calls take() for each list by name, or for the one that is named; what it gets lives until it returns. */
ra_status store_read_lists(store_slot *slot, const char *name,
                           void (*take)(void *context, const store_list *list), void *context, ra_error *err);

/* *change <- the number of the change. most: lists that a dictionary may have; RA_ERR_TOO_LARGE beyond. */
ra_status store_put_list(store_slot *slot, const store_list *list, size_t most, store_condition *holds,
                         void *context, bool *held, int64_t *change, ra_error *err);
ra_status store_delete_list(store_slot *slot, const char *name, store_condition *holds, void *context,
                            bool *held, bool *found, ra_error *err);

#endif
