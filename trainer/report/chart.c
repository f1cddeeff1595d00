#include "report/chart.h"

#include <math.h>
#include <stdio.h>

enum {
    WIDTH = 5600,
    HEIGHT = 2750,
    LEFT = 740,
    RIGHT = 260,
    TOP = 190,
    BOTTOM = 560,
    PLOT_WIDTH = WIDTH - LEFT - RIGHT,
    PLOT_HEIGHT = HEIGHT - TOP - BOTTOM,
    TICKS_X = 6,
    TICKS_Y = 5,
};

static long place(double share, long from, long length) {
    const double far = 4; /* beyond the picture in either direction; it is clipped there */
    if (share > far) share = far;
    if (share < 1 - far) share = 1 - far;
    return lround((double)from + share * (double)length);
}

static long place_x(const chart *c, double x) {
    return place(axis_share(&c->x, x), LEFT, PLOT_WIDTH);
}

static long place_y(const chart *c, double y) {
    return place(1 - axis_share(&c->y, y), TOP, PLOT_HEIGHT);
}

/* ---- axes --------------------------------------------------------------------------------------------- */

static void draw_x(const chart *c) {
    axis_ticks ticks = axis_make_ticks(&c->x, TICKS_X);
    html_format(c->html, "<path class=\"axis\" d=\"M%d %dh%d\"/>", LEFT, TOP + PLOT_HEIGHT, PLOT_WIDTH);
    for (size_t i = 0; i < ticks.count; i++) {
        if (axis_share(&c->x, ticks.at[i]) < c->strip) continue;
        long x = place_x(c, ticks.at[i]);
        html_format(c->html, "<path class=\"axis\" d=\"M%ld %dv50\"/>", x, TOP + PLOT_HEIGHT);
        html_format(c->html, "<text class=\"tick\" x=\"%ld\" y=\"%d\" text-anchor=\"middle\">%s</text>", x,
                    TOP + PLOT_HEIGHT + 220, axis_label(&c->x, &ticks, ticks.at[i]).text);
    }
    if (c->strip_name)
        html_format(c->html, "<text class=\"tick\" x=\"%ld\" y=\"%d\" text-anchor=\"middle\">%s</text>",
                    place(c->strip * CHART_STRIP_MIDDLE, LEFT, PLOT_WIDTH), TOP + PLOT_HEIGHT + 220,
                    c->strip_name);
    html_format(c->html, "<text class=\"name\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">",
                LEFT + PLOT_WIDTH / 2, HEIGHT - 90);
    html_text(c->html, c->x.title, 0);
    html_raw(c->html, "</text>\n");
}

static void draw_y(const chart *c) {
    axis_ticks ticks = axis_make_ticks(&c->y, TICKS_Y);
    for (size_t i = 0; i < ticks.count; i++) {
        long y = place_y(c, ticks.at[i]);
        html_format(c->html, "<path class=\"grid\" d=\"M%d %ldh%d\"/>", LEFT, y, PLOT_WIDTH);
        html_format(c->html, "<text class=\"tick\" x=\"%d\" y=\"%ld\" text-anchor=\"end\">%s</text>",
                    LEFT - 70, y + 45, axis_label(&c->y, &ticks, ticks.at[i]).text);
    }
    if (ticks.exponent)
        html_format(c->html, "<text class=\"tick\" x=\"%d\" y=\"%d\">%s</text>", LEFT, TOP - 60,
                    axis_unit(&ticks).text);
}

/* What the script needs to read values off: the ends of the axes, and whether they are logarithmic. */
static void describe_axis(const chart *c, const char *name, const chart_axis *axis) {
    html_format(c->html, " data-%s=\"%.9g %.9g %d %d\"", name, axis->low, axis->high, axis->logarithmic,
                axis->percent);
}

void chart_begin(const chart *c, const char *description) {
    html_format(c->html, "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH,
                HEIGHT);
    html_text(c->html, description, 0);
    html_raw(c->html, "\"");
    html_format(c->html, " data-plot=\"%d %d %d %d\"", LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT);
    html_raw(c->html, " data-name=\"");
    html_text(c->html, c->x.title, 0);
    html_raw(c->html, "\"");
    describe_axis(c, "x", &c->x);
    describe_axis(c, "y", &c->y);
    html_raw(c->html, ">\n");
    draw_y(c);
    draw_x(c);
    /* a nested svg clips what leaves the plot without needing an id */
    html_format(c->html,
                "<svg x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" viewBox=\"%d %d %d %d\" "
                "preserveAspectRatio=\"none\">\n",
                0, TOP - 20, WIDTH, PLOT_HEIGHT + 20, 0, TOP - 20, WIDTH, PLOT_HEIGHT + 20);
}

void chart_end(const chart *c) {
    html_raw(c->html, "</svg></svg>\n");
}

/* ---- lines -------------------------------------------------------------------------------------------- */

void chart_run_class(html_writer *html, const char *more, size_t run) {
    html_format(html, " class=\"%s run%zu%s\"", more, run % CHART_COLORS,
                run / CHART_COLORS % 2 ? " dashed" : "");
}

static bool can_show(const chart_axis *axis, double value) {
    return isfinite(value) && (!axis->logarithmic || value > 0);
}

void chart_line(const chart *c, size_t run, enum chart_stroke stroke, const double *x, const double *y,
                size_t n) {
    long last_x = 0, last_y = 0;
    bool drawing = false;
    html_raw(c->html, "<path");
    chart_run_class(c->html, stroke == CHART_RAW ? "raw" : "line", run);
    html_raw(c->html, " d=\"");
    for (size_t i = 0; i < n; i++) {
        if (!can_show(&c->x, x[i]) || !can_show(&c->y, y[i])) {
            drawing = false;
            continue;
        }
        long at_x = place_x(c, x[i]), at_y = place_y(c, y[i]);
        if (!drawing)
            html_format(c->html, "M%ld %ldl0 0", at_x, at_y); /* of length 0: a single point is a dot */
        else
            html_format(c->html, at_y < last_y ? " %ld%ld" : " %ld %ld", at_x - last_x, at_y - last_y);
        drawing = true;
        last_x = at_x;
        last_y = at_y;
    }
    html_raw(c->html, "\"/>\n");
}

/* ---- bars --------------------------------------------------------------------------------------------- */

void chart_bars(const chart *c, size_t run, bool outline, const double *edge, const double *height,
                size_t n) {
    enum { GAP = 12, FLOOR = TOP + PLOT_HEIGHT };
    html_raw(c->html, "<path");
    chart_run_class(c->html, outline ? "outline" : "bars", run);
    html_raw(c->html, " d=\"");
    if (outline) html_format(c->html, "M%ld %d", place_x(c, edge[0]), FLOOR);
    for (size_t i = 0; i < n; i++) {
        long left = place_x(c, edge[i]), right = place_x(c, edge[i + 1]), top = place_y(c, height[i]);
        if (outline)
            html_format(c->html, "V%ldH%ld", top, right);
        else if (height[i] > 0)
            html_format(c->html, "M%ld %dV%ldH%ldV%dz", left + GAP, FLOOR, top, right - GAP, FLOOR);
    }
    if (outline) html_format(c->html, "V%d", FLOOR);
    html_raw(c->html, "\"/>\n");
}
