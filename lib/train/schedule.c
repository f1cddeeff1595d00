/* Learning rates over a run (overcomplete 0.3.0, sae/optimizer.py): a linear warm-up, then a half cosine. The
 * reference keeps its schedule in float32, and so does ours, to the bit. */
#include "ra_train.h"

#include <math.h>

double ra_schedule_entry(const ra_schedule_options *options, size_t i) {
    if (options->schedule == RA_SCHEDULE_CONSTANT) return options->base;
    if (i >= options->total) return options->final;
    if (i < options->warmup) {
        double share = options->warmup > 1 ? (double)i / (double)(options->warmup - 1) : 0;
        return (double)(float)(options->warmup_start + share * (options->base - options->warmup_start));
    }
    double n = (double)(options->total - options->warmup), step = (double)(i - options->warmup);
    return (double)(float)(options->final +
                           0.5 * (options->base - options->final) * (1 + cos(M_PI * step / n)));
}

double ra_schedule_rate(const ra_schedule_options *options, size_t step) {
    return step <= 1 ? options->base : ra_schedule_entry(options, step - 1);
}
