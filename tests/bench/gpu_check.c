/* Products and selections of a device beside plain loops: right before fast. All other operations are held
 * against them by `make check-gpu`. */
#include "bench/gpu.h"

#include <math.h>
#include <string.h>

static double at(const bench *b, size_t i) {
    return (double)b->chunk[i % CHUNK];
}

static float *taken(bench *b, const float *block, size_t n) {
    float *host = host_block(n, sizeof *host);
    CALL(b, download, host, block, n * sizeof *host);
    wait(b);
    return host;
}

static bool is_near(double a, double b, double size, double tolerance) {
    return fabs(a - b) <= tolerance * size;
}

/* Scores of the first and the last row, beside float64. */
static void check_encode(bench *b) {
    encode(b);
    for (size_t row = 0; row < b->rows; row += b->rows - 1) {
        float *scores = taken(b, b->pre + row * b->K, b->K);
        for (size_t k = 0; k < b->K; k += b->K / 32 + 1) {
            double sum = 0, size = 0;
            for (size_t j = 0; j < b->d; j++) {
                double product = at(b, row * b->d + j) * at(b, k * b->d + j);
                sum += product;
                size += fabs(product);
            }
            must_be(is_near((double)scores[k], sum, size, 1e-5), "a matrix product");
        }
        ra_free(scores);
    }
}

static void check_selection(bench *b) {
    ra_backend *oracle = NULL;
    ra_error err = {0};
    top_k(b);
    must(ra_backend_open("reference", NULL, &oracle, &err), &err);
    for (size_t row = 0; row < b->rows; row += b->rows - 1) {
        float *scores = taken(b, b->pre + row * b->K, b->K);
        ra_codes expected = {0};
        must(ra_backend_top_k(oracle, scores, 1, b->K, b->active, 0, &expected, &err), &err);
        size_t first = b->codes.start[row], count = b->codes.start[row + 1] - first;
        must_be(count == ra_codes_entries(&expected) &&
                    memcmp(b->codes.index + first, expected.index, count * sizeof *expected.index) == 0 &&
                    memcmp(b->codes.value + first, expected.value, count * sizeof *expected.value) == 0,
                "a selection");
        ra_codes_release(&expected);
        ra_free(scores);
    }
    ra_backend_release(oracle);
}

static void check_decode(bench *b, work *run, ra_dtype dtype) {
    run(b);
    for (size_t row = 0; row < b->rows; row += b->rows - 1) {
        float *got = taken(b, b->x_hat + row * b->d, b->d);
        for (size_t j = 0; j < b->d; j++) {
            double sum = 0, size = 0;
            for (size_t e = b->codes.start[row]; e < b->codes.start[row + 1]; e++) {
                float atom = (float)at(b, (size_t)b->codes.index[e] * b->d + j);
                uint16_t half;
                if (dtype != RA_F32) {
                    ra_convert_from_f32(dtype, &atom, &half, 1);
                    ra_convert_to_f32(dtype, &half, &atom, 1);
                }
                double product = (double)b->codes.value[e] * (double)atom;
                sum += product;
                size += fabs(product);
            }
            must_be(is_near((double)got[j], sum, size, 1e-5), "a decode");
        }
        ra_free(got);
    }
}

void check_products_and_selections(bench *b) {
    check_encode(b);
    check_selection(b);
    check_decode(b, decode, RA_F32);
    check_decode(b, decode_half, RA_BF16);
}
