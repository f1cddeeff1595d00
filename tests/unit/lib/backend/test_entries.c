/* Operations that visit each entry of codes once, and the steps of a pursuit:
 * lib/backend/{cpu,reference}/{codes,pursuit}.c and those of the plugins against the reference. */
#include "backend_pair.h"

#include <math.h>
#include <string.h>

START_TEST(test_entries) {
    shape s = shape_of_case(_i);
    pair p = pair_open(s.device);
    size_t rows = s.first, K = s.second, bytes = rows * K * sizeof(float);
    float *dense = numbers(rows * K, 1), *out = numbers(rows * K, 2),
          *sums[2] = {numbers(K, 3), numbers(K, 4)};
    float *on_dense = pair_put(&p, dense, bytes), *on_sums = pair_put(&p, sums[1], K * 4);
    static const float shares[] = {0, 0.05f, 0.6f, 1.1f};
    for (size_t i = 0; i < 4; i++) {
        ra_codes codes = some_codes(rows, K, shares[i], i);
        size_t entries = ra_codes_entries(&codes), size = entries * sizeof(float);
        float *value = numbers(entries, 5), *other = numbers(entries, 6);
        if (entries) value[0] = NAN; /* beta 0 must not read it */
        float *on_value = pair_put(&p, value, size);
        for (int step = 0; step < 2; step++) {
            float beta = step ? -0.5f : 0;
            PAIR_RUN(p, gather_entries, (&codes, dense, beta, value), (&codes, on_dense, beta, on_value));
            pair_get(&p, other, on_value, size);
            assert_close(other, value, entries, 1e-6); /* a GPU rounds a product and a sum once */
        }
        /* values from the backend, and the codes' own, which are the host's */
        pair_set(&p, on_value, value, size);
        PAIR_RUN(p, scatter_entries, (&codes, 0.75f, value, dense), (&codes, 0.75f, on_value, on_dense));
        PAIR_RUN(p, scatter_entries, (&codes, -1, codes.value, dense), (&codes, -1, codes.value, on_dense));
        pair_get(&p, out, on_dense, bytes);
        assert_close(out, dense, rows * K, 1e-6);
        for (int own = 0; own < 2; own++) {
            PAIR_RUN(p, latent_sums, (&codes, own ? codes.value : value, sums[0]),
                     (&codes, own ? codes.value : on_value, on_sums));
            pair_get(&p, sums[1], on_sums, K * 4);
            assert_close(sums[1], sums[0], K, 5e-5); /* one sum of 300 numbers may cancel */
        }
        double sizes[2];
        PAIR_RUN(p, magnitudes, (&codes, 0.5f, value, &sizes[0]), (&codes, 0.5f, on_value, &sizes[1]));
        ck_assert_double_eq_tol(sizes[0], sizes[1], 1e-9 * (1 + sizes[0]));
        pair_get(&p, other, on_value, size);
        assert_close(other, value, entries, 0);
        pair_drop(&p, BLOCKS(on_value));
        forget(BLOCKS(value, other));
        ra_codes_release(&codes);
    }
    pair_drop(&p, BLOCKS(on_dense, on_sums));
    forget(BLOCKS(dense, out, sums[0], sums[1]));
    pair_close(&p);
}
END_TEST

/* ---- pursuits ------------------------------------------------------------------------------------------ */

enum { STEPS = 3 };

typedef struct pursuit {
    pair p;
    size_t rows, K, d;
    float *D, *gram, *scores, *value, *residual;
    int32_t *atom;
    float *on_D, *on_gram, *on_scores, *on_value, *on_residual;
    int32_t *on_atom;
    ra_pursuit_path a, b;
} pursuit;

static pursuit make(const shape *s) {
    pursuit f = {.p = pair_open(s->device), .rows = s->first, .K = s->second, .d = s->third};
    size_t path = f.rows * STEPS;
    f.D = numbers(f.K * f.d, 1);
    f.gram = numbers(f.K * f.K, 2);
    for (size_t i = 0; i < f.K * f.K; i++) f.gram[i] = roundf(f.gram[i] * 4) / 4; /* no step rounds a score */
    f.scores = numbers(f.rows * f.K, 3);
    f.residual = numbers(f.rows * f.d, 4);
    f.value = ra_calloc(path, sizeof *f.value);
    f.atom = ra_calloc(path, sizeof *f.atom);
    /* coarse, so that there are equal ones, of which the first counts */
    for (size_t i = 0; i < f.rows * f.K; i++) f.scores[i] = roundf(f.scores[i] * 4) / 4;
    f.on_D = pair_put(&f.p, f.D, f.K * f.d * 4);
    f.on_gram = pair_put(&f.p, f.gram, f.K * f.K * 4);
    f.on_scores = pair_put(&f.p, f.scores, f.rows * f.K * 4);
    f.on_residual = pair_put(&f.p, f.residual, f.rows * f.d * 4);
    f.on_value = pair_put(&f.p, f.value, path * 4);
    f.on_atom = pair_put(&f.p, f.atom, path * 4);
    f.a = (ra_pursuit_path){f.rows, STEPS, f.d, f.K, f.D, f.atom, f.value, f.residual};
    f.b = (ra_pursuit_path){f.rows, STEPS, f.d, f.K, f.on_D, f.on_atom, f.on_value, f.on_residual};
    return f;
}

static void release(pursuit *f) {
    pair_drop(&f->p, BLOCKS(f->on_D, f->on_gram, f->on_scores, f->on_value, f->on_residual, f->on_atom));
    forget(BLOCKS(f->D, f->gram, f->scores, f->value, f->residual, f->atom));
    pair_close(&f->p);
}

/* What both have done. */
static void assert_same_path(pursuit *f) {
    size_t path = f->rows * STEPS;
    float *residual = numbers(f->rows * f->d, 6), *value = numbers(path, 7);
    int32_t *atom = ra_malloc(path, sizeof *atom);
    pair_get(&f->p, residual, f->on_residual, f->rows * f->d * 4);
    for (size_t i = 0; i < f->rows * f->d; i++) {
        float is = residual[i], expected = f->residual[i];
        if (isnan(expected))
            ck_assert(isnan(is));
        else if (is != expected) /* infinities are equal */
            ck_assert(fabsf(is - expected) <= 1e-5f * (1 + fabsf(expected)));
    }
    pair_get(&f->p, atom, f->on_atom, path * 4);
    ck_assert_mem_eq(atom, f->atom, path * 4);
    pair_get(&f->p, value, f->on_value, path * 4);
    for (size_t i = 0; i < path; i++)
        ck_assert(isnan(f->value[i]) ? isnan(value[i]) : value[i] == f->value[i]);
    forget(BLOCKS(residual, value, atom));
}

/* Scores that are NaN, infinite, or all the same; one step, and all of them together. */
static void check_odd_scores(const shape *s) {
    for (int kind = 0; kind < 5; kind++) {
        pursuit f = make(s);
        size_t n = f.rows * f.K;
        for (size_t i = 0; i < n; i++) {
            bool first = i % f.K == 0;
            if (kind == 0 && first) f.scores[i] = NAN;
            if (kind == 1 && !first && i % 3) f.scores[i] = NAN;
            if (kind == 2) f.scores[i] = -INFINITY;
            if (kind == 3) f.scores[i] = 0.25f;
            if (kind == 4 && i % f.K == f.K / 2) f.scores[i] = INFINITY;
        }
        pair_set(&f.p, f.on_scores, f.scores, n * 4);
        PAIR_RUN(f.p, pursue, (&f.a, NULL, 0, 1, f.scores), (&f.b, NULL, 0, 1, f.on_scores));
        PAIR_RUN(f.p, pursue, (&f.a, f.gram, 1, STEPS - 1, f.scores),
                 (&f.b, f.on_gram, 1, STEPS - 1, f.on_scores));
        assert_same_path(&f);
        release(&f);
    }
}

START_TEST(test_pursue) {
    shape s = shape_of_case(_i);
    pursuit f = make(&s);
    PAIR_RUN(f.p, pursue, (&f.a, NULL, 0, 1, f.scores), (&f.b, NULL, 0, 1, f.on_scores));
    test_fill(f.scores, f.rows * f.K, 8); /* as if a product had made them anew */
    for (size_t i = 0; i < f.rows * f.K; i++) f.scores[i] = roundf(f.scores[i] * 4) / 4;
    pair_set(&f.p, f.on_scores, f.scores, f.rows * f.K * 4);
    PAIR_RUN(f.p, pursue, (&f.a, f.gram, 1, STEPS - 1, f.scores),
             (&f.b, f.on_gram, 1, STEPS - 1, f.on_scores));
    assert_same_path(&f);
    release(&f);
    check_odd_scores(&s);
}
END_TEST

/* Rows that a device holds in one way or another, and one row with all the threads that a block can have. */
START_TEST(test_pursue_long_rows) {
    static const size_t lengths[] = {1000, 1001, 4100};
    for (int device = 0; device < TESTED_DEVICES; device++)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            const shape s = {.device = device, .first = 1, .second = lengths[i], .third = 7};
            pursuit f = make(&s);
            PAIR_RUN(f.p, pursue, (&f.a, f.gram, 0, STEPS, f.scores),
                     (&f.b, f.on_gram, 0, STEPS, f.on_scores));
            assert_same_path(&f);
            release(&f);
        }
}
END_TEST

static void check_backward(const shape *s) {
    pursuit f = make(s);
    size_t path = f.rows * STEPS, first = f.rows / 2, rows = f.rows - first;
    ra_ok(ra_backend_pursue(f.p.oracle, &f.a, f.gram, 0, STEPS, f.scores, &err));
    for (size_t i = 0; i < path; i++) f.value[i] /= 1 + fabsf(f.value[i]);
    pair_set(&f.p, f.on_residual, f.residual, f.rows * f.d * 4);
    pair_set(&f.p, f.on_atom, f.atom, path * 4);
    pair_set(&f.p, f.on_value, f.value, path * 4);
    float *g = numbers(path, 5), *on_g = pair_put(&f.p, g, path * 4);
    float *room = numbers(rows * 2 * f.d, 6), *on_room = pair_put(&f.p, room, rows * 2 * f.d * 4);
    size_t pushes = rows * STEPS * f.d;
    float *push = numbers(pushes, 7), *out = numbers(pushes, 8), *on_push = pair_put(&f.p, push, pushes * 4);
    PAIR_RUN(f.p, pursue_backward, (&f.a, g, first, rows, room, push),
             (&f.b, on_g, first, rows, on_room, on_push));
    pair_get(&f.p, out, on_push, pushes * 4);
    assert_close(out, push, pushes, 1e-5);
    pair_drop(&f.p, BLOCKS(on_g, on_room, on_push));
    forget(BLOCKS(g, room, push, out));
    release(&f);
}

START_TEST(test_pursue_backward) {
    shape s = shape_of_case(_i);
    check_backward(&s);
}
END_TEST

/* As above, of rows that registers hold in several packs per thread, and of one that they do not hold. */
START_TEST(test_pursue_backward_of_long_rows) {
    static const size_t lengths[] = {1000, 1001, 4100, 8196};
    for (int device = 0; device < TESTED_DEVICES; device++)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
            check_backward(&(shape){.device = device, .first = 2, .second = 7, .third = lengths[i]});
}
END_TEST

/* Rows without a code are zeros, and codes without any entry need no arrays. */
START_TEST(test_decode_of_no_codes) {
    static const float D[2] = {1, 2}, zeros[4] = {0};
    size_t start[3] = {0};
    const ra_codes none = {.rows = 2, .latents = 1, .start = start};
    for (int device = 0; device < TESTED_DEVICES; device++) {
        pair p = pair_open(device);
        float out[2][4] = {{5, 5, 5, 5}, {5, 5, 5, 5}};
        float *on_D = pair_put(&p, D, sizeof D), *on_out = pair_put(&p, out[1], sizeof out[1]);
        PAIR_RUN(p, decode, (&none, RA_F32, D, 2, out[0]), (&none, RA_F32, on_D, 2, on_out));
        pair_get(&p, out[1], on_out, sizeof out[1]);
        assert_close(out[0], zeros, 4, 0);
        assert_close(out[1], zeros, 4, 0);
        pair_drop(&p, BLOCKS(on_D, on_out));
        pair_close(&p);
    }
}
END_TEST

TEST_CASES(backend_no_codes, test_decode_of_no_codes)
TEST_CASES_LOOP(backend_entries, 60, CASES, test_entries)
TEST_CASES_SLOW(backend_long_pursuit, 60, test_pursue_long_rows, test_pursue_backward_of_long_rows)
TEST_CASES_LOOP(backend_pursuit, 60, CASES, test_pursue, test_pursue_backward)
