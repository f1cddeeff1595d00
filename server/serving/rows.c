#include "serving/rows.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { NAME_SIZE = 65 };

/* A file; those of one dictionary follow each other in the list only by their order. */
struct data_source {
    char name[NAME_SIZE];
    int descriptor;
    ra_dtype dtype;
    size_t offset;           /* of its numbers in the file */
    size_t rows, dimensions; /* of this file */
    const data_source *next; /* the next file of the same dictionary; NULL: none */
    size_t total;            /* rows of this file and of those after it */
};

struct data_rows {
    data_source *files;
    size_t count;
};

static ra_status split(const char *words, const char **file, ra_error *err) {
    const char *equals = strchr(words, '=');
    if (!equals || equals == words || !equals[1] || equals - words >= NAME_SIZE)
        RA_FAIL(err, RA_ERR_ARGUMENT, "\"%s\" names no dictionary and file, expected NAME=FILE", words);
    *file = equals + 1;
    return RA_OK;
}

ra_status rows_check(const char *words, ra_error *err) {
    const char *file = "";
    return split(words, &file, err);
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static ra_status take_shape(data_source *source, const ra_array *array, ra_error *err) {
    const ra_tensor *tensor = ra_array_tensor(array);
    const char *path = ra_array_path(array);
    char shape[64];
    if (!ra_dtype_is_data(tensor->dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "%s holds numbers of the type %s, which are no activations", path,
                ra_dtype_name(tensor->dtype));
    if (tensor->rank < 2 || tensor->rank > 3)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has the shape %s; expected [rows, d] or [n, tokens, d]", path,
                ra_shape_text(tensor->rank, tensor->shape, shape, sizeof shape));
    if (!ra_array_offset(array, &source->offset))
        RA_FAIL(err, RA_ERR_FORMAT,
                "%s is packed, big-endian or in Fortran order; --data needs the numbers as they are, as "
                "numpy.save writes them",
                path);
    source->dtype = tensor->dtype;
    source->dimensions = tensor->shape[tensor->rank - 1];
    source->rows = tensor->rank == 3 ? tensor->shape[0] * tensor->shape[1] : tensor->shape[0];
    return RA_OK;
}

static ra_status open_file(data_source *source, const char *words, ra_error *err) {
    const char *path = "";
    ra_array *array = NULL;
    RA_TRY(split(words, &path, err));
    memcpy(source->name, words, (size_t)(path - 1 - words));
    RA_TRY(ra_array_open(path, NULL, &array, err));
    ra_status status = take_shape(source, array, err);
    ra_array_free(array);
    RA_TRY(status);
    source->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (source->descriptor < 0) RA_FAIL(err, RA_ERR_IO, "%s cannot be opened: %s", path, strerror(errno));
    return RA_OK;
}

/* Links the files of each dictionary, from the last one to the first. */
static ra_status link_files(data_rows *all, ra_error *err) {
    for (size_t i = all->count; i-- > 0;) {
        data_source *source = &all->files[i];
        source->total = source->rows;
        for (size_t j = i + 1; j < all->count && !source->next; j++)
            if (strcmp(all->files[j].name, source->name) == 0) source->next = &all->files[j];
        if (!source->next) continue;
        if (source->next->dimensions != source->dimensions)
            RA_FAIL(err, RA_ERR_SHAPE,
                    "the files of --data %s have %zu and %zu dimensions; expected the same", source->name,
                    source->dimensions, source->next->dimensions);
        source->total += source->next->total;
    }
    return RA_OK;
}

ra_status rows_open(char *const *items, size_t count, data_rows **out, ra_error *err) {
    data_rows *all = ra_calloc(1, sizeof *all);
    ra_status status = RA_OK;
    if (all) all->files = ra_calloc(count ? count : 1, sizeof *all->files);
    if (!all || !all->files) {
        ra_free(all);
        RA_FAIL_MEMORY(err, "the files of --data", count * sizeof(data_source));
    }
    for (size_t i = 0; i < count; i++) all->files[i].descriptor = -1;
    for (all->count = 0; all->count < count && status == RA_OK; all->count++)
        status = open_file(&all->files[all->count], items[all->count], err);
    if (status == RA_OK) status = link_files(all, err);
    if (status != RA_OK) {
        rows_free(all);
        return status;
    }
    *out = all;
    return RA_OK;
}

void rows_free(data_rows *all) {
    if (!all) return;
    for (size_t i = 0; i < all->count; i++)
        if (all->files[i].descriptor >= 0) close(all->files[i].descriptor);
    ra_free(all->files);
    ra_free(all);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

const data_source *rows_of(const data_rows *all, const char *dictionary) {
    for (size_t i = 0; all && i < all->count; i++)
        if (strcmp(all->files[i].name, dictionary) == 0) return &all->files[i];
    return NULL;
}

size_t rows_count(const data_source *source) {
    return source->total;
}

size_t rows_dimensions(const data_source *source) {
    return source->dimensions;
}

static ra_status read_bytes(const data_source *source, void *bytes, size_t size, size_t offset,
                            ra_error *err) {
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(source->descriptor, (char *)bytes + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            RA_FAIL(err, RA_ERR_IO, "a file of --data %s cannot be read: %s", source->name,
                    got < 0 ? strerror(errno) : "it is shorter than it was");
        done += (size_t)got;
    }
    return RA_OK;
}

ra_status rows_read(const data_source *source, size_t first, size_t n, float *out, ra_error *err) {
    size_t d = source->dimensions;
    ra_status status = RA_OK;
    void *bytes = ra_malloc(n * d + 1, sizeof(double));
    if (!bytes) RA_FAIL_MEMORY(err, "rows of the data", n * d * sizeof(double));
    for (; source && n > 0 && status == RA_OK; source = source->next) {
        size_t size = ra_dtype_size(source->dtype), some = source->rows > first ? source->rows - first : 0;
        if (some > n) some = n;
        if (some) status = read_bytes(source, bytes, some * d * size, source->offset + first * d * size, err);
        if (status == RA_OK) ra_convert_to_f32(source->dtype, bytes, out, some * d);
        out += some * d;
        n -= some;
        first = first > source->rows ? first - source->rows : 0;
    }
    ra_free(bytes);
    return status;
}
