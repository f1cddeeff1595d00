#include "common/files.h"
#include "common/command.h"

#include <string.h>
#include <sys/stat.h>

bool has_suffix(const char *path, const char *suffix) {
    size_t length = strlen(path), tail = strlen(suffix);
    return length >= tail && strcmp(path + length - tail, suffix) == 0;
}

ra_status file_kind_of(const char *path, file_kind *kind, ra_error *err) {
    static const struct {
        const char *magic;
        size_t size;
        file_kind kind;
    } magics[] = {{"\x93NUMPY", 6, FILE_NPY}, {"PK\x03\x04", 4, FILE_NPZ}};
    ra_mapping mapping;
    RA_TRY(ra_mapping_open(path, &mapping, err));
    *kind = FILE_OTHER;
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (mapping.size >= magics[i].size && memcmp(mapping.data, magics[i].magic, magics[i].size) == 0)
            *kind = magics[i].kind;
    if (ra_torch_is(mapping.data, mapping.size)) *kind = FILE_OTHER;
    ra_mapping_close(&mapping);
    return RA_OK;
}

bool is_same_file(const char *a, const char *b) {
    struct stat first, second;
    if (strcmp(a, b) == 0) return true;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static ra_status check_ending(const char *output, output_kind kind, ra_error *err) {
    static const char *const others[] = {".npy", ".npz", ".pt",  ".pth", ".pkl",     ".pickle", ".ckpt",
                                         ".bin", ".h5",  ".csv", ".zip", ".parquet", ".onnx",   ".json"};
    for (size_t i = kind == OUTPUT_ARRAY; kind != OUTPUT_ANY && i < sizeof others / sizeof *others; i++)
        if (has_suffix(output, others[i]))
            RA_FAIL(err, RA_ERR_ARGUMENT, "%s would be a safetensors file, not a %s; give it the ending %s",
                    output, others[i], kind == OUTPUT_ARRAY ? ".npy or .safetensors" : ".safetensors");
    return RA_OK;
}

ra_status check_output(const char *output, output_kind kind, const char *const *others, size_t count,
                       ra_error *err) {
    for (size_t i = 0; i < count; i++)
        if (others[i] && is_same_file(output, others[i]))
            RA_FAIL(err, RA_ERR_ARGUMENT, "the output %s would replace %s; give it another name", output,
                    others[i]);
    RA_TRY(check_ending(output, kind, err));
    ra_atomic_file *probe = NULL;
    RA_TRY(ra_atomic_file_begin(output, &probe, err));
    ra_atomic_file_abort(probe);
    return RA_OK;
}

size_t rows_per_block(const ra_model_info *info) {
    enum { FLOATS = 1 << 24, MOST = 2048 };
    size_t width = info->concepts > info->dimensions ? info->concepts : info->dimensions,
           rows = FLOATS / width;
    return rows < 1 ? 1 : rows > MOST ? MOST : rows;
}

/* ---- arrays ------------------------------------------------------------------------------------------ */

struct array_writer {
    const char *path, *tensor_name; /* not owned */
    size_t cols, done;
    ra_atomic_file *npy; /* one of the two */
    ra_matrix gathered;
};

static ra_status begin_npy(array_writer *writer, size_t rows, ra_error *err) {
    const ra_tensor shape = ra_tensor_2d(RA_F32, NULL, rows, writer->cols);
    void *header = NULL;
    size_t size = 0;
    RA_TRY(ra_npy_header(&shape, &header, &size, err));
    ra_status status = ra_atomic_file_begin(writer->path, &writer->npy, err);
    if (status == RA_OK) status = ra_atomic_file_write(writer->npy, header, size, err);
    ra_free(header);
    return status;
}

ra_status array_writer_begin(const char *path, const char *tensor_name, size_t rows, size_t cols,
                             array_writer **out, ra_error *err) {
    array_writer *writer = ra_calloc(1, sizeof *writer);
    if (!writer) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a writer for %s", path);
    *writer = (array_writer){.path = path, .tensor_name = tensor_name, .cols = cols};
    ra_status status = has_suffix(path, ".npy") ? begin_npy(writer, rows, err)
                                                : ra_matrix_init(&writer->gathered, rows, cols, err);
    if (status != RA_OK) {
        array_writer_abort(writer);
        return status;
    }
    *out = writer;
    return RA_OK;
}

ra_status array_writer_add(array_writer *writer, const float *values, size_t rows, ra_error *err) {
    size_t bytes = rows * writer->cols * sizeof *values;
    if (writer->npy) return ra_atomic_file_write(writer->npy, values, bytes, err);
    if (bytes) memcpy(ra_matrix_row(&writer->gathered, writer->done), values, bytes);
    writer->done += rows;
    return RA_OK;
}

static ra_status write_gathered(const array_writer *writer, ra_error *err) {
    const ra_matrix *m = &writer->gathered;
    const ra_tensor tensor = ra_tensor_2d(RA_F32, m->data, m->rows, m->cols);
    ra_safetensors_writer *file = NULL;
    RA_TRY(ra_safetensors_writer_new(&file, err));
    ra_status status = ra_safetensors_writer_tensor(file, writer->tensor_name, &tensor, err);
    if (status == RA_OK) status = ra_safetensors_writer_write(file, writer->path, err);
    ra_safetensors_writer_free(file);
    return status;
}

ra_status array_writer_commit(array_writer **ended, ra_error *err) {
    array_writer *writer = *ended;
    ra_status status = writer->npy ? ra_atomic_file_commit(writer->npy, err) : write_gathered(writer, err);
    writer->npy = NULL;
    array_writer_abort(writer);
    *ended = NULL;
    return status;
}

void array_writer_abort(array_writer *writer) {
    if (!writer) return;
    ra_atomic_file_abort(writer->npy);
    ra_matrix_release(&writer->gathered);
    ra_free(writer);
}
