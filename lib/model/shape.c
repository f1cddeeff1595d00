/* The shape of the images that rows are, a text of the metadata: "8x8" or "32x32x3". */
#include "model/model.h"

#include <stdlib.h>

size_t ra_model_shape_parse(const char *text, size_t d, size_t shape[3]) {
    size_t sides = 0, product = 1;
    for (const char *at = text; sides < 3; at++) {
        char *end;
        if (*at < '1' || *at > '9') return 0;
        unsigned long long side = strtoull(at, &end, 10);
        if (side > d || __builtin_mul_overflow(product, (size_t)side, &product)) return 0;
        shape[sides++] = (size_t)side;
        at = end;
        if (!*at) return product == d && sides >= 2 && (sides == 2 || side == 3) ? sides : 0;
        if (*at != 'x') return 0;
    }
    return 0;
}
