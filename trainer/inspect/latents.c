#include "inspect/inspect.h"

#include "app/format.h"
#include "app/latent_json.h"
#include "app/start.h"

/* ---- JSON -------------------------------------------------------------------------------------------- */

static void json_partners(text *json, const ra_model *model, ra_cofiring_measure measure, size_t atom) {
    const ra_latent_statistics *latents = ra_model_latent_statistics(model);
    ra_latent_partner partner;
    json_array(json, ra_cofiring_measure_name(measure));
    for (size_t t = 0; ra_latent_statistics_partner(latents, measure, atom, t, &partner); t++) {
        json_object(json, NULL);
        json_count(json, "atom", partner.latent);
        json_text(json, "label", ra_model_atom_label(model, partner.latent));
        json_latent_partner(json, &partner);
        json_object_end(json);
    }
    json_array_end(json);
}

void inspect_latent_json(text *json, const ra_model *model, size_t atom) {
    const ra_latent_statistics *latents = ra_model_latent_statistics(model);
    if (latents && latents->cofiring.partners) {
        json_object(json, "cofiring");
        json_count(json, "least", latents->cofiring.least);
        for (int m = 0; m < RA_COFIRING_MEASURES; m++)
            json_partners(json, model, (ra_cofiring_measure)m, atom);
        json_object_end(json);
    } else {
        json_null(json, "cofiring");
    }
    json_latent_quantiles(json, latents, atom, NULL);
}

/* ---- text -------------------------------------------------------------------------------------------- */

enum { PARTNERS_SHOWN = 3, ROWS_SHOWN = 3 };

static void print_partners(const ra_model *model, size_t atom) {
    const ra_latent_statistics *latents = ra_model_latent_statistics(model);
    ra_latent_partner partner;
    size_t t = 0;
    for (; t < PARTNERS_SHOWN && ra_latent_statistics_partner(latents, RA_COFIRING_PMI, atom, t, &partner);
         t++) {
        const char *label = ra_model_atom_label(model, partner.latent);
        printf("%s %zu", t ? ";" : "    active with", partner.latent);
        if (label) printf(" ");
        if (label) print_clean(stdout, label);
        printf(" (in %zu rows, %.3g times as often as by chance)", partner.count, partner.lift);
    }
    if (t > 0) putchar('\n');
}

static void print_row(const ra_latent_statistics *latents, const ra_latent_example *example) {
    if (example->token) {
        putchar('"');
        print_clean(stdout, example->token);
        putchar('"');
    }
    if (example->token && example->label) printf(" in ");
    if (example->label)
        print_clean(stdout, example->label);
    else if (example->token)
        return;
    else if (latents->items.rows)
        printf("position %zu of item %zu", example->position, example->item);
    else
        printf("row %zu", example->row);
}

/* The weakest quantile, the middle one and the strongest. */
static void print_quantiles(const ra_latent_statistics *latents, size_t atom) {
    const ra_latent_quantiles *quantiles = &latents->quantiles;
    size_t Q = quantiles->count, shown[] = {0, Q / 2, Q - 1};
    ra_latent_example example;
    for (size_t i = 0; Q > 0 && i < 3; i++) {
        const float *bound = quantiles->bound + atom * (Q + 1) + shown[i];
        size_t t = 0;
        if (i > 0 && shown[i] == shown[i - 1]) continue;
        for (; t < ROWS_SHOWN && ra_latent_statistics_quantile_example(latents, atom, shown[i], t, &example);
             t++) {
            if (t == 0) printf("    codes from %.3g to %.3g: ", (double)bound[0], (double)bound[1]);
            if (t > 0) printf(", ");
            print_row(latents, &example);
        }
        if (t > 0) putchar('\n');
    }
}

void inspect_latent_print(const ra_model *model, size_t atom) {
    const ra_latent_statistics *latents = ra_model_latent_statistics(model);
    if (!latents) return;
    print_partners(model, atom);
    print_quantiles(latents, atom);
}
