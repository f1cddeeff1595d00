/* How similar two dictionaries are. Each metric is an assignment of atoms to atoms with its own matrix of
 * costs:
 *
 *   cosine      1 - cos                   their sum is overcomplete's cosine_hungarian_loss
 *   signed      1 - |cos|                 an atom and its opposite span the same line
 *   centered    1 - cos, means subtracted  atoms that share a large mean are all similar
 *   Euclidean   ||a - b||                 their sum is overcomplete's hungarian_loss
 *
 * The matrices come from float32 products, with an error of about 1e-7 for a cosine: that is enough to choose
 * pairs, but not among near duplicates, whose costs are therefore computed in float64. The sums are sums of
 * float64 values of the chosen pairs. So a dictionary compared with itself has a loss of exactly zero, and each
 * atom is matched to itself. A Euclidean distance from a product suffers from
 * cancellation if two atoms are close, and close atoms are the ones that are chosen; so these distances are
 * computed from the atoms themselves.
 *
 * A zero atom has no direction: its cosine is 0, and a stability is the mean over the other atoms, of whichever
 * dictionary has more of them. */
#include "ra_metrics.h"
#include "ra_memory.h"
#include "metrics/assignment.h"
#include "metrics/unit.h"

#include <math.h>
#include <string.h>

enum { PART_ROWS = 8, ASSIGNMENTS = 4 };

typedef struct compare {
    ra_backend *backend;
    ra_pool *pool;
    const float *A, *B; /* [K,d] */
    size_t K, d;
    double *zero, *mean_A, *mean_B;    /* [d] */
    float *a, *b;                      /* [K,d] the factors of the product */
    double *norm_a, *norm_b;           /* [K] squared */
    float *cost;                       /* [K,K] */
    int32_t *match;                    /* [K] of the metrics whose assignment is not returned */
    const double *about_A, *about_B;   /* [d] what the atoms of the present matrix are taken about */
    const ra_compare_options *options; /* NULL: none */
    size_t solved;                     /* assignments so far */
} compare;

/* ---- exact values of one pair ------------------------------------------------------------------------- */

/* An atom minus a mean equal to it leaves rounding errors, of at most this share of its squared norm. */
static const double rounding = 1e-24;

static double cosine_about(const float *a, const double *mean_a, const float *b, const double *mean_b,
                           size_t d) {
    double whole_a = 0, whole_b = 0, aa = 0, bb = 0, ab = 0;
    for (size_t j = 0; j < d; j++) {
        double x = (double)a[j] - mean_a[j], y = (double)b[j] - mean_b[j];
        whole_a += (double)a[j] * (double)a[j];
        whole_b += (double)b[j] * (double)b[j];
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    if (aa <= rounding * whole_a || bb <= rounding * whole_b) return 0;
    return fmax(-1, fmin(1, ab / sqrt(aa * bb))); /* exactly 1 for equal atoms */
}

static double distance_of(const float *a, const float *b, size_t d) {
    double sum = 0;
    for (size_t j = 0; j < d; j++) {
        double gap = (double)a[j] - (double)b[j];
        sum += gap * gap;
    }
    return sqrt(sum);
}

typedef double pair_cost(const compare *c, size_t i, size_t j);

static double cosine_cost(const compare *c, size_t i, size_t j) {
    return 1 - cosine_about(c->A + i * c->d, c->zero, c->B + j * c->d, c->zero, c->d);
}

static double signed_cost(const compare *c, size_t i, size_t j) {
    return 1 - fabs(cosine_about(c->A + i * c->d, c->zero, c->B + j * c->d, c->zero, c->d));
}

static double centered_cost(const compare *c, size_t i, size_t j) {
    return 1 - cosine_about(c->A + i * c->d, c->mean_A, c->B + j * c->d, c->mean_B, c->d);
}

static double euclidean_cost(const compare *c, size_t i, size_t j) {
    return distance_of(c->A + i * c->d, c->B + j * c->d, c->d);
}

/* ---- matrices of costs -------------------------------------------------------------------------------- */

static void fill_mean(const float *D, size_t K, size_t d, double *mean) {
    for (size_t j = 0; j < d; j++) mean[j] = 0;
    for (size_t k = 0; k < K; k++)
        for (size_t j = 0; j < d; j++) mean[j] += (double)D[k * d + j];
    for (size_t j = 0; j < d; j++) mean[j] /= (double)K;
}

static void subtract_mean(const float *D, size_t K, size_t d, const double *mean, float *out) {
    for (size_t k = 0; k < K; k++) {
        double whole = 0, square = 0;
        for (size_t j = 0; j < d; j++) {
            double value = (double)D[k * d + j], gap = value - mean[j];
            out[k * d + j] = (float)gap;
            whole += value * value;
            square += gap * gap;
        }
        if (square <= rounding * whole) memset(out + k * d, 0, d * sizeof *out);
    }
}

static void fill_norms(const float *x, size_t K, size_t d, double *norm) {
    for (size_t k = 0; k < K; k++) {
        norm[k] = 0;
        for (size_t j = 0; j < d; j++) norm[k] += (double)x[k * d + j] * (double)x[k * d + j];
    }
}

static void over_rows(compare *c, ra_pool_part *part) {
    ra_pool_run(c->pool, ra_pool_parts(c->K, PART_ROWS), part, c);
}

static const float near = 1e-6f; /* costs below it are exact */

/* Of equal candidates, the one with the same number is matched. */
static float exact_cost(double cost, size_t i, size_t j) {
    static const double tie = 1e-13;
    return (float)(cost + (i == j ? 0 : tie));
}

static void cosine_part(void *context, size_t part) {
    const compare *c = context;
    for (size_t i = part * PART_ROWS; i < ra_pool_part_end(part, PART_ROWS, c->K); i++)
        for (size_t j = 0; j < c->K; j++) {
            float *cost = c->cost + i * c->K + j;
            *cost = 1 - *cost;
            if (*cost < near)
                *cost = exact_cost(
                    1 - cosine_about(c->A + i * c->d, c->about_A, c->B + j * c->d, c->about_B, c->d), i, j);
        }
}

static void fold_part(void *context, size_t part) {
    const compare *c = context;
    for (size_t i = part * PART_ROWS; i < ra_pool_part_end(part, PART_ROWS, c->K); i++)
        for (size_t j = 0; j < c->K; j++) {
            float *cost = c->cost + i * c->K + j;
            if (*cost <= 1) continue;
            *cost = 2 - *cost;
            if (*cost < near) *cost = exact_cost(signed_cost(c, i, j), i, j);
        }
}

static void euclidean_part(void *context, size_t part) {
    static const double close = 1.0 / 32; /* beyond it, a distance from a product has a small error */
    const compare *c = context;
    for (size_t i = part * PART_ROWS; i < ra_pool_part_end(part, PART_ROWS, c->K); i++)
        for (size_t j = 0; j < c->K; j++) {
            float *cost = c->cost + i * c->K + j;
            double norms = c->norm_a[i] + c->norm_b[j], square = norms - 2 * (double)*cost;
            bool in_range = norms > 1e-30 && norms < 1e37; /* of float32 squares */
            *cost = (float)(in_range && square > close * norms ? sqrt(square) : euclidean_cost(c, i, j));
        }
}

/* cost <- 1 - cosine of A - mean_a and B - mean_b */
static ra_status fill_cosines(compare *c, const double *mean_a, const double *mean_b, ra_error *err) {
    subtract_mean(c->A, c->K, c->d, mean_a, c->a);
    subtract_mean(c->B, c->K, c->d, mean_b, c->b);
    ra_unit_rows(c->pool, c->a, c->K, c->d, c->a);
    ra_unit_rows(c->pool, c->b, c->K, c->d, c->b);
    RA_TRY(ra_products(c->backend, c->a, c->K, c->b, c->K, c->d, c->cost, err));
    c->about_A = mean_a;
    c->about_B = mean_b;
    over_rows(c, cosine_part);
    return RA_OK;
}

/* cost <- the Euclidean distances of A and B. Subtracting one mean from both changes no distance, but makes
 * the norms smaller. */
static ra_status fill_distances(compare *c, ra_error *err) {
    subtract_mean(c->A, c->K, c->d, c->mean_A, c->a);
    subtract_mean(c->B, c->K, c->d, c->mean_A, c->b);
    fill_norms(c->a, c->K, c->d, c->norm_a);
    fill_norms(c->b, c->K, c->d, c->norm_b);
    RA_TRY(ra_products(c->backend, c->a, c->K, c->b, c->K, c->d, c->cost, err));
    over_rows(c, euclidean_part);
    return RA_OK;
}

/* ---- the metrics -------------------------------------------------------------------------------------- */

static bool on_settled(void *context, size_t settled) {
    const compare *c = context;
    const ra_compare_options *options = c->options;
    return !options || !options->progress ||
           options->progress(options->context, c->solved * c->K + settled, ASSIGNMENTS * c->K);
}

/* The best assignment for `cost`, and the sum of the exact costs of its pairs. */
static ra_status solve(compare *c, pair_cost *exact, int32_t *match, double *sum, ra_error *err) {
    double rounded;
    RA_TRY(ra_assignment_watched(c->cost, c->K, match, &rounded, on_settled, c, err));
    c->solved++;
    *sum = 0;
    for (size_t i = 0; i < c->K; i++) *sum += exact(c, i, (size_t)match[i]);
    return RA_OK;
}

/* How many atoms have a direction, in the dictionary that has more of them; after fill_cosines(). */
static double directions(const compare *c) {
    size_t a = 0, b = 0;
    for (size_t i = 0; i < c->K; i++) {
        bool in_a = false, in_b = false;
        for (size_t j = 0; j < c->d; j++) {
            in_a |= c->a[i * c->d + j] != 0;
            in_b |= c->b[i * c->d + j] != 0;
        }
        a += in_a;
        b += in_b;
    }
    return (double)(a > b ? a : b);
}

/* The mean cosine of the pairs, from the sum of their costs; NaN if no atom has a direction. */
static double stability_of(const compare *c, double sum, double count) {
    return count > 0 ? ((double)c->K - sum) / count : NAN;
}

static double share_over(const ra_comparison *comparison, float level) {
    size_t count = 0;
    for (size_t i = 0; i < comparison->concepts; i++) count += comparison->match_cosine[i] >= level;
    return (double)count / (double)comparison->concepts;
}

static ra_status measure(compare *c, ra_comparison *comparison, ra_error *err) {
    double signed_sum, centered_sum;
    RA_TRY(fill_cosines(c, c->zero, c->zero, err));
    double count = directions(c);
    RA_TRY(solve(c, cosine_cost, comparison->match, &comparison->cosine_hungarian_loss, err));
    for (size_t i = 0; i < c->K; i++)
        comparison->match_cosine[i] = (float)(1 - cosine_cost(c, i, (size_t)comparison->match[i]));
    comparison->share_over_90 = share_over(comparison, 0.9f);
    comparison->share_over_70 = share_over(comparison, 0.7f);
    over_rows(c, fold_part);
    RA_TRY(solve(c, signed_cost, c->match, &signed_sum, err));
    RA_TRY(fill_cosines(c, c->mean_A, c->mean_B, err));
    double centered_count = directions(c);
    RA_TRY(solve(c, centered_cost, c->match, &centered_sum, err));
    RA_TRY(fill_distances(c, err));
    RA_TRY(solve(c, euclidean_cost, c->match, &comparison->hungarian_loss, err));
    comparison->stability_with_flips = stability_of(c, signed_sum, count);
    comparison->stability_without_flips = stability_of(c, comparison->cosine_hungarian_loss, count);
    comparison->stability_centered = stability_of(c, centered_sum, centered_count);
    return RA_OK;
}

static ra_status check_finite(const char *which, const float *D, size_t K, size_t d, ra_error *err) {
    size_t bad = ra_find_not_finite(D, K * d);
    if (bad < K * d)
        RA_FAIL(err, RA_ERR_NOT_FINITE,
                "the %s dictionary holds a NaN or an infinity in atom %zu, dimension %zu; expected finite "
                "numbers",
                which, bad / d, bad % d);
    return RA_OK;
}

static ra_status prepare(compare *c, ra_comparison *comparison, ra_error *err) {
    size_t K = c->K, d = c->d, square;
    if (__builtin_mul_overflow(K, K, &square))
        RA_FAIL(err, RA_ERR_TOO_LARGE, "dictionaries of %zu atoms are too large to compare", K);
    c->zero = ra_calloc(3 * d, sizeof *c->zero);
    c->a = ra_malloc(K * d, sizeof *c->a);
    c->b = ra_malloc(K * d, sizeof *c->b);
    c->norm_a = ra_malloc(K, sizeof *c->norm_a);
    c->norm_b = ra_malloc(K, sizeof *c->norm_b);
    c->cost = ra_malloc(square, sizeof *c->cost);
    c->match = ra_malloc(K, sizeof *c->match);
    comparison->match = ra_malloc(K, sizeof *comparison->match);
    comparison->match_cosine = ra_malloc(K, sizeof *comparison->match_cosine);
    if (!c->zero || !c->a || !c->b || !c->norm_a || !c->norm_b || !c->cost || !c->match ||
        !comparison->match || !comparison->match_cosine)
        RA_FAIL_MEMORY(err, "the comparison of two dictionaries", (square + 2 * K * d) * sizeof(float));
    c->mean_A = c->zero + d;
    c->mean_B = c->mean_A + d;
    fill_mean(c->A, K, d, c->mean_A);
    fill_mean(c->B, K, d, c->mean_B);
    return RA_OK;
}

static void release(compare *c) {
    ra_free(c->zero);
    ra_free(c->a);
    ra_free(c->b);
    ra_free(c->norm_a);
    ra_free(c->norm_b);
    ra_free(c->cost);
    ra_free(c->match);
}

ra_status ra_compare(ra_backend *backend, const float *A, const float *B, size_t K, size_t d,
                     const ra_compare_options *options, ra_comparison *comparison, ra_error *err) {
    *comparison = (ra_comparison){.concepts = K};
    RA_TRY(ra_need_host_backend(backend, "a comparison", err));
    if (K == 0 || d == 0)
        RA_FAIL(err, RA_ERR_ARGUMENT, "dictionaries of shape [%zu, %zu] cannot be compared", K, d);
    RA_TRY(check_finite("first", A, K, d, err));
    RA_TRY(check_finite("second", B, K, d, err));
    compare c = {.backend = backend,
                 .pool = ra_backend_pool(backend),
                 .A = A,
                 .B = B,
                 .K = K,
                 .d = d,
                 .options = options};
    ra_status status = prepare(&c, comparison, err);
    if (status == RA_OK) status = measure(&c, comparison, err);
    release(&c);
    if (status != RA_OK) ra_comparison_release(comparison);
    return status;
}

void ra_comparison_release(ra_comparison *comparison) {
    ra_free(comparison->match);
    ra_free(comparison->match_cosine);
    *comparison = (ra_comparison){0};
}
