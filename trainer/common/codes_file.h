/* codes_file.h - codes on disk: what `encode` writes and `reconstruct` reads.
 *
 * Sparse, in a safetensors file: `codes.start` I64 [B+1], `codes.index` I32 [entries], `codes.value` F32
 * [entries], as in ra_codes, and the metadata `latents` (K). Dense: a matrix [B,K], in a .npy or as a tensor
 * of a safetensors file; in float16 or bfloat16 too when reading.
 *
 * Everything is checked when the file is opened: shapes; that rows are in order and within the entries; that
 * indices are below K, ascending and not repeated; that values are finite.
 *
 * Thread safety: a reader or a writer belongs to one thread.
 */
#ifndef RASAE_COMMON_CODES_FILE_H
#define RASAE_COMMON_CODES_FILE_H

#include "ra.h"

typedef struct codes_reader codes_reader;

/* latents: K of the model. tensor_name: of a dense matrix among several tensors; NULL otherwise. */
ra_status codes_reader_open(const char *path, const char *tensor_name, size_t latents, codes_reader **reader,
                            ra_error *err);
void codes_reader_free(codes_reader *reader); /* NULL is fine */
size_t codes_reader_rows(const codes_reader *reader);

/* codes <- rows first .. first+count. */
ra_status codes_reader_read(codes_reader *reader, size_t first, size_t count, ra_codes *codes, ra_error *err);

typedef struct codes_writer codes_writer;

/* Sparse, or dense when the name ends in .npy. */
ra_status codes_writer_begin(const char *path, size_t rows, size_t latents, codes_writer **writer,
                             ra_error *err);
ra_status codes_writer_add(codes_writer *writer, const ra_codes *codes, ra_error *err);
/* Ends the writer, whatever it returns, and clears the pointer. */
ra_status codes_writer_commit(codes_writer **writer, ra_error *err);
void codes_writer_abort(codes_writer *writer); /* NULL is fine */

#endif
