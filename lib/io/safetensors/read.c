/* Opening a safetensors file:
 *
 *     bytes 0..7      N, little-endian        at most the size of the file and MOST_HEADER
 *     bytes 8..8+N    the header, JSON        header.c
 *     the rest        the data                every byte belongs to exactly one tensor
 *
 * The last rule is the reference implementation's: in order, the ranges must follow each other without gaps
 * and overlaps and end with the file. It reveals truncation and leaves no room for hidden data.
 *
 * This reader adds one rule: a tensor must lie at a multiple of its element size, because views are read as
 * arrays of that type. Writers that sort by element size (the reference's, and write.c) comply; those that
 * keep the order of a state dict comply as long as everything is float32, but put an 8-byte counter
 * (num_batches_tracked) at a multiple of 4. So a misaligned I64 or F64 only fails when it is read; any other
 * misaligned tensor makes the file fail. */
#include "io/safetensors/safetensors.h"
#include "io/extent.h"
#include "ra_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PREFIX = 8, /* bytes of N */
    MOST_HEADER = 100 * 1000 * 1000,
};

/* ---- framing ------------------------------------------------------------------------------------------- */

static ra_status find_header(const ra_safetensors *file, ra_json_span *header, ra_error *err) {
    const unsigned char *bytes = file->mapping.data;
    size_t size = file->mapping.size;
    if (size == 0) RA_FAIL(err, RA_ERR_FORMAT, "%s is empty, not a safetensors file", file->path);
    if (size < PREFIX + 2)
        RA_FAIL(err, RA_ERR_FORMAT, "%s has %zu bytes, but a safetensors file has at least %d", file->path,
                size, PREFIX + 2);
    uint64_t length = 0;
    for (int i = PREFIX - 1; i >= 0; i--) length = length << 8 | bytes[i];
    if (size >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0)
        RA_FAIL(err, RA_ERR_FORMAT, "%s is a NumPy array (.npy), expected a safetensors file", file->path);
    if (length > size - PREFIX && bytes[PREFIX] != '{')
        RA_FAIL(err, RA_ERR_FORMAT, "%s is not a safetensors file", file->path);
    if (length > size - PREFIX)
        RA_FAIL(err, RA_ERR_FORMAT,
                "%s announces a header of %llu bytes, but only %zu follow: "
                "it is truncated or not a safetensors file",
                file->path, (unsigned long long)length, size - PREFIX);
    if (length > MOST_HEADER)
        RA_FAIL(err, RA_ERR_FORMAT, "%s has a header of %llu bytes, but at most %d are possible", file->path,
                (unsigned long long)length, MOST_HEADER);
    if (length < 2 || bytes[PREFIX] != '{')
        RA_FAIL(err, RA_ERR_FORMAT, "%s is not a safetensors file: its header does not begin with a brace",
                file->path);
    *header = (ra_json_span){(const char *)bytes + PREFIX, (size_t)length};
    if (!ra_utf8_valid(header->text, header->size))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: the header is not valid UTF-8", file->path);
    return RA_OK;
}

/* ---- layout -------------------------------------------------------------------------------------------- */

static int compare_positions(const void *a, const void *b) {
    const ra_safetensors_entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

static int compare_entries(const void *a, const void *b) {
    const ra_safetensors_entry *x = a, *y = b;
    if (!x->foreign != !y->foreign) return x->foreign ? 1 : -1;
    return compare_positions(a, b);
}

/* The readable tensors first, then the foreign ones, each kind by position. */
static void sort_entries(ra_safetensors *file) {
    if (file->count) qsort(file->entries, file->count, sizeof *file->entries, compare_entries);
    while (file->readable < file->count && !file->entries[file->readable].foreign) file->readable++;
}

/* Every byte of the data belongs to exactly one tensor. */
static ra_status check_tiling(const ra_safetensors *file, size_t data_size, ra_error *err) {
    const ra_safetensors_entry *readable = file->entries, *foreign = file->entries + file->readable;
    const ra_safetensors_entry *readable_end = foreign, *foreign_end = file->entries + file->count;
    const char *previous = "";
    size_t covered = 0;
    while (readable < readable_end || foreign < foreign_end) { /* both kinds, merged by position */
        bool take_readable =
            foreign == foreign_end || (readable < readable_end && compare_positions(readable, foreign) < 0);
        const ra_safetensors_entry *entry = take_readable ? readable++ : foreign++;
        if (entry->end > data_size)
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: tensor \"%s\" ends at byte %zu of the data, but the file holds %zu bytes of it",
                    file->path, entry->name, entry->end, data_size);
        if (entry->begin < covered)
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: tensor \"%s\" overlaps \"%s\": it begins at byte %zu of the data, before byte %zu",
                    file->path, entry->name, previous, entry->begin, covered);
        if (entry->begin > covered)
            RA_FAIL(err, RA_ERR_FORMAT, "%s: bytes %zu to %zu of the data belong to no tensor", file->path,
                    covered, entry->begin);
        covered = entry->end;
        previous = entry->name;
    }
    if (covered < data_size)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: the tensors cover %zu bytes of data, but the file holds %zu",
                file->path, covered, data_size);
    return RA_OK;
}

static bool is_misaligned(const ra_safetensors_entry *entry, size_t data_offset) {
    return entry->end > entry->begin &&
           (data_offset + entry->begin) % ra_dtype_size(entry->tensor.dtype) != 0;
}

/* Makes misaligned tensors of 8-byte elements foreign. */
static ra_status set_counters_apart(ra_safetensors *file, size_t data_offset, ra_error *err) {
    for (size_t i = 0; i < file->count; i++) {
        ra_safetensors_entry *entry = &file->entries[i];
        const ra_tensor *tensor = &entry->tensor;
        char text[RA_SHAPE_TEXT_SIZE + 64], shape[RA_SHAPE_TEXT_SIZE];
        if (entry->foreign || ra_dtype_size(tensor->dtype) < 8 || !is_misaligned(entry, data_offset))
            continue;
        snprintf(text, sizeof text, "%s %s at byte %zu", ra_dtype_name(tensor->dtype),
                 ra_shape_text(tensor->rank, tensor->shape, shape, sizeof shape), data_offset + entry->begin);
        entry->foreign = ra_strdup(text);
        entry->refusal = RA_ERR_FORMAT;
        if (!entry->foreign) RA_FAIL_MEMORY(err, "the description of a tensor", strlen(text) + 1);
    }
    return RA_OK;
}

/* Points every readable tensor into the mapping. */
static ra_status set_views(ra_safetensors *file, size_t data_offset, ra_error *err) {
    const char *base = file->mapping.data;
    for (size_t i = 0; i < file->readable; i++) {
        ra_safetensors_entry *entry = &file->entries[i];
        size_t offset = data_offset + entry->begin;
        ra_dtype dtype = entry->tensor.dtype;
        if (is_misaligned(entry, data_offset))
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: tensor \"%s\" is misaligned: it begins at byte %zu of the file, which is not a "
                    "multiple of the %zu bytes of an %s",
                    file->path, entry->name, offset, ra_dtype_size(dtype), ra_dtype_name(dtype));
        /* An empty view points to the start of the mapping, where every type is aligned. */
        entry->tensor.data = base + (entry->end > entry->begin ? offset : 0);
    }
    return RA_OK;
}

/* ---- names --------------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b) {
    return strcmp(((const ra_safetensors_position *)a)->name, ((const ra_safetensors_position *)b)->name);
}

/* Sorts the list; returns a name that occurs twice, or NULL. */
static const char *sort_names(ra_safetensors_position *names, size_t count) {
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 1; i < count; i++)
        if (strcmp(names[i - 1].name, names[i].name) == 0) return names[i].name;
    return NULL;
}

static const ra_safetensors_position *look_up(const ra_safetensors_position *names, size_t count,
                                              const char *name) {
    return bsearch(&(ra_safetensors_position){name, 0}, names, count, sizeof *names, compare_names);
}

static ra_status index_names(ra_safetensors *file, ra_error *err) {
    file->names = ra_malloc(file->count, sizeof *file->names);
    file->keys = ra_malloc(file->text_count, sizeof *file->keys);
    if (!file->names || !file->keys)
        RA_FAIL_MEMORY(err, "the names in a file", (file->count + file->text_count) * sizeof *file->names);
    for (size_t i = 0; i < file->count; i++)
        file->names[i] = (ra_safetensors_position){file->entries[i].name, i};
    for (size_t i = 0; i < file->text_count; i++)
        file->keys[i] = (ra_safetensors_position){file->texts[i].key, i};
    const char *twice = sort_names(file->names, file->count);
    if (twice)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: two tensors have the name \"%s\" (without the prefix module.)",
                file->path, twice);
    twice = sort_names(file->keys, file->text_count);
    if (twice) RA_FAIL(err, RA_ERR_FORMAT, "%s: __metadata__ holds \"%s\" twice", file->path, twice);
    return RA_OK;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static ra_status load(ra_safetensors *file, ra_error *err) {
    ra_json_span header = {NULL, 0};
    RA_TRY(ra_mapping_open(file->path, &file->mapping, err));
    RA_TRY(find_header(file, &header, err));
    RA_TRY(ra_safetensors_parse_header(file, header, err));
    size_t data_offset = PREFIX + header.size;
    RA_TRY(set_counters_apart(file, data_offset, err));
    sort_entries(file);
    RA_TRY(index_names(file, err));
    RA_TRY(check_tiling(file, file->mapping.size - data_offset, err));
    return set_views(file, data_offset, err);
}

ra_status ra_safetensors_open(const char *path, ra_safetensors **out, ra_error *err) {
    ra_safetensors *file = ra_calloc(1, sizeof *file);
    if (!file) RA_FAIL_MEMORY(err, "an opened file", sizeof *file);
    file->path = ra_strdup(path);
    ra_status status =
        file->path ? load(file, err) : ra_error_set(err, RA_ERR_MEMORY, "out of memory: the name of a file");
    if (status != RA_OK) {
        ra_safetensors_free(file);
        return status;
    }
    *out = file;
    return RA_OK;
}

void ra_safetensors_free(ra_safetensors *file) {
    if (!file) return;
    for (size_t i = 0; i < file->count; i++) {
        ra_free(file->entries[i].name);
        ra_free(file->entries[i].foreign);
    }
    for (size_t i = 0; i < file->text_count; i++) {
        ra_free(file->texts[i].key);
        ra_free(file->texts[i].text);
    }
    ra_free(file->entries);
    ra_free(file->texts);
    ra_free(file->names);
    ra_free(file->keys);
    ra_mapping_close(&file->mapping);
    ra_free(file->path);
    ra_free(file);
}

/* ---- queries ------------------------------------------------------------------------------------------- */

const char *ra_safetensors_path(const ra_safetensors *file) {
    return file->path;
}

size_t ra_safetensors_count(const ra_safetensors *file) {
    return file->readable;
}

const char *ra_safetensors_name(const ra_safetensors *file, size_t i) {
    return i < file->readable ? file->entries[i].name : NULL;
}

const ra_tensor *ra_safetensors_at(const ra_safetensors *file, size_t i) {
    return i < file->readable ? &file->entries[i].tensor : NULL;
}

const char *ra_safetensors_foreign(const ra_safetensors *file, size_t i, const char **description) {
    if (i >= file->count - file->readable) return NULL;
    const ra_safetensors_entry *entry = &file->entries[file->readable + i];
    if (description) *description = entry->foreign;
    return entry->name;
}

static const ra_safetensors_entry *entry_named(const ra_safetensors *file, const char *name) {
    const ra_safetensors_position *found = look_up(file->names, file->count, name);
    return found ? &file->entries[found->index] : NULL;
}

const ra_tensor *ra_safetensors_find(const ra_safetensors *file, const char *name) {
    const ra_safetensors_entry *entry = entry_named(file, name);
    return entry && !entry->foreign ? &entry->tensor : NULL;
}

/* "a, b, c and 4 more": as many whole names as fit into `size` bytes. */
static const char *list_names(const ra_safetensors *file, char *text, size_t size) {
    size_t used = 0, shown = 0, reserve = sizeof " and 18446744073709551615 more";
    text[0] = '\0';
    for (; shown < file->count; shown++) {
        const char *name = file->entries[shown].name;
        if (used + strlen(name) + sizeof ", " + reserve > size) break;
        used += (size_t)snprintf(text + used, size - used, "%s%s", shown ? ", " : "", name);
    }
    if (file->count == 0) snprintf(text, size, "no tensors");
    if (shown < file->count)
        snprintf(text + used, size - used, "%s%zu more", shown ? " and " : "", file->count - shown);
    return text;
}

/* The second half of the message for a foreign tensor. */
static const char *readable_instead(ra_status refusal) {
    switch (refusal) {
    case RA_ERR_DTYPE:
        return "but only F32, F16, BF16, F64, I64, I32 and U8 can be read";
    case RA_ERR_SHAPE:
        return "but at most 8 can be read";
    default:
        return "misaligned: it must begin at a multiple of its element size";
    }
}

ra_status ra_safetensors_get(const ra_safetensors *file, const char *name, ra_tensor *tensor, ra_error *err) {
    const ra_safetensors_entry *entry = entry_named(file, name);
    char names[192];
    if (!entry)
        RA_FAIL(err, RA_ERR_NOT_FOUND, "%s has no tensor \"%s\"; it has %s", file->path, name,
                list_names(file, names, sizeof names));
    if (entry->foreign)
        RA_FAIL(err, entry->refusal, "%s: tensor \"%s\" is %s, %s", file->path, name, entry->foreign,
                readable_instead(entry->refusal));
    *tensor = entry->tensor;
    return RA_OK;
}

const char *ra_safetensors_metadata(const ra_safetensors *file, const char *key) {
    const ra_safetensors_position *found = look_up(file->keys, file->text_count, key);
    return found ? file->texts[found->index].text : NULL;
}

const char *ra_safetensors_metadata_key(const ra_safetensors *file, size_t i) {
    return i < file->text_count ? file->texts[i].key : NULL;
}
