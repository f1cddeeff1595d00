/* vec_tile.h - a vector of floats of one kind of machine, and how numbers of each type become one; for dots_tile.h and
 * gather_tile.h, which include it once per kind, with VARIANT(name), the WIDTH of its vectors in floats, the TARGET of its code, and
 * its WIDEN_F16(address). It has no guard. */

#define vec VARIANT(vec)

typedef float vec __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

/* Halves of a bfloat16 are those of a float32 but the lower one. */
INLINE TARGET vec VARIANT(widen_bf16)(const char *from) {
    typedef uint16_t halves __attribute__((vector_size(2 * WIDTH), aligned(2), may_alias));
    typedef uint32_t words __attribute__((vector_size(4 * WIDTH)));
    return (vec)(__builtin_convertvector(*(const halves *)from, words) << 16);
}

/* WIDTH elements of a row, from element i on. */
INLINE TARGET vec VARIANT(load)(ra_dtype type, const char *row, size_t i) {
    if (type == RA_F16) return (vec)WIDEN_F16(row + i * sizeof(uint16_t));
    if (type == RA_BF16) return VARIANT(widen_bf16)(row + i * sizeof(uint16_t));
    return *(const vec *)(row + i * sizeof(float));
}
