/* The finished model: how often its latents fire, and how much of the space its atoms span. */
#include "report/chart.h"
#include "report/page.h"
#include "report/pieces.h"

#include <math.h>

/* ---- density ------------------------------------------------------------------------------------------ */

enum { BINS_A_DECADE = 5, DECADES_MOST = 8, BINS_MOST = BINS_A_DECADE * DECADES_MOST };
static const double STRIP = 0.18; /* of the axis, for the latents that never fire */

typedef struct density_counts {
    size_t never, bin[BINS_MOST];
} density_counts;

/* Decades below 1 that the axis needs. */
static int decades_of(const report_content *report) {
    double least = 0.1;
    for (size_t r = 0; r < report->run_count; r++) {
        const report_measures *m = report->runs[r].measures;
        for (size_t k = 0; m->rows && k < ra_model_get_info(report->runs[r].model)->concepts; k++)
            if (m->density[k] > 0) least = fmin(least, (double)m->density[k]);
    }
    int decades = (int)ceil(-log10(least) - 1e-9);
    return decades < DECADES_MOST ? decades : DECADES_MOST;
}

static density_counts count_densities(const report_run *run, int decades) {
    density_counts counts = {0};
    size_t K = ra_model_get_info(run->model)->concepts;
    for (size_t k = 0; k < K; k++) {
        double density = (double)run->measures->density[k];
        if (!(density > 0)) {
            counts.never++;
            continue;
        }
        double at = floor((log10(density) + decades) * BINS_A_DECADE + 1e-6);
        double last = BINS_A_DECADE * decades - 1;
        counts.bin[(size_t)fmin(fmax(at, 0), last)]++;
    }
    return counts;
}

static double largest_count(const density_counts *counts, int decades) {
    size_t largest = counts->never;
    for (int b = 0; b < BINS_A_DECADE * decades; b++)
        if (counts->bin[b] > largest) largest = counts->bin[b];
    return (double)largest;
}

static void draw_density(const chart *c, const report_content *report, size_t run, int decades) {
    double edge[BINS_MOST + 1], height[BINS_MOST];
    density_counts counts = count_densities(&report->runs[run], decades);
    int bins = BINS_A_DECADE * decades;
    for (int b = 0; b <= bins; b++) edge[b] = pow(10, (double)b / BINS_A_DECADE - decades);
    for (int b = 0; b < bins; b++) height[b] = (double)counts.bin[b];
    chart_bars(c, run, report->run_count > 1, edge, height, (size_t)bins);
    /* the runs side by side, around the name of the strip */
    double strip = -log10(c->x.low) - decades, wide = CHART_STRIP_MIDDLE * strip;
    double part = wide / (double)report->run_count;
    double from = CHART_STRIP_MIDDLE * strip - wide / 2 + part * (double)run, to = from + part;
    double never_edge[2] = {c->x.low * pow(10, from), c->x.low * pow(10, to)};
    double never = (double)counts.never;
    chart_bars(c, run, false, never_edge, &never, 1);
}

static void density_figure(html_writer *html, const report_content *report) {
    char figure[32] = "", sentence[160];
    int decades = decades_of(report);
    double most = 1;
    size_t never = 0, rows = 0;
    for (size_t r = 0; r < report->run_count; r++) {
        if (!report->runs[r].measures->rows) return; /* without an encoder nothing fires */
        density_counts counts = count_densities(&report->runs[r], decades);
        most = fmax(most, largest_count(&counts, decades));
        never = counts.never;
        rows = report->runs[r].measures->rows;
    }
    const chart c = {.html = html,
                     .x = {pow(10, -decades / (1 - STRIP)), 1, true, true,
                           "share of rows on which a latent is active (logarithmic)"},
                     .y = {0, 1.05 * most, false, false, "latents"},
                     .strip = 0.99 * STRIP, /* the axis has a tick at its end */
                     .strip_name = "never"};
    if (report->run_count == 1) snprintf(figure, sizeof figure, "%s never", format_grouped(never).text);
    snprintf(sentence, sizeof sentence,
             "number of latents by how often they fire, on %s rows, in evaluation mode",
             format_grouped(rows).text);
    report_begin_figure(html, "Firing frequency", figure[0] ? figure : NULL, sentence);
    chart_begin(&c, "Number of latents by the share of rows on which they are active");
    for (size_t r = 0; r < report->run_count; r++) draw_density(&c, report, r, decades);
    chart_end(&c);
    report_end_figure(html);
}

/* ---- spectrum ----------------------------------------------------------------------------------------- */

enum { SPECTRUM_POINTS = 240 };

/* Values by their number, about evenly spaced on the logarithmic axis. */
static void draw_spectrum(const chart *c, const report_run *run, size_t number) {
    double x[SPECTRUM_POINTS], y[SPECTRUM_POINTS];
    size_t n = run->measures->singular_count, count = 0;
    double factor = pow((double)n, 1.0 / (SPECTRUM_POINTS - 2)), wanted = 1;
    for (size_t i = 1; i <= n && count < SPECTRUM_POINTS; i++) {
        if ((double)i < wanted && i != n) continue;
        x[count] = (double)i;
        y[count++] = run->measures->singular[i - 1];
        while (wanted <= (double)i) wanted *= factor > 1 ? factor : 2;
    }
    chart_line(c, number, CHART_SMOOTH, x, y, count);
}

/* A dictionary that does not span its space has last values of nearly 0. They are left outside: an axis down
 * to them would squeeze all others. */
static double lowest_shown(const report_measures *m) {
    double last = m->singular[m->singular_count - 1], inner = m->singular[(m->singular_count - 1) * 9 / 10];
    return fmax(fmax(last, inner / 10), 1e-7 * m->singular[0]);
}

static void spectrum_figure(html_writer *html, const report_content *report) {
    char figure[48] = "", sentence[200];
    double high = 0, low = INFINITY;
    size_t most = 0;
    for (size_t r = 0; r < report->run_count; r++) {
        const report_measures *m = report->runs[r].measures;
        if (!m->singular_count || !(m->singular[0] > 0)) return;
        if (m->singular_count > most) most = m->singular_count;
        high = fmax(high, m->singular[0]);
        low = fmin(low, lowest_shown(m));
    }
    const chart c = {.html = html,
                     .x = {1, most > 1 ? (double)most : 2, true, false, "number of the singular value"},
                     .y = {low / 1.15, high * 1.15, true, false, "singular value"}};
    const report_measures *first = report->runs[0].measures;
    if (report->run_count == 1) {
        snprintf(figure, sizeof figure, "effective rank %.1f", first->effective_rank);
        snprintf(sentence, sizeof sentence, "of D, both axes logarithmic; %zu values, stable rank %.2f",
                 first->singular_count, first->stable_rank);
    } else
        snprintf(sentence, sizeof sentence, "of D, both axes logarithmic; the table above has the ranks");
    report_begin_figure(html, "Singular values", figure[0] ? figure : NULL, sentence);
    chart_begin(&c, "Singular values of the dictionary by their number");
    for (size_t r = 0; r < report->run_count; r++) draw_spectrum(&c, &report->runs[r], r);
    chart_end(&c);
    report_end_figure(html);
}

void report_page_shape(html_writer *html, const report_content *report) {
    html_raw(html, "<section id=\"shape\">\n<h2>The dictionary</h2>\n");
    report_legend(html, report);
    html_raw(html, "<div class=\"figures\">\n");
    density_figure(html, report);
    spectrum_figure(html, report);
    html_raw(html, "</div>\n</section>\n");
}
