/* launch.h - the border between the host part (*.c) and the device part (*.cu): each function starts the
 * kernels of one operation on a stream and returns the status of the launch; none waits. All pointers are
 * device memory. The definitions are in the *.cu file named above each group.
 *
 * Each kernel's comment says how many bytes it moves and how many operations it does for them: its time is at
 * least the larger of bytes over the device's bandwidth and operations over its rate. */
#ifndef RA_BACKEND_CUDA_LAUNCH_H
#define RA_BACKEND_CUDA_LAUNCH_H

#include <cuda_runtime_api.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sparse codes as the kernels see them: ra_codes, uploaded. */
typedef struct cuda_codes {
    const uint64_t *start; /* [rows + 1] */
    const int32_t *index;
    const float *value;
    size_t rows;
    size_t longest; /* entries of the longest row */
} cuda_codes;

/* The entries of each latent, in parts of at most RA_CUDA_PART_ENTRIES, which are added up side by side. The host knows
 * the most that there can be of everything; how many there are stands in `counts`. */
enum { RA_CUDA_PART_ENTRIES = 256 };
typedef struct cuda_divided {
    int32_t latent, first, count; /* the rows of its partial sums */
} cuda_divided;

typedef struct cuda_division {
    uint32_t *start;       /* [latents + 1] */
    uint32_t *part_start;  /* [parts + 1] */
    int32_t *part_latent;  /* [parts] */
    int32_t *part_sum;     /* [parts] the row of its sum among the partial ones; -1: its latent's only part */
    cuda_divided *divided; /* [divided] latents of several parts */
    struct cuda_division_counts {
        uint32_t parts, divided;
    } * counts;
} cuda_division;

/* The same entries as cuda_codes, by latent, within a latent in the order of the rows. */
typedef struct cuda_by_latent {
    cuda_division division;
    const uint32_t *row;     /* [entries] of the batch */
    const uint32_t *entry;   /* [entries] the index of its value */
    const int32_t *position; /* [latents] the row of the sum of each; NULL: its number */
    size_t latents, most_parts, most_divided, most_sums; /* sums: partial ones */
} cuda_by_latent;

/* What a selection has found. */
typedef struct cuda_found {
    uint64_t entries;
    uint32_t longest, padding;
} cuda_found;

typedef enum cuda_width { CUDA_WIDTH_F32, CUDA_WIDTH_F16, CUDA_WIDTH_BF16 } cuda_width;

/* narrow.cu: rows [rows,n] of float32, `stride` apart, rounded to bf16 without gaps; two matrices in one launch */
typedef struct cuda_narrowed {
    const void *from;
    void *to;
    size_t rows, n, stride;
} cuda_narrowed;
cudaError_t ra_cuda_narrow(cudaStream_t stream, cuda_narrowed a, cuda_narrowed b);

/* elementwise.cu */
cudaError_t ra_cuda_axpby(cudaStream_t stream, float alpha, const float *x, float beta, float *y, size_t n);
cudaError_t ra_cuda_relu(cudaStream_t stream, const float *x, float *y, size_t n);
cudaError_t ra_cuda_widen(cudaStream_t stream, cuda_width width, const void *source, float *target, size_t n);
cudaError_t ra_cuda_gather_rows(cudaStream_t stream, float scale, const float *source, const int32_t *rows,
                                size_t count, size_t n, float *target);
cudaError_t ra_cuda_broadcast_row(cudaStream_t stream, const float *row, float *y, size_t rows, size_t n,
                                  size_t stride); /* from one row of y to the next */
cudaError_t ra_cuda_scale_rows(cudaStream_t stream, const double *factor, float *x, size_t rows, size_t n);

/* rows.cu; cuda_projection is ra_projection */
typedef enum cuda_projection {
    CUDA_PROJECT_NOTHING,
    CUDA_PROJECT_SIMPLEX,
    CUDA_PROJECT_BALL,
    CUDA_PROJECT_UNIT_L2,
    CUDA_PROJECT_UNIT_L1
} cuda_projection;
cudaError_t ra_cuda_project_rows(cudaStream_t stream, cuda_projection projection, float radius, float *x,
                                 size_t rows, size_t n);
cudaError_t ra_cuda_row_norms(cudaStream_t stream, const float *x, size_t rows, size_t n, bool l1,
                              double *norms);

/* sums.cu: sum[0] <- x . y, ||a - b||^2; partial has scratch for RA_CUDA_SUM_PARTS numbers */
enum { RA_CUDA_SUM_PARTS = 1024 };
unsigned ra_cuda_sum_parts(size_t n);
cudaError_t ra_cuda_add_sum_parts(cudaStream_t stream, const double *partial, unsigned parts, double *total);
cudaError_t ra_cuda_dot(cudaStream_t stream, const float *x, const float *y, size_t n, double *partial,
                        double *sum);
cudaError_t ra_cuda_dot_into(cudaStream_t stream, const float *x, const float *y, size_t n, double *partial,
                             float *out); /* rounded */
cudaError_t ra_cuda_squared_error(cudaStream_t stream, const float *a, const float *b, size_t n, double scale,
                                  float *g, double *partial, double *sum);

/* squares.cu: totals [count] <- x . x of each array; partial: scratch for RA_CUDA_SUM_PARTS numbers of each */
enum { RA_CUDA_ARRAYS = 16 };
typedef struct cuda_arrays {
    const float *x[RA_CUDA_ARRAYS];
    size_t n[RA_CUDA_ARRAYS];
    unsigned parts[RA_CUDA_ARRAYS]; /* set by the call */
    unsigned count;
} cuda_arrays;
cudaError_t ra_cuda_squares(cudaStream_t stream, cuda_arrays arrays, double *partial, double *totals);

/* Sums over the rows, total [1 or 2, n]; partial has scratch for as many times that as there are parts.
 * columns.cu */
size_t ra_cuda_column_parts(size_t rows, size_t n);
cudaError_t ra_cuda_column_sums(cudaStream_t stream, const float *x, size_t rows, size_t n,
                                const double *center, double *partial, double *total);

/* norms.cu: ra_norm without its first member */
typedef struct cuda_norm {
    const float *mean, *rstd, *gamma, *beta;
} cuda_norm;
cudaError_t ra_cuda_layer_norm(cudaStream_t stream, cuda_norm norm, const float *u, size_t rows, size_t n,
                               double epsilon, float *mean, float *rstd, float *y);
cudaError_t ra_cuda_normalize(cudaStream_t stream, cuda_norm norm, double epsilon, const float *u, float *y,
                              size_t rows, size_t n);
cudaError_t ra_cuda_norm_sums(cudaStream_t stream, bool by_row, cuda_norm norm, const float *u,
                              const float *dy, size_t rows, size_t n, double *partial, double *total);
cudaError_t ra_cuda_norm_backward(cudaStream_t stream, bool by_row, cuda_norm norm, const float *u,
                                  const double *sums, double count, float *dy, size_t rows, size_t n);

/* step_kernels.cu: one of them, in the order of ra_kernel */
enum { RA_CUDA_STEP_KERNELS = 8 };
cudaError_t ra_cuda_kernel_sums(cudaStream_t stream, int kernel, float bandwidth, const float *pre,
                                const float *g, const float *thresholds, size_t rows, size_t n,
                                double *partial, double *total);

/* adam.cu; gradient_row as in ra_backend.h */
enum { RA_CUDA_ROW_STILL = -1 };
typedef struct cuda_adam_factors {
    float scale, rest1, beta2, rest2, rate, root, epsilon, keep; /* as in backend/cpu/adam.c */
    cuda_projection projection;
    float radius;
} cuda_adam_factors;
cudaError_t ra_cuda_adam(cudaStream_t stream, cuda_adam_factors step, float *parameter, const float *gradient,
                         const int32_t *gradient_row, float *first, float *second, size_t rows, size_t n);

/* dots.cu */
cudaError_t ra_cuda_dots(cudaStream_t stream, const float *a, size_t m, cuda_width width, const void *b,
                         size_t n, size_t k, const float *bias, float *c, size_t ldc); /* bias: or NULL */

/* decode.cu */
cudaError_t ra_cuda_decode(cudaStream_t stream, cuda_codes codes, cuda_width width, const void *D, size_t d,
                           float *x_hat);

/* gradient.cu */
cudaError_t ra_cuda_decode_gradient(cudaStream_t stream, cuda_codes codes, const float *g, const float *D,
                                    size_t d, float *dvalue);
/* of the columns from `first` up to `last`; partial: scratch for codes.most_sums rows of as many numbers */
cudaError_t ra_cuda_accumulate(cudaStream_t stream, cuda_by_latent codes, const float *value, const float *x,
                               size_t d, size_t first, size_t last, float *out, float *partial);

/* transpose.cu: out, row, entry <- the codes by latent. bits, before [latents, words], count [latents]: scratch */
typedef struct cuda_marks {
    uint32_t *bits, *before, *count;
} cuda_marks;
static inline size_t ra_cuda_mark_words(size_t rows) {
    return rows / 32 + 1;
}
/* Unless NULL: active [latents] <- 1 where it has entries; position [latents] <- the number of such a latent among them,
 * or -1; packed [entries] <- that of each entry's. */
typedef struct cuda_activity {
    uint8_t *active;
    int32_t *position, *packed;
} cuda_activity;
/* marked: the bits are there already (ra_cuda_close_up()) */
cudaError_t ra_cuda_transpose(cudaStream_t stream, cuda_codes codes, size_t latents, cuda_marks marks,
                              bool marked, cuda_division out, cuda_activity activity, uint32_t *row,
                              uint32_t *entry);
/* start [rows + 1] <- of rows with these counts, none behind `most` entries */
cudaError_t ra_cuda_scan_rows(cudaStream_t stream, const uint32_t *count, size_t rows, size_t most,
                              uint64_t *start, cuda_found *found);
cudaError_t ra_cuda_close_up(cudaStream_t stream, cuda_codes codes, const int32_t *from_index,
                             const float *from_value, size_t k, int32_t *index, float *value, size_t latents,
                             cuda_marks marks); /* also sets their bits */
cudaError_t ra_cuda_pack_latents(cudaStream_t stream, const int32_t *index, const int32_t *position,
                                 size_t entries, int32_t *packed);

/* entries.cu; latents: K, the length of the dense rows. scatter_entries adds codes.value. */
cudaError_t ra_cuda_gather_entries(cudaStream_t stream, cuda_codes codes, size_t latents, const float *dense,
                                   float beta, float *value);
cudaError_t ra_cuda_scatter_entries(cudaStream_t stream, cuda_codes codes, size_t latents, float alpha,
                                    float *dense);
cudaError_t ra_cuda_latent_sums(cudaStream_t stream, cuda_by_latent codes, const float *value, float *out);

/* gradient <- scale with the sign of each value; sum[0] <- of their sizes; partial as in sums.cu */
cudaError_t ra_cuda_magnitudes(cudaStream_t stream, const float *value, size_t entries, float scale,
                               float *gradient, double *partial, double *sum);

/* pursuit.cu; cuda_path is ra_pursuit_path */
typedef struct cuda_path {
    size_t rows, steps, dimensions, concepts;
    const float *D;
    int32_t *atom;
    float *value, *residual;
} cuda_path;
cudaError_t ra_cuda_pursue(cudaStream_t stream, cuda_path path, const float *gram, size_t t, size_t count,
                           float *scores);
cudaError_t ra_cuda_pursue_backward(cudaStream_t stream, cuda_path path, const float *g, size_t first,
                                    size_t rows, float *scratch, float *push);

/* mixture.cu: ra_mixture */
enum { RA_CUDA_MIXTURE_MOST = 32 };
typedef struct cuda_mixture {
    size_t atoms, most, dimensions;
    const float *C;
    int32_t *index;
    float *weight, *gram, *relax;
} cuda_mixture;
cudaError_t ra_cuda_mixture_gram(cudaStream_t stream, cuda_mixture mixture);
cudaError_t ra_cuda_mixture_compose(cudaStream_t stream, cuda_mixture mixture, const int32_t *atoms,
                                    size_t count, float scale, float *D);
cudaError_t ra_cuda_mixture_fit(cudaStream_t stream, cuda_mixture mixture, float keep, float radius,
                                float *share);
cudaError_t ra_cuda_mixture_exchange(cudaStream_t stream, cuda_mixture mixture, const int32_t *atoms,
                                     const int32_t *candidate, size_t count);

/* top_k.cu: row b of index and value [rows, k] gets count[b] entries; scratch: so many bytes, from a multiple of 16 on */
size_t ra_cuda_top_k_scratch(size_t rows, size_t n, size_t k);
cudaError_t ra_cuda_top_k(cudaStream_t stream, const float *scores, size_t rows, size_t n, size_t k,
                          float above, int32_t *index, float *value, uint32_t *count, void *scratch);

/* threshold.cu: count [rows]; then, with start [rows + 1] made of the counts, the entries themselves */
cudaError_t ra_cuda_threshold_count(cudaStream_t stream, const float *scores, size_t rows, size_t n,
                                    const float *thresholds, float threshold, uint32_t *count);
cudaError_t ra_cuda_threshold_fill(cudaStream_t stream, const float *scores, size_t rows, size_t n,
                                   const float *thresholds, float threshold, const uint64_t *start,
                                   int32_t *index, float *value);

/* least.cu; cuda_least is ra_least */
typedef struct cuda_least {
    float high, low, second_low;
    int32_t first;
} cuda_least;
cudaError_t ra_cuda_least_scores(cudaStream_t stream, const float *scores, size_t rows, size_t n,
                                 const float *low, const float *high, cuda_least *least);

/* kth_largest.cu: *work begins with the bits of the value */
typedef struct cuda_kth {
    uint32_t bits, known; /* of the value: the known bits, and the mask of known bits */
    uint64_t left;        /* the rank among the scores with these bits */
    unsigned long long bins[2048];
} cuda_kth;
cudaError_t ra_cuda_kth_largest(cudaStream_t stream, const float *scores, size_t n, size_t k, cuda_kth *work);

#ifdef __cplusplus
}
#endif
#endif
