/* The digest that a file has of itself, in two texts of its metadata:
 *
 *     rasae.digest_kind   xxh3-128
 *     rasae.digest        32 hexadecimal digits
 *
 * It is the digest of the digests of the parts, in their order: of the file from its first byte to the end of the header,
 * where zeros stand for the 32 digits, and of each tensor that is not empty. The texts are not part of what a reader of the
 * file sees, so they are in no copy of its metadata. One of them without the other tells that the header was damaged. */
#include "io/safetensors/digest.h"
#include "io/safetensors/safetensors.h"
#include "ra_digest.h"
#include "ra_memory.h"

#include <stdlib.h>
#include <string.h>

enum { DIGITS = RA_DIGEST_SIZE - 1, PREFIX = 8, VERIFIED_BELOW = 128 << 20 };
_Static_assert((int)DIGITS == (int)RA_SEAL_DIGITS, "a digest and its place have one length");

static const char kind_key[] = "rasae.digest_kind", kind[] = "xxh3-128", digest_key[] = "rasae.digest",
                  before_digits[] = "\"rasae.digest\":\"", zeros[] = "00000000000000000000000000000000";

/* ---- the digest of the parts --------------------------------------------------------------------------- */

ra_status ra_seal_parts(const ra_bytes *parts, size_t count, const ra_seal_known *known,
                        char digits[RA_DIGEST_SIZE], ra_error *err) {
    size_t used = 0;
    char *digests = ra_malloc(count, RA_DIGEST_SIZE), one[RA_DIGEST_SIZE];
    if (!digests) RA_FAIL_MEMORY(err, "the digest of a file", count * RA_DIGEST_SIZE);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size == 0) continue;
        bool is_known = known && known->data == parts[i].data;
        if (!is_known) ra_digest(parts[i].data, parts[i].size, one);
        memcpy(digests + used, is_known ? known->digits : one, DIGITS);
        used += DIGITS;
    }
    ra_digest(digests, used, digits);
    ra_free(digests);
    return RA_OK;
}

void ra_seal_text(ra_text *header, size_t *place) {
    ra_text_add(header, "\"");
    ra_text_add(header, kind_key);
    ra_text_add(header, "\":\"");
    ra_text_add(header, kind);
    ra_text_add(header, "\",");
    ra_text_add(header, before_digits);
    *place = header->size;
    ra_text_add(header, zeros);
    ra_text_add(header, "\"");
}

/* ---- reading ------------------------------------------------------------------------------------------- */

/* Takes a text out of the list; NULL: there is none. The caller frees it. */
static char *take_text(ra_safetensors *file, const char *key) {
    for (size_t i = 0; i < file->text_count; i++) {
        ra_safetensors_text *at = &file->texts[i];
        if (strcmp(at->key, key) != 0) continue;
        char *text = at->text;
        ra_free(at->key);
        memmove(at, at + 1, (--file->text_count - i) * sizeof *at);
        return text;
    }
    return NULL;
}

static ra_status fail_damaged(const ra_safetensors *file, const char *how, ra_error *err) {
    RA_FAIL(err, RA_ERR_FORMAT,
            "%s is damaged: %s; copy or make the file again, or, if it was changed on purpose, write it "
            "without the metadata "
            "%s and %s",
            file->path, how, digest_key, kind_key);
}

ra_status ra_seal_take(ra_safetensors *file, ra_error *err) {
    char *named = take_text(file, kind_key), *digits = take_text(file, digest_key);
    ra_status status = RA_OK;
    if (!named != !digits)
        status = fail_damaged(file, "its header has a part of a digest", err);
    else if (named && strcmp(named, kind) != 0)
        status = ra_error_set(
            err, RA_ERR_FORMAT,
            "%s has a digest of the kind \"%.32s\", expected %s; it is damaged, or newer than this version",
            file->path, named, kind);
    else if (digits && (strlen(digits) != DIGITS || strspn(digits, "0123456789abcdef") != DIGITS))
        status = fail_damaged(file, "the digest in its header has other characters than a digest has", err);
    else if (digits)
        memcpy(file->digest, digits, RA_DIGEST_SIZE);
    file->integrity = file->digest[0] ? RA_INTEGRITY_UNVERIFIED : RA_INTEGRITY_UNKNOWN;
    ra_free(named);
    ra_free(digits);
    return status;
}

static int by_begin(const void *a, const void *b) {
    const ra_bytes *first = a, *second = b;
    return first->data < second->data ? -1 : first->data > second->data;
}

/* parts <- the header with zeros, which is `header`, and the tensors as they lie in the file. */
static void list_parts(const ra_safetensors *file, const char *header, size_t size, ra_bytes *parts) {
    const char *data = (const char *)file->mapping.data + size;
    parts[0] = (ra_bytes){header, size};
    for (size_t i = 0; i < file->count; i++) {
        const ra_safetensors_entry *entry = &file->entries[i];
        parts[i + 1] = (ra_bytes){data + entry->begin, entry->end - entry->begin};
    }
    if (file->count) qsort(parts + 1, file->count, sizeof *parts, by_begin);
}

static ra_status compare(const ra_safetensors *file, char *header, size_t size, ra_error *err) {
    char digits[RA_DIGEST_SIZE];
    char *place = memmem(header, size, before_digits, sizeof before_digits - 1);
    if (place) place += sizeof before_digits - 1;
    if (!place || (size_t)(header + size - place) < DIGITS || memcmp(place, file->digest, DIGITS) != 0)
        return fail_damaged(file, "the digest is not where its writer puts it", err);
    memcpy(place, zeros, DIGITS);
    ra_bytes *parts = ra_malloc(file->count + 1, sizeof *parts);
    if (!parts) RA_FAIL_MEMORY(err, "the parts of a file", (file->count + 1) * sizeof *parts);
    list_parts(file, header, size, parts);
    ra_status status = ra_seal_parts(parts, file->count + 1, NULL, digits, err);
    ra_free(parts);
    if (status != RA_OK) return status;
    if (strcmp(digits, file->digest) != 0)
        return fail_damaged(file, "its content does not have the digest that it was written with", err);
    return RA_OK;
}

ra_status ra_safetensors_verify(ra_safetensors *file, ra_error *err) {
    if (file->integrity != RA_INTEGRITY_UNVERIFIED) return RA_OK;
    size_t size = PREFIX + file->header_size;
    char *header = ra_malloc(size, 1);
    if (!header) RA_FAIL_MEMORY(err, "the header of a file", size);
    memcpy(header, file->mapping.data, size);
    ra_status status = compare(file, header, size, err);
    if (status == RA_OK) file->integrity = RA_INTEGRITY_VERIFIED;
    ra_free(header);
    return status;
}

ra_status ra_seal_check_small(ra_safetensors *file, ra_error *err) {
    return file->mapping.size <= VERIFIED_BELOW ? ra_safetensors_verify(file, err) : RA_OK;
}

ra_integrity ra_safetensors_integrity(const ra_safetensors *file) {
    return file->integrity;
}
