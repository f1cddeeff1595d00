/* The active set method of Lawson and Hanson (Solving Least Squares Problems, 1974, chapter 23): variables
 * enter one at a time, the one along which the error falls most, and all that have entered are solved for; if
 * that makes some of them negative, the way there is cut at the first that reaches zero, which leaves.
 *
 * The equations of those that have entered are solved by Cholesky's factorization, anew each time: there are
 * at most 32, and it is exact enough to tell when a variable depends on others, which then does not enter. */
#include "points/nnls.h"

#include <math.h>
#include <stdbool.h>

enum { MOST = RA_NNLS_MOST };

static const double DEPENDENT = 1e-9; /* of a diagonal that is left, beside the whole */

/* x of the variables in set [m] <- G x = c; false when they depend on each other. */
static bool solve(const double *G, int stride, const double *c, const int *set, int m, double *x) {
    double L[MOST][MOST];
    for (int i = 0; i < m; i++) {
        for (int j = 0; j <= i; j++) {
            double sum = G[set[i] * stride + set[j]];
            for (int k = 0; k < j; k++) sum -= L[i][k] * L[j][k];
            if (i == j && !(sum > DEPENDENT * G[set[i] * stride + set[i]])) return false;
            L[i][j] = i == j ? sqrt(sum) : sum / L[j][j];
        }
    }
    for (int i = 0; i < m; i++) {
        x[i] = c[set[i]];
        for (int k = 0; k < i; k++) x[i] -= L[i][k] * x[k];
        x[i] /= L[i][i];
    }
    for (int i = m - 1; i >= 0; i--) {
        for (int k = i + 1; k < m; k++) x[i] -= L[k][i] * x[k];
        x[i] /= L[i][i];
    }
    return true;
}

/* Moves w towards x as far as nothing turns negative; those that reach zero leave the set. */
static int cut(double *w, const double *x, int *set, int m) {
    double step = 1;
    int kept = 0;
    for (int i = 0; i < m; i++)
        if (x[i] <= 0 && w[set[i]] / (w[set[i]] - x[i]) < step) step = w[set[i]] / (w[set[i]] - x[i]);
    for (int i = 0; i < m; i++) {
        w[set[i]] += step * (x[i] - w[set[i]]);
        if (x[i] <= 0 && w[set[i]] <= 1e-12 * fabs(x[i]))
            w[set[i]] = 0;
        else
            set[kept++] = set[i];
    }
    return kept;
}

void ra_nnls(const double *G, int stride, const double *c, int n, double *w) {
    int set[MOST], m = 0;
    double x[MOST], scale = 0;
    bool entered[MOST] = {false}, dependent[MOST] = {false};
    for (int i = 0; i < n; i++) {
        w[i] = 0;
        scale = fmax(scale, fabs(c[i]));
    }
    for (int turn = 0; turn < 3 * n; turn++) { /* each turn lowers the error, so none is seen twice */
        int best = -1;
        double slope = 1e-12 * scale;
        for (int i = 0; i < n; i++) {
            double gain = c[i];
            for (int j = 0; j < n; j++) gain -= G[i * stride + j] * w[j];
            if (!entered[i] && !dependent[i] && gain > slope) slope = gain, best = i;
        }
        if (best < 0) return;
        set[m++] = best;
        if (!solve(G, stride, c, set, m, x)) {
            dependent[best] = true;
            m--;
            continue;
        }
        for (bool negative = true; negative;) {
            negative = false;
            for (int i = 0; i < m; i++) negative |= x[i] <= 0;
            if (negative) {
                m = cut(w, x, set, m);
                if (!solve(G, stride, c, set, m, x)) return;
            } else {
                for (int i = 0; i < m; i++) w[set[i]] = x[i];
            }
        }
        for (int i = 0; i < n; i++) entered[i] = false;
        for (int i = 0; i < m; i++) entered[set[i]] = true;
    }
}
