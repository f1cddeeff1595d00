#include "app/latent_json.h"

/* item and position are null when rows are not parts of items. */
static void json_row(text *out, const ra_latent_statistics *latents, const ra_latent_example *example) {
    json_object(out, NULL);
    json_count(out, "row", example->row);
    if (latents->items.rows) {
        json_count(out, "item", example->item);
        json_count(out, "position", example->position);
    } else {
        json_null(out, "item");
        json_null(out, "position");
    }
    json_float(out, "value", example->value);
    json_text(out, "label", example->label);
    json_text(out, "token", example->token);
    json_object_end(out);
}

void json_latent_top(text *out, const ra_latent_statistics *latents, size_t latent) {
    ra_latent_example example;
    json_array(out, "top");
    for (size_t i = 0; ra_latent_statistics_example(latents, latent, i, &example); i++)
        json_row(out, latents, &example);
    json_array_end(out);
}

void json_latent_quantiles(text *out, const ra_latent_statistics *latents, size_t latent) {
    ra_latent_example example;
    size_t count = latents ? latents->quantiles.count : 0;
    if (count == 0) {
        json_null(out, "quantiles");
        return;
    }
    json_array(out, "quantiles");
    for (size_t q = 0; q < count; q++) {
        const float *bound = latents->quantiles.bound + latent * (count + 1) + q;
        json_object(out, NULL);
        json_float(out, "low", bound[0]);
        json_float(out, "high", bound[1]);
        json_array(out, "rows");
        for (size_t t = 0; ra_latent_statistics_quantile_example(latents, latent, q, t, &example); t++)
            json_row(out, latents, &example);
        json_array_end(out);
        json_object_end(out);
    }
    json_array_end(out);
}

void json_latent_partner(text *out, const ra_latent_partner *partner) {
    json_count(out, "count", partner->count);
    json_real(out, "lift", partner->lift);
    json_real(out, "pmi", partner->pmi);
    json_float(out, "correlation", partner->correlation);
}
