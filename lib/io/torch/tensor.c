/* A tensor is a start, sizes and steps within a storage: element [i, j, ...] is number start + i step_0 + j step_1 + ...
 * of it. All of that comes from the file, so the last element is computed with care and must be in the storage, and a
 * tensor that counts an element of its storage several times (expand) is refused: its copy could be of any size. */
#include "io/torch/tensor.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

enum { MOST_COPIES = 4 };

/* A tensor as the pickle describes it. */
typedef struct layout {
    const ra_torch_storage *storage;
    ra_torch_type type;
    uint64_t start;
    size_t rank, shape[RA_MAX_RANK];
    uint64_t step[RA_MAX_RANK];
    uint64_t elements;
} layout;

#define FAIL(a, name, err, format, ...)                                                                      \
    RA_FAIL(err, RA_ERR_FORMAT, "%s: tensor \"%s\" " format, (a)->path, name, ##__VA_ARGS__)

static bool take(const ra_pickle_value *value, uint64_t *number) {
    if (!ra_pickle_is(value, RA_PICKLE_INTEGER) || value->is.integer < 0) return false;
    *number = (uint64_t)value->is.integer;
    return true;
}

static ra_status read_layout(const ra_torch_archive *a, const ra_pickle_value *value, const char *name,
                             layout *l, ra_error *err) {
    ra_pickle_value *const *part = value->is.tensor.arguments->is.list.items;
    const ra_pickle_value *sizes = part[2], *steps = part[3];
    l->storage = ra_torch_archive_storage(a, part[0]);
    l->type = l->storage->type;
    if (!l->type.name) (void)ra_torch_type_of(value->is.tensor.dtype, &l->type);
    l->rank = sizes->count;
    if (steps->count != sizes->count || !take(part[1], &l->start))
        FAIL(a, name, err, "has sizes and strides that do not fit together");
    l->elements = 1;
    for (size_t i = 0; i < l->rank; i++) {
        uint64_t size, step;
        if (!take(sizes->is.list.items[i], &size) || !take(steps->is.list.items[i], &step))
            FAIL(a, name, err, "has a size or a stride that is not a number of at least 0");
        if (i < RA_MAX_RANK) {
            l->shape[i] = size;
            l->step[i] = step;
        }
        if (size == 0) l->elements = 0;
    }
    for (size_t i = 0; l->elements && i < l->rank; i++)
        if (__builtin_mul_overflow(l->elements, (uint64_t)sizes->is.list.items[i]->is.integer, &l->elements))
            FAIL(a, name, err, "is larger than memory can address");
    return RA_OK;
}

static ra_status note_foreign(const layout *l, ra_torch_tensor *tensor) {
    char shape[RA_SHAPE_TEXT_SIZE];
    tensor->refusal = l->rank > RA_MAX_RANK ? RA_ERR_SHAPE : RA_ERR_DTYPE;
    if (l->rank > RA_MAX_RANK)
        snprintf(tensor->description, sizeof tensor->description, "%s with %zu dimensions",
                 l->type.name ? l->type.name : "bytes", l->rank);
    else
        snprintf(tensor->description, sizeof tensor->description, "%s %s",
                 l->type.name ? l->type.name : "bytes",
                 ra_shape_text((int)l->rank, l->shape, shape, sizeof shape));
    return RA_OK;
}

/* The last element is in the storage, and the tensor is not larger than it. */
static ra_status check_extent(const ra_torch_archive *a, const layout *l, const char *name, ra_error *err) {
    uint64_t held = l->storage->size / l->type.size, last = l->start;
    if (l->elements == 0) return RA_OK;
    for (size_t i = 0; i < l->rank; i++) {
        uint64_t way;
        if (__builtin_mul_overflow((uint64_t)l->shape[i] - 1, l->step[i], &way) ||
            __builtin_add_overflow(last, way, &last))
            FAIL(a, name, err, "has strides that lead beyond its storage");
    }
    if (last >= held)
        FAIL(a, name, err, "ends at element %llu of its storage, which has %llu", (unsigned long long)last,
             (unsigned long long)held);
    if (l->elements > held)
        FAIL(a, name, err,
             "has %llu elements, but its storage only %llu (it was made with expand()); save "
             "tensor.contiguous() instead",
             (unsigned long long)l->elements, (unsigned long long)held);
    return RA_OK;
}

/* Whether the elements follow each other, as in a ra_tensor. */
static bool is_contiguous(const layout *l) {
    uint64_t step = 1;
    for (size_t i = l->rank; i-- > 0;) {
        if (l->shape[i] != 1 && l->step[i] != step) return false;
        step *= l->shape[i];
    }
    return true;
}

/* ---- copies -------------------------------------------------------------------------------------------- */

/* The last two dimensions, elements of w bytes, in tiles: a transposed matrix is the usual case. */
static void copy_plane(size_t w, const unsigned char *from, unsigned char *to, size_t rows, size_t cols,
                       size_t row_step, size_t col_step) {
    enum { TILE = 32 };
    for (size_t r0 = 0; r0 < rows; r0 += TILE)
        for (size_t c0 = 0; c0 < cols; c0 += TILE)
            for (size_t r = r0; r < rows && r < r0 + TILE; r++)
                for (size_t c = c0; c < cols && c < c0 + TILE; c++)
                    memcpy(to + (r * cols + c) * w, from + (r * row_step + c * col_step) * w, w);
}

static void copy_elements(const layout *l, const unsigned char *from, unsigned char *to) {
    size_t w = l->type.size, position[RA_MAX_RANK] = {0}, outer = l->rank > 2 ? l->rank - 2 : 0;
    size_t rows = l->rank > 1 ? l->shape[l->rank - 2] : 1, row_step = l->rank > 1 ? l->step[l->rank - 2] : 0;
    size_t cols = l->rank > 0 ? l->shape[l->rank - 1] : 1, col_step = l->rank > 0 ? l->step[l->rank - 1] : 0;
    for (uint64_t left = l->elements; left > 0; left -= rows * cols) {
        size_t at = 0;
        for (size_t i = 0; i < outer; i++) at += position[i] * l->step[i];
        copy_plane(w, from + at * w, to, rows, cols, row_step, col_step);
        to += rows * cols * w;
        for (size_t i = outer; i-- > 0;) {
            if (++position[i] < l->shape[i]) break;
            position[i] = 0;
        }
    }
}

static ra_status copy_tensor(ra_torch_archive *a, const layout *l, const unsigned char *from,
                             const char *name, ra_torch_tensor *tensor, ra_error *err) {
    size_t bytes = l->elements * l->type.size;
    if (bytes > MOST_COPIES * a->size - a->copied)
        RA_FAIL(err, RA_ERR_TOO_LARGE,
                "%s: its tensors, up to \"%s\", take more than %d times the bytes of the file when they are "
                "copied; save "
                "them contiguous",
                a->path, name, MOST_COPIES);
    a->copied += bytes;
    tensor->copy = ra_malloc(bytes, 1);
    if (!tensor->copy) RA_FAIL_MEMORY(err, name, bytes);
    if (is_contiguous(l))
        memcpy(tensor->copy, from, bytes);
    else
        copy_elements(l, from, tensor->copy);
    tensor->tensor.data = tensor->copy;
    return RA_OK;
}

/* ---- a tensor ------------------------------------------------------------------------------------------ */

ra_status ra_torch_tensor_get(ra_torch_archive *archive, const ra_pickle_value *value, const char *name,
                              bool careful, ra_torch_tensor *tensor, ra_error *err) {
    static const double none = 0; /* where a tensor without elements points to */
    layout l = {0};
    *tensor = (ra_torch_tensor){0};
    RA_TRY(read_layout(archive, value, name, &l, err));
    if (!l.type.readable || l.rank > RA_MAX_RANK) return note_foreign(&l, tensor);
    RA_TRY(check_extent(archive, &l, name, err));
    ra_tensor *view = &tensor->tensor;
    view->dtype = l.type.dtype;
    view->rank = (int)l.rank;
    memcpy(view->shape, l.shape, sizeof l.shape);
    view->data = &none;
    if (l.elements == 0) return RA_OK;
    const unsigned char *from = l.storage->bytes + l.start * l.type.size;
    bool matrix = view->rank == 2 && (ra_dtype_is_float(view->dtype) || view->dtype == RA_F64);
    if (!is_contiguous(&l) || (uintptr_t)from % l.type.size || (careful && !matrix))
        return copy_tensor(archive, &l, from, name, tensor, err);
    view->data = from;
    return RA_OK;
}

ra_status ra_torch_number(ra_torch_archive *archive, const ra_pickle_value *value, const char *name,
                          bool *found, double *number, ra_error *err) {
    ra_torch_tensor tensor;
    *found = false;
    if (!ra_pickle_is(value, RA_PICKLE_TENSOR)) return RA_OK;
    RA_TRY(ra_torch_tensor_get(archive, value, name, true, &tensor, err));
    *found = tensor.refusal == RA_OK && ra_tensor_elements(&tensor.tensor) == 1;
    if (*found && tensor.tensor.dtype == RA_F64) {
        memcpy(number, tensor.tensor.data, sizeof *number);
    } else if (*found) {
        float narrow;
        ra_convert_to_f32(tensor.tensor.dtype, tensor.tensor.data, &narrow, 1);
        *number = (double)narrow;
    }
    ra_free(tensor.copy);
    return RA_OK;
}
