#include "codec/json/latents.h"

static void histogram(text *out, const ra_latent_statistics *latents, size_t latent) {
    put_key(out, "histogram");
    put_open(out, '{');
    put_key(out, "low");
    put_size(out, 0);
    put_key(out, "high");
    put_number(out, latents->histogram_top[latent]);
    put_key(out, "counts");
    put_open(out, '[');
    for (size_t h = 0; h < latents->bins; h++)
        put_size(out, (size_t)latents->histogram[latent * latents->bins + h]);
    put_close(out, ']');
    put_close(out, '}');
}

static void examples(text *out, const ra_latent_statistics *latents, size_t latent) {
    put_key(out, "top");
    put_open(out, '[');
    for (size_t t = 0; t < latents->examples; t++) {
        ra_latent_example one;
        if (!ra_latent_statistics_example(latents, latent, t, &one)) break;
        put_open(out, '{');
        put_key(out, "row");
        put_size(out, one.row);
        put_key(out, "value");
        put_number(out, one.value);
        put_key(out, "label");
        put_string(out, one.label);
        put_close(out, '}');
    }
    put_close(out, ']');
}

static void number(text *out, const char *name, float value) {
    put_key(out, name);
    put_number(out, value);
}

void json_statistics(text *out, const ra_latent_statistics *latents, size_t latent) {
    put_key(out, "statistics");
    if (!latents) {
        put_raw(out, "null");
        return;
    }
    put_open(out, '{');
    put_key(out, "rows");
    put_size(out, latents->rows);
    put_key(out, "count");
    put_size(out, (size_t)latents->count[latent]);
    number(out, "frequency", (float)((double)latents->count[latent] / (double)latents->rows));
    number(out, "mean", latents->mean[latent]);
    number(out, "max", latents->max[latent]);
    number(out, "energy", latents->energy[latent]);
    histogram(out, latents, latent);
    examples(out, latents, latent);
    put_close(out, '}');
}

void json_layout(text *out, const float *place) {
    put_key(out, "layout");
    if (place)
        put_numbers(out, place, 2);
    else
        put_raw(out, "null");
}
