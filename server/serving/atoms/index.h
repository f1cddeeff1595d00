/* index.h - the atoms of a model as a table that one can query: by their labels, by what is measured of them, in the order
 * of a column.
 *
 *     atom_index *index = NULL;
 *     RA_TRY(atom_index_new(model, &index, err));                      once per generation
 *     atom_query query = {.text = "tele", .sort = atom_column_named("energy", 6), .falling = true, .limit = 20};
 *     RA_TRY(atom_index_find(index, &query, scratch, atoms, NULL, &count, &total, err));
 *
 * Ownership: the model must outlive it. Thread safety: any number of threads may query at the same time.
 */
#ifndef RASAED_SERVING_ATOMS_INDEX_H
#define RASAED_SERVING_ATOMS_INDEX_H

#include "serving/atoms/columns.h"
#include "serving/atoms/labels.h"
#include "state/set_labels.h"

typedef struct atom_index atom_index;

ra_status atom_index_new(const ra_model *model, atom_index **out, ra_error *err);
void atom_index_free(atom_index *index); /* NULL is fine */

size_t atom_index_bytes(const atom_index *index); /* of memory */

typedef enum atom_dead { ATOM_DEAD_OR_NOT, ATOM_DEAD, ATOM_NOT_DEAD } atom_dead;

/* {0} with a limit: all atoms, by number. */
typedef struct atom_query {
    set_labels *labels; /* that were set, which take the place of the atoms' own; NULL: none */
    const char *text;   /* of labels (words_find()); NULL: any */
    const atom_column
        *sort; /* NULL: with a text those that have it as their own label come first, then those whose
                              * archetypes have it, then those whose rows have it, each by number; without: by number */
    bool falling;
    double min_frequency; /* 0: any; atoms without statistics have none */
    atom_dead dead;       /* never active on the data that was measured */
    bool has_point;
    size_t point;         /* one of the atom's archetypes; N or more: no atom has it */
    size_t offset, limit; /* of those that match */
} atom_query;

/* A query computes in so many numbers of memory. */
size_t atom_index_scratch(const atom_index *index);

/* The set of those that match, as bits (bit k % 64 of word k / 64) in the first words of scratch, atom_index_scratch()
 * numbers; *total <- how many. Fails as atom_index_find() does. */
ra_status atom_index_match(const atom_index *index, const atom_query *query, uint64_t *scratch, size_t *total,
                           ra_error *err);

/* scratch: atom_index_scratch() numbers. atoms [limit] <- those of the page, *count of them; *total <- how many match. found, if not NULL: [limit] <- where the text
 * of each was found, the first of its kinds. RA_ERR_STATE when the query needs statistics, provenance or labels that the file
 * lacks; RA_ERR_ARGUMENT for a text that words_find() refuses. */
ra_status atom_index_find(const atom_index *index, const atom_query *query, uint64_t *scratch, size_t *atoms,
                          atom_label_kind *found, size_t *count, size_t *total, ra_error *err);

#endif
