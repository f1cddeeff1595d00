/* Codes on disk.
 *
 * Sparse codes are gathered before they are written: a safetensors header gives the sizes first, and the number of
 * entries is known last. Many of them (eight bytes per active latent) are gathered on the disk (spill.h). They are read
 * into memory: starts and indices that are checked once must not change. Dense ones can be larger than memory, so they
 * stream through an array_writer. */
#include "common/codes_file.h"
#include "common/command.h"
#include "common/files.h"
#include "common/spill.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- reading: sparse --------------------------------------------------------------------------------- */

struct codes_reader {
    const char *path; /* not owned */
    size_t rows, latents;
    ra_safetensors *file; /* sparse: the file and its three tensors */
    const int64_t *start;
    const int32_t *index;
    const float *value;
    ra_array *dense; /* or dense, and one block of it in float32 */
    float *block;
    size_t block_rows;
};

static ra_status get_vector(const codes_reader *reader, const char *name, ra_dtype dtype, ra_tensor *tensor,
                            ra_error *err) {
    char shape[128];
    RA_TRY(ra_safetensors_get(reader->file, name, tensor, err));
    if (tensor->dtype == dtype && tensor->rank == 1) return RA_OK;
    RA_FAIL(err, tensor->rank == 1 ? RA_ERR_DTYPE : RA_ERR_SHAPE,
            "%s: %s is %s %s, expected %s with one dimension", reader->path, name,
            ra_dtype_name(tensor->dtype), ra_shape_text(tensor->rank, tensor->shape, shape, sizeof shape),
            ra_dtype_name(dtype));
}

static ra_status check_starts(const codes_reader *reader, size_t entries, ra_error *err) {
    const int64_t *start = reader->start;
    if (start[0] != 0)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: codes.start begins with %lld, expected 0", reader->path,
                (long long)start[0]);
    for (size_t b = 0; b < reader->rows; b++)
        if (start[b + 1] < start[b])
            RA_FAIL(err, RA_ERR_FORMAT, "%s: codes.start falls from %lld to %lld at row %zu", reader->path,
                    (long long)start[b], (long long)start[b + 1], b);
    if ((uint64_t)start[reader->rows] != entries)
        RA_FAIL(err, RA_ERR_FORMAT, "%s: codes.start ends with %lld, but there are %zu entries", reader->path,
                (long long)start[reader->rows], entries);
    return RA_OK;
}

static ra_status check_row(const codes_reader *reader, size_t b, ra_error *err) {
    for (size_t e = (size_t)reader->start[b]; e < (size_t)reader->start[b + 1]; e++) {
        int32_t k = reader->index[e];
        if (k < 0 || (size_t)k >= reader->latents)
            RA_FAIL(err, RA_ERR_ARGUMENT, "%s: row %zu has the latent %d, but the model has %zu (0 to %zu)",
                    reader->path, b, k, reader->latents, reader->latents - 1);
        bool first = e == (size_t)reader->start[b];
        if (!first && k <= reader->index[e - 1])
            RA_FAIL(err, RA_ERR_FORMAT, "%s: row %zu has the latent %d %s; expected ascending indices",
                    reader->path, b, k, k == reader->index[e - 1] ? "twice" : "out of order");
        if (!isfinite(reader->value[e]))
            RA_FAIL(err, RA_ERR_NOT_FINITE, "%s: row %zu has the value %g for the latent %d", reader->path, b,
                    (double)reader->value[e], k);
    }
    return RA_OK;
}

/* If the file says what K is, an error about that is clearer than one about an index that is too large. */
static ra_status check_latents(const codes_reader *reader, ra_error *err) {
    char expected[32];
    const char *latents = ra_safetensors_metadata(reader->file, "latents");
    snprintf(expected, sizeof expected, "%zu", reader->latents);
    if (!latents || strcmp(latents, expected) == 0) return RA_OK;
    RA_FAIL(err, RA_ERR_SHAPE, "%s holds codes of %s latents, but the model has %s", reader->path, latents,
            expected);
}

static ra_status open_sparse(codes_reader *reader, ra_error *err) {
    ra_tensor start, index, value;
    RA_TRY(get_vector(reader, "codes.start", RA_I64, &start, err));
    RA_TRY(get_vector(reader, "codes.index", RA_I32, &index, err));
    RA_TRY(get_vector(reader, "codes.value", RA_F32, &value, err));
    RA_TRY(check_latents(reader, err));
    if (index.shape[0] != value.shape[0])
        RA_FAIL(err, RA_ERR_SHAPE, "%s: codes.index has %zu entries and codes.value %zu", reader->path,
                index.shape[0], value.shape[0]);
    if (start.shape[0] == 0)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: codes.start is empty, expected one more number than rows",
                reader->path);
    reader->rows = start.shape[0] - 1;
    reader->start = start.data;
    reader->index = index.data;
    reader->value = value.data;
    RA_TRY(check_starts(reader, index.shape[0], err));
    for (size_t b = 0; b < reader->rows; b++) RA_TRY(check_row(reader, b, err));
    return RA_OK;
}

/* The tensors as codes; ra_codes_slice() only reads them. */
static ra_codes view(const codes_reader *reader) {
    _Static_assert(sizeof(size_t) == sizeof(int64_t), "starts are used as they lie in the file");
    return (ra_codes){.rows = reader->rows,
                      .latents = reader->latents,
                      .start = (size_t *)(uintptr_t)reader->start,
                      .index = (int32_t *)(uintptr_t)reader->index,
                      .value = (float *)(uintptr_t)reader->value};
}

/* ---- reading: dense ---------------------------------------------------------------------------------- */

static ra_status open_dense(codes_reader *reader, const char *tensor_name, ra_error *err) {
    char shape[128];
    RA_TRY(ra_array_open(reader->path, tensor_name, &reader->dense, err));
    const ra_tensor *z = ra_array_tensor(reader->dense);
    if (!ra_dtype_is_data(z->dtype))
        RA_FAIL(err, RA_ERR_DTYPE, "%s holds %s, expected codes in F32, F16, BF16 or F64", reader->path,
                ra_dtype_name(z->dtype));
    if (z->rank != 2 || z->shape[1] != reader->latents)
        RA_FAIL(err, RA_ERR_SHAPE, "%s has shape %s, expected codes [rows, %zu]", reader->path,
                ra_shape_text(z->rank, z->shape, shape, sizeof shape), reader->latents);
    reader->rows = z->shape[0];
    return RA_OK;
}

static ra_status read_dense(codes_reader *reader, size_t first, size_t count, ra_codes *codes,
                            ra_error *err) {
    const ra_tensor *z = ra_array_tensor(reader->dense);
    size_t K = reader->latents;
    if (count > reader->block_rows) {
        float *block = ra_realloc(reader->block, count * K, sizeof *block);
        if (!block)
            RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu rows of codes need %zu bytes", count,
                    count * K * sizeof *block);
        reader->block = block;
        reader->block_rows = count;
    }
    const char *source = (const char *)z->data + first * K * ra_dtype_size(z->dtype);
    ra_convert_to_f32(z->dtype, source, reader->block, count * K);
    size_t bad = ra_find_not_finite(reader->block, count * K);
    if (bad < count * K)
        RA_FAIL(err, RA_ERR_NOT_FINITE, "%s: row %zu has the value %g for the latent %zu", reader->path,
                first + bad / K, (double)reader->block[bad], bad % K);
    return ra_codes_from_dense(codes, reader->block, count, K, err);
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static ra_status open_either(codes_reader *reader, const char *tensor_name, ra_error *err) {
    file_kind kind;
    RA_TRY(file_kind_of(reader->path, &kind, err));
    if (kind != FILE_OTHER || tensor_name) return open_dense(reader, tensor_name, err);
    RA_TRY(ra_safetensors_open_steady(reader->path, SIZE_MAX, &reader->file, err));
    if (ra_safetensors_find(reader->file, "codes.start")) return open_sparse(reader, err);
    return open_dense(reader, NULL, err);
}

ra_status codes_reader_open(const char *path, const char *tensor_name, size_t latents, codes_reader **out,
                            ra_error *err) {
    codes_reader *reader = ra_calloc(1, sizeof *reader);
    if (!reader) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a reader for %s", path);
    reader->path = path;
    reader->latents = latents;
    ra_status status = open_either(reader, tensor_name, err);
    if (status != RA_OK) {
        codes_reader_free(reader);
        return status;
    }
    *out = reader;
    return RA_OK;
}

void codes_reader_free(codes_reader *reader) {
    if (!reader) return;
    ra_safetensors_free(reader->file);
    ra_array_free(reader->dense);
    ra_free(reader->block);
    ra_free(reader);
}

size_t codes_reader_rows(const codes_reader *reader) {
    return reader->rows;
}

ra_status codes_reader_read(codes_reader *reader, size_t first, size_t count, ra_codes *codes,
                            ra_error *err) {
    if (reader->dense) return read_dense(reader, first, count, codes, err);
    const ra_codes all = view(reader);
    return ra_codes_slice(&all, first, count, codes, err);
}

/* ---- writing ----------------------------------------------------------------------------------------- */

struct codes_writer {
    const char *path; /* not owned */
    size_t rows, latents, done;
    array_writer *dense; /* dense: where it goes, and one block */
    float *block;
    size_t block_rows;
    int64_t *start;     /* sparse: [rows + 1] and the entries so far */
    spill index, value; /* int32_t, float */
    size_t entries;
};

ra_status codes_writer_begin(const char *path, size_t rows, size_t latents, codes_writer **out,
                             ra_error *err) {
    codes_writer *writer = ra_calloc(1, sizeof *writer);
    if (!writer) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a writer for %s", path);
    *writer = (codes_writer){
        .path = path, .rows = rows, .latents = latents, .index = {.beside = path}, .value = {.beside = path}};
    ra_status status = RA_OK;
    if (has_suffix(path, ".npy"))
        status = array_writer_begin(path, NULL, rows, latents, &writer->dense, err);
    else if (!(writer->start = ra_calloc(rows + 1, sizeof *writer->start)))
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the codes of %zu rows", rows);
    if (status != RA_OK) {
        codes_writer_abort(writer);
        return status;
    }
    *out = writer;
    return RA_OK;
}

static ra_status add_sparse(codes_writer *writer, const ra_codes *codes, ra_error *err) {
    size_t count = ra_codes_entries(codes);
    RA_TRY(spill_reserve(&writer->index, (writer->entries + count) * sizeof(int32_t), err));
    RA_TRY(spill_reserve(&writer->value, (writer->entries + count) * sizeof(float), err));
    for (size_t b = 1; b <= codes->rows; b++)
        writer->start[writer->done + b] = (int64_t)(writer->entries + codes->start[b]);
    if (count) {
        memcpy((int32_t *)writer->index.data + writer->entries, codes->index, count * sizeof *codes->index);
        memcpy((float *)writer->value.data + writer->entries, codes->value, count * sizeof *codes->value);
    }
    writer->entries += count;
    return RA_OK;
}

static ra_status add_dense(codes_writer *writer, const ra_codes *codes, ra_error *err) {
    if (codes->rows > writer->block_rows) {
        float *block = ra_realloc(writer->block, codes->rows * writer->latents, sizeof *block);
        if (!block) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu rows of codes", codes->rows);
        writer->block = block;
        writer->block_rows = codes->rows;
    }
    ra_codes_to_dense(codes, writer->block);
    return array_writer_add(writer->dense, writer->block, codes->rows, err);
}

ra_status codes_writer_add(codes_writer *writer, const ra_codes *codes, ra_error *err) {
    RA_TRY(writer->dense ? add_dense(writer, codes, err) : add_sparse(writer, codes, err));
    writer->done += codes->rows;
    return RA_OK;
}

static ra_status write_sparse(const codes_writer *writer, ra_error *err) {
    const ra_tensor start = ra_tensor_1d(RA_I64, writer->start, writer->rows + 1);
    const ra_tensor index = ra_tensor_1d(RA_I32, writer->index.data, writer->entries);
    const ra_tensor value = ra_tensor_1d(RA_F32, writer->value.data, writer->entries);
    ra_safetensors_writer *file = NULL;
    ra_status status;
    RA_TRY_OUT(status, ra_safetensors_writer_new(&file, err));
    RA_TRY_OUT(status, ra_safetensors_writer_count(file, "latents", writer->latents, err));
    RA_TRY_OUT(status, ra_safetensors_writer_tensor(file, "codes.start", &start, err));
    RA_TRY_OUT(status, ra_safetensors_writer_tensor(file, "codes.index", &index, err));
    RA_TRY_OUT(status, ra_safetensors_writer_tensor(file, "codes.value", &value, err));
    RA_TRY_OUT(status, ra_safetensors_writer_write(file, writer->path, err));
out:
    ra_safetensors_writer_free(file);
    return status;
}

ra_status codes_writer_commit(codes_writer **ended, ra_error *err) {
    codes_writer *writer = *ended;
    ra_status status = writer->dense ? array_writer_commit(&writer->dense, err) : write_sparse(writer, err);
    codes_writer_abort(writer);
    *ended = NULL;
    return status;
}

void codes_writer_abort(codes_writer *writer) {
    if (!writer) return;
    array_writer_abort(writer->dense);
    ra_free(writer->block);
    ra_free(writer->start);
    spill_release(&writer->index);
    spill_release(&writer->value);
    ra_free(writer);
}
