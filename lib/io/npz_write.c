/* Writing an npz as numpy.savez does: a zip archive of stored npy files. Sizes are known before a byte is written, so local
 * headers have them. An array or a place beyond 4 GiB gets the 64-bit fields of zip64; the end records of both kinds are
 * written then. */
#include "ra_io.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

enum {
    LOCAL = 30,
    CENTRAL = 46,
    END = 22,
    END64 = 56,
    LOCATOR = 20,
    EXTRA = 28, /* id, length, size, packed size, place */
    NAME_MOST = 100,
    VERSION = 45, /* that of zip64 */
    JANUARY_1980 = 0x21,
};

static const uint64_t full = 0xffffffffu;

typedef struct member {
    char name[NAME_MOST + 5];
    void *header; /* of the npy file; owned */
    size_t header_size;
    uint64_t size, place;
    uint32_t crc;
} member;

typedef struct bytes {
    unsigned char data[CENTRAL + NAME_MOST + 5 + EXTRA];
    size_t size;
} bytes;

static void put(bytes *b, int width, uint64_t value) {
    for (int i = 0; i < width; i++) b->data[b->size++] = (unsigned char)(value >> (8 * i));
}

static void put_text(bytes *b, const char *text) {
    size_t length = strlen(text);
    memcpy(b->data + b->size, text, length);
    b->size += length;
}

/* The fields from the version to the length of the extra field, which both kinds of header have. */
static void put_common(bytes *b, const member *m, bool wide, size_t extra) {
    put(b, 2, VERSION);
    put(b, 2, 0); /* flags */
    put(b, 2, 0); /* stored */
    put(b, 2, 0); /* time */
    put(b, 2, JANUARY_1980);
    put(b, 4, m->crc);
    put(b, 4, wide ? full : m->size);
    put(b, 4, wide ? full : m->size);
    put(b, 2, strlen(m->name));
    put(b, 2, extra);
}

static void local_header(const member *m, bytes *b) {
    bool wide = m->size >= full;
    b->size = 0;
    put(b, 4, 0x04034b50);
    put_common(b, m, wide, wide ? 20 : 0);
    put_text(b, m->name);
    if (!wide) return;
    put(b, 2, 1);
    put(b, 2, 16);
    put(b, 8, m->size);
    put(b, 8, m->size);
}

static void central_header(const member *m, bytes *b) {
    bool wide = m->size >= full || m->place >= full;
    b->size = 0;
    put(b, 4, 0x02014b50);
    put(b, 2, VERSION);
    put_common(b, m, wide, wide ? EXTRA : 0);
    put(b, 2, 0); /* comment */
    put(b, 2, 0); /* disk */
    put(b, 2, 0); /* internal attributes */
    put(b, 4, 0); /* external ones */
    put(b, 4, wide ? full : m->place);
    put_text(b, m->name);
    if (!wide) return;
    put(b, 2, 1);
    put(b, 2, EXTRA - 4);
    put(b, 8, m->size);
    put(b, 8, m->size);
    put(b, 8, m->place);
}

static void end_records(size_t count, uint64_t place, uint64_t size, bytes *b) {
    b->size = 0;
    if (place + size >= full) {
        put(b, 4, 0x06064b50);
        put(b, 8, END64 - 12);
        put(b, 2, VERSION);
        put(b, 2, VERSION);
        put(b, 4, 0);
        put(b, 4, 0);
        put(b, 8, count);
        put(b, 8, count);
        put(b, 8, size);
        put(b, 8, place);
        put(b, 4, 0x07064b50);
        put(b, 4, 0);
        put(b, 8, place + size);
        put(b, 4, 1);
    }
    put(b, 4, 0x06054b50);
    put(b, 4, 0); /* disks */
    put(b, 2, count);
    put(b, 2, count);
    put(b, 4, size < full ? size : full);
    put(b, 4, place < full ? place : full);
    put(b, 2, 0); /* comment */
}

static ra_status describe(const char *name, const ra_tensor *tensor, member *m, ra_error *err) {
    if (strlen(name) > NAME_MOST)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the name of an array may have at most %d bytes, not %zu", NAME_MOST,
                strlen(name));
    snprintf(m->name, sizeof m->name, "%s.npy", name);
    RA_TRY(ra_npy_header(tensor, &m->header, &m->header_size, err));
    size_t size = ra_tensor_bytes(tensor);
    uLong crc = crc32_z(crc32_z(0, NULL, 0), m->header, m->header_size);
    m->crc = (uint32_t)crc32_z(crc, tensor->data, size);
    m->size = m->header_size + size;
    return RA_OK;
}

static ra_status write_members(ra_atomic_file *file, member *members, const ra_tensor *tensors, size_t count,
                               uint64_t *place, ra_error *err) {
    bytes b;
    for (size_t i = 0; i < count; i++) {
        member *m = &members[i];
        m->place = *place;
        local_header(m, &b);
        RA_TRY(ra_atomic_file_write(file, b.data, b.size, err));
        RA_TRY(ra_atomic_file_write(file, m->header, m->header_size, err));
        RA_TRY(ra_atomic_file_write(file, tensors[i].data, ra_tensor_bytes(&tensors[i]), err));
        *place += b.size + m->size;
    }
    return RA_OK;
}

static ra_status write_directory(ra_atomic_file *file, const member *members, size_t count, uint64_t place,
                                 ra_error *err) {
    bytes b;
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        central_header(&members[i], &b);
        RA_TRY(ra_atomic_file_write(file, b.data, b.size, err));
        size += b.size;
    }
    end_records(count, place, size, &b);
    return ra_atomic_file_write(file, b.data, b.size, err);
}

ra_status ra_npz_write(const char *path, const char *const *names, const ra_tensor *tensors, size_t count,
                       ra_error *err) {
    ra_atomic_file *file = NULL;
    uint64_t place = 0;
    ra_status status = RA_OK;
    member *members = ra_calloc(count ? count : 1, sizeof *members);
    if (!members) RA_FAIL_MEMORY(err, "the members of an archive", count * sizeof *members);
    for (size_t i = 0; status == RA_OK && i < count; i++)
        status = describe(names[i], &tensors[i], &members[i], err);
    if (status == RA_OK) status = ra_atomic_file_begin(path, &file, err);
    if (status == RA_OK) status = write_members(file, members, tensors, count, &place, err);
    if (status == RA_OK) status = write_directory(file, members, count, place, err);
    if (status == RA_OK)
        status = ra_atomic_file_commit(file, err);
    else
        ra_atomic_file_abort(file);
    for (size_t i = 0; i < count; i++) ra_free(members[i].header);
    ra_free(members);
    return status;
}
