#include "io/zip.h"
#include "ra_memory.h"

#include <string.h>
#include <zlib.h>

enum {
    LOCAL = 30,      /* bytes of a local header before its name */
    CENTRAL = 46,    /* bytes of an entry of the central directory before its name */
    END = 22,        /* bytes of the end record, before a comment of up to 65535 bytes */
    END64 = 56,      /* bytes of the zip64 end record */
    LOCATOR = 20,    /* bytes of the zip64 locator, right before the end record */
    ZIP64_EXTRA = 1, /* the extra field with the sizes that do not fit 32 bits */
    STORED = 0,
    DEFLATED = 8,
    ENCRYPTED = 1,
    MOST_RATIO = 1032, /* bytes that deflate makes of one, at most */
};

static const uint32_t unknown_32 = 0xffffffffu;

static uint64_t number(const unsigned char *bytes, int width) {
    uint64_t value = 0;
    for (int i = width; i-- > 0;) value = value << 8 | bytes[i];
    return value;
}

bool ra_zip_is(const void *bytes, size_t size) {
    return size >= 4 && (memcmp(bytes, "PK\x03\x04", 4) == 0 || memcmp(bytes, "PK\x05\x06", 4) == 0);
}

/* ---- the directory ------------------------------------------------------------------------------------- */

typedef struct directory {
    const unsigned char *bytes;
    size_t size; /* of the archive */
    const char *path;
    uint64_t offset, count;
} directory;

#define FAIL(d, err, what) RA_FAIL(err, RA_ERR_FORMAT, "%s is a damaged zip archive: %s", (d)->path, what)

static ra_status find_end(directory *d, ra_error *err) {
    enum { COMMENT_MOST = 65535 };
    size_t tried = 0;
    if (d->size < END) FAIL(d, err, "it is too short");
    size_t at = d->size - END;
    while (memcmp(d->bytes + at, "PK\x05\x06", 4) != 0) {
        if (at == 0 || ++tried > COMMENT_MOST) FAIL(d, err, "it has no directory at its end (was it cut?)");
        at--;
    }
    const unsigned char *end = d->bytes + at;
    d->count = number(end + 10, 2);
    d->offset = number(end + 16, 4);
    if (at < LOCATOR || memcmp(end - LOCATOR, "PK\x06\x07", 4) != 0) return RA_OK;
    uint64_t at64 = number(end - LOCATOR + 8, 8);
    if (at64 > d->size || d->size - at64 < END64 || memcmp(d->bytes + at64, "PK\x06\x06", 4) != 0)
        FAIL(d, err, "its zip64 record is not where it should be");
    d->count = number(d->bytes + at64 + 32, 8);
    d->offset = number(d->bytes + at64 + 48, 8);
    return RA_OK;
}

/* Takes a 64-bit value for each of the fields that hold 0xffffffff, in the order of the format. */
static bool read_extra(const unsigned char *extra, size_t size, uint64_t *const fields[3]) {
    for (size_t at = 0; at + 4 <= size;) {
        size_t length = number(extra + at + 2, 2), used = at + 4;
        if (length > size - used) return false;
        if (number(extra + at, 2) == ZIP64_EXTRA)
            for (int i = 0; i < 3; i++) {
                if (*fields[i] != unknown_32) continue;
                if (used + 8 > at + 4 + length) return false;
                *fields[i] = number(extra + used, 8);
                used += 8;
            }
        at += 4 + length;
    }
    return true;
}

/* Where the data of a member begins: behind its local header, whose name and extra field have their own sizes. */
static ra_status find_data(const directory *d, uint64_t local, ra_zip_member *member, ra_error *err) {
    if (local > d->size || d->size - local < LOCAL || memcmp(d->bytes + local, "PK\x03\x04", 4) != 0)
        FAIL(d, err, "a member is not where the directory says");
    const unsigned char *header = d->bytes + local;
    uint64_t begin = local + LOCAL + number(header + 26, 2) + number(header + 28, 2);
    if (begin > d->size || member->packed > d->size - begin)
        FAIL(d, err, "a member reaches beyond the end of the file");
    member->bytes = d->bytes + begin;
    return RA_OK;
}

static ra_status read_entry(const directory *d, uint64_t *at, ra_zip_member *member, ra_error *err) {
    if (*at > d->size || d->size - *at < CENTRAL || memcmp(d->bytes + *at, "PK\x01\x02", 4) != 0)
        FAIL(d, err, "its directory is cut");
    const unsigned char *entry = d->bytes + *at;
    size_t name = number(entry + 28, 2), extra = number(entry + 30, 2), comment = number(entry + 32, 2);
    uint64_t packed = number(entry + 20, 4), size = number(entry + 24, 4), local = number(entry + 42, 4);
    uint64_t *const fields[3] = {&size, &packed, &local};
    unsigned method = (unsigned)number(entry + 10, 2);
    if (name + extra + comment > d->size - *at - CENTRAL) FAIL(d, err, "its directory is cut");
    if (!read_extra(entry + CENTRAL + name, extra, fields)) FAIL(d, err, "a zip64 field is cut");
    member->name = ra_malloc(name + 1, 1);
    if (!member->name) RA_FAIL_MEMORY(err, "the name of a member of an archive", name + 1);
    memcpy(member->name, entry + CENTRAL, name);
    member->name[name] = '\0';
    if ((number(entry + 8, 2) & ENCRYPTED) || (method != STORED && method != DEFLATED))
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s: %s is %s; expected it stored or deflated", d->path,
                member->name,
                method == STORED || method == DEFLATED ? "encrypted" : "packed by another method");
    member->deflated = method == DEFLATED;
    member->packed = packed;
    member->size = size;
    member->crc = (uint32_t)number(entry + 16, 4);
    if (member->deflated && size / MOST_RATIO > packed)
        FAIL(d, err, "a member promises more bytes than its packed ones can hold");
    if (!member->deflated && packed != size) FAIL(d, err, "a stored member has two sizes");
    *at += CENTRAL + name + extra + comment;
    return find_data(d, local, member, err);
}

ra_status ra_zip_open(const void *bytes, size_t size, const char *path, ra_zip *zip, ra_error *err) {
    directory d = {.bytes = bytes, .size = size, .path = path};
    *zip = (ra_zip){0};
    RA_TRY(find_end(&d, err));
    if (d.count > size / CENTRAL) FAIL(&d, err, "it has more members than fit into it");
    zip->members = ra_calloc(d.count ? d.count : 1, sizeof *zip->members);
    if (!zip->members) RA_FAIL_MEMORY(err, "the members of an archive", d.count * sizeof *zip->members);
    zip->count = d.count;
    for (size_t i = 0; i < zip->count; i++) {
        ra_status status = read_entry(&d, &d.offset, &zip->members[i], err);
        if (status != RA_OK) {
            ra_zip_release(zip);
            return status;
        }
    }
    return RA_OK;
}

void ra_zip_release(ra_zip *zip) {
    for (size_t i = 0; i < zip->count; i++) ra_free(zip->members[i].name);
    ra_free(zip->members);
    *zip = (ra_zip){0};
}

/* ---- members ------------------------------------------------------------------------------------------- */

/* zlib counts in 32 bits: both sides are fed in pieces. False: the data is damaged. */
static bool inflate_into(z_stream *stream, const ra_zip_member *member, unsigned char *out, size_t wanted) {
    enum { PIECE = 1 << 30 };
    size_t in_left = member->packed, out_left = wanted;
    int state = Z_OK;
    stream->next_in = (unsigned char *)(uintptr_t)member->bytes;
    stream->next_out = out;
    while (state == Z_OK && (out_left > 0 || stream->avail_out > 0)) {
        if (stream->avail_in == 0) {
            stream->avail_in = in_left < PIECE ? (uInt)in_left : PIECE;
            in_left -= stream->avail_in;
        }
        if (stream->avail_out == 0) {
            stream->avail_out = out_left < PIECE ? (uInt)out_left : PIECE;
            out_left -= stream->avail_out;
        }
        state = inflate(stream, Z_NO_FLUSH);
    }
    return out_left == 0 && stream->avail_out == 0 && (state == Z_OK || state == Z_STREAM_END);
}

ra_status ra_zip_read(const ra_zip_member *member, const char *path, size_t most, const void **data,
                      size_t *size, void **copy, ra_error *err) {
    *copy = NULL;
    *size = member->size < most ? member->size : most;
    *data = member->bytes;
    if (!member->deflated) return RA_OK;
    unsigned char *out = ra_malloc(*size ? *size : 1, 1);
    if (!out)
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %s in %s takes %zu bytes when it is unpacked",
                member->name, path, *size);
    z_stream stream = {0};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
        ra_free(out);
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: unpacking %s", path);
    }
    bool good = inflate_into(&stream, member, out, *size);
    inflateEnd(&stream);
    if (good && *size == member->size) good = crc32_z(crc32_z(0, NULL, 0), out, *size) == member->crc;
    if (!good) {
        ra_free(out);
        RA_FAIL(err, RA_ERR_FORMAT, "%s is a damaged zip archive: %s cannot be unpacked", path, member->name);
    }
    *data = *copy = out;
    return RA_OK;
}
