/* files.h - checks of file names before work starts, and arrays that are written block by block.
 *
 * Thread safety: an array_writer belongs to one thread.
 */
#ifndef RASAE_COMMON_FILES_H
#define RASAE_COMMON_FILES_H

#include "ra.h"

bool has_suffix(const char *path, const char *suffix);

/* Whether the file starts as an npy file does; what is neither that nor safetensors is
 * reported when opened. */
ra_status file_is_npy(const char *path, bool *npy, ra_error *err);

/* Hours of work must not end in "permission denied", nor replace what they were made from: fails when
 * `output` is one of `others` (NULLs among them are skipped; also under another name), or when no file can
 * be created beside it now. */
ra_status check_output(const char *output, const char *const *others, size_t count, ra_error *err);

/* Both names lead to one existing file, or are the same text. */
bool is_same_file(const char *a, const char *b);

/* float32 [rows, cols] that come a block at a time: to a .npy, streamed; to any other name as the one tensor
 * of a safetensors file, gathered in memory first. Either way the file appears under its name complete, on
 * commit, or not at all. */
typedef struct array_writer array_writer;

ra_status array_writer_begin(const char *path, const char *tensor_name, size_t rows, size_t cols,
                             array_writer **writer, ra_error *err);
ra_status array_writer_add(array_writer *writer, const float *values, size_t rows, ra_error *err);
/* Ends the writer, whatever it returns, and clears the pointer. */
ra_status array_writer_commit(array_writer **writer, ra_error *err);
void array_writer_abort(array_writer *writer); /* NULL is fine */

/* Rows that are worked on at once, so that a block of them stays within some MB, as activations and as codes. */
size_t rows_per_block(const ra_model_info *info);

#endif
