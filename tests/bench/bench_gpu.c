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
#include "bench/gpu.h"

#include "base/random.h"

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

static float *filled(bench *b, size_t n) {
    float *block = device_block(b, n * sizeof *block);
    for (size_t i = 0; i < n; i += CHUNK)
        CALL(b, upload, block + i, b->chunk, (n - i < CHUNK ? n - i : CHUNK) * sizeof *block);
    wait(b);
    return block;
}

/* Five blocks [K,d], one of them of half the size, two [B,K], and what is small. */
static size_t bytes_of(const bench *b) {
    return 18 * b->K * b->d + 8 * b->rows * b->K + (8 + 4 * STEPS) * b->rows * b->d + ((size_t)256 << 20);
}

static void prepare(bench *b) {
    size_t available = 0, total = 0, Kd = b->K * b->d, BK = b->rows * b->K, Bd = b->rows * b->d;
    ra_error err = {0};
    must(ra_backend_memory(b->backend, &available, &total, &err), &err);
    while (b->runs > 1 && b->K > 4096 && bytes_of(b) > available) b->K /= 2;
    Kd = b->K * b->d;
    BK = b->rows * b->K;
    b->chunk = host_block(CHUNK, sizeof *b->chunk);
    ra_random random;
    ra_random_seed(&random, 1);
    for (size_t i = 0; i < CHUNK; i++) b->chunk[i] = (float)(ra_random_unit(&random) - 0.5);
    float **const large[] = {&b->D, &b->grad, &b->m, &b->v};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) *large[i] = filled(b, Kd);
    CALL(b, axpby, 0, NULL, 0, b->v, Kd); /* a second moment is not negative */
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
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) ra_backend_deallocate(b->backend, blocks[i]);
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
    print_device(&b);
    prepare(&b);
    check_products_and_selections(&b);
    printf("batch %zu, d %zu, %zu latents, %zu active\n", b.rows, b.d, b.K, b.active);
    measure_limits(&b);
    printf("%-44s %12s    %19s %6s\n", "", "median", "", "limit");
    print_table(&b);
    print_published(&b);
    clean_up(&b);
    return 0;
}
