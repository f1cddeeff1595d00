/* Examples by quantile, which `rasae eval --save` adds to an artifact. They are used in the mapping and checked once, here. */
#include "model/model.h"

#include <string.h>

enum quantile_tensor { BOUND, ROW, VALUE, QUANTILE_TENSORS };

static const char *const names[QUANTILE_TENSORS] = {
    [BOUND] = "latents.quantile_bound", [ROW] = "latents.quantile_row", [VALUE] = "latents.quantile_value"};

/* ---- opening ------------------------------------------------------------------------------------------ */

static ra_status check_bounds(const char *path, const ra_latent_quantiles *quantiles, size_t k,
                              ra_error *err) {
    const float *bound = quantiles->bound + k * (quantiles->count + 1);
    for (size_t q = 0; q <= quantiles->count; q++)
        if (bound[q] < 0 || (q > 0 && bound[q] < bound[q - 1]))
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: %s holds %g at [%zu, %zu]; expected numbers of at least 0, ascending", path,
                    names[BOUND], (double)bound[q], k, q);
    return RA_OK;
}

static ra_status check_rows(const char *path, const ra_latent_quantiles *quantiles, size_t k, ra_error *err) {
    size_t S = quantiles->rows, width = quantiles->count * S;
    const int64_t *row = quantiles->row + k * width;
    const float *value = quantiles->value + k * width;
    const float *bound = quantiles->bound + k * (quantiles->count + 1);
    for (size_t i = 0; i < width; i++) {
        bool first = i % S == 0;
        if (row[i] < -1 || (row[i] >= 0 && !first && row[i - 1] < 0))
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: %s holds %lld at [%zu, %zu]; expected data rows from 0 on, then only -1", path,
                    names[ROW], (long long)row[i], k, i);
        if (row[i] < 0) continue;
        if (value[i] < bound[i / S] || value[i] > bound[i / S + 1] || (!first && value[i] > value[i - 1]))
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: %s holds %g at [%zu, %zu]; expected numbers from %g to %g, the largest first", path,
                    names[VALUE], (double)value[i], k, i, (double)bound[i / S], (double)bound[i / S + 1]);
    }
    return RA_OK;
}

ra_status ra_model_open_quantiles(ra_model *model, const ra_safetensors *file, ra_error *err) {
    const char *path = model->info.path;
    size_t K = model->info.concepts;
    ra_tensor bound, row, value;
    bool any = false;
    for (size_t i = 0; i < QUANTILE_TENSORS; i++) any |= ra_safetensors_find(file, names[i]) != NULL;
    if (!any) return RA_OK;
    RA_TRY(ra_safetensors_get(file, names[BOUND], &bound, err));
    RA_TRY(ra_safetensors_get(file, names[ROW], &row, err));
    RA_TRY(ra_safetensors_get(file, names[VALUE], &value, err));
    RA_TRY(ra_model_check_tensor(path, names[BOUND], &bound, RA_F32, 2, K, 0, err));
    RA_TRY(ra_model_check_tensor(path, names[ROW], &row, RA_I64, 2, K, 0, err));
    RA_TRY(ra_model_check_tensor(path, names[VALUE], &value, RA_F32, 2, K, row.shape[1], err));
    RA_TRY(ra_model_check_finite(model, names[BOUND], &bound, err));
    RA_TRY(ra_model_check_finite(model, names[VALUE], &value, err));
    size_t count = bound.shape[1] - 1;
    if (count == 0 || row.shape[1] % count != 0)
        RA_FAIL(err, RA_ERR_SHAPE,
                "%s: %s has %zu columns for %zu quantiles of %s; expected as many for each quantile", path,
                names[ROW], row.shape[1], count, names[BOUND]);
    ra_latent_quantiles quantiles = {count, row.shape[1] / count, bound.data, row.data, value.data, NULL};
    for (size_t k = 0; k < K; k++) {
        RA_TRY(check_bounds(path, &quantiles, k, err));
        RA_TRY(check_rows(path, &quantiles, k, err));
    }
    model->statistics.quantiles = quantiles;
    return RA_OK;
}

/* ---- saving and reading --------------------------------------------------------------------------------- */

size_t ra_model_quantile_tensors(const ra_latent_statistics *statistics, const char **tensor_names,
                                 ra_tensor *tensors) {
    const ra_latent_quantiles *quantiles = &statistics->quantiles;
    size_t K = statistics->concepts, width = quantiles->count * quantiles->rows;
    if (width == 0) return 0;
    memcpy(tensor_names, names, sizeof names);
    tensors[BOUND] = ra_tensor_2d(RA_F32, quantiles->bound, K, quantiles->count + 1);
    tensors[ROW] = ra_tensor_2d(RA_I64, quantiles->row, K, width);
    tensors[VALUE] = ra_tensor_2d(RA_F32, quantiles->value, K, width);
    return QUANTILE_TENSORS;
}

/* words: the numbers of the tokens of a list of rows, of which this is number `at`; NULL: unknown. */
static void fill(const ra_latent_statistics *statistics, int64_t row, float value, const char *label,
                 const int32_t *words, size_t at, ra_latent_example *example) {
    size_t number = (size_t)row, parts = statistics->items.rows ? statistics->items.rows : 1;
    const char *token = words ? ra_latent_tokens_word(&statistics->tokens, words[at]) : NULL;
    *example = (ra_latent_example){number, number / parts, number % parts, value, label, token};
}

bool ra_latent_statistics_example(const ra_latent_statistics *statistics, size_t latent, size_t t,
                                  ra_latent_example *example) {
    size_t at = latent * statistics->examples + t;
    if (t >= statistics->examples || statistics->top_row[at] < 0) return false;
    fill(statistics, statistics->top_row[at], statistics->top_value[at],
         ra_model_label(statistics->top_label, at), statistics->tokens.top, at, example);
    return true;
}

bool ra_latent_statistics_quantile_example(const ra_latent_statistics *statistics, size_t latent, size_t q,
                                           size_t t, ra_latent_example *example) {
    const ra_latent_quantiles *quantiles = &statistics->quantiles;
    if (q >= quantiles->count || t >= quantiles->rows) return false;
    size_t at = (latent * quantiles->count + q) * quantiles->rows + t;
    if (quantiles->row[at] < 0) return false;
    fill(statistics, quantiles->row[at], quantiles->value[at], ra_model_label(quantiles->label, at),
         statistics->tokens.quantile, at, example);
    return true;
}
