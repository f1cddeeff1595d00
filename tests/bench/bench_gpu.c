/* What each operation of a device costs, beside what the device can do.
 *
 *     build/tests/bench_gpu [--device NAME] [--quick | [--latents K] [--runs N]]
 *
 * The limits are measured first: a copy within the device, and cuBLAS's own products in float32 and in TF32.
 * Then products and selections are held against plain loops, and every operation is timed: the median of
 * several runs, what it moves or computes by its kernel's head comment, and the share of the limit. Times are
 * those of a caller: codes and doubles go to the host and back in them. The sizes are those of a case that is
 * published: Flash-SAE (github.com/alepot55/flash-sae), batch 1,024, d 4,096, 65,536 latents, 64 active,
 * bfloat16, on an RTX 4070.
 *
 * Without a device it says so and ends well. --quick: tiny sizes, for a test that it works. --runs 1: every
 * operation a few times, for a profiler. */
#include "bench/gpu.h"

#include <dlfcn.h>
#include <math.h>
#include <string.h>

/* ---- what is on the device ----------------------------------------------------------------------------- */

static void *device_block(bench *b, size_t bytes) {
    void *block = NULL;
    ra_error err = {0};
    must(ra_backend_allocate(b->backend, bytes, &block, &err), &err);
    return block;
}

/* n random numbers in [-0.5, 0.5). */
static float *random_numbers(bench *b, size_t n) {
    float *numbers = host_block(n, sizeof *numbers);
    for (size_t i = 0; i < n; i++) numbers[i] = (float)(ra_random_unit(&b->random) - 0.5);
    return numbers;
}

static float *uploaded(bench *b, size_t n) {
    float *block = device_block(b, n * sizeof *block), *numbers = random_numbers(b, n);
    CALL(b, upload, block, numbers, n * sizeof *block);
    wait(b);
    ra_free(numbers);
    return block;
}

/* [rows, columns] random numbers, which the device makes: the product of two thin random matrices. No two rows
 * are alike, in one block or two. */
static float *filled(bench *b, size_t rows, size_t columns) {
    float *block = device_block(b, rows * columns * sizeof *block), *left = uploaded(b, rows * RANK),
          *right = uploaded(b, RANK * columns);
    CALL(b, gemm, false, false, rows, columns, RANK, 1, left, RANK, right, columns, 0, block, columns);
    wait(b);
    ra_backend_deallocate(b->backend, left);
    ra_backend_deallocate(b->backend, right);
    return block;
}

/* [K,d] in bfloat16: a sequence of random numbers over and over, whose length is odd, so that rows differ. */
static void *filled_half(bench *b) {
    size_t n = b->K * b->d;
    uint16_t *block = device_block(b, n * sizeof *block), *half = host_block(SEQUENCE, sizeof *half);
    float *numbers = random_numbers(b, SEQUENCE);
    ra_convert_from_f32(RA_BF16, numbers, half, SEQUENCE);
    for (size_t i = 0; i < n; i += SEQUENCE)
        CALL(b, upload, block + i, half, (n - i < SEQUENCE ? n - i : SEQUENCE) * sizeof *half);
    wait(b);
    ra_free(numbers);
    ra_free(half);
    return block;
}

/* Five blocks [K,d], one of them of half the size, two [B,K], and what is small. */
static size_t bytes_of(const bench *b) {
    return 18 * b->K * b->d + 8 * b->rows * b->K + (8 + 4 * STEPS) * b->rows * b->d + ((size_t)256 << 20);
}

static void prepare(bench *b) {
    size_t available = 0, total = 0, values = b->active > STEPS ? b->active : STEPS;
    ra_error err = {0};
    must(ra_backend_memory(b->backend, &available, &total, &err), &err);
    while (b->runs > 1 && b->K > 4096 && bytes_of(b) > available) b->K /= 2;
    ra_random_seed(&b->random, 1);
    float **const large[] = {&b->D, &b->grad, &b->m, &b->v};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) *large[i] = filled(b, b->K, b->d);
    CALL(b, relu, b->v, b->v, b->K * b->d); /* a second moment is not negative */
    b->half = filled_half(b);
    b->x = filled(b, b->rows, b->d);
    b->x_hat = filled(b, b->rows, b->d);
    b->pre = filled(b, b->rows, b->K);
    b->g = filled(b, b->rows, b->K);
    b->value = filled(b, b->rows, values);
    b->latent = filled(b, 1, b->K);
    b->one = filled(b, 1, b->rows);
    b->path = filled(b, b->rows, 2 * STEPS);
    b->room = filled(b, 2 * b->rows, b->d);
    b->push = filled(b, STEPS * b->rows, b->d);
    b->factors = host_block(b->rows, sizeof *b->factors);
    for (size_t i = 0; i < b->rows; i++) b->factors[i] = 1;
    b->sums = host_block(2 * b->K, sizeof *b->sums);
    b->host = random_numbers(b, b->rows * b->d);
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
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) ra_backend_deallocate(b->backend, blocks[i]);
    void *const host[] = {b->factors, b->sums, b->host};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++) ra_free(host[i]);
    ra_codes_release(&b->codes);
    ra_codes_release(&b->kept);
    ra_codes_release(&b->over);
    ra_backend_release(b->tf32);
    ra_backend_release(b->backend);
}

/* From the plugin that the table is in. */
static void print_device(const bench *b) {
    char text[512] = "a device that does not describe itself";
    Dl_info where;
    void *plugin = dladdr(b->backend->ops, &where) ? dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : NULL;
    void *symbol = plugin ? dlsym(plugin, RA_BACKEND_PLUGIN_DESCRIBE) : NULL;
    if (symbol) {
        ra_backend_describe_fn *describe;
        memcpy(&describe, &symbol, sizeof describe);
        describe(b->backend->self, text, sizeof text);
    }
    if (plugin) dlclose(plugin);
    printf("%s\n", text);
}

/* How many atoms the selected codes use: what a decode has to read from memory at least. */
static size_t distinct(const bench *b) {
    size_t count = 0;
    bool *used = host_block(b->K, sizeof *used);
    for (size_t e = 0; e < ra_codes_entries(&b->codes); e++) {
        count += !used[b->codes.index[e]];
        used[b->codes.index[e]] = true;
    }
    ra_free(used);
    return count;
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
    fprintf(stderr, "usage: bench_gpu [--device NAME] [--quick | [--latents K] [--runs N]]\n");
    return 2;
}

/* A number from 1 to `most`; 0: none. */
static size_t number(const char *text, size_t most) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    return *text < '0' || *text > '9' || *end || value > most ? 0 : value;
}

int main(int argc, char **argv) {
    const char *device =
        "cuda-device"; /* make bench-gpu: the plugin of this build, beside the emulated one */
    size_t runs = 0;
    bench b = {.rows = 1024, .d = 4096, .K = 65536, .active = 64, .square = 4096, .runs = MOST_RUNS};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--quick") == 0) {
            b.rows = 6, b.d = 32, b.K = 80, b.active = 4, b.square = 32, b.runs = 1;
        } else if (strcmp(argv[i], "--device") == 0 && i + 1 < argc)
            device = argv[++i];
        else if (strcmp(argv[i], "--latents") == 0 && i + 1 < argc && (b.K = number(argv[i + 1], 1 << 20)))
            i++;
        else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc && (runs = number(argv[i + 1], MOST_RUNS)))
            i++;
        else
            return usage();
    if (runs) b.runs = (int)runs;
    ra_error err = {0};
    if (ra_backend_open(device, NULL, &b.backend, &err) != RA_OK) {
        printf("bench_gpu: skipped: %s\n", err.message);
        return 0;
    }
    must(ra_backend_open(device, &(ra_backend_options){.tf32 = true}, &b.tf32, &err), &err);
    print_device(&b);
    prepare(&b);
    check_products_and_selections(&b);
    printf("batch %zu, d %zu, %zu latents, %zu active per row, %zu of them in all\n", b.rows, b.d, b.K,
           b.active, distinct(&b));
    measure_limits(&b);
    printf("%-44s %12s    %19s %6s\n", "", "median", "", "limit");
    print_table(&b);
    print_published(&b);
    clean_up(&b);
    return 0;
}
