#include "io/torch/archive.h"
#include "io/zip.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_PICKLE = 16 << 20, /* bytes; the state dict of a model takes some hundred per tensor */
    MOST_KEY = 64,
    LEGACY_LOOK = 32, /* the magic number stands within so many bytes */
    PROTOCOL_VERSION = 1001,
};

/* 0x1950a86a20f9469cfc6c, as a pickle has it. */
static const unsigned char magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
static const char pickle_name[] = "data.pkl";

#define FAIL(a, err, format, ...)                                                                            \
    RA_FAIL(err, RA_ERR_FORMAT, "%s is a damaged PyTorch file: " format, (a)->path, ##__VA_ARGS__)

static bool is_legacy(const void *bytes, size_t size) {
    return size > LEGACY_LOOK && *(const unsigned char *)bytes == 0x80 &&
           memmem(bytes, LEGACY_LOOK, magic, sizeof magic) != NULL;
}

bool ra_torch_is(const void *bytes, size_t size) {
    enum { LOOK = 1 << 12 }; /* torch writes its pickle first */
    return is_legacy(bytes, size) || (ra_zip_is(bytes, size) && memmem(bytes, size < LOOK ? size : LOOK,
                                                                       pickle_name, strlen(pickle_name)));
}

/* ---- the storages that the pickle refers to ------------------------------------------------------------- */

static int compare_texts(const ra_pickle_value *a, const ra_pickle_value *b) {
    uint32_t shorter = a->count < b->count ? a->count : b->count;
    int order = memcmp(a->is.text, b->is.text, shorter);
    return order ? order : (a->count > b->count) - (a->count < b->count);
}

static int compare_storages(const void *a, const void *b) {
    return compare_texts(((const ra_torch_storage *)a)->key, ((const ra_torch_storage *)b)->key);
}

static ra_status describe(const ra_torch_archive *a, const ra_pickle_value *value, ra_torch_storage *storage,
                          ra_error *err) {
    ra_pickle_value *const *part = value->is.storage.id->is.list.items;
    *storage = (ra_torch_storage){.key = part[2], .count = (uint64_t)part[4]->is.integer};
    if (!ra_torch_type_of(part[1], &storage->type)) {
        char name[128];
        RA_FAIL(err, RA_ERR_UNSUPPORTED,
                "%s: its storages are %s; expected torch.FloatStorage or another of torch's", a->path,
                ra_pickle_name(part[1], name, sizeof name) ? name : "of a type that is not known");
    }
    if (part[4]->is.integer < 0 || part[2]->count > MOST_KEY) FAIL(a, err, "it describes a storage wrongly");
    return RA_OK;
}

/* Each storage once, sorted. */
static ra_status list_storages(ra_torch_archive *a, ra_error *err) {
    size_t count = 0, kept = 0;
    for (const ra_pickle_value *at = a->pickle.storages; at; at = at->is.storage.previous) count++;
    a->storages = ra_calloc(count ? count : 1, sizeof *a->storages);
    if (!a->storages) RA_FAIL_MEMORY(err, "the storages of a file", count * sizeof *a->storages);
    for (const ra_pickle_value *at = a->pickle.storages; at; at = at->is.storage.previous)
        RA_TRY(describe(a, at, &a->storages[a->storage_count++], err));
    qsort(a->storages, count, sizeof *a->storages, compare_storages);
    for (size_t i = 0; i < count; i++) {
        ra_torch_storage *last = kept ? &a->storages[kept - 1] : NULL, *next = &a->storages[i];
        bool same = last && compare_storages(last, next) == 0;
        if (same && (last->count != next->count || last->type.name != next->type.name))
            FAIL(a, err, "it describes one storage in two ways");
        if (!same) a->storages[kept++] = *next;
    }
    a->storage_count = kept;
    return RA_OK;
}

static ra_torch_storage *find_storage(const ra_torch_archive *a, const ra_pickle_value *key) {
    const ra_torch_storage wanted = {.key = key};
    return bsearch(&wanted, a->storages, a->storage_count, sizeof *a->storages, compare_storages);
}

const ra_torch_storage *ra_torch_archive_storage(const ra_torch_archive *archive,
                                                 const ra_pickle_value *value) {
    return find_storage(archive, value->is.storage.id->is.list.items[2]);
}

/* ---- the zip archive ------------------------------------------------------------------------------------ */

static int compare_members(const void *a, const void *b) {
    return strcmp(((const ra_zip_member *)a)->name, ((const ra_zip_member *)b)->name);
}

static const ra_zip_member *find_member(const ra_zip *zip, const char *folder, int folder_length,
                                        const char *name) {
    char whole[512];
    int length = snprintf(whole, sizeof whole, "%.*s%s", folder_length, folder, name);
    if (length < 0 || (size_t)length >= sizeof whole) return NULL;
    return bsearch(&(ra_zip_member){.name = whole}, zip->members, zip->count, sizeof *zip->members,
                   compare_members);
}

/* The one member NAME/data.pkl; *folder <- the length of "NAME/". */
static ra_status find_pickle(const ra_torch_archive *a, const ra_zip *zip, const ra_zip_member **found,
                             int *folder, ra_error *err) {
    size_t tail = sizeof pickle_name - 1;
    *found = NULL;
    for (size_t i = 0; i < zip->count; i++) {
        const char *name = zip->members[i].name, *slash = strchr(name, '/');
        if (i > 0 && strcmp(zip->members[i - 1].name, name) == 0)
            FAIL(a, err, "it has two members %.100s", name);
        if (!slash || strcmp(slash + 1, pickle_name) != 0) continue;
        if (*found) FAIL(a, err, "it has two pickles, %.100s and %.100s", (*found)->name, name);
        *found = &zip->members[i];
        *folder = (int)(strlen(name) - tail);
    }
    if (!*found) FAIL(a, err, "it has no %s", pickle_name);
    return RA_OK;
}

static ra_status check_byte_order(const ra_torch_archive *a, const ra_zip_member *order, ra_error *err) {
    static const char little[] = "little";
    if (!order || (!order->deflated && order->size == sizeof little - 1 &&
                   memcmp(order->bytes, little, order->size) == 0))
        return RA_OK;
    RA_FAIL(
        err, RA_ERR_UNSUPPORTED,
        "%s was written on a machine that puts the high byte first; expected a file of a little-endian one",
        a->path);
}

static ra_status place_members(ra_torch_archive *a, const ra_zip *zip, const char *folder, int folder_length,
                               ra_error *err) {
    for (size_t i = 0; i < a->storage_count; i++) {
        ra_torch_storage *storage = &a->storages[i];
        char name[MOST_KEY + 8];
        uint64_t bytes;
        snprintf(name, sizeof name, "data/%.*s", (int)storage->key->count, storage->key->is.text);
        const ra_zip_member *member = find_member(zip, folder, folder_length, name);
        if (!member) FAIL(a, err, "the member %s is missing", name);
        if (member->deflated)
            RA_FAIL(err, RA_ERR_UNSUPPORTED,
                    "%s: its member %s is packed, but torch.save stores them; unzip the archive and zip it "
                    "with -0",
                    a->path, name);
        if (__builtin_mul_overflow(storage->count, storage->type.size, &bytes) || bytes != member->size)
            FAIL(a, err, "its member %s has %zu bytes, but its pickle says %llu numbers of %zu", name,
                 member->size, (unsigned long long)storage->count, storage->type.size);
        storage->bytes = member->bytes;
        storage->size = member->size;
    }
    return RA_OK;
}

/* Copies bytes of the file, so that a later write to it does not change them. */
static ra_status copy_pickle(ra_torch_archive *a, const void *bytes, size_t size, ra_error *err) {
    a->copy = ra_malloc(size ? size : 1, 1);
    if (!a->copy) RA_FAIL_MEMORY(err, "the pickle of a file", size);
    memcpy(a->copy, bytes, size);
    return RA_OK;
}

static ra_status open_members(ra_torch_archive *a, ra_zip *zip, ra_error *err) {
    const ra_zip_member *pickle;
    int folder = 0;
    size_t used;
    if (zip->count) qsort(zip->members, zip->count, sizeof *zip->members, compare_members);
    RA_TRY(find_pickle(a, zip, &pickle, &folder, err));
    if (find_member(zip, pickle->name, folder, "constants.pkl"))
        RA_FAIL(err, RA_ERR_UNSUPPORTED,
                "%s is a TorchScript archive, a program; save the state_dict() of the module with torch.save "
                "instead",
                a->path);
    RA_TRY(check_byte_order(a, find_member(zip, pickle->name, folder, "byteorder"), err));
    if (pickle->deflated) FAIL(a, err, "its pickle is packed");
    if (pickle->size > MOST_PICKLE)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "%s: its pickle has %zu bytes; expected at most %d", a->path,
                pickle->size, MOST_PICKLE);
    RA_TRY(copy_pickle(a, pickle->bytes, pickle->size, err));
    RA_TRY(ra_pickle_read(&a->pickle, a->copy, pickle->size, &used, &a->root, err));
    RA_TRY(list_storages(a, err));
    return place_members(a, zip, pickle->name, folder, err);
}

static ra_status open_zip(ra_torch_archive *a, const void *bytes, ra_error *err) {
    ra_zip zip;
    RA_TRY(ra_zip_open(bytes, a->size, a->path, &zip, err));
    ra_status status = open_members(a, &zip, err);
    ra_zip_release(&zip);
    return status;
}

/* ---- the legacy format ---------------------------------------------------------------------------------- */

static ra_status check_start(const ra_torch_archive *a, const ra_pickle_value *number,
                             const ra_pickle_value *version, const ra_pickle_value *machine, ra_error *err) {
    if (!ra_pickle_is(number, RA_PICKLE_LONG) || number->count != sizeof magic ||
        memcmp(number->is.text, magic, sizeof magic) != 0)
        FAIL(a, err, "it does not begin with the magic number");
    if (!ra_pickle_is(version, RA_PICKLE_INTEGER) || version->is.integer != PROTOCOL_VERSION)
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s is a PyTorch file of another version than %d", a->path,
                PROTOCOL_VERSION);
    const ra_pickle_value *little = ra_pickle_member(machine, "little_endian");
    if (!ra_pickle_is(little, RA_PICKLE_BOOL) || !little->is.truth)
        RA_FAIL(err, RA_ERR_UNSUPPORTED,
                "%s was written on a machine that puts the high byte first; expected a file of a "
                "little-endian one",
                a->path);
    return RA_OK;
}

/* The storages lie one after the other, in the order of the keys. */
static ra_status place_in_order(ra_torch_archive *a, const ra_pickle_value *keys, const unsigned char *bytes,
                                size_t at, ra_error *err) {
    enum { COUNT = 8 };
    if (!ra_pickle_is(keys, RA_PICKLE_LIST)) FAIL(a, err, "it has no list of storages");
    for (uint32_t i = 0; i < keys->count; i++) {
        const ra_pickle_value *key = keys->is.list.items[i];
        ra_torch_storage *storage = ra_pickle_is(key, RA_PICKLE_TEXT) ? find_storage(a, key) : NULL;
        uint64_t count = 0, size;
        if (!storage || storage->bytes) FAIL(a, err, "its list of storages does not fit its pickle");
        if (a->size - at < COUNT) FAIL(a, err, "it is cut");
        for (int b = COUNT; b-- > 0;) count = count << 8 | bytes[at + (size_t)b];
        at += COUNT;
        if (count != storage->count || __builtin_mul_overflow(count, storage->type.size, &size) ||
            size > a->size - at)
            FAIL(a, err, "storage %u has %llu elements, of which the file does not hold all", i,
                 (unsigned long long)storage->count);
        storage->bytes = bytes + at;
        storage->size = size;
        at += size;
    }
    for (size_t i = 0; i < a->storage_count; i++)
        if (!a->storages[i].bytes) FAIL(a, err, "it lacks a storage that its pickle refers to");
    return RA_OK;
}

static ra_status open_legacy(ra_torch_archive *a, const void *bytes, ra_error *err) {
    enum { NUMBER, VERSION, MACHINE, OBJECT, KEYS, PICKLES };
    const ra_pickle_value *values[PICKLES];
    size_t size = a->size < MOST_PICKLE ? a->size : MOST_PICKLE, at = 0, used;
    RA_TRY(copy_pickle(a, bytes, size, err));
    for (int i = 0; i < PICKLES; i++) {
        RA_TRY(ra_pickle_read(&a->pickle, (const char *)a->copy + at, size - at, &used, &values[i], err));
        at += used;
        if (i == MACHINE) RA_TRY(check_start(a, values[NUMBER], values[VERSION], values[MACHINE], err));
    }
    a->root = values[OBJECT];
    RA_TRY(list_storages(a, err));
    return place_in_order(a, values[KEYS], bytes, at, err);
}

/* ---- life ----------------------------------------------------------------------------------------------- */

ra_status ra_torch_archive_open(ra_torch_archive *archive, const void *bytes, size_t size, const char *path,
                                ra_error *err) {
    *archive = (ra_torch_archive){.path = path, .size = size, .pickle = {.path = path}};
    return is_legacy(bytes, size) ? open_legacy(archive, bytes, err) : open_zip(archive, bytes, err);
}

void ra_torch_archive_release(ra_torch_archive *archive) {
    ra_pickle_release(&archive->pickle);
    ra_free(archive->copy);
    ra_free(archive->storages);
    *archive = (ra_torch_archive){0};
}
