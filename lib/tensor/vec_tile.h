/* vec_tile.h - a vector of floats of one kind of machine, and how numbers of each type become one. dots_tile.h and gather_tile.h
 * include it once per kind, with the WIDTH of its vectors in floats: 16 for AVX-512, 8 for AVX2, 4 for any machine. It gives them
 * VARIANT(name) for their own functions, and the TARGET of their code. It has no guard. */

#if WIDTH == 16
#define VARIANT(name) name##_avx512
#define TARGET __attribute__((target("arch=x86-64-v4")))
#define WIDEN_F16(from) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(from)))
#elif WIDTH == 8
#define VARIANT(name) name##_avx2
#define TARGET __attribute__((target("arch=x86-64-v3")))
#define WIDEN_F16(from) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(from)))
#else
#define VARIANT(name) name##_any
#define TARGET
#define WIDEN_F16(from) widen_four(from)
#endif

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
