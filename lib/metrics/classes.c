/* One pass over the values of a latent, in descending order, tries every threshold. With a threshold below
 * the first m values, of which t are in class c, the accuracy is (rows - |c| + t - (m - t)) / rows. The next
 * value lowers the accuracy of every class except its own, so only that class has to be compared, whatever
 * the number of classes. Equal values are on the same side of every threshold and are taken together. A
 * threshold of infinity assigns no row to the class, a negative one every row. */
#include "metrics/classes.h"
#include "ra_memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ENTRIES = 1 << 16 };

typedef struct active {
    float value;
    int32_t klass;
} active;

ra_status ra_classes_init(ra_classes *classes, size_t latents, size_t count, size_t bytes, ra_error *err) {
    *classes = (ra_classes){.latents = latents, .classes = count};
    classes->most = bytes / (2 * sizeof(int32_t) + sizeof(float) +
                             sizeof(struct active)); /* the entries, and a sorted copy */
    classes->size = ra_calloc(count, sizeof *classes->size);
    if (!classes->size) RA_FAIL_MEMORY(err, "the sizes of classes", count * sizeof *classes->size);
    return RA_OK;
}

static void forget_entries(ra_classes *classes) {
    ra_free(classes->latent);
    ra_free(classes->klass);
    ra_free(classes->value);
    classes->latent = classes->klass = NULL;
    classes->value = NULL;
    classes->entries = classes->capacity = 0;
}

void ra_classes_release(ra_classes *classes) {
    forget_entries(classes);
    ra_free(classes->size);
    *classes = (ra_classes){0};
}

static ra_status reserve(ra_classes *classes, size_t entries, ra_error *err) {
    if (entries <= classes->capacity) return RA_OK;
    size_t capacity = classes->capacity ? classes->capacity : FIRST_ENTRIES;
    while (capacity < entries) capacity *= 2;
    if (capacity > classes->most) capacity = classes->most;
    int32_t *latent = ra_realloc(classes->latent, capacity, sizeof *latent);
    if (latent) classes->latent = latent;
    int32_t *klass = ra_realloc(classes->klass, capacity, sizeof *klass);
    if (klass) classes->klass = klass;
    float *value = ra_realloc(classes->value, capacity, sizeof *value);
    if (value) classes->value = value;
    if (!latent || !klass || !value)
        RA_FAIL_MEMORY(err, "the codes of classes", capacity * (2 * sizeof(int32_t) + sizeof(float)));
    classes->capacity = capacity;
    return RA_OK;
}

ra_status ra_classes_add(ra_classes *classes, const ra_codes *codes, const int32_t *row_class,
                         ra_error *err) {
    for (size_t b = 0; b < codes->rows; b++) classes->size[row_class[b]]++;
    classes->rows += codes->rows;
    if (classes->entries + ra_codes_entries(codes) > classes->most) classes->overflowed = true;
    if (classes->overflowed) {
        forget_entries(classes);
        return RA_OK;
    }
    RA_TRY(reserve(classes, classes->entries + ra_codes_entries(codes), err));
    for (size_t b = 0; b < codes->rows; b++)
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++) {
            if (!(codes->value[e] > 0)) continue; /* no better than 0, which most rows have */
            classes->latent[classes->entries] = codes->index[e];
            classes->klass[classes->entries] = row_class[b];
            classes->value[classes->entries++] = codes->value[e];
        }
    return RA_OK;
}

/* ---- the best ----------------------------------------------------------------------------------------- */

static int falling(const void *a, const void *b) {
    float x = ((const active *)a)->value, y = ((const active *)b)->value;
    return (x < y) - (x > y);
}

static void improve(ra_class_detector *best, double accuracy, size_t latent, float threshold) {
    if (accuracy > best->accuracy) *best = (ra_class_detector){accuracy, latent, threshold};
}

/* values [n] of one latent, descending; seen [C] holds zeros before and after. */
static void sweep(const ra_classes *classes, size_t latent, const active *values, size_t n, size_t *seen,
                  ra_class_detector *best) {
    double rows = (double)classes->rows;
    for (size_t from = 0, end; from < n; from = end) {
        for (end = from; end < n && values[end].value == values[from].value; end++) seen[values[end].klass]++;
        float threshold = end < n ? values[end].value : 0;
        for (size_t i = from; i < end; i++) {
            size_t c = (size_t)values[i].klass;
            double correct = rows - (double)classes->size[c] + 2 * (double)seen[c] - (double)end;
            improve(&best[c], correct / rows, latent, threshold);
        }
    }
    for (size_t i = 0; i < n; i++) seen[values[i].klass] = 0;
}

/* start [K+1] <- where the values of each latent begin in `sorted`. */
static void sort_by_latent(const ra_classes *classes, size_t *start, active *sorted) {
    memset(start, 0, (classes->latents + 1) * sizeof *start);
    for (size_t e = 0; e < classes->entries; e++) start[classes->latent[e] + 1]++;
    for (size_t k = 0; k < classes->latents; k++) start[k + 1] += start[k];
    for (size_t e = 0; e < classes->entries; e++)
        sorted[start[classes->latent[e]]++] = (active){classes->value[e], classes->klass[e]};
    memmove(start + 1, start, classes->latents * sizeof *start);
    start[0] = 0;
}

/* The accuracy without any code: no row is in the class, or every row is. */
static void start_with_nothing(const ra_classes *classes, ra_class_detector *best) {
    double rows = (double)classes->rows;
    for (size_t c = 0; c < classes->classes; c++) {
        double share = (double)classes->size[c] / rows;
        best[c] = (ra_class_detector){1 - share, 0, INFINITY};
        improve(&best[c], share, 0, -INFINITY);
    }
}

ra_status ra_classes_best(ra_classes *classes, ra_class_detector *best, ra_error *err) {
    size_t K = classes->latents;
    size_t *start = ra_malloc(K + 1, sizeof *start);
    size_t *seen = ra_calloc(classes->classes, sizeof *seen);
    active *sorted = ra_malloc(classes->entries, sizeof *sorted);
    bool complete = start && seen && sorted;
    if (complete) {
        sort_by_latent(classes, start, sorted);
        start_with_nothing(classes, best);
        for (size_t k = 0; k < K; k++) {
            active *values = sorted + start[k];
            size_t n = start[k + 1] - start[k];
            qsort(values, n, sizeof *values, falling);
            sweep(classes, k, values, n, seen, best);
        }
    }
    ra_free(start);
    ra_free(seen);
    ra_free(sorted);
    if (complete) return RA_OK;
    RA_FAIL_MEMORY(err, "the detectors of classes",
                   (K + 1 + classes->classes) * sizeof(size_t) + classes->entries * sizeof(active));
}
