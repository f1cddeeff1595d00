#include "eval/eval.h"
#include "app/atom_json.h"
#include "app/format.h"
#include "app/json.h"

#include <math.h>
#include <stdlib.h>

enum { STRONGEST = 10 };

/* Each metric: the name of its member, which is its key in JSON, and its meaning. */
static const struct metric_row {
    const char *name;
    size_t offset;
    const char *meaning;
} metrics[] = {
#define ROW(member, text)                                                                                    \
    { #member, offsetof(ra_evaluation_result, member), text }
    ROW(mse, "mean squared error"),
    ROW(r2_per_dimension, "share of the variance explained, around the mean of each dimension"),
    ROW(r2, "the same around one mean of all numbers, as in the reference"),
    ROW(l0, "active latents per row"),
    ROW(l0_share, "the same as a share of all latents"),
    ROW(dead_ratio, "share of latents never active on these rows"),
    ROW(hoyer, "sparsity of the codes, from 0 (even) to 1 (a single latent); above 1: rows without codes"),
    ROW(kappa_4, "peakedness of the codes"),
    ROW(l1_l2_ratio, "mean over rows of the l1 norm of the codes divided by their l2 norm"),
    ROW(codes_l1, "mean over rows of the l1 norm of the codes"),
    ROW(codes_l2, "the same with the l2 norm"),
    ROW(codes_lp, "the same with p = 1/2"),
    ROW(average_l1, "mean over rows of the l1 norm of the residual"),
    ROW(average_l2, "the same with the l2 norm"),
    ROW(relative_l1, "mean over rows of that l1 norm divided by the input's (rows of zeros left out)"),
    ROW(relative_l2, "the same with the l2 norms"),
    ROW(wasserstein_1d, "distance of sorted columns, data and reconstructions"),
    ROW(wasserstein_rows, "rows that it was measured on"),
    ROW(frechet_distance, "of data and reconstructions as normal distributions"),
    ROW(connectivity, "share of pairs of latents never active together"),
    ROW(negative_interference, "largest singular value of relu(-(Z'Z) * (DD'))"),
    ROW(negative_interference_frobenius, "its Frobenius norm"),
    ROW(max_correlation, "largest |correlation| between two latents"),
    ROW(collinearity, "largest |cosine| between two atoms"),
    ROW(coherence, "the same, by another name"),
    ROW(stable_rank, "of the dictionary"),
    ROW(effective_rank, "exp of the entropy of its singular values"),
    ROW(ood, "1 - mean over atoms of the largest cosine with a row"),
    ROW(energy, "sum over latents of the norm of the average contribution"),
    ROW(plausibility, "mean over directions of the largest cosine with an atom"),
    ROW(identifiability, "mean over classes of the best single latent's accuracy"),
#undef ROW
};
enum { METRIC_COUNT = sizeof metrics / sizeof *metrics };

static double value_of(const ra_evaluation_result *result, size_t i) {
    return *(const double *)(const void *)((const char *)result + metrics[i].offset);
}

/* ---- the latents that bring most ---------------------------------------------------------------------- */

typedef struct strongest {
    size_t latent[STRONGEST], count;
} strongest;

/* By falling energy, the lower number first if equal; without latents that are never active. */
static strongest find_strongest(const ra_latent_statistics *latents) {
    strongest found = {.count = 0};
    for (size_t k = 0; k < latents->concepts; k++) {
        size_t at = found.count;
        if (latents->count[k] == 0) continue;
        while (at > 0 && latents->energy[found.latent[at - 1]] < latents->energy[k]) at--;
        if (at == STRONGEST) continue;
        if (found.count < STRONGEST) found.count++;
        for (size_t i = found.count - 1; i > at; i--) found.latent[i] = found.latent[i - 1];
        found.latent[at] = k;
    }
    return found;
}

static double frequency_of(const ra_latent_statistics *latents, size_t k) {
    return (double)latents->count[k] / (double)latents->rows;
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static void json_strongest(const eval_report *report, text *json) {
    const ra_latent_statistics *latents = &report->latents;
    strongest found = find_strongest(latents);
    json_array(json, "strongest");
    for (size_t i = 0; i < found.count; i++) {
        size_t k = found.latent[i];
        json_object(json, NULL);
        json_count(json, "atom", k);
        json_float(json, "energy", latents->energy[k]);
        json_real(json, "frequency", frequency_of(latents, k));
        json_float(json, "mean", latents->mean[k]);
        json_float(json, "max", latents->max[k]);
        json_atom_parts(json, report->model, k, ATOM_LABEL, NULL);
        json_object_end(json);
    }
    json_array_end(json);
}

static void json_classes(const eval_report *report, text *json) {
    json_array(json, "classes");
    for (size_t c = 0; report->detectors && c < report->classes->count; c++) {
        const ra_class_detector *detector = &report->detectors[c];
        json_object(json, NULL);
        json_text(json, "class", report->classes->names[c]);
        json_real(json, "accuracy", detector->accuracy);
        json_count(json, "atom", detector->latent);
        json_real(json, "threshold", detector->threshold); /* exact: codes lie on it */
        json_object_end(json);
    }
    json_array_end(json);
}

static void json_agreement(const eval_report *report, text *json) {
    json_object(json, "agreement");
    json_count(json, "runs", report->agreement_runs);
    json_real(json, "share", report->agreement.share);
    json_real(json, "cosine", report->agreement.cosine);
    json_real(json, "found_by_half", report->agreement.found);
    json_object_end(json);
}

ra_status eval_print_json(const eval_report *report, ra_error *err) {
    const ra_evaluation_result *result = &report->result;
    text json = {0};
    json_object(&json, NULL);
    json_count(&json, "rows", result->rows);
    for (size_t i = 0; i < METRIC_COUNT; i++) json_real(&json, metrics[i].name, value_of(result, i));
    json_object(&json, "skipped");
    for (size_t i = 0; i < result->skip_count; i++)
        json_text(&json, result->skips[i].metric, result->skips[i].reason);
    json_object_end(&json);
    if (report->agreement_runs) json_agreement(report, &json);
    json_strongest(report, &json);
    json_classes(report, &json);
    json_object_end(&json);
    return json_print(&json, stdout, err);
}

/* ---- text --------------------------------------------------------------------------------------------- */

static void print_strongest(const eval_report *report) {
    const ra_latent_statistics *latents = &report->latents;
    strongest found = find_strongest(latents);
    if (found.count) printf("\nLatents that contribute most\n");
    for (size_t i = 0; i < found.count; i++) {
        size_t k = found.latent[i];
        const char *label = ra_model_atom_label(report->model, k);
        printf("  latent %-6zu energy %-10.4g in %6.2f %% of the rows, mean %-8.4g ", k,
               (double)latents->energy[k], 100 * frequency_of(latents, k), (double)latents->mean[k]);
        if (label) print_clean(stdout, label);
        putchar('\n');
    }
}

static void print_classes(const eval_report *report) {
    if (!report->detectors) return;
    printf("\nClasses\n");
    for (size_t c = 0; c < report->classes->count; c++) {
        const ra_class_detector *detector = &report->detectors[c];
        printf("  ");
        print_clean(stdout, report->classes->names[c]);
        printf(": %.4f of the rows classified correctly ", detector->accuracy);
        if (isfinite(detector->threshold))
            printf("by latent %zu above %.6g\n", detector->latent, (double)detector->threshold);
        else
            printf("by no latent: %s row is assigned to it\n", detector->threshold > 0 ? "no" : "every");
    }
}

static void print_agreement(const eval_report *report) {
    printf("  %-31s %12.6g  %s\n", "agreement", report->agreement.cosine,
           "mean cosine of the median atom with the other runs");
    printf("  %-31s %12.6g  %s\n", "agreement_found_by_half", report->agreement.found,
           "share of the atoms that at least half of these runs have");
}

void eval_print_table(const eval_report *report) {
    const ra_evaluation_result *result = &report->result;
    print_clean(stdout, ra_model_get_info(report->model)->path);
    printf(" on %s rows of ", format_grouped(result->rows).text);
    print_clean(stdout, report->data[0]);
    if (report->data_count > 1) printf(" and %zu more", report->data_count - 1);
    printf("\n\n");
    for (size_t i = 0; i < METRIC_COUNT; i++)
        if (!isnan(value_of(result, i)))
            printf("  %-31s %12.6g  %s\n", metrics[i].name, value_of(result, i), metrics[i].meaning);
    for (size_t i = 0; i < result->skip_count; i++)
        printf("  %-31s      skipped  %s\n", result->skips[i].metric, result->skips[i].reason);
    if (report->agreement_runs) print_agreement(report);
    print_strongest(report);
    print_classes(report);
}
