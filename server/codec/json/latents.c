#include "codec/json/latents.h"

static void histogram(text *out, const ra_latent_statistics *latents, size_t latent) {
    json_object(out, "histogram");
    json_count(out, "low", 0);
    json_float(out, "high", latents->histogram_top[latent]);
    json_array(out, "counts");
    for (size_t h = 0; h < latents->bins; h++)
        json_count(out, NULL, (size_t)latents->histogram[latent * latents->bins + h]);
    json_array_end(out);
    json_object_end(out);
}

static void examples(text *out, const ra_latent_statistics *latents, size_t latent) {
    json_array(out, "top");
    for (size_t t = 0; t < latents->examples; t++) {
        ra_latent_example one;
        if (!ra_latent_statistics_example(latents, latent, t, &one)) break;
        json_object(out, NULL);
        json_count(out, "row", one.row);
        json_float(out, "value", one.value);
        json_text(out, "label", one.label);
        json_object_end(out);
    }
    json_array_end(out);
}

void json_statistics(text *out, const ra_latent_statistics *latents, size_t latent) {
    if (!latents) {
        json_null(out, "statistics");
        return;
    }
    json_object(out, "statistics");
    json_count(out, "rows", latents->rows);
    json_count(out, "count", (size_t)latents->count[latent]);
    json_float(out, "frequency", (float)((double)latents->count[latent] / (double)latents->rows));
    json_float(out, "mean", latents->mean[latent]);
    json_float(out, "max", latents->max[latent]);
    json_float(out, "energy", latents->energy[latent]);
    histogram(out, latents, latent);
    examples(out, latents, latent);
    json_object_end(out);
}

void json_layout(text *out, const float *place) {
    if (place)
        json_floats(out, "layout", place, 2);
    else
        json_null(out, "layout");
}
