/* A contrast of two sets of data (ra_contrast.h has the definitions): sums over units in one pass over each set, then the
 * intervals.
 *
 * A unit is an item or a row. Within a unit only the latents that are active in it have sums, in a list that is emptied
 * when the next unit begins. */
#include "ra_metrics.h"
#include "ra_memory.h"
#include "model/model.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { CHUNK_ROWS = 1024, FEW = 30 };

/* Sums over the units of one set, for one latent. u: the mean |code| over the rows of a unit; f: the share of its rows in
 * which the latent is active. */
typedef struct latent_sums {
    int64_t rows;     /* in which it is active */
    size_t units;     /* in which u > 0 */
    double u, square; /* sums of u, u^2 */
    double f_square;  /* sum of f^2 */
} latent_sums;

typedef struct side {
    latent_sums *sums; /* [K] */
    size_t rows, units;
    uint64_t item;    /* the present one */
    size_t item_rows; /* of it so far */
    /* of the present unit */
    int32_t *touched; /* [K] the latents that are active in it */
    size_t touched_count;
    double *sum;      /* [K] of |code| */
    uint32_t *active; /* [K] rows */
} side;

struct ra_contrasting {
    ra_model *model;
    ra_workspace *workspace;
    ra_codes codes;
    ra_contrasting_options options;
    side side[2];
    ra_contrast contrast;
    int64_t *count;
    float *energy, *frequency;
};

/* ---- life --------------------------------------------------------------------------------------------- */

static ra_status side_init(side *s, size_t K, ra_error *err) {
    s->sums = ra_calloc(K, sizeof *s->sums);
    s->touched = ra_malloc(K, sizeof *s->touched);
    s->sum = ra_calloc(K, sizeof *s->sum);
    s->active = ra_calloc(K, sizeof *s->active);
    if (!s->sums || !s->touched || !s->sum || !s->active)
        RA_FAIL_MEMORY(err, "a contrast", K * (sizeof *s->sums + sizeof *s->sum + 8));
    return RA_OK;
}

static void side_release(side *s) {
    ra_free(s->sums);
    ra_free(s->touched);
    ra_free(s->sum);
    ra_free(s->active);
}

static ra_status check_options(const ra_model *model, const ra_contrasting_options *options, ra_error *err) {
    if (!ra_model_get_info(model)->has_encoder)
        RA_FAIL(err, RA_ERR_STATE, "%s has no encoder, so data cannot be contrasted with it",
                ra_model_get_info(model)->path);
    if (!options->name || !ra_contrast_is_name(options->name))
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "a contrast cannot be named \"%s\"; expected 1 to %d letters, digits, - and _",
                options->name ? options->name : "", RA_CONTRAST_NAME);
    if (!(options->confidence >= 0 && options->confidence < 1))
        RA_FAIL(err, RA_ERR_ARGUMENT, "a confidence of %g is not possible; expected a number between 0 and 1",
                options->confidence);
    return RA_OK;
}

ra_status ra_contrasting_new(ra_model *model, const ra_contrasting_options *options, ra_contrasting **out,
                             ra_error *err) {
    size_t K = ra_model_get_info(model)->concepts;
    ra_status status;
    RA_TRY(check_options(model, options, err));
    ra_contrasting *c = ra_calloc(1, sizeof *c);
    if (!c) RA_FAIL_MEMORY(err, "a contrast", sizeof *c);
    c->model = ra_model_retain(model);
    c->options = *options;
    if (options->confidence == 0) c->options.confidence = RA_CONTRAST_CONFIDENCE;
    memcpy(c->contrast.name, options->name, strlen(options->name));
    c->count = ra_malloc(2 * K, sizeof *c->count);
    c->energy = ra_malloc(K, RA_CONTRAST_COLUMNS * sizeof *c->energy);
    c->frequency = ra_malloc(K, RA_CONTRAST_COLUMNS * sizeof *c->frequency);
    if (!c->count || !c->energy || !c->frequency) {
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: a contrast of %zu latents", K);
        goto out;
    }
    RA_TRY_OUT(status, ra_workspace_new(&c->workspace, err));
    RA_TRY_OUT(status, side_init(&c->side[0], K, err));
    RA_TRY_OUT(status, side_init(&c->side[1], K, err));
    *out = c;
    return RA_OK;
out:
    ra_contrasting_free(c);
    return status;
}

void ra_contrasting_free(ra_contrasting *c) {
    if (!c) return;
    side_release(&c->side[0]);
    side_release(&c->side[1]);
    ra_codes_release(&c->codes);
    ra_workspace_free(c->workspace);
    ra_free(c->count);
    ra_free(c->energy);
    ra_free(c->frequency);
    ra_model_release(c->model);
    ra_free(c);
}

/* ---- rows --------------------------------------------------------------------------------------------- */

static void end_unit(side *s) {
    if (s->item_rows == 0) return;
    for (size_t t = 0; t < s->touched_count; t++) {
        size_t k = (size_t)s->touched[t];
        latent_sums *sums = &s->sums[k];
        double u = s->sum[k] / (double)s->item_rows, f = (double)s->active[k] / (double)s->item_rows;
        sums->rows += s->active[k];
        sums->units++;
        sums->u += u;
        sums->square += u * u;
        sums->f_square += f * f;
        s->sum[k] = 0;
        s->active[k] = 0;
    }
    s->units++;
    s->rows += s->item_rows;
    s->item_rows = s->touched_count = 0;
}

static void add_row(side *s, const ra_codes *codes, size_t b, uint64_t item) {
    if (s->item_rows > 0 && item != s->item) end_unit(s);
    s->item = item;
    s->item_rows++;
    for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++) {
        size_t k = (size_t)codes->index[e];
        if (codes->value[e] == 0) continue;
        if (s->active[k] == 0) s->touched[s->touched_count++] = (int32_t)k;
        s->active[k]++;
        s->sum[k] += fabs((double)codes->value[e]);
    }
}

ra_status ra_contrasting_add(ra_contrasting *c, int set, const float *x, size_t rows, ra_error *err) {
    side *s = &c->side[set != 0];
    size_t d = ra_model_get_info(c->model)->dimensions;
    const ra_contrasting_set *what = &c->options.sets[set != 0];
    for (size_t from = 0; from < rows; from += CHUNK_ROWS) {
        size_t count = rows - from < CHUNK_ROWS ? rows - from : CHUNK_ROWS;
        RA_TRY(ra_model_encode(c->model, c->workspace, x + from * d, count, &c->codes, err));
        for (size_t b = 0; b < count; b++) {
            uint64_t row = s->rows + s->item_rows;
            if (what->row_number) row = what->row_number(what->row_context, row);
            add_row(s, &c->codes, b, row / (what->item_rows ? what->item_rows : 1));
        }
    }
    return RA_OK;
}

/* ---- intervals ---------------------------------------------------------------------------------------- */

typedef struct interval {
    double value, low, high;
} interval;

/* The z that a standard normal number exceeds with this probability. */
static double normal_above(double probability) {
    double low = 0, high = 40;
    for (int i = 0; i < 100; i++) {
        double middle = (low + high) / 2;
        *(erfc(middle / sqrt(2)) / 2 > probability ? &low : &high) = middle;
    }
    return low;
}

static interval wilson(double share, double n, double z) {
    double scale = 1 + z * z / n, middle = (share + z * z / (2 * n)) / scale,
           half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale;
    return (interval){share, fmax(0, fmin(share, middle - half)), fmin(1, fmax(share, middle + half))};
}

static interval difference(interval a, interval b) {
    double value = a.value - b.value;
    return (interval){value, value - hypot(a.value - a.low, b.high - b.value),
                      value + hypot(a.high - a.value, b.value - b.low)};
}

/* What both sides say about the codes of a latent where it is active: their mean over units, and their coefficient of
 * variation. */
typedef struct pooled {
    double mean, variation;
} pooled;

/* Sum of the squared deviations of u over the active units. */
static double deviations(const latent_sums *s) {
    return s->units ? fmax(0, s->square - s->u * s->u / (double)s->units) : 0;
}

static pooled pool(const latent_sums *a, const latent_sums *b) {
    double n = (double)(a->units + b->units), relative = 0;
    if (a->units) relative += deviations(a) * (double)a->units * (double)a->units / (a->u * a->u);
    if (b->units) relative += deviations(b) * (double)b->units * (double)b->units / (b->u * b->u);
    return (pooled){(a->u + b->u) / n, sqrt(relative / fmax(1, n - 2))};
}

/* Of the mean of u over all n units: the share of active ones times the mean over these. Few units tell little about
 * how much their codes vary, so then what both sides have in common counts, if it is more. */
static interval mean_of(const latent_sums *s, size_t n, const pooled *both, double z) {
    double active = (double)s->units;
    interval share = wilson(active / (double)n, (double)n, z);
    if (s->units == 0) return (interval){0, 0, share.high * both->mean};
    double mean = s->u / active, value = s->u / (double)n;
    double variation = s->units > 1 ? sqrt(deviations(s) / (active - 1)) / mean : 0;
    if (s->units < FEW) variation = fmax(variation, both->variation);
    double spread = z * variation / sqrt(active) * (1 + 1 / active);
    return (interval){value, value * exp(-hypot(log(share.value / share.low), spread)),
                      value * exp(hypot(log(share.high / share.value), spread))};
}

/* Of the share of the rows in which it is active. Rows of one unit are alike, so they count as fewer. */
static interval frequency_of(const latent_sums *s, const side *all, double z) {
    double n = (double)all->units, rows = (double)all->rows, share = (double)s->rows / rows, effective = rows;
    if (all->units < all->rows && n > 1) {
        double variance = fmax(0, (s->f_square - n * share * share) / (n - 1)) / n;
        effective = variance > 0 ? fmin(rows, share * (1 - share) / variance) : n;
    }
    return wilson(share, effective, z);
}

static float bounded(double x, double most) {
    return (float)(x > most ? most : x < -most ? -most : x);
}

static void put(float *row, interval a, interval b, double scale, bool known, double most) {
    interval between = difference(a, b);
    row[RA_CONTRAST_A] = bounded(a.value * scale, most);
    row[RA_CONTRAST_B] = bounded(b.value * scale, most);
    row[RA_CONTRAST_DIFFERENCE] = bounded(between.value * scale, most);
    row[RA_CONTRAST_LOW] = known ? bounded(between.low * scale, most) : (float)-most;
    row[RA_CONTRAST_HIGH] = known ? bounded(between.high * scale, most) : (float)most;
    row[RA_CONTRAST_LOW] = fminf(row[RA_CONTRAST_LOW], row[RA_CONTRAST_DIFFERENCE]); /* rounding */
    row[RA_CONTRAST_HIGH] = fmaxf(row[RA_CONTRAST_HIGH], row[RA_CONTRAST_DIFFERENCE]);
}

ra_status ra_contrasting_finish(ra_contrasting *c, const ra_contrast **contrast, ra_error *err) {
    size_t K = ra_model_get_info(c->model)->concepts, tested = 0;
    side *a = &c->side[0], *b = &c->side[1];
    end_unit(a);
    end_unit(b);
    for (int set = 0; set < 2; set++)
        if (c->side[set].rows == 0)
            RA_FAIL(err, RA_ERR_STATE, "a contrast needs at least one row of each set; %s has none",
                    c->options.sets[set].name);
    for (size_t k = 0; k < K; k++) tested += a->sums[k].units + b->sums[k].units >= RA_CONTRAST_LEAST;
    size_t intervals = c->options.each || tested == 0 ? 1 : 2 * tested;
    double z = normal_above((1 - c->options.confidence) / (2 * (double)intervals));
    for (size_t k = 0; k < K; k++) {
        const latent_sums *x = &a->sums[k], *y = &b->sums[k];
        bool known = x->units + y->units >= RA_CONTRAST_LEAST;
        pooled both = x->units + y->units ? pool(x, y) : (pooled){0, 0};
        c->count[2 * k] = x->rows;
        c->count[2 * k + 1] = y->rows;
        put(c->energy + k * RA_CONTRAST_COLUMNS, mean_of(x, a->units, &both, z),
            mean_of(y, b->units, &both, z), ra_model_atom_norm(c->model, k), known, FLT_MAX);
        put(c->frequency + k * RA_CONTRAST_COLUMNS, frequency_of(x, a, z), frequency_of(y, b, z), 1, known,
            1);
    }
    ra_contrast *found = &c->contrast;
    found->a = c->options.sets[0].name;
    found->b = c->options.sets[1].name;
    found->concepts = K;
    for (int set = 0; set < 2; set++) {
        found->rows[set] = c->side[set].rows;
        found->units[set] = c->side[set].units;
    }
    found->confidence = c->options.confidence;
    found->intervals = intervals;
    found->count = c->count;
    found->energy = c->energy;
    found->frequency = c->frequency;
    *contrast = found;
    return RA_OK;
}
