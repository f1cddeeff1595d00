/* chart.h - a chart as inline SVG: axes, lines, bars. Colors and sizes of text are the style sheet's
 * (report.css), so that one picture serves light and dark, wide and narrow.
 *
 *     chart c = {.html = html, .x = x, .y = y};
 *     chart_begin(&c, "Loss by step, on a logarithmic axis");
 *     chart_line(&c, 0, CHART_SMOOTH, steps, loss, n);
 *     chart_end(&c);
 *
 * Coordinates are whole numbers of a tenth of a pixel, each point relative to the one before it: that keeps a
 * page with thousands of points small.
 *
 * Thread safety: a chart belongs to one thread.
 */
#ifndef RASAE_REPORT_CHART_H
#define RASAE_REPORT_CHART_H

#include "report/axis.h"
#include "report/html.h"

typedef struct chart {
    html_writer *html;
    chart_axis x, y;
    double strip;           /* this share of the x axis, at its left end, has a name instead of ticks */
    const char *strip_name; /* NULL: no strip */
} chart;

enum chart_stroke {
    CHART_SMOOTH, /* the line to look at; what the pointer reads off */
    CHART_RAW,    /* pale, behind it */
};

/* The position of the name in the strip, clear of the tick at its right end. */
static const double CHART_STRIP_MIDDLE = 0.3;

/* Colors repeat after this many runs; the next ones are dashed. */
enum { CHART_COLORS = 8 };

void chart_begin(const chart *c, const char *description);
void chart_end(const chart *c);

/* Points that are not finite, or not positive on a logarithmic axis, interrupt the line. `run` chooses the
 * color. */
void chart_line(const chart *c, size_t run, enum chart_stroke stroke, const double *x, const double *y,
                size_t n);

/* Bars on the x axis from edge[i] to edge[i + 1], in one shape; as an outline when several lie over each
 * other. */
void chart_bars(const chart *c, size_t run, bool outline, const double *edge, const double *height, size_t n);

/* ` class="run3"`, and dashes for runs beyond the colors. */
void chart_run_class(html_writer *html, const char *more, size_t run);

#endif
