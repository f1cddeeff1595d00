/* labels.h - which atoms have which label: their own, those of their archetypes, and those of their rows (of the trace,
 * and those on which the latent is strongest).
 *
 *     atom_labels *labels = NULL;
 *     RA_TRY(atom_labels_new(model, &labels, err));
 *     RA_TRY(atom_labels_find(labels, "red tele", bits, err));
 *
 * Many atoms share a label, so each is in the index of words (state/words.h) once.
 *
 * Ownership: the model must outlive it. Thread safety: any number of threads may search at the same time.
 */
#ifndef RASAED_SERVING_ATOMS_LABELS_H
#define RASAED_SERVING_ATOMS_LABELS_H

#include "ra_model.h"

typedef enum atom_label_kind {
    ATOM_LABEL_OWN,
    ATOM_LABEL_ARCHETYPE,
    ATOM_LABEL_ROW,
    ATOM_LABEL_KINDS
} atom_label_kind;

typedef struct atom_labels atom_labels;

ra_status atom_labels_new(const ra_model *model, atom_labels **out, ra_error *err);
void atom_labels_free(atom_labels *labels); /* NULL is fine */

/* Sets a bit in found[kind] (bit atom % 64 of word atom / 64) for each atom that has a label of that kind which matches the
 * query as words_find() says. */
ra_status atom_labels_find(const atom_labels *labels, const char *query,
                           uint64_t *const found[ATOM_LABEL_KINDS], ra_error *err);

size_t atom_labels_count(const atom_labels *labels); /* different labels */
size_t atom_labels_bytes(const atom_labels *labels); /* of memory */

#endif
