/* Evaluates a model on data, in one pass, or in several if Z^T Z does not fit into memory. Codes and
 * reconstructions are kept for a chunk of rows only, so the data may be of any length. What is kept longer
 * has its own files:
 *
 *   reconstruction.c   sums over rows
 *   statistics.c       counts, histograms and examples of each latent
 *   coverage.c         the best cosine of each atom
 *   pairs.c            Z^T Z, a band at a time
 *   covariance.c       means and covariances
 *   items.c            the codes of whole items
 *   sample.c           rows for the distance of distributions
 *   classes.c          codes with the class of their row
 *   by_latent.c        all codes, in memory or a file; partners and quantiles of each latent
 *
 * The next band of Z^T Z takes the codes that are kept; without them, a later pass encodes the data again. All metrics are computed in the space of
 * the dictionary, where the loss is, and where cosines with atoms are meaningful.
 *
 * To add a metric: its function in a file of this folder, declared in ra_metrics.h; a member of
 * ra_evaluation_result, set in ra_evaluation_finish(); a row in trainer/eval/print.c; a test against plain
 * loops or a golden case. If memory or the options do not allow it, it is NaN and skip() says why. */
#include "ra_metrics.h"
#include "ra_memory.h"
#include "metrics/by_latent.h"
#include "metrics/classes.h"
#include "metrics/coverage.h"
#include "metrics/items.h"
#include "metrics/statistics.h"
#include "metrics/covariance.h"
#include "metrics/pairs.h"
#include "metrics/reconstruction.h"
#include "metrics/sample.h"
#include "model/model.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_ROWS = 2048 };

struct ra_evaluation {
    ra_model *model;
    ra_backend *host; /* for the metrics; the model uses its own to encode and decode */
    ra_evaluation_options options;
    ra_workspace *workspace;
    ra_codes codes;
    ra_matrix x_hat; /* [CHUNK_ROWS,d] */
    const float *D;  /* [K,d] in float32: the model's own, or `wide` */
    ra_matrix wide;
    ra_reconstruction sums;
    ra_latent_sums statistics;
    ra_item_codes items;
    ra_coverage coverage;
    ra_covariance data, reconstructed; /* d is 0 if they do not fit into memory */
    ra_sample sample;
    ra_classes classes; /* of 0 classes without options->row_class */
    ra_by_latent by_latent;
    ra_pairs pairs;
    ra_pairs_result pair_sums; /* of the bands before this one */
    size_t pass, pass_rows;    /* from 0; the rows of this pass so far */
};

/* The memory for two covariances and their distance. */
static size_t covariance_bytes(size_t d) {
    enum { MATRICES = 8 };
    size_t square;
    return __builtin_mul_overflow(d, d, &square) ? SIZE_MAX
           : square > SIZE_MAX / 64              ? SIZE_MAX
                                                 : square * MATRICES * sizeof(double);
}

static bool wants_covariances(const ra_evaluation *evaluation) {
    return !evaluation->options.basic &&
           covariance_bytes(evaluation->model->info.dimensions) <= evaluation->options.memory / 8;
}

/* ---- life --------------------------------------------------------------------------------------------- */

static ra_status prepare_optional(ra_evaluation *evaluation, ra_error *err) {
    const ra_evaluation_options *options = &evaluation->options;
    const ra_model_info *info = ra_model_get_info(evaluation->model);
    ra_pool *pool = ra_backend_pool(evaluation->host);
    if (options->row_class)
        RA_TRY(ra_classes_init(&evaluation->classes, info->concepts, options->class_count,
                               options->memory / 16 * 3, err));
    const ra_by_latent_options wanted = {
        .partners = options->partners,
        .least = options->partners_least ? options->partners_least : RA_COFIRING_LEAST_DEFAULT,
        .quantiles = options->quantiles,
        .quantile_rows = options->quantile_rows ? options->quantile_rows : RA_LATENT_QUANTILE_ROWS_DEFAULT,
        .keep =
            !options->basic && ra_pairs_triangle(info->concepts) > options->memory / 8 * 3 / sizeof(double),
        .bytes = options->codes_memory,
        .folder = options->codes_folder};
    RA_TRY(ra_by_latent_init(&evaluation->by_latent, info->concepts, &wanted, err));
    if (options->basic) return RA_OK;
    ra_sample_init(&evaluation->sample, info->dimensions, options->memory / 8);
    ra_pairs_init(&evaluation->pairs, info->concepts, options->memory / 8 * 3);
    RA_TRY(ra_pairs_begin(&evaluation->pairs, err));
    if (!wants_covariances(evaluation)) return RA_OK;
    RA_TRY(ra_covariance_init(&evaluation->data, pool, info->dimensions, err));
    return ra_covariance_init(&evaluation->reconstructed, pool, info->dimensions, err);
}

static ra_status prepare(ra_evaluation *evaluation, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(evaluation->model);
    const ra_tensor *D = ra_model_dictionary(evaluation->model);
    evaluation->D = D->data;
    if (D->dtype != RA_F32) {
        RA_TRY(ra_matrix_init(&evaluation->wide, info->concepts, info->dimensions, err));
        ra_convert_to_f32(D->dtype, D->data, evaluation->wide.data, ra_tensor_elements(D));
        evaluation->D = evaluation->wide.data;
    }
    RA_TRY(ra_backend_open_host(evaluation->model->backend, &evaluation->host, err));
    RA_TRY(ra_workspace_new(&evaluation->workspace, err));
    RA_TRY(ra_matrix_init(&evaluation->x_hat, CHUNK_ROWS, info->dimensions, err));
    RA_TRY(ra_reconstruction_init(&evaluation->sums, info->dimensions, info->concepts, err));
    RA_TRY(ra_latent_sums_init(&evaluation->statistics, info->concepts, evaluation->options.examples, err));
    const ra_evaluation_options *options = &evaluation->options;
    RA_TRY(ra_item_codes_init(&evaluation->items, info->concepts, options->item_codes,
                              options->items.rows ? options->items.rows : 1, options->memory, err));
    RA_TRY(ra_coverage_init(&evaluation->coverage, evaluation->host, D, err));
    return prepare_optional(evaluation, err);
}

static ra_status check_options(const ra_evaluation_options *options, ra_error *err) {
    if (options->partners > RA_COFIRING_PARTNERS_MOST)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%zu partners cannot be kept for a latent; expected at most %d",
                options->partners, RA_COFIRING_PARTNERS_MOST);
    if (options->quantiles > RA_LATENT_QUANTILES_MOST ||
        options->quantile_rows > RA_LATENT_QUANTILE_ROWS_MOST)
        RA_FAIL(err, RA_ERR_ARGUMENT, "%zu rows of %zu quantiles cannot be kept; expected at most %d of %d",
                options->quantile_rows, options->quantiles, RA_LATENT_QUANTILE_ROWS_MOST,
                RA_LATENT_QUANTILES_MOST);
    if (!options->row_class) return RA_OK;
    for (size_t i = 0; i < options->class_rows; i++)
        if (options->row_class[i] < 0 || (size_t)options->row_class[i] >= options->class_count)
            RA_FAIL(err, RA_ERR_ARGUMENT, "the class of row %zu is %d; expected one below %zu", i,
                    options->row_class[i], options->class_count);
    return RA_OK;
}

ra_status ra_evaluation_new(ra_model *model, const ra_evaluation_options *options, ra_evaluation **out,
                            ra_error *err) {
    static const ra_evaluation_options none = {0};
    const ra_model_info *info = ra_model_get_info(model);
    if (!options) options = &none;
    if (!info->has_encoder)
        RA_FAIL(err, RA_ERR_STATE, "%s has no encoder, so its reconstructions cannot be evaluated",
                info->path);
    RA_TRY(check_options(options, err));
    ra_evaluation *evaluation = ra_calloc(1, sizeof *evaluation);
    if (!evaluation) RA_FAIL_MEMORY(err, "an evaluation", sizeof *evaluation);
    evaluation->model = ra_model_retain(model);
    evaluation->options = *options;
    if (!options->memory) evaluation->options.memory = RA_EVALUATION_MEMORY;
    if (!options->codes_memory) evaluation->options.codes_memory = evaluation->options.memory;
    if (!options->examples) evaluation->options.examples = RA_LATENT_EXAMPLES_DEFAULT;
    ra_status status = prepare(evaluation, err);
    if (status != RA_OK) {
        ra_evaluation_free(evaluation);
        return status;
    }
    *out = evaluation;
    return RA_OK;
}

void ra_evaluation_free(ra_evaluation *evaluation) {
    if (!evaluation) return;
    ra_pairs_release(&evaluation->pairs);
    ra_by_latent_release(&evaluation->by_latent);
    ra_classes_release(&evaluation->classes);
    ra_sample_release(&evaluation->sample);
    ra_covariance_release(&evaluation->data);
    ra_covariance_release(&evaluation->reconstructed);
    ra_coverage_release(&evaluation->coverage);
    ra_latent_sums_release(&evaluation->statistics);
    ra_item_codes_release(&evaluation->items);
    ra_reconstruction_release(&evaluation->sums);
    ra_matrix_release(&evaluation->x_hat);
    ra_matrix_release(&evaluation->wide);
    ra_codes_release(&evaluation->codes);
    ra_workspace_free(evaluation->workspace);
    ra_backend_release(evaluation->host);
    ra_model_release(evaluation->model);
    ra_free(evaluation);
}

/* ---- rows --------------------------------------------------------------------------------------------- */

static ra_status add_pairs(ra_evaluation *evaluation, const ra_codes *codes, ra_error *err) {
    const ra_pairs *pairs = &evaluation->pairs;
    if (evaluation->options.basic || pairs->first == pairs->latents) return RA_OK;
    return ra_pairs_add(&evaluation->pairs, ra_backend_pool(evaluation->host), codes, err);
}

static ra_latent_rows row_names(const ra_evaluation *evaluation, const ra_labels *labels) {
    return (ra_latent_rows){evaluation->options.row_number, evaluation->options.row_context, labels};
}

/* The part of the first pass alone. */
static ra_status add_to_sums(ra_evaluation *evaluation, const float *x, size_t rows, ra_error *err) {
    const ra_evaluation_options *options = &evaluation->options;
    float *x_hat = evaluation->x_hat.data;
    size_t first = evaluation->sums.rows;
    if (options->row_class && first + rows > options->class_rows)
        RA_FAIL(err, RA_ERR_SHAPE, "there are classes for %zu rows, but at least %zu rows of data",
                options->class_rows, first + rows);
    RA_TRY(ra_model_decode(evaluation->model, evaluation->workspace, &evaluation->codes, x_hat, err));
    RA_TRY(ra_coverage_add(&evaluation->coverage, x, rows, err));
    ra_reconstruction_add(&evaluation->sums, x, x_hat, &evaluation->codes);
    ra_latent_sums_add(&evaluation->statistics, &evaluation->codes);
    const ra_latent_rows names = row_names(evaluation, NULL);
    ra_item_codes_add(&evaluation->items, &evaluation->codes, &names);
    if (options->row_class)
        RA_TRY(ra_classes_add(&evaluation->classes, &evaluation->codes, options->row_class + first, err));
    if (evaluation->data.d) {
        ra_covariance_add(&evaluation->data, x, rows);
        ra_covariance_add(&evaluation->reconstructed, x_hat, rows);
    }
    return options->basic ? RA_OK : ra_sample_add(&evaluation->sample, x, x_hat, rows, err);
}

ra_status ra_evaluation_add(ra_evaluation *evaluation, const float *x, size_t rows, ra_error *err) {
    const ra_model *model = evaluation->model;
    size_t d = evaluation->sums.dimensions;
    for (size_t from = 0; from < rows; from += CHUNK_ROWS) {
        const float *inputs;
        size_t count = rows - from < CHUNK_ROWS ? rows - from : CHUNK_ROWS;
        RA_TRY(ra_model_take_inputs(model, evaluation->workspace, x + from * d, count, &inputs, err));
        RA_TRY(ra_model_encode_inputs(model, evaluation->workspace, inputs, count, &evaluation->codes, err));
        if (evaluation->pass == 0) RA_TRY(add_to_sums(evaluation, inputs, count, err));
        RA_TRY(ra_by_latent_add(&evaluation->by_latent, ra_backend_pool(evaluation->host), &evaluation->codes,
                                evaluation->pass == 0, err));
        RA_TRY(add_pairs(evaluation, &evaluation->codes, err));
        evaluation->pass_rows += count;
    }
    return RA_OK;
}

static ra_status check_pass(const ra_evaluation *evaluation, ra_error *err) {
    if (evaluation->sums.rows == 0)
        RA_FAIL(err, RA_ERR_STATE, "an evaluation needs at least one row of data");
    if (evaluation->pass_rows != evaluation->sums.rows)
        RA_FAIL(err, RA_ERR_STATE, "pass %zu of an evaluation has %zu rows; expected %zu, as in the first",
                evaluation->pass + 1, evaluation->pass_rows, evaluation->sums.rows);
    return RA_OK;
}

static ra_status next_band_of_pairs(ra_evaluation *evaluation, ra_error *err) {
    RA_TRY(ra_pairs_measure(&evaluation->pairs, evaluation->host, &evaluation->statistics, evaluation->D,
                            evaluation->sums.dimensions, NULL, &evaluation->pair_sums, err));
    return ra_pairs_begin(&evaluation->pairs, err);
}

/* The last band remains to be measured. */
static ra_status pairs_from_kept(ra_evaluation *evaluation, ra_error *err) {
    ra_kept_codes *kept = &evaluation->by_latent.kept;
    size_t all = kept->codes.rows;
    ra_codes chunk = {0};
    ra_status status = RA_OK;
    while (evaluation->pairs.end < evaluation->pairs.latents && status == RA_OK) {
        status = next_band_of_pairs(evaluation, err);
        for (size_t from = 0; from < all && status == RA_OK; from += RA_KEPT_CHUNK_ROWS) {
            size_t count = all - from < RA_KEPT_CHUNK_ROWS ? all - from : RA_KEPT_CHUNK_ROWS;
            status = ra_kept_codes_read(kept, from, count, &chunk, err);
            if (status == RA_OK) status = add_pairs(evaluation, &chunk, err);
        }
    }
    ra_codes_release(&chunk);
    return status;
}

static ra_status next_pass_of_pairs(ra_evaluation *evaluation, bool *again, ra_error *err) {
    if (evaluation->options.basic || evaluation->pairs.end == evaluation->pairs.latents) return RA_OK;
    if (evaluation->by_latent.kept.keeps) return pairs_from_kept(evaluation, err);
    *again = true;
    return next_band_of_pairs(evaluation, err);
}

ra_status ra_evaluation_next_pass(ra_evaluation *evaluation, bool *again, ra_error *err) {
    const ra_latent_rows names = row_names(evaluation, NULL);
    RA_TRY(check_pass(evaluation, err));
    *again = false;
    RA_TRY(next_pass_of_pairs(evaluation, again, err));
    RA_TRY(ra_by_latent_next_pass(&evaluation->by_latent, ra_backend_pool(evaluation->host),
                                  &evaluation->statistics, &names, again, err));
    if (!*again) return RA_OK;
    evaluation->pass++;
    evaluation->pass_rows = 0;
    return RA_OK;
}

/* ---- results ------------------------------------------------------------------------------------------ */

static const char left_out[] = "only the basic metrics are computed";

__attribute__((format(printf, 3, 4))) static void skip(ra_evaluation_result *result, const char *metric,
                                                       const char *format, ...) {
    size_t i = result->skip_count++;
    va_list arguments;
    va_start(arguments, format);
    result->skips[i].metric = metric;
    vsnprintf(result->skips[i].reason, sizeof result->skips[i].reason, format, arguments);
    va_end(arguments);
}

/* A metric that came out infinite, or NaN without a reason so far, gets one. */
static void explain_not_finite(ra_evaluation_result *result) {
#define METRIC(name)                                                                                         \
    { #name, offsetof(ra_evaluation_result, name) }
    static const struct {
        const char *name;
        size_t offset;
    } metrics[] = {METRIC(mse),
                   METRIC(r2_per_dimension),
                   METRIC(r2),
                   METRIC(hoyer),
                   METRIC(kappa_4),
                   METRIC(l1_l2_ratio),
                   METRIC(codes_l1),
                   METRIC(codes_l2),
                   METRIC(codes_lp),
                   METRIC(average_l1),
                   METRIC(average_l2),
                   METRIC(relative_l1),
                   METRIC(relative_l2),
                   METRIC(wasserstein_1d),
                   METRIC(connectivity),
                   METRIC(frechet_distance),
                   METRIC(collinearity),
                   METRIC(negative_interference),
                   METRIC(coherence),
                   METRIC(negative_interference_frobenius),
                   METRIC(stable_rank),
                   METRIC(max_correlation),
                   METRIC(ood),
                   METRIC(effective_rank),
                   METRIC(energy),
                   METRIC(plausibility),
                   METRIC(identifiability)};
#undef METRIC
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        double *value = (double *)(void *)((char *)result + metrics[i].offset);
        bool said = isfinite(*value);
        for (size_t s = 0; s < result->skip_count; s++)
            said |= strcmp(result->skips[s].metric, metrics[i].name) == 0;
        /* the reason of the norm also holds for its Frobenius form, so it is given once */
        said |= isnan(*value) &&
                metrics[i].offset == offsetof(ra_evaluation_result, negative_interference_frobenius);
        if (said) continue;
        skip(result, metrics[i].name, "%s",
             isnan(*value) ? "nothing varies, or the numbers are too large for it"
                           : "the numbers are too large for it");
        *value = NAN;
    }
}

/* The metrics that need no data. */
static ra_status measure_dictionary(const ra_evaluation *evaluation, ra_evaluation_result *result,
                                    ra_error *err) {
    ra_backend *backend = evaluation->host;
    const ra_evaluation_options *options = &evaluation->options;
    size_t K = evaluation->model->info.concepts, d = evaluation->model->info.dimensions;
    size_t smaller = K < d ? K : d;
    RA_TRY(ra_metric_collinearity(backend, evaluation->D, K, d, &result->collinearity, err));
    result->coherence = result->collinearity; /* the paper's name for it */
    RA_TRY(ra_metric_stable_rank(backend, evaluation->D, K, d, &result->stable_rank, err));
    if (options->basic)
        skip(result, "effective_rank", "%s", left_out);
    else if (smaller > options->memory / 8 / sizeof(double) / smaller)
        skip(result, "effective_rank", "it needs %zu x %zu numbers of 8 bytes, but may use %zu bytes",
             smaller, smaller, options->memory / 8);
    else
        RA_TRY(ra_metric_effective_rank(backend, evaluation->D, K, d, &result->effective_rank, err));
    if (!options->directions)
        skip(result, "plausibility", "it needs directions of classifiers");
    else
        RA_TRY(ra_metric_plausibility(backend, evaluation->D, K, d, options->directions,
                                      options->direction_count, &result->plausibility, err));
    return RA_OK;
}

static ra_status measure_distances(const ra_evaluation *evaluation, ra_evaluation_result *result,
                                   ra_error *err) {
    const ra_sample *sample = &evaluation->sample;
    const ra_evaluation_options *options = &evaluation->options;
    if (options->basic) {
        skip(result, "wasserstein_1d", "%s", left_out);
        skip(result, "frechet_distance", "%s", left_out);
        return RA_OK;
    }
    RA_TRY(ra_metric_wasserstein_1d(evaluation->host, sample->x, sample->x_hat, sample->kept, sample->d,
                                    &result->wasserstein_1d, err));
    result->wasserstein_rows = (double)sample->kept;
    if (evaluation->sums.rows < 2)
        skip(result, "frechet_distance", "it needs at least two rows");
    else if (!evaluation->data.d)
        skip(result, "frechet_distance", "it needs %zu bytes, but may use %zu",
             covariance_bytes(evaluation->sums.dimensions), options->memory / 8);
    else
        return ra_covariance_frechet(&evaluation->data, &evaluation->reconstructed, &result->frechet_distance,
                                     err);
    return RA_OK;
}

/* Also computes the norm of the matrix of interference, if all of Z^T Z is in memory. */
static ra_status measure_last_band(const ra_evaluation *evaluation, ra_pairs_result *sums, double *norm,
                                   ra_error *err) {
    const ra_pairs *pairs = &evaluation->pairs;
    ra_backend *backend = evaluation->host;
    float *interference = NULL;
    if (pairs->first == 0) {
        size_t count = ra_pairs_triangle(pairs->latents);
        interference = ra_malloc(count, sizeof *interference);
        if (!interference) RA_FAIL_MEMORY(err, "the interference of latents", count * sizeof *interference);
    }
    ra_status status = ra_pairs_measure(pairs, backend, &evaluation->statistics, evaluation->D,
                                        evaluation->sums.dimensions, interference, sums, err);
    if (status == RA_OK && interference)
        status = ra_pairs_norm(ra_backend_pool(backend), interference, pairs->latents, norm, err);
    ra_free(interference);
    return status;
}

static ra_status measure_pairs(const ra_evaluation *evaluation, ra_evaluation_result *result, ra_error *err) {
    ra_pairs_result sums = evaluation->pair_sums;
    const ra_pairs *pairs = &evaluation->pairs;
    double K = (double)evaluation->model->info.concepts;
    if (evaluation->options.basic) {
        static const char *const names[] = {"connectivity", "negative_interference", "max_correlation"};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) skip(result, names[i], "%s", left_out);
        return RA_OK;
    }
    if (pairs->end < pairs->latents)
        RA_FAIL(err, RA_ERR_STATE,
                "an evaluation of %zu latents is not complete: the latents from %zu on need another pass "
                "over the data",
                pairs->latents, pairs->end);
    RA_TRY(measure_last_band(evaluation, &sums, &result->negative_interference, err));
    if (pairs->first > 0)
        skip(result, "negative_interference",
             "its norm needs the %zu numbers of Z^T Z at once, but they may use %zu bytes",
             ra_pairs_triangle(pairs->latents), pairs->bytes);
    result->connectivity = 1 - sums.together / (K * K);
    result->negative_interference_frobenius = sqrt(sums.interference_square);
    if (evaluation->sums.rows < 2)
        skip(result, "max_correlation", "it needs at least two rows");
    else
        result->max_correlation = sums.correlation;
    return RA_OK;
}

static ra_status measure_classes(ra_evaluation *evaluation, ra_evaluation_result *result, ra_error *err) {
    size_t count = evaluation->options.class_count;
    if (!evaluation->options.row_class) {
        skip(result, "identifiability", "it needs the classes of the rows");
        return RA_OK;
    }
    if (evaluation->classes.overflowed) {
        skip(result, "identifiability", "there are more than the %zu codes that memory allows",
             evaluation->classes.most);
        return RA_OK;
    }
    ra_class_detector *best = ra_malloc(count, sizeof *best);
    if (!best) RA_FAIL_MEMORY(err, "the detectors of classes", count * sizeof *best);
    ra_status status = ra_classes_best(&evaluation->classes, best, err);
    if (status == RA_OK) {
        result->identifiability = 0;
        for (size_t c = 0; c < count; c++) result->identifiability += best[c].accuracy / (double)count;
    }
    ra_free(best);
    return status;
}

ra_status ra_evaluation_finish(ra_evaluation *evaluation, ra_evaluation_result *result, ra_error *err) {
    ra_evaluation_result found = {.effective_rank = NAN,
                                  .wasserstein_1d = NAN,
                                  .wasserstein_rows = NAN,
                                  .frechet_distance = NAN,
                                  .connectivity = NAN,
                                  .negative_interference = NAN,
                                  .negative_interference_frobenius = NAN,
                                  .max_correlation = NAN,
                                  .plausibility = NAN,
                                  .identifiability = NAN};
    RA_TRY(check_pass(evaluation, err));
    ra_reconstruction_result(&evaluation->sums, &found);
    RA_TRY(measure_pairs(evaluation, &found, err));
    RA_TRY(measure_distances(evaluation, &found, err));
    RA_TRY(measure_dictionary(evaluation, &found, err));
    RA_TRY(measure_classes(evaluation, &found, err));
    found.ood = ra_coverage_ood(&evaluation->coverage);
    for (size_t k = 0; k < evaluation->statistics.latents; k++)
        found.energy += fabs(evaluation->statistics.sum[k]) / (double)found.rows * evaluation->model->norm[k];
    explain_not_finite(&found);
    *result = found;
    return RA_OK;
}

ra_status ra_evaluation_statistics(ra_evaluation *evaluation, const ra_labels *row_labels,
                                   ra_latent_statistics *statistics, ra_error *err) {
    size_t rows = evaluation->statistics.rows;
    if (rows == 0) RA_FAIL(err, RA_ERR_STATE, "statistics of latents need at least one row of data");
    if (row_labels && !evaluation->options.row_number && ra_labels_count(row_labels) < rows)
        RA_FAIL(err, RA_ERR_SHAPE, "there are %zu labels for %zu rows of data", ra_labels_count(row_labels),
                rows);
    const ra_latent_rows names = row_names(evaluation, row_labels);
    RA_TRY(ra_latent_sums_view(&evaluation->statistics, evaluation->model->norm, &names, statistics, err));
    statistics->items = evaluation->options.items;
    RA_TRY(ra_item_codes_view(&evaluation->items, &names, statistics, err));
    return ra_by_latent_view(&evaluation->by_latent, ra_backend_pool(evaluation->host),
                             &evaluation->statistics, &names, statistics, err);
}

ra_status ra_evaluation_classes(ra_evaluation *evaluation, ra_class_detector *detectors, ra_error *err) {
    if (!evaluation->options.row_class || evaluation->sums.rows == 0)
        RA_FAIL(err, RA_ERR_STATE, "detectors of classes need rows of data with their classes");
    if (evaluation->classes.overflowed)
        RA_FAIL(err, RA_ERR_STATE, "the codes of %zu rows exceed the memory of an evaluation",
                evaluation->sums.rows);
    return ra_classes_best(&evaluation->classes, detectors, err);
}
