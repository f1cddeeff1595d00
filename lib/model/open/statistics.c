/* Statistics of the latents and the layout of the atoms, which `rasae eval --save` and `rasae layout` add to
 * an artifact. They are used in the mapping and checked once, here: that a histogram adds up, that an example
 * is a row of the data. */
#include "model/model.h"

#include <math.h>
#include <string.h>

/* The tensors, of which a file has all or none. */
enum latent_tensor { COUNT, MEAN, MAX, ENERGY, HISTOGRAM_TOP, HISTOGRAM, TOP_ROW, TOP_VALUE, TENSOR_COUNT };

static const struct latent_row {
    const char *name;
    ra_dtype dtype;
    int rank;
} tensor_rows[TENSOR_COUNT] = {
    [COUNT] = {"latents.count", RA_I64, 1},
    [MEAN] = {"latents.mean", RA_F32, 1},
    [MAX] = {"latents.max", RA_F32, 1},
    [ENERGY] = {"latents.energy", RA_F32, 1},
    [HISTOGRAM_TOP] = {"latents.histogram_top", RA_F32, 1},
    [HISTOGRAM] = {"latents.histogram", RA_I64, 2},
    [TOP_ROW] = {"latents.top_row", RA_I64, 2},
    [TOP_VALUE] = {"latents.top_value", RA_F32, 2},
};

static const char rows_key[] = "latents.rows";

static ra_status read_rows(const ra_model *model, const ra_safetensors *file, size_t *rows, ra_error *err) {
    const char *text = ra_safetensors_metadata(file, rows_key);
    if (!text)
        RA_FAIL(err, RA_ERR_FORMAT, "%s holds statistics of latents, but its metadata have no %s",
                model->info.path, rows_key);
    if (!ra_count_parse(text, rows) || *rows < 1 || *rows > INT64_MAX)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: %s is \"%s\" in its metadata; expected a number of at least 1",
                model->info.path, rows_key, text);
    return RA_OK;
}

/* ---- the numbers of one latent --------------------------------------------------------------- */

static ra_status check_histogram(const char *path, const ra_latent_statistics *statistics, size_t k,
                                 ra_error *err) {
    int64_t sum = 0, rows = (int64_t)statistics->rows;
    for (size_t h = 0; h < statistics->bins; h++) {
        int64_t bin = statistics->histogram[k * statistics->bins + h];
        if (bin < 0 || bin > rows)
            RA_FAIL(err, RA_ERR_FORMAT, "%s: latents.histogram holds %lld at [%zu, %zu]; expected 0 to %zu",
                    path, (long long)bin, k, h, statistics->rows);
        if (__builtin_add_overflow(sum, bin, &sum)) sum = -1;
    }
    if (sum != statistics->count[k])
        RA_FAIL(err, RA_ERR_FORMAT,
                "%s: latents.histogram of latent %zu adds up to %lld; expected its latents.count, %lld", path,
                k, (long long)sum, (long long)statistics->count[k]);
    return RA_OK;
}

static ra_status check_examples(const char *path, const ra_latent_statistics *statistics, size_t k,
                                ra_error *err) {
    const int64_t *row = statistics->top_row + k * statistics->examples;
    const float *value = statistics->top_value + k * statistics->examples;
    for (size_t t = 0; t < statistics->examples; t++) {
        if (row[t] < -1 || (row[t] >= 0 && t > 0 && row[t - 1] < 0))
            RA_FAIL(
                err, RA_ERR_FORMAT,
                "%s: latents.top_row holds %lld at [%zu, %zu]; expected data rows from 0 on, then only -1",
                path, (long long)row[t], k, t);
        if (row[t] < 0) continue;
        if ((int64_t)t >= statistics->count[k])
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: latents.top_row has more rows of latent %zu than its latents.count, %lld", path, k,
                    (long long)statistics->count[k]);
        if (t > 0 && value[t] > value[t - 1])
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: latents.top_value holds %g at [%zu, %zu]; expected the largest of a latent first",
                    path, (double)value[t], k, t);
    }
    return RA_OK;
}

static ra_status check_latent(const char *path, const ra_latent_statistics *statistics, size_t k,
                              ra_error *err) {
    if (statistics->count[k] < 0 || statistics->count[k] > (int64_t)statistics->rows)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: latents.count holds %lld at [%zu]; expected 0 to %zu", path,
                (long long)statistics->count[k], k, statistics->rows);
    if (statistics->energy[k] < 0 || statistics->histogram_top[k] < 0) {
        bool energy = statistics->energy[k] < 0;
        RA_FAIL(err, RA_ERR_FORMAT, "%s: latents.%s holds %g at [%zu]; expected at least 0", path,
                energy ? "energy" : "histogram_top",
                (double)(energy ? statistics->energy : statistics->histogram_top)[k], k);
    }
    RA_TRY(check_histogram(path, statistics, k, err));
    return check_examples(path, statistics, k, err);
}

/* ---- opening ------------------------------------------------------------------------------------------ */

/* Whether the file has any of the tensors; then it must have all. */
static bool has_statistics(const ra_safetensors *file) {
    for (size_t i = 0; i < TENSOR_COUNT; i++)
        if (ra_safetensors_find(file, tensor_rows[i].name)) return true;
    return false;
}

static ra_status open_tensors(const ra_model *model, const ra_safetensors *file, ra_tensor *tensors,
                              ra_error *err) {
    size_t examples = 0;
    for (size_t i = 0; i < TENSOR_COUNT; i++) {
        const struct latent_row *row = &tensor_rows[i];
        size_t cols = i == TOP_VALUE ? examples : 0;
        RA_TRY(ra_safetensors_get(file, row->name, &tensors[i], err));
        RA_TRY(ra_model_check_tensor(model->info.path, row->name, &tensors[i], row->dtype, row->rank,
                                     model->info.concepts, cols, err));
        if (row->dtype == RA_F32) RA_TRY(ra_model_check_finite(model, row->name, &tensors[i], err));
        if (i == TOP_ROW) examples = tensors[i].shape[1];
    }
    return RA_OK;
}

static ra_status open_statistics(ra_model *model, const ra_safetensors *file, ra_error *err) {
    ra_tensor tensors[TENSOR_COUNT];
    if (!has_statistics(file)) return RA_OK;
    ra_latent_statistics statistics = {.concepts = model->info.concepts, .items = model->statistics.items};
    RA_TRY(read_rows(model, file, &statistics.rows, err));
    RA_TRY(open_tensors(model, file, tensors, err));
    statistics.bins = tensors[HISTOGRAM].shape[1];
    statistics.examples = tensors[TOP_ROW].shape[1];
    statistics.count = tensors[COUNT].data;
    statistics.mean = tensors[MEAN].data;
    statistics.max = tensors[MAX].data;
    statistics.energy = tensors[ENERGY].data;
    statistics.histogram_top = tensors[HISTOGRAM_TOP].data;
    statistics.histogram = tensors[HISTOGRAM].data;
    statistics.top_row = tensors[TOP_ROW].data;
    statistics.top_value = tensors[TOP_VALUE].data;
    for (size_t k = 0; k < statistics.concepts; k++)
        RA_TRY(check_latent(model->info.path, &statistics, k, err));
    model->statistics = statistics;
    RA_TRY(ra_model_open_cofiring(model, file, err));
    RA_TRY(ra_model_open_quantiles(model, file, err));
    RA_TRY(ra_model_open_items(model, file, err));
    return ra_model_open_tokens(model, file, err);
}

static ra_status open_layout(ra_model *model, const ra_safetensors *file, ra_error *err) {
    static const char name[] = "atoms.layout";
    const ra_tensor *layout = ra_safetensors_find(file, name);
    if (!layout) return RA_OK;
    RA_TRY(ra_model_check_tensor(model->info.path, name, layout, RA_F32, 2, model->info.concepts, 2, err));
    RA_TRY(ra_model_check_finite(model, name, layout, err));
    model->layout = layout->data;
    return RA_OK;
}

ra_status ra_model_open_statistics(ra_model *model, const ra_safetensors *file, ra_error *err) {
    if (model->info.from_checkpoint) return RA_OK; /* training may have changed them since */
    RA_TRY(open_statistics(model, file, err));
    return open_layout(model, file, err);
}

/* ---- saving ------------------------------------------------------------------------------------------- */

size_t ra_model_statistics_tensors(const ra_latent_statistics *statistics, const char **names,
                                   ra_tensor *tensors) {
    const void *const data[TENSOR_COUNT] = {
        [COUNT] = statistics->count,
        [MEAN] = statistics->mean,
        [MAX] = statistics->max,
        [ENERGY] = statistics->energy,
        [HISTOGRAM_TOP] = statistics->histogram_top,
        [HISTOGRAM] = statistics->histogram,
        [TOP_ROW] = statistics->top_row,
        [TOP_VALUE] = statistics->top_value,
    };
    for (size_t i = 0; i < TENSOR_COUNT; i++) {
        names[i] = tensor_rows[i].name;
        tensors[i] = tensor_rows[i].rank == 1
                         ? ra_tensor_1d(tensor_rows[i].dtype, data[i], statistics->concepts)
                         : ra_tensor_2d(tensor_rows[i].dtype, data[i], statistics->concepts,
                                        i == HISTOGRAM ? statistics->bins : statistics->examples);
    }
    size_t count = TENSOR_COUNT;
    count += ra_model_cofiring_tensors(statistics, names + count, tensors + count);
    count += ra_model_quantile_tensors(statistics, names + count, tensors + count);
    count += ra_model_item_tensors(statistics, names + count, tensors + count);
    return count + ra_model_token_tensors(statistics, names + count, tensors + count);
}

ra_status ra_model_store_statistics(const ra_latent_statistics *statistics, ra_safetensors_writer *writer,
                                    ra_error *err) {
    RA_TRY(ra_model_store_items(statistics, writer, err));
    if (!statistics->rows) return RA_OK;
    RA_TRY(ra_safetensors_writer_count(writer, rows_key, statistics->rows, err));
    return ra_model_store_cofiring(statistics, writer, err);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

const ra_latent_statistics *ra_model_latent_statistics(const ra_model *model) {
    return model->statistics.rows ? &model->statistics : NULL;
}

bool ra_model_atom_layout(const ra_model *model, size_t atom, float position[2]) {
    if (!model->layout) return false;
    memcpy(position, model->layout + 2 * atom, 2 * sizeof *position);
    return true;
}
