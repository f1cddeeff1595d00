#include "app/latent_json.h"

/* The numbers of these rows are those of the data that items were seen in, rows that were skipped among them. */
static row_places places_of(const ra_latent_statistics *latents, const row_places *given) {
    row_places places = given ? *given : (row_places){0};
    places.items = latents->items;
    places.rows = 0;
    return places;
}

static void json_row(text *out, const row_places *places, bool media, const ra_latent_example *example) {
    json_object(out, NULL);
    json_count(out, "row", example->row);
    json_row_item(out, places, example->row);
    json_float(out, "value", example->value);
    json_text(out, "label", example->label);
    json_text(out, "token", example->token);
    if (media) json_row_media(out, places, example->row, example->label);
    json_object_end(out);
}

void json_latent_top(text *out, const ra_latent_statistics *latents, size_t latent, const row_places *given) {
    const row_places places = places_of(latents, given);
    ra_latent_example example;
    json_array(out, "top");
    for (size_t i = 0; ra_latent_statistics_example(latents, latent, i, &example); i++)
        json_row(out, &places, given, &example);
    json_array_end(out);
}

void json_latent_quantiles(text *out, const ra_latent_statistics *latents, size_t latent,
                           const row_places *given) {
    ra_latent_example example;
    size_t count = latents ? latents->quantiles.count : 0;
    if (count == 0) {
        json_null(out, "quantiles");
        return;
    }
    const row_places places = places_of(latents, given);
    json_array(out, "quantiles");
    for (size_t q = 0; q < count; q++) {
        const float *bound = latents->quantiles.bound + latent * (count + 1) + q;
        json_object(out, NULL);
        json_float(out, "low", bound[0]);
        json_float(out, "high", bound[1]);
        json_array(out, "rows");
        for (size_t t = 0; ra_latent_statistics_quantile_example(latents, latent, q, t, &example); t++)
            json_row(out, &places, given, &example);
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
