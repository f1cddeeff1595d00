/* fields.h - the parts of atoms that a request asks for with `fields=`, in every reply where an atom appears.
 *
 *     atom_fields fields;
 *     RA_TRY(fields_query(call, ATOM_LABEL, &fields, err));    what the query names, else the label
 *     RA_TRY(fields_read(&fields, atom, err));
 *     json_atom_parts(out, fields.model, atom, fields.parts, &fields.numbers);
 *
 * Thread safety: as in api.h.
 */
#ifndef RASAED_API_FIELDS_H
#define RASAED_API_FIELDS_H

#include "api/api.h"

typedef struct atom_fields {
    const ra_model *model;
    const set_labels *labels; /* those that were set */
    atom_words words;         /* of the atom that was read last, if its label was set */
    row_places places;        /* of the rows of its data */
    unsigned parts;           /* a sum of enum atom_part */
    atom_numbers numbers;     /* of the atom that was read last */
    float *memory;            /* [3 d] of this thread's scratch */
} atom_fields;

/* The parts of `fields=norm,label` or `fields=all`; without that parameter, `fallback`. */
ra_status fields_query(const api_call *call, unsigned fallback, atom_fields *fields, ra_error *err);

/* Reads the numbers of atom < K that are asked for. */
ra_status fields_read(atom_fields *fields, size_t atom, ra_error *err);

#endif
