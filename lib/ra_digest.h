/* ra_digest.h - a name for the content of a block of bytes: 128 bits, as 32 hexadecimal digits.
 *
 *     char digest[RA_DIGEST_SIZE];
 *     ra_digest(D->data, ra_tensor_bytes(D), digest);          "9b1c7a0e4f..."
 *
 * The same bytes give the same digest on every machine, in every version; different bytes give different ones
 * unless somebody looks for a collision on purpose. It tells versions of a file apart (entity tags, cache
 * keys), at the speed of memory; it is no signature. Thread safety: no state.
 *
 * Source: XXH3, 128 bits, of xxHash, whose output is fixed since version 0.8.0.
 */
#ifndef RA_DIGEST_H
#define RA_DIGEST_H

#include <stddef.h>

enum { RA_DIGEST_SIZE = 33 }; /* with the NUL */

void ra_digest(const void *bytes, size_t size, char digest[RA_DIGEST_SIZE]);

#endif
