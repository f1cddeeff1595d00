#include "inspect/inspect.h"

#include "app/format.h"

#include <math.h>

/* How many latents have an energy that surely differs. */
static size_t count_different(const ra_contrast *contrast) {
    size_t count = 0;
    for (size_t k = 0; k < contrast->concepts; k++) {
        ra_contrast_latent latent = ra_contrast_of(contrast, k);
        count += latent.energy.low > 0 || latent.energy.high < 0;
    }
    return count;
}

static void json_set(text *json, const ra_contrast *contrast, size_t s) {
    json_object(json, s ? "b" : "a");
    json_text(json, "name", s ? contrast->b : contrast->a);
    json_count(json, "rows", contrast->rows[s]);
    json_count(json, "units", contrast->units[s]);
    json_object_end(json);
}

void inspect_contrasts_json(text *json, const ra_model *model) {
    const ra_contrast *contrast;
    json_array(json, "contrasts");
    for (size_t i = 0; (contrast = ra_model_contrast(model, i)); i++) {
        json_object(json, NULL);
        json_text(json, "name", contrast->name);
        json_set(json, contrast, 0);
        json_set(json, contrast, 1);
        json_real(json, "confidence", contrast->confidence);
        json_count(json, "intervals", contrast->intervals);
        json_count(json, "different", count_different(contrast));
        json_object_end(json);
    }
    json_array_end(json);
}

void inspect_contrasts_print(const ra_model *model) {
    const ra_contrast *contrast;
    for (size_t i = 0; (contrast = ra_model_contrast(model, i)); i++) {
        printf("  contrast %s: ", contrast->name);
        print_clean(stdout, contrast->a);
        printf(" (%s rows) against ", format_grouped(contrast->rows[0]).text);
        print_clean(stdout, contrast->b);
        printf(" (%s rows), the energy of %s latents differs\n", format_grouped(contrast->rows[1]).text,
               format_grouped(count_different(contrast)).text);
    }
}
