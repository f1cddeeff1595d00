/* digest.h - the digest that a file has of itself, between its writer (write.c) and its reader (read.c); digest.c says what
 * it is of. */
#ifndef RA_IO_SAFETENSORS_DIGEST_H
#define RA_IO_SAFETENSORS_DIGEST_H

#include "ra_digest.h"
#include "ra_io.h"
#include "ra_text.h"

enum { RA_SEAL_DIGITS = RA_DIGEST_SIZE - 1 };

/* A part whose digest is known; data NULL: there is none. */
typedef struct ra_seal_known {
    const void *data;
    char digits[RA_DIGEST_SIZE];
} ra_seal_known;

/* digits <- the digest of the digests of the parts. known may be NULL. */
ra_status ra_seal_parts(const ra_bytes *parts, size_t count, const ra_seal_known *known,
                        char digits[RA_DIGEST_SIZE], ra_error *err);

/* Appends the two texts of the metadata, without a comma before or behind them; *place <- where the digits belong. */
void ra_seal_text(ra_text *header, size_t *place);

/* Takes the texts out of the metadata that was read. */
ra_status ra_seal_take(ra_safetensors *file, ra_error *err);

/* Verifies a file that takes less than a tenth of a second. */
ra_status ra_seal_check_small(ra_safetensors *file, ra_error *err);

#endif
