/* What Neuronpedia shows of a feature, as SAEDashboard's batches have it: batch-0.json, batch-1.json, ... Without a language
 * model there are no logits. The strongest texts are shown with the code of each token, where the file has their tokens; else a
 * row of data is a text of one token, its label. Quantiles are the intervals. */
#include "export/export.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 128, ALIGNED = 3 };

/* The number behind "blocks." or "layers." in the name of a hook; -1: there is none. */
static int layer_of(const char *hook) {
    static const char *const signs[] = {"blocks.", "layers.", "layer."};
    for (size_t i = 0; hook && i < sizeof signs / sizeof *signs; i++) {
        const char *at = strstr(hook, signs[i]);
        char *end;
        if (!at) continue;
        long layer = strtol(at + strlen(signs[i]), &end, 10);
        if (end > at + strlen(signs[i]) && layer >= 0 && layer < 100000) return (int)layer;
    }
    return -1;
}

/* ---- a feature ----------------------------------------------------------------------------------------- */

/* The dimensions in which the atom is largest. */
static void add_alignment(text *json, const float *atom, size_t d) {
    size_t best[ALIGNED], count = 0;
    double l1 = 0;
    for (size_t j = 0; j < d; j++) {
        l1 += fabs((double)atom[j]);
        size_t at = count;
        while (at > 0 && fabsf(atom[j]) > fabsf(atom[best[at - 1]])) at--;
        if (at == ALIGNED) continue;
        if (count < ALIGNED) count++;
        memmove(best + at + 1, best + at, (count - at - 1) * sizeof *best);
        best[at] = j;
    }
    json_array(json, "neuron_alignment_indices");
    for (size_t i = 0; i < count; i++) json_count(json, NULL, best[i]);
    json_array_end(json);
    json_array(json, "neuron_alignment_values");
    for (size_t i = 0; i < count; i++) json_float(json, NULL, atom[best[i]]);
    json_array_end(json);
    json_array(json, "neuron_alignment_l1");
    for (size_t i = 0; i < count; i++) json_real(json, NULL, l1 > 0 ? fabs((double)atom[best[i]]) / l1 : 0);
    json_array_end(json);
}

static void add_correlated(text *json, const ra_latent_statistics *statistics, size_t latent) {
    ra_latent_partner partner;
    json_array(json, "correlated_features_indices");
    for (size_t t = 0; ra_latent_statistics_partner(statistics, RA_COFIRING_CORRELATION, latent, t, &partner);
         t++)
        json_count(json, NULL, partner.latent);
    json_array_end(json);
    json_array(json, "correlated_features_pearson");
    for (size_t t = 0; ra_latent_statistics_partner(statistics, RA_COFIRING_CORRELATION, latent, t, &partner);
         t++)
        json_float(json, NULL, partner.correlation);
    json_array_end(json);
}

static void add_histogram(text *json, const ra_latent_statistics *statistics, size_t latent) {
    const int64_t *heights = statistics->histogram + latent * statistics->bins;
    double width = (double)statistics->histogram_top[latent] / (double)statistics->bins;
    bool active = statistics->count[latent] > 0;
    json_array(json, "freq_hist_data_bar_values");
    for (size_t b = 0; active && b < statistics->bins; b++) json_real(json, NULL, ((double)b + 0.5) * width);
    json_array_end(json);
    json_array(json, "freq_hist_data_bar_heights");
    for (size_t b = 0; active && b < statistics->bins; b++) json_count(json, NULL, (uint64_t)heights[b]);
    json_array_end(json);
}

static void add_example(text *json, const ra_latent_example *example, double least, double most,
                        double share) {
    char number[32];
    snprintf(number, sizeof number, "row %zu", example->row);
    json_object(json, NULL);
    json_real(json, "bin_min", least);
    json_real(json, "bin_max", most);
    json_real(json, "bin_contains", share);
    json_array(json, "tokens");
    json_text(json, NULL, example->token ? example->token : example->label ? example->label : number);
    json_array_end(json);
    json_array(json, "values");
    json_float(json, NULL, example->value);
    json_array_end(json);
    json_object_end(json);
}

/* Class tokens whose words are not known are left out. */
static void add_text(text *json, const ra_latent_statistics *statistics, const ra_latent_item *item) {
    size_t parts = statistics->tokens.parts;
    json_object(json, NULL);
    json_real(json, "bin_min", -1);
    json_real(json, "bin_max", (double)item->value);
    json_real(json, "bin_contains", -1);
    json_array(json, "tokens");
    for (size_t p = 0; p < parts; p++)
        if (item->words[p] >= 0)
            json_text(json, NULL, ra_latent_tokens_word(&statistics->tokens, item->words[p]));
    json_array_end(json);
    json_array(json, "values");
    for (size_t p = 0; p < parts; p++)
        if (item->words[p] >= 0) json_float(json, NULL, item->codes[p]);
    json_array_end(json);
    json_object_end(json);
}

/* False if the tokens of none are known. */
static bool add_texts(text *json, const ra_latent_statistics *statistics, size_t latent) {
    ra_latent_item item;
    bool any = false;
    for (size_t t = 0; ra_latent_statistics_item(statistics, latent, t, &item); t++) {
        if (item.words) add_text(json, statistics, &item);
        any |= item.words != NULL;
    }
    return any;
}

/* The strongest texts or else rows, then the rows of each quantile, the strongest one first. */
static void add_activations(text *json, const ra_latent_statistics *statistics, size_t latent) {
    const ra_latent_quantiles *quantiles = &statistics->quantiles;
    ra_latent_example example;
    json_array(json, "activations");
    bool texts = add_texts(json, statistics, latent);
    for (size_t t = 0; !texts && ra_latent_statistics_example(statistics, latent, t, &example); t++)
        add_example(json, &example, -1, (double)statistics->max[latent], -1);
    for (size_t q = quantiles->count; q-- > 0;) {
        const float *bound = quantiles->bound + latent * (quantiles->count + 1) + q;
        for (size_t t = 0; ra_latent_statistics_quantile_example(statistics, latent, q, t, &example); t++)
            add_example(json, &example, (double)bound[0], (double)bound[1], 1 / (double)quantiles->count);
    }
    json_array_end(json);
}

static void add_feature(text *json, const export_job *job, const ra_latent_statistics *statistics,
                        size_t latent) {
    static const char *const empty[] = {"correlated_neurons_indices",
                                        "correlated_neurons_l1",
                                        "correlated_neurons_pearson",
                                        "correlated_features_l1",
                                        "neg_str",
                                        "neg_values",
                                        "pos_str",
                                        "pos_values",
                                        "logits_hist_data_bar_heights",
                                        "logits_hist_data_bar_values",
                                        "decoder_weights_dist"};
    size_t d = job->weights->dimensions;
    json_object(json, NULL);
    json_count(json, "feature_index", latent);
    add_alignment(json, job->weights->decoder + latent * d, d);
    add_correlated(json, statistics, latent);
    json_real(json, "frac_nonzero", (double)statistics->count[latent] / (double)statistics->rows);
    add_histogram(json, statistics, latent);
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        json_array(json, empty[i]);
        json_array_end(json);
    }
    json_count(json, "n_prompts_total", statistics->rows);
    const ra_latent_items *items = &statistics->items;
    json_count(json, "n_tokens_in_prompt", statistics->tokens.items ? items->rows - items->skip : 1);
    json_text(json, "dataset", "");
    add_activations(json, statistics, latent);
    json_object_end(json);
}

/* ---- batches ------------------------------------------------------------------------------------------- */

static ra_status write_batch(const export_job *job, const ra_latent_statistics *statistics, int layer,
                             size_t batch, ra_error *err) {
    char name[48];
    text json = {0};
    size_t first = batch * BATCH, end = first + BATCH;
    if (end > job->weights->concepts) end = job->weights->concepts;
    json_object(&json, NULL);
    json_text(&json, "model_id", job->network);
    json_count(&json, "layer", (uint64_t)layer);
    json_text(&json, "sae_set", job->set);
    json_array(&json, "features");
    for (size_t k = first; k < end; k++) add_feature(&json, job, statistics, k);
    json_array_end(&json);
    json_object_end(&json);
    text_string(&json, "\n");
    snprintf(name, sizeof name, "batch-%zu.json", batch);
    return export_text(job, name, &json, err);
}

static ra_status write(const export_job *job, ra_error *err) {
    const ra_latent_statistics *statistics = ra_model_latent_statistics(job->model);
    int layer = job->layer >= 0 ? job->layer : layer_of(job->hook);
    if (!statistics)
        return export_refuse(job, "Neuronpedia",
                             "it has no statistics of its latents; rasae eval MODEL DATA --save MODEL adds "
                             "them",
                             err);
    if (!job->network)
        return export_refuse(job, "Neuronpedia", "it does not say which network it is of; give --model NAME",
                             err);
    if (layer < 0)
        return export_refuse(job, "Neuronpedia", "it does not say which layer it is of; give --layer N", err);
    if (!job->set) return export_refuse(job, "Neuronpedia", "its set has no name; give --set NAME", err);
    for (size_t batch = 0; batch * BATCH < job->weights->concepts; batch++)
        RA_TRY(write_batch(job, statistics, layer, batch, err));
    return RA_OK;
}

const export_format export_neuronpedia = {
    .name = "neuronpedia", .files = "batch-0.json, batch-1.json, ...", .write = write};
