/* The npy format (NumPy's NEP 1):
 *
 *     "\x93NUMPY"
 *     major, minor         the version, one byte each
 *     length               of the header: 2 bytes in version 1, otherwise 4, little-endian
 *     header               {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, spaces, "\n"
 *     data
 *
 * A small parser reads the header, a Python dictionary. It accepts what NumPy writes: the three keys in any
 * order, each once; strings in single or double quotes; a comma after the last item or none. Everything else
 * fails, because a misread header is a misread matrix. */
#include "ra_io.h"
#include "io/extent.h"
#include "io/npy.h"
#include "io/order.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

static const char magic[] = "\x93NUMPY";

enum { MAGIC_SIZE = 6, DATA_ALIGNMENT = 64 };

struct ra_npy {
    ra_mapping mapping;
    ra_tensor tensor;
    void *copy; /* NULL: the tensor is a view of the mapping */
};

/* NumPy's spelling of each type. It has none for bfloat16. */
static const char *const spellings[RA_DTYPE_COUNT] = {
    [RA_F32] = "f4", [RA_F16] = "f2", [RA_F64] = "f8", [RA_I64] = "i8", [RA_I32] = "i4",
    [RA_U8] = "u1",  [RA_I16] = "i2", [RA_U16] = "u2", [RA_I8] = "i1",
};

/* ---- the dictionary ------------------------------------------------------------------------------------ */

enum { DESCR = 1, FORTRAN_ORDER = 2, SHAPE = 4, ALL = 7, DESCR_SIZE = 16 };

typedef struct header {
    const char *at, *end; /* the unread rest */
    const char *problem;  /* NULL: none so far */
    unsigned seen;        /* keys */
    char descr[DESCR_SIZE];
    bool fortran_order;
    size_t rank; /* if above RA_MAX_RANK, only that many sizes are kept */
    size_t shape[RA_MAX_RANK];
} header;

static bool wrong(header *h, const char *problem) {
    h->problem = problem;
    return false;
}

static void skip_space(header *h) {
    while (h->at < h->end && (*h->at == ' ' || *h->at == '\n' || *h->at == '\t')) h->at++;
}

/* Moves past `text` and any space before it; false if there is something else. */
static bool take(header *h, const char *text) {
    size_t length = strlen(text);
    skip_space(h);
    if ((size_t)(h->end - h->at) < length || memcmp(h->at, text, length) != 0) return false;
    h->at += length;
    return true;
}

static bool read_string(header *h, char *text, size_t size) {
    skip_space(h);
    char quote = h->at < h->end ? *h->at : '\0';
    if (quote != '\'' && quote != '"') return wrong(h, "a quoted string is missing");
    const char *begin = h->at + 1;
    const char *close = memchr(begin, quote, (size_t)(h->end - begin));
    if (!close) return wrong(h, "a string does not end");
    size_t length = (size_t)(close - begin);
    if (length >= size || memchr(begin, '\\', length))
        return wrong(h, "a string is not one that NumPy writes");
    memcpy(text, begin, length);
    text[length] = '\0';
    h->at = close + 1;
    return true;
}

static bool read_descr(header *h) {
    if (take(h, "[")) return wrong(h, "structured types are not supported");
    return read_string(h, h->descr, sizeof h->descr);
}

static bool read_fortran_order(header *h) {
    h->fortran_order = take(h, "True");
    return h->fortran_order || take(h, "False") || wrong(h, "fortran_order is neither True nor False");
}

static bool read_size(header *h) {
    size_t size = 0;
    const char *begin = h->at;
    for (; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++)
        if (__builtin_mul_overflow(size, (size_t)10, &size) ||
            __builtin_add_overflow(size, (size_t)(*h->at - '0'), &size))
            return wrong(h, "a size does not fit 64 bits");
    if (h->at == begin) return wrong(h, "the shape is not a tuple of plain sizes");
    if (h->rank < RA_MAX_RANK) h->shape[h->rank] = size;
    h->rank++;
    return true;
}

/* (), (3,), (3, 4), (3, 4,); but (3) is a number to Python. */
static bool read_shape(header *h) {
    bool comma = true;
    if (!take(h, "(")) return wrong(h, "the shape is not a tuple");
    while (!take(h, ")")) {
        if (!comma) return wrong(h, "the shape is not a tuple of plain sizes");
        if (!read_size(h)) return false;
        comma = take(h, ",");
    }
    return h->rank != 1 || comma || wrong(h, "the shape is a number, not a tuple");
}

static bool read_member(header *h) {
    static const struct {
        const char *key;
        unsigned bit;
        bool (*read)(header *);
    } members[] = {
        {"descr", DESCR, read_descr},
        {"fortran_order", FORTRAN_ORDER, read_fortran_order},
        {"shape", SHAPE, read_shape},
    };
    char key[DESCR_SIZE];
    if (!read_string(h, key, sizeof key)) return false;
    if (!take(h, ":")) return wrong(h, "a colon is missing");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (strcmp(key, members[i].key) != 0) continue;
        if (h->seen & members[i].bit) return wrong(h, "a key occurs twice");
        h->seen |= members[i].bit;
        return members[i].read(h);
    }
    return wrong(h, "a key is not descr, fortran_order or shape");
}

static bool read_dictionary(header *h) {
    bool comma = true;
    if (!take(h, "{")) return wrong(h, "it is not a Python dictionary");
    while (!take(h, "}")) {
        if (!comma) return wrong(h, "a comma or a closing brace is missing");
        if (!read_member(h)) return false;
        comma = take(h, ",");
    }
    skip_space(h);
    if (h->at < h->end) return wrong(h, "there is more after the closing brace");
    if (!(h->seen & DESCR)) return wrong(h, "descr is missing");
    if (!(h->seen & FORTRAN_ORDER)) return wrong(h, "fortran_order is missing");
    return (h->seen & SHAPE) || wrong(h, "shape is missing");
}

/* ---- reading ------------------------------------------------------------------------------------------- */

/* Finds the dictionary in the file; the data starts at its end. */
static ra_status find_header(const ra_mapping *mapping, const char *path, header *h, ra_error *err) {
    const unsigned char *bytes = mapping->data;
    size_t size = mapping->size;
    if (size == 0) RA_FAIL(err, RA_ERR_FORMAT, "%s is empty, not an npy file", path);
    if (size < MAGIC_SIZE || memcmp(bytes, magic, MAGIC_SIZE) != 0)
        RA_FAIL(err, RA_ERR_FORMAT, "%s is not an npy file: it does not begin with \\x93NUMPY", path);
    unsigned major = size > 6 ? bytes[6] : 1, minor = size > 7 ? bytes[7] : 0;
    if (major < 1 || major > 3 || minor != 0)
        RA_FAIL(err, RA_ERR_UNSUPPORTED, "%s has npy version %u.%u, but only 1.0, 2.0 and 3.0 can be read",
                path, major, minor);
    size_t width = major == 1 ? 2 : 4, begin = MAGIC_SIZE + 2 + width, length = 0;
    if (size < begin)
        RA_FAIL(err, RA_ERR_FORMAT, "%s is truncated: its %zu bytes end before the npy header", path, size);
    for (size_t i = width; i-- > 0;) length = length << 8 | bytes[MAGIC_SIZE + 2 + i];
    if (length > size - begin)
        RA_FAIL(err, RA_ERR_FORMAT, "%s is truncated: its npy header takes %zu bytes, but only %zu follow",
                path, length, size - begin);
    h->at = (const char *)bytes + begin;
    h->end = h->at + length;
    return RA_OK;
}

/* How the elements lie in the file. */
typedef struct layout {
    bool swapped, fortran; /* big-endian; the first size fastest */
} layout;

/* '<f4' and the like. The byte order is '<', '>', or '=' on a little-endian machine; a type of one byte has
 * none, '|'. */
static ra_status read_dtype(const header *h, const char *path, ra_dtype *dtype, layout *how, ra_error *err) {
    for (int i = 0; i < RA_DTYPE_COUNT; i++) {
        const char *orders = ra_dtype_size((ra_dtype)i) == 1 ? "|<=>" : "<=>";
        if (!spellings[i] || !h->descr[0] || !strchr(orders, h->descr[0])) continue;
        if (strcmp(h->descr + 1, spellings[i]) != 0) continue;
        *dtype = (ra_dtype)i;
        how->swapped = h->descr[0] == '>' && ra_dtype_size(*dtype) > 1;
        return RA_OK;
    }
    RA_FAIL(
        err, RA_ERR_DTYPE,
        "%s holds numbers of type '%s'; expected f2, f4, f8, or integers of i1 to i8, u1 or u2 (in Python: "
        "x.astype('float32'))",
        path, h->descr);
}

static ra_status read_header(const ra_mapping *mapping, const char *path, ra_tensor *tensor, layout *how,
                             ra_error *err) {
    header h = {0};
    RA_TRY(find_header(mapping, path, &h, err));
    if (!read_dictionary(&h))
        RA_FAIL(err, RA_ERR_FORMAT, "%s: the npy header is malformed: %s", path, h.problem);
    RA_TRY(read_dtype(&h, path, &tensor->dtype, how, err));
    if (h.rank > RA_MAX_RANK)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has %zu dimensions, but at most %d can be read", path, h.rank,
                RA_MAX_RANK);
    how->fortran = h.fortran_order && h.rank > 1;
    tensor->rank = (int)h.rank;
    memcpy(tensor->shape, h.shape, sizeof tensor->shape);
    tensor->data = h.end;
    return RA_OK;
}

/* The file holds as much data as the header says, and no more unless `used` asks for its end. */
static ra_status check_data(const ra_mapping *mapping, const char *path, const ra_tensor *tensor,
                            size_t *used, ra_error *err) {
    size_t offset = (size_t)((const char *)tensor->data - (const char *)mapping->data);
    size_t held = mapping->size - offset, needed;
    char shape[RA_SHAPE_TEXT_SIZE];
    ra_shape_text(tensor->rank, tensor->shape, shape, sizeof shape);
    if (!ra_extent_bytes(tensor, &needed))
        RA_FAIL(err, RA_ERR_FORMAT, "%s has the shape %s, which is larger than memory can address", path,
                shape);
    if (held < needed || (held > needed && !used))
        RA_FAIL(err, RA_ERR_FORMAT,
                "%s is %s: shape %s of %s takes %zu bytes of data, but the file holds %zu", path,
                held < needed ? "truncated" : "too long", shape, ra_dtype_name(tensor->dtype), needed, held);
    if (used) *used = offset + needed;
    return RA_OK;
}

ra_status ra_npy_load(const void *bytes, size_t size, const char *where, ra_tensor *tensor, void **copy,
                      ra_error *err) {
    ra_mapping mapping = {.data = bytes, .size = size};
    ra_tensor found = {0};
    layout how = {0};
    *copy = NULL;
    RA_TRY(read_header(&mapping, where, &found, &how, err));
    RA_TRY(check_data(&mapping, where, &found, NULL, err));
    if (ra_tensor_elements(&found) == 0)
        found.data = bytes; /* aligned, as ra_tensor promises */
    else if (how.swapped || how.fortran || (uintptr_t)found.data % ra_dtype_size(found.dtype) != 0)
        RA_TRY(ra_order_copy(&found, found.data, how.swapped, how.fortran, where, copy, err));
    if (*copy) found.data = *copy;
    *tensor = found;
    return RA_OK;
}

ra_status ra_npy_describe(const void *bytes, size_t size, const char *where, ra_tensor *tensor,
                          ra_error *err) {
    ra_mapping mapping = {.data = bytes, .size = size};
    layout how = {0};
    *tensor = (ra_tensor){0};
    RA_TRY(read_header(&mapping, where, tensor, &how, err));
    tensor->data = NULL;
    return RA_OK;
}

ra_status ra_npy_open(const char *path, ra_npy **out, ra_error *err) {
    ra_npy *npy = ra_calloc(1, sizeof *npy);
    if (!npy) RA_FAIL_MEMORY(err, "an open file", sizeof *npy);
    ra_status status = ra_mapping_open(path, &npy->mapping, err);
    if (status == RA_OK)
        status = ra_npy_load(npy->mapping.data, npy->mapping.size, path, &npy->tensor, &npy->copy, err);
    if (status != RA_OK) {
        ra_npy_free(npy);
        return status;
    }
    *out = npy;
    return RA_OK;
}

ra_status ra_npy_parse(const void *bytes, size_t size, const char *where, ra_tensor *tensor, size_t *used,
                       ra_error *err) {
    ra_mapping mapping = {.data = bytes, .size = size};
    ra_tensor found = {0};
    layout how = {0};
    RA_TRY(read_header(&mapping, where, &found, &how, err));
    if (how.swapped || how.fortran)
        RA_FAIL(err, how.swapped ? RA_ERR_DTYPE : RA_ERR_UNSUPPORTED,
                "%s is %s; expected little-endian numbers in C order (numpy.ascontiguousarray)", where,
                how.swapped ? "big-endian" : "in Fortran order");
    RA_TRY(check_data(&mapping, where, &found, used, err));
    *tensor = found;
    return RA_OK;
}

const ra_mapping *ra_npy_mapping(const ra_npy *npy) {
    return &npy->mapping;
}

void ra_npy_free(ra_npy *npy) {
    if (!npy) return;
    ra_free(npy->copy);
    ra_mapping_close(&npy->mapping);
    ra_free(npy);
}

const ra_tensor *ra_npy_tensor(const ra_npy *npy) {
    return &npy->tensor;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

/* The tuple of the shape as Python prints it. */
static size_t print_shape(const ra_tensor *tensor, char *text, size_t size) {
    size_t used = 0;
    for (int i = 0; i < tensor->rank; i++)
        used += (size_t)snprintf(text + used, size - used, i ? ", %zu" : "%zu", tensor->shape[i]);
    return used + (size_t)snprintf(text + used, size - used, tensor->rank == 1 ? "," : "");
}

ra_status ra_npy_header(const ra_tensor *tensor, void **out, size_t *out_size, ra_error *err) {
    char shape[RA_SHAPE_TEXT_SIZE] = "", text[RA_SHAPE_TEXT_SIZE + 80];
    size_t prefix = MAGIC_SIZE + 4, unit, needed;
    if (tensor->rank < 0 || tensor->rank > RA_MAX_RANK)
        RA_FAIL(err, RA_ERR_SHAPE, "an array has %d dimensions, but at most %d are possible", tensor->rank,
                RA_MAX_RANK);
    if ((unsigned)tensor->dtype >= RA_DTYPE_COUNT || !spellings[tensor->dtype])
        RA_FAIL(err, RA_ERR_DTYPE, "npy has no type for %s",
                (unsigned)tensor->dtype < RA_DTYPE_COUNT ? ra_dtype_name(tensor->dtype) : "an unknown one");
    if (!ra_extent_bytes(tensor, &needed))
        RA_FAIL(err, RA_ERR_TOO_LARGE, "an array of %d dimensions is larger than memory can address",
                tensor->rank);
    unit = ra_dtype_size(tensor->dtype);
    print_shape(tensor, shape, sizeof shape);
    size_t length =
        (size_t)snprintf(text, sizeof text, "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s), }",
                         unit == 1 ? '|' : '<', spellings[tensor->dtype], shape);
    size_t size = (prefix + length + DATA_ALIGNMENT) / DATA_ALIGNMENT * DATA_ALIGNMENT; /* one for "\n" */
    unsigned char *block = ra_malloc(size, 1);
    if (!block) RA_FAIL_MEMORY(err, "an npy header", size);
    memset(block, ' ', size);
    memcpy(block, magic, MAGIC_SIZE);
    block[6] = 1;
    block[7] = 0;
    block[8] = (unsigned char)(size - prefix);
    block[9] = (unsigned char)((size - prefix) >> 8);
    memcpy(block + prefix, text, length);
    block[size - 1] = '\n';
    *out = block;
    *out_size = size;
    return RA_OK;
}

ra_status ra_npy_write(const char *path, const ra_tensor *tensor, ra_error *err) {
    void *head = NULL;
    size_t size = 0;
    ra_atomic_file *file = NULL;
    ra_status status;
    RA_TRY(ra_npy_header(tensor, &head, &size, err));
    RA_TRY_OUT(status, ra_atomic_file_begin(path, &file, err));
    status = ra_atomic_file_write(file, head, size, err);
    if (status == RA_OK) status = ra_atomic_file_write(file, tensor->data, ra_tensor_bytes(tensor), err);
    if (status == RA_OK)
        status = ra_atomic_file_commit(file, err);
    else
        ra_atomic_file_abort(file);
out:
    ra_free(head);
    return status;
}
