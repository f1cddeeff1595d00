/* Statistics of the latents and their layout, which `rasae eval --save` and `rasae layout` put into an
 * artifact. Like everything in it they are used where they lie in the mapping, and checked here, once: a
 * histogram that does not add up, or an example beyond the data, is refused before anybody draws it. */
#include "model/model.h"

#include <math.h>
#include <string.h>

/* The tensors that only make sense together, and how many numbers a latent has in each. */
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
        RA_FAIL(err, RA_ERR_FORMAT, "%s holds statistics of latents, but its metadata lack %s",
                model->info.path, rows_key);
    if (!ra_count_parse(text, rows) || *rows < 1 || *rows > INT64_MAX)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: the metadata say that %s is \"%s\"; expected a number from 1 on",
                model->info.path, rows_key, text);
    return RA_OK;
}

/* ---- what a latent's numbers have to be --------------------------------------------------------------- */

static ra_status check_histogram(const char *path, const ra_latent_statistics *latents, size_t k,
                                 ra_error *err) {
    int64_t sum = 0, rows = (int64_t)latents->rows;
    for (size_t h = 0; h < latents->bins; h++) {
        int64_t bin = latents->histogram[k * latents->bins + h];
        if (bin < 0 || bin > rows)
            RA_FAIL(err, RA_ERR_FORMAT, "%s: latents.histogram holds %lld at [%zu, %zu]; expected 0 to %zu",
                    path, (long long)bin, k, h, latents->rows);
        if (__builtin_add_overflow(sum, bin, &sum)) sum = -1;
    }
    if (sum != latents->count[k])
        RA_FAIL(err, RA_ERR_FORMAT,
                "%s: latents.histogram of latent %zu adds up to %lld; expected its latents.count, %lld", path,
                k, (long long)sum, (long long)latents->count[k]);
    return RA_OK;
}

static ra_status check_examples(const char *path, const ra_latent_statistics *latents, size_t k,
                                ra_error *err) {
    const int64_t *row = latents->top_row + k * latents->examples;
    const float *value = latents->top_value + k * latents->examples;
    for (size_t t = 0; t < latents->examples; t++) {
        if (row[t] < -1 || (row[t] >= 0 && t > 0 && row[t - 1] < 0))
            RA_FAIL(
                err, RA_ERR_FORMAT,
                "%s: latents.top_row holds %lld at [%zu, %zu]; expected data rows from 0 on, then only -1",
                path, (long long)row[t], k, t);
        if (row[t] < 0) continue;
        if ((int64_t)t >= latents->count[k])
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: latents.top_row has more rows of latent %zu than its latents.count, %lld", path, k,
                    (long long)latents->count[k]);
        if (t > 0 && value[t] > value[t - 1])
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: latents.top_value holds %g at [%zu, %zu]; expected the largest of a latent first",
                    path, (double)value[t], k, t);
    }
    return RA_OK;
}

static ra_status check_latent(const char *path, const ra_latent_statistics *latents, size_t k,
                              ra_error *err) {
    if (latents->count[k] < 0 || latents->count[k] > (int64_t)latents->rows)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: latents.count holds %lld at [%zu]; expected 0 to %zu", path,
                (long long)latents->count[k], k, latents->rows);
    if (latents->energy[k] < 0 || latents->histogram_top[k] < 0) {
        bool energy = latents->energy[k] < 0;
        RA_FAIL(err, RA_ERR_FORMAT, "%s: latents.%s holds %g at [%zu]; expected at least 0", path,
                energy ? "energy" : "histogram_top",
                (double)(energy ? latents->energy : latents->histogram_top)[k], k);
    }
    RA_TRY(check_histogram(path, latents, k, err));
    return check_examples(path, latents, k, err);
}

/* ---- opening ------------------------------------------------------------------------------------------ */

/* Whether the file has any of them; then it needs all. */
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
    ra_latent_statistics latents = {.concepts = model->info.concepts};
    RA_TRY(read_rows(model, file, &latents.rows, err));
    RA_TRY(open_tensors(model, file, tensors, err));
    latents.bins = tensors[HISTOGRAM].shape[1];
    latents.examples = tensors[TOP_ROW].shape[1];
    latents.count = tensors[COUNT].data;
    latents.mean = tensors[MEAN].data;
    latents.max = tensors[MAX].data;
    latents.energy = tensors[ENERGY].data;
    latents.histogram_top = tensors[HISTOGRAM_TOP].data;
    latents.histogram = tensors[HISTOGRAM].data;
    latents.top_row = tensors[TOP_ROW].data;
    latents.top_value = tensors[TOP_VALUE].data;
    for (size_t k = 0; k < latents.concepts; k++) RA_TRY(check_latent(model->info.path, &latents, k, err));
    model->statistics = latents;
    return RA_OK;
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
    if (model->info.from_checkpoint) return RA_OK; /* what was measured once may no longer hold */
    RA_TRY(open_statistics(model, file, err));
    return open_layout(model, file, err);
}

/* ---- saving ------------------------------------------------------------------------------------------- */

size_t ra_model_statistics_tensors(const ra_latent_statistics *latents, const char **names,
                                   ra_tensor *tensors) {
    const void *const data[TENSOR_COUNT] = {
        [COUNT] = latents->count,
        [MEAN] = latents->mean,
        [MAX] = latents->max,
        [ENERGY] = latents->energy,
        [HISTOGRAM_TOP] = latents->histogram_top,
        [HISTOGRAM] = latents->histogram,
        [TOP_ROW] = latents->top_row,
        [TOP_VALUE] = latents->top_value,
    };
    for (size_t i = 0; i < TENSOR_COUNT; i++) {
        names[i] = tensor_rows[i].name;
        tensors[i] = tensor_rows[i].rank == 1
                         ? ra_tensor_1d(tensor_rows[i].dtype, data[i], latents->concepts)
                         : ra_tensor_2d(tensor_rows[i].dtype, data[i], latents->concepts,
                                        i == HISTOGRAM ? latents->bins : latents->examples);
    }
    return TENSOR_COUNT;
}

/* ---- asking ------------------------------------------------------------------------------------------- */

const ra_latent_statistics *ra_model_latent_statistics(const ra_model *model) {
    return model->statistics.rows ? &model->statistics : NULL;
}

bool ra_model_atom_layout(const ra_model *model, size_t atom, float place[2]) {
    if (!model->layout) return false;
    memcpy(place, model->layout + 2 * atom, 2 * sizeof *place);
    return true;
}

bool ra_latent_statistics_example(const ra_latent_statistics *latents, size_t latent, size_t t,
                                  ra_latent_example *example) {
    size_t place = latent * latents->examples + t;
    if (t >= latents->examples || latents->top_row[place] < 0) return false;
    *example = (ra_latent_example){(size_t)latents->top_row[place], latents->top_value[place],
                                   ra_model_label(latents->top_label, place)};
    return true;
}
