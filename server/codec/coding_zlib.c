/* zlib behind two functions.
 *
 * The level: replies are shortest decimals, whose digits are almost random, so that searching harder for
 * repetitions finds few. Measured on a page of 100 atoms of 384 numbers with their archetypes (499 KB), with
 * Debian 12's zlib on one core of a server:
 *
 *     level   MB/s   of the size
 *         1    102        0.443
 *         2     79        0.438
 *         6     17        0.393
 *         9    5.5        0.388
 *
 * Level 1 has six times the speed of zlib's default level for five percent of the size. A client so near that
 * 100 MB/s is slow does not ask for gzip, or uses the binary forms, which are smaller than any of these and
 * cost nothing.
 *
 * zlib takes its memory from the one allocator, like everything else, so that tests can make it fail.
 */
#include "codec/coding_parts.h"
#include "ra_memory.h"

#include <zlib.h>

enum {
    LEVEL = 1,
    WINDOW_BITS = 15,
    GZIP_WRAPPER = 16, /* added to the bits of the window: gzip's format instead of zlib's */
    MEMORY_LEVEL = 8,
    LARGEST_PIECE = 1 << 30 /* zlib counts in unsigned int */
};

static void *take(void *unused, unsigned count, unsigned size) {
    (void)unused;
    return ra_malloc(count, size);
}

static void give(void *unused, void *block) {
    (void)unused;
    ra_free(block);
}

static int window(content_coding coding) {
    return coding == CODING_GZIP ? WINDOW_BITS + GZIP_WRAPPER : WINDOW_BITS;
}

/* Gives zlib the next bytes, as many as it can count. */
static void feed(z_stream *stream, const unsigned char **at, size_t *left) {
    if (stream->avail_in) return;
    size_t piece = *left < LARGEST_PIECE ? *left : LARGEST_PIECE;
    stream->next_in = (unsigned char *)*at; /* zlib does not write there */
    stream->avail_in = (unsigned)piece;
    *at += piece;
    *left -= piece;
}

/* ---- unpacking ----------------------------------------------------------------------------------------- */

static bool make_room(z_stream *stream, text *plain, size_t limit) {
    size_t piece = coding_next_piece(plain, limit);
    if (piece > LARGEST_PIECE) piece = LARGEST_PIECE;
    stream->next_out = (unsigned char *)text_reserve(plain, piece);
    stream->avail_out = (unsigned)piece;
    return stream->next_out != NULL;
}

static ra_status inflate_all(z_stream *stream, content_coding coding, const void *packed, size_t size,
                             size_t limit, text *plain, ra_error *err) {
    const unsigned char *at = packed;
    for (;;) {
        feed(stream, &at, &size);
        if (!make_room(stream, plain, limit)) return coding_fail_memory(plain, "unpacking", err);
        unsigned available = stream->avail_out;
        int result = inflate(stream, Z_NO_FLUSH);
        plain->size += available - stream->avail_out;
        if (result == Z_MEM_ERROR) return coding_fail_memory(plain, "unpacking", err);
        if (plain->size > limit) return coding_fail_size(plain, limit, err);
        bool more = stream->avail_in > 0 || size > 0;
        if (result == Z_STREAM_END)
            return more ? coding_fail_format(coding, plain, "more bytes follow after its end", err) : RA_OK;
        if (result == Z_BUF_ERROR || (result == Z_OK && !more && stream->avail_out > 0))
            return coding_fail_format(coding, plain, "it is truncated", err);
        if (result != Z_OK) return coding_fail_format(coding, plain, "it is not in that format", err);
    }
}

ra_status zlib_unpack(content_coding coding, const void *packed, size_t size, size_t limit, text *plain,
                      ra_error *err) {
    z_stream stream = {.zalloc = take, .zfree = give};
    if (inflateInit2(&stream, window(coding)) != Z_OK) return coding_fail_memory(plain, "unpacking", err);
    ra_status status = inflate_all(&stream, coding, packed, size, limit, plain, err);
    inflateEnd(&stream);
    return status;
}

/* ---- packing ------------------------------------------------------------------------------------------- */

static ra_status deflate_all(z_stream *stream, const void *plain, size_t size, text *packed, ra_error *err) {
    const unsigned char *at = plain;
    for (int result = Z_OK; result != Z_STREAM_END;) {
        feed(stream, &at, &size);
        size_t piece = packed->size > CODING_FIRST_PIECE ? packed->size : CODING_FIRST_PIECE;
        if (piece > LARGEST_PIECE) piece = LARGEST_PIECE;
        stream->next_out = (unsigned char *)text_reserve(packed, piece);
        stream->avail_out = (unsigned)piece;
        if (!stream->next_out) return coding_fail_memory(packed, "packing", err);
        result = deflate(stream, size ? Z_NO_FLUSH : Z_FINISH);
        packed->size += piece - stream->avail_out;
    }
    return RA_OK;
}

ra_status zlib_pack(content_coding coding, const void *plain, size_t size, text *packed, ra_error *err) {
    z_stream stream = {.zalloc = take, .zfree = give};
    if (deflateInit2(&stream, LEVEL, Z_DEFLATED, window(coding), MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return coding_fail_memory(packed, "packing", err);
    ra_status status = deflate_all(&stream, plain, size, packed, err);
    deflateEnd(&stream);
    return status;
}
