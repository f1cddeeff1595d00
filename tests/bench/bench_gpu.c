/* What each operation of a device costs, beside what the device can do.
 *
 *     build/tests/bench_gpu [--device NAME] [--quick]
 *
 * The limits are measured first: a copy within the device, and cuBLAS's own products in float32 and in TF32.
 * Then products and selections are held against plain loops, and every operation is timed: the median of
 * several runs, what it moves or computes by its kernel's head comment, and the share of the limit. Times are
 * those of a caller: codes and doubles go to the host and back in them. The sizes are those of a case that is
 * published: Flash-SAE (github.com/alepot55/flash-sae), batch 1,024, d 4,096, 65,536 latents, 64 active,
 * bfloat16, on an RTX 4070.
 *
 * Without a device it says so and ends well. --quick: tiny sizes, for a test that it works. */
#include "ra.h"
#include "ra_backend.h"
#include "ra_memory.h"

#include "base/random.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHUNK = 1 << 20, MOST_RUNS = 9, STEPS = 8 };

typedef struct bench {
    ra_backend *backend, *tf32;
    const ra_backend_ops *ops;
    void *self;
    size_t rows, d, K, active, square; /* B, d, K, k; square: of the products that are the limit */
    int runs;
    float *chunk;                /* every block on the device repeats it */
    float *D, *grad, *m, *v;     /* [K,d] */
    void *half;                  /* [K,d] in bfloat16 */
    float *x, *x_hat;            /* [B,d] */
    float *pre, *g;              /* [B,K] */
    float *value, *latent, *one; /* [entries], [K], [B] */
    int32_t *atoms;              /* [K] 0, 1, .. */
    float *path, *room, *push;
    double *factors, *sums, *host; /* [B] ones; [2,K]; */
    ra_codes codes;
    double gbytes, tflops, tflops_tf32;
} bench;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(ra_status status, const ra_error *err) {
    if (status == RA_OK) return;
    fprintf(stderr, "bench_gpu: %s\n", err->message);
    exit(1);
}

static void must_be(bool right, const char *what) {
    if (right) return;
    fprintf(stderr, "bench_gpu: %s is wrong\n", what);
    exit(1);
}

static void *host_block(size_t count, size_t size) {
    void *block = ra_calloc(count, size);
    if (!block) exit(1);
    return block;
}

/* A call of the table: CALL(b, relu, x, y, n) */
#define CALL(b, operation, ...)                                                                              \
    do {                                                                                                     \
        ra_error err_ = {0};                                                                                 \
        must((b)->ops->operation((b)->self, NULL, __VA_ARGS__, &err_), &err_);                               \
    } while (0)

static void wait(bench *b) {
    ra_error err = {0};
    must(b->ops->synchronize(b->self, NULL, &err), &err);
}

static void *device_block(bench *b, size_t bytes) {
    void *block = NULL;
    ra_error err = {0};
    must(b->ops->allocate(b->self, bytes, &block, &err), &err);
    return block;
}

static float *filled(bench *b, size_t n) {
    float *block = device_block(b, n * sizeof *block);
    for (size_t i = 0; i < n; i += CHUNK)
        CALL(b, upload, block + i, b->chunk, (n - i < CHUNK ? n - i : CHUNK) * sizeof *block);
    wait(b);
    return block;
}

/* ---- time
 * ------------------------------------------------------------------------------------------------------- */

typedef void work(bench *b);

static int rising(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double seconds(bench *b, work *run) {
    double times[MOST_RUNS];
    size_t repeat = 1;
    run(b); /* warm up */
    wait(b);
    double start = now();
    run(b);
    wait(b);
    double once = now() - start;
    while (b->runs > 1 && (double)repeat * once < 5e-3 && repeat < 1024) repeat *= 2;
    for (int i = 0; i < b->runs; i++) {
        start = now();
        for (size_t r = 0; r < repeat; r++) run(b);
        wait(b);
        times[i] = (now() - start) / (double)repeat;
    }
    qsort(times, (size_t)b->runs, sizeof *times, rising);
    return times[b->runs / 2];
}

/* ---- the operations
 * ------------------------------------------------------------------------------------------------------- */

static void copy(bench *b) {
    CALL(b, combine, 1, b->m, 0, b->grad, b->K * b->d);
}
static void upload(bench *b) {
    CALL(b, upload, b->x_hat, b->host, b->rows * b->d * sizeof(float));
}
static void download(bench *b) {
    CALL(b, download, b->host, b->x_hat, b->rows * b->d * sizeof(float));
}
static void square(bench *b) {
    size_t n = b->square;
    CALL(b, gemm, false, true, n, n, n, 1, b->D, n, b->m, n, 0, b->grad, n);
}
static void square_tf32(bench *b) {
    void *self = b->self;
    b->self = ra_backend_self(b->tf32);
    square(b);
    wait(b);
    b->self = self;
}
static void encode(bench *b) {
    CALL(b, gemm, false, true, b->rows, b->K, b->d, 1, b->x, b->d, b->D, b->d, 0, b->pre, b->K);
}
static void dense(bench *b) {
    CALL(b, gemm, false, false, b->rows, b->d, b->K, 1, b->pre, b->K, b->D, b->d, 0, b->x_hat, b->d);
}
static void top_k(bench *b) {
    CALL(b, top_k, b->pre, b->rows, b->K, b->active, 0, &b->codes);
}
static void threshold(bench *b) {
    ra_codes over = {0};
    CALL(b, threshold, b->pre, b->rows, b->K, NULL, b->codes.value[0], &over);
    ra_codes_release(&over);
}
static void kth(bench *b) {
    float value;
    CALL(b, kth_largest, b->pre, b->rows * b->K, b->rows * b->active, &value);
}
static void decode(bench *b) {
    CALL(b, decode, &b->codes, RA_F32, b->D, b->d, b->x_hat);
}
static void decode_half(bench *b) {
    CALL(b, decode, &b->codes, RA_BF16, b->half, b->d, b->x_hat);
}
static void decode_gradient(bench *b) {
    CALL(b, decode_gradient, &b->codes, b->x, b->D, b->d, b->value);
}
static void accumulate(bench *b) {
    CALL(b, accumulate, &b->codes, b->value, b->x, b->d, b->grad);
}
static void latent_sums(bench *b) {
    CALL(b, latent_sums, &b->codes, b->value, b->latent);
}
static void pick(bench *b) {
    CALL(b, pick, &b->codes, b->pre, 0, b->value);
}
static void put(bench *b) {
    CALL(b, put, &b->codes, 0.5f, b->value, b->g);
}
static void adam(bench *b) {
    const ra_adam_step step = {1e-4, 0.9, 0.999, 1e-8, 0.5, 0.5, 1, 0};
    CALL(b, adam, &step, b->D, b->grad, NULL, b->m, b->v, b->K, b->d);
}
static void project_simplex(bench *b) {
    CALL(b, project_simplex, b->grad, b->K, b->d);
}
static void project_ball(bench *b) {
    CALL(b, project_ball, b->grad, b->K, b->d, 0.5f);
}
static void gather(bench *b) {
    CALL(b, gather, b->D, b->atoms, b->K, b->d, b->grad);
}
static void dot(bench *b) {
    CALL(b, dot, b->D, b->m, b->K * b->d, b->sums);
}
static void row_norms(bench *b) {
    CALL(b, row_norms, b->D, b->K, b->d, false, b->sums);
}
static void widen(bench *b) {
    CALL(b, widen, RA_BF16, b->half, b->grad, b->K * b->d);
}
static void spread(bench *b) {
    CALL(b, spread, b->latent, b->g, b->rows, b->K);
}
static void relu(bench *b) {
    CALL(b, relu, b->pre, b->g, b->rows * b->K);
}
static void squared_error(bench *b) {
    CALL(b, squared_error, b->pre, b->g, b->rows * b->K, 1e-3, b->g, b->sums);
}
static void column_sums(bench *b) {
    CALL(b, column_sums, b->pre, b->rows, b->K, NULL, b->sums);
}
static void scale_rows(bench *b) {
    CALL(b, scale_rows, b->factors, b->g, b->rows, b->K);
}
static void row_statistics(bench *b) {
    CALL(b, row_statistics, b->pre, b->rows, b->K, 1e-5, b->one, b->one);
}
static ra_norm norm(bench *b, bool by_row) {
    return (ra_norm){by_row, by_row ? b->one : b->latent, by_row ? b->one : b->latent, b->latent, b->latent};
}
static void normalise(bench *b) {
    ra_norm by_row = norm(b, true);
    CALL(b, normalise, &by_row, b->pre, b->g, b->rows, b->K);
}
static void norm_sums(bench *b) {
    ra_norm by_column = norm(b, false);
    CALL(b, norm_sums, &by_column, b->pre, b->g, b->rows, b->K, b->sums);
}
static void layer_norm_backward(bench *b) {
    ra_norm by_row = norm(b, true);
    CALL(b, norm_backward, &by_row, b->pre, NULL, 0, b->g, b->rows, b->K);
}
static void batch_norm_backward(bench *b) {
    ra_norm by_column = norm(b, false);
    CALL(b, norm_backward, &by_column, b->pre, b->sums, 1e9, b->g, b->rows, b->K);
}
static void kernel_sums(bench *b) {
    CALL(b, kernel_sums, RA_KERNEL_SILVERMAN, 0.5f, b->pre, b->g, b->latent, b->rows, b->K, b->sums);
}
static ra_pursuit_path path(bench *b, size_t concepts) {
    size_t steps = b->rows * STEPS;
    return (ra_pursuit_path){.rows = b->rows,
                             .steps = STEPS,
                             .dimensions = b->d,
                             .concepts = concepts,
                             .D = b->D,
                             .atom = (int32_t *)(void *)b->path,
                             .value = b->path + steps,
                             .residual = b->x_hat};
}
static void pursue(bench *b) {
    ra_pursuit_path all = path(b, b->K);
    CALL(b, pursue, &all, NULL, 0, b->pre);
}
static size_t gram_size(const bench *b) { /* [n,n] where [B,K] has room */
    size_t n = (size_t)sqrt((double)b->rows * (double)b->K);
    return n < b->K ? n : b->K;
}
static void pursue_gram(bench *b) {
    ra_pursuit_path some = path(b, gram_size(b));
    CALL(b, pursue, &some, b->g, 0, b->pre);
}
static void pursue_back(bench *b) {
    ra_pursuit_path all = path(b, b->K);
    CALL(b, pursue_back, &all, b->value, 0, b->rows, b->room, b->push);
}

typedef struct line {
    const char *name;
    work *run;
    double bytes, tflop; /* one of them; tflop: * 1e12 */
} line;

static void print_line(bench *b, const line *what) {
    double time = seconds(b, what->run), rate = (what->tflop > 0 ? what->tflop : what->bytes / 1e9) / time,
           limit = what->tflop > 0 ? b->tflops : b->gbytes;
    printf("%-44s %12.1f us %10.2f %-8s %4.0f %%\n", what->name, time * 1e6, rate,
           what->tflop > 0 ? "TFLOP/s" : "GB/s", 100 * rate / limit);
    fflush(stdout);
}

/* Bytes are those of the head comments in lib/backend/cuda/. */
static void print_table(bench *b) {
    double BK = (double)(b->rows * b->K), Kd = (double)(b->K * b->d), Bd = (double)(b->rows * b->d),
           entries = (double)ra_codes_entries(&b->codes), d = (double)b->d, B = (double)b->rows,
           n = (double)gram_size(b);
    const line lines[] = {
        {"upload, ordinary memory", upload, 4 * Bd, 0},
        {"download, ordinary memory", download, 4 * Bd, 0},
        {"encode: product", encode, 0, 2 * BK * d / 1e12},
        {"top_k", top_k, 4 * BK + 8 * entries, 0},
        {"threshold", threshold, 8 * BK, 0},
        {"kth_largest", kth, 12 * BK, 0},
        {"decode, float32", decode, entries * (4 * d + 8) + 4 * Bd, 0},
        {"decode, bfloat16", decode_half, entries * (2 * d + 8) + 4 * Bd, 0},
        {"the same as a product of dense codes", dense, 0, 2 * BK * d / 1e12},
        {"decode_gradient", decode_gradient, entries * (4 * d + 8) + 4 * Bd, 0},
        {"accumulate", accumulate, entries * (4 * d + 12), 0},
        {"latent_sums", latent_sums, 8 * entries, 0},
        {"pick", pick, 12 * entries, 0},
        {"put", put, 16 * entries, 0},
        {"adam", adam, 28 * Kd, 0},
        {"project_simplex", project_simplex, 8 * Kd, 0},
        {"project_ball", project_ball, 8 * Kd, 0},
        {"gather", gather, 8 * Kd, 0},
        {"dot", dot, 8 * Kd, 0},
        {"row_norms", row_norms, 4 * Kd, 0},
        {"widen, bfloat16", widen, 6 * Kd, 0},
        {"spread", spread, 4 * BK, 0},
        {"relu", relu, 8 * BK, 0},
        {"squared_error", squared_error, 12 * BK, 0},
        {"column_sums", column_sums, 4 * BK, 0},
        {"scale_rows", scale_rows, 8 * BK, 0},
        {"row_statistics", row_statistics, 4 * BK, 0},
        {"normalise", normalise, 8 * BK, 0},
        {"norm_sums", norm_sums, 8 * BK, 0},
        {"norm_backward, LayerNorm", layer_norm_backward, 12 * BK, 0},
        {"norm_backward, BatchNorm", batch_norm_backward, 12 * BK, 0},
        {"kernel_sums, silverman", kernel_sums, 8 * BK, 0},
        {"pursue, scores computed anew", pursue, 4 * BK + 12 * Bd, 0},
        {"pursue_back, 8 steps", pursue_back, STEPS * 28 * Bd, 0},
        {"pursue, with the Gram matrix", pursue_gram, 16 * B * n + 12 * Bd, 0},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) print_line(b, &lines[i]);
}

/* ---- right before fast
 * ------------------------------------------------------------------------------------------------------- */

static double at(const bench *b, size_t i) {
    return (double)b->chunk[i % CHUNK];
}

static float *taken(bench *b, const float *block, size_t n) {
    float *host = host_block(n, sizeof *host);
    CALL(b, download, host, block, n * sizeof *host);
    wait(b);
    return host;
}

static bool is_near(double a, double b, double size, double tolerance) {
    return fabs(a - b) <= tolerance * size;
}

/* Scores of the first and the last row, beside float64. */
static void check_encode(bench *b) {
    encode(b);
    for (size_t row = 0; row < b->rows; row += b->rows - 1) {
        float *scores = taken(b, b->pre + row * b->K, b->K);
        for (size_t k = 0; k < b->K; k += b->K / 32 + 1) {
            double sum = 0, size = 0;
            for (size_t j = 0; j < b->d; j++) {
                double product = at(b, row * b->d + j) * at(b, k * b->d + j);
                sum += product;
                size += fabs(product);
            }
            must_be(is_near((double)scores[k], sum, size, 1e-5), "a matrix product");
        }
        ra_free(scores);
    }
}

static void check_selection(bench *b) {
    ra_backend *oracle = NULL;
    ra_error err = {0};
    top_k(b);
    must(ra_backend_open("reference", NULL, &oracle, &err), &err);
    for (size_t row = 0; row < b->rows; row += b->rows - 1) {
        float *scores = taken(b, b->pre + row * b->K, b->K);
        ra_codes expected = {0};
        must(ra_backend_operations(oracle)->top_k(ra_backend_self(oracle), NULL, scores, 1, b->K, b->active,
                                                  0, &expected, &err),
             &err);
        size_t first = b->codes.start[row], count = b->codes.start[row + 1] - first;
        must_be(count == ra_codes_entries(&expected) &&
                    memcmp(b->codes.index + first, expected.index, count * sizeof *expected.index) == 0 &&
                    memcmp(b->codes.value + first, expected.value, count * sizeof *expected.value) == 0,
                "a selection");
        ra_codes_release(&expected);
        ra_free(scores);
    }
    ra_backend_release(oracle);
}

static void check_decode(bench *b, work *run, ra_dtype dtype) {
    run(b);
    for (size_t row = 0; row < b->rows; row += b->rows - 1) {
        float *got = taken(b, b->x_hat + row * b->d, b->d);
        for (size_t j = 0; j < b->d; j++) {
            double sum = 0, size = 0;
            for (size_t e = b->codes.start[row]; e < b->codes.start[row + 1]; e++) {
                float atom = (float)at(b, (size_t)b->codes.index[e] * b->d + j);
                uint16_t half;
                if (dtype != RA_F32) {
                    ra_convert_from_f32(dtype, &atom, &half, 1);
                    ra_convert_to_f32(dtype, &half, &atom, 1);
                }
                double product = (double)b->codes.value[e] * (double)atom;
                sum += product;
                size += fabs(product);
            }
            must_be(is_near((double)got[j], sum, size, 1e-5), "a decode");
        }
        ra_free(got);
    }
}

/* ---- a run
 * ------------------------------------------------------------------------------------------------------- */

/* Five blocks [K,d], one of them of half the size, two [B,K], and what is small. */
static size_t bytes_of(const bench *b) {
    return 18 * b->K * b->d + 8 * b->rows * b->K + (8 + 4 * STEPS) * b->rows * b->d + ((size_t)256 << 20);
}

static void prepare(bench *b) {
    size_t available = 0, total = 0, Kd = b->K * b->d, BK = b->rows * b->K, Bd = b->rows * b->d;
    ra_error err = {0};
    must(b->ops->memory(b->self, &available, &total, &err), &err);
    while (b->runs > 1 && b->K > 4096 && bytes_of(b) > available) b->K /= 2;
    Kd = b->K * b->d;
    BK = b->rows * b->K;
    b->chunk = host_block(CHUNK, sizeof *b->chunk);
    ra_random random;
    ra_random_seed(&random, 1);
    for (size_t i = 0; i < CHUNK; i++) b->chunk[i] = (float)(ra_random_unit(&random) - 0.5);
    float **const large[] = {&b->D, &b->grad, &b->m, &b->v};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) *large[i] = filled(b, Kd);
    CALL(b, combine, 0, NULL, 0, b->v, Kd); /* a second moment is not negative */
    b->half = device_block(b, Kd * sizeof(uint16_t));
    uint16_t *half = host_block(CHUNK, sizeof *half);
    ra_convert_from_f32(RA_BF16, b->chunk, half, CHUNK);
    for (size_t i = 0; i < Kd; i += CHUNK)
        CALL(b, upload, (uint16_t *)b->half + i, half, (Kd - i < CHUNK ? Kd - i : CHUNK) * sizeof *half);
    wait(b);
    ra_free(half);
    b->x = filled(b, Bd);
    b->x_hat = filled(b, Bd);
    b->pre = filled(b, BK);
    b->g = filled(b, BK);
    b->value = filled(b, b->rows * (b->active > STEPS ? b->active : STEPS));
    b->latent = filled(b, b->K);
    b->one = filled(b, b->rows);
    b->path = filled(b, 2 * b->rows * STEPS);
    b->room = filled(b, 2 * Bd);
    b->push = filled(b, STEPS * Bd);
    b->factors = host_block(b->rows, sizeof *b->factors);
    for (size_t i = 0; i < b->rows; i++) b->factors[i] = 1;
    b->sums = host_block(2 * b->K, sizeof *b->sums);
    b->host = host_block(Bd, sizeof(float));
    int32_t *numbers = host_block(b->K, sizeof *numbers);
    for (size_t k = 0; k < b->K; k++) numbers[k] = (int32_t)k;
    b->atoms = device_block(b, b->K * sizeof *numbers);
    CALL(b, upload, b->atoms, numbers, b->K * sizeof *numbers);
    int32_t *none = host_block(b->rows * STEPS, sizeof *none);
    CALL(b, upload, b->path, none, b->rows * STEPS * sizeof *none);
    wait(b);
    ra_free(numbers);
    ra_free(none);
}

static void clean_up(bench *b) {
    void *const blocks[] = {b->D, b->grad,  b->m,      b->v,   b->half,  b->x,    b->x_hat, b->pre,
                            b->g, b->value, b->latent, b->one, b->atoms, b->path, b->room,  b->push};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) b->ops->deallocate(b->self, blocks[i]);
    void *const host[] = {b->chunk, b->factors, b->sums, b->host};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++) ra_free(host[i]);
    ra_codes_release(&b->codes);
    ra_backend_release(b->tf32);
    ra_backend_release(b->backend);
}

/* From the plugin that the table is in. */
static void print_device(const bench *b) {
    char text[512] = "a device that does not describe itself";
    Dl_info where;
    void *plugin = dladdr(b->ops, &where) ? dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : NULL;
    void *symbol = plugin ? dlsym(plugin, RA_BACKEND_PLUGIN_DESCRIBE) : NULL;
    if (symbol) {
        ra_backend_describe_fn *describe;
        memcpy(&describe, &symbol, sizeof describe);
        describe(b->self, text, sizeof text);
    }
    if (plugin) dlclose(plugin);
    printf("%s\n", text);
}

static void measure_limits(bench *b) {
    double flop = 2 * pow((double)b->square, 3) / 1e12;
    b->gbytes = 8.0 * (double)(b->K * b->d) / seconds(b, copy) / 1e9;
    b->tflops = flop / seconds(b, square);
    b->tflops_tf32 = flop / seconds(b, square_tf32);
    printf("limits: copy within the device %.1f GB/s; products %.2f TFLOP/s in float32, %.2f in TF32\n\n",
           b->gbytes, b->tflops, b->tflops_tf32);
}

static void print_published(bench *b) {
    printf("\nFlash-SAE's case, which it publishes for an RTX 4070 (d 4,096, 65,536 latents, 64 active, "
           "batch 1,024, "
           "bfloat16):\n  decode 1.3 ms, as a dense product 18.0 ms\n");
    printf("the same here (%zu latents): decode %.3f ms; as a dense product in float32 %.3f ms\n", b->K,
           seconds(b, decode_half) * 1e3, seconds(b, dense) * 1e3);
}

static int usage(void) {
    fprintf(stderr, "usage: bench_gpu [--device NAME] [--quick]\n");
    return 2;
}

int main(int argc, char **argv) {
    const char *device =
        "cuda-device"; /* make bench-gpu: the plugin of this build, beside the emulated one */
    bench b = {.rows = 1024, .d = 4096, .K = 65536, .active = 64, .square = 4096, .runs = MOST_RUNS};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--quick") == 0) {
            b.rows = 6, b.d = 32, b.K = 80, b.active = 4, b.square = 32, b.runs = 1;
        } else if (strcmp(argv[i], "--device") == 0 && i + 1 < argc)
            device = argv[++i];
        else
            return usage();
    ra_error err = {0};
    if (ra_backend_open(device, NULL, &b.backend, &err) != RA_OK) {
        printf("bench_gpu: skipped: %s\n", err.message);
        return 0;
    }
    must(ra_backend_open(device, &(ra_backend_options){.tf32 = true}, &b.tf32, &err), &err);
    b.ops = ra_backend_operations(b.backend);
    b.self = ra_backend_self(b.backend);
    print_device(&b);
    prepare(&b);
    check_encode(&b);
    check_selection(&b);
    check_decode(&b, decode, RA_F32);
    check_decode(&b, decode_half, RA_BF16);
    printf("batch %zu, d %zu, %zu latents, %zu active\n", b.rows, b.d, b.K, b.active);
    measure_limits(&b);
    printf("%-44s %12s    %19s %6s\n", "", "median", "", "limit");
    print_table(&b);
    print_published(&b);
    clean_up(&b);
    return 0;
}
