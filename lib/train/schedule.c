/* Learning rates over a run: a linear warm-up, then what each schedule does. The cosine is the reference's
 * (overcomplete 0.3.0, sae/optimizer.py), which keeps its schedule in float32, and so does ours,
 * to the bit. */
#include "ra_train.h"

#include <math.h>

/* Where a schedule is between final (0) and base (1) once `share` of what follows the warm-up is over. */
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
    [RA_SCHEDULE_LINEAR] = linear,
};

double ra_schedule_entry(const ra_schedule_options *options, size_t i) {
    double base = options->base, final = options->final;
    if (i < options->warmup && i < options->total) {
        /* the reference's begins with its start value; the others waste no step on that */
        double skip = options->schedule == RA_SCHEDULE_COSINE ? 0 : 1, steps = (double)options->warmup - 1;
        double share = steps + skip > 0 ? ((double)i + skip) / (steps + skip) : 0;
        return (double)(float)(options->warmup_start + share * (base - options->warmup_start));
    }
    if (options->schedule == RA_SCHEDULE_CONSTANT) return base;
    if (i >= options->total) return final;
    double share = (double)(i - options->warmup) / (double)(options->total - options->warmup);
    return (double)(float)(final + (base - final) * heights[options->schedule](share));
}

double ra_schedule_rate(const ra_schedule_options *options, size_t step) {
    if (options->schedule == RA_SCHEDULE_COSINE && step <= 1) return options->base;
    return ra_schedule_entry(options, step - 1);
}
