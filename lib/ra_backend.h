/* ra_backend.h - where the arithmetic runs.
 *
 * A backend is a table of operations (a vtable) and a context. Two are built in: `reference`, plain loops on
 * one thread, for ever the oracle that every other backend is tested against; and `cpu`, OpenBLAS and
 * vectorized loops over a thread pool. Others are plugins: `--device NAME` loads librasae-NAME.so, which
 * exports two C symbols (RA_BACKEND_PLUGIN_*). The table is shaped for accelerators: memory of the device's
 * own, streams, asynchronous copies. On the CPU a stream is NULL, a copy is memcpy, and everything is done
 * when the call returns.
 *
 *     ra_backend *backend = NULL;
 *     RA_TRY(ra_backend_open("cpu", &(ra_backend_options){.threads = 2}, &backend, err));
 *     RA_TRY(ra_backend_gemm(backend, ...));
 *     ra_backend_release(backend);
 *
 * Results of the built-in backends do not depend on the number of threads: work is cut by shape, never by
 * thread count. Pointers given to compute operations are backend memory, dense, row-major; shapes stand
 * beside each operation.
 *
 * Sparse codes are always the host's memory: start, index and value; and so is what has the type double. An
 * operation that takes something of the host's has read it when it returns, so it may be changed at once; one
 * that gives codes or doubles waits for its stream and returns with the result. All others may still be under
 * way when they return. After a failure the contents of what was to be written are unknown, and codes that
 * were to be given have no rows.
 *
 * Thread safety: a backend may be used from several threads; each uses a stream of its own. Calls on one
 * stream run in their order. Operations that can fail say so in a status; on the CPU only those that allocate
 * can.
 */
#ifndef RA_BACKEND_H
#define RA_BACKEND_H

#include "ra_tensor.h"

enum { RA_BACKEND_API_VERSION = 3 };

typedef struct ra_backend ra_backend;
typedef struct ra_backend_stream ra_backend_stream; /* opaque; NULL is the default stream */

typedef struct ra_backend_options {
    size_t threads; /* CPU threads, the caller's included; 0: one a core */
    int ordinal;    /* which device of its kind ("cuda:1") */
    bool tf32;      /* products of float32 may round their factors to 10 bits of mantissa, where the device is
                     * faster so (cuBLAS: TF32). Off: full float32 */
} ra_backend_options;

/* One step of Adam (Kingma and Ba 2015) or AdamW (Loshchilov and Hutter 2019), as torch.optim computes it. */
typedef struct ra_adam_step {
    double lr, beta1, beta2, epsilon;
    double bias1, bias2; /* 1 - beta^t for this step t = 1, 2, ... */
    double grad_scale;   /* multiplies the gradient first (clipping) */
    double decay;        /* AdamW: the parameter is multiplied by 1 - lr decay first */
} ra_adam_step;

/* Where the gradient of a row is, for rows of which only some have one. */
enum {
    RA_ROW_STILL = -1,     /* no gradient in this step: zero */
    RA_ROW_UNTOUCHED = -2, /* none in any step: its moments are zeros, too */
};

/* How a LayerNorm or a BatchNorm maps u [rows,n] to y: (u - mean) rstd gamma + beta. Backend memory. */
typedef struct ra_norm {
    bool by_row;               /* LayerNorm: mean and rstd [rows]; else BatchNorm: [n] */
    const float *mean, *rstd;  /* rstd: 1 / sqrt(variance + epsilon) */
    const float *gamma, *beta; /* [n]; beta is not read on the way back */
} ra_norm;

/* Kernels of the gradient of a step (jumprelu's thresholds; REFERENCE section 2, "JumpReLU"). */
typedef enum ra_kernel {
    RA_KERNEL_RECTANGLE,
    RA_KERNEL_GAUSSIAN,
    RA_KERNEL_TRIANGULAR,
    RA_KERNEL_COSINE,
    RA_KERNEL_EPANECHNIKOV,
    RA_KERNEL_QUARTIC,
    RA_KERNEL_SILVERMAN,
    RA_KERNEL_CAUCHY,
    RA_KERNEL_COUNT
} ra_kernel;

/* y[i] <- kernel(x[i]), bandwidth > 0; host memory. */
void ra_kernel_evaluate(ra_kernel kernel, float bandwidth, const float *x, float *y, size_t n);

/* Matching pursuit of rows x [B,d] in k steps: what its operations share. Backend memory. */
typedef struct ra_pursuit_path {
    size_t rows, steps, dimensions, concepts; /* B, k, d, K */
    const float *D;                           /* [K,d] */
    int32_t *atom;                            /* [B,k] in the order in which they were taken */
    float *value;                             /* [B,k] */
    float *residual;                          /* [B,d] */
} ra_pursuit_path;

/* The table. A plugin fills all of it. `self` is the context that open() made. */
typedef struct ra_backend_ops {
    uint32_t api_version; /* RA_BACKEND_API_VERSION; a plugin with another one is refused */
    const char *name;
    bool host_memory; /* true: backend memory is ordinary memory, and host code may touch it directly */

    ra_status (*open)(const ra_backend_options *options, void **self, ra_error *err);
    void (*close)(void *self);

    /* memory and streams. Copies are asynchronous on a stream: the host's memory stays as it is until
     * synchronize(), which waits for the stream and reports its errors. */
    ra_status (*allocate)(void *self, size_t bytes, void **block, ra_error *err); /* zeroed */
    void (*deallocate)(void *self, void *block);
    ra_status (*upload)(void *self, ra_backend_stream *stream, void *device, const void *host, size_t bytes,
                        ra_error *err);
    ra_status (*download)(void *self, ra_backend_stream *stream, void *host, const void *device, size_t bytes,
                          ra_error *err);
    ra_status (*stream_new)(void *self, ra_backend_stream **stream, ra_error *err);
    void (*stream_free)(void *self, ra_backend_stream *stream);
    ra_status (*synchronize)(void *self, ra_backend_stream *stream, ra_error *err);

    /* *available <- how many bytes could be allocated now, *total <- how many there are in all; SIZE_MAX for
     * both where memory is the host's */
    ra_status (*memory)(void *self, size_t *available, size_t *total, ra_error *err);

    /* C [m,n] <- alpha op(A) op(B) + beta C, op(A) [m,k], op(B) [k,n]; lda, ldb, ldc: row
     * lengths in memory. */
    ra_status (*gemm)(void *self, ra_backend_stream *stream, bool transpose_a, bool transpose_b, size_t m,
                      size_t n, size_t k, float alpha, const float *a, size_t lda, const float *b, size_t ldb,
                      float beta, float *c, size_t ldc, ra_error *err);

    /* each row of W [rows, n] <- relu(row) / (sum + 1e-8): nonnegative, summing to one */
    ra_status (*project_simplex)(void *self, ra_backend_stream *stream, float *W, size_t rows, size_t n,
                                 ra_error *err);

    /* each row of R [rows, n] <- row * min(1, radius / ||row||); radius 0 gives zeros, a zero row stays */
    ra_status (*project_ball)(void *self, ra_backend_stream *stream, float *R, size_t rows, size_t n,
                              float radius, ra_error *err);

    /* y [n] <- alpha x + beta y; a factor of 0 leaves its operand unread (x may be NULL, y hold anything) */
    ra_status (*combine)(void *self, ra_backend_stream *stream, float alpha, const float *x, float beta,
                         float *y, size_t n, ra_error *err);

    /* target [n] <- source [n] in F32, F16 or BF16 */
    ra_status (*widen)(void *self, ra_backend_stream *stream, ra_dtype dtype, const void *source,
                       float *target, size_t n, ra_error *err);

    /* every row of y [rows,n] <- row [n] */
    ra_status (*spread)(void *self, ra_backend_stream *stream, const float *row, float *y, size_t rows,
                        size_t n, ra_error *err);

    /* y [n] <- max(x, 0); y may be x */
    ra_status (*relu)(void *self, ra_backend_stream *stream, const float *x, float *y, size_t n,
                      ra_error *err);

    /* g [n] <- scale (a - b), computed in float64 and rounded once; *sum <- ||a - b||^2. g may be a or b. */
    ra_status (*squared_error)(void *self, ra_backend_stream *stream, const float *a, const float *b,
                               size_t n, double scale, float *g, double *sum, ra_error *err);

    /* sums [n] <- over the rows of x [rows,n], in float64: x, or (x - center)^2 where center [n] is given */
    ra_status (*column_sums)(void *self, ra_backend_stream *stream, const float *x, size_t rows, size_t n,
                             const double *center, double *sums, ra_error *err);

    /* norms [rows] <- of each row of x [rows,n], in float64: sum |x|, or with l1 false sqrt(sum x^2) */
    ra_status (*row_norms)(void *self, ra_backend_stream *stream, const float *x, size_t rows, size_t n,
                           bool l1, double *norms, ra_error *err);

    /* each row of x [rows,n] *= (float)factor of the row */
    ra_status (*scale_rows)(void *self, ra_backend_stream *stream, const double *factor, float *x,
                            size_t rows, size_t n, ra_error *err);

    /* mean, rstd [rows] <- of each row of u [rows,n], sums in float64: the mean, 1 /
     * sqrt(variance + epsilon) */
    ra_status (*row_statistics)(void *self, ra_backend_stream *stream, const float *u, size_t rows, size_t n,
                                double epsilon, float *mean, float *rstd, ra_error *err);

    /* y [rows,n] <- norm of u [rows,n]; y may be u */
    ra_status (*normalize)(void *self, ra_backend_stream *stream, const ra_norm *norm, const float *u,
                           float *y, size_t rows, size_t n, ra_error *err);

    /* sums [2,n] <- over the rows, in float64: dy (u - mean) rstd, and dy; that is dgamma and dbeta */
    ra_status (*norm_sums)(void *self, ra_backend_stream *stream, const ra_norm *norm, const float *u,
                           const float *dy, size_t rows, size_t n, double *sums, ra_error *err);

    /* dy [rows,n] <- the gradient of u from that of y. Averages are over the row; or, not by row, sums /
     * count with the sums [2,n] that norm_sums gives, which may be over more rows than these (by row: NULL,
     * 0). */
    ra_status (*norm_backward)(void *self, ra_backend_stream *stream, const ra_norm *norm, const float *u,
                               const double *sums, double count, float *dy, size_t rows, size_t n,
                               ra_error *err);

    /* sums [2,n] <- over the rows, in float64, with kappa = kernel(max(pre, 0) - threshold): kappa g, and
     * kappa; pre, g [rows,n], thresholds [n] */
    ra_status (*kernel_sums)(void *self, ra_backend_stream *stream, ra_kernel kernel, float bandwidth,
                             const float *pre, const float *g, const float *thresholds, size_t rows, size_t n,
                             double *sums, ra_error *err);

    /* x_hat [B,d] <- codes [B,K] D [K,d]; D in f32, f16 or bf16, sums in f32 */
    ra_status (*decode)(void *self, ra_backend_stream *stream, const ra_codes *codes, ra_dtype dtype,
                        const void *D, size_t d, float *x_hat, ra_error *err);

    /* dvalue [entries] <- for each entry (b, k) of codes: g[b] . D[k]; g [B,d], D [K,d] */
    ra_status (*decode_gradient)(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *g,
                                 const float *D, size_t d, float *dvalue, ra_error *err);

    /* out [K,d] += sum over entries (b, k): value[entry] x[b]; x [B,d]. This is codes^T x without the zeros.
     * value [entries]: backend memory, or codes->value itself, which is the host's. */
    ra_status (*accumulate)(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *value,
                            const float *x, size_t d, float *out, ra_error *err);

    /* out [K] <- sum over entries (b, k): value[entry]; value as for accumulate. accumulate with x = 1. */
    ra_status (*latent_sums)(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *value,
                             float *out, ra_error *err);

    /* value [entries] <- for each entry (b, k): dense[b, k] + beta value, dense [B,K]; with beta 0 value may
     * hold anything */
    ra_status (*pick)(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *dense,
                      float beta, float *value, ra_error *err);

    /* dense [B,K] += alpha value at each entry (b, k); value as for accumulate */
    ra_status (*put)(void *self, ra_backend_stream *stream, const ra_codes *codes, float alpha,
                     const float *value, float *dense, ra_error *err);

    /* codes <- per row of scores [rows, n] the k largest that are > above; of equals the lower index wins */
    ra_status (*top_k)(void *self, ra_backend_stream *stream, const float *scores, size_t rows, size_t n,
                       size_t k, float above, ra_codes *codes, ra_error *err);

    /* codes <- the scores > 0 that are >= thresholds[latent] (thresholds NULL: >= threshold) */
    ra_status (*threshold)(void *self, ra_backend_stream *stream, const float *scores, size_t rows, size_t n,
                           const float *thresholds, float threshold, ra_codes *codes, ra_error *err);

    /* Step t of a pursuit, for every row: atom[t] <- the first of the largest of the row's scores [B,K],
     * value[t] <- that score; residual -= value D[atom]; and, with gram [K,K] = D D^T given, scores -= value
     * gram[atom] */
    ra_status (*pursue)(void *self, ra_backend_stream *stream, const ra_pursuit_path *path, const float *gram,
                        size_t t, float *scores, ra_error *err);

    /* Back along `rows` rows of a path from row `first` on. g [B,k]: the gradient of the code that each step
     * added to. push [rows,k,d] <- what each step adds to the gradient of its atom (sae/pursuit.c); room
     * [rows,2,d] is scratch */
    ra_status (*pursue_back)(void *self, ra_backend_stream *stream, const ra_pursuit_path *path,
                             const float *g, size_t first, size_t rows, float *room, float *push,
                             ra_error *err);

    /* *value <- the k-th largest of the n scores, negative ones counted as 0; 1 <= k <= n */
    ra_status (*kth_largest)(void *self, ra_backend_stream *stream, const float *scores, size_t n, size_t k,
                             float *value, ra_error *err);

    /* *sum <- x . y, both [n], in float64 */
    ra_status (*dot)(void *self, ra_backend_stream *stream, const float *x, const float *y, size_t n,
                     double *sum, ra_error *err);

    /* target [count,n] <- the rows of source [*,n] with these numbers */
    ra_status (*gather)(void *self, ra_backend_stream *stream, const float *source, const int32_t *rows,
                        size_t count, size_t n, float *target, ra_error *err);

    /* parameter, first, second [rows,n]; place [rows] says which row of gradient belongs to each, or one of
     * RA_ROW_*; place NULL: gradient is [rows,n]. All pointers are backend memory. */
    ra_status (*adam)(void *self, ra_backend_stream *stream, const ra_adam_step *step, float *parameter,
                      const float *gradient, const int32_t *place, float *first, float *second, size_t rows,
                      size_t n, ra_error *err);
} ra_backend_ops;

/* What a plugin exports: its table, and a probe that says in one sentence why it cannot work here (NULL: it
 * can). A plugin links its own copy of the library functions that it calls (ra_codes_reserve(), ra_malloc());
 * blocks of either allocator may be freed by the other, since api_version stands for the layout of all
 * structs. */
#define RA_BACKEND_PLUGIN_OPS "ra_backend_plugin_ops"     /* const ra_backend_ops *(void) */
#define RA_BACKEND_PLUGIN_PROBE "ra_backend_plugin_probe" /* const char *(void) */

/* It may export a third: text [size] <- a line about the device of this context, for a person. */
#define RA_BACKEND_PLUGIN_DESCRIBE "ra_backend_plugin_describe"
typedef void ra_backend_describe_fn(void *self, char *text, size_t size);

/* device: "cpu", "reference", "auto", or a plugin's name, with an ordinal if it has several ("cuda:1").
 * `auto` takes the CUDA plugin when it is there and works, else the CPU, and logs one line saying why. A
 * plugin is looked for beside the running program and then on the loader's path. options may be NULL. */
ra_status ra_backend_open(const char *device, const ra_backend_options *options, ra_backend **backend,
                          ra_error *err);

/* *host <- a backend that computes in ordinary memory: this one, retained, or the CPU beside a device, with
 * as many threads. */
ra_status ra_backend_beside(ra_backend *backend, ra_backend **host, ra_error *err);

/* Reference counted: models and dictionaries keep the backend they were made with. */
ra_backend *ra_backend_retain(ra_backend *backend);
void ra_backend_release(ra_backend *backend);

const char *ra_backend_name(const ra_backend *backend);

/* Whether its products may round their factors: tf32 was asked for, of a device. */
bool ra_backend_tf32(const ra_backend *backend);
const ra_backend_ops *ra_backend_operations(const ra_backend *backend);
void *ra_backend_self(const ra_backend *backend);

/* ---- copies that are over when the call returns: for what is rare or small ----------------------------- */

ra_status ra_backend_put(ra_backend *backend, void *block, const void *host, size_t bytes, ra_error *err);
ra_status ra_backend_get(ra_backend *backend, void *host, const void *block, size_t bytes, ra_error *err);

/* block [n] <- the host's values [n], rounded. */
ra_status ra_backend_put_doubles(ra_backend *backend, float *block, const double *values, size_t n,
                                 ra_error *err);

/* *host <- the bytes of a block where the host can read them: the block itself, or, when the host cannot
 * touch it, a copy in *mirror, which is grown as needed and is the caller's to ra_free(). */
ra_status ra_backend_view(ra_backend *backend, const void *block, size_t bytes, void **mirror,
                          const void **host, ra_error *err);

/* OpenBLAS may have chosen kernels that leave this processor's vector units unused (backend/cpu/blas.c). The
 * value of the environment variable OPENBLAS_CORETYPE that would make it use them, for a program to set
 * before it starts itself again; NULL when there is nothing to correct. Static text. */
const char *ra_backend_blas_core(void);

/* Numbers in backend memory that grow and stay; what was in them is lost when they grow. {0} is valid. */
typedef struct ra_block {
    ra_backend *backend; /* whose memory it is; kept until the release */
    float *data;
    size_t capacity;
} ra_block;

/* Room for n numbers of this backend; of another one than before it is made anew. */
ra_status ra_block_reserve(ra_block *block, ra_backend *backend, size_t n, ra_error *err);
void ra_block_release(ra_block *block); /* leaves {0} */

/* A thread pool for host loops: that of the CPU backend, or one beside a device; NULL for `reference`. */
struct ra_pool *ra_backend_pool(const ra_backend *backend);

#endif
