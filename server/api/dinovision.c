/* The table as the page of DinoVision reads it, the demo of the authors of RA-SAE, so that the page runs on any dictionary.
 *
 * What it reads stands in its src/assets/data_processor.js and src/components/umap.vue (github.com/fel-thomas/dinovision):
 * the lists below, by number of the concept, 32,000 of each, a constant of the page. Places past the last atom hold dead
 * ones, which it does not draw. Its radius grows with the square root of umap_scale; its lines are as wide as their value
 * is, compared with the largest of the concept. To a concept that is clicked it shows all within 0.05 of it: about eight of
 * its own 32,000, so places are spread until that holds here, too. */
#include "api/dinovision.h"

#include <math.h>

enum { PAGE_CONCEPTS = 32000, PAGE_NEIGHBORS = 8 };

static const double page_distance = 0.05;

typedef struct shown {
    const ra_model *model;
    const ra_latent_statistics *latents;
    size_t atoms, places; /* of the dictionary, and of the lists */
    float largest_energy;
    double spread; /* of places within [-1, 1] */
} shown;

/* One list of the reply: what it holds for atom < atoms, and for the places behind. */
typedef void write_one(const shown *all, size_t atom, text *out);

static void place(const shown *all, size_t atom, int axis, text *out) {
    float at[2] = {0, 0};
    (void)ra_model_atom_layout(all->model, atom, at);
    text_f32(out, (float)(all->spread * (double)at[axis]));
}

static void x(const shown *all, size_t atom, text *out) {
    place(all, atom, 0, out);
}

static void y(const shown *all, size_t atom, text *out) {
    place(all, atom, 1, out);
}

/* Red grows to the right, green upwards, blue against both: neighbors on the map are alike. */
static void color(const shown *all, size_t atom, text *out) {
    float at[2] = {0, 0};
    (void)ra_model_atom_layout(all->model, atom, at);
    text_format(out, "[%.3f,%.3f,%.3f]", (double)(at[0] + 1) / 2, (double)(at[1] + 1) / 2,
                1 - (double)(at[0] + at[1] + 2) / 4);
}

static void scale(const shown *all, size_t atom, text *out) {
    text_f32(out, all->largest_energy > 0 ? all->latents->energy[atom] / all->largest_energy : 0);
}

static void energy(const shown *all, size_t atom, text *out) {
    text_f32(out, all->latents->energy[atom]);
}

static void is_dead(const shown *all, size_t atom, text *out) {
    text_string(out, all->latents->count[atom] ? "0" : "1");
}

static void fires(const shown *all, size_t atom, text *out) {
    text_i64(out, all->latents->count[atom]);
}

static void connections(const shown *all, size_t atom, bool values, text *out) {
    ra_latent_partner partner;
    text_string(out, "[");
    for (size_t t = 0; ra_latent_statistics_partner(all->latents, RA_COFIRING_CORRELATION, atom, t, &partner);
         t++) {
        if (t) text_string(out, ",");
        if (values)
            text_f32(out, partner.correlation);
        else
            text_i64(out, (int64_t)partner.latent);
    }
    text_string(out, "]");
}

static void connected(const shown *all, size_t atom, text *out) {
    connections(all, atom, false, out);
}

static void strengths(const shown *all, size_t atom, text *out) {
    connections(all, atom, true, out);
}

static const struct list {
    const char *name, *behind; /* the last atom */
    write_one *write;
} lists[] = {{"umap_x", "0", x},
             {"umap_y", "0", y},
             {"umap_colors", "[0,0,0]", color},
             {"umap_scale", "0", scale},
             {"energy", "0", energy},
             {"is_dead", "1", is_dead},
             {"connections_idx", "[]", connected},
             {"connections_val", "[]", strengths},
             {"nb_fire", "0", fires}};

static ra_status need_parts(const api_call *call, ra_error *err) {
    const ra_model_info *info = api_info(call);
    if (info->has_statistics && info->has_layout) return RA_OK;
    RA_FAIL_FACTS(
        err, RA_ERR_STATE, (.kind = PROBLEM_NOT_HELD),
        "the file of dictionary %s has no %s, which the page needs; %s adds it", call->dictionary->name,
        info->has_statistics ? "places of its atoms on a map" : "statistics of its latents",
        info->has_statistics ? "rasae layout MODEL -o MODEL" : "rasae eval MODEL DATA --save MODEL");
}

/* So many places, evenly on a square of 2 by 2 times this, have PAGE_NEIGHBORS within the distance. */
static double spread_of(size_t places) {
    return page_distance * sqrt(M_PI * (double)places / PAGE_NEIGHBORS) / 2;
}

ra_status write_dinovision(api_call *call, ra_error *err) {
    RA_TRY(need_parts(call, err));
    text *out = &call->response->body;
    shown all = {.model = api_model(call),
                 .latents = ra_model_latent_statistics(api_model(call)),
                 .atoms = api_info(call)->concepts};
    all.places = all.atoms < PAGE_CONCEPTS ? PAGE_CONCEPTS : all.atoms;
    size_t living = 0;
    for (size_t k = 0; k < all.atoms; k++) {
        all.largest_energy = fmaxf(all.largest_energy, all.latents->energy[k]);
        living += all.latents->count[k] > 0;
    }
    all.spread = spread_of(living);
    text_string(out, "{");
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        text_format(out, "%s\"%s\":[", i ? "," : "", lists[i].name);
        for (size_t k = 0; k < all.places; k++) {
            if (k) text_append(out, ",", 1);
            if (k < all.atoms)
                lists[i].write(&all, k, out);
            else
                text_string(out, lists[i].behind);
        }
        text_string(out, "]");
        RA_TRY(api_check_reply(call, err));
    }
    text_string(out, "}");
    return RA_OK;
}
