/* Householder reflections make the matrix tridiagonal; bisection finds its eigenvalues one by one.
 *
 * Bisection rests on Sturm's count: the pivots of the elimination of T - x I are negative as often as T has
 * eigenvalues below x (Golub and Van Loan, section 8.4). It is slower than QL iterations but cannot fail to
 * converge, and gives the one eigenvalue that is wanted. */
#include "metrics/spectrum.h"
#include "base/multiversion.h"
#include "tensor/dot.h"

#include <float.h>
#include <math.h>

/* ---- bisection ---------------------------------------------------------------------------------------- */

/* How many eigenvalues lie below x. */
static size_t count_below(const ra_tridiagonal *t, double x) {
    size_t count = 0;
    double pivot = 1;
    for (size_t i = 0; i < t->n; i++) {
        double beside = i > 0 ? t->beside[i - 1] : 0;
        pivot = t->diagonal[i] - x - beside * (beside / pivot);
        if (fabs(pivot) < DBL_MIN)
            pivot = -DBL_MIN; /* a zero pivot: x is moved by less than anything counts */
        count += pivot < 0;
    }
    return count;
}

double ra_tridiagonal_eigenvalue(const ra_tridiagonal *t, size_t k) {
    double low = INFINITY, high = -INFINITY; /* Gershgorin's discs hold them all */
    for (size_t i = 0; i < t->n; i++) {
        double radius = (i > 0 ? fabs(t->beside[i - 1]) : 0) + (i + 1 < t->n ? fabs(t->beside[i]) : 0);
        low = fmin(low, t->diagonal[i] - radius);
        high = fmax(high, t->diagonal[i] + radius);
    }
    double resolution = DBL_EPSILON * fmax(fabs(low), fabs(high));
    while (high - low > resolution) {
        double middle = low + (high - low) / 2;
        if (middle <= low || middle >= high) break; /* neighbors in float64 */
        if (count_below(t, middle) > k)
            high = middle;
        else
            low = middle;
    }
    return low + (high - low) / 2;
}

/* ---- Householder -------------------------------------------------------------------------------------- */

/* row <- row - v_i w - w_i v */
RA_MULTIVERSION static void subtract_outer(double *restrict row, const double *restrict v,
                                           const double *restrict w, double vi, double wi, size_t n) {
    for (size_t j = 0; j < n; j++) row[j] -= vi * w[j] + wi * v[j];
}

/* Step k makes column k zero below its second entry: with v the reflector of the m entries below the
 * diagonal, and A' the rest, A' <- A' - v w^T - w v^T where w = p - (v.p) v / 2, p = A' v, |v|^2 = 2. */
void ra_tridiagonalize(double *A, size_t n, ra_tridiagonal *t) {
    t->n = n;
    for (size_t k = 0; k + 1 < n; k++) {
        size_t m = n - k - 1;
        double *v = A + k * n + k + 1; /* row k: the matrix is symmetric */
        double *w = t->diagonal + k + 1,
               length = sqrt(ra_dot_doubles(v, v, m)); /* w borrows what is not yet known */
        t->diagonal[k] = A[k * n + k];
        double beside = v[0] > 0 ? -length : length;
        t->beside[k] = beside;
        double scale = length > 0 ? sqrt(length * (length + fabs(v[0]))) : 0;
        if (!(scale > 0)) {
            t->beside[k] = 0;
            continue;
        }
        v[0] -= beside;
        for (size_t i = 0; i < m; i++) v[i] *= 1 / scale;
        for (size_t i = 0; i < m; i++) w[i] = ra_dot_doubles(A + (k + 1 + i) * n + k + 1, v, m);
        double half = ra_dot_doubles(v, w, m) / 2;
        for (size_t i = 0; i < m; i++) w[i] -= half * v[i];
        for (size_t i = 0; i < m; i++) subtract_outer(A + (k + 1 + i) * n + k + 1, v, w, v[i], w[i], m);
    }
    if (n > 0) t->diagonal[n - 1] = A[n * n - 1];
}
