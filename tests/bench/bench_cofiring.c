/* What the lists of latents that are active together cost, and the examples by quantile, without the encoding.
 *
 *     build/tests/bench_cofiring [THREADS [ROWS [CONCEPTS [MIB]]]]
 *
 * 50 of 32,000 latents are active in each of 1,000,000 rows; how often each is falls as 1 / rank, and groups of 16 are
 * active together. MIB: memory for the codes (4096); what does not fit goes to a file in the folder where it runs. The lists of some latents are compared with plain counts before the times are printed. */
#include "ra.h"

#include "app/start.h"
#include "base/random.h"
#include "metrics/by_latent.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { ACTIVE = 50, GROUP = 16, CHUNK = 1024, PARTNERS = 16, QUANTILES = 10, QUANTILE_ROWS = 5, CHECKED = 3 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of all threads, in user mode: others may use the machine, too. */
static double busy(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + 1e-6 * (double)usage.ru_utime.tv_usec;
}

static void must(ra_status status, const ra_error *err) {
    if (status == RA_OK) return;
    fprintf(stderr, "bench_cofiring: %s\n", err->message);
    exit(1);
}

static int ascending(const void *a, const void *b) {
    return (*(const int32_t *)a > *(const int32_t *)b) - (*(const int32_t *)a < *(const int32_t *)b);
}

/* Half of a row is drawn one by one, half in groups. */
static void fill(ra_codes *codes, size_t rows, size_t K, ra_random *random) {
    ra_error err = {0};
    size_t used = 0;
    must(ra_codes_reserve(codes, rows, K, rows * ACTIVE, &err), &err);
    for (size_t b = 0; b < rows; b++) {
        int32_t *index = codes->index + used, group = 0;
        size_t n = 0;
        while (n < ACTIVE) {
            int32_t k = (int32_t)(pow((double)K, ra_random_unit(random)) - 1);
            if (n % GROUP < GROUP / 2 && n > 0)
                k = group * GROUP + (int32_t)ra_random_below(random, GROUP);
            else
                group = k / GROUP;
            if (k >= (int32_t)K) continue;
            bool there = false;
            for (size_t i = 0; i < n; i++) there |= index[i] == k;
            if (there) { /* another group, or a small one would never fill the row */
                group = (int32_t)ra_random_below(random, K / GROUP);
                continue;
            }
            index[n++] = k;
        }
        qsort(index, ACTIVE, sizeof *index, ascending);
        for (size_t i = 0; i < ACTIVE; i++) codes->value[used + i] = (float)(0.01 + ra_random_unit(random));
        used += ACTIVE;
        codes->start[b + 1] = used;
    }
}

static void check(const ra_codes *all, const ra_latent_statistics *view, size_t K) {
    int64_t *count = calloc(K, sizeof *count);
    for (size_t c = 0; c < CHECKED && count; c++) {
        size_t i = c * 37 % K;
        memset(count, 0, K * sizeof *count);
        for (size_t b = 0; b < all->rows; b++) {
            bool there = false;
            for (size_t e = all->start[b]; e < all->start[b + 1]; e++) there |= (size_t)all->index[e] == i;
            for (size_t e = all->start[b]; there && e < all->start[b + 1]; e++) count[all->index[e]]++;
        }
        count[i] = 0;
        for (size_t t = 0; t < PARTNERS; t++) {
            int64_t largest = 0;
            int32_t k = view->cofiring.atom[RA_COFIRING_COUNT][i * PARTNERS + t];
            for (size_t j = 0; j < K; j++) largest = count[j] > largest ? count[j] : largest;
            if (largest != view->cofiring.count[RA_COFIRING_COUNT][i * PARTNERS + t] || count[k] != largest) {
                fprintf(stderr, "bench_cofiring: the list of latent %zu is wrong at %zu\n", i, t);
                exit(1);
            }
            count[k] = 0;
        }
    }
    free(count);
}

int main(int argc, char **argv) {
    start_with_blas(argv);
    size_t threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 2,
           rows = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000000,
           K = argc > 3 ? strtoul(argv[3], NULL, 10) : 32000,
           memory = argc > 4 ? strtoul(argv[4], NULL, 10) : 4096;
    const ra_latent_rows names = {0};
    ra_error err = {0};
    ra_pool *pool = NULL;
    ra_random random;
    ra_codes codes = {0};
    ra_latent_sums sums;
    ra_by_latent by;
    ra_latent_statistics view = {.rows = 0};
    must(ra_pool_new(threads, 0, &pool, &err), &err);
    must(ra_latent_sums_init(&sums, K, 16, &err), &err);
    ra_random_seed(&random, 1);
    for (int lists = 0; lists < 2; lists++) {
        const ra_by_latent_options options = {.partners = lists == 0 ? PARTNERS : 0,
                                              .least = 5,
                                              .quantiles = lists == 1 ? QUANTILES : 0,
                                              .quantile_rows = QUANTILE_ROWS,
                                              .bytes = memory << 20,
                                              .folder = "."};
        double keeping = 0, begun, worked;
        must(ra_by_latent_init(&by, K, &options, &err), &err);
        ra_random_seed(&random, 1);
        for (size_t from = 0; from < rows; from += CHUNK) {
            fill(&codes, rows - from < CHUNK ? rows - from : CHUNK, K, &random);
            if (lists == 0) ra_latent_sums_add(&sums, &codes);
            begun = now();
            must(ra_by_latent_add(&by, pool, &codes, true, &err), &err);
            keeping += now() - begun;
        }
        begun = now();
        worked = busy();
        must(ra_by_latent_view(&by, pool, &sums, &names, &view, &err), &err);
        begun = now() - begun;
        worked = busy() - worked;
        if (lists == 0 && !by.kept.on_disk) check(&by.kept.codes, &view, K);
        printf("%s of %zu latents, %d active in each of %zu rows: keeping the codes %.2f s, then %.1f s on "
               "%zu threads "
               "(%.1f s of work)\n",
               lists == 0 ? "partners" : "quantiles", K, ACTIVE, rows, keeping, begun, threads, worked);
        ra_by_latent_release(&by);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("peak memory %.0f MiB\n", (double)usage.ru_maxrss / 1024);
    ra_codes_release(&codes);
    ra_latent_sums_release(&sums);
    ra_pool_free(pool);
    return 0;
}
