/* Activations in mapped files: opening them, and the two ways to number their rows.
 *
 * Opening copies nothing: rows are converted to float32 when they are read, so the data may be larger than
 * memory; of data that is larger, read.c and window.c read what is asked for and nothing around it. Opening does read everything once, to find a NaN or an infinity before hours of work depend on it.
 *
 * The skipped rows are a short sorted list. The rows that are used are numbered without them, so that no
 * caller has to know about them. A binary search in that list finds the row of the file that has a number. */
#include "data/data.h"
#include "ra_memory.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

/* ---- opening ------------------------------------------------------------------------------------------ */

/* How the sizes are read: rows lie one after another with d last, or images with d second. */
typedef struct reading {
    bool images;
    size_t d;
    size_t item_rows, item_width; /* as in ra_data_file */
} reading;

static const char *const layouts[] = {
    [RA_LAYOUT_GUESS] = "[rows, d], [n, tokens, d] or [n, d, h, w]",
    [RA_LAYOUT_NCHW] = "[n, d, h, w] (layout nchw)",
    [RA_LAYOUT_NHWC] = "[n, h, w, d] (layout nhwc)",
    [RA_LAYOUT_ROWS] = "[..., d] with at least two sizes (layout rows)",
};

static bool fits_layout(const ra_tensor *tensor, ra_layout_of_data layout) {
    bool two_to_four = tensor->rank >= 2 && tensor->rank <= 4;
    if (layout == RA_LAYOUT_ROWS) return tensor->rank >= 2;
    return layout == RA_LAYOUT_GUESS ? two_to_four : tensor->rank == 4;
}

/* What is between the first size and d belongs to one item. */
static void read_items(const ra_tensor *tensor, reading *how) {
    const size_t *shape = tensor->shape;
    how->item_rows = tensor->rank > 2 ? 1 : 0;
    for (int r = 1; r < tensor->rank; r++)
        if (r != (how->images ? 1 : tensor->rank - 1)) how->item_rows *= shape[r];
    how->item_width = tensor->rank == 4 ? shape[how->images ? 3 : 2] : 0;
}

static ra_status read_shape(const ra_data *data, const char *path, const ra_tensor *tensor,
                            ra_layout_of_data layout, reading *how, ra_error *err) {
    char shape[128];
    ra_shape_text(tensor->rank, tensor->shape, shape, sizeof shape);
    if (!ra_dtype_is_data(tensor->dtype))
        RA_FAIL(
            err, RA_ERR_DTYPE,
            "%s holds %s numbers; expected activations in F32, F16, BF16, F64 or an integer of at most 16 "
            "bits (in Python: x.astype('float32'))",
            path, ra_dtype_name(tensor->dtype));
    if (!fits_layout(tensor, layout))
        RA_FAIL(err, RA_ERR_SHAPE, "%s has the shape %s; expected activations of shape %s", path, shape,
                layouts[layout]);
    how->images = tensor->rank == 4 && (layout == RA_LAYOUT_GUESS || layout == RA_LAYOUT_NCHW);
    how->d = tensor->shape[how->images ? 1 : tensor->rank - 1];
    if (how->d == 0 || (how->images && tensor->shape[2] * tensor->shape[3] == 0))
        RA_FAIL(err, RA_ERR_SHAPE,
                "%s has the shape %s; expected activations of shape %s with at least one row and one column",
                path, shape, layouts[layout]);
    if (data->dimensions && data->dimensions != how->d)
        RA_FAIL(err, RA_ERR_SHAPE,
                "%s has the shape %s, that is %zu dimensions per row; expected %zu, as in %s", path, shape,
                how->d, data->dimensions, ra_array_path(data->files[0].array));
    read_items(tensor, how);
    if (layout == RA_LAYOUT_GUESS && how->images && tensor->shape[3] > tensor->shape[1])
        ra_log(RA_LOG_WARNING,
               "%s has the shape %s and is read as [n, d, h, w], so d is %zu; if it is [n, h, w, d], give "
               "--layout nhwc (and --layout nchw if it is not)",
               path, shape, how->d);
    return RA_OK;
}

static ra_status add_file(ra_data *data, const char *path, const ra_data_options *options, bool others,
                          ra_error *err) {
    ra_data_file *file = &data->files[data->count];
    reading how = {0};
    struct stat info = {0};
    (void)stat(path, &info); /* what is wrong with it, the next line says */
    RA_TRY(ra_array_open(path, options->tensor_name, &file->array, err));
    data->count++; /* from here on ra_data_free() closes it */
    const ra_tensor *tensor = ra_array_tensor(file->array);
    RA_TRY(read_shape(data, path, tensor, options->layout, &how, err));
    file->dtype = tensor->dtype;
    file->numbers = tensor->data;
    file->rows = ra_tensor_elements(tensor) / how.d;
    file->plane = how.images ? tensor->shape[2] * tensor->shape[3] : 1;
    file->first = data->source_rows;
    file->item_rows = how.item_rows;
    file->item_width = how.item_width;
    file->device = (uint64_t)info.st_dev;
    file->inode = (uint64_t)info.st_ino;
    /* Rows of images are columns of a matrix: they are read from the mapping, an image at a time. */
    file->direct = file->plane == 1 && ra_array_offset(file->array, &file->offset);
    if (file->rows == 0) { /* what a job that had nothing to do leaves among its shards */
        char shape[128];
        if (!others)
            RA_FAIL(err, RA_ERR_SHAPE, "%s has the shape %s, so it holds no rows; expected at least one",
                    path, ra_shape_text(tensor->rank, tensor->shape, shape, sizeof shape));
        ra_log(RA_LOG_WARNING, "%s holds no rows and is left out", path);
        ra_array_free(file->array);
        file->array = NULL;
        data->count--;
        return RA_OK;
    }
    data->dimensions = how.d;
    data->source_rows += file->rows;
    return RA_OK;
}

static void compare_with_memory(ra_data *data, size_t memory) {
    data->memory = memory ? memory : ra_memory_limit();
    for (size_t i = 0; i < data->count; i++)
        data->bytes += (double)ra_tensor_bytes(ra_array_tensor(data->files[i].array));
    data->large = data->bytes > (double)data->memory / 2;
}

static ra_status open_files(ra_data *data, const char *const *paths, size_t count,
                            const ra_data_options *options, ra_error *err) {
    for (size_t i = 0; i < count; i++) RA_TRY(add_file(data, paths[i], options, count > 1, err));
    if (data->source_rows == 0)
        RA_FAIL(err, RA_ERR_SHAPE,
                "%s holds no rows, and neither does any other file; expected at least one row", paths[0]);
    compare_with_memory(data, options->memory);
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

bool ra_data_is_large(const ra_data *data) {
    return data->large;
}

double ra_data_bytes(const ra_data *data) {
    return data->bytes;
}

size_t ra_data_rows_together(const ra_data *data) {
    for (size_t i = 1; i < data->count; i++)
        if (data->files[i].plane != data->files[0].plane) return 1;
    return data->files[0].plane;
}

bool ra_data_items(const ra_data *data, size_t *rows, size_t *width) {
    const ra_data_file *first = &data->files[0];
    *rows = *width = 0;
    for (size_t i = 0; i < data->count; i++)
        if (data->files[i].item_rows != first->item_rows || data->files[i].item_width != first->item_width)
            return false;
    *rows = first->item_rows;
    *width = first->item_width;
    return *rows > 0;
}

size_t ra_data_memory(const ra_data *data) {
    return data->memory;
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
