/* columns.h - what is known of every atom as a number: the columns that atoms are sorted by and tables consist of.
 *
 *     const atom_column *energy = atom_column_named("energy", 6);
 *     double value = energy->value(model, 12);                    NaN: unknown
 *
 * Thread safety: constant data.
 */
#ifndef RASAED_SERVING_ATOMS_COLUMNS_H
#define RASAED_SERVING_ATOMS_COLUMNS_H

#include "ra_model.h"

typedef struct atom_column {
    const char *name;
    bool whole;                                          /* its values are whole numbers */
    double (*value)(const ra_model *model, size_t atom); /* atom < K */
} atom_column;

enum { ATOM_COLUMNS = 15 };
extern const atom_column atom_columns[ATOM_COLUMNS];

/* NULL: there is none of this name. */
const atom_column *atom_column_named(const char *name, size_t size);

#endif
