/* files.h - checks of file names before work starts, and arrays that are written block by block.
 *
 * Thread safety: an array_writer belongs to one thread.
 */
#ifndef RASAE_COMMON_FILES_H
#define RASAE_COMMON_FILES_H

#include "ra.h"

bool has_suffix(const char *path, const char *suffix);

/* What a file starts as. All else, what torch.save wrote too, is opened like a safetensors file, or named then. */
typedef enum file_kind { FILE_OTHER, FILE_NPY, FILE_NPZ } file_kind;
ra_status file_kind_of(const char *path, file_kind *kind, ra_error *err);

typedef enum output_kind {
    OUTPUT_ANY,
    OUTPUT_ARRAY, /* a .npy, otherwise a safetensors file */
    OUTPUT_MODEL, /* a safetensors file */
} output_kind;

/* Hours of work must not end in "permission denied", nor replace their own input: fails if `output` is one of
 * `others` (also under another name; NULLs are skipped), if no file can be created beside it now, or if its
 * name ends like that of a file of another kind (.npz, .pt), which it would not be. */
ra_status check_output(const char *output, output_kind kind, const char *const *others, size_t count,
                       ra_error *err);

/* True if both names lead to one existing file, or are the same text. */
bool is_same_file(const char *a, const char *b);

/* Writes float32 [rows, cols] block by block: streamed into a .npy; gathered in memory for any other name,
 * which becomes a safetensors file with this one tensor. Either way the file appears under its name complete,
 * on commit, or not at all. */
typedef struct array_writer array_writer;

ra_status array_writer_begin(const char *path, const char *tensor_name, size_t rows, size_t cols,
                             array_writer **writer, ra_error *err);
ra_status array_writer_add(array_writer *writer, const float *values, size_t rows, ra_error *err);
/* Ends the writer, whatever it returns, and clears the pointer. */
ra_status array_writer_commit(array_writer **writer, ra_error *err);
void array_writer_abort(array_writer *writer); /* NULL is fine */

/* The number of rows to process at once: as many as fill 64 MiB with pre-codes, so that the encoder is packed for a product
 * as rarely as possible, and at most 2,048. */
size_t rows_per_block(const ra_model_info *info);

#endif
