/* ra_backend_operations.h - what a backend computes: the one list of its operations.
 *
 * A row is the whole declaration of an operation: RA_OPERATION(NAME, its parameters, their names). This file
 * has no include guard; a file that includes it defines RA_OPERATION first and gets one expansion per row:
 *
 *   ra_backend.h      the member NAME of ra_backend_ops, and two calls: ra_backend_NAME(backend, ..., err) on
 *                     the backend's default stream, ra_stream_NAME(stream, ..., err) on any stream
 *   backend/          the functions reference_NAME, cpu_NAME and cuda_NAME, and their place in each table:
 *                     a backend that lacks one does not link
 *
 * To add an operation: a row here, the loop in backend/reference/, the fast one in backend/cpu/, the kernel
 * in backend/cuda/, its cases in tests/unit/lib/backend/, and a row in tests/bench/gpu_operations.c.
 *
 * Arrays are backend memory, dense and row-major, and their shapes stand in brackets. Sparse codes and
 * everything of type double are host memory (ra_backend.h says when they may be changed and read). `<-` means
 * that the array on the left is overwritten, `+=` that it is added to.
 */

/* ---- matrices ------------------------------------------------------------------------------------------ */

/* C [m,n] <- alpha op(A) op(B) + beta C, with op(A) [m,k] and op(B) [k,n]; lda, ldb, ldc: row lengths in
 * memory */
RA_OPERATION(gemm,
             (bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, float alpha, const float *a,
              size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc),
             (transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc))

/* C [m,n] <- A B^T + bias in every row, with A [m,k], B [n,k] and bias [n]; ldc: the row length of C in memory */
RA_OPERATION(gemm_bias,
             (const float *a, size_t m, const float *b, size_t n, size_t k, const float *bias, float *c,
              size_t ldc),
             (a, m, b, n, k, bias, c, ldc))

/* C [m,n] <- A B^T + bias for a few rows A [m,k] and B [n,k] in F32, F16 or BF16, which is read as it is, once; bias [n], NULL:
 * none. A row of C is the same whatever the others are. */
RA_OPERATION(dots,
             (const float *a, size_t m, ra_dtype dtype, const void *b, size_t n, size_t k, const float *bias,
              float *c, size_t ldc),
             (a, m, dtype, b, n, k, bias, c, ldc))

/* *sum <- x . y, both [n], in float64 */
RA_OPERATION(dot, (const float *x, const float *y, size_t n, double *sum), (x, y, n, sum))

/* out [1] <- x . y, both [n], in float64 as `dot` gives it, rounded once; the host does not learn it */
RA_OPERATION(dot_into, (const float *x, const float *y, size_t n, float *out), (x, y, n, out))

/* sums [count] <- x_i . x_i for each array x_i [n_i], in float64, as `dot` gives it; x, n: host memory */
RA_OPERATION(squares, (const float *const *x, const size_t *n, size_t count, double *sums),
             (x, n, count, sums))

/* y [n] <- alpha x + beta y; a factor of 0 leaves its operand unread (x may be NULL, y may hold anything) */
RA_OPERATION(axpby, (float alpha, const float *x, float beta, float *y, size_t n), (alpha, x, beta, y, n))

/* y [n] <- max(x, 0); y may be x */
RA_OPERATION(relu, (const float *x, float *y, size_t n), (x, y, n))

/* g [n] <- scale (a - b), computed in float64 and rounded once; *sum <- ||a - b||^2. g may be a or b. */
RA_OPERATION(squared_error, (const float *a, const float *b, size_t n, double scale, float *g, double *sum),
             (a, b, n, scale, g, sum))

/* target [n] <- source [n] in F32, F16 or BF16 */
RA_OPERATION(widen, (ra_dtype dtype, const void *source, float *target, size_t n), (dtype, source, target, n))

/* ---- rows ---------------------------------------------------------------------------------------------- */

/* each row of W [rows,n] <- relu(row) / (sum + 1e-8): nonnegative, summing to one */
RA_OPERATION(project_simplex, (float *W, size_t rows, size_t n), (W, rows, n))

/* each row of R [rows,n] <- row * min(1, radius / ||row||); radius 0 gives zeros, a row of zeros stays */
RA_OPERATION(project_ball, (float *R, size_t rows, size_t n, float radius), (R, rows, n, radius))

/* every row of y [rows,n] <- row [n] */
RA_OPERATION(broadcast_row, (const float *row, float *y, size_t rows, size_t n), (row, y, rows, n))

/* target [count,n] <- scale times the rows of source [*,n] with these numbers; with scale 1 they are copied */
RA_OPERATION(gather_rows,
             (float scale, const float *source, const int32_t *rows, size_t count, size_t n, float *target),
             (scale, source, rows, count, n, target))

/* each row of x [rows,n] *= (float)factor of the row */
RA_OPERATION(scale_rows, (const double *factor, float *x, size_t rows, size_t n), (factor, x, rows, n))

/* norms [rows] <- of each row of x [rows,n], in float64: sum |x| where l1, else sqrt(sum x^2) */
RA_OPERATION(row_norms, (const float *x, size_t rows, size_t n, bool l1, double *norms),
             (x, rows, n, l1, norms))

/* sums [n] <- over the rows of x [rows,n], in float64: x, or (x - center)^2 where center [n] is given */
RA_OPERATION(column_sums, (const float *x, size_t rows, size_t n, const double *center, double *sums),
             (x, rows, n, center, sums))

/* ---- norms: LayerNorm and BatchNorm -------------------------------------------------------------------- */

/* mean, rstd [rows] <- of each row of u [rows,n], sums in float64: the mean, 1 / sqrt(variance + epsilon);
 * y [rows,n] <- (u - mean) rstd gamma + beta, gamma and beta [n]; y may be u */
RA_OPERATION(layer_norm,
             (const float *u, size_t rows, size_t n, double epsilon, const float *gamma, const float *beta,
              float *mean, float *rstd, float *y),
             (u, rows, n, epsilon, gamma, beta, mean, rstd, y))

/* y [rows,n] <- (u - mean) rstd gamma + beta, all four [n]; y may be u. With epsilon above 0, each row of u is first
 * multiplied by (float)(1 / sqrt(the mean of its squares + epsilon)), sums in float64. */
RA_OPERATION(normalize,
             (const ra_norm *norm, double epsilon, const float *u, float *y, size_t rows, size_t n),
             (norm, epsilon, u, y, rows, n))

/* sums [2,n] <- over the rows, in float64: dy (u - mean) rstd, and dy; these are dgamma and dbeta */
RA_OPERATION(norm_sums,
             (const ra_norm *norm, const float *u, const float *dy, size_t rows, size_t n, double *sums),
             (norm, u, dy, rows, n, sums))

/* dy [rows,n] <- the gradient of u from that of y. LayerNorm averages over the row (sums NULL, count 0);
 * BatchNorm takes its averages as sums / count, with the sums [2,n] of norm_sums, which may be over more rows
 * than these. */
RA_OPERATION(norm_backward,
             (const ra_norm *norm, const float *u, const double *sums, double count, float *dy, size_t rows,
              size_t n),
             (norm, u, sums, count, dy, rows, n))

/* ---- sparse codes -------------------------------------------------------------------------------------- */

/* x_hat [B,d] <- codes [B,K] D [K,d]; D in f32, f16 or bf16, sums in f32. A device may multiply codes whose rows
 * have more than a RA_DENSE_SHARE-th of the latents on average; it adds up all others row by row. */
RA_OPERATION(decode, (const ra_codes *codes, ra_dtype dtype, const void *D, size_t d, float *x_hat),
             (codes, dtype, D, d, x_hat))

/* dvalue [entries] <- for each entry (b, k) of codes: g[b] . D[k]; g [B,d], D [K,d] */
RA_OPERATION(decode_gradient,
             (const ra_codes *codes, const float *g, const float *D, size_t d, float *dvalue),
             (codes, g, D, d, dvalue))

/* out [K,d] += sum over entries (b, k): value[entry] x[b]; x [B,d]. This is codes^T x without the zeros.
 * value [entries]: backend memory, or codes->value itself, which is host memory. */
RA_OPERATION(accumulate, (const ra_codes *codes, const float *value, const float *x, size_t d, float *out),
             (codes, value, x, d, out))

/* out [K] <- sum over entries (b, k): value[entry]; value as for accumulate, of which this is x = 1 */
RA_OPERATION(latent_sums, (const ra_codes *codes, const float *value, float *out), (codes, value, out))

/* value [entries] <- for each entry (b, k): dense[b, k] + beta value, dense [B,K]; with beta 0 value may hold
 * anything */
RA_OPERATION(gather_entries, (const ra_codes *codes, const float *dense, float beta, float *value),
             (codes, dense, beta, value))

/* gradient [entries] <- scale, or -scale where the value is negative; *sum <- sum |value|, in float64 */
RA_OPERATION(magnitudes, (const ra_codes *codes, float scale, float *gradient, double *sum),
             (codes, scale, gradient, sum))

/* dense [B,K] += alpha value at each entry (b, k); value as for accumulate */
RA_OPERATION(scatter_entries, (const ra_codes *codes, float alpha, const float *value, float *dense),
             (codes, alpha, value, dense))

/* ---- selections ---------------------------------------------------------------------------------------- */

/* codes <- per row of scores [rows,n] the k largest that are > above; of equals the lower index wins */
RA_OPERATION(top_k, (const float *scores, size_t rows, size_t n, size_t k, float above, ra_codes *codes),
             (scores, rows, n, k, above, codes))

/* codes <- the scores > 0 that are >= thresholds[latent], or >= threshold where thresholds is NULL */
RA_OPERATION(threshold,
             (const float *scores, size_t rows, size_t n, const float *thresholds, float threshold,
              ra_codes *codes),
             (scores, rows, n, thresholds, threshold, codes))

/* *value <- the k-th largest of the n scores, negative ones counted as 0; 1 <= k <= n */
RA_OPERATION(kth_largest, (const float *scores, size_t n, size_t k, float *value), (scores, n, k, value))

/* least [rows] <- of each row of scores [rows,n]: score + high, and score + low; low, high [n] */
RA_OPERATION(least_scores,
             (const float *scores, size_t rows, size_t n, const float *low, const float *high,
              ra_least *least),
             (scores, rows, n, low, high, least))

/* ---- training ------------------------------------------------------------------------------------------ */

/* sums [2,n] <- over the rows, in float64, with kappa = kernel(max(pre, 0) - threshold): kappa g, and kappa;
 * pre, g [rows,n], thresholds [n] */
RA_OPERATION(kernel_sums,
             (ra_kernel kernel, float bandwidth, const float *pre, const float *g, const float *thresholds,
              size_t rows, size_t n, double *sums),
             (kernel, bandwidth, pre, g, thresholds, rows, n, sums))

/* `count` steps of a matching pursuit from step t on, for every row: atom[t] <- the first of the largest of the row's
 * scores [B,K], value[t] <- that score; residual -= value D[atom]; and, between two steps, scores -= value gram[atom],
 * with gram [K,K] = D D^T. One step does without gram. Scores hold anything afterwards. A row whose first score is NaN
 * takes that, and other NaN are never the largest. */
RA_OPERATION(pursue, (const ra_pursuit_path *path, const float *gram, size_t t, size_t count, float *scores),
             (path, gram, t, count, scores))

/* Back along `rows` rows of a path, from row `first` on. g [B,k]: the gradient of the code that each step
 * added to. push [rows,k,d] <- what each step adds to the gradient of its atom (sae/pursuit.c); scratch
 * [rows,2,d] */
RA_OPERATION(pursue_backward,
             (const ra_pursuit_path *path, const float *g, size_t first, size_t rows, float *scratch,
              float *push),
             (path, g, first, rows, scratch, push))

/* gram of every atom <- from its points */
RA_OPERATION(mixture_gram, (const ra_mixture *mixture), (mixture))

/* D [count,d] <- scale (W C + relax) of these atoms [count], or of all where atoms is NULL */
RA_OPERATION(mixture_compose,
             (const ra_mixture *mixture, const int32_t *atoms, size_t count, float scale, float *D),
             (mixture, atoms, count, scale, D))

/* weight of every atom <- the mixture of its points that is nearest to the atom (the projection onto their
 * hull); relax <- the rest of the atom, times `keep` and then bounded by radius; share [K] <- the cosine
 * between the mixture and the new atom (1 for an atom of zeros, 0 for one without points) */
RA_OPERATION(mixture_fit, (const ra_mixture *mixture, float keep, float radius, float *share),
             (mixture, keep, radius, share))

/* For each of `count` different atoms: candidate, a point, takes an unused place, or else that of its point of
 * the least weight, if the nearest mixture is then nearer to the atom by a share of 1e-4 of the squared
 * distance; index, weight, gram and relax follow, and the atom stays as it is. A candidate that the atom has
 * already, or of -1, changes nothing. atoms, candidate [count] */
RA_OPERATION(mixture_exchange,
             (const ra_mixture *mixture, const int32_t *atoms, const int32_t *candidate, size_t count),
             (mixture, atoms, candidate, count))

/* parameter, first, second [rows,n] <- after one step; the rows of parameter are then projected, if the step says so.
 * gradient_row [rows] says which row of gradient belongs to each, or one of RA_ROW_*; where it is NULL, gradient is
 * [rows,n]. */
RA_OPERATION(adam,
             (const ra_adam_step *step, float *parameter, const float *gradient, const int32_t *gradient_row,
              float *first, float *second, size_t rows, size_t n),
             (step, parameter, gradient, gradient_row, first, second, rows, n))

#undef RA_OPERATION
