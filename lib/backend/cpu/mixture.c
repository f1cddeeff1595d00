/* Atoms as mixtures of a few points. An atom costs T dot products and T additions of d numbers; what decides
 * its weights is then T x T numbers (backend/simplex.h), so that the whole is bound by reading the points. */
#include "backend/cpu/cpu.h"
#include "backend/simplex.h"
#include "base/multiversion.h"
#include "ra_memory.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>

enum { ATOMS_PER_PART = 16, MOST = RA_MIXTURE_MOST };

/* One atom: its part of the arrays, and its problem in float64. */
typedef struct atom {
    int32_t *index;
    float *weight, *gram, *relax;
    int count;             /* of its points */
    double G[MOST * MOST]; /* gram */
    double q[MOST];        /* points . relax */
    double c[MOST];        /* points . (mixture + relax) */
    double w[MOST];        /* the weights */
    double scratch[MOST];
} atom;

static const float *point(const ra_mixture *mixture, int32_t index) {
    return mixture->C + (size_t)index * mixture->dimensions;
}

static void find(const ra_mixture *mixture, size_t k, atom *a) {
    size_t T = mixture->most;
    a->index = mixture->index + k * T;
    a->weight = mixture->weight + k * T;
    a->gram = mixture->gram + k * T * T;
    a->relax = mixture->relax + k * mixture->dimensions;
    for (a->count = 0; a->count < (int)T && a->index[a->count] >= 0;) a->count++;
}

static void pose(const ra_mixture *mixture, atom *a) {
    int T = (int)mixture->most;
    for (int i = 0; i < a->count; i++) {
        a->w[i] = a->weight[i];
        a->c[i] = a->q[i] = ra_dot_f64(point(mixture, a->index[i]), a->relax, mixture->dimensions);
        for (int j = 0; j < a->count; j++) {
            a->G[i * MOST + j] = a->gram[i * T + j];
            a->c[i] += (double)a->gram[i * T + j] * a->weight[j];
        }
    }
}

RA_MULTIVERSION static void add(float *restrict y, float factor, const float *restrict x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += factor * x[i];
}

RA_MULTIVERSION static void scale(float *y, float factor, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] *= factor;
}

/* ---- gram ---------------------------------------------------------------------------------------------- */

static void gram_part(void *context, size_t part) {
    const ra_mixture *mixture = context;
    int T = (int)mixture->most;
    RA_UNINITIALIZED atom a;
    for (size_t k = part * ATOMS_PER_PART; k < ra_pool_part_end(part, ATOMS_PER_PART, mixture->atoms); k++) {
        find(mixture, k, &a);
        for (int i = 0; i < T; i++)
            for (int j = 0; j <= i; j++)
                a.gram[i * T + j] = a.gram[j * T + i] =
                    i < a.count ? (float)ra_dot_f64(point(mixture, a.index[i]), point(mixture, a.index[j]),
                                                    mixture->dimensions)
                                : 0;
    }
}

ra_status cpu_mixture_gram(void *self, ra_backend_stream *stream, const ra_mixture *mixture, ra_error *err) {
    (void)stream, (void)err;
    ra_mixture job = *mixture;
    ra_pool_run(self, ra_pool_parts(mixture->atoms, ATOMS_PER_PART), gram_part, &job);
    return RA_OK;
}

/* ---- compose ------------------------------------------------------------------------------------------- */

typedef struct compose_job {
    const ra_mixture *mixture;
    const int32_t *atoms;
    size_t count;
    float factor, *D;
} compose_job;

static void compose_part(void *context, size_t part) {
    const compose_job *job = context;
    const ra_mixture *m = job->mixture;
    size_t d = m->dimensions, end = ra_pool_part_end(part, ATOMS_PER_PART, job->count);
    for (size_t i = part * ATOMS_PER_PART; i < end; i++) {
        size_t k = job->atoms ? (size_t)job->atoms[i] : i;
        const int32_t *index = m->index + k * m->most;
        float *D = job->D + i * d;
        memcpy(D, m->relax + k * d, d * sizeof *D);
        for (size_t t = 0; t < m->most && index[t] >= 0; t++)
            if (m->weight[k * m->most + t] != 0) add(D, m->weight[k * m->most + t], point(m, index[t]), d);
        if (job->factor != 1) scale(D, job->factor, d);
    }
}

ra_status cpu_mixture_compose(void *self, ra_backend_stream *stream, const ra_mixture *mixture,
                              const int32_t *atoms, size_t count, float factor, float *D, ra_error *err) {
    (void)stream, (void)err;
    compose_job job = {mixture, atoms, count, factor, D};
    ra_pool_run(self, ra_pool_parts(count, ATOMS_PER_PART), compose_part, &job);
    return RA_OK;
}

/* ---- fit ----------------------------------------------------------------------------------------------- */

typedef struct fit_job {
    const ra_mixture *mixture;
    float keep, radius, *share;
} fit_job;

/* The cosine between the mixture and the atom; q: points . relax as it is now, rest: relax . relax. */
static float cosine(const atom *a, double rest) {
    double mix = 0, cross = 0;
    for (int i = 0; i < a->count; i++) {
        cross += a->weight[i] * a->q[i];
        for (int j = 0; j < a->count; j++) mix += (double)a->weight[i] * a->weight[j] * a->G[i * MOST + j];
    }
    double whole = mix + 2 * cross + rest;
    if (!(whole > 0)) return 1;
    return mix > 0 ? (float)((mix + cross) / sqrt(mix * whole)) : 0;
}

static void fit_atom(const fit_job *job, size_t k) {
    const ra_mixture *mixture = job->mixture;
    size_t d = mixture->dimensions;
    RA_UNINITIALIZED atom a;
    find(mixture, k, &a);
    pose(mixture, &a);
    ra_simplex_nearest(a.G, MOST, a.c, a.w, a.scratch, a.count);
    RA_UNINITIALIZED double change[MOST];
    for (int i = 0; i < a.count; i++) {
        float before = a.weight[i];
        a.weight[i] = (float)a.w[i];
        float moved = before - a.weight[i];
        change[i] = moved;
        if (moved != 0) add(a.relax, moved, point(mixture, a.index[i]), d);
    }
    double rest = ra_dot_f64(a.relax, a.relax, d) * job->keep * job->keep;
    double factor = job->keep;
    if (rest > (double)job->radius * job->radius) {
        factor *= job->radius / sqrt(rest);
        rest = (double)job->radius * job->radius;
    }
    if (factor != 1) scale(a.relax, (float)factor, d);
    /* points . relax follows from what has been added to it */
    RA_UNINITIALIZED double q[MOST];
    for (int i = 0; i < a.count; i++) {
        q[i] = a.q[i];
        for (int j = 0; j < a.count; j++) q[i] += change[j] * a.G[i * MOST + j];
    }
    for (int i = 0; i < a.count; i++) a.q[i] = factor * q[i];
    job->share[k] = cosine(&a, rest);
}

static void fit_part(void *context, size_t part) {
    const fit_job *job = context;
    size_t end = ra_pool_part_end(part, ATOMS_PER_PART, job->mixture->atoms);
    for (size_t k = part * ATOMS_PER_PART; k < end; k++) fit_atom(job, k);
}

ra_status cpu_mixture_fit(void *self, ra_backend_stream *stream, const ra_mixture *mixture, float keep,
                          float radius, float *share, ra_error *err) {
    (void)stream, (void)err;
    fit_job job = {mixture, keep, radius, share};
    ra_pool_run(self, ra_pool_parts(mixture->atoms, ATOMS_PER_PART), fit_part, &job);
    return RA_OK;
}

/* ---- exchange ------------------------------------------------------------------------------------------ */

typedef struct exchange_job {
    const ra_mixture *mixture;
    const int32_t *atoms, *candidate;
    size_t count;
} exchange_job;

/* Puts the candidate into a place of the problem, and says which. */
static int enter(const ra_mixture *mixture, atom *a, int32_t candidate) {
    size_t d = mixture->dimensions;
    const float *vector = point(mixture, candidate);
    int place = 0;
    for (int i = 1; i < a->count; i++)
        if (a->weight[i] < a->weight[place]) place = i;
    if (a->count < (int)mixture->most) {
        place = a->count;
        a->w[place] = a->count == 0;
    }
    a->c[place] = ra_dot_f64(vector, a->relax, d);
    for (int i = 0; i < a->count; i++) {
        double product = ra_dot_f64(vector, point(mixture, a->index[i]), d);
        a->G[i * MOST + place] = a->G[place * MOST + i] = (float)product;
        a->c[place] += a->weight[i] * product;
    }
    a->G[place * MOST + place] = (float)ra_dot_f64(vector, vector, d);
    return place;
}

static void exchange_atom(const ra_mixture *mixture, size_t k, int32_t candidate) {
    size_t d = mixture->dimensions;
    int T = (int)mixture->most;
    RA_UNINITIALIZED atom a;
    RA_UNINITIALIZED double nearest[MOST];
    find(mixture, k, &a);
    for (int i = 0; i < a.count; i++)
        if (a.index[i] == candidate) return;
    pose(mixture, &a);
    double square =
        ra_dot_f64(a.relax, a.relax, d); /* of the atom: of the mixture, what is across, of relax */
    for (int i = 0; i < a.count; i++) {
        nearest[i] = a.w[i];
        square += a.w[i] * (a.c[i] + a.q[i]);
    }
    ra_simplex_nearest(a.G, MOST, a.c, nearest, a.scratch, a.count);
    double before = square + 2 * ra_simplex_value(a.G, MOST, a.c, nearest, a.count);
    int place = enter(mixture, &a, candidate), count = a.count + (place == a.count);
    ra_simplex_nearest(a.G, MOST, a.c, a.w, a.scratch, count);
    double after = square + 2 * ra_simplex_value(a.G, MOST, a.c, a.w, count);
    if (!(after < before - 1e-4 * fabs(before))) return;
    for (int i = 0; i < a.count; i++) add(a.relax, a.weight[i], point(mixture, a.index[i]), d);
    a.index[place] = candidate;
    for (int i = 0; i < count; i++) {
        a.weight[i] = (float)a.w[i];
        for (int j = 0; j < count; j++) a.gram[i * T + j] = (float)a.G[i * MOST + j];
        add(a.relax, -a.weight[i], point(mixture, a.index[i]), d);
    }
}

static void exchange_part(void *context, size_t part) {
    const exchange_job *job = context;
    size_t end = ra_pool_part_end(part, ATOMS_PER_PART, job->count);
    for (size_t i = part * ATOMS_PER_PART; i < end; i++)
        if (job->candidate[i] >= 0) exchange_atom(job->mixture, (size_t)job->atoms[i], job->candidate[i]);
}

ra_status cpu_mixture_exchange(void *self, ra_backend_stream *stream, const ra_mixture *mixture,
                               const int32_t *atoms, const int32_t *candidate, size_t count, ra_error *err) {
    (void)stream, (void)err;
    exchange_job job = {mixture, atoms, candidate, count};
    ra_pool_run(self, ra_pool_parts(count, ATOMS_PER_PART), exchange_part, &job);
    return RA_OK;
}
