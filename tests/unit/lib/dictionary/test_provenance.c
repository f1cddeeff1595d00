/* What atoms are made of, against plain loops in float64: shares of the points and of the relaxation, which
 * add up to one, and the hull share; of a dense W and of mixtures. Covers lib/dictionary/fuse.c as well. */
#include "devices.h"
#include "ra_dictionary.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

enum { K = 9, N = 14, D = 6, T = 5 };
static const float multiplier = 0.3f, delta = 0.8f;

typedef struct parts {
    float W[K * N], C[N * D], Relax[K * D], atoms[K * D];
    double weight[K * N], relax[K * D], atom[K * D]; /* projected, and D, in float64 */
    int32_t index[K * T];
    float mixture[K * T];
} parts;

static void compose(parts *p) {
    for (size_t k = 0; k < K; k++) {
        double norm = 0;
        for (size_t e = 0; e < D; e++) norm += pow(p->Relax[k * D + e], 2);
        double bound = sqrt(norm) > delta ? delta / sqrt(norm) : 1;
        for (size_t e = 0; e < D; e++) {
            p->relax[k * D + e] = p->Relax[k * D + e] * bound;
            p->atom[k * D + e] = p->relax[k * D + e];
            for (size_t j = 0; j < N; j++) p->atom[k * D + e] += p->weight[k * N + j] * p->C[j * D + e];
            p->atom[k * D + e] *= exp(multiplier);
        }
    }
}

/* A dense W, some of it negative; the third atom is one point alone, without relaxation. */
static void make_dense(parts *p) {
    memset(p, 0, sizeof *p);
    test_fill(p->W, K * N, 1);
    test_fill(p->C, N * D, 2);
    test_fill(p->Relax, K * D, 3);
    for (size_t j = 0; j < N; j++) p->W[2 * N + j] = j == 4;
    memset(p->Relax + 2 * D, 0, D * sizeof(float));
    for (size_t k = 0; k < K; k++) {
        double sum = 1e-8;
        for (size_t j = 0; j < N; j++) sum += fmax(p->W[k * N + j], 0);
        for (size_t j = 0; j < N; j++) p->weight[k * N + j] = fmax(p->W[k * N + j], 0) / sum;
    }
    compose(p);
}

/* At most T points per atom; the last atom has none, and no relaxation: it is zeros. */
static void make_mixtures(parts *p) {
    make_dense(p);
    memset(p->weight, 0, sizeof p->weight);
    for (size_t k = 0; k < K; k++) {
        size_t count = k + 1 == K ? 0 : 1 + k % T;
        for (size_t t = 0; t < T; t++) {
            p->index[k * T + t] = t < count ? (int32_t)((3 * k + 2 * t) % N) : -1;
            p->mixture[k * T + t] = t < count ? 1 / (float)count : 0;
            if (t < count) p->weight[k * N + (size_t)p->index[k * T + t]] = 1 / (double)count;
        }
    }
    memset(p->Relax + (K - 1) * D, 0, D * sizeof(float));
    compose(p);
}

static double dot(const double *x, const double *y) {
    double sum = 0;
    for (size_t e = 0; e < D; e++) sum += x[e] * y[e];
    return sum;
}

static double share_of_point(const parts *p, size_t k, size_t point) {
    double part[D], square = dot(p->atom + k * D, p->atom + k * D);
    for (size_t e = 0; e < D; e++) part[e] = exp(multiplier) * p->weight[k * N + point] * p->C[point * D + e];
    return square > 0 ? dot(part, p->atom + k * D) / square : 0;
}

/* `kept` of each atom; all of them must be the ones that contribute most. */
static void check(const parts *p, const float *atoms, const ra_provenance *got, size_t kept) {
    for (size_t k = 0; k < K; k++) {
        const double *atom = p->atom + k * D;
        double relax[D], mixture[D], square = dot(atom, atom), sum = 0;
        for (size_t e = 0; e < D; e++) {
            ck_assert_float_eq_tol(atoms[k * D + e], (float)atom[e], 1e-5f);
            relax[e] = exp(multiplier) * p->relax[k * D + e];
            mixture[e] = atom[e] - relax[e];
        }
        double along = square > 0 ? dot(relax, atom) / square : 0, mix = dot(mixture, mixture);
        double hull = square > 0 && mix > 1e-12 ? dot(mixture, atom) / sqrt(mix * square) : 0;
        ck_assert_float_eq_tol(got->relaxation_share[k], (float)along, 1e-5f);
        ck_assert_float_eq_tol(got->hull_share[k], (float)hull, 1e-5f);
        ck_assert_float_eq_tol(got->relaxation_norm[k], (float)sqrt(dot(p->relax + k * D, p->relax + k * D)),
                               1e-5f);
        for (size_t t = 0; t < kept; t++) {
            int32_t point = got->index[k * kept + t];
            float contribution = got->contribution[k * kept + t];
            if (point < 0) {
                ck_assert_float_eq(contribution, 0);
                continue;
            }
            sum += contribution;
            ck_assert_float_eq_tol(got->weight[k * kept + t], (float)p->weight[k * N + (size_t)point], 1e-6f);
            ck_assert_float_eq_tol(contribution, (float)share_of_point(p, k, (size_t)point), 1e-5f);
            if (t) ck_assert_float_le(contribution, got->contribution[k * kept + t - 1]);
            size_t larger = 0;
            for (size_t j = 0; j < N; j++)
                larger += p->weight[k * N + j] > 0 && share_of_point(p, k, j) > (double)contribution + 1e-5;
            ck_assert_uint_le(larger, t);
        }
        if (kept == N || kept == T) ck_assert_double_eq_tol(sum + along, square > 0, 1e-4);
    }
}

/* Kept: all points, or a few, of four times as many that are looked at. */
START_TEST(test_shares_of_a_dense_w) {
    static const size_t kept[] = {N, 4, 1};
    parts p;
    ra_provenance got;
    float atoms[K * D];
    ra_backend *backend = device_open(_i % DEVICES, 2);
    make_dense(&p);
    const ra_tensor W = ra_tensor_2d(RA_F32, p.W, K, N), C = ra_tensor_2d(RA_F32, p.C, N, D),
                    Relax = ra_tensor_2d(RA_F32, p.Relax, K, D);
    for (size_t i = 0; i < 2; i++) {
        ra_ok(ra_provenance_init(&got, K, kept[i], &err));
        ra_ok(ra_dictionary_fuse(backend, &W, &C, &Relax, multiplier, delta, atoms, &got, &err));
        check(&p, atoms, &got, kept[i]);
        ra_provenance_release(&got);
    }
    ra_backend_release(backend);
}
END_TEST

START_TEST(test_shares_of_mixtures) {
    parts p;
    ra_provenance got;
    float atoms[K * D];
    ra_backend *backend = device_open(_i % DEVICES, 2);
    make_mixtures(&p);
    const ra_tensor index = ra_tensor_2d(RA_I32, p.index, K, T),
                    weight = ra_tensor_2d(RA_F32, p.mixture, K, T), C = ra_tensor_2d(RA_F32, p.C, N, D),
                    Relax = ra_tensor_2d(RA_F32, p.Relax, K, D);
    ra_ok(ra_provenance_init(&got, K, T, &err));
    ra_ok(ra_mixture_fuse(backend, &index, &weight, &C, &Relax, multiplier, delta, atoms, &got, &err));
    check(&p, atoms, &got, T);
    ra_provenance_release(&got);
    ra_backend_release(backend);
}
END_TEST

TEST_CASES_LOOP(provenance_shares, 0, DEVICES, test_shares_of_a_dense_w, test_shares_of_mixtures)
