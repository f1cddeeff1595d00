/* Mixtures of a few points: every backend against the reference over a grid of shapes, and the reference
 * against what defines the result: the atom stays what it was, its weights are those of the nearest mixture,
 * a better point comes in, and a worse one does not: lib/backend/{cpu,reference,cuda}/mixture.c. */
#include "backend_pair.h"

#include <math.h>
#include <string.h>

/* An atom has from none to all of its T places taken, by points that differ. */
typedef struct fixture {
    pair p;
    ra_mixture a, b; /* host memory; memory of the tested backend */
    float *share, *on_share;
} fixture;

static fixture make(int device, size_t K, size_t N, size_t d, size_t T) {
    fixture f = {.p = pair_open(device)};
    float *C = numbers(N * d, 1), *weight = numbers(K * T, 2), *relax = numbers(K * d, 3);
    int32_t *index = ra_malloc(K * T, sizeof *index);
    for (size_t k = 0; k < K; k++) {
        size_t count = (k * 7 + 3) % (T + 1);
        double sum = 0;
        if (count > N) count = N;
        for (size_t t = 0; t < T; t++) {
            index[k * T + t] = t < count ? (int32_t)((k * 5 + t) % N) : -1;
            weight[k * T + t] = t < count ? fabsf(weight[k * T + t]) + (float)(t == 0) * 0.1f : 0;
            sum += weight[k * T + t];
        }
        for (size_t t = 0; t < count; t++) weight[k * T + t] /= (float)sum;
        if (k % 5 == 4) memset(relax + k * d, 0, d * sizeof *relax);
    }
    f.a = (ra_mixture){K, T, N, d, C, index, weight, numbers(K * T * T, 4), relax};
    f.b = f.a;
    f.b.C = pair_put(&f.p, C, N * d * 4);
    f.b.index = pair_put(&f.p, index, K * T * 4);
    f.b.weight = pair_put(&f.p, weight, K * T * 4);
    f.b.gram = pair_put(&f.p, f.a.gram, K * T * T * 4);
    f.b.relax = pair_put(&f.p, relax, K * d * 4);
    f.share = numbers(K, 5);
    f.on_share = pair_put(&f.p, f.share, K * 4);
    return f;
}

static void release(fixture *f) {
    pair_drop(&f->p, BLOCKS((void *)f->b.C, f->b.index, f->b.weight, f->b.gram, f->b.relax, f->on_share));
    forget(BLOCKS((void *)f->a.C, f->a.index, f->a.weight, f->a.gram, f->a.relax, f->share));
    pair_close(&f->p);
}

static void assert_same(const fixture *f, const float *host, const float *device, size_t n,
                        double tolerance) {
    float *got = numbers(n, 9);
    pair_get(&f->p, got, device, n * 4);
    assert_close(got, host, n, tolerance);
    ra_free(got);
}

/* A fit stops where moving weight gains less than 1e-7. A GPU rounds a product and a sum once and may stop elsewhere, where
 * what is left of the atom differs by up to the root of that. */
static double tolerance_of(const fixture *f, double as_reference) {
    return ra_backend_host_memory(f->p.tested) ? as_reference : 5e-4;
}

/* Weights are unique only where the points are independent; what is left of an atom always is. */
static void assert_same_mixture(const fixture *f) {
    size_t K = f->a.atoms, T = f->a.most, d = f->a.dimensions;
    if (T <= d) assert_same(f, f->a.weight, f->b.weight, K * T, 1e-3);
    assert_same(f, f->a.gram, f->b.gram, K * T * T, 1e-6);
    assert_same(f, f->a.relax, f->b.relax, K * d, tolerance_of(f, 1e-4));
}

static double length_of(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return sqrt(sum);
}

/* A candidate on the border of what comes in may come in on one backend alone: both are as near then. */
static void assert_same_exchange(const fixture *f) {
    size_t K = f->a.atoms, T = f->a.most, d = f->a.dimensions, different = 0;
    int32_t *index = ra_malloc(K * T, sizeof *index);
    float *relax = numbers(K * d, 9);
    pair_get(&f->p, index, f->b.index, K * T * sizeof *index);
    pair_get(&f->p, relax, f->b.relax, K * d * sizeof *relax);
    for (size_t k = 0; k < K; k++) {
        double expected = length_of(f->a.relax + k * d, d), got = length_of(relax + k * d, d);
        ck_assert_msg(fabs(got - expected) <= 1e-3 * expected + 1e-3, "atom %zu: %g, not %g", k, got,
                      expected);
        different += memcmp(index + k * T, f->a.index + k * T, T * sizeof *index) != 0;
    }
    ck_assert_uint_le(different, 1 + K / 20);
    forget(BLOCKS(index, relax));
}

static const size_t most[] = {1, 3, 8, RA_MIXTURE_MOST};

START_TEST(test_backends_compose_alike) {
    shape s = shape_of_case(_i);
    fixture f = make(s.device, s.first, s.third, s.second, most[_i % 4]);
    size_t K = s.first, d = s.second, count = (K + 1) / 2;
    int32_t *atoms = ra_malloc(K, sizeof *atoms);
    for (size_t i = 0; i < count; i++) atoms[i] = (int32_t)(K - 1 - 2 * i);
    float *D = numbers(K * d, 6), *on_D = pair_put(&f.p, D, K * d * 4);
    int32_t *on_atoms = pair_put(&f.p, atoms, count * 4);
    PAIR_RUN(f.p, mixture_compose, (&f.a, NULL, K, 1.5f, D), (&f.b, NULL, K, 1.5f, on_D));
    assert_same(&f, D, on_D, K * d, 1e-6);
    PAIR_RUN(f.p, mixture_compose, (&f.a, atoms, count, 1, D), (&f.b, on_atoms, count, 1, on_D));
    assert_same(&f, D, on_D, K * d, 1e-6);
    pair_drop(&f.p, BLOCKS(on_D, on_atoms));
    forget(BLOCKS(D, atoms));
    release(&f);
}
END_TEST

START_TEST(test_backends_agree) {
    shape s = shape_of_case(_i);
    fixture f = make(s.device, s.first, s.third, s.second, most[_i % 4]);
    size_t K = s.first, count = (K + 1) / 2;
    int32_t *atoms = ra_malloc(K, sizeof *atoms), *candidate = ra_malloc(K, sizeof *candidate);
    PAIR_RUN(f.p, mixture_gram, (&f.a), (&f.b));
    PAIR_RUN(f.p, mixture_fit, (&f.a, 0.9f, 0.8f, f.share), (&f.b, 0.9f, 0.8f, f.on_share));
    assert_same(&f, f.share, f.on_share, K, tolerance_of(&f, 1e-5));
    assert_same_mixture(&f);
    for (size_t i = 0; i < count; i++) {
        atoms[i] = (int32_t)(K - 1 - 2 * i);
        candidate[i] = i % 4 == 3 ? -1 : (int32_t)((i * 11 + 2) % s.third);
    }
    int32_t *on_atoms = pair_put(&f.p, atoms, count * 4),
            *on_candidate = pair_put(&f.p, candidate, count * 4);
    PAIR_RUN(f.p, mixture_exchange, (&f.a, atoms, candidate, count), (&f.b, on_atoms, on_candidate, count));
    assert_same_exchange(&f);
    pair_drop(&f.p, BLOCKS(on_atoms, on_candidate));
    forget(BLOCKS(atoms, candidate));
    release(&f);
}
END_TEST

/* ---- what the reference computes ----------------------------------------------------------------------- */

/* D_k before the multiplier, in float64. */
static void atom_of(const ra_mixture *m, size_t k, double *out) {
    for (size_t e = 0; e < m->dimensions; e++) {
        out[e] = m->relax[k * m->dimensions + e];
        for (size_t t = 0; t < m->most && m->index[k * m->most + t] >= 0; t++)
            out[e] += (double)m->weight[k * m->most + t] *
                      m->C[(size_t)m->index[k * m->most + t] * m->dimensions + e];
    }
}

static double relax_dot(const ra_mixture *m, size_t k, int32_t point) {
    double sum = 0;
    for (size_t e = 0; e < m->dimensions; e++)
        sum += (double)m->relax[k * m->dimensions + e] * m->C[(size_t)point * m->dimensions + e];
    return sum;
}

START_TEST(test_the_nearest_mixture_leaves_a_rest_that_no_point_of_its_reaches) {
    fixture f = make(0, 23, 40, 12, 8);
    double before[12], after[12];
    ra_ok(ra_backend_mixture_gram(f.p.oracle, &f.a, &err));
    for (size_t k = 0; k < 23; k++) {
        fixture g = f;
        ra_mixture one = f.a; /* this atom alone */
        one.atoms = 1;
        one.index += k * 8, one.weight += k * 8, one.gram += k * 64, one.relax += k * 12;
        atom_of(&one, 0, before);
        ra_ok(ra_backend_mixture_fit(g.p.oracle, &one, 1, INFINITY, f.share, &err));
        atom_of(&one, 0, after);
        double sum = 0, best = -INFINITY, held = 0;
        for (size_t e = 0; e < 12; e++) ck_assert_double_eq_tol(after[e], before[e], 1e-5);
        for (size_t t = 0; t < 8 && one.index[t] >= 0; t++) {
            double product = relax_dot(&one, 0, one.index[t]);
            ck_assert(one.weight[t] >= 0);
            sum += one.weight[t];
            held += one.weight[t] * product;
            best = product > best ? product : best;
        }
        if (one.index[0] < 0) continue;
        ck_assert_double_eq_tol(sum, 1, 1e-6);
        ck_assert_double_eq_tol(best, held, 1e-5); /* no point lies farther along the rest than the mixture */
    }
    release(&f);
}
END_TEST

START_TEST(test_the_rest_is_kept_in_part_and_bounded) {
    fixture f = make(0, 9, 40, 12, 4), g = make(0, 9, 40, 12, 4);
    ra_ok(ra_backend_mixture_gram(f.p.oracle, &f.a, &err));
    ra_ok(ra_backend_mixture_gram(g.p.oracle, &g.a, &err));
    ra_ok(ra_backend_mixture_fit(f.p.oracle, &f.a, 1, INFINITY, f.share, &err));
    ra_ok(ra_backend_mixture_fit(g.p.oracle, &g.a, 0.5f, 0.7f, g.share, &err));
    for (size_t k = 0; k < 9; k++) {
        double whole = 0, kept = 0;
        for (size_t e = 0; e < 12; e++)
            whole += pow(f.a.relax[k * 12 + e], 2), kept += pow(g.a.relax[k * 12 + e], 2);
        ck_assert_double_eq_tol(sqrt(kept), fmin(0.5 * sqrt(whole), 0.7), 1e-5);
    }
    release(&f);
    release(&g);
}
END_TEST

START_TEST(test_the_share_is_the_cosine_of_mixture_and_atom) {
    fixture f = make(0, 25, 40, 12, 4);
    double atom[12];
    ra_ok(ra_backend_mixture_gram(f.p.tested, &f.a, &err));
    ra_ok(ra_backend_mixture_fit(f.p.tested, &f.a, 0.9f, 1.5f, f.share, &err));
    for (size_t k = 0; k < 25; k++) {
        double cross = 0, mix = 0, whole = 0;
        atom_of(&f.a, k, atom);
        for (size_t e = 0; e < 12; e++) {
            double m = atom[e] - f.a.relax[k * 12 + e];
            cross += m * atom[e], mix += m * m, whole += atom[e] * atom[e];
        }
        double expected = whole == 0 ? 1 : f.a.index[k * 4] < 0 ? 0 : cross / sqrt(mix * whole);
        ck_assert_double_eq_tol(f.share[k], expected, 1e-5);
    }
    release(&f);
}
END_TEST

START_TEST(test_a_candidate_comes_in_when_it_is_nearer_and_the_atom_stays) {
    fixture f = make(0, 30, 40, 12, 4);
    double before[30][12], after[12];
    int32_t atoms[30], candidate[30], old[30 * 4];
    float rest[30];
    int taken = 0, refused = 0;
    ra_ok(ra_backend_mixture_gram(f.p.oracle, &f.a, &err));
    ra_ok(ra_backend_mixture_fit(f.p.oracle, &f.a, 1, INFINITY, f.share, &err));
    memcpy(old, f.a.index, sizeof old);
    for (size_t k = 0; k < 30; k++) {
        double norm = 0;
        atom_of(&f.a, k, before[k]);
        for (size_t e = 0; e < 12; e++) norm += pow(f.a.relax[k * 12 + e], 2);
        rest[k] = (float)norm;
        atoms[k] = (int32_t)k;
        candidate[k] = (int32_t)(39 - k);
    }
    ra_ok(ra_backend_mixture_exchange(f.p.oracle, &f.a, atoms, candidate, 30, &err));
    for (size_t k = 0; k < 30; k++) {
        double norm = 0;
        bool has = false;
        atom_of(&f.a, k, after);
        for (size_t e = 0; e < 12; e++) {
            ck_assert_double_eq_tol(after[e], before[k][e], 1e-5);
            norm += pow(f.a.relax[k * 12 + e], 2);
        }
        for (size_t t = 0; t < 4; t++) has |= f.a.index[k * 4 + t] == candidate[k];
        if (has && memcmp(old + k * 4, f.a.index + k * 4, 16) != 0) {
            ck_assert(norm < rest[k] * (1 - 5e-5));
            taken++;
        } else {
            ck_assert_mem_eq(old + k * 4, f.a.index + k * 4, 16);
            refused++;
        }
    }
    ck_assert_int_gt(taken, 5);
    ck_assert_int_gt(refused, 2);
    release(&f);
}
END_TEST

TEST_CASES_LOOP(mixture_backends, 0, CASES, test_backends_compose_alike, test_backends_agree)
TEST_CASES(mixture, test_the_nearest_mixture_leaves_a_rest_that_no_point_of_its_reaches,
           test_the_rest_is_kept_in_part_and_bounded, test_the_share_is_the_cosine_of_mixture_and_atom,
           test_a_candidate_comes_in_when_it_is_nearer_and_the_atom_stays)
