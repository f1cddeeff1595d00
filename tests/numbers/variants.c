/* For all_f32.cc: prints with every variant and compares. */
#include "numbers/variants.h"

size_t print_with_all(const float *values, size_t n, char *out, char *other, const char **differs);

/* What the first variant prints; *differs names one that does not print the same. */
size_t print_with_all(const float *values, size_t n, char *out, char *other, const char **differs) {
    size_t size = print_variants[0].print(values, n, out);
    *differs = NULL;
    for (size_t i = 1; i < PRINT_VARIANTS; i++)
        if (can_print(i) &&
            (print_variants[i].print(values, n, other) != size || memcmp(out, other, size) != 0))
            *differs = print_variants[i].name;
    return size;
}
