/* The learning rates of a run: a linear warm-up, whose first step has one part of the base rate, then the schedule.
 * reference_cosine agrees to the bit with overcomplete 0.3.0 (sae/optimizer.py), which keeps its schedule in
 * float32: its warm-up begins with warmup_start, but its first step runs at the base rate, and the first entry is
 * never used. Without a warm-up it is cosine. */
#include "ra_train.h"

#include <math.h>

/* The rate between `final` (0) and `base` (1) after this share of the steps that follow the warm-up. */
static double constant(double share) {
    (void)share;
    return 1;
}

static double cosine(double share) {
    return 0.5 * (1 + cos(M_PI * share));
}

static double linear(double share) {
    return 1 - share;
}

static double (*const heights[])(double share) = {
    [RA_SCHEDULE_CONSTANT] = constant,
    [RA_SCHEDULE_COSINE] = cosine,
    [RA_SCHEDULE_REFERENCE_COSINE] = cosine,
    [RA_SCHEDULE_LINEAR] = linear,
};

double ra_schedule_entry(const ra_schedule_options *options, size_t i) {
    double base = options->base, final = options->final;
    if (i < options->warmup && i < options->total) {
        double skip = options->schedule == RA_SCHEDULE_REFERENCE_COSINE ? 0 : 1,
               steps = (double)options->warmup - 1;
        double share = steps + skip > 0 ? ((double)i + skip) / (steps + skip) : 0;
        return (double)(float)(options->warmup_start + share * (base - options->warmup_start));
    }
    if (options->schedule == RA_SCHEDULE_CONSTANT) return base;
    if (i >= options->total) return final;
    double share = (double)(i - options->warmup) / (double)(options->total - options->warmup);
    return (double)(float)(final + (base - final) * heights[options->schedule](share));
}

double ra_schedule_rate(const ra_schedule_options *options, size_t step) {
    if (options->schedule == RA_SCHEDULE_REFERENCE_COSINE && step <= 1) return options->base;
    return ra_schedule_entry(options, step - 1);
}
