/* simplex.h - the point of a simplex that is nearest to a target, in the few numbers that decide it.
 *
 * With T points C_t, gram G = C C^T and c = C target, the weights of the nearest mixture minimize
 *
 *     f(w) = w^T G w / 2 - c^T w    over w >= 0, sum w = 1,
 *
 * and ||target - sum_t w_t C_t||^2 = ||target||^2 + 2 f(w). Weight is moved between two points at a time: to
 * the one along which f falls most, from the one of those with weight along which it rises most, as far as f
 * falls (Platt's sequential minimal optimization). At the minimum no such pair is left. Started from the
 * weights of the step before, few moves are needed.
 *
 * Plain arithmetic for host and device code: a *.cu file defines RA_SIMPLEX as __device__ functions.
 * T is at most RA_MIXTURE_MOST; rows of G are `stride` numbers apart. */
#ifndef RA_BACKEND_SIMPLEX_H
#define RA_BACKEND_SIMPLEX_H

#ifndef RA_SIMPLEX
#define RA_SIMPLEX static inline
#endif

/* f(w). */
RA_SIMPLEX double ra_simplex_value(const double *G, int stride, const double *c, const double *w, int T) {
    double value = 0;
    for (int i = 0; i < T; i++) {
        double slope = 0;
        for (int j = 0; j < T; j++) slope += G[i * stride + j] * w[j];
        value += w[i] * (slope / 2 - c[i]);
    }
    return value;
}

/* w [T] <- the minimum, from w, which is nonnegative and not all zero. gradient [T]: scratch. */
RA_SIMPLEX void ra_simplex_nearest(const double *G, int stride, const double *c, double *w, double *gradient,
                                   int T) {
    double scale = 0, sum = 0;
    for (int i = 0; i < T; i++) sum += w[i];
    for (int i = 0; i < T; i++) w[i] /= sum;
    for (int i = 0; i < T; i++) {
        gradient[i] = -c[i];
        for (int j = 0; j < T; j++) gradient[i] += G[i * stride + j] * w[j];
        if (G[i * stride + i] > scale) scale = G[i * stride + i];
    }
    for (int move = 0; move < 16 * T; move++) {
        int to = 0, from = -1;
        for (int i = 0; i < T; i++) {
            if (gradient[i] < gradient[to]) to = i;
            if (w[i] > 0 && (from < 0 || gradient[i] > gradient[from])) from = i;
        }
        double gap = from < 0 ? 0 : gradient[from] - gradient[to];
        if (!(gap > 1e-7 * scale)) return;
        double curve = G[to * stride + to] + G[from * stride + from] - 2 * G[to * stride + from];
        double step = curve > 0 && gap < curve * w[from] ? gap / curve : w[from];
        w[to] += step;
        w[from] = step < w[from] ? w[from] - step : 0;
        for (int i = 0; i < T; i++) gradient[i] += step * (G[i * stride + to] - G[i * stride + from]);
    }
}

#endif
