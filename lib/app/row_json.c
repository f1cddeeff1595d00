#include "app/row_json.h"

row_places row_places_of(const ra_model *model) {
    const ra_latent_statistics *latents = ra_model_latent_statistics(model);
    return (row_places){.items = ra_model_get_info(model)->items, .rows = latents ? latents->rows : 0};
}

/* The rows of a trace and of points are those of the data of training, which need not be the data that were measured. A row that
 * these do not have shows it. */
static bool is_placed(const row_places *places, size_t row) {
    return places->rows == 0 || row < places->rows;
}

void json_row_item(text *out, const row_places *places, size_t row) {
    size_t parts = places->items.rows;
    if (parts && is_placed(places, row)) {
        json_count(out, "item", row / parts);
        json_count(out, "position", row % parts);
    } else {
        json_null(out, "item");
        json_null(out, "position");
    }
}

void json_row_media(text *out, const row_places *places, size_t row, const char *label) {
    size_t parts = places->items.rows ? places->items.rows : 1;
    const media_row of = {row, row / parts, is_placed(places, row), label};
    text address = {0};
    if (places->media && places->media(places->source, places->base, &of, &address)) {
        text_append(&address, "", 1);
        json_text(out, "media", address.failed ? NULL : address.data);
        out->failed |= address.failed;
    } else {
        json_null(out, "media");
    }
    text_release(&address);
}
