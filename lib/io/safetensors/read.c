/* Opening a safetensors file:
 *
 *     bytes 0..7      N, little-endian        at most the size of the file and MOST_HEADER
 *     bytes 8..8+N    the header, JSON        header.c
 *     the rest        the data                every byte belongs to exactly one tensor
 *
 * The last rule is the reference implementation's: in order, the ranges must follow each other without gaps
 * and overlaps and end with the file. It reveals truncation and leaves no room for hidden data.
 *
 * Views are read as arrays of their type. Writers that sort by element size (the reference's, and write.c)
 * align every tensor; those that keep the order of a state dict, or do not pad the header, may not. Such a
 * tensor is copied.
 *
 * Others may write the file while it is open. What is checked once and trusted then (the header, indices, lengths of
 * texts, thresholds) must not be read from the mapping again: the header is copied before it is read, and of a steady
 * file all tensors but float matrices are. Wrong numbers in those give wrong results, which a check refuses, but
 * never a wrong address. */
#include "io/safetensors/safetensors.h"
#include "io/safetensors/digest.h"
#include "io/extent.h"
#include "io/kinds.h"
#include "io/order.h"
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
    if (size < PREFIX + 1 || bytes[PREFIX] != '{')
        RA_TRY(ra_kinds_refuse(file->path, bytes, size, true, err));
    if (size < PREFIX + 2)
        RA_FAIL(err, RA_ERR_FORMAT, "%s has %zu bytes, but a safetensors file has at least %d", file->path,
                size, PREFIX + 2);
    uint64_t length = 0;
    for (int i = PREFIX - 1; i >= 0; i--) length = length << 8 | bytes[i];
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
    return RA_OK;
}

static ra_status read_header(ra_safetensors *file, ra_json_span header, ra_error *err) {
    char *copy = ra_malloc(header.size, 1);
    if (!copy) RA_FAIL_MEMORY(err, "the header of a file", header.size);
    memcpy(copy, header.text, header.size);
    header.text = copy;
    ra_status status = RA_OK;
    if (!ra_utf8_valid(copy, header.size))
        status = ra_error_set(err, RA_ERR_FORMAT, "%s: the header is not valid UTF-8", file->path);
    if (status == RA_OK) status = ra_safetensors_parse_header(file, header, err);
    ra_free(copy);
    return status;
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
    file->readable = 0;
    while (file->readable < file->count && !file->entries[file->readable].foreign) file->readable++;
}

/* NULL for a file without tensors. */
static const ra_safetensors_entry *entry_at(const ra_safetensors *file, size_t i) {
    return file->entries ? file->entries + i : NULL;
}

/* Every byte of the data belongs to exactly one tensor. */
static ra_status check_tiling(const ra_safetensors *file, size_t data_size, ra_error *err) {
    const ra_safetensors_entry *readable = file->entries, *foreign = entry_at(file, file->readable);
    const ra_safetensors_entry *readable_end = foreign, *foreign_end = entry_at(file, file->count);
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

static bool is_float_matrix(const ra_tensor *tensor) {
    return tensor->rank == 2 && (ra_dtype_is_float(tensor->dtype) || tensor->dtype == RA_F64);
}

/* Points every readable tensor into the mapping, or into a copy: if it lies at an odd place there, or if a change in
 * the mapping would be dangerous. */
static ra_status set_views(ra_safetensors *file, size_t data_offset, bool careful, ra_error *err) {
    const char *base = file->mapping.data;
    for (size_t i = 0; i < file->readable; i++) {
        ra_safetensors_entry *entry = &file->entries[i];
        size_t offset = data_offset + entry->begin;
        /* An empty view points to the start of the mapping, where every type is aligned. */
        entry->tensor.data = base + (entry->end > entry->begin ? offset : 0);
        bool risky = careful && entry->end > entry->begin && !is_float_matrix(&entry->tensor);
        if (!risky && !is_misaligned(entry, data_offset)) continue;
        RA_TRY(ra_order_copy(&entry->tensor, base + offset, false, false, file->path, &entry->copy, err));
        entry->tensor.data = entry->copy;
    }
    return RA_OK;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

/* Of another library's layout: names and settings are new. */
static ra_status adapt(ra_safetensors *file, ra_error *err) {
    bool adapted;
    RA_TRY(ra_safetensors_adapt(file, &adapted, err));
    if (!adapted) return RA_OK;
    sort_entries(file); /* some may be new */
    ra_free(file->names);
    ra_free(file->keys);
    file->names = file->keys = NULL;
    file->name_count = 0;
    return ra_safetensors_index_names(file, err);
}

/* The lists have been filled by the reader of another kind of file. */
static ra_status complete(ra_safetensors *file, ra_error *err) {
    sort_entries(file);
    RA_TRY(ra_safetensors_remove_prefix(file, err));
    RA_TRY(ra_safetensors_index_names(file, err));
    return adapt(file, err);
}

static ra_status load(ra_safetensors *file, bool careful, ra_error *err) {
    ra_json_span header = {NULL, 0};
    if (ra_torch_is(file->mapping.data, file->mapping.size)) {
        RA_TRY(ra_safetensors_load_torch(file, careful, err));
        return complete(file, err);
    }
    RA_TRY(ra_safetensors_load_npz(file, careful, err));
    if (file->npz) return complete(file, err);
    RA_TRY(find_header(file, &header, err));
    RA_TRY(read_header(file, header, err));
    size_t data_offset = PREFIX + header.size;
    file->header_size = header.size;
    RA_TRY(ra_seal_take(file, err));
    sort_entries(file);
    RA_TRY(ra_safetensors_remove_prefix(file, err));
    RA_TRY(ra_safetensors_index_names(file, err));
    RA_TRY(check_tiling(file, file->mapping.size - data_offset, err));
    RA_TRY(ra_seal_check_small(file, err));
    RA_TRY(set_views(file, data_offset, careful, err));
    return adapt(file, err);
}

/* most: NULL for a mapping that is not steady. */
static ra_status open_file(const char *path, const size_t *most, ra_safetensors **out, ra_error *err) {
    ra_safetensors *file = ra_calloc(1, sizeof *file);
    if (!file) RA_FAIL_MEMORY(err, "an opened file", sizeof *file);
    ra_status status = ra_source_find(path, &file->path, err);
    if (status == RA_OK)
        status = most ? ra_mapping_open_steady(file->path, *most, &file->mapping, err)
                      : ra_mapping_open(file->path, &file->mapping, err);
    if (status == RA_OK) status = load(file, most && !file->mapping.copied, err);
    if (status != RA_OK) {
        ra_safetensors_free(file);
        return status;
    }
    *out = file;
    return RA_OK;
}

ra_status ra_safetensors_open(const char *path, ra_safetensors **file, ra_error *err) {
    return open_file(path, NULL, file, err);
}

ra_status ra_safetensors_open_steady(const char *path, size_t most, ra_safetensors **file, ra_error *err) {
    return open_file(path, &most, file, err);
}

ra_status ra_safetensors_check(const ra_safetensors *file, ra_error *err) {
    return ra_mapping_check(&file->mapping, err);
}

bool ra_safetensors_mapped(const ra_safetensors *file) {
    return !file->mapping.copied;
}

const ra_mapping *ra_safetensors_mapping(const ra_safetensors *file) {
    return &file->mapping;
}

void ra_safetensors_free(ra_safetensors *file) {
    if (!file) return;
    for (size_t i = 0; i < file->count; i++) {
        ra_free(file->entries[i].name);
        ra_free(file->entries[i].foreign);
        ra_free(file->entries[i].copy);
    }
    for (size_t i = 0; i < file->text_count; i++) {
        ra_free(file->texts[i].key);
        ra_free(file->texts[i].text);
    }
    ra_free(file->entries);
    ra_free(file->texts);
    ra_free(file->names);
    ra_free(file->keys);
    ra_free(file->prefix);
    ra_mapping_close(&file->mapping);
    ra_free(file->path);
    ra_free(file);
}

/* ---- queries ------------------------------------------------------------------------------------------- */

const char *ra_safetensors_path(const ra_safetensors *file) {
    return file->path;
}

const char *ra_safetensors_prefix(const ra_safetensors *file) {
    return file->prefix;
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
    const ra_safetensors_position *found = ra_safetensors_look_up(file->names, file->name_count, name);
    return found ? &file->entries[found->index] : NULL;
}

ra_status ra_safetensors_narrow(ra_safetensors *file, ra_error *err) {
    static const char *const parameters[] = {"dictionary", "encoder.", "thresholds", "input.", "output."};
    for (size_t i = 0; i < file->readable; i++) {
        ra_safetensors_entry *entry = &file->entries[i];
        ra_tensor *tensor = &entry->tensor;
        bool parameter = false;
        for (size_t p = 0; p < sizeof parameters / sizeof *parameters; p++)
            parameter |= strncmp(entry->name, parameters[p], strlen(parameters[p])) == 0;
        if (!parameter || tensor->dtype != RA_F64) continue;
        size_t n = ra_tensor_elements(tensor);
        float *narrow = ra_malloc(n ? n : 1, sizeof *narrow);
        if (!narrow) RA_FAIL_MEMORY(err, entry->name, n * sizeof *narrow);
        ra_convert_to_f32(RA_F64, tensor->data, narrow, n);
        ra_free(entry->copy);
        entry->copy = narrow;
        tensor->data = narrow;
        tensor->dtype = RA_F32;
    }
    return RA_OK;
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
    return refusal == RA_ERR_DTYPE
               ? "but only F32, F16, BF16, F64 and integers of 8 to 64 bits (no U32, U64) can be read"
               : "but at most 8 can be read";
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
    const ra_safetensors_position *found = ra_safetensors_look_up(file->keys, file->text_count, key);
    return found ? file->texts[found->index].text : NULL;
}

const char *ra_safetensors_metadata_key(const ra_safetensors *file, size_t i) {
    return i < file->text_count ? file->texts[i].key : NULL;
}
