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

START_TEST(test_row_statistics) {
    shape s = shape_of_case(_i);
    fixture f = make(&s, true);
    for (size_t i = 0; i < f.rows * f.n; i++)
        f.u[i] += 100; /* mean square minus squared mean would lose all digits */
    pair_set(&f.p, f.on_u, f.u, f.rows * f.n * 4);
    PAIR_RUN(f.p, row_statistics, (f.u, f.rows, f.n, 1e-5, f.mean, f.rstd),
             (f.on_u, f.rows, f.n, 1e-5, f.on_mean, f.on_rstd));
    float *mean = numbers(f.rows, 8), *rstd = numbers(f.rows, 9);
    pair_get(&f.p, mean, f.on_mean, f.rows * 4);
    pair_get(&f.p, rstd, f.on_rstd, f.rows * 4);
    assert_close(mean, f.mean, f.rows, 1e-7);
    assert_close(rstd, f.rstd, f.rows, 1e-6);
    forget(BLOCKS(mean, rstd));
    release(&f);
}
END_TEST

START_TEST(test_normalize) {
    shape s = shape_of_case(_i);
    for (int by_row = 0; by_row < 2; by_row++) {
        fixture f = make(&s, by_row);
        size_t size = f.rows * f.n;
        PAIR_RUN(f.p, normalize, (&f.a, f.u, f.dy, f.rows, f.n), (&f.b, f.on_u, f.on_dy, f.rows, f.n));
        pair_get(&f.p, f.out, f.on_dy, size * 4);
        assert_close(f.out, f.dy, size, 1e-6);
        ra_ok(ra_backend_normalize(f.p.tested, &f.b, f.on_u, f.on_u, f.rows, f.n, &err));
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

TEST_CASES_LOOP(backend_norms, 60, CASES, test_row_statistics, test_normalize, test_norm_backward)
