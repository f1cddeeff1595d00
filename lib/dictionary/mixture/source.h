/* source.h - candidates that are not in memory: read when they are looked at.
 *
 * C then has T rows for each atom, row k T + t being the point in place t of atom k, and behind those a row for
 * each atom that is offered a candidate in a step. Memory does not grow with the number of candidates. */
#ifndef RA_DICTIONARY_MIXTURE_SOURCE_H
#define RA_DICTIONARY_MIXTURE_SOURCE_H

#include "dictionary/mixture/mixture.h"

/* vectors [n,d], backend memory <- candidates with these numbers. */
ra_status ra_mixture_source_read(ra_dictionary *dictionary, const uint64_t *numbers, size_t n, float *vectors,
                                 ra_error *err);

/* Offers `count` atoms from `first` on what price->host_offered names of the loaded chunk. */
ra_status ra_mixture_source_offer(ra_dictionary *dictionary, size_t first, size_t count, ra_error *err);

#endif
