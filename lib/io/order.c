/* Fortran's order of [a, b, ..., z] has a fastest and z slowest. For every combination of the sizes between
 * them, the copy is the transposition of an [a, z] matrix, done in square tiles, so that both sides stay within
 * a few cache lines. */
#include "io/order.h"
#include "ra_memory.h"

#include <string.h>

enum { TILE = 32 };

static void swap_bytes(unsigned char *bytes, size_t elements, size_t width) {
    for (size_t i = 0; i < elements; i++, bytes += width)
        for (size_t low = 0, high = width - 1; low < high; low++, high--) {
            unsigned char byte = bytes[low];
            bytes[low] = bytes[high];
            bytes[high] = byte;
        }
}

/* One matrix: rows are `width` bytes apart in the source and `row_step` in the target. */
typedef struct plane {
    const unsigned char *source;
    unsigned char *target;
    size_t rows, cols, source_step, target_step, width; /* steps in elements: from column to column of the
                                                           source, from row to row of the target */
} plane;

static void transpose(const plane *p) {
    size_t w = p->width;
    for (size_t r0 = 0; r0 < p->rows; r0 += TILE)
        for (size_t c0 = 0; c0 < p->cols; c0 += TILE)
            for (size_t r = r0; r < p->rows && r < r0 + TILE; r++)
                for (size_t c = c0; c < p->cols && c < c0 + TILE; c++)
                    memcpy(p->target + (r * p->target_step + c) * w, p->source + (c * p->source_step + r) * w,
                           w);
}

static void from_fortran(const ra_tensor *tensor, const unsigned char *source, unsigned char *target) {
    int last = tensor->rank - 1;
    const size_t *shape = tensor->shape;
    size_t width = ra_dtype_size(tensor->dtype), planes = 1;
    for (int i = 1; i < last; i++) planes *= shape[i];
    for (size_t m = 0; m < planes; m++) {
        size_t rest = m, from = 0, to = 0, from_step = shape[0], to_step = shape[last];
        size_t position[RA_MAX_RANK] = {0};
        for (int i = last - 1; i > 0; i--) {
            position[i] = rest % shape[i];
            rest /= shape[i];
        }
        for (int i = 1; i < last; i++) {
            from += position[i] * from_step;
            from_step *= shape[i];
        }
        for (int i = last - 1; i > 0; i--) {
            to += position[i] * to_step;
            to_step *= shape[i];
        }
        transpose(&(plane){.source = source + from * width,
                           .target = target + to * width,
                           .rows = shape[0],
                           .cols = shape[last],
                           .source_step = from_step,
                           .target_step = to_step,
                           .width = width});
    }
}

ra_status ra_order_copy(const ra_tensor *tensor, const void *source, bool swapped, bool fortran,
                        const char *where, void **copy, ra_error *err) {
    size_t bytes = ra_tensor_bytes(tensor), elements = ra_tensor_elements(tensor);
    unsigned char *target = ra_malloc(bytes ? bytes : 1, 1);
    if (!target)
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %s has to be copied, which needs %zu bytes", where,
                bytes);
    if (fortran && tensor->rank > 1 && elements)
        from_fortran(tensor, source, target);
    else if (bytes)
        memcpy(target, source, bytes);
    if (swapped) swap_bytes(target, elements, ra_dtype_size(tensor->dtype));
    *copy = target;
    return RA_OK;
}
