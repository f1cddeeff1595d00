/* The number codec against strtof, printf and cJSON, checked and then timed with 7,680 normally distributed float32 (ten
 * vectors of 768). Times are nanoseconds a number on one thread: the fastest and the median of many passes.
 */
#include "app/numbers.h"
#include "app/text.h"
#include "ra_memory.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COUNT = 7680, PASSES = 201, LONGEST = 64 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- the numbers, and three ways to write them ------------------------------------------------------- */

static float values[COUNT], back[COUNT];
static char *texts[3]; /* "[a,b,...]" */
static const char *const text_names[] = {"shortest float32", "%.9g", "%.17g (float32 as Python writes it)"};

static void fill_normal(void) {
    uint64_t state = 1;
    for (size_t i = 0; i < COUNT; i++) {
        double u[2];
        for (int j = 0; j < 2; j++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            u[j] = ((double)(state >> 11) + 0.5) * 0x1p-53;
        }
        values[i] = (float)(sqrt(-2 * log(u[0])) * cos(2 * M_PI * u[1]));
    }
}

static size_t print_ours(float v, char *out) {
    return number_print_f32(v, out);
}
static size_t print_9g(float v, char *out) {
    return (size_t)snprintf(out, LONGEST, "%.9g", (double)v);
}
static size_t print_17g(float v, char *out) {
    return (size_t)snprintf(out, LONGEST, "%.17g", (double)v);
}

static char *write_all(size_t (*print)(float, char *)) {
    char *all = malloc((size_t)COUNT * LONGEST), *p = all;
    if (!all) abort();
    for (size_t i = 0; i < COUNT; i++) {
        *p++ = i ? ',' : '[';
        p += print(values[i], p);
    }
    *p++ = ']';
    *p = '\0';
    return all;
}

/* ---- what is timed ----------------------------------------------------------------------------------- */

static char scratch[COUNT * LONGEST];
static size_t written; /* bytes of the last printing */

static void scan_ours(const char *from) {
    const char *end = from + strlen(from), *p = from;
    ra_status why;
    for (size_t i = 0; i < COUNT; i++) p = number_scan_f32(p + 1, end, &back[i], &why);
}
static void scan_strtof(const char *from) {
    const char *p = from;
    for (size_t i = 0; i < COUNT; i++) {
        char *next;
        back[i] = strtof(p + 1, &next);
        p = next;
    }
}
static void scan_cjson(const char *from) {
    cJSON *array = cJSON_Parse(from), *item;
    size_t i = 0;
    cJSON_ArrayForEach(item, array) back[i++] = (float)item->valuedouble;
    cJSON_Delete(array);
}
static void print_all_ours(const char *unused) {
    (void)unused;
    text out = {0};
    text_f32_array(&out, values, COUNT);
    written = out.size;
    text_release(&out);
}
static void print_all_9g(const char *unused) {
    (void)unused;
    char *p = scratch;
    for (size_t i = 0; i < COUNT; i++) {
        *p++ = ',';
        p += print_9g(values[i], p);
    }
    written = (size_t)(p - scratch);
}
static void print_all_cjson(const char *unused) {
    (void)unused;
    cJSON *array = cJSON_CreateFloatArray(values, COUNT);
    char *out = cJSON_PrintUnformatted(array);
    written = strlen(out);
    cJSON_free(out);
    cJSON_Delete(array);
}

typedef struct timing {
    double fastest, median;
} timing;

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static timing measure(void (*what)(const char *), const char *from) {
    double times[PASSES];
    for (int i = -3; i < PASSES; i++) {
        double start = now();
        what(from);
        if (i >= 0) times[i] = (now() - start) / COUNT;
    }
    qsort(times, PASSES, sizeof *times, ascending);
    return (timing){times[0], times[PASSES / 2]};
}

static void row(const char *name, timing t, timing ours, const char *note) {
    printf("  %-28s %8.1f %8.1f %7.1fx  %s\n", name, t.fastest, t.median, t.median / ours.median, note);
}

static void check_back(const char *name) {
    if (memcmp(values, back, sizeof values) == 0) return;
    printf("%s read other numbers than were written\n", name);
    exit(EXIT_FAILURE);
}

static void table(void) {
    printf("%d float32, normally distributed; ns a number\n", COUNT);
    for (int t = 0; t < 3; t++) {
        printf("\nreading %s, %.1f bytes a number\n", text_names[t], (double)strlen(texts[t]) / COUNT);
        printf("  %-28s %8s %8s %8s\n", "", "fastest", "median", "ratio");
        timing ours = measure(scan_ours, texts[t]);
        check_back("number_scan_f32");
        row("number_scan_f32", ours, ours, "");
        row("strtof", measure(scan_strtof, texts[t]), ours, "");
        check_back("strtof");
        row("cJSON_Parse", measure(scan_cjson, texts[t]), ours, "");
    }
    printf("\nwriting\n  %-28s %8s %8s %8s  bytes a number\n", "", "fastest", "median", "ratio");
    timing ours = measure(print_all_ours, NULL);
    char note[32];
    snprintf(note, sizeof note, "%.1f", (double)written / COUNT);
    row("text_f32_array", ours, ours, note);
    timing other = measure(print_all_9g, NULL);
    snprintf(note, sizeof note, "%.1f", (double)written / COUNT);
    row("snprintf %.9g", other, ours, note);
    other = measure(print_all_cjson, NULL);
    snprintf(note, sizeof note, "%.1f", (double)written / COUNT);
    row("cJSON_PrintUnformatted", other, ours, note);
}

int main(void) {
    fill_normal();
    texts[0] = write_all(print_ours);
    texts[1] = write_all(print_9g);
    texts[2] = write_all(print_17g);
    table();
    for (int t = 0; t < 3; t++) free(texts[t]);
    return EXIT_SUCCESS;
}
