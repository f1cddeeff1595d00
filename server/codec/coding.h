/* coding.h - packs and unpacks bodies: the content codings gzip and deflate (zlib's format), through zlib, and zstd,
 * through libzstd.
 *
 *     content_coding coding;
 *     if (!content_coding_from_name(header, &coding)) ...                 unknown: 415
 *     text plain = {0};
 *     RA_TRY(content_unpack(coding, body, size, max_body, &plain, err));  RA_ERR_TOO_LARGE: a bomb
 *
 * Unpacking never takes more than `limit` bytes, whatever the packed body claims: it inflates piece by piece,
 * and the first byte beyond the limit ends it.
 *
 * Ownership: the text is the caller's. Errors: RA_ERR_FORMAT (not of this coding, truncated, or followed by
 * other bytes), RA_ERR_TOO_LARGE, RA_ERR_MEMORY; after any of them the text is empty. Thread safety: no
 * state. Source: RFC 9110 section 8.4.1; RFC 1950, 1951, 1952; RFC 8878 and, for the window, 9659.
 */
#ifndef RASAED_CODEC_CODING_H
#define RASAED_CODEC_CODING_H

#include "app/text.h"
#include "ra_status.h"

/* The better one for replies comes later. */
typedef enum content_coding {
    CODING_IDENTITY,
    CODING_DEFLATE,
    CODING_GZIP,
    CODING_ZSTD,
    CODING_COUNT
} content_coding;

/* The value of Content-Encoding, in any case; NULL and "" are identity. False for any other coding, and for
 * several on top of each other. */
bool content_coding_from_name(const char *name, content_coding *coding);
const char *content_coding_name(content_coding coding); /* "gzip" */

/* *plain, cleared first, <- the unpacked bytes. Identity copies. */
ra_status content_unpack(content_coding coding, const void *packed, size_t size, size_t limit, text *plain,
                         ra_error *err);

/* *packed, cleared first, <- the packed bytes, which depend only on the input. Identity copies. The only
 * error is RA_ERR_MEMORY. */
ra_status content_pack(content_coding coding, const void *plain, size_t size, text *packed, ra_error *err);

#endif
