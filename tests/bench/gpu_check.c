/* Products and selections of a device beside plain loops: right before fast. All other operations are held
 * against them by `make check-gpu`. */
#include "bench/gpu.h"

#include <math.h>
#include <string.h>

/* n numbers of the device's memory. */
static float *taken(bench *b, const float *block, size_t n) {
    float *host = host_block(n, sizeof *host);
    CALL(b, download, host, block, n * sizeof *host);
    wait(b);
    return host;
}

/* Atom k of b->D or b->half. */
static float *atom_of(bench *b, ra_dtype dtype, size_t k) {
    if (dtype == RA_F32) return taken(b, b->D + k * b->d, b->d);
    uint16_t *half = host_block(b->d, sizeof *half);
    float *atom = host_block(b->d, sizeof *atom);
    CALL(b, download, half, (const uint16_t *)b->half + k * b->d, b->d * sizeof *half);
    wait(b);
    ra_convert_to_f32(dtype, half, atom, b->d);
    ra_free(half);
    return atom;
}

static bool is_near(double a, double b, double size, double tolerance) {
    return fabs(a - b) <= tolerance * size;
}

/* Scores of the first and the last row, beside float64. */
static void check_encode(bench *b) {
    encode(b);
    for (size_t row = 0; row < b->rows; row += b->rows - 1) {
        float *scores = taken(b, b->pre + row * b->K, b->K), *x = taken(b, b->x + row * b->d, b->d);
        for (size_t k = 0; k < b->K; k += b->K / 32 + 1) {
            double sum = 0, size = 0;
            float *atom = atom_of(b, RA_F32, k);
            for (size_t j = 0; j < b->d; j++) {
                double product = (double)x[j] * (double)atom[j];
                sum += product;
                size += fabs(product);
            }
            must_be(is_near((double)scores[k], sum, size, 1e-5), "a matrix product");
            ra_free(atom);
        }
        ra_free(scores);
        ra_free(x);
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
        double *sum = host_block(b->d, sizeof *sum), *size = host_block(b->d, sizeof *size);
        for (size_t e = b->codes.start[row]; e < b->codes.start[row + 1]; e++) {
            float *atom = atom_of(b, dtype, (size_t)b->codes.index[e]);
            for (size_t j = 0; j < b->d; j++) {
                double product = (double)b->codes.value[e] * (double)atom[j];
                sum[j] += product;
                size[j] += fabs(product);
            }
            ra_free(atom);
        }
        for (size_t j = 0; j < b->d; j++) must_be(is_near((double)got[j], sum[j], size[j], 1e-5), "a decode");
        ra_free(sum);
        ra_free(size);
        ra_free(got);
    }
}

void check_products_and_selections(bench *b) {
    check_encode(b);
    check_selection(b);
    check_decode(b, decode, RA_F32);
    check_decode(b, decode_half, RA_BF16);
}
