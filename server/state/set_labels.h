/* set_labels.h - the labels of one dictionary that were set while serving, as they are at one moment.
 *
 *     const set_label *own = set_labels_at(labels, 5);        NULL: what the file says holds
 *     printf("%s\n", own->label);
 *
 * Every change makes a new one, in memory, so that a reply never waits for the database (store.h).
 *
 * Ownership: reference-counted. Thread safety: it does not change; any thread may retain and release.
 */
#ifndef RASAED_STATE_SET_LABELS_H
#define RASAED_STATE_SET_LABELS_H

#include "ra_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct set_label {
    size_t atom;
    const char *label;       /* never empty; NULL in a change: back to that of the file */
    const char *explanation; /* NULL: there is none */
    const char *source;      /* who or what said it; NULL: unknown */
    double score;            /* NaN: unknown */
    int64_t change;          /* the number of the change; never the same twice */
    int64_t time;            /* in seconds since 1970 */
} set_label;

typedef struct set_labels set_labels;

/* Copies the texts. items: by rising atom. */
ra_status set_labels_new(const set_label *items, size_t count, set_labels **out, ra_error *err);
set_labels *set_labels_retain(set_labels *labels); /* NULL is fine, as for all of these: no label is set */
void set_labels_release(set_labels *labels);

size_t set_labels_count(const set_labels *labels);
const set_label *set_labels_item(const set_labels *labels, size_t i);  /* by rising atom */
const set_label *set_labels_at(const set_labels *labels, size_t atom); /* NULL: none is set */
int64_t set_labels_change(const set_labels *labels);                   /* of the last one; 0: none */

/* Calls found(context, atom) for each atom whose set label matches (words.h). The index is made by the first search. */
ra_status set_labels_find(set_labels *labels, const char *query, void (*found)(void *context, size_t atom),
                          void *context, ra_error *err);

#endif
