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
#include "codec/gzip.h"
#include "ra_memory.h"

#include <string.h>
#include <strings.h>
#include <zlib.h>

enum {
    LEVEL = 1,
    WINDOW_BITS = 15,
    GZIP_WRAPPER = 16, /* added to the bits of the window: gzip's format instead of zlib's */
    MEMORY_LEVEL = 8,
    FIRST_PIECE = 16 << 10,
    LARGEST_PIECE = 1 << 30 /* zlib counts in unsigned int */
};

static const char *const names[] = {
    [CODING_IDENTITY] = "identity", [CODING_GZIP] = "gzip", [CODING_DEFLATE] = "deflate"};

bool content_coding_from_name(const char *name, content_coding *coding) {
    *coding = CODING_IDENTITY;
    if (!name || !*name) return true;
    if (strcasecmp(name, "x-gzip") == 0) name = names[CODING_GZIP];
    for (int i = CODING_IDENTITY; i <= CODING_DEFLATE; i++) {
        if (strcasecmp(name, names[i]) != 0) continue;
        *coding = (content_coding)i;
        return true;
    }
    return false;
}

const char *content_coding_name(content_coding coding) {
    return names[coding];
}

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

static ra_status out_of_memory(text *out, const char *what, ra_error *err) {
    out->size = 0;
    RA_FAIL(err, RA_ERR_MEMORY, "out of memory while %s a body", what);
}

static void clear(text *out) {
    out->size = 0;
    out->failed = false;
}

static ra_status copy(const void *bytes, size_t size, text *out, ra_error *err) {
    text_append(out, bytes, size);
    return out->failed ? out_of_memory(out, "copying", err) : RA_OK;
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

static ra_status fail_format(content_coding coding, text *plain, const char *how, ra_error *err) {
    plain->size = 0;
    RA_FAIL(err, RA_ERR_FORMAT, "the Content-Encoding of the body is %s, but %s", names[coding], how);
}

static ra_status fail_size(text *plain, size_t limit, ra_error *err) {
    plain->size = 0;
    RA_FAIL(err, RA_ERR_TOO_LARGE, "the unpacked body is larger than the limit of %zu bytes", limit);
}

/* Makes room for one more piece, but never for more than one byte beyond the limit. */
static bool make_room(z_stream *stream, text *plain, size_t limit) {
    size_t piece = plain->size > FIRST_PIECE ? plain->size : FIRST_PIECE;
    if (piece > limit - plain->size) piece = limit - plain->size + 1;
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
        if (!make_room(stream, plain, limit)) return out_of_memory(plain, "unpacking", err);
        unsigned available = stream->avail_out;
        int result = inflate(stream, Z_NO_FLUSH);
        plain->size += available - stream->avail_out;
        if (result == Z_MEM_ERROR) return out_of_memory(plain, "unpacking", err);
        if (plain->size > limit) return fail_size(plain, limit, err);
        bool more = stream->avail_in > 0 || size > 0;
        if (result == Z_STREAM_END)
            return more ? fail_format(coding, plain, "more bytes follow after its end", err) : RA_OK;
        if (result == Z_BUF_ERROR || (result == Z_OK && !more && stream->avail_out > 0))
            return fail_format(coding, plain, "it is truncated", err);
        if (result != Z_OK) return fail_format(coding, plain, "it is not in that format", err);
    }
}

ra_status content_unpack(content_coding coding, const void *packed, size_t size, size_t limit, text *plain,
                         ra_error *err) {
    clear(plain);
    if (coding == CODING_IDENTITY)
        return size > limit ? fail_size(plain, limit, err) : copy(packed, size, plain, err);
    z_stream stream = {.zalloc = take, .zfree = give};
    if (inflateInit2(&stream, window(coding)) != Z_OK) return out_of_memory(plain, "unpacking", err);
    ra_status status = inflate_all(&stream, coding, packed, size, limit, plain, err);
    inflateEnd(&stream);
    return status;
}

/* ---- packing ------------------------------------------------------------------------------------------- */

static ra_status deflate_all(z_stream *stream, const void *plain, size_t size, text *packed, ra_error *err) {
    const unsigned char *at = plain;
    for (int result = Z_OK; result != Z_STREAM_END;) {
        feed(stream, &at, &size);
        size_t piece = packed->size > FIRST_PIECE ? packed->size : FIRST_PIECE;
        if (piece > LARGEST_PIECE) piece = LARGEST_PIECE;
        stream->next_out = (unsigned char *)text_reserve(packed, piece);
        stream->avail_out = (unsigned)piece;
        if (!stream->next_out) return out_of_memory(packed, "packing", err);
        result = deflate(stream, size ? Z_NO_FLUSH : Z_FINISH);
        packed->size += piece - stream->avail_out;
    }
    return RA_OK;
}

ra_status content_pack(content_coding coding, const void *plain, size_t size, text *packed, ra_error *err) {
    clear(packed);
    if (coding == CODING_IDENTITY) return copy(plain, size, packed, err);
    z_stream stream = {.zalloc = take, .zfree = give};
    if (deflateInit2(&stream, LEVEL, Z_DEFLATED, window(coding), MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return out_of_memory(packed, "packing", err);
    ra_status status = deflate_all(&stream, plain, size, packed, err);
    deflateEnd(&stream);
    return status;
}
