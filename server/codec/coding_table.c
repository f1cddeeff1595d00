#include "codec/coding_parts.h"
#include "codec/problems.h"

#include <string.h>
#include <strings.h>

/* ---- failures ------------------------------------------------------------------------------------------ */

ra_status coding_fail_memory(text *out, const char *doing, ra_error *err) {
    out->size = 0;
    RA_FAIL(err, RA_ERR_MEMORY, "out of memory while %s a body", doing);
}

ra_status coding_fail_format(content_coding coding, text *out, const char *how, ra_error *err) {
    out->size = 0;
    RA_FAIL(err, RA_ERR_FORMAT, "the Content-Encoding of the body is %s, but %s", content_coding_name(coding),
            how);
}

ra_status coding_fail_size(text *out, size_t limit, ra_error *err) {
    out->size = 0;
    RA_FAIL_FACTS(err, RA_ERR_TOO_LARGE, (.kind = PROBLEM_BODY_TOO_LARGE, PROBLEM_LIMIT(limit)),
                  "the unpacked body is larger than the limit of %zu bytes", limit);
}

size_t coding_next_piece(const text *plain, size_t limit) {
    size_t piece = plain->size > CODING_FIRST_PIECE ? plain->size : CODING_FIRST_PIECE;
    return piece > limit - plain->size ? limit - plain->size + 1 : piece;
}

/* ---- the table ----------------------------------------------------------------------------------------- */

static ra_status copy(const void *bytes, size_t size, text *out, ra_error *err) {
    text_append(out, bytes, size);
    return out->failed ? coding_fail_memory(out, "copying", err) : RA_OK;
}

static ra_status copy_back(content_coding coding, const void *packed, size_t size, size_t limit, text *plain,
                           ra_error *err) {
    (void)coding;
    return size > limit ? coding_fail_size(plain, limit, err) : copy(packed, size, plain, err);
}

static ra_status copy_out(content_coding coding, const void *plain, size_t size, text *packed,
                          ra_error *err) {
    (void)coding;
    return copy(plain, size, packed, err);
}

static const struct {
    const char *name, *alias; /* alias: an older name, NULL: none */
    ra_status (*unpack)(content_coding coding, const void *packed, size_t size, size_t limit, text *plain,
                        ra_error *err);
    ra_status (*pack)(content_coding coding, const void *plain, size_t size, text *packed, ra_error *err);
} codings[CODING_COUNT] = {
    [CODING_IDENTITY] = {"identity", "", copy_back, copy_out},
    [CODING_DEFLATE] = {"deflate", NULL, zlib_unpack, zlib_pack},
    [CODING_GZIP] = {"gzip", "x-gzip", zlib_unpack, zlib_pack},
    [CODING_ZSTD] = {"zstd", NULL, zstd_unpack, zstd_pack},
};

bool content_coding_from_name(const char *name, content_coding *coding) {
    *coding = CODING_IDENTITY;
    if (!name) return true;
    for (int i = 0; i < CODING_COUNT; i++) {
        bool other = !codings[i].alias || strcasecmp(name, codings[i].alias) != 0;
        if (strcasecmp(name, codings[i].name) != 0 && other) continue;
        *coding = (content_coding)i;
        return true;
    }
    return false;
}

const char *content_coding_name(content_coding coding) {
    return codings[coding].name;
}

static void clear(text *out) {
    out->size = 0;
    out->failed = false;
}

ra_status content_unpack(content_coding coding, const void *packed, size_t size, size_t limit, text *plain,
                         ra_error *err) {
    clear(plain);
    return codings[coding].unpack(coding, packed, size, limit, plain, err);
}

ra_status content_pack(content_coding coding, const void *plain, size_t size, text *packed, ra_error *err) {
    clear(packed);
    return codings[coding].pack(coding, plain, size, packed, err);
}
