/* What is wrong with the data, said before it costs an hour: each finding is one line that names the remedy. */
#include "training/training.h"

#include "app/format.h"

static const double MEAN_SHARE = 0.8, /* mean^2 is four times the variance */
    FEW_SHARE = 0.02,                 /* of the dimensions hold half of the variance */
    REPEATED = 0.05, SMALL = 1e-3, LARGE = 1e3;
enum { DIMENSIONS_LEAST = 16 }; /* below it, few dimensions are not few */

/* A point that is there twice only makes the weights of mixtures ambiguous. */
static ra_status survey_points(train_run *run, ra_error *err) {
    size_t repeated;
    if (!run->inputs->points) return RA_OK;
    const ra_tensor *points = ra_array_tensor(run->inputs->points);
    RA_TRY(ra_rows_count_repeated(points, &repeated, err));
    if (repeated > 0)
        progress_note(&run->progress,
                      "note: %zu of the %zu points of %s repeat%s others, so that the weights of atoms are "
                      "ambiguous; leave them out in Python with numpy.unique(points, axis=0)",
                      repeated, points->shape[0], run->options->points, repeated == 1 ? "s" : "");
    return RA_OK;
}

ra_status train_survey(train_run *run, ra_error *err) {
    ra_data_survey found;
    size_t d = ra_data_dimensions(run->inputs->data);
    if (run->models[0].resume || run->options->quiet) return RA_OK;
    RA_TRY(survey_points(run, err));
    RA_TRY(ra_data_survey_take(run->inputs->data, &found, err));
    if (found.mean_share > MEAN_SHARE)
        progress_note(
            &run->progress,
            "note: %.1f %% of the data's energy is in the means of the dimensions, which an R2 around one "
            "mean counts as explained and which can leave most latents dead; try --standardize element",
            100 * found.mean_share);
    if (d >= DIMENSIONS_LEAST && (double)found.half_of_variance <= FEW_SHARE * (double)d + 1 &&
        found.half_of_variance > 0)
        progress_note(
            &run->progress,
            "note: %zu of %zu dimensions hold%s half of the variance, so the others hardly count; try "
            "--standardize element",
            found.half_of_variance, d, found.half_of_variance == 1 ? "s" : "");
    if (found.size > 0 && (found.size < SMALL || found.size > LARGE))
        progress_note(
            &run->progress,
            "note: the numbers of the data are of the size %.3g, and the defaults of --lr and --delta are "
            "made for about 1; try --standardize element (or global)",
            found.size);
    if (found.repeated > REPEATED)
        progress_note(
            &run->progress,
            "note: %.0f %% of the rows repeat others, which count that much more; leave them out in "
            "Python with numpy.unique(x, axis=0)",
            100 * found.repeated);
    if (found.constant > 0)
        progress_note(&run->progress, "note: %zu of %zu dimensions %s constant; nothing is learned from them",
                      found.constant, d, found.constant == 1 ? "is" : "are");
    return RA_OK;
}
