#include "compare/compare.h"
#include "app/format.h"
#include "app/json.h"

#include <math.h>
#include <string.h>

static const char caveat[] =
    "stability is measured on the fused atoms, scaled to unit length and matched one to one (exact "
    "assignment). By default runs of different seeds start on the same points, so a shared start can account "
    "for much of it; compare it with the cosine before the first step, with the centered figure, with the "
    "--floor, and with runs on other points (--points-seed).";

static const struct figure {
    const char *name;
    size_t offset;
    bool similarity; /* 1 is the same dictionary: these have matrices */
    const char *meaning;
} figures[] = {
#define ROW(member, similarity, text)                                                                        \
    { #member, offsetof(ra_comparison, member), similarity, text }
    ROW(stability_with_flips, true,
        "PW-MCC: mean cosine of matched atoms, of either sign; 1: the same dictionary"),
    ROW(stability_without_flips, true, "the same, where an opposite atom is no match (overcomplete's)"),
    ROW(stability_centered, true, "the same as stability_without_flips, of the atoms minus their mean"),
    ROW(share_over_90, false, "of the atoms: matched at a cosine of .9 or more, without flips"),
    ROW(share_over_70, false, "at .7 or more"),
    ROW(cosine_hungarian_loss, false, "sum of cosine distances"),
    ROW(hungarian_loss, false, "sum of Euclidean distances"),
#undef ROW
};
enum { FIGURE_COUNT = sizeof figures / sizeof *figures };

static double value_of(const compared_pair *pair, size_t f) {
    return *(const double *)(const void *)((const char *)&pair->result + figures[f].offset);
}

/* Of models i and j; 1 for a model with itself. */
static double between(const compare_report *report, size_t i, size_t j, size_t f) {
    for (size_t p = 0; p < report->pair_count; p++) {
        const compared_pair *pair = &report->pairs[p];
        if ((pair->a == i && pair->b == j) || (pair->a == j && pair->b == i)) return value_of(pair, f);
    }
    return 1;
}

/* Mean and sample standard deviation over the pairs. */
static double mean_of(const compare_report *report, size_t f, double *deviation) {
    double sum = 0, square = 0, count = (double)report->pair_count;
    for (size_t p = 0; p < report->pair_count; p++) sum += value_of(&report->pairs[p], f) / count;
    for (size_t p = 0; p < report->pair_count; p++) {
        double gap = value_of(&report->pairs[p], f) - sum;
        square += gap * gap;
    }
    *deviation = report->pair_count > 1 ? sqrt(square / (count - 1)) : 0;
    return sum;
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static void json_pair(const compared_pair *pair, text *json) {
    const ra_comparison *r = &pair->result;
    json_count(json, "concepts", r->concepts);
    for (size_t f = 0; f < FIGURE_COUNT; f++) json_real(json, figures[f].name, value_of(pair, f));
    json_real(json, "codes", pair->codes);
    json_real(json, "starts", pair->starts);
    if (pair->points.known) {
        json_count(json, "shared_points", pair->points.equal);
        json_count(json, "shared_points_in_any_order", pair->points.common);
        json_count(json, "points", pair->points.of);
    }
    json_array(json, "match");
    for (size_t i = 0; i < r->concepts; i++) json_count(json, NULL, (uint64_t)r->match[i]);
    json_array_end(json);
    json_array(json, "match_cosine");
    for (size_t i = 0; i < r->concepts; i++) json_float(json, NULL, r->match_cosine[i]);
    json_array_end(json);
}

static void json_models(const compare_report *report, text *json) {
    json_array(json, "models");
    for (size_t i = 0; i < report->model_count; i++) {
        const ra_model_info *info = ra_model_get_info(report->model[i]);
        json_object(json, NULL);
        json_text(json, "path", report->path[i]);
        json_text(json, "init", info->init);
        json_text(json, "seed", info->seed);
        json_count(json, "points", info->points);
        json_object_end(json);
    }
    json_array_end(json);
}

static void json_matrices(const compare_report *report, text *json) {
    json_object(json, "matrix");
    for (size_t f = 0; f < FIGURE_COUNT; f++) {
        if (!figures[f].similarity) continue;
        json_array(json, figures[f].name);
        for (size_t i = 0; i < report->model_count; i++) {
            json_array(json, NULL);
            for (size_t j = 0; j < report->model_count; j++) json_real(json, NULL, between(report, i, j, f));
            json_array_end(json);
        }
        json_array_end(json);
    }
    json_object_end(json);
    for (int deviations = 0; deviations < 2; deviations++) {
        json_object(json, deviations ? "deviation" : "mean");
        for (size_t f = 0; f < FIGURE_COUNT; f++) {
            double deviation, mean = mean_of(report, f, &deviation);
            json_real(json, figures[f].name, deviations ? deviation : mean);
        }
        json_object_end(json);
    }
}

ra_status compare_print_json(const compare_report *report, ra_error *err) {
    text json = {0};
    json_object(&json, NULL);
    if (report->pair_count == 1) {
        json_pair(&report->pairs[0], &json);
    } else {
        json_matrices(report, &json);
        json_array(&json, "pairs");
        for (size_t p = 0; p < report->pair_count; p++) {
            json_object(&json, NULL);
            json_count(&json, "a", report->pairs[p].a);
            json_count(&json, "b", report->pairs[p].b);
            json_pair(&report->pairs[p], &json);
            json_object_end(&json);
        }
        json_array_end(&json);
    }
    json_models(report, &json);
    if (report->floor) {
        json_object(&json, "floor");
        json_real(&json, "random_directions", report->floor->directions);
        json_real(&json, "random_rows", report->floor->rows);
        json_object_end(&json);
    }
    json_text(&json, "caveat", caveat);
    json_object_end(&json);
    return json_print(&json, stdout, err);
}

/* ---- text --------------------------------------------------------------------------------------------- */

/* A terminal wants lines. */
static void print_wrapped(const char *words, size_t width) {
    while (*words) {
        size_t length = strlen(words);
        if (length > width)
            for (length = width; length > 0 && words[length] != ' ';) length--;
        printf("  %.*s\n", (int)length, words);
        words += length + (words[length] == ' ');
    }
}

static void print_pair(const compare_report *report) {
    const compared_pair *pair = &report->pairs[0];
    print_clean(stdout, report->path[0]);
    printf(" and ");
    print_clean(stdout, report->path[1]);
    printf(": %s atoms of %zu dimensions\n\n", format_grouped(pair->result.concepts).text,
           ra_model_get_info(report->model[0])->dimensions);
    for (size_t f = 0; f < FIGURE_COUNT; f++)
        printf("  %-23s %10.*f  %s\n", figures[f].name, figures[f].similarity ? 6 : 4, value_of(pair, f),
               figures[f].meaning);
}

static void print_matrices(const compare_report *report) {
    const ra_model_info *info = ra_model_get_info(report->model[0]);
    printf("%zu dictionaries of %s atoms of %zu dimensions\n", report->model_count,
           format_grouped(info->concepts).text, info->dimensions);
    for (size_t f = 0; f < FIGURE_COUNT; f++) {
        double deviation, mean = mean_of(report, f, &deviation);
        printf("\n  %s: %.4f +- %.4f over %zu pairs, %s\n", figures[f].name, mean, deviation,
               report->pair_count, figures[f].meaning);
        if (!figures[f].similarity) continue;
        printf("  %4s", "");
        for (size_t j = 0; j < report->model_count; j++) printf(" %6zu", j + 1);
        putchar('\n');
        for (size_t i = 0; i < report->model_count; i++) {
            printf("  %4zu", i + 1);
            for (size_t j = 0; j < report->model_count; j++) printf(" %6.4f", between(report, i, j, f));
            putchar('\n');
        }
    }
}

/* How each began, as far as its file says. */
static void print_starts(const compare_report *report) {
    printf("\n");
    for (size_t i = 0; i < report->model_count; i++) {
        const ra_model_info *info = ra_model_get_info(report->model[i]);
        printf("  %zu: ", i + 1);
        print_clean(stdout, report->path[i]);
        printf(": init ");
        print_clean(stdout, info->init ? info->init : "unknown");
        printf(", seed ");
        print_clean(stdout, info->seed ? info->seed : "unknown");
        printf(info->points ? ", %s points\n" : "\n", format_grouped(info->points).text);
    }
}

/* "  1 and 3: " where there are several pairs. */
static void print_pair_name(const compare_report *report, const compared_pair *pair) {
    printf("  ");
    if (report->pair_count > 1) printf("%zu and %zu: ", pair->a + 1, pair->b + 1);
}

static void print_shared_points(const compared_pair *pair) {
    if (!pair->points.known)
        printf("whether they share candidate points is unknown: not both files keep them.\n");
    else if (pair->points.common > pair->points.equal)
        printf("%s of %s candidate points are the same in both, and %s more are in both at different "
               "positions.\n",
               format_grouped(pair->points.equal).text, format_grouped(pair->points.of).text,
               format_grouped(pair->points.common - pair->points.equal).text);
    else
        printf("%s of %s candidate points are the same in both.\n", format_grouped(pair->points.equal).text,
               format_grouped(pair->points.of).text);
}

static void print_floor(const compared_floor *floor) {
    printf("  the floor of stability_without_flips: %.4f for as many random directions", floor->directions);
    if (isfinite(floor->rows)) printf(", %.4f for as many random rows", floor->rows);
    printf(".\n");
}

/* What two models have in common besides their atoms. */
static void print_common(const compare_report *report) {
    if (report->floor) print_floor(report->floor);
    for (size_t p = 0; p < report->pair_count; p++) {
        const compared_pair *pair = &report->pairs[p];
        if (isfinite(pair->codes)) {
            print_pair_name(report, pair);
            printf("of the rows on which one of two matched latents is active, both are on %.1f %%.\n",
                   100 * pair->codes);
        }
        if (isfinite(pair->starts)) {
            print_pair_name(report, pair);
            printf("before the first step the mean cosine of matched atoms was %.6f.\n", pair->starts);
        }
        print_pair_name(report, pair);
        print_shared_points(pair);
    }
}

void compare_print_text(const compare_report *report) {
    if (report->pair_count == 1)
        print_pair(report);
    else
        print_matrices(report);
    print_starts(report);
    print_common(report);
    printf("  Note:\n");
    print_wrapped(caveat, 96);
}
