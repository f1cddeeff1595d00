/* Lanczos' method for the largest eigenvalue of a symmetric matrix.
 *
 * Power iteration is slow if the next eigenvalue is close, as in a random dictionary. Lanczos' method also
 * needs one product per step, but its estimate uses all steps so far: it is the largest eigenvalue of a small
 * tridiagonal matrix. The residual bounds the error and so tells when to stop. Without orthogonalization
 * against earlier vectors, an eigenvalue that was found may appear again; that does not change the
 * largest. */
#include "metrics/lanczos.h"
#include "ra_memory.h"
#include "backend/cpu/lapack.h"
#include "base/random.h"
#include "tensor/vectors.h"

#include <math.h>
#include <stdbool.h>

enum { STEPS = 1000, STEPS_BETWEEN_CHECKS = 5 };

static const double accuracy = 1e-7;

typedef struct lanczos {
    size_t n;
    double *v, *before;        /* [n] the unit vectors of this step and of the last one */
    double *w;                 /* [n] A v */
    double *diagonal, *beside; /* [STEPS] */
} lanczos;

/* The last entry of the unit eigenvector of `value`. Backwards, the recurrence runs towards the large
 * entries, which is the stable direction. */
static double last_entry(const lanczos *l, size_t n, double value) {
    double entry = 1, behind = 0, square = 1;
    for (size_t i = n - 1; i > 0 && square < 1e200; i--) {
        double beside = i + 1 < n ? l->beside[i] : 0;
        double next = ((value - l->diagonal[i]) * entry - beside * behind) / l->beside[i - 1];
        behind = entry;
        entry = next;
        square += entry * entry;
    }
    return 1 / sqrt(square);
}

static ra_status largest_eigenvalue(lanczos *l, ra_multiply *multiply, void *context, double *value,
                                    ra_error *err) {
    size_t n = l->n;
    double beside = 0;
    for (size_t step = 0; step < STEPS; step++) {
        multiply(context, l->v, l->w);
        double diagonal = ra_dot_doubles(l->v, l->w, n);
        for (size_t j = 0; j < n; j++) l->w[j] -= diagonal * l->v[j] + beside * l->before[j];
        beside = sqrt(ra_dot_doubles(l->w, l->w, n));
        l->diagonal[step] = diagonal;
        l->beside[step] = beside;
        bool ends = !(beside > 1e-14 * fabs(diagonal)) || step + 1 == STEPS; /* no direction is left */
        if (ends || step % STEPS_BETWEEN_CHECKS == 0) {
            RA_TRY(ra_tridiagonal_largest(l->diagonal, l->beside, step + 1, value, err));
            if (ends || beside * last_entry(l, step + 1, *value) <= accuracy * *value) break;
        }
        double *oldest = l->before;
        l->before = l->v;
        l->v = oldest;
        for (size_t j = 0; j < n; j++) l->v[j] = l->w[j] / beside;
    }
    return RA_OK;
}

/* Random numbers: a vector of ones may be orthogonal to the eigenvector. */
static void start(lanczos *l) {
    ra_random random;
    ra_random_seed(&random, 1);
    for (size_t j = 0; j < l->n; j++) l->v[j] = ra_random_unit(&random) - 0.5;
    double length = sqrt(ra_dot_doubles(l->v, l->v, l->n));
    for (size_t j = 0; j < l->n; j++) l->v[j] /= length;
}

ra_status ra_lanczos_largest(ra_multiply *multiply, void *context, size_t n, double *value, ra_error *err) {
    size_t count = 3 * n + 2 * STEPS;
    double *memory = ra_calloc(count, sizeof *memory);
    if (!memory) RA_FAIL_MEMORY(err, "the largest eigenvalue", count * sizeof *memory);
    lanczos l = {.n = n, .v = memory};
    l.before = l.v + n;
    l.w = l.before + n;
    l.diagonal = l.w + n;
    l.beside = l.diagonal + STEPS;
    start(&l);
    ra_status status = largest_eigenvalue(&l, multiply, context, value, err);
    ra_free(memory);
    return status;
}
