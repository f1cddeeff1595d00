/* What inspect says about the training: how far it went, and where it ended. */
#include "inspect/inspect.h"

#include "app/format.h"

void inspect_training_json(text *json, const ra_model *model) {
    size_t bins;
    const float *all = ra_model_training(model, &bins);
    if (!all) {
        json_null(json, "training");
        return;
    }
    const float *last = all + (bins - 1) * RA_TRAINING_COLUMNS;
    json_object(json, "training");
    json_count(json, "bins", bins);
    json_count(json, "steps", (size_t)last[RA_TRAINING_STEP]);
    for (size_t c = RA_TRAINING_LOSS; c < RA_TRAINING_COLUMNS; c++)
        json_real(json, ra_training_names[c], (double)last[c]);
    json_object_end(json);
}

void inspect_training_print(const ra_model *model) {
    size_t bins;
    const float *all = ra_model_training(model, &bins);
    if (!all) return;
    const float *last = all + (bins - 1) * RA_TRAINING_COLUMNS;
    printf("  trained for %s steps, at the end with a loss of %.4g, L0 %.3g, %.3g %% of the latents dead\n",
           format_grouped((size_t)last[RA_TRAINING_STEP]).text, (double)last[RA_TRAINING_LOSS],
           (double)last[RA_TRAINING_L0], 100 * (double)last[RA_TRAINING_DEAD]);
}
