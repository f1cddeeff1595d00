/* Writing a safetensors file. The format forbids gaps between tensors, so alignment has to come from the
 * order: the header is padded with spaces until the data starts at a multiple of 64, and tensors are laid out
 * by falling element size (each size in the order added). Every tensor then starts at a multiple of its
 * element size, because all before it have sizes that are multiples of it. The header lists them in that
 * order too. */
#include "ra_io.h"
#include "io/extent.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

/* Sizes and offsets are JSON numbers, which readers may take as doubles: exact below 2^53. */
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
    RA_FAIL(err, RA_ERR_ARGUMENT, "the %s in a safetensors file have to be UTF-8", what);
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

/* ---- the header ---------------------------------------------------------------------------------------- */

/* Text that grows. The first failure sticks, so that it is looked at once, at the end. */
typedef struct builder {
    char *text;
    size_t size, capacity;
    bool failed;
} builder;

static void append(builder *b, const char *text, size_t size) {
    if (b->failed) return;
    if (size > b->capacity - b->size) {
        size_t wanted = 2 * b->capacity + size + 1024;
        char *grown = ra_realloc(b->text, wanted, 1);
        b->failed = !grown;
        if (b->failed) return;
        b->text = grown;
        b->capacity = wanted;
    }
    memcpy(b->text + b->size, text, size);
    b->size += size;
}

static void append_text(builder *b, const char *text) {
    append(b, text, strlen(text));
}

static void append_number(builder *b, size_t number) {
    char digits[24];
    append(b, digits, (size_t)snprintf(digits, sizeof digits, "%zu", number));
}

/* A JSON string: what JSON wants escaped is, the rest stays the UTF-8 that it is. */
static void append_quoted(builder *b, const char *text) {
    append_text(b, "\"");
    for (; *text; text++) {
        char escape[8];
        if (*text == '"' || *text == '\\') append(b, "\\", 1);
        if ((unsigned char)*text >= 0x20)
            append(b, text, 1);
        else
            append(b, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*text));
    }
    append_text(b, "\"");
}

static void append_metadata(builder *b, const ra_safetensors_writer *writer) {
    append_text(b, "\"__metadata__\":{");
    for (size_t i = 0; i < writer->text_count; i++) {
        if (i) append_text(b, ",");
        append_quoted(b, writer->texts[i].key);
        append_text(b, ":");
        append_quoted(b, writer->texts[i].text);
    }
    append_text(b, "}");
}

static void append_tensor(builder *b, const tensor_item *item, size_t begin) {
    append_quoted(b, item->name);
    append_text(b, ":{\"dtype\":\"");
    append_text(b, ra_dtype_name(item->tensor.dtype));
    append_text(b, "\",\"shape\":[");
    for (int i = 0; i < item->tensor.rank; i++) {
        if (i) append_text(b, ",");
        append_number(b, item->tensor.shape[i]);
    }
    append_text(b, "],\"data_offsets\":[");
    append_number(b, begin);
    append_text(b, ",");
    append_number(b, begin + ra_tensor_bytes(&item->tensor));
    append_text(b, "]}");
}

/* Pads, then puts the length in front. */
static void finish_header(builder *b) {
    while (!b->failed && b->size % DATA_ALIGNMENT != 0) append_text(b, " ");
    if (b->failed) return;
    uint64_t length = b->size - PREFIX;
    for (int i = 0; i < PREFIX; i++) b->text[i] = (char)(length >> 8 * i);
}

/* Calls `visit` for every tensor in the order of the file, with the place of its data. */
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
    builder *b = context;
    size_t end;
    if (__builtin_add_overflow(begin, ra_tensor_bytes(&item->tensor), &end) || end >= number_limit)
        RA_FAIL(err, RA_ERR_TOO_LARGE, "the tensors up to \"%s\" take more than 2^53 bytes", item->name);
    if (b->size > PREFIX + 1) append_text(b, ",");
    append_tensor(b, item, begin);
    return RA_OK;
}

static ra_status build_header(const ra_safetensors_writer *writer, builder *b, ra_error *err) {
    append_text(b, "        {"); /* PREFIX bytes of room for the length */
    if (writer->text_count) append_metadata(b, writer);
    RA_TRY(each_tensor(writer, describe, b, err));
    append_text(b, "}");
    finish_header(b);
    if (b->failed) RA_FAIL_MEMORY(err, "a safetensors header", 2 * b->capacity);
    if (b->size - PREFIX > MOST_HEADER)
        RA_FAIL(err, RA_ERR_TOO_LARGE,
                "the header of a safetensors file takes %zu bytes, at most %d are read", b->size - PREFIX,
                MOST_HEADER);
    return RA_OK;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static ra_status put_data(void *context, const tensor_item *item, size_t begin, ra_error *err) {
    (void)begin;
    return ra_atomic_file_write(context, item->tensor.data, ra_tensor_bytes(&item->tensor), err);
}

static ra_status write_content(const ra_safetensors_writer *writer, const builder *header,
                               ra_atomic_file *file, ra_error *err) {
    RA_TRY(ra_atomic_file_write(file, header->text, header->size, err));
    return each_tensor(writer, put_data, file, err);
}

ra_status ra_safetensors_writer_write(const ra_safetensors_writer *writer, const char *path, ra_error *err) {
    builder header = {0};
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
    ra_free(header.text);
    return status;
}
