/* ra_digest.h - a name for the content of some bytes: 128 bits, as 32 hexadecimal digits.
 *
 *     char digest[RA_DIGEST_SIZE];
 *     ra_digest(x, rows * d * sizeof *x, digest); // "9b1c7a0e4f..."
 *
 * The same bytes give the same digest on every machine and in every version; different bytes give different
 * digests unless a collision is constructed on purpose. It tells versions of a file apart (entity tags, cache
 * keys), at the speed of memory; it is not a signature. Thread safety: no state.
 *
 * Source: the 128-bit XXH3 of xxHash, whose output has been fixed since version 0.8.0.
 */
#ifndef RA_DIGEST_H
#define RA_DIGEST_H

#include <stddef.h>

enum { RA_DIGEST_SIZE = 33 }; /* with the NUL */

void ra_digest(const void *bytes, size_t size, char digest[RA_DIGEST_SIZE]);

/* The same digest, of one part after the other; `done` is told of each that has been read. */
void ra_digest_in_parts(const void *bytes, size_t size, void (*done)(const void *part, size_t size),
                        char digest[RA_DIGEST_SIZE]);

#endif
