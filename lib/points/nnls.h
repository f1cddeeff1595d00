/* nnls.h - nonnegative least squares in a few variables.
 *
 * With n vectors, their gram G [n,n] and c = vectors . target, the weights of the nonnegative combination
 * nearest to the target minimize w^T G w / 2 - c^T w over w >= 0. */
#ifndef RA_POINTS_NNLS_H
#define RA_POINTS_NNLS_H

enum { RA_NNLS_MOST = 32 };

/* w [n] <- the minimum, n at most RA_NNLS_MOST; rows of G are `stride` apart. Of vectors that depend on each
 * other some get no weight. */
void ra_nnls(const double *G, int stride, const double *c, int n, double *w);

#endif
