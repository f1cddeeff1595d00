/* zip.h - the members of a zip archive in memory: stored or deflated, also beyond 4 GiB (zip64).
 *
 * A member is found in the central directory at the end, which has the sizes that a writer may leave out of the
 * local headers. Encrypted archives and those of several parts are refused. */
#ifndef RA_IO_ZIP_H
#define RA_IO_ZIP_H

#include "ra_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ra_zip_member {
    char *name;
    const unsigned char *bytes; /* as they are in the archive */
    size_t packed, size;        /* there, and unpacked */
    bool deflated;
    uint32_t crc;
} ra_zip_member;

typedef struct ra_zip {
    ra_zip_member *members;
    size_t count;
} ra_zip;

bool ra_zip_is(const void *bytes, size_t size);

/* The bytes must outlive it. */
ra_status ra_zip_open(const void *bytes, size_t size, const char *path, ra_zip *zip, ra_error *err);
void ra_zip_release(ra_zip *zip);

/* *data <- the first `most` bytes of the member, or all: in the archive itself if they are stored, otherwise in
 * *copy, which the caller frees with ra_free(). A whole member must have its checksum. */
ra_status ra_zip_read(const ra_zip_member *member, const char *path, size_t most, const void **data,
                      size_t *size, void **copy, ra_error *err);

#endif
