/* Statistics of latents in one pass over the codes, in bounded memory.
 *
 * A histogram needs its range before the first value, but the range is known only after the last one. So the
 * last bin of each latent ends at the least power of two above its first value; when a value reaches that
 * end, the end doubles, and pairs of bins merge. Bins nest exactly, since multiplying by 50 and by powers of
 * two is exact in float64: the counts are those of one pass with the final range. */
#include "metrics/statistics.h"
#include "ra_memory.h"
#include "ra_text.h"

#include <math.h>
#include <string.h>

enum { BINS = RA_LATENT_BINS };

ra_status ra_latent_sums_init(ra_latent_sums *sums, size_t latents, size_t examples, ra_error *err) {
    *sums = (ra_latent_sums){.latents = latents, .examples = examples};
    sums->count = ra_calloc(latents, sizeof *sums->count);
    sums->sum = ra_calloc(latents, sizeof *sums->sum);
    sums->square = ra_calloc(latents, sizeof *sums->square);
    sums->max = ra_calloc(latents, sizeof *sums->max);
    sums->histogram_top = ra_calloc(latents, sizeof *sums->histogram_top);
    sums->histogram = ra_calloc(latents, BINS * sizeof *sums->histogram);
    sums->top_row = ra_malloc(latents, examples * sizeof *sums->top_row);
    sums->top_value = ra_calloc(latents, examples * sizeof *sums->top_value);
    sums->number = ra_malloc(latents, examples * sizeof *sums->number);
    sums->mean = ra_calloc(latents, sizeof *sums->mean);
    sums->energy = ra_calloc(latents, sizeof *sums->energy);
    if (!sums->count || !sums->sum || !sums->square || !sums->max || !sums->histogram_top ||
        !sums->histogram || !sums->top_row || !sums->top_value || !sums->number || !sums->mean ||
        !sums->energy) {
        ra_latent_sums_release(sums);
        RA_FAIL_MEMORY(err, "the statistics of latents",
                       latents * (BINS * sizeof(int64_t) + examples * (sizeof(int64_t) + sizeof(float))));
    }
    for (size_t i = 0; i < latents * examples; i++) sums->top_row[i] = -1;
    return RA_OK;
}

void ra_latent_sums_release(ra_latent_sums *sums) {
    ra_free(sums->count);
    ra_free(sums->sum);
    ra_free(sums->square);
    ra_free(sums->max);
    ra_free(sums->histogram_top);
    ra_free(sums->histogram);
    ra_free(sums->top_row);
    ra_free(sums->top_value);
    ra_free(sums->number);
    ra_free(sums->mean);
    ra_free(sums->energy);
    ra_labels_free(sums->labels);
    *sums = (ra_latent_sums){0};
}

/* ---- one value ---------------------------------------------------------------------------------------- */

/* The largest power of two in float32; larger values count in the last bin. */
static const float largest_top = 0x1p127f;

/* The least power of two above value > 0. */
static float power_above(float value) {
    int exponent;
    frexpf(value, &exponent);
    return value < largest_top ? ldexpf(1, exponent) : largest_top;
}

static void count_in_bin(int64_t *bins, float *top, float value) {
    if (value > 0 && *top <= 0) *top = power_above(value);
    while (value >= *top && value > 0 && *top < largest_top) {
        *top *= 2;
        for (size_t b = 0; b < BINS / 2; b++) bins[b] = bins[2 * b] + bins[2 * b + 1];
        memset(bins + BINS / 2, 0, BINS / 2 * sizeof *bins);
    }
    double bin = value > 0 ? (double)value * BINS / (double)*top : 0;
    bins[bin < BINS ? (size_t)bin : BINS - 1]++;
}

static void keep_example(ra_latent_sums *sums, size_t k, float value) {
    size_t T = sums->examples, t = T;
    int64_t *row = sums->top_row + k * T;
    float *best = sums->top_value + k * T;
    if (T == 0 || (row[T - 1] >= 0 && value <= best[T - 1])) return;
    while (t > 0 && (row[t - 1] < 0 || best[t - 1] < value)) t--;
    memmove(row + t + 1, row + t, (T - t - 1) * sizeof *row);
    memmove(best + t + 1, best + t, (T - t - 1) * sizeof *best);
    row[t] = (int64_t)sums->rows;
    best[t] = value;
}

static void add_value(ra_latent_sums *sums, size_t k, float value) {
    sums->max[k] = sums->count[k] == 0 || value > sums->max[k] ? value : sums->max[k];
    sums->count[k]++;
    sums->sum[k] += (double)value;
    sums->square[k] += (double)value * (double)value;
    count_in_bin(sums->histogram + k * BINS, &sums->histogram_top[k], value);
    keep_example(sums, k, value);
}

void ra_latent_sums_add(ra_latent_sums *sums, const ra_codes *codes) {
    for (size_t b = 0; b < codes->rows; b++) {
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++)
            if (codes->value[e] != 0) add_value(sums, (size_t)codes->index[e], codes->value[e]);
        sums->rows++;
    }
}

/* ---- the view ----------------------------------------------------------------------------------------- */

/* A tab separates the labels of a line in the artifact. */
static void add_label(ra_text *text, const char *label) {
    size_t from = text->size;
    ra_text_add(text, label);
    for (size_t i = from; i < text->size; i++)
        if (text->data[i] == '\t') text->data[i] = ' ';
    ra_text_add(text, "\n");
}

ra_status ra_latent_label_rows(const int64_t *number, size_t count, const ra_labels *row_labels,
                               ra_labels **labels, ra_error *err) {
    ra_text text = {0};
    ra_status status = RA_OK;
    for (size_t i = 0; i < count; i++) {
        const char *label = number[i] < 0 ? "" : ra_labels_at(row_labels, (size_t)number[i]);
        add_label(&text, label ? label : "");
    }
    if (text.failed)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the labels of %zu examples", count);
    else
        status = ra_labels_parse(text.data, text.size, "the labels of examples", labels, err);
    ra_text_release(&text);
    return status;
}

ra_status ra_latent_sums_view(ra_latent_sums *sums, const double *norm, const ra_latent_rows *rows,
                              ra_latent_statistics *view, ra_error *err) {
    for (size_t k = 0; k < sums->latents; k++) {
        sums->mean[k] = sums->count[k] ? (float)(sums->sum[k] / (double)sums->count[k]) : 0;
        sums->energy[k] = (float)(fabs(sums->sum[k]) / (double)sums->rows * norm[k]);
    }
    for (size_t i = 0; i < sums->latents * sums->examples; i++) {
        int64_t row = sums->top_row[i];
        sums->number[i] =
            row < 0 || !rows->number ? row : (int64_t)rows->number(rows->context, (uint64_t)row);
    }
    if (rows->labels) {
        ra_labels_free(sums->labels);
        sums->labels = NULL;
        RA_TRY(ra_latent_label_rows(sums->number, sums->latents * sums->examples, rows->labels, &sums->labels,
                                    err));
    }
    *view = (ra_latent_statistics){.rows = sums->rows,
                                   .concepts = sums->latents,
                                   .bins = BINS,
                                   .examples = sums->examples,
                                   .count = sums->count,
                                   .mean = sums->mean,
                                   .max = sums->max,
                                   .energy = sums->energy,
                                   .histogram_top = sums->histogram_top,
                                   .histogram = sums->histogram,
                                   .top_row = sums->number,
                                   .top_value = sums->top_value,
                                   .top_label = rows->labels ? sums->labels : NULL};
    return RA_OK;
}
