/* Activations in mapped files: opening them, and the two ways to number their rows.
 *
 * Opening copies nothing: rows are converted to float32 when they are read, so the data may be larger than
 * memory. Opening does read everything once, to find a NaN or an infinity before hours of work depend on it.
 *
 * The skipped rows are a short sorted list. The rows that are used are numbered without them, so that no
 * caller has to know about them. A binary search in that list finds the row of the file that has a number. */
#include "data/data.h"
#include "ra_memory.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

/* ---- opening ------------------------------------------------------------------------------------------ */

static ra_status check_shape(const ra_data *data, const char *path, const ra_tensor *tensor, ra_error *err) {
    static const char expected[] = "activations of shape [rows, d], [n, tokens, d] or [n, d, h, w]";
    char shape[128];
    ra_shape_text(tensor->rank, tensor->shape, shape, sizeof shape);
    if (!ra_dtype_is_float(tensor->dtype))
        RA_FAIL(err, RA_ERR_DTYPE,
                "%s holds %s numbers; expected activations in F32, F16 or BF16; convert them, "
                "in NumPy with x.astype(\"float32\")",
                path, ra_dtype_name(tensor->dtype));
    if (tensor->rank < 2 || tensor->rank > 4)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has the shape %s; expected %s", path, shape, expected);
    if (ra_tensor_elements(tensor) == 0)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has the shape %s; expected %s with at least one row and one column",
                path, shape, expected);
    size_t d = tensor->shape[tensor->rank == 4 ? 1 : tensor->rank - 1];
    if (data->dimensions && data->dimensions != d)
        RA_FAIL(err, RA_ERR_SHAPE,
                "%s has the shape %s, that is %zu dimensions per row; expected %zu, as in %s", path, shape, d,
                data->dimensions, ra_array_path(data->files[0].array));
    return RA_OK;
}

static ra_status add_file(ra_data *data, const char *path, const char *tensor_name, ra_error *err) {
    ra_data_file *file = &data->files[data->count];
    RA_TRY(ra_array_open(path, tensor_name, &file->array, err));
    data->count++; /* from here on ra_data_free() closes it */
    const ra_tensor *tensor = ra_array_tensor(file->array);
    RA_TRY(check_shape(data, path, tensor, err));
    bool images = tensor->rank == 4;
    data->dimensions = tensor->shape[images ? 1 : tensor->rank - 1];
    file->dtype = tensor->dtype;
    file->numbers = tensor->data;
    file->rows = ra_tensor_elements(tensor) / data->dimensions;
    file->plane = images ? tensor->shape[2] * tensor->shape[3] : 1;
    file->first = data->source_rows;
    data->source_rows += file->rows;
    return RA_OK;
}

static bool is_large(const ra_data *data) {
    double bytes = 0;
    for (size_t i = 0; i < data->count; i++)
        bytes += (double)ra_tensor_bytes(ra_array_tensor(data->files[i].array));
    return bytes > (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / 2;
}

static ra_status open_files(ra_data *data, const char *const *paths, size_t count,
                            const ra_data_options *options, ra_error *err) {
    for (size_t i = 0; i < count; i++) RA_TRY(add_file(data, paths[i], options->tensor_name, err));
    data->large = is_large(data);
    RA_TRY(ra_data_scan(data, options->skip_bad_rows, err));
    RA_TRY(ra_data_hold_out(data, options->holdout, err));
    data->rows = data->source_rows - data->bad_count;
    return RA_OK;
}

ra_status ra_data_open(const char *const *paths, size_t count, const ra_data_options *options, ra_data **out,
                       ra_error *err) {
    static const ra_data_options none = {0};
    if (count == 0) RA_FAIL(err, RA_ERR_ARGUMENT, "no data file was given; expected at least one");
    size_t bytes = sizeof(ra_data) + count * sizeof(ra_data_file);
    ra_data *data = ra_calloc(1, bytes);
    if (!data) RA_FAIL_MEMORY(err, "the list of data files", bytes);
    ra_status status = open_files(data, paths, count, options ? options : &none, err);
    if (status != RA_OK) {
        ra_data_free(data);
        return status;
    }
    *out = data;
    return RA_OK;
}

void ra_data_free(ra_data *data) {
    if (!data) return;
    for (size_t i = 0; i < data->count; i++) ra_array_free(data->files[i].array);
    ra_free(data->bad);
    ra_free(data->held);
    ra_free(data->mean);
    ra_free(data);
}

/* ---- numbers of rows -------------------------------------------------------------------------------- */

size_t ra_data_rows(const ra_data *data) {
    return data->rows;
}

size_t ra_data_dimensions(const ra_data *data) {
    return data->dimensions;
}

size_t ra_data_source_rows(const ra_data *data) {
    return data->source_rows;
}

const uint64_t *ra_data_skipped(const ra_data *data, size_t *count) {
    *count = data->bad_count;
    return data->bad;
}

/* bad[i] - i rows are used before the skipped row i, so it comes before every row with that number or a
 * larger one. */
size_t ra_data_skipped_before(const ra_data *data, uint64_t row) {
    size_t low = 0, high = data->bad_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (data->bad[middle] - middle <= row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t ra_data_source_row(const ra_data *data, uint64_t row) {
    return row + ra_data_skipped_before(data, row);
}

/* The last file whose first row is not after this one. */
const ra_data_file *ra_data_file_of(const ra_data *data, uint64_t source_row) {
    size_t low = 0, high = data->count; /* the file is in [low, high) */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (data->files[middle].first <= source_row)
            low = middle;
        else
            high = middle;
    }
    return &data->files[low];
}

/* ---- standardization ---------------------------------------------------------------------------------- */

ra_status ra_data_set_standardization(ra_data *data, const float *mean, const float *scale, ra_error *err) {
    size_t d = data->dimensions;
    float *copy = NULL;
    if (!mean != !scale)
        RA_FAIL(err, RA_ERR_ARGUMENT, "a standardization has a %s alone; expected mean and scale",
                mean ? "mean" : "scale");
    for (size_t j = 0; mean && j < d; j++)
        if (!isfinite(mean[j]) || !isfinite(scale[j]) || !(scale[j] > 0))
            RA_FAIL(
                err, RA_ERR_ARGUMENT,
                "dimension %zu has the mean %g and the scale %g; expected finite numbers and a scale above 0",
                j, (double)mean[j], (double)scale[j]);
    if (mean) {
        copy = ra_malloc(2 * d, sizeof *copy);
        if (!copy) RA_FAIL_MEMORY(err, "a standardization", 2 * d * sizeof *copy);
        memcpy(copy, mean, d * sizeof *copy);
        memcpy(copy + d, scale, d * sizeof *copy);
    }
    ra_free(data->mean);
    data->mean = copy;
    data->scale = copy ? copy + d : NULL;
    return RA_OK;
}

bool ra_data_standardization(const ra_data *data, const float **mean, const float **scale) {
    *mean = data->mean;
    *scale = data->scale;
    return data->mean != NULL;
}

void ra_data_standardize(const ra_data *data, float *x, size_t n) {
    if (data->mean) ra_standardize_rows(x, n, data->dimensions, data->mean, data->scale);
}

ra_status ra_data_store_standardization(const ra_data *data, ra_safetensors_writer *writer, ra_error *err) {
    if (!data->mean) return RA_OK;
    ra_tensor mean = ra_tensor_1d(RA_F32, data->mean, data->dimensions);
    ra_tensor scale = ra_tensor_1d(RA_F32, data->scale, data->dimensions);
    RA_TRY(ra_safetensors_writer_tensor(writer, "input.mean", &mean, err));
    return ra_safetensors_writer_tensor(writer, "input.scale", &scale, err);
}
