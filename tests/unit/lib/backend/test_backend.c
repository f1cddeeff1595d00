/* The operations of every backend (lib/backend/reference, lib/backend/cpu, lib/backend/memory.c and the
 * plugins) against the reference backend, over a grid of shapes: products, selections, projections, Adam;
 * plugins; and that results do not depend on threads. */
#include "backend_pair.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void assert_codes_equal(const ra_codes *a, const ra_codes *b) {
    ck_assert_uint_eq(a->rows, b->rows);
    ck_assert_uint_eq(a->latents, b->latents);
    ck_assert_mem_eq(a->start, b->start, (a->rows + 1) * sizeof *a->start);
    size_t entries = ra_codes_entries(a);
    if (!entries) return;
    ck_assert_mem_eq(a->index, b->index, entries * sizeof *a->index);
    ck_assert_mem_eq(a->value, b->value, entries * sizeof *a->value);
}

START_TEST(test_gemm) {
    shape s = shape_of_case(_i);
    pair p = pair_open(s.device);
    size_t m = s.first, n = s.second, k = s.third;
    float *a = numbers(m * k, 1), *b = numbers(k * n, 2), *c = numbers(m * n, 3), *d = numbers(m * n, 3);
    float *on_a = pair_put(&p, a, m * k * sizeof *a), *on_b = pair_put(&p, b, k * n * sizeof *b),
          *on_d = pair_put(&p, d, m * n * sizeof *d);
    for (int variant = 0; variant < 8; variant++) {
        bool ta = variant & 1, tb = variant & 2;
        float beta = variant & 4 ? 0.5f : 0;
        size_t lda = ta ? m : k, ldb = tb ? k : n;
        if (beta == 0) { /* beta 0 must not read C */
            c[0] = NAN;
            pair_set(&p, on_d, c, sizeof *c);
        }
        ra_ok(ra_backend_gemm(p.oracle, ta, tb, m, n, k, 1.5f, a, lda, b, ldb, beta, c, n, &err));
        ra_ok(ra_backend_gemm(p.tested, ta, tb, m, n, k, 1.5f, on_a, lda, on_b, ldb, beta, on_d, n, &err));
        pair_get(&p, d, on_d, m * n * sizeof *d);
        assert_close(d, c, m * n, 1e-5);
    }
    pair_drop(&p, BLOCKS(on_a, on_b, on_d));
    forget(BLOCKS(a, b, c, d));
    pair_close(&p);
}
END_TEST

/* From any address and into rows with gaps; on the host with the bits of the product added to rows of the bias. */
START_TEST(test_gemm_bias) {
    shape s = shape_of_case(_i);
    pair p = pair_open(s.device);
    size_t m = s.first, n = s.second, k = s.third, ldc = n + 1, bytes = m * ldc * sizeof(float);
    float *a = numbers(m * k, 1), *b = numbers(n * k, 2), *bias = numbers(n + 1, 3), *c = numbers(m * ldc, 4),
          *d = numbers(m * ldc, 4), *e = numbers(m * ldc, 4);
    float *on_a = pair_put(&p, a, m * k * sizeof *a), *on_b = pair_put(&p, b, n * k * sizeof *b),
          *on_bias = pair_put(&p, bias, (n + 1) * sizeof *bias), *on_c = pair_put(&p, c, bytes);
    for (size_t from = 0; from < 2; from++) {
        test_fill(c, m * ldc, 4);
        pair_set(&p, on_c, c, bytes);
        PAIR_RUN(p, gemm_bias, (a, m, b, n, k, bias + from, c, ldc),
                 (on_a, m, on_b, n, k, on_bias + from, on_c, ldc));
        pair_get(&p, d, on_c, bytes);
        for (size_t i = 0; i < m; i++) assert_close(d + i * ldc, c + i * ldc, n, 2e-4); /* some cancel */
        for (size_t i = 0; i < m; i++) ck_assert(d[i * ldc + n] == c[i * ldc + n]);     /* between rows */
        for (size_t i = 0; i < m; i++) memcpy(e + i * ldc, bias + from, n * sizeof *e);
        pair_set(&p, on_c, e, bytes);
        ra_ok(ra_backend_gemm(p.tested, false, true, m, n, k, 1, on_a, k, on_b, k, 1, on_c, ldc, &err));
        pair_get(&p, e, on_c, bytes);
        for (size_t i = 0; i < m && ra_backend_host_memory(p.tested); i++)
            ck_assert_mem_eq(e + i * ldc, d + i * ldc, n * sizeof *e);
    }
    pair_drop(&p, BLOCKS(on_a, on_b, on_bias, on_c));
    forget(BLOCKS(a, b, bias, c, d, e));
    pair_close(&p);
}
END_TEST

START_TEST(test_gemm_in_many_tiles) {
    static const struct {
        size_t m, n;
    } shapes[] = {{700, 1100}, {257, 9001}, {9001, 300}, {1300, 1290}, {2050, 511}};
    for (size_t which = 0; which < (size_t)TESTED_DEVICES * sizeof shapes / sizeof *shapes; which++) {
        pair p = pair_open((int)which % TESTED_DEVICES);
        enum { K = 33 };
        size_t M = shapes[which / TESTED_DEVICES].m, N = shapes[which / TESTED_DEVICES].n;
        float *a = numbers(M * K, 1), *b = numbers(K * N, 2), *c = numbers(M * N, 3), *d = numbers(M * N, 3);
        float *on_a = pair_put(&p, a, M * K * sizeof *a), *on_b = pair_put(&p, b, K * N * sizeof *b),
              *on_d = pair_put(&p, d, M * N * sizeof *d);
        ra_ok(ra_backend_gemm(p.oracle, false, false, M, N, K, 1, a, K, b, N, 1, c, N, &err));
        ra_ok(ra_backend_gemm(p.tested, false, false, M, N, K, 1, on_a, K, on_b, N, 1, on_d, N, &err));
        pair_get(&p, d, on_d, M * N * sizeof *d);
        assert_close(d, c, M * N, 1e-6);
        pair_drop(&p, BLOCKS(on_a, on_b, on_d));
        forget(BLOCKS(a, b, c, d));
        pair_close(&p);
    }
}
END_TEST

START_TEST(test_projections_combine_and_dot) {
    pair p = pair_open(_i / (SIZES * SIZES));
    size_t rows = backend_sizes[_i % SIZES], n = backend_sizes[_i / SIZES % SIZES], size = rows * n,
           bytes = size * sizeof(float);
    float *x = numbers(size, 1), *y = numbers(size, 1), *z = numbers(size, 2);
    memset(x, 0, n * sizeof *x); /* a zero row */
    float *on_y = pair_put(&p, x, bytes), *on_z = pair_put(&p, z, bytes);
    ra_ok(ra_backend_project_simplex(p.oracle, x, rows, n, &err));
    ra_ok(ra_backend_project_simplex(p.tested, on_y, rows, n, &err));
    pair_get(&p, y, on_y, bytes);
    assert_close(y, x, size, 1e-6);
    for (int i = 0; i < 3; i++) {
        float radius = (float)i * 0.4f;
        test_fill(x, size, 4);
        pair_set(&p, on_y, x, bytes);
        ra_ok(ra_backend_project_ball(p.oracle, x, rows, n, radius, &err));
        ra_ok(ra_backend_project_ball(p.tested, on_y, rows, n, radius, &err));
        pair_get(&p, y, on_y, bytes);
        assert_close(y, x, size, 1e-6);
    }
    static const float factors[][2] = {{1, 0}, {0, 2}, {0, 0}, {0.5f, -1}};
    for (size_t i = 0; i < 4; i++) {
        test_fill(x, size, 5);
        if (factors[i][1] == 0) x[0] = NAN;
        pair_set(&p, on_y, x, bytes);
        bool used = factors[i][0] != 0;
        ra_ok(ra_backend_axpby(p.oracle, factors[i][0], used ? z : NULL, factors[i][1], x, size, &err));
        ra_ok(ra_backend_axpby(p.tested, factors[i][0], used ? on_z : NULL, factors[i][1], on_y, size, &err));
        pair_get(&p, y, on_y, bytes);
        assert_close(y, x, size, 1e-6);
    }
    double a, b;
    ra_ok(ra_backend_dot(p.oracle, z, z, size, &a, &err));
    ra_ok(ra_backend_dot(p.tested, on_z, on_z, size, &b, &err));
    ck_assert_double_eq_tol(a, b, 1e-10 * a);
    float into, *on_into = pair_put(&p, &(float){0}, sizeof into);
    PAIR_RUN(p, dot_into, (z, z, size, &into), (on_z, on_z, size, on_into));
    pair_get(&p, y, on_into, sizeof into);
    ck_assert_float_eq_tol(into, y[0], 1e-6f * into);
    ck_assert(into == (float)a);
    double sums[3] = {0}, each;
    const float *const arrays[] = {on_z, on_y, on_z};
    const size_t sizes[] = {size, n, 0};
    ra_ok(ra_backend_squares(p.tested, arrays, sizes, 3, sums, &err));
    for (size_t i = 0; i < 3; i++) { /* the same bits as one by one */
        ra_ok(ra_backend_dot(p.tested, arrays[i], arrays[i], sizes[i], &each, &err));
        ck_assert(sums[i] == each);
    }
    ra_ok(ra_backend_squares(p.tested, NULL, NULL, 0, NULL, &err));
    pair_drop(&p, BLOCKS(on_y, on_z, on_into));
    forget(BLOCKS(x, y, z));
    pair_close(&p);
}
END_TEST

/* Three steps with a gradient for all rows, and three with a packed one for every second row of the first
 * half; the other rows of that half move by their momentum, and the second half stays while its moments are
 * zero. */
START_TEST(test_gather_and_adam) {
    pair p = pair_open(_i / (SIZES * SIZES));
    size_t rows = backend_sizes[_i % SIZES], n = backend_sizes[_i / SIZES % SIZES], size = rows * n,
           packed = 0, bytes = size * sizeof(float);
    float *x = numbers(size, 1), *y = numbers(size, 1), *z = numbers(size, 2), *some = numbers(size, 7);
    float *first[2] = {ra_calloc(size, 4), ra_calloc(size, 4)},
          *second[2] = {ra_calloc(size, 4), ra_calloc(size, 4)};
    int32_t *place = ra_malloc(rows, sizeof *place), *chosen = ra_malloc(rows, sizeof *chosen);
    for (size_t i = 0; i < rows; i++) {
        place[i] = i > rows / 2 ? RA_ROW_UNTOUCHED : i % 2 ? RA_ROW_STILL : (int32_t)packed;
        if (place[i] >= 0) chosen[packed++] = (int32_t)i;
    }
    float *on_y = pair_put(&p, y, bytes), *on_z = pair_put(&p, z, bytes),
          *on_some = pair_put(&p, some, bytes), *on_first = pair_put(&p, first[1], bytes),
          *on_second = pair_put(&p, second[1], bytes);
    int32_t *on_place = pair_put(&p, place, rows * sizeof *place),
            *on_chosen = pair_put(&p, chosen, packed * sizeof *chosen);
    ra_ok(ra_backend_gather_rows(p.oracle, 1, z, chosen, packed, n, some, &err));
    for (size_t i = 0; i < packed; i++)
        ck_assert_mem_eq(some + i * n, z + (size_t)chosen[i] * n, n * sizeof *z);
    test_fill(some, size, 7);
    ra_ok(ra_backend_gather_rows(p.tested, -0.3f, on_z, on_chosen, packed, n, on_some, &err));
    pair_get(&p, some, on_some, bytes);
    for (size_t i = 0; i < packed * n; i++)
        ck_assert(some[i] == -0.3f * z[(size_t)chosen[i / n] * n + i % n]);
    ra_ok(ra_backend_gather_rows(p.tested, 1, on_z, on_chosen, packed, n, on_some, &err));
    pair_get(&p, some, on_some, bytes);
    for (size_t i = 0; i < packed; i++)
        ck_assert_mem_eq(some + i * n, z + (size_t)chosen[i] * n, n * sizeof *z);
    for (int step = 1; step <= 6; step++) {
        ra_adam_step s = {
            1e-2, 0.9, 0.999, 1e-8, 1 - pow(0.9, step), 1 - pow(0.999, step), 0.7, 0, RA_PROJECT_NOTHING, 0};
        s.decay = step % 2 ? 0 : 0.1;
        bool part = step <= 3;
        ra_ok(ra_backend_adam(p.oracle, &s, x, part ? some : z, part ? place : NULL, first[0], second[0],
                              rows, n, &err));
        ra_ok(ra_backend_adam(p.tested, &s, on_y, part ? on_some : on_z, part ? on_place : NULL, on_first,
                              on_second, rows, n, &err));
        pair_get(&p, y, on_y, bytes);
        if (step == 1 && rows > 2) { /* without decay, an untouched row stays */
            float *start = numbers(size, 1);
            ck_assert_mem_eq(y + (rows - 1) * n, start + (rows - 1) * n, n * sizeof *y);
            ra_free(start);
        }
    }
    pair_get(&p, first[1], on_first, bytes);
    pair_get(&p, second[1], on_second, bytes);
    assert_close(y, x, size, 1e-6);
    assert_close(first[1], first[0], size, 1e-6);
    assert_close(second[1], second[0], size, 1e-6);
    pair_drop(&p, BLOCKS(on_y, on_z, on_some, on_first, on_second, on_place, on_chosen));
    forget(BLOCKS(first[0], first[1], second[0], second[1], place, chosen, some, x, y, z));
    pair_close(&p);
}
END_TEST

/* The largest relative to the row: a projection may bring all of it near to zero. */
static void assert_rows_close(const float *got, const float *expected, size_t rows, size_t n,
                              float tolerance) {
    for (size_t i = 0; i < rows; i++) {
        float most = 0;
        for (size_t j = 0; j < n; j++) most = fmaxf(most, fabsf(expected[i * n + j]));
        for (size_t j = 0; j < n; j++)
            ck_assert(fabsf(got[i * n + j] - expected[i * n + j]) <= tolerance * (most + 1e-6f));
    }
}

/* With a projection, a step is a step and then the projection: to the bit on the CPU, where other tests pin what both do. */
static void check_projected_steps(int device, ra_projection projection, size_t rows, size_t n) {
    enum { CPU };
    pair p = pair_open(device);
    size_t size = rows * n, bytes = size * sizeof(float);
    float *x = numbers(size, 1), *y = numbers(size, 1), *g = numbers(size, 2);
    float *first[2] = {ra_calloc(size, 4), ra_calloc(size, 4)},
          *second[2] = {ra_calloc(size, 4), ra_calloc(size, 4)};
    int32_t *place = ra_malloc(rows, sizeof *place);
    for (size_t i = 0; i < rows; i++) place[i] = i % 3 == 0 ? (int32_t)(rows - 1 - i) : -(int32_t)(i % 3);
    float *on_y = pair_put(&p, y, bytes), *on_g = pair_put(&p, g, bytes),
          *on_first = pair_put(&p, first[1], bytes), *on_second = pair_put(&p, second[1], bytes);
    int32_t *on_place = pair_put(&p, place, rows * sizeof *place);
    for (int step = 1; step <= 4; step++) {
        bool part = step <= 2; /* a row without a gradient so far has no moments */
        ra_adam_step s = {1e-2, 0.9, 0.999,      1e-8, 1 - pow(0.9, step), 1 - pow(0.999, step),
                          0.7,  0.1, projection, 0.8f};
        ra_ok(ra_backend_adam(p.oracle, &s, x, g, part ? place : NULL, first[0], second[0], rows, n, &err));
        ra_ok(ra_backend_adam(p.tested, &s, on_y, on_g, part ? on_place : NULL, on_first, on_second, rows, n,
                              &err));
    }
    pair_get(&p, y, on_y, bytes);
    pair_get(&p, first[1], on_first, bytes);
    pair_get(&p, second[1], on_second, bytes);
    assert_rows_close(y, x, rows, n, 2e-5f);
    assert_close(first[1], first[0], size, 1e-6);
    assert_close(second[1], second[0], size, 1e-6);
    /* apart: the same step without, then the operation that projects */
    ra_adam_step s = {1e-2, 0.9, 0.999, 1e-8, 0.4, 0.004, 0.7, 0.1, projection, 0.8f};
    float *on_apart = pair_put(&p, y, bytes);
    ra_ok(ra_backend_adam(p.tested, &s, on_y, on_g, on_place, on_first, on_second, rows, n, &err));
    pair_get(&p, x, on_y, bytes);
    pair_set(&p, on_first, first[1], bytes);
    pair_set(&p, on_second, second[1], bytes);
    s.projection = RA_PROJECT_NOTHING;
    ra_ok(ra_backend_adam(p.tested, &s, on_apart, on_g, on_place, on_first, on_second, rows, n, &err));
    double *norms = ra_malloc(rows, sizeof *norms);
    if (projection == RA_PROJECT_SIMPLEX)
        ra_ok(ra_backend_project_simplex(p.tested, on_apart, rows, n, &err));
    else if (projection == RA_PROJECT_BALL)
        ra_ok(ra_backend_project_ball(p.tested, on_apart, rows, n, s.radius, &err));
    else if (projection != RA_PROJECT_NOTHING) {
        ra_ok(
            ra_backend_row_norms(p.tested, on_apart, rows, n, projection == RA_PROJECT_UNIT_L1, norms, &err));
        for (size_t i = 0; i < rows; i++) norms[i] = 1 / (norms[i] + 1e-8);
        ra_ok(ra_backend_scale_rows(p.tested, norms, on_apart, rows, n, &err));
    }
    pair_get(&p, y, on_apart, bytes);
    if (device == CPU) ck_assert_mem_eq(x, y, bytes);
    assert_rows_close(x, y, rows, n, 1e-6f);
    pair_drop(&p, BLOCKS(on_y, on_g, on_first, on_second, on_place, on_apart));
    forget(BLOCKS(x, y, g, first[0], first[1], second[0], second[1], place, norms));
    pair_close(&p);
}

START_TEST(test_adam_projects) {
    int device = _i / (SIZES * SIZES);
    size_t rows = backend_sizes[_i % SIZES], n = backend_sizes[_i / SIZES % SIZES];
    for (int which = RA_PROJECT_NOTHING; which <= RA_PROJECT_UNIT_L1; which++)
        check_projected_steps(device, (ra_projection)which, rows, n);
}
END_TEST

/* Rows that a device holds in one way or another: a thread for each pack, several per thread, too long, odd. */
START_TEST(test_adam_projects_rows_of_any_length) {
    static const size_t lengths[] = {132, 4096, 4100, 12288, 32768, 32772, 5001};
    for (int device = 0; device < TESTED_DEVICES; device++)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            check_projected_steps(device, RA_PROJECT_SIMPLEX, 3, lengths[i]);
            check_projected_steps(device, RA_PROJECT_BALL, 3, lengths[i]);
        }
}
END_TEST

START_TEST(test_sparse_products) {
    shape chosen = shape_of_case(_i);
    pair p = pair_open(chosen.device);
    size_t rows = chosen.first, K = chosen.second, d = chosen.third, bytes = rows * d * sizeof(float),
           all = K * d * sizeof(float);
    float *D = numbers(K * d, 1), *g = numbers(rows * d, 2), *x = numbers(rows * d, 3),
          *y = numbers(rows * d, 3);
    float *out[2] = {numbers(K * d, 4), numbers(K * d, 4)};
    void *narrow = ra_malloc(K * d, 2);
    float *on_D = pair_put(&p, D, all), *on_g = pair_put(&p, g, bytes), *on_y = pair_put(&p, y, bytes),
          *on_out = pair_put(&p, out[1], all);
    void *on_narrow = pair_put(&p, D, K * d * 2);
    static const float shares[] = {0, 0.05f, 0.6f, 1.1f}; /* none, sparse, the dense path, all */
    for (size_t s = 0; s < 4; s++) {
        ra_codes codes = some_codes(rows, K, shares[s], s);
        size_t entries = ra_codes_entries(&codes);
        float *v[2] = {numbers(entries, 5), numbers(entries, 6)},
              *on_v = pair_put(&p, v[1], entries * sizeof *v[1]);
        ra_ok(ra_backend_decode(p.oracle, &codes, RA_F32, D, d, x, &err));
        ra_ok(ra_backend_decode(p.tested, &codes, RA_F32, on_D, d, on_y, &err));
        pair_get(&p, y, on_y, bytes);
        assert_close(y, x, rows * d, 2e-6);
        for (ra_dtype dtype = RA_F16; dtype <= RA_BF16; dtype++) {
            ra_convert_from_f32(dtype, D, narrow, K * d);
            pair_set(&p, on_narrow, narrow, K * d * 2);
            ra_ok(ra_backend_decode(p.oracle, &codes, dtype, narrow, d, x, &err));
            ra_ok(ra_backend_decode(p.tested, &codes, dtype, on_narrow, d, on_y, &err));
            pair_get(&p, y, on_y, bytes);
            assert_close(y, x, rows * d, 2e-6);
        }
        ra_ok(ra_backend_decode_gradient(p.oracle, &codes, g, D, d, v[0], &err));
        ra_ok(ra_backend_decode_gradient(p.tested, &codes, on_g, on_D, d, on_v, &err));
        pair_get(&p, v[1], on_v, entries * sizeof *v[1]);
        assert_close(v[1], v[0], entries, 2e-5); /* a few dot products may cancel */
        /* values from the backend, and the codes' own, which are the host's */
        ra_ok(ra_backend_accumulate(p.oracle, &codes, v[0], g, d, out[0], &err));
        ra_ok(ra_backend_accumulate(p.oracle, &codes, codes.value, g, d, out[0], &err));
        pair_set(&p, on_v, v[0], entries * sizeof *v[0]);
        ra_ok(ra_backend_accumulate(p.tested, &codes, on_v, on_g, d, on_out, &err));
        ra_ok(ra_backend_accumulate(p.tested, &codes, codes.value, on_g, d, on_out, &err));
        pair_get(&p, out[1], on_out, all);
        assert_close(out[1], out[0], K * d, 2e-6);
        pair_drop(&p, BLOCKS(on_v));
        forget(BLOCKS(v[0], v[1]));
        ra_codes_release(&codes);
    }
    pair_drop(&p, BLOCKS(on_D, on_g, on_y, on_out, on_narrow));
    forget(BLOCKS(D, g, x, y, out[0], out[1], narrow));
    pair_close(&p);
}
END_TEST

START_TEST(test_dots) {
    shape s = shape_of_case(_i);
    pair p = pair_open(s.device);
    size_t m = s.first < 9 ? s.first : 9, n = s.second, k = s.third, ldc = n + 1,
           bytes = m * ldc * sizeof(float);
    float *a = numbers(m * k, 1), *b = numbers(n * k, 2), *c = numbers(m * ldc, 3),
          *got = numbers(m * ldc, 3), *bias = numbers(n, 5);
    void *half = ra_malloc(n * k, sizeof *b);
    float *on_a = pair_put(&p, a, m * k * sizeof *a), *on_c = pair_put(&p, c, bytes),
          *on_bias = pair_put(&p, bias, n * sizeof *bias);
    void *on_half = pair_put(&p, b, n * k * sizeof *b);
    for (int with = 0; with < 2; with++)
        for (ra_dtype dtype = RA_F32; dtype <= RA_BF16; dtype++) {
            const float *adds = with ? bias : NULL, *on_adds = with ? on_bias : NULL;
            ra_convert_from_f32(dtype, b, half, n * k);
            pair_set(&p, on_half, half, n * k * ra_dtype_size(dtype));
            PAIR_RUN(p, dots, (a, m, dtype, half, n, k, adds, c, ldc),
                     (on_a, m, dtype, on_half, n, k, on_adds, on_c, ldc));
            pair_get(&p, got, on_c, bytes);
            for (size_t i = 0; i < m; i++) assert_close(got + i * ldc, c + i * ldc, n, 2e-5);
            for (size_t i = 0; i + 1 < m; i++)
                ck_assert(got[i * ldc + n] == c[i * ldc + n]); /* between rows */
            /* one row alone */
            ra_ok(ra_backend_dots(p.tested, on_a + (m - 1) * k, 1, dtype, on_half, n, k, on_adds, on_c, ldc,
                                  &err));
            float *alone = numbers(n, 4);
            pair_get(&p, alone, on_c, n * sizeof *alone);
            ck_assert_mem_eq(alone, got + (m - 1) * ldc, n * sizeof *alone);
            ra_free(alone);
        }
    pair_drop(&p, BLOCKS(on_a, on_half, on_c, on_bias));
    forget(BLOCKS(a, b, c, got, half, bias));
    pair_close(&p);
}
END_TEST

/* With ties, with the bounds of vectors that no score excludes, and with numbers that are none. */
START_TEST(test_least_scores) {
    shape s = shape_of_case(_i);
    pair p = pair_open(s.device);
    size_t rows = s.first, n = s.second;
    float *scores = numbers(rows * n, 7), *low = numbers(n, 8), *high = numbers(n, 9), *on_scores, *on_low,
          *on_high;
    ra_least *a = ra_malloc(rows, sizeof *a), *b = ra_malloc(rows, sizeof *b), *on_least;
    on_least = pair_put(&p, memset(b, 0, rows * sizeof *b), rows * sizeof *b);
    on_scores = pair_put(&p, scores, rows * n * sizeof *scores);
    on_low = pair_put(&p, low, n * sizeof *low);
    on_high = pair_put(&p, high, n * sizeof *high);
    for (int kind = 0; kind < 3; kind++) {
        for (size_t i = 0; kind == 1 && i < rows * n; i++) scores[i] = roundf(scores[i] * 2) / 2;
        for (size_t i = 0; kind == 1 && i < n; i++) low[i] = high[i] = 1;
        for (size_t i = 0; kind == 2 && i < rows * n; i += 3) scores[i] = i % 2 ? NAN : INFINITY;
        for (size_t i = 0; kind == 2 && i < n; i += 7) low[i] = -INFINITY, high[i] = INFINITY;
        pair_set(&p, on_scores, scores, rows * n * sizeof *scores);
        pair_set(&p, on_low, low, n * sizeof *low);
        pair_set(&p, on_high, high, n * sizeof *high);
        PAIR_RUN(p, least_scores, (scores, rows, n, low, high, a),
                 (on_scores, rows, n, on_low, on_high, on_least));
        pair_get(&p, b, on_least, rows * sizeof *b);
        for (size_t i = 0; i < rows; i++) {
            ck_assert(a[i].high == b[i].high && a[i].low == b[i].low && a[i].second_low == b[i].second_low);
            ck_assert_int_eq(a[i].first, b[i].first);
        }
    }
    pair_drop(&p, BLOCKS(on_scores, on_low, on_high, on_least));
    forget(BLOCKS(scores, low, high, a, b));
    pair_close(&p);
}
END_TEST

START_TEST(test_selections) {
    shape s = shape_of_case(_i);
    pair p = pair_open(s.device);
    size_t rows = s.first, n = s.second, k = s.third;
    float *scores = numbers(rows * n, 7), *thresholds = numbers(n, 8);
    float *on_scores = pair_put(&p, scores, rows * n * sizeof *scores),
          *on_thresholds = pair_put(&p, thresholds, n * sizeof *thresholds);
    for (int coarse = 0; coarse < 2; coarse++) { /* rounded scores have many ties, and zeros of both signs */
        for (size_t i = 0; coarse && i < rows * n; i++) scores[i] = roundf(scores[i] * 4) / 4;
        pair_set(&p, on_scores, scores, rows * n * sizeof *scores);
        ra_codes a = {0}, b = {0};
        static const float bars[] = {-2, 0, 0.5f};
        for (size_t i = 0; i < 3; i++) {
            ra_ok(ra_backend_top_k(p.oracle, scores, rows, n, k, bars[i], &a, &err));
            ra_ok(ra_backend_top_k(p.tested, on_scores, rows, n, k, bars[i], &b, &err));
            assert_codes_equal(&a, &b);
            ra_ok(ra_backend_threshold(p.oracle, scores, rows, n, NULL, bars[i], &a, &err));
            ra_ok(ra_backend_threshold(p.tested, on_scores, rows, n, NULL, bars[i], &b, &err));
            assert_codes_equal(&a, &b);
        }
        ra_ok(ra_backend_threshold(p.oracle, scores, rows, n, thresholds, 0, &a, &err));
        ra_ok(ra_backend_threshold(p.tested, on_scores, rows, n, on_thresholds, 0, &b, &err));
        assert_codes_equal(&a, &b);
        if (k <= rows * n) {
            float x, y;
            ra_ok(ra_backend_kth_largest(p.oracle, scores, rows * n, k, &x, &err));
            ra_ok(ra_backend_kth_largest(p.tested, on_scores, rows * n, k, &y, &err));
            ck_assert(x == y);
        }
        ra_codes_release(&a);
        ra_codes_release(&b);
    }
    pair_drop(&p, BLOCKS(on_scores, on_thresholds));
    forget(BLOCKS(scores, thresholds));
    pair_close(&p);
}
END_TEST

/* ---- top-k of long rows --------------------------------------------------------------------------------- */

typedef struct ranked {
    float score;
    int32_t index;
} ranked;

static int by_rank(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->score != y->score) return (x->score < y->score) - (x->score > y->score);
    return (x->index > y->index) - (x->index < y->index);
}

static int by_place(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

enum { RANDOM, COARSE, EQUAL, RISING, FALLING, FEW_LARGE, NOT_FINITE, KINDS_OF_ROWS };

static void fill_row(float *row, size_t n, int kind) {
    test_fill(row, n, (uint64_t)(kind + 1));
    for (size_t i = 0; i < n; i++) switch (kind) {
        case COARSE:
            row[i] = roundf(row[i] * 2) / 2;
            break;
        case EQUAL:
            row[i] = 0.25f;
            break;
        case RISING:
            row[i] = (float)i;
            break;
        case FALLING:
            row[i] = (float)(n - i);
            break;
        case FEW_LARGE:
            row[i] = i / 64 == 3 ? 10 + row[i] : i % 1000 == 7 ? 5 : row[i] / 8;
            break;
        case NOT_FINITE:
            row[i] = i % 5 == 0 ? NAN : i % 77 == 1 ? INFINITY : i % 3 ? row[i] : -INFINITY;
            break;
        default:
            break;
        }
}

static void check_top_k(ra_backend *backend, const float *row, size_t n, size_t k, float above, ranked *all) {
    ra_codes codes = {0};
    size_t count = 0;
    ra_ok(ra_backend_top_k(backend, row, 1, n, k, above, &codes, &err));
    for (size_t i = 0; i < n; i++)
        if (row[i] > above) all[count++] = (ranked){row[i], (int32_t)i};
    qsort(all, count, sizeof *all, by_rank);
    if (count > k) count = k;
    qsort(all, count, sizeof *all, by_place);
    ck_assert_uint_eq(ra_codes_entries(&codes), count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(codes.index[i], all[i].index);
        ck_assert_float_eq(codes.value[i], all[i].score);
    }
    ra_codes_release(&codes);
}

START_TEST(test_top_k_of_long_rows) {
    static const size_t lengths[] = {63, 64, 65, 3200, 3264, 10000, 32767, 32832, 70001},
                        counts[] = {1, 50, 51, 700};
    static const float bars[] = {-INFINITY, -2, 0, 0.25f};
    enum { MOST = 70001 };
    ra_backend *backend = NULL;
    float *row = ra_malloc(MOST, sizeof *row);
    ranked *all = ra_malloc(MOST, sizeof *all);
    ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = 1}, &backend, &err));
    for (size_t n = 0; n < sizeof lengths / sizeof *lengths; n++)
        for (int kind = 0; kind < KINDS_OF_ROWS; kind++) {
            fill_row(row, lengths[n], kind);
            for (size_t k = 0; k < sizeof counts / sizeof *counts; k++)
                check_top_k(backend, row, lengths[n], counts[k], bars[(n + k) % 4], all);
        }
    ra_backend_release(backend);
    ra_free(row);
    ra_free(all);
}
END_TEST

START_TEST(test_results_do_not_depend_on_the_number_of_threads) {
    enum { B = 600, K = 700, D_ = 90, TOP = 20 };
    float *x = numbers(B * D_, 1), *E = numbers(K * D_, 2), *first = NULL;
    for (size_t threads = 1; threads <= 4; threads++) {
        ra_backend *backend = NULL;
        ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = threads}, &backend, &err));
        float *pre = numbers(B * K, 3), *out = ra_calloc(K * D_, sizeof *out);
        ra_codes codes = {0};
        ra_ok(ra_backend_gemm(backend, false, true, B, K, D_, 1, x, D_, E, D_, 0, pre, K, &err));
        ra_ok(ra_backend_top_k(backend, pre, B, K, TOP, 0, &codes, &err));
        ra_ok(ra_backend_accumulate(backend, &codes, codes.value, x, D_, out, &err));
        if (!first)
            first = out;
        else {
            ck_assert_mem_eq(out, first, K * D_ * sizeof *out);
            ra_free(out);
        }
        ra_codes_release(&codes);
        ra_free(pre);
        ra_backend_release(backend);
    }
    ra_free(first);
    ra_free(x);
    ra_free(E);
}
END_TEST

START_TEST(test_devices_by_name) {
    ra_backend *backend = NULL;
    ra_fails(ra_backend_open("", NULL, &backend, &err), RA_ERR_ARGUMENT, "unknown device");
    ra_fails(ra_backend_open("../evil", NULL, &backend, &err), RA_ERR_ARGUMENT, "unknown device");
    ra_fails(ra_backend_open("cpu:x", NULL, &backend, &err), RA_ERR_ARGUMENT, "after the colon");
    ra_fails(ra_backend_open("nosuch", NULL, &backend, &err), RA_ERR_DEVICE, "librasae-nosuch.so");
    ck_assert_ptr_null(backend);
    ra_ok(ra_backend_open("auto", NULL, &backend, &err)); /* it always finds one */
    ra_backend_release(backend);
}
END_TEST

/* tests/plugin/example.c: the reference backend under another name, built as a plugin. */
START_TEST(test_a_plugin_is_loaded_by_name) {
    ra_backend *backend = NULL;
    ra_ok(ra_backend_open("example:3", NULL, &backend, &err));
    ck_assert_str_eq(ra_backend_name(backend), "example");
    float a[2] = {3, 4};
    double sum;
    ra_ok(ra_backend_dot(backend, a, a, 2, &sum, &err));
    ck_assert_double_eq(sum, 25);
    ra_backend_release(backend);
    ra_fails(ra_backend_open("example-old", NULL, &backend, &err), RA_ERR_DEVICE, "version 0");
    ra_fails(ra_backend_open("example-idle", NULL, &backend, &err), RA_ERR_DEVICE,
             "the example has no device");
}
END_TEST

START_TEST(test_failing_allocations_are_reported) {
    pair p = pair_open(0);
    float scores[64];
    test_fill(scores, 64, 1);
    for (size_t n = 1; n <= 3; n++) {
        ra_codes codes = {0};
        ra_memory_fail_at(n);
        ra_status status = ra_backend_top_k(p.tested, scores, 8, 8, 2, 0, &codes, NULL);
        ra_memory_fail_at(0);
        ck_assert_int_eq(status, RA_ERR_MEMORY);
        ra_codes_release(&codes);
    }
    float value;
    ra_memory_fail_at(1);
    ck_assert_int_eq(ra_backend_kth_largest(p.tested, scores, 64, 3, &value, NULL), RA_ERR_MEMORY);
    ra_memory_fail_at(0);
    pair_close(&p);
}
END_TEST

TEST_CASES_LOOP(backend, 60, CASES, test_gemm, test_gemm_bias, test_dots, test_sparse_products,
                test_selections, test_least_scores)
TEST_CASES_LOOP(backend_rows, 60, SIZES *SIZES *TESTED_DEVICES, test_projections_combine_and_dot,
                test_gather_and_adam, test_adam_projects)
/* A workspace that computes on a serial backend keeps it, and may be the last to let go. */
START_TEST(test_a_serial_backend_is_counted_with_its_own) {
    ra_backend *backend = NULL;
    ra_buffer buffer = {0};
    ra_ok(ra_backend_open("cpu", &(ra_backend_options){.threads = 2}, &backend, &err));
    ra_backend *serial = ra_backend_serial(backend);
    ck_assert_ptr_ne(serial, backend);
    ck_assert_ptr_eq(ra_backend_serial(serial), serial);
    ck_assert_ptr_null(ra_backend_pool(serial));
    ck_assert(!ra_backend_tf32(serial));
    ra_ok(ra_buffer_reserve(&buffer, serial, 10, &err));
    ck_assert_ptr_eq(ra_backend_retain(serial), serial);
    ra_backend_release(serial);
    ra_backend_release(backend);
    ra_buffer_release(&buffer); /* the last reference */
    ra_ok(ra_backend_open("reference", NULL, &backend, &err));
    ck_assert_ptr_eq(ra_backend_serial(backend), backend);
    ra_backend_release(backend);
}
END_TEST

/* By half of itself, and by less where there is less memory; another backend's starts anew. */
START_TEST(test_a_buffer_grows_by_half) {
    static const size_t asked[][2] = {{100, 100}, {90, 100}, {101, 150}, {150, 150}, {400, 400}, {401, 600}};
    ra_backend *backend = NULL, *other = NULL;
    ra_buffer buffer = {0};
    ra_ok(ra_backend_open("cpu", NULL, &backend, &err));
    ra_ok(ra_backend_open("reference", NULL, &other, &err));
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        ra_ok(ra_buffer_reserve(&buffer, backend, asked[i][0], &err));
        ck_assert_uint_eq(buffer.capacity, asked[i][1]);
    }
    ra_memory_fail_at(1);
    ra_fails(ra_buffer_reserve(&buffer, backend, 700, &err), RA_ERR_MEMORY, "out of memory");
    ra_memory_fail_at(0);
    ck_assert_ptr_null(buffer.data);
    ra_ok(ra_buffer_reserve(&buffer, backend, 700, &err));
    ra_ok(ra_buffer_reserve(&buffer, other, 701, &err));
    ck_assert_uint_eq(buffer.capacity, 701);
    ra_buffer_release(&buffer);
    ra_backend_release(other);
    ra_backend_release(backend);
}
END_TEST

TEST_CASES_SLOW(backend_whole, 60, test_a_buffer_grows_by_half, test_gemm_in_many_tiles,
                test_top_k_of_long_rows, test_adam_projects_rows_of_any_length,
                test_a_serial_backend_is_counted_with_its_own,
                test_results_do_not_depend_on_the_number_of_threads, test_devices_by_name,
                test_a_plugin_is_loaded_by_name, test_failing_allocations_are_reported)
