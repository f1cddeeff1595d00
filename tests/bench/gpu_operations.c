/* Every operation of the table over the blocks of a bench, and how long it takes. */
#include "bench/gpu.h"

#include <math.h>
#include <time.h>

/* ---- time ---------------------------------------------------------------------------------------------- */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int rising(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double seconds(bench *b, work *run) {
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

/* ---- the operations ------------------------------------------------------------------------------------ */

void copy(bench *b) {
    CALL(b, axpby, 1, b->m, 0, b->grad, b->K * b->d);
}
static void upload(bench *b) {
    CALL(b, upload, b->x_hat, b->host, b->rows * b->d * sizeof(float));
}
static void download(bench *b) {
    CALL(b, download, b->host, b->x_hat, b->rows * b->d * sizeof(float));
}
void square(bench *b) {
    size_t n = b->square;
    CALL(b, gemm, false, true, n, n, n, 1, b->D, n, b->m, n, 0, b->grad, n);
}
void square_tf32(bench *b) {
    ra_backend *backend = b->backend;
    b->backend = b->tf32;
    square(b);
    wait(b);
    b->backend = backend;
}
void encode(bench *b) {
    CALL(b, gemm, false, true, b->rows, b->K, b->d, 1, b->x, b->d, b->D, b->d, 0, b->pre, b->K);
}
static void encode_bias(bench *b) {
    CALL(b, gemm_bias, b->x, b->rows, b->D, b->K, b->d, b->latent, b->pre, b->K);
}
void dense(bench *b) {
    CALL(b, gemm, false, false, b->rows, b->d, b->K, 1, b->pre, b->K, b->D, b->d, 0, b->x_hat, b->d);
}
void top_k(bench *b) {
    CALL(b, top_k, b->pre, b->rows, b->K, b->active, 0, &b->codes);
}
static void dots(bench *b) {
    CALL(b, dots, b->x, 1, RA_BF16, b->half, b->K, b->d, NULL, b->latent, b->K);
}
static void least(bench *b) {
    CALL(b, least_scores, b->pre, b->rows, b->K, b->D, b->D, (ra_least *)(void *)b->x_hat);
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
void decode(bench *b) {
    CALL(b, decode, &b->codes, RA_F32, b->D, b->d, b->x_hat);
}
void decode_half(bench *b) {
    CALL(b, decode, &b->codes, RA_BF16, b->half, b->d, b->x_hat);
}
static void decode_gradient(bench *b) {
    CALL(b, decode_gradient, &b->codes, b->x, b->D, b->d, b->value);
}
static void accumulate(bench *b) {
    CALL(b, accumulate, &b->codes, b->value, b->x, b->d, b->grad);
}
/* Codes that stay on the device, by latent, too. */
static void top_k_kept(bench *b) {
    CALL(b, codes_keep, &b->kept);
    CALL(b, top_k, b->pre, b->rows, b->K, b->active, 0, &b->kept);
}
static void decode_kept(bench *b) {
    CALL(b, decode, &b->kept, RA_F32, b->D, b->d, b->x_hat);
}
static void accumulate_kept(bench *b) {
    CALL(b, accumulate, &b->kept, b->kept.value, b->x, b->d, b->grad);
}
static void threshold_kept(bench *b) {
    CALL(b, codes_keep, &b->over);
    CALL(b, threshold, b->pre, b->rows, b->K, NULL, b->codes.value[0], &b->over);
}
static void magnitudes(bench *b) {
    CALL(b, magnitudes, &b->kept, 1, b->value, b->sums);
}
static void latent_sums(bench *b) {
    CALL(b, latent_sums, &b->codes, b->value, b->latent);
}
static void pick(bench *b) {
    CALL(b, gather_entries, &b->codes, b->pre, 0, b->value);
}
static void put(bench *b) {
    CALL(b, scatter_entries, &b->codes, 0.5f, b->value, b->g);
}
static void adam(bench *b) {
    const ra_adam_step step = {1e-4, 0.9, 0.999, 1e-8, 0.5, 0.5, 1, 0, RA_PROJECT_NOTHING, 0};
    CALL(b, adam, &step, b->D, b->grad, NULL, b->m, b->v, b->K, b->d);
}
static void project_simplex(bench *b) {
    CALL(b, project_simplex, b->grad, b->K, b->d);
}
static void project_ball(bench *b) {
    CALL(b, project_ball, b->grad, b->K, b->d, 0.5f);
}
static void gather(bench *b) {
    CALL(b, gather_rows, 1, b->D, b->atoms, b->K, b->d, b->grad);
}
static void dot(bench *b) {
    CALL(b, dot, b->D, b->m, b->K * b->d, b->sums);
}
static void dot_into(bench *b) {
    CALL(b, dot_into, b->D, b->m, b->K * b->d, b->latent);
}
static void squares(bench *b) {
    const float *const x[] = {b->D, b->m};
    const size_t n[] = {b->K * b->d, b->K * b->d};
    CALL(b, squares, x, n, 2, b->sums);
}
static void row_norms(bench *b) {
    CALL(b, row_norms, b->D, b->K, b->d, false, b->sums);
}
static void widen(bench *b) {
    CALL(b, widen, RA_BF16, b->half, b->grad, b->K * b->d);
}
static void spread(bench *b) {
    CALL(b, broadcast_row, b->latent, b->g, b->rows, b->K);
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
static void layer_norm(bench *b) {
    CALL(b, layer_norm, b->pre, b->rows, b->K, 1e-5, b->latent, b->latent, b->one, b->one, b->g);
}
static ra_norm norm(bench *b, bool by_row) {
    return (ra_norm){by_row, by_row ? b->one : b->latent, by_row ? b->one : b->latent, b->latent, b->latent};
}
static void normalize(bench *b) {
    ra_norm by_column = norm(b, false);
    CALL(b, normalize, &by_column, 0, b->pre, b->g, b->rows, b->K);
}
static void rms_norm(bench *b) {
    ra_norm by_column = norm(b, false);
    CALL(b, normalize, &by_column, 0x1p-23, b->pre, b->g, b->rows, b->K);
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
    CALL(b, pursue, &all, NULL, 0, 1, b->pre);
}
static size_t gram_size(const bench *b) { /* [n,n] where [B,K] has room */
    size_t n = (size_t)sqrt((double)b->rows * (double)b->K);
    return n < b->K ? n : b->K;
}
static void pursue_gram(bench *b) {
    ra_pursuit_path some = path(b, gram_size(b));
    CALL(b, pursue, &some, b->g, 0, STEPS, b->pre);
}
static void pursue_back(bench *b) {
    ra_pursuit_path all = path(b, b->K);
    CALL(b, pursue_backward, &all, b->value, 0, b->rows, b->room, b->push);
}

/* ---- the table ----------------------------------------------------------------------------------------- */

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
void print_table(bench *b) {
    double BK = (double)(b->rows * b->K), Kd = (double)(b->K * b->d), Bd = (double)(b->rows * b->d),
           entries = (double)ra_codes_entries(&b->codes), d = (double)b->d, B = (double)b->rows,
           n = (double)gram_size(b);
    const line lines[] = {
        {"upload, ordinary memory", upload, 4 * Bd, 0},
        {"download, ordinary memory", download, 4 * Bd, 0},
        {"encode: product", encode, 0, 2 * BK * d / 1e12},
        {"encode: product with a bias", encode_bias, 0, 2 * BK * d / 1e12},
        {"dots of one row, bfloat16", dots, 2 * Kd, 0},
        {"top_k", top_k, 4 * BK + 8 * entries, 0},
        {"least_scores", least, 4 * BK, 0},
        {"threshold", threshold, 8 * BK, 0},
        {"kth_largest", kth, 12 * BK, 0},
        {"decode, float32", decode, entries * (4 * d + 8) + 4 * Bd, 0},
        {"decode, bfloat16", decode_half, entries * (2 * d + 8) + 4 * Bd, 0},
        {"the same as a product of dense codes", dense, 0, 2 * BK * d / 1e12},
        {"decode_gradient", decode_gradient, entries * (4 * d + 8) + 4 * Bd, 0},
        {"accumulate", accumulate, entries * (4 * d + 12), 0},
        {"top_k, codes stay, also by latent", top_k_kept, 4.25 * BK + 60 * entries, 0},
        {"threshold, codes stay, also by latent", threshold_kept, 8.25 * BK, 0},
        {"decode, of codes there", decode_kept, entries * (4 * d + 8) + 4 * Bd, 0},
        {"accumulate, of codes there", accumulate_kept, entries * (4 * d + 12), 0},
        {"magnitudes, of codes there", magnitudes, 8 * entries, 0},
        {"latent_sums", latent_sums, 8 * entries, 0},
        {"pick", pick, 12 * entries, 0},
        {"put", put, 16 * entries, 0},
        {"adam", adam, 28 * Kd, 0},
        {"project_simplex", project_simplex, 8 * Kd, 0},
        {"project_ball", project_ball, 8 * Kd, 0},
        {"gather", gather, 8 * Kd, 0},
        {"dot", dot, 8 * Kd, 0},
        {"dot_into", dot_into, 8 * Kd, 0},
        {"squares, of two arrays", squares, 8 * Kd, 0},
        {"row_norms", row_norms, 4 * Kd, 0},
        {"widen, bfloat16", widen, 6 * Kd, 0},
        {"spread", spread, 4 * BK, 0},
        {"relu", relu, 8 * BK, 0},
        {"squared_error", squared_error, 12 * BK, 0},
        {"column_sums", column_sums, 4 * BK, 0},
        {"scale_rows", scale_rows, 8 * BK, 0},
        {"layer_norm", layer_norm, 8 * BK, 0},
        {"normalize", normalize, 8 * BK, 0},
        {"normalize, by root mean squares", rms_norm, 8 * BK, 0},
        {"norm_sums", norm_sums, 8 * BK, 0},
        {"norm_backward, LayerNorm", layer_norm_backward, 12 * BK, 0},
        {"norm_backward, BatchNorm", batch_norm_backward, 12 * BK, 0},
        {"kernel_sums, silverman", kernel_sums, 8 * BK, 0},
        {"pursue, scores computed anew", pursue, 4 * BK + 12 * Bd, 0},
        {"pursue_back, 8 steps", pursue_back, STEPS * 8 * Bd, 0},
        {"pursue, 8 steps, Gram matrix", pursue_gram, STEPS * 4 * B * n + (8 + STEPS * 4) * Bd, 0},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) print_line(b, &lines[i]);
}
