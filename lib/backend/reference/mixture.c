/* Mixtures of a few points, of the reference backend. */
#include "backend/reference/reference.h"
#include "backend/simplex.h"

#include <math.h>

enum { MOST = RA_MIXTURE_MOST };

/* One atom's part of the arrays. */
typedef struct atom {
    const ra_mixture *mixture;
    int32_t *index;
    float *weight, *gram, *relax;
    int count; /* of its points */
} atom;

static atom atom_at(const ra_mixture *mixture, size_t k) {
    size_t T = mixture->most;
    atom a = {mixture,
              mixture->index + k * T,
              mixture->weight + k * T,
              mixture->gram + k * T * T,
              mixture->relax + k * mixture->dimensions,
              0};
    while (a.count < (int)T && a.index[a.count] >= 0) a.count++;
    return a;
}

static const float *point(const atom *a, int32_t index) {
    return a->mixture->C + (size_t)index * a->mixture->dimensions;
}

static double dot(const float *x, const float *y, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * y[i];
    return sum;
}

ra_status reference_mixture_gram(void *self, ra_backend_stream *stream, const ra_mixture *mixture,
                                 ra_error *err) {
    (void)self, (void)stream, (void)err;
    size_t T = mixture->most;
    for (size_t k = 0; k < mixture->atoms; k++) {
        atom a = atom_at(mixture, k);
        for (int i = 0; i < (int)T; i++)
            for (int j = 0; j < (int)T; j++)
                a.gram[i * (int)T + j] =
                    i < a.count && j < a.count
                        ? (float)dot(point(&a, a.index[i]), point(&a, a.index[j]), mixture->dimensions)
                        : 0;
    }
    return RA_OK;
}

ra_status reference_mixture_compose(void *self, ra_backend_stream *stream, const ra_mixture *mixture,
                                    const int32_t *atoms, size_t count, float scale, float *D,
                                    ra_error *err) {
    (void)self, (void)stream, (void)err;
    size_t d = mixture->dimensions;
    for (size_t i = 0; i < count; i++) {
        atom a = atom_at(mixture, atoms ? (size_t)atoms[i] : i);
        for (size_t e = 0; e < d; e++) {
            double sum = a.relax[e];
            for (int t = 0; t < a.count; t++) sum += (double)a.weight[t] * point(&a, a.index[t])[e];
            D[i * d + e] = (float)(scale * sum);
        }
    }
    return RA_OK;
}

/* What decides an atom's weights, in float64: gram, target products, weights. */
typedef struct problem {
    double G[MOST * MOST], c[MOST], w[MOST], q[MOST]; /* q: points . relax */
} problem;

static void pose(const atom *a, problem *p) {
    int T = (int)a->mixture->most;
    for (int i = 0; i < a->count; i++) {
        p->w[i] = a->weight[i];
        p->c[i] = p->q[i] = dot(point(a, a->index[i]), a->relax, a->mixture->dimensions);
        for (int j = 0; j < a->count; j++) {
            p->G[i * MOST + j] = a->gram[i * T + j];
            p->c[i] += (double)a->gram[i * T + j] * a->weight[j];
        }
    }
}

static float cosine(const problem *p, const double *w, const double *q, int T, double rest) {
    double mix = 0, cross = 0;
    for (int i = 0; i < T; i++) {
        cross += w[i] * q[i];
        for (int j = 0; j < T; j++) mix += w[i] * w[j] * p->G[i * MOST + j];
    }
    double whole = mix + 2 * cross + rest;
    if (!(whole > 0)) return 1;
    return mix > 0 ? (float)((mix + cross) / sqrt(mix * whole)) : 0;
}

static void fit(const atom *a, float keep, float radius, float *share) {
    size_t d = a->mixture->dimensions;
    problem p;
    double w[MOST], gradient[MOST], q[MOST], rest = 0;
    pose(a, &p);
    for (int i = 0; i < a->count; i++) w[i] = p.w[i];
    ra_simplex_nearest(p.G, MOST, p.c, w, gradient, a->count);
    for (int i = 0; i < a->count; i++) {
        float before = a->weight[i];
        a->weight[i] = (float)w[i];
        for (size_t e = 0; e < d; e++) a->relax[e] += (before - a->weight[i]) * point(a, a->index[i])[e];
    }
    for (size_t e = 0; e < d; e++) {
        a->relax[e] *= keep;
        rest += (double)a->relax[e] * a->relax[e];
    }
    if (rest > (double)radius * radius) {
        float scale = (float)(radius / sqrt(rest));
        for (size_t e = 0; e < d; e++) a->relax[e] *= scale;
    }
    rest = dot(a->relax, a->relax, d);
    for (int i = 0; i < a->count; i++) {
        w[i] = a->weight[i];
        q[i] = dot(point(a, a->index[i]), a->relax, d);
    }
    *share = cosine(&p, w, q, a->count, rest);
}

ra_status reference_mixture_fit(void *self, ra_backend_stream *stream, const ra_mixture *mixture, float keep,
                                float radius, float *share, ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t k = 0; k < mixture->atoms; k++) {
        atom a = atom_at(mixture, k);
        fit(&a, keep, radius, share + k);
    }
    return RA_OK;
}

/* Puts the candidate into a place and looks whether the nearest mixture is nearer. */
static void exchange(atom *a, int32_t candidate) {
    int T = (int)a->mixture->most, count = a->count, place = 0;
    size_t d = a->mixture->dimensions;
    problem p;
    double old[MOST], gradient[MOST], square = dot(a->relax, a->relax, d), with = 0;
    for (int i = 0; i < count; i++)
        if (a->index[i] == candidate) return;
    pose(a, &p);
    for (int i = 0; i < count; i++) {
        old[i] = p.w[i];
        square += p.w[i] * (p.c[i] + p.q[i]);
        if (a->weight[i] < a->weight[place]) place = i;
    }
    ra_simplex_nearest(p.G, MOST, p.c, old, gradient, count);
    double before = square + 2 * ra_simplex_value(p.G, MOST, p.c, old, count);
    if (count < T) {
        place = count++;
        p.w[place] = count == 1;
    }
    with = dot(point(a, candidate), a->relax, d);
    for (int i = 0; i < a->count; i++) {
        double h = dot(point(a, candidate), point(a, a->index[i]), d);
        p.G[i * MOST + place] = p.G[place * MOST + i] = (float)h;
        with += a->weight[i] * h;
    }
    p.G[place * MOST + place] = (float)dot(point(a, candidate), point(a, candidate), d);
    p.c[place] = with;
    ra_simplex_nearest(p.G, MOST, p.c, p.w, gradient, count);
    double after = square + 2 * ra_simplex_value(p.G, MOST, p.c, p.w, count);
    if (!(after < before - 1e-4 * fabs(before))) return;
    for (int i = 0; i < a->count; i++)
        for (size_t e = 0; e < d; e++) a->relax[e] += a->weight[i] * point(a, a->index[i])[e];
    a->index[place] = candidate;
    for (int i = 0; i < count; i++) {
        a->weight[i] = (float)p.w[i];
        for (int j = 0; j < count; j++) a->gram[i * T + j] = (float)p.G[i * MOST + j];
        for (size_t e = 0; e < d; e++) a->relax[e] -= a->weight[i] * point(a, a->index[i])[e];
    }
}

ra_status reference_mixture_exchange(void *self, ra_backend_stream *stream, const ra_mixture *mixture,
                                     const int32_t *atoms, const int32_t *candidate, size_t count,
                                     ra_error *err) {
    (void)self, (void)stream, (void)err;
    for (size_t i = 0; i < count; i++) {
        atom a = atom_at(mixture, (size_t)atoms[i]);
        if (candidate[i] >= 0) exchange(&a, candidate[i]);
    }
    return RA_OK;
}
