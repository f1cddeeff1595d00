/* Debian's OpenBLAS contains LAPACK, but neither its C interface nor a header for it: the two routines used
 * here are declared as Fortran has them, with the lengths of their character arguments at the end. */
#include "backend/cpu/lapack.h"
#include "backend/cpu/blas.h"
#include "ra_backend.h"
#include "ra_memory.h"

#include <limits.h>

/* Eigenvalues (jobz 'N') of the triangle uplo of a; lwork -1 asks for the size of work. */
void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
            double *work, const int *lwork, int *info, size_t jobz_length, size_t uplo_length);

/* Eigenvalues il to iu (range 'I') of a tridiagonal matrix, by bisection; abstol 0 is full accuracy. */
void dstebz_(const char *range, const char *order, const int *n, const double *vl, const double *vu,
             const int *il, const int *iu, const double *abstol, const double *d, const double *e, int *m,
             int *nsplit, double *w, int *iblock, int *isplit, double *work, int *iwork, int *info,
             size_t range_length, size_t order_length);

static ra_status check(const char *routine, int info, size_t n, ra_error *err) {
    if (info == 0) return RA_OK;
    RA_FAIL(
        err, RA_ERR_NOT_FINITE,
        "the eigenvalues of a matrix [%zu, %zu] were not found (%s gave %d); its numbers may be too large", n,
        n, routine, info);
}

ra_status ra_eigenvalues(double *A, size_t n, double *values, ra_error *err) {
    int size = (int)n, lwork = -1, info = 0;
    double wanted = 0;
    if (n == 0) return RA_OK;
    if (n > INT_MAX) RA_FAIL(err, RA_ERR_TOO_LARGE, "a matrix [%zu, %zu] is too large for LAPACK", n, n);
    cpu_blas_use_one_thread();
    RA_TRY(ra_backend_reserve(1, err)); /* there may be no CPU backend */
    dsyev_("N", "U", &size, A, &size, values, &wanted, &lwork, &info, 1, 1);
    lwork = (int)wanted;
    double *work = ra_malloc((size_t)lwork, sizeof *work);
    if (!work) RA_FAIL_MEMORY(err, "eigenvalues", (size_t)lwork * sizeof *work);
    dsyev_("N", "U", &size, A, &size, values, work, &lwork, &info, 1, 1);
    ra_free(work);
    return check("dsyev", info, n, err);
}

ra_status ra_tridiagonal_largest(const double *diagonal, const double *beside, size_t n, double *value,
                                 ra_error *err) {
    int size = (int)n, found = 0, blocks = 0, info = 0;
    const double unused = 0, full_accuracy = 0;
    double *work = ra_malloc(5 * n, sizeof *work);
    int *integers = ra_malloc(5 * n, sizeof *integers);
    if (!work || !integers) {
        ra_free(work);
        ra_free(integers);
        RA_FAIL_MEMORY(err, "an eigenvalue", 5 * n * (sizeof *work + sizeof *integers));
    }
    dstebz_("I", "E", &size, &unused, &unused, &size, &size, &full_accuracy, diagonal, beside, &found,
            &blocks, work, integers, integers + n, work + n, integers + 2 * n, &info, 1, 1);
    *value = work[0];
    ra_free(work);
    ra_free(integers);
    return check("dstebz", found == 1 ? info : 1, n, err);
}
