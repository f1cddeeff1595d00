/* ra_backend.h - where the arithmetic runs.
 *
 * A backend is a table of operations and a context. Two are built in: `reference`, plain loops on one thread,
 * the oracle that every other backend is tested against; and `cpu`, OpenBLAS and vectorized loops over a
 * thread pool. Others are plugins: `--device NAME` loads librasae-NAME.so, which exports two C symbols
 * (RA_BACKEND_PLUGIN_*). The table is shaped for accelerators: the device has its own memory, streams and
 * asynchronous copies. On the CPU there is one stream, a copy is memcpy, and every operation is complete when
 * the call returns.
 *
 *     ra_backend *backend = NULL;
 *     RA_TRY(ra_backend_open("cpu", &(ra_backend_options){.threads = 2}, &backend, err));
 *     RA_TRY(ra_backend_gemm(backend, false, true, B, K, d, 1, x, d, D, d, 0, scores, K, err));
 *     RA_TRY(ra_backend_synchronize(backend, err));
 *     ra_backend_release(backend);
 *
 * Each operation has two calls: ra_backend_NAME(backend, ...) runs on the backend's default stream,
 * ra_stream_NAME(stream, ...) on the given one. Calls on one stream run in their order; calls on different
 * streams may overlap. ra_backend_operations.h lists the operations.
 *
 * Results of the built-in backends do not depend on the number of threads: work is divided by shape, never by
 * thread count.
 *
 * Pointers given to operations are backend memory, except that sparse codes (start, index, value), if the device
 * does not keep them, and everything of type double are host memory. An operation that reads host memory has read it when it returns,
 * so the caller may change it at once; an operation that returns codes or doubles waits for its stream first.
 * (ra_backend_defer() puts that off for doubles.) All others may still be running when they return. After a failure the contents of outputs are undefined,
 * and output codes have no rows.
 *
 * Thread safety: several threads may use one backend, each with a stream of its own. An operation that fails
 * returns a status; on the CPU only operations that allocate memory can fail.
 */
#ifndef RA_BACKEND_H
#define RA_BACKEND_H

#include "ra_tensor.h"

enum { RA_BACKEND_API_VERSION = 12 };

typedef struct ra_backend_options {
    size_t threads; /* CPU threads, including the caller's; 0: one per core */
    int ordinal;    /* which device of its kind ("cuda:1") */
    bool tf32;      /* matrix products may round their factors to 10 bits of mantissa where that makes the
                     * device faster (cuBLAS: TF32); false: full float32 */
    bool yield; /* a thread that waits for the device sleeps: fewer processor cycles, some microseconds more
                     * per wait; false: it asks until the device is done */
    int nice; /* added to the nice value of its threads (not the caller's), so that others of the process get a
               * core first; 0: none */
    size_t process; /* which of the processes on this machine that compute together this one is, from 0: if
                     * the name has no number, they take the machine's devices by turns */
} ra_backend_options;

/* What the products of matrices of a device's default stream take, in the order of the setting `precision` of
 * a training: their factors as they are (as TF32 if the options ask for that), rounded to TF32 (10 bits of
 * mantissa), or rounded to bf16 (7 bits). Sums are float32 in all of them. */
typedef enum ra_precision {
    RA_PRECISION_FLOAT32,
    RA_PRECISION_TF32,
    RA_PRECISION_BF16,
    RA_PRECISION_COUNT
} ra_precision;

/* What a row of a parameter is brought back to after it has moved. */
typedef enum ra_projection {
    RA_PROJECT_NOTHING,
    RA_PROJECT_SIMPLEX, /* as `project_simplex` */
    RA_PROJECT_BALL,    /* as `project_ball`, with `radius` */
    RA_PROJECT_UNIT_L2, /* row * (float)(1 / (||row||_2 + 1e-8)) */
    RA_PROJECT_UNIT_L1,
} ra_projection;

/* One step of Adam (Kingma and Ba 2015) or AdamW (Loshchilov and Hutter 2019), as torch.optim computes it. */
typedef struct ra_adam_step {
    double lr, beta1, beta2, epsilon;
    double bias1, bias2;      /* 1 - beta^t for this step t = 1, 2, ... */
    double grad_scale;        /* multiplies the gradient first (clipping) */
    double decay;             /* AdamW: the parameter is multiplied by 1 - lr decay first */
    ra_projection projection; /* of every row, also of those without a gradient */
    float radius;
} ra_adam_step;

/* What `adam` takes in place of a gradient's row number, where only some rows have a gradient. */
enum {
    RA_ROW_STILL = -1,     /* no gradient in this step: zero */
    RA_ROW_UNTOUCHED = -2, /* no gradient in any step so far: its moments are zeros, too */
};

/* How a LayerNorm or a BatchNorm maps u [rows,n] to y: (u - mean) rstd gamma + beta. Backend memory. */
typedef struct ra_norm {
    bool by_row;               /* LayerNorm: mean and rstd [rows]; else BatchNorm: [n] */
    const float *mean, *rstd;  /* rstd: 1 / sqrt(variance + epsilon) */
    const float *gamma, *beta; /* [n]; the backward pass does not read beta */
} ra_norm;

/* Kernels that stand for the derivative of a step function: the gradient of jumprelu's thresholds
 * (Rajamanoharan et al. 2024). Formulas are in backend/kernels.c. */
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

/* Of a row of scores, each with a bound below and one above added: the least of the upper ones, the two least of the lower
 * ones (equal ones count twice), and which is the first of these. INFINITY and -1 where there are none; NaN does not
 * count. */
typedef struct ra_least {
    float high, low, second_low;
    int32_t first;
} ra_least;

/* Matching pursuit of rows x [B,d] in k steps: the arrays that its operations work on. Backend memory. */
typedef struct ra_pursuit_path {
    size_t rows, steps, dimensions, concepts; /* B, k, d, K */
    const float *D;                           /* [K,d] */
    int32_t *atom;                            /* [B,k] in the order in which they were taken */
    float *value;                             /* [B,k] */
    float *residual;                          /* [B,d] */
} ra_pursuit_path;

/* Atoms that are mixtures of a few points, and what is left of them: D_k = sum_t weight[k,t] C[index[k,t]] +
 * relax[k], before the multiplier. Backend memory. */
enum { RA_MIXTURE_MOST = 32 };

/* Of `decode`: where a row's share of active latents is larger, its sum may depend on the other rows. */
enum { RA_DENSE_SHARE = 16 };

typedef struct ra_mixture {
    size_t atoms, most, points, dimensions; /* K; T, at most RA_MIXTURE_MOST; N; d */
    const float *C;                         /* [N,d] */
    int32_t *index;                         /* [K,T] the points of each atom; -1 behind the last */
    float *weight;                          /* [K,T] nonnegative, summing to 1; 0 behind the last */
    float *gram;                            /* [K,T,T] the dot products of an atom's points */
    float *relax;                           /* [K,d] */
} ra_mixture;

/* ---- the table ----------------------------------------------------------------------------------------- */

typedef struct ra_backend_stream ra_backend_stream; /* defined by the backend; NULL is its default stream */

typedef enum ra_stream_kind {
    RA_STREAM_COMPUTES,
    RA_STREAM_COPIES, /* for uploads and downloads only: it takes no memory of the device, and a wait for it sleeps */
} ra_stream_kind;

#define RA_UNPACK(...) __VA_ARGS__

/* A plugin fills all of it. `self` is the context that open() made. */
typedef struct ra_backend_ops {
    uint32_t api_version; /* RA_BACKEND_API_VERSION; plugins with another one are refused */
    const char *name;
    bool host_memory; /* backend memory is ordinary memory, and host code may access it directly */

    ra_status (*open)(const ra_backend_options *options, void **self, ra_error *err);
    void (*close)(void *self);

    /* Memory and streams, as the calls below describe them. */
    ra_status (*allocate)(void *self, size_t bytes, void **memory, ra_error *err);
    void (*deallocate)(void *self, void *memory);
    ra_status (*host_allocate)(void *self, size_t bytes, void **memory, ra_error *err);
    void (*host_deallocate)(void *self, void *memory);
    ra_status (*memory)(void *self, size_t *available, size_t *total, ra_error *err);
    ra_status (*stream_new)(void *self, ra_stream_kind kind, ra_backend_stream **stream, ra_error *err);
    void (*stream_free)(void *self, ra_backend_stream *stream);
    ra_status (*follow)(void *self, ra_backend_stream *later, ra_backend_stream *earlier, ra_error *err);
    ra_status (*upload)(void *self, ra_backend_stream *stream, void *device, const void *host, size_t bytes,
                        ra_error *err);
    ra_status (*download)(void *self, ra_backend_stream *stream, void *host, const void *device, size_t bytes,
                          ra_error *err);
    ra_status (*synchronize)(void *self, ra_backend_stream *stream, ra_error *err);
    void (*defer)(void *self, ra_backend_stream *stream, bool deferred);
    ra_status (*products)(void *self, ra_backend_stream *stream, ra_precision precision, ra_error *err);

    /* Codes in the device's memory; *device stays NULL where backend memory is ordinary memory. */
    ra_status (*codes_new)(void *self, ra_device_codes **device, ra_error *err);
    size_t (*codes_bytes)(void *self, size_t rows, size_t latents, size_t entries);
    ra_status (*codes_pack)(void *self, ra_backend_stream *stream, const ra_codes *codes,
                            const int32_t *position, size_t latents, ra_codes *packed, ra_error *err);
    ra_status (*codes_view)(void *self, ra_backend_stream *stream, ra_codes *codes, ra_error *err);

#define RA_OPERATION(name, parameters, arguments)                                                            \
    ra_status (*name)(void *self, ra_backend_stream *stream, RA_UNPACK parameters, ra_error *err);
#include "ra_backend_operations.h"
} ra_backend_ops;

/* What a plugin exports: its table, and a probe that returns one sentence why it cannot work on this machine,
 * or NULL if it can. A plugin links its own copy of the library functions that it calls (ra_codes_reserve(),
 * ra_malloc()); memory from one copy's allocator may be freed by the other's, and api_version stands for the
 * layout of all structs that cross the border. */
#define RA_BACKEND_PLUGIN_OPS "ra_backend_plugin_ops"     /* const ra_backend_ops *(void) */
#define RA_BACKEND_PLUGIN_PROBE "ra_backend_plugin_probe" /* const char *(void) */

/* A plugin may export a third symbol: text [size] <- one line that describes this context's device. */
#define RA_BACKEND_PLUGIN_DESCRIBE "ra_backend_plugin_describe"
typedef void ra_backend_describe_fn(void *self, char *text, size_t size);

/* ---- open backends ------------------------------------------------------------------------------------- */

/* These members may be read; others follow them. */
typedef struct ra_backend {
    const ra_backend_ops *ops;
    void *self;
} ra_backend;

/* A stream and the backend that it belongs to: pass it by value. `own` NULL is the default stream. */
typedef struct ra_stream {
    ra_backend *backend;
    ra_backend_stream *own;
} ra_stream;

/* device: "cpu", "reference", "auto", or the name of a plugin, with the number of the device if there are
 * several ("cuda:1"). `auto` uses the CUDA plugin if it is installed and works, and otherwise the CPU, with
 * one log line that says why. Plugins are searched for beside the running program and then on the loader's
 * path. options may be NULL. */
ra_status ra_backend_open(const char *device, const ra_backend_options *options, ra_backend **backend,
                          ra_error *err);

/* What ra_backend_open() will try first for `device`: "auto" is "cuda" if that plugin is installed and finds a device, which
 * loads it and may start its driver, and otherwise "cpu", with the log line; any other name is itself. For a program that
 * prepares differently for a device. */
const char *ra_backend_choose(const char *device);

/* *host <- a backend that computes in host memory: this one, retained, or else a CPU backend with as many
 * threads. */
ra_status ra_backend_open_host(ra_backend *backend, ra_backend **host, ra_error *err);

/* Reference counted: models and dictionaries keep the backend they were made with. */
ra_backend *ra_backend_retain(ra_backend *backend);
void ra_backend_release(ra_backend *backend);

static inline const char *ra_backend_name(const ra_backend *backend) {
    return backend->ops->name;
}

/* Whether backend memory is ordinary memory, which host code may read and write directly. */
static inline bool ra_backend_host_memory(const ra_backend *backend) {
    return backend->ops->host_memory;
}

/* Whether matrix products may round their factors: the options asked for it, and the backend is a device. */
bool ra_backend_tf32(const ra_backend *backend);

/* The same backend without its thread pool: an operation runs on the calling thread alone and never waits for one
 * of another thread; the results are the same bits. A backend with memory of its own is returned as it is. The two
 * are counted together: the call adds no reference, and each reference to one keeps both. */
ra_backend *ra_backend_serial(ra_backend *backend);

/* The thread pool for loops in host memory: that of the CPU backend, or the one kept for a device; NULL for
 * `reference` and for a serial backend. */
struct ra_pool *ra_backend_pool(const ra_backend *backend);

/* The OpenBLAS in use may have chosen kernels that leave this processor's vector units idle
 * (backend/cpu/blas.c). Returns the value of the environment variable OPENBLAS_CORETYPE that corrects this,
 * which a program sets before it executes itself again; NULL if there is nothing to correct. Static text. */
const char *ra_backend_blas_core(void);

/* Whether the system may refuse addresses to a program (RLIMIT_AS, RLIMIT_DATA, no overcommitment). Opening the CPU then takes the
 * memory that OpenBLAS needs, or fails with RA_ERR_MEMORY; later OpenBLAS would wait for it for ever. */
bool ra_backend_addresses_are_limited(void);

/* Makes sure of the memory for this many threads that compute on the host at the same time, those of the backend's
 * pool among them, as opening a backend does for its pool alone. */
ra_status ra_backend_reserve(size_t threads, ra_error *err);

/* ---- the calls ----------------------------------------------------------------------------------------- */

static inline ra_stream ra_backend_default_stream(ra_backend *backend) {
    return (ra_stream){backend, NULL};
}

/* *memory <- bytes of backend memory, zeroed. deallocate(NULL) is fine. */
static inline ra_status ra_backend_allocate(const ra_backend *backend, size_t bytes, void **memory,
                                            ra_error *err) {
    return backend->ops->allocate(backend->self, bytes, memory, err);
}
static inline void ra_backend_deallocate(const ra_backend *backend, void *memory) {
    backend->ops->deallocate(backend->self, memory);
}

/* *memory <- bytes of the host's memory, uninitialized, which copies of this backend read and write where they are. From
 * and to other memory of the host, a copy to or from a device goes through a buffer. It is slow to allocate: keep it.
 * Where backend memory is the host's, it is ordinary memory. host_deallocate(NULL) is fine. */
static inline ra_status ra_backend_host_allocate(const ra_backend *backend, size_t bytes, void **memory,
                                                 ra_error *err) {
    return backend->ops->host_allocate(backend->self, bytes, memory, err);
}
static inline void ra_backend_host_deallocate(const ra_backend *backend, void *memory) {
    backend->ops->host_deallocate(backend->self, memory);
}

/* *available <- bytes that could be allocated now, *total <- bytes of the device; SIZE_MAX for both where
 * backend memory is host memory. */
static inline ra_status ra_backend_memory(const ra_backend *backend, size_t *available, size_t *total,
                                          ra_error *err) {
    return backend->ops->memory(backend->self, available, total, err);
}

/* What a stream of a device needs for itself at most: work areas of its libraries, codes that are being copied,
 * and a share of the programs that the driver loads. Whoever checks whether something fits leaves it free. */
enum { RA_STREAM_BYTES = 64 << 20 };

/* A stream must not outlive its backend, which it does not retain. */
static inline ra_status ra_stream_new(ra_backend *backend, ra_stream *stream, ra_error *err) {
    stream->backend = backend;
    return backend->ops->stream_new(backend->self, RA_STREAM_COMPUTES, &stream->own, err);
}
static inline ra_status ra_stream_new_for_copies(ra_backend *backend, ra_stream *stream, ra_error *err) {
    stream->backend = backend;
    return backend->ops->stream_new(backend->self, RA_STREAM_COPIES, &stream->own, err);
}
static inline void ra_stream_free(ra_stream stream) {
    stream.backend->ops->stream_free(stream.backend->self, stream.own);
}

/* What `later` is asked for from now on happens after all that `earlier`, a stream of the same backend, has been asked for so
 * far. The host does not wait. */
static inline ra_status ra_stream_follow(ra_stream later, ra_stream earlier, ra_error *err) {
    return later.backend->ops->follow(later.backend->self, later.own, earlier.own, err);
}

/* Asynchronous copies. A download is there after synchronize(), which waits for the stream and reports the
 * failures of what ran on it, or after an operation on the stream that waits for it. An upload has read ordinary memory when it returns; memory of
 * ra_backend_host_allocate(), or that the caller has pinned, must stay unchanged until synchronize(). */
static inline ra_status ra_stream_upload(ra_stream stream, void *device, const void *host, size_t bytes,
                                         ra_error *err) {
    return stream.backend->ops->upload(stream.backend->self, stream.own, device, host, bytes, err);
}
static inline ra_status ra_stream_download(ra_stream stream, void *host, const void *device, size_t bytes,
                                           ra_error *err) {
    return stream.backend->ops->download(stream.backend->self, stream.own, host, device, bytes, err);
}
static inline ra_status ra_stream_synchronize(ra_stream stream, ra_error *err) {
    return stream.backend->ops->synchronize(stream.backend->self, stream.own, err);
}
static inline ra_status ra_backend_upload(const ra_backend *backend, void *device, const void *host,
                                          size_t bytes, ra_error *err) {
    return backend->ops->upload(backend->self, NULL, device, host, bytes, err);
}
static inline ra_status ra_backend_download(const ra_backend *backend, void *host, const void *device,
                                            size_t bytes, ra_error *err) {
    return backend->ops->download(backend->self, NULL, host, device, bytes, err);
}
static inline ra_status ra_backend_synchronize(const ra_backend *backend, ra_error *err) {
    return backend->ops->synchronize(backend->self, NULL, err);
}

/* Codes that stay on the device. keep: what selects codes (top_k, threshold) leaves these in its memory from now on,
 * until ra_codes_release(), which has to come before the backend's end; operations that read codes find them there, and
 * take codes->value for the values there. Nothing changes where backend memory is ordinary memory. pack: packed, which
 * is kept, too, <- the same entries with latents numbered by position [K], host memory; it is valid as long as the
 * codes are unchanged. view: start, index and value <- the codes, if a device has them. On the default stream.
 * bytes: the memory of the device that codes of so many entries take, with their packed form and what makes them; 0
 * entries: as many as threshold makes room for at first. */
static inline ra_status ra_backend_codes_keep(const ra_backend *backend, ra_codes *codes, ra_error *err) {
    return codes->device ? RA_OK : backend->ops->codes_new(backend->self, &codes->device, err);
}
static inline size_t ra_backend_codes_bytes(const ra_backend *backend, size_t rows, size_t latents,
                                            size_t entries) {
    return backend->ops->codes_bytes(backend->self, rows, latents, entries);
}
static inline ra_status ra_backend_codes_pack(const ra_backend *backend, const ra_codes *codes,
                                              const int32_t *position, size_t latents, ra_codes *packed,
                                              ra_error *err) {
    return backend->ops->codes_pack(backend->self, NULL, codes, position, latents, packed, err);
}
static inline ra_status ra_backend_codes_view(const ra_backend *backend, ra_codes *codes, ra_error *err) {
    return codes->device ? backend->ops->codes_view(backend->self, NULL, codes, err) : RA_OK;
}

/* While deferred, operations on the default stream do not wait for the doubles that they return: these are there
 * after the next wait for it (ra_backend_synchronize(), an operation that returns codes, one that returns doubles
 * and is not deferred), until when their place must stay. So several of them cost one wait. Where backend memory is
 * ordinary memory, they are there at once. */
static inline void ra_backend_defer(const ra_backend *backend, bool deferred) {
    backend->ops->defer(backend->self, NULL, deferred);
}

/* From now on, `gemm` on the default stream rounds its factors like this. RA_ERR_DEVICE, and nothing changes, where
 * the backend cannot: the host computes in float32, and a GPU rounds from compute capability 8.0 on. */
static inline ra_status ra_backend_products(const ra_backend *backend, ra_precision precision,
                                            ra_error *err) {
    return backend->ops->products(backend->self, NULL, precision, err);
}

#define RA_OPERATION(name, parameters, arguments)                                                            \
    static inline ra_status ra_backend_##name(const ra_backend *backend, RA_UNPACK parameters,               \
                                              ra_error *err) {                                               \
        return backend->ops->name(backend->self, NULL, RA_UNPACK arguments, err);                            \
    }                                                                                                        \
    static inline ra_status ra_stream_##name(ra_stream stream, RA_UNPACK parameters, ra_error *err) {        \
        return stream.backend->ops->name(stream.backend->self, stream.own, RA_UNPACK arguments, err);        \
    }
#include "ra_backend_operations.h"

/* ---- memory: copies after which the host goes on, and buffers ------------------------------------------ */

/* put: host is ordinary memory, which may be changed when the call returns; what follows on the default stream
 * sees the copy (another stream does after a synchronize()). get: complete when the call returns. */
ra_status ra_backend_put(ra_backend *backend, void *device, const void *host, size_t bytes, ra_error *err);
ra_status ra_backend_get(ra_backend *backend, void *host, const void *device, size_t bytes, ra_error *err);

/* device [n] <- the host's values [n], rounded. */
ra_status ra_backend_put_doubles(ra_backend *backend, float *device, const double *values, size_t n,
                                 ra_error *err);

/* *host <- bytes of backend memory where the host can read them: `device` itself, or, if the host cannot
 * access it, a copy in *copy, which grows as needed and is the caller's to ra_free(). */
ra_status ra_backend_view(ra_backend *backend, const void *device, size_t bytes, void **copy,
                          const void **host, ra_error *err);

/* Numbers in backend memory that grow as needed, by half at least, and are kept; growing loses the contents. {0} is valid. */
typedef struct ra_buffer {
    ra_backend *backend; /* whose memory it is; retained until the release */
    float *data;
    size_t capacity;
} ra_buffer;

/* Makes room for n numbers of this backend; a buffer of another backend is released first. */
ra_status ra_buffer_reserve(ra_buffer *buffer, ra_backend *backend, size_t n, ra_error *err);
void ra_buffer_release(ra_buffer *buffer); /* leaves {0} */

#endif
