/* The curves by step.
 *
 * A single batch says little. So the main line is a moving average; a pale line behind it shows the smallest and the
 * largest value in every column of pixels. At the start, where curves are steep, the average takes as many points
 * after a point as there are before it, and so begins on the first point; at the end, where curves are noisy, it takes
 * the points that are left. Each row of the table is a chart. */
#include "report/chart.h"
#include "report/page.h"
#include "report/pieces.h"

#include <math.h>
#include <stdio.h>

enum {
    COLUMNS = 240,     /* of pixels that are distinguished */
    SMOOTH_SHARE = 40, /* the average reaches over a 40th of the run, to either side */
    SMOOTH_WORTH = 24, /* with fewer points no average is drawn */
};

typedef double point_value(const report_point *point);

static double loss_of(const report_point *point) {
    return point->loss;
}

static double r2_of(const report_point *point) {
    return point->r2_per_dimension;
}

static double l0_of(const report_point *point) {
    return point->l0;
}

static double dead_of(const report_point *point) {
    return point->dead;
}

static double norm_of(const report_point *point) {
    return point->grad_norm;
}

static double rate_of(const report_point *point) {
    return point->lr;
}

static const struct curve_row {
    const char *heading, *sentence;
    point_value *value;
    axis_wish wish;
    bool exact;   /* drawn as it is: not a measurement */
    int decimals; /* of the closing value; 0: significant digits */
} curves[] = {
    {"Loss", "the minimized function, averaged over each batch", loss_of, {.logarithmic = true}, false, 0},
    {"R\u00b2",
     "share of the variance of each dimension that is explained, for each batch",
     r2_of,
     {.most = 1},
     false,
     4},
    {"L0", "active latents per row, averaged over each batch", l0_of, {.from_zero = true}, false, 0},
    {"Dead latents",
     "share of latents not active in the last epoch\u2019s worth of steps",
     dead_of,
     {.from_zero = true, .percent = true, .least_high = 0.01, .most = 1},
     false,
     1},
    {"Gradient norm", "over all parameters, before clipping", norm_of, {.logarithmic = true}, false, 0},
    {"Learning rate", "as scheduled", rate_of, {.from_zero = true}, true, 0},
};

/* Memory for the points of one run, and for those of all runs to choose an axis by. */
typedef struct curve_scratch {
    double *all;             /* [points of all runs] */
    double *x, *y, *smooth;  /* [REPORT_POINTS] */
    double *thin_x, *thin_y; /* [REPORT_POINTS + 1] */
} curve_scratch;

/* ---- what is drawn ------------------------------------------------------------------------------------ */

static void smooth(const double *y, size_t n, double *out) {
    size_t reach = n / SMOOTH_SHARE + 1;
    for (size_t i = 0; i < n; i++) {
        size_t r = i < reach ? i : reach;
        double sum = 0, weights = 0;
        for (size_t j = i - r; j <= i + r && j < n; j++) {
            double weight = (double)(r + 1) - fabs((double)j - (double)i);
            sum += weight * y[j];
            weights += weight;
        }
        out[i] = sum / weights;
    }
}

/* Every n-th point, among them the first and the last. */
static size_t thin_out(const double *x, const double *y, size_t n, curve_scratch *s) {
    size_t stride = (n + COLUMNS - 1) / COLUMNS, count = 0;
    for (size_t i = 0; i < n; i += stride) {
        s->thin_x[count] = x[i];
        s->thin_y[count++] = y[i];
    }
    if ((n - 1) % stride) {
        s->thin_x[count] = x[n - 1];
        s->thin_y[count++] = y[n - 1];
    }
    return count;
}

/* The smallest and the largest value of each column, in their order. */
static size_t extremes(const double *x, const double *y, size_t n, curve_scratch *s) {
    size_t width = (n + COLUMNS - 1) / COLUMNS, count = 0;
    for (size_t from = 0; from < n; from += width) {
        size_t low = from, high = from;
        for (size_t i = from; i < n && i < from + width; i++) {
            if (y[i] < y[low]) low = i;
            if (y[i] > y[high]) high = i;
        }
        size_t first = low < high ? low : high, second = low < high ? high : low;
        s->thin_x[count] = x[first];
        s->thin_y[count++] = y[first];
        if (first == second) continue;
        s->thin_x[count] = x[second];
        s->thin_y[count++] = y[second];
    }
    return count;
}

static void draw_run(const chart *c, const struct curve_row *row, const report_content *report, size_t run,
                     enum chart_stroke stroke, curve_scratch *s) {
    const report_history *history = report->runs[run].history;
    size_t n = history->count;
    for (size_t i = 0; i < n; i++) {
        s->x[i] = history->points[i].step;
        s->y[i] = row->value(&history->points[i]);
    }
    bool averaged = !row->exact && n >= SMOOTH_WORTH;
    if (stroke == CHART_RAW) {
        if (averaged) chart_line(c, run, stroke, s->thin_x, s->thin_y, extremes(s->x, s->y, n, s));
        return;
    }
    if (averaged) smooth(s->y, n, s->smooth);
    n = thin_out(s->x, averaged ? s->smooth : s->y, n, s);
    chart_line(c, run, stroke, s->thin_x, s->thin_y, n);
}

/* ---- a chart ------------------------------------------------------------------------------------------ */

static chart_axis axis_of_steps(const report_content *report) {
    chart_axis axis = {1, 2, false, false, "step"};
    for (size_t r = 0; r < report->run_count; r++)
        if ((double)report->runs[r].steps > axis.high) axis.high = (double)report->runs[r].steps;
    return axis;
}

static chart_axis axis_of_values(const report_content *report, const struct curve_row *row, double *values) {
    size_t n = 0;
    for (size_t r = 0; r < report->run_count; r++)
        for (size_t i = 0; i < report->runs[r].history->count; i++)
            values[n++] = row->value(&report->runs[r].history->points[i]);
    return axis_fit(&row->wish, values, n);
}

/* The number beside the heading: the mean over the end of the run if the results have it, else the last
 * value. */
static double closing(const struct curve_row *row, const report_run *run) {
    const report_point end = {
        .loss = run->loss, .r2_per_dimension = run->r2_per_dimension, .l0 = run->l0, .dead = run->dead};
    const report_point *last = &run->history->points[run->history->count - 1];
    return row->value == rate_of || row->value == norm_of ? row->value(last) : row->value(&end);
}

static void draw_curve(html_writer *html, const report_content *report, const struct curve_row *row,
                       curve_scratch *s) {
    char figure[32] = "", sentence[160];
    chart c = {.html = html, .x = axis_of_steps(report), .y = axis_of_values(report, row, s->all)};
    double end = closing(row, &report->runs[0]);
    if (report->run_count == 1 && !row->exact)
        snprintf(figure, sizeof figure, "%s%s",
                 report_number(c.y.percent ? 100 * end : end, row->decimals).text, c.y.percent ? "%" : "");
    snprintf(sentence, sizeof sentence, "%s%s", row->sentence, c.y.logarithmic ? "; logarithmic" : "");
    report_begin_figure(html, row->heading, figure[0] ? figure : NULL, sentence);
    snprintf(sentence, sizeof sentence, "%s by step", row->heading);
    chart_begin(&c, sentence);
    for (size_t r = 0; r < report->run_count; r++) draw_run(&c, row, report, r, CHART_RAW, s);
    for (size_t r = 0; r < report->run_count; r++) draw_run(&c, row, report, r, CHART_SMOOTH, s);
    chart_end(&c);
    report_end_figure(html);
}

ra_status report_page_curves(html_writer *html, const report_content *report, ra_error *err) {
    enum { EACH = REPORT_POINTS + 1 };
    size_t points = 0;
    for (size_t r = 0; r < report->run_count; r++) points += report->runs[r].history->count;
    double *block = ra_malloc(points + 5 * EACH, sizeof *block);
    if (!block) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the curves of a report");
    curve_scratch s = {block, block + points, NULL, NULL, NULL, NULL};
    s.y = s.x + EACH;
    s.smooth = s.y + EACH;
    s.thin_x = s.smooth + EACH;
    s.thin_y = s.thin_x + EACH;
    html_raw(html, "<section id=\"curves\">\n<h2>Training</h2>\n<p class=\"lead\">Each line is a moving "
                   "average; the pale one behind it shows the range of the steps.</p>\n");
    report_legend(html, report);
    html_raw(html, "<div class=\"figures\">\n");
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) draw_curve(html, report, &curves[i], &s);
    html_raw(html, "</div>\n</section>\n");
    ra_free(block);
    return RA_OK;
}
