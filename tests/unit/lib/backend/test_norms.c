/* LayerNorm and BatchNorm (lib/backend/{cpu,reference}/norms.c and the plugins') against the reference. Means
 * and deviations are invented: with the real ones, a gradient over few values would consist of rounding
 * errors around zero. */
#include "backend_pair.h"

#include <math.h>
#include <string.h>

typedef struct fixture {
    pair p;
    size_t rows, n;
    float *u, *dy, *mean, *rstd, *gamma, *beta, *out;
    float *on_u, *on_dy, *on_mean, *on_rstd, *on_gamma, *on_beta;
    ra_norm a, b;
} fixture;

static fixture make(const shape *s, bool by_row) {
    fixture f = {.p = pair_open(s->device), .rows = s->first, .n = s->second};
    size_t size = f.rows * f.n, places = by_row ? f.rows : f.n;
    f.u = numbers(size, 1);
    f.dy = numbers(size, 2);
    f.mean = numbers(places, 3);
    f.rstd = numbers(places, 4);
    f.gamma = numbers(f.n, 5);
    f.beta = numbers(f.n, 6);
    f.out = numbers(size, 7);
    for (size_t i = 0; i < places; i++) f.rstd[i] = 1.5f + f.rstd[i];
    f.on_u = pair_put(&f.p, f.u, size * 4);
    f.on_dy = pair_put(&f.p, f.dy, size * 4);
    f.on_mean = pair_put(&f.p, f.mean, places * 4);
    f.on_rstd = pair_put(&f.p, f.rstd, places * 4);
    f.on_gamma = pair_put(&f.p, f.gamma, f.n * 4);
    f.on_beta = pair_put(&f.p, f.beta, f.n * 4);
    f.a = (ra_norm){by_row, f.mean, f.rstd, f.gamma, f.beta};
    f.b = (ra_norm){by_row, f.on_mean, f.on_rstd, f.on_gamma, f.on_beta};
    return f;
}

static void release(fixture *f) {
    pair_drop(&f->p, BLOCKS(f->on_u, f->on_dy, f->on_mean, f->on_rstd, f->on_gamma, f->on_beta));
    forget(BLOCKS(f->u, f->dy, f->mean, f->rstd, f->gamma, f->beta, f->out));
    pair_close(&f->p);
}

START_TEST(test_layer_norm) {
    shape s = shape_of_case(_i);
    fixture f = make(&s, true);
    for (size_t i = 0; i < f.rows * f.n; i++)
        f.u[i] += 100; /* mean square minus squared mean would lose all digits */
    pair_set(&f.p, f.on_u, f.u, f.rows * f.n * 4);
    PAIR_RUN(f.p, layer_norm, (f.u, f.rows, f.n, 1e-5, f.gamma, f.beta, f.mean, f.rstd, f.dy),
             (f.on_u, f.rows, f.n, 1e-5, f.on_gamma, f.on_beta, f.on_mean, f.on_rstd, f.on_dy));
    pair_get(&f.p, f.out, f.on_dy, f.rows * f.n * 4);
    assert_close(f.out, f.dy, f.rows * f.n, 1e-4); /* 100 has lost digits that the rest is made of */
    float *mean = numbers(f.rows, 8), *rstd = numbers(f.rows, 9);
    pair_get(&f.p, mean, f.on_mean, f.rows * 4);
    pair_get(&f.p, rstd, f.on_rstd, f.rows * 4);
    assert_close(mean, f.mean, f.rows, 1e-7);
    assert_close(rstd, f.rstd, f.rows, 1e-6);
    ra_ok(ra_backend_layer_norm(f.p.tested, f.on_u, f.rows, f.n, 1e-5, f.on_gamma, f.on_beta, f.on_mean,
                                f.on_rstd, f.on_u, &err)); /* in place */
    pair_get(&f.p, f.dy, f.on_u, f.rows * f.n * 4);
    ck_assert_mem_eq(f.dy, f.out, f.rows * f.n * 4);
    forget(BLOCKS(mean, rstd));
    release(&f);
}
END_TEST

START_TEST(test_normalize) {
    shape s = shape_of_case(_i);
    for (int rms = 0; rms < 2; rms++) {
        fixture f = make(&s, false);
        size_t size = f.rows * f.n;
        double epsilon = rms ? 0x1p-23 : 0;
        PAIR_RUN(f.p, normalize, (&f.a, epsilon, f.u, f.dy, f.rows, f.n),
                 (&f.b, epsilon, f.on_u, f.on_dy, f.rows, f.n));
        pair_get(&f.p, f.out, f.on_dy, size * 4);
        assert_close(f.out, f.dy, size, 1e-6);
        ra_ok(ra_backend_normalize(f.p.tested, &f.b, epsilon, f.on_u, f.on_u, f.rows, f.n, &err));
        pair_get(&f.p, f.out, f.on_u, size * 4);
        assert_close(f.out, f.dy, size, 1e-6);
        release(&f);
    }
}
END_TEST

START_TEST(test_norm_backward) {
    shape s = shape_of_case(_i);
    for (int by_row = 0; by_row < 2; by_row++) {
        fixture f = make(&s, by_row);
        size_t size = f.rows * f.n;
        double *a = ra_malloc(2 * f.n, sizeof *a), *b = ra_malloc(2 * f.n, sizeof *b);
        PAIR_RUN(f.p, norm_sums, (&f.a, f.u, f.dy, f.rows, f.n, a), (&f.b, f.on_u, f.on_dy, f.rows, f.n, b));
        assert_doubles_close(b, a, f.n, 1e-6);
        assert_doubles_close(b + f.n, a + f.n, f.n, 1e-10);
        /* a batch that several members share has more rows, and its own sums */
        double count = by_row ? 0 : 2 * (double)f.rows;
        const double *sums = by_row ? NULL : a;
        f.a.beta = f.b.beta = NULL; /* not read */
        PAIR_RUN(f.p, norm_backward, (&f.a, f.u, sums, count, f.dy, f.rows, f.n),
                 (&f.b, f.on_u, sums, count, f.on_dy, f.rows, f.n));
        memset(a, 0, 2 * f.n * sizeof *a); /* they have been read */
        pair_get(&f.p, f.out, f.on_dy, size * 4);
        assert_close(f.out, f.dy, size, 1e-5);
        forget(BLOCKS(a, b));
        release(&f);
    }
}
END_TEST

/* Rows that a device holds in one way or another: several packs per thread, too long, odd. */
START_TEST(test_norms_of_long_rows) {
    static const size_t lengths[] = {4096, 4100, 20000, 32772, 5001};
    for (int device = 0; device < TESTED_DEVICES; device++)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            const shape s = {.device = device, .first = 3, .second = lengths[i], .third = 1};
            fixture f = make(&s, true), c = make(&s, false);
            size_t size = f.rows * f.n;
            PAIR_RUN(f.p, layer_norm, (f.u, f.rows, f.n, 1e-5, f.gamma, f.beta, f.mean, f.rstd, f.out),
                     (f.on_u, f.rows, f.n, 1e-5, f.on_gamma, f.on_beta, f.on_mean, f.on_rstd, f.on_u));
            pair_get(&f.p, f.u, f.on_u, size * 4);
            assert_close(f.u, f.out, size, 1e-5);
            pair_set(&f.p, f.on_u, f.out, size * 4);
            PAIR_RUN(f.p, norm_backward, (&f.a, f.out, NULL, 0, f.dy, f.rows, f.n),
                     (&f.b, f.on_u, NULL, 0, f.on_dy, f.rows, f.n));
            pair_get(&f.p, f.u, f.on_dy, size * 4);
            assert_close(f.u, f.dy, size, 1e-5);
            PAIR_RUN(c.p, normalize, (&c.a, 0x1p-23, c.u, c.out, c.rows, c.n),
                     (&c.b, 0x1p-23, c.on_u, c.on_u, c.rows, c.n));
            pair_get(&c.p, c.u, c.on_u, size * 4);
            assert_close(c.u, c.out, size, 1e-5);
            release(&f);
            release(&c);
        }
}
END_TEST

TEST_CASES_SLOW(backend_long_norms, 60, test_norms_of_long_rows)
TEST_CASES_LOOP(backend_norms, 60, CASES, test_layer_norm, test_normalize, test_norm_backward)
