/* axis.h - an axis of a chart: the range that shows a curve, its ticks, and their texts.
 *
 * Thread safety: plain functions of their arguments.
 */
#ifndef RASAE_REPORT_AXIS_H
#define RASAE_REPORT_AXIS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct chart_axis {
    double low, high; /* low < high; both above 0 on a logarithmic axis */
    bool logarithmic, percent;
    const char *title;
} chart_axis;

enum { AXIS_TICKS = 16 };

typedef struct axis_ticks {
    double at[AXIS_TICKS];
    size_t count;
    double step;  /* linear: between ticks */
    int exponent; /* labels are in units of ten to this power; 0: as they are */
    bool powers;  /* logarithmic, and so far from 1 that labels are powers of ten */
} axis_ticks;

typedef struct axis_text {
    char text[24];
} axis_text;

/* 0 at low, 1 at high. */
double axis_share(const chart_axis *axis, double value);

/* About `wanted` round values within the range. */
axis_ticks axis_make_ticks(const chart_axis *axis, size_t wanted);

/* "0.02", "1.5k", "10%", "5·10⁻⁴": as many digits as tell one tick from the next. */
axis_text axis_label(const chart_axis *axis, const axis_ticks *ticks, double value);

/* "×10⁻³", the unit of the labels; "" if they have none. */
axis_text axis_unit(const axis_ticks *ticks);

/* What a curve's axis should be like. */
typedef struct axis_wish {
    bool logarithmic; /* if all values are positive and span more than a factor of ten */
    bool from_zero, percent;
    double least_high; /* the upper end is not below this */
    double most;       /* nor above this; 0: no bound */
    const char *title;
} axis_wish;

/* Returns an axis that shows the n values (those that are finite). A few values at the start of a run that
 * would squeeze all others are left outside. Sorts the values. */
chart_axis axis_fit(const axis_wish *wish, double *values, size_t n);

#endif
