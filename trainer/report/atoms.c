/* The strongest atoms, as cards: each a mixture of points, shown by the length of bars.
 *
 * An atom is strong if it contributes much to the reconstructions: the norm of the mean code times the atom, the
 * "energy" of the reference. Norms alone say little where the dictionary bounds them. Without an encoder there are
 * no codes; then the norm decides. */
#include "report/page.h"
#include "report/pieces.h"

#include "app/format.h"

#include <math.h>
#include <stdlib.h>

enum {
    ATOMS_EACH = 24,
    ATOMS_ALL = 96, /* of all runs together, but ATOMS_LEAST each */
    ATOMS_LEAST = 4,
    ARCHETYPES_SHOWN = 5,
    ROWS_SHOWN = 3,
    LABEL_MOST = 90, /* characters */
};

static const double SHARE_LEAST = 0.0005; /* less would be written as 0.0% */

/* ---- which -------------------------------------------------------------------------------------------- */

typedef struct ranked_atom {
    double strength;
    size_t atom;
} ranked_atom;

static int by_strength(const void *a, const void *b) {
    const ranked_atom *x = a, *y = b;
    if (x->strength != y->strength) return x->strength < y->strength ? 1 : -1;
    return (x->atom > y->atom) - (x->atom < y->atom);
}

static ra_status rank_atoms(const report_run *run, ranked_atom **ranked, ra_error *err) {
    size_t K = ra_model_get_info(run->model)->concepts;
    *ranked = ra_malloc(K, sizeof **ranked);
    if (!*ranked) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: an order of %zu atoms", K);
    for (size_t k = 0; k < K; k++) {
        double norm = (double)ra_model_atom_norm(run->model, k);
        (*ranked)[k] =
            (ranked_atom){run->measures->rows ? norm * fabs((double)run->measures->mean[k]) : norm, k};
    }
    qsort(*ranked, K, sizeof **ranked, by_strength);
    return RA_OK;
}

/* ---- a card ------------------------------------------------------------------------------------------- */

/* A share of the full width, in a picture that is stretched to it. */
static void draw_bar(html_writer *html, const char *kind, double share) {
    html_format(html,
                "<svg class=\"bar %s\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" "
                "aria-hidden=\"true\"><rect class=\"track\" width=\"1000\" height=\"10\"/>"
                "<rect width=\"%ld\" height=\"10\"/></svg>",
                kind, lround(1000 * fmin(fmax(share, 0), 1)));
}

static void write_rows(html_writer *html, const ra_model *model, size_t point, bool distances) {
    ra_point_row near[ROWS_SHOWN];
    size_t count = ra_model_point_rows(model, point, near, ROWS_SHOWN);
    for (size_t r = 0; r < count && r < ROWS_SHOWN; r++) {
        html_format(html, "%s%zu", r ? ", " : count > 1 ? "rows " : "row ", near[r].row);
        if (distances) html_format(html, " at %.3g", (double)near[r].distance);
    }
}

/* "point 3, weight 0.41, nearest to rows 4 at 0.1, 7 at 0.2", shown under the pointer. */
static void write_archetype(html_writer *html, const ra_model *model, const ra_archetype *archetype,
                            double share) {
    ra_point_row near;
    bool rows = ra_model_point_rows(model, archetype->point, &near, 1) > 0;
    html_format(html, "<li title=\"point %zu, weight %.3g", archetype->point, (double)archetype->weight);
    if (rows) html_raw(html, ", nearest to ");
    if (rows) write_rows(html, model, archetype->point, true);
    html_format(html, "\"><span class=\"share\">%.1f%%</span> <bdi>", 100 * share);
    if (archetype->label)
        html_text(html, archetype->label, LABEL_MOST);
    else {
        html_format(html, "point %zu", archetype->point);
        if (rows) html_raw(html, ": ");
        if (rows) write_rows(html, model, archetype->point, false);
    }
    html_raw(html, "</bdi>");
    draw_bar(html, "weight", share);
    html_raw(html, "</li>\n");
}

/* A share of the atom that no archetype on the card has. */
static void write_rest(html_writer *html, double share, const char *what, const char *bar) {
    if (fabs(share) < SHARE_LEAST) return;
    html_format(html, "<li class=\"rest\"><span class=\"share\">%.1f%%</span> %s", 100 * share, what);
    if (bar) draw_bar(html, bar, share);
    html_raw(html, "</li>\n");
}

/* Shares of the atom, which sum to 100 %: along its archetypes, the points that are not shown, the relaxation. Files of
 * before know weights only; these are shares of the mixture. */
static void write_archetypes(html_writer *html, const ra_model *model, size_t atom) {
    ra_archetype archetype;
    double rest = 1, relaxation = (double)ra_model_atom_relaxation_share(model, atom);
    for (size_t t = 0; t < ARCHETYPES_SHOWN && ra_model_atom_archetype(model, atom, t, &archetype); t++) {
        bool known = isfinite(archetype.contribution);
        double share = (double)(known ? archetype.contribution : archetype.weight);
        if (t > 0 && share < SHARE_LEAST) break;
        if (t == 0) html_raw(html, "<ul>\n");
        if (t == 0 && known && isfinite(relaxation)) rest -= relaxation;
        write_archetype(html, model, &archetype, share);
        rest -= share;
    }
    if (!ra_model_atom_archetype(model, atom, 0, &archetype)) return;
    write_rest(html, rest, "other points", NULL);
    if (isfinite(archetype.contribution) && isfinite(relaxation))
        write_rest(html, relaxation, "relaxation", "leash");
    html_raw(html, "</ul>\n");
}

/* What the mixture accounts for, and the relaxation's length of the most that is allowed. */
static void write_relaxation(html_writer *html, const ra_model *model, size_t atom) {
    const ra_model_info *info = ra_model_get_info(model);
    double length = (double)ra_model_atom_relaxation(model, atom), delta = info->settings.delta,
           hull = (double)ra_model_atom_hull_share(model, atom);
    bool bounded = ra_setting_known(&info->settings, RA_SET_DELTA) && delta > 0;
    if (!info->has_relaxation || !isfinite(length)) return;
    html_raw(html, "<p class=\"relaxation\">");
    if (isfinite(hull)) html_format(html, "cosine with its mixture %.3f \u00b7 ", hull);
    html_format(html, "relaxation %.3g", length);
    if (bounded) html_format(html, " of at most %.3g", delta);
    html_raw(html, "</p>\n");
}

/* "0.46 color, 0.24 red: cosine 0.953", rows of the data whose mixture is nearest to the atom. */
static void write_trace(html_writer *html, const ra_model *model, size_t atom) {
    ra_trace_row row;
    size_t t = 0;
    for (; ra_model_atom_trace_row(model, atom, t, &row); t++) {
        html_format(html, "%s%.2f <bdi title=\"row %zu\">",
                    t ? ", " : "<p class=\"trace\">trace: ", (double)row.contribution, row.row);
        if (row.label)
            html_text(html, row.label, LABEL_MOST);
        else
            html_format(html, "row %zu", row.row);
        html_raw(html, "</bdi>");
    }
    if (t) html_format(html, "; cosine %.3f</p>\n", (double)ra_model_atom_trace_cosine(model, atom));
}

/* A bar of the runs that have the atom. */
static void write_agreement(html_writer *html, const ra_model *model, size_t atom) {
    size_t runs = ra_model_get_info(model)->agreement_runs;
    double share = (double)ra_model_atom_agreement(model, atom);
    if (runs == 0) return;
    html_format(html, "<p class=\"agreement\">in %.0f%% of %zu runs, mean cosine %.3f", 100 * share, runs,
                (double)ra_model_atom_agreement_cosine(model, atom));
    draw_bar(html, "leash", share);
    html_raw(html, "</p>\n");
}

static void write_atom(html_writer *html, const report_run *run, size_t atom) {
    const char *label = ra_model_atom_label(run->model, atom);
    html_raw(html, "<article class=\"atom\">\n<h4");
    if (label)
        html_format(html, " title=\"label from %s\"",
                    ra_label_source_name(ra_model_atom_label_source(run->model, atom)));
    html_raw(html, "><bdi>");
    if (label)
        html_text(html, label, LABEL_MOST);
    else
        html_format(html, "atom %zu", atom);
    html_raw(html, "</bdi></h4>\n<p class=\"facts\">");
    if (label) html_format(html, "atom %zu \u00b7 ", atom);
    html_format(html, "norm %.3g", (double)ra_model_atom_norm(run->model, atom));
    if (run->measures->rows) {
        double density = (double)run->measures->density[atom], mean = (double)run->measures->mean[atom];
        html_format(html, " \u00b7 active on %.3g%% of rows", 100 * density);
        if (density > 0) html_format(html, ", there %.3g on average", mean / density);
    }
    html_raw(html, "</p>\n");
    write_archetypes(html, run->model, atom);
    write_relaxation(html, run->model, atom);
    write_trace(html, run->model, atom);
    write_agreement(html, run->model, atom);
    html_raw(html, "</article>\n");
}

/* ---- all of them -------------------------------------------------------------------------------------- */

static ra_status write_run(html_writer *html, const report_run *run, size_t most, ra_error *err) {
    size_t K = ra_model_get_info(run->model)->concepts;
    ranked_atom *ranked = NULL;
    RA_TRY(rank_atoms(run, &ranked, err));
    html_raw(html, "<div class=\"atoms\">\n");
    for (size_t i = 0; i < K && i < most && ranked[i].strength > 0; i++)
        write_atom(html, run, ranked[i].atom);
    html_raw(html, "</div>\n");
    ra_free(ranked);
    return RA_OK;
}

ra_status report_page_atoms(html_writer *html, const report_content *report, ra_error *err) {
    size_t runs = report->run_count, each = ATOMS_ALL / runs;
    if (each > ATOMS_EACH) each = ATOMS_EACH;
    if (each < ATOMS_LEAST) each = ATOMS_LEAST;
    const ra_model_info *info = ra_model_get_info(report->runs[0].model);
    html_raw(html, "<section id=\"atoms\">\n<h2>Strongest atoms</h2>\n<p class=\"lead\">");
    html_raw(html, report->runs[0].measures->rows
                       ? "Sorted by what they contribute: the mean code times the norm of the atom."
                       : "Sorted by norm.");
    html_raw(html, info->archetypes ? " An atom is a convex mixture of points, plus the relaxation, a step "
                                      "away from it; the bars are the weights of the mixture.</p>\n"
                                    : " A plain dictionary: its atoms are not made of points.</p>\n");
    for (size_t r = 0; r < runs; r++) {
        if (runs > 1) {
            html_format(html, "<details%s><summary>", r == 0 ? " open" : "");
            report_run_name(html, report, r);
            html_raw(html, "</summary>\n");
        }
        RA_TRY(write_run(html, &report->runs[r], each, err));
        if (runs > 1) html_raw(html, "</details>\n");
    }
    html_raw(html, "</section>\n");
    return RA_OK;
}
