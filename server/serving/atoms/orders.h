/* orders.h - the atoms of a model by the values of each column.
 *
 *     atom_orders *orders = NULL;
 *     RA_TRY(atom_orders_new(model, &orders, err));
 *     const uint32_t *order = atom_orders_get(orders, energy, true);       the largest first; NULL: by number
 *
 * Equal values come by the number of the atom, unknown ones last, in both directions. A column takes eight bytes an
 * atom, and none where the order is that of the numbers, as when nothing is known.
 *
 * Thread safety: constant after new; the model is only read there.
 */
#ifndef RASAED_SERVING_ATOMS_ORDERS_H
#define RASAED_SERVING_ATOMS_ORDERS_H

#include "serving/atoms/columns.h"

typedef struct atom_orders atom_orders;

ra_status atom_orders_new(const ra_model *model, atom_orders **out, ra_error *err);
void atom_orders_free(atom_orders *orders); /* NULL is fine */

const uint32_t *atom_orders_get(const atom_orders *orders, const atom_column *column, bool falling); /* [K] */
size_t atom_orders_bytes(const atom_orders *orders); /* of memory */

#endif
