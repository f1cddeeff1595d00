/* coding_parts.h - the codings one by one, for coding_table.c. The arguments are those of content_unpack() and
 * content_pack(), the text is empty.
 *
 * Thread safety: no state. */
#ifndef RASAED_CODEC_CODING_PARTS_H
#define RASAED_CODEC_CODING_PARTS_H

#include "codec/coding.h"

enum { CODING_FIRST_PIECE = 16 << 10 };

ra_status zlib_unpack(content_coding coding, const void *packed, size_t size, size_t limit, text *plain,
                      ra_error *err);
ra_status zlib_pack(content_coding coding, const void *plain, size_t size, text *packed, ra_error *err);

ra_status zstd_unpack(content_coding coding, const void *packed, size_t size, size_t limit, text *plain,
                      ra_error *err);
ra_status zstd_pack(content_coding coding, const void *plain, size_t size, text *packed, ra_error *err);

/* ---- failures; each empties the text ---- */

/* how: "it is truncated" */
ra_status coding_fail_format(content_coding coding, text *out, const char *how, ra_error *err);
ra_status coding_fail_size(text *out, size_t limit, ra_error *err);
ra_status coding_fail_memory(text *out, const char *doing, ra_error *err); /* doing: "unpacking" */

/* How many bytes to make room for next: as many as there are, but never more than one beyond the limit. */
size_t coding_next_piece(const text *plain, size_t limit);

#endif
