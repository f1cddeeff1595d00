/* Writing a safetensors file. The format forbids gaps between tensors, so their order must align them: spaces
 * pad the header until the data starts at a multiple of 64, and tensors follow by falling element size (those
 * of one size in the order in which they were added). Every tensor then starts at a multiple of its element
 * size, because the sizes of all before it are multiples of it. The header lists them in this order, too. */
#include "ra_io.h"
#include "ra_text.h"
#include "io/extent.h"
#include "io/safetensors/digest.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

/* Sizes and offsets are JSON numbers, which readers may hold as doubles: exact below 2^53. */
static const uint64_t number_limit = (uint64_t)1 << 53;

enum { PREFIX = 8, DATA_ALIGNMENT = 64, LARGEST_ELEMENT = 8, MOST_HEADER = 100 * 1000 * 1000 };

typedef struct text_item {
    const char *key;
    char *text; /* a copy */
} text_item;

typedef struct tensor_item {
    const char *name;
    ra_tensor tensor;
} tensor_item;

struct ra_safetensors_writer {
    text_item *texts;
    size_t text_count;
    tensor_item *tensors;
    size_t tensor_count;
    bool sealed;         /* the file gets a digest of itself */
    ra_seal_known known; /* the digest of one of the tensors */
};

/* ---- collecting ---------------------------------------------------------------------------------------- */

ra_status ra_safetensors_writer_new(ra_safetensors_writer **writer, ra_error *err) {
    ra_safetensors_writer *made = ra_calloc(1, sizeof *made);
    if (!made) RA_FAIL_MEMORY(err, "a file to be written", sizeof *made);
    *writer = made;
    return RA_OK;
}

void ra_safetensors_writer_free(ra_safetensors_writer *writer) {
    if (!writer) return;
    for (size_t i = 0; i < writer->text_count; i++) ra_free(writer->texts[i].text);
    ra_free(writer->texts);
    ra_free(writer->tensors);
    ra_free(writer);
}

static ra_status check_utf8(const char *what, const char *text, ra_error *err) {
    if (ra_utf8_valid(text, strlen(text))) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT, "the %s in a safetensors file must be UTF-8", what);
}

ra_status ra_safetensors_writer_metadata(ra_safetensors_writer *writer, const char *key, const char *text,
                                         ra_error *err) {
    RA_TRY(check_utf8("metadata", key, err));
    RA_TRY(check_utf8("metadata", text, err));
    for (size_t i = 0; i < writer->text_count; i++)
        if (strcmp(writer->texts[i].key, key) == 0)
            RA_FAIL(err, RA_ERR_ARGUMENT, "the metadata \"%s\" is given twice", key);
    text_item *grown = ra_realloc(writer->texts, writer->text_count + 1, sizeof *grown);
    if (!grown) RA_FAIL_MEMORY(err, "the metadata", (writer->text_count + 1) * sizeof *grown);
    writer->texts = grown;
    size_t size = strlen(text) + 1;
    char *copy = ra_malloc(size, 1);
    if (!copy) RA_FAIL_MEMORY(err, "the metadata", size);
    memcpy(copy, text, size);
    writer->texts[writer->text_count++] = (text_item){key, copy};
    return RA_OK;
}

ra_status ra_safetensors_writer_count(ra_safetensors_writer *writer, const char *key, size_t count,
                                      ra_error *err) {
    char text[24];
    snprintf(text, sizeof text, "%zu", count);
    return ra_safetensors_writer_metadata(writer, key, text, err);
}

ra_status ra_safetensors_writer_tensor(ra_safetensors_writer *writer, const char *name,
                                       const ra_tensor *tensor, ra_error *err) {
    size_t bytes;
    RA_TRY(check_utf8("names of tensors", name, err));
    if (strcmp(name, "__metadata__") == 0)
        RA_FAIL(err, RA_ERR_ARGUMENT, "a tensor cannot be named __metadata__ in a safetensors file");
    if (tensor->rank < 0 || tensor->rank > RA_MAX_RANK)
        RA_FAIL(err, RA_ERR_SHAPE, "tensor \"%s\" has %d dimensions, but at most %d are possible", name,
                tensor->rank, RA_MAX_RANK);
    if ((unsigned)tensor->dtype >= RA_DTYPE_COUNT)
        RA_FAIL(err, RA_ERR_DTYPE, "tensor \"%s\" has the unknown type %d", name, (int)tensor->dtype);
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->shape[i] >= number_limit)
            RA_FAIL(err, RA_ERR_TOO_LARGE,
                    "tensor \"%s\" has a size of %zu, but only sizes below 2^53 are possible", name,
                    tensor->shape[i]);
    if (!ra_extent_bytes(tensor, &bytes))
        RA_FAIL(err, RA_ERR_TOO_LARGE, "tensor \"%s\" is larger than memory can address", name);
    if (bytes > 0 && !tensor->data) RA_FAIL(err, RA_ERR_ARGUMENT, "tensor \"%s\" has no data", name);
    for (size_t i = 0; i < writer->tensor_count; i++)
        if (strcmp(writer->tensors[i].name, name) == 0)
            RA_FAIL(err, RA_ERR_ARGUMENT, "the tensor \"%s\" is given twice", name);
    tensor_item *grown = ra_realloc(writer->tensors, writer->tensor_count + 1, sizeof *grown);
    if (!grown) RA_FAIL_MEMORY(err, "the list of tensors", (writer->tensor_count + 1) * sizeof *grown);
    writer->tensors = grown;
    writer->tensors[writer->tensor_count++] = (tensor_item){name, *tensor};
    return RA_OK;
}

void ra_safetensors_writer_seal(ra_safetensors_writer *writer, const void *data, const char *digest) {
    writer->sealed = true;
    writer->known.data = data;
    if (data) memcpy(writer->known.digits, digest, RA_DIGEST_SIZE);
}

/* ---- the header ---------------------------------------------------------------------------------------- */

static void append_number(ra_text *b, size_t number) {
    char digits[24];
    ra_text_add_bytes(b, digits, (size_t)snprintf(digits, sizeof digits, "%zu", number));
}

/* A JSON string: escapes what JSON requires, and keeps the rest as UTF-8. */
static void append_quoted(ra_text *b, const char *text) {
    ra_text_add(b, "\"");
    for (; *text; text++) {
        char escape[8];
        if (*text == '"' || *text == '\\') ra_text_add_bytes(b, "\\", 1);
        if ((unsigned char)*text >= 0x20)
            ra_text_add_bytes(b, text, 1);
        else
            ra_text_add_bytes(b, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*text));
    }
    ra_text_add(b, "\"");
}

/* *place <- where the digits of the digest belong. */
static void append_metadata(ra_text *b, const ra_safetensors_writer *writer, size_t *place) {
    ra_text_add(b, "\"__metadata__\":{");
    for (size_t i = 0; i < writer->text_count; i++) {
        if (i) ra_text_add(b, ",");
        append_quoted(b, writer->texts[i].key);
        ra_text_add(b, ":");
        append_quoted(b, writer->texts[i].text);
    }
    if (writer->sealed && writer->text_count) ra_text_add(b, ",");
    if (writer->sealed) ra_seal_text(b, place);
    ra_text_add(b, "}");
}

static void append_tensor(ra_text *b, const tensor_item *item, size_t begin) {
    append_quoted(b, item->name);
    ra_text_add(b, ":{\"dtype\":\"");
    ra_text_add(b, ra_dtype_name(item->tensor.dtype));
    ra_text_add(b, "\",\"shape\":[");
    for (int i = 0; i < item->tensor.rank; i++) {
        if (i) ra_text_add(b, ",");
        append_number(b, item->tensor.shape[i]);
    }
    ra_text_add(b, "],\"data_offsets\":[");
    append_number(b, begin);
    ra_text_add(b, ",");
    append_number(b, begin + ra_tensor_bytes(&item->tensor));
    ra_text_add(b, "]}");
}

/* Pads, then fills in the length. */
static void finish_header(ra_text *b) {
    while (!b->failed && b->size % DATA_ALIGNMENT != 0) ra_text_add(b, " ");
    if (b->failed) return;
    uint64_t length = b->size - PREFIX;
    for (int i = 0; i < PREFIX; i++) b->data[i] = (char)(length >> 8 * i);
}

/* Calls `visit` for every tensor in the order of the file, with the offset of its data. */
typedef ra_status visit_tensor(void *context, const tensor_item *item, size_t begin, ra_error *err);

static ra_status each_tensor(const ra_safetensors_writer *writer, visit_tensor *visit, void *context,
                             ra_error *err) {
    size_t begin = 0;
    for (size_t element = LARGEST_ELEMENT; element > 0; element /= 2)
        for (size_t i = 0; i < writer->tensor_count; i++) {
            const tensor_item *item = &writer->tensors[i];
            if (ra_dtype_size(item->tensor.dtype) != element) continue;
            RA_TRY(visit(context, item, begin, err));
            begin += ra_tensor_bytes(&item->tensor);
        }
    return RA_OK;
}

static ra_status describe(void *context, const tensor_item *item, size_t begin, ra_error *err) {
    ra_text *b = context;
    size_t end;
    if (__builtin_add_overflow(begin, ra_tensor_bytes(&item->tensor), &end) || end >= number_limit)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "the tensors up to \"%s\" take more than 2^53 bytes", item->name);
    if (b->size > PREFIX + 1) ra_text_add(b, ",");
    append_tensor(b, item, begin);
    return RA_OK;
}

typedef struct part_list {
    ra_bytes *parts;
    size_t count;
} part_list;

static ra_status add_part(void *context, const tensor_item *item, size_t begin, ra_error *err) {
    part_list *to = context;
    (void)begin, (void)err;
    to->parts[to->count++] = (ra_bytes){item->tensor.data, ra_tensor_bytes(&item->tensor)};
    return RA_OK;
}

static ra_status fill_digest(const ra_safetensors_writer *writer, ra_text *b, size_t place, ra_error *err) {
    char digits[RA_DIGEST_SIZE];
    part_list list = {ra_malloc(writer->tensor_count + 1, sizeof(ra_bytes)), 1};
    if (!list.parts)
        RA_FAIL_MEMORY(err, "the parts of a file", (writer->tensor_count + 1) * sizeof(ra_bytes));
    list.parts[0] = (ra_bytes){b->data, b->size};
    ra_status status = each_tensor(writer, add_part, &list, err);
    if (status == RA_OK) status = ra_seal_parts(list.parts, list.count, &writer->known, digits, err);
    if (status == RA_OK) memcpy(b->data + place, digits, RA_SEAL_DIGITS);
    ra_free(list.parts);
    return status;
}

static ra_status build_header(const ra_safetensors_writer *writer, ra_text *b, ra_error *err) {
    size_t place = 0;
    ra_text_add(b, "        {"); /* PREFIX bytes for the length */
    if (writer->text_count || writer->sealed) append_metadata(b, writer, &place);
    RA_TRY(each_tensor(writer, describe, b, err));
    ra_text_add(b, "}");
    finish_header(b);
    if (b->failed) RA_FAIL_MEMORY(err, "a safetensors header", 2 * b->capacity);
    if (b->size - PREFIX > MOST_HEADER)
        RA_FAIL(err, RA_ERR_TOO_LARGE,
                "the header of a safetensors file takes %zu bytes, but at most %d can be read",
                b->size - PREFIX, MOST_HEADER);
    return writer->sealed ? fill_digest(writer, b, place, err) : RA_OK;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static ra_status put_data(void *context, const tensor_item *item, size_t begin, ra_error *err) {
    (void)begin;
    return ra_atomic_file_write(context, item->tensor.data, ra_tensor_bytes(&item->tensor), err);
}

static ra_status write_content(const ra_safetensors_writer *writer, const ra_text *header,
                               ra_atomic_file *file, ra_error *err) {
    RA_TRY(ra_atomic_file_write(file, header->data, header->size, err));
    return each_tensor(writer, put_data, file, err);
}

/* ---- the image ----------------------------------------------------------------------------------------- */

ra_status ra_safetensors_writer_image(const ra_safetensors_writer *writer, ra_bytes **parts, size_t *count,
                                      ra_error *err) {
    ra_text header = {0};
    ra_status status;
    RA_TRY_OUT(status, build_header(writer, &header, err));
    size_t list = (writer->tensor_count + 1) * sizeof(ra_bytes);
    ra_bytes *made = ra_malloc(list + header.size, 1);
    if (!made) {
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the image of a file needs %zu bytes",
                              list + header.size);
        goto out;
    }
    memcpy((char *)made + list, header.data, header.size);
    made[0] = (ra_bytes){(char *)made + list, header.size};
    part_list to = {made, 1};
    RA_TRY_OUT(status, each_tensor(writer, add_part, &to, err));
    *parts = made;
    *count = to.count;
out:
    ra_text_release(&header);
    return status;
}

ra_status ra_safetensors_writer_write(const ra_safetensors_writer *writer, const char *path, ra_error *err) {
    ra_text header = {0};
    ra_atomic_file *file = NULL;
    ra_status status;
    RA_TRY_OUT(status, build_header(writer, &header, err));
    RA_TRY_OUT(status, ra_atomic_file_begin(path, &file, err));
    status = write_content(writer, &header, file, err);
    if (status == RA_OK)
        status = ra_atomic_file_commit(file, err);
    else
        ra_atomic_file_abort(file);
out:
    ra_text_release(&header);
    return status;
}
