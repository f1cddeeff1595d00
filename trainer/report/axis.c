#include "report/axis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double LOG_WORTH = 10; /* ratio of largest to smallest */
/* Beyond these, plain labels would be long: on linear axes and on logarithmic ones. */
static const double UNIT_BELOW = 0.0099, UNIT_ABOVE = 9.99e8;
static const double POWERS_BELOW = 0.00099, POWERS_ABOVE = 1.01e7;

double axis_share(const chart_axis *axis, double value) {
    if (axis->logarithmic) return log(value / axis->low) / log(axis->high / axis->low);
    return (value - axis->low) / (axis->high - axis->low);
}

/* ---- ticks -------------------------------------------------------------------------------------------- */

static void add_tick(const chart_axis *axis, axis_ticks *ticks, double value) {
    double slack = 1e-6;
    double share = axis_share(axis, value);
    if (share >= -slack && share <= 1 + slack && ticks->count < AXIS_TICKS) ticks->at[ticks->count++] = value;
}

/* 1, 2 or 5 times a power of ten. */
static double round_step(double rough) {
    double power = pow(10, floor(log10(rough))), digit = rough / power;
    return power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
}

static void linear_ticks(const chart_axis *axis, size_t wanted, axis_ticks *ticks) {
    ticks->step = round_step((axis->high - axis->low) / (double)wanted);
    double first = ceil(axis->low / ticks->step - 1e-6);
    for (size_t i = 0; i < AXIS_TICKS; i++) {
        double value = (first + (double)i) * ticks->step;
        if (value > axis->high + 1e-6 * ticks->step) return;
        add_tick(axis, ticks, value);
    }
}

/* Powers of ten: on a wide range every second or third, on a narrow one also values between them. */
static void logarithmic_ticks(const chart_axis *axis, size_t wanted, axis_ticks *ticks) {
    static const double between[] = {1, 2, 5};
    int low = (int)floor(log10(axis->low) + 1e-9), high = (int)ceil(log10(axis->high) - 1e-9);
    double decades = log10(axis->high / axis->low);
    size_t marks = decades < (double)wanted / 2.5 ? 3 : 1;
    int stride = (int)ceil(decades / (double)(wanted + 1));
    if (stride < 1) stride = 1;
    for (int power = low; power <= high; power++)
        for (size_t i = 0; i < marks; i++)
            if (power % stride == 0) add_tick(axis, ticks, between[i] * pow(10, power));
}

axis_ticks axis_make_ticks(const chart_axis *axis, size_t wanted) {
    axis_ticks ticks = {.count = 0};
    if (axis->logarithmic) logarithmic_ticks(axis, wanted, &ticks);
    ticks.powers = ticks.count >= 2 && !axis->percent &&
                   (ticks.at[0] < POWERS_BELOW || ticks.at[ticks.count - 1] > POWERS_ABOVE);
    if (ticks.count < 2) {
        ticks.count = 0;
        linear_ticks(axis, wanted, &ticks);
    }
    double largest = fmax(fabs(axis->low), fabs(axis->high));
    if (ticks.step > 0 && !axis->percent && (largest < UNIT_BELOW || largest > UNIT_ABOVE))
        ticks.exponent = 3 * (int)floor(log10(largest) / 3 + 1e-9);
    return ticks;
}

/* ---- texts -------------------------------------------------------------------------------------------- */

/* "10\u207b\u00b3" behind `front`. */
static axis_text power_of_ten(const char *front, int exponent) {
    static const char *const digits[] = {"\u2070", "\u00b9", "\u00b2", "\u00b3", "\u2074",
                                         "\u2075", "\u2076", "\u2077", "\u2078", "\u2079"};
    axis_text out;
    int size = exponent < 0 ? -exponent : exponent;
    snprintf(out.text, sizeof out.text, "%s10%s%s%s", front, exponent < 0 ? "\u207b" : "",
             size >= 10 ? digits[size / 10 % 10] : "", digits[size % 10]);
    return out;
}

axis_text axis_unit(const axis_ticks *ticks) {
    return ticks->exponent ? power_of_ten("\u00d7", ticks->exponent) : (axis_text){""};
}

/* The number of decimals that a multiple of step needs. */
static int decimals_of(double step) {
    int decimals = 0;
    for (double rest = step; decimals < 12 && fabs(rest - round(rest)) > 1e-6 * rest; rest *= 10) decimals++;
    return decimals;
}

axis_text axis_label(const chart_axis *axis, const axis_ticks *ticks, double value) {
    axis_text out;
    double unit = (axis->percent ? 100 : 1) * pow(10, -ticks->exponent);
    double shown = value * unit, step = ticks->step > 0 ? ticks->step * unit : fabs(shown);
    if (ticks->powers) {
        int exponent = (int)floor(log10(value) + 1e-9);
        char front[16] = "";
        double digit = round(value / pow(10, exponent));
        if (digit != 1) snprintf(front, sizeof front, "%.0f\u00b7", digit);
        return power_of_ten(front, exponent);
    }
    /* thousands, where there are several of them: "500", "1k", "1.5k"; "1500" among "1510" */
    double scale = fabs(shown) >= 1e6 ? 1e6 : fabs(shown) >= 1e4 || step >= 500 ? 1e3 : 1;
    if (fabs(shown) < 1e3) scale = 1;
    const char *suffix = scale == 1e6 ? "M" : scale == 1e3 ? "k" : "";
    snprintf(out.text, sizeof out.text, "%.*f%s%s", shown == 0 ? 0 : decimals_of(step / scale), shown / scale,
             suffix, axis->percent ? "%" : "");
    return out;
}

/* ---- ranges ------------------------------------------------------------------------------------------- */

static int rising(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static size_t keep_finite(double *values, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i])) values[kept++] = values[i];
    return kept;
}

/* Cuts off the outermost values if they stretch the axis to a multiple. */
static void trim(const double *sorted, size_t n, double *low, double *high) {
    const double stretch = 3, margin = 0.5;
    double inner_low = sorted[n / 25], inner_high = sorted[n - 1 - n / 25];
    double inner = inner_high - inner_low;
    if (inner <= 0 || *high - *low <= stretch * inner) return;
    *low = fmax(*low, inner_low - margin * inner);
    *high = fmin(*high, inner_high + margin * inner);
}

chart_axis axis_fit(const axis_wish *wish, double *values, size_t n) {
    chart_axis axis = {0, 1, false, wish->percent, wish->title};
    n = keep_finite(values, n);
    if (n == 0) return axis;
    qsort(values, n, sizeof *values, rising);
    double low = values[0], high = values[n - 1];
    axis.logarithmic = wish->logarithmic && low > 0 && high / low > LOG_WORTH;
    if (axis.logarithmic) {
        axis.low = low / 1.1;
        axis.high = high * 1.1;
        return axis;
    }
    trim(values, n, &low, &high);
    if (wish->from_zero && low > 0) low = 0;
    high = fmax(high, wish->least_high);
    double space = 0.05 * (high - low);
    if (!(space > 1e-9 * fmax(fabs(low), fabs(high)))) space = low == 0 ? 0.5 : 0.25 * fabs(low);
    axis.low = wish->from_zero && low == 0 ? 0 : low - space;
    axis.high = high + space;
    if (wish->most > 0 && axis.high > wish->most && axis.low < wish->most) axis.high = wish->most;
    return axis;
}
