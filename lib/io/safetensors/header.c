/* The JSON of a safetensors header:
 *
 *     {"__metadata__": {"delta": "1.0"},
 *      "dictionary.C": {"dtype": "F32", "shape": [32000, 768], "data_offsets": [0, 98304000]}, ...}
 *
 * A tensor whose type (BOOL, F8_E4M3, ...) or rank does not fit a ra_tensor must not make the others
 * unreadable, so it is kept as a line of text for messages. Its range is checked like all others, but not
 * against its shape, since the size of its elements is unknown. Members of a tensor other than the three
 * above are ignored, as in the reference implementation. */
#include "io/safetensors/safetensors.h"
#include "io/extent.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

enum {
    LONGEST_DESCRIPTION =
        1 << 16, /* of one tensor: bounds the memory of its tree; real ones have 100 bytes */
    LONGEST_DTYPE = 32,
};

static const double two_to_53 = 9007199254740992.0; /* from here on, doubles skip integers */

/* ---- one tensor ---------------------------------------------------------------------------------------- */

/* A tensor that is being read. */
typedef struct description {
    const char *path, *name;
    const cJSON *dtype, *shape, *offsets;
} description;

/* Begins the message with `file: tensor "name" `. */
#define FAIL_TENSOR(d, err, format, ...)                                                                     \
    RA_FAIL(err, RA_ERR_FORMAT, "%s: tensor \"%s\" " format, (d)->path, (d)->name, ##__VA_ARGS__)

/* Finds the three members, each exactly once. */
static ra_status pick_members(description *d, const cJSON *tree, ra_error *err) {
    const struct {
        const char *name;
        const cJSON **place;
    } members[] = {{"dtype", &d->dtype}, {"shape", &d->shape}, {"data_offsets", &d->offsets}};
    for (size_t m = 0; m < sizeof members / sizeof *members; m++) {
        for (const cJSON *child = tree->child; child; child = child->next) {
            if (strcmp(child->string, members[m].name) != 0) continue;
            if (*members[m].place) FAIL_TENSOR(d, err, "has two members \"%s\"", members[m].name);
            *members[m].place = child;
        }
        if (!*members[m].place) FAIL_TENSOR(d, err, "has no member \"%s\"", members[m].name);
    }
    return RA_OK;
}

/* Checks and counts the sizes of an array; keeps the first `most`. */
static ra_status read_sizes(const description *d, const cJSON *array, size_t *sizes, size_t most,
                            size_t *count, ra_error *err) {
    *count = 0;
    if (!cJSON_IsArray(array))
        FAIL_TENSOR(d, err, "has a \"%s\" that is not an array of numbers", array->string);
    for (const cJSON *item = array->child; item; item = item->next) {
        if (!cJSON_IsNumber(item))
            FAIL_TENSOR(d, err, "has an element that is not a number in its \"%s\"", array->string);
        if (!(item->valuedouble >= 0 && item->valuedouble < two_to_53))
            FAIL_TENSOR(d, err, "has the number %.0f in its \"%s\", but only numbers below 2^53 are possible",
                        item->valuedouble, array->string);
        if (*count < most) sizes[*count] = (size_t)item->valuedouble;
        ++*count;
    }
    return RA_OK;
}

static ra_status read_range(const description *d, ra_safetensors_entry *entry, ra_error *err) {
    size_t offsets[2], count;
    RA_TRY(read_sizes(d, d->offsets, offsets, 2, &count, err));
    if (count != 2) FAIL_TENSOR(d, err, "has %zu data_offsets, but two are needed", count);
    if (offsets[1] < offsets[0])
        FAIL_TENSOR(d, err, "begins at byte %zu of the data but ends at byte %zu", offsets[0], offsets[1]);
    entry->begin = offsets[0];
    entry->end = offsets[1];
    return RA_OK;
}

/* No ra_tensor can describe this tensor: keeps a description of it. */
static ra_status note_foreign(ra_safetensors_entry *entry, const char *dtype, size_t rank, ra_error *err) {
    char text[LONGEST_DTYPE + RA_SHAPE_TEXT_SIZE + 32], shape[RA_SHAPE_TEXT_SIZE];
    entry->refusal = rank <= RA_MAX_RANK ? RA_ERR_DTYPE : RA_ERR_SHAPE;
    if (rank <= RA_MAX_RANK)
        snprintf(text, sizeof text, "%s %s", dtype,
                 ra_shape_text((int)rank, entry->tensor.shape, shape, sizeof shape));
    else
        snprintf(text, sizeof text, "%s with %zu dimensions", dtype, rank);
    entry->foreign = ra_strdup(text);
    if (!entry->foreign) RA_FAIL_MEMORY(err, "the description of a tensor", strlen(text) + 1);
    return RA_OK;
}

static ra_status read_type_and_shape(const description *d, ra_safetensors_entry *entry, ra_error *err) {
    ra_tensor *tensor = &entry->tensor;
    const char *dtype = cJSON_GetStringValue(d->dtype);
    if (!dtype) FAIL_TENSOR(d, err, "has a \"dtype\" that is not a string");
    if (strlen(dtype) > LONGEST_DTYPE)
        FAIL_TENSOR(d, err, "has a dtype of %zu characters; no type has so many", strlen(dtype));
    size_t rank;
    RA_TRY(read_sizes(d, d->shape, tensor->shape, RA_MAX_RANK, &rank, err));
    bool known = ra_dtype_from_name(dtype, &tensor->dtype) &&
                 strcmp(dtype, ra_dtype_name(tensor->dtype)) == 0; /* the format's names are upper case */
    if (!known || rank > RA_MAX_RANK) return note_foreign(entry, dtype, rank, err);
    tensor->rank = (int)rank;

    size_t bytes, held = entry->end - entry->begin;
    char shape[RA_SHAPE_TEXT_SIZE];
    ra_shape_text(tensor->rank, tensor->shape, shape, sizeof shape);
    if (!ra_extent_bytes(tensor, &bytes))
        FAIL_TENSOR(d, err, "has the shape %s, which is larger than memory can address", shape);
    if (bytes != held)
        FAIL_TENSOR(d, err, "is %s of shape %s, which takes %zu bytes, but its data_offsets span %zu", dtype,
                    shape, bytes, held);
    return RA_OK;
}

/* ---- members ------------------------------------------------------------------------------------------- */

static ra_status on_tensor(ra_safetensors *file, const char *name, ra_json_span value, ra_error *err) {
    description d = {.path = file->path, .name = name};
    if (value.text[0] != '{') FAIL_TENSOR(&d, err, "is not described by an object");
    if (value.size > LONGEST_DESCRIPTION)
        FAIL_TENSOR(&d, err, "is described by %zu bytes, but at most %d are possible", value.size,
                    LONGEST_DESCRIPTION);
    ra_safetensors_entry *entry = NULL;
    cJSON *tree = NULL;
    RA_TRY(ra_safetensors_add_entry(file, name, &entry, err));
    RA_TRY(ra_json_tree(value, &tree, err));
    ra_status status = pick_members(&d, tree, err);
    if (status == RA_OK) status = read_range(&d, entry, err);
    if (status == RA_OK) status = read_type_and_shape(&d, entry, err);
    cJSON_Delete(tree);
    return status;
}

static ra_status on_text(void *context, const char *key, ra_json_span value, ra_error *err) {
    ra_safetensors *file = context;
    if (value.text[0] != '"')
        RA_FAIL(err, RA_ERR_FORMAT, "%s: \"%s\" in __metadata__ is not a string", file->path, key);
    char *text = NULL;
    RA_TRY(ra_json_string(value, &text, err));
    ra_status status = ra_safetensors_add_text(file, key, text, err);
    ra_free(text);
    return status;
}

/* The context of on_member(). */
typedef struct walk {
    ra_safetensors *file;
    ra_json_span header;
} walk;

static ra_status on_member(void *context, const char *name, ra_json_span value, ra_error *err) {
    const walk *w = context;
    if (strcmp(name, "__metadata__") != 0) return on_tensor(w->file, name, value, err);
    if (w->file->has_metadata)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: the header has two members __metadata__", w->file->path);
    if (value.text[0] != '{')
        RA_FAIL(err, RA_ERR_FORMAT, "%s: __metadata__ is not an object of strings", w->file->path);
    w->file->has_metadata = true;
    return ra_json_each_member(w->file->path, w->header, value, on_text, w->file, err);
}

ra_status ra_safetensors_parse_header(ra_safetensors *file, ra_json_span header, ra_error *err) {
    return ra_json_each_member(file->path, header, header, on_member, &(walk){file, header}, err);
}
