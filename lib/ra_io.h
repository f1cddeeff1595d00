/* ra_io.h - files: mapped reading, atomic writing, npy, safetensors, labels.
 *
 * Reading maps the file and returns ra_tensor views into the mapping, without copying. A view lives as long
 * as the object it came from. Every header is checked completely before a view is returned: a truncated,
 * overlapping, misaligned or mistyped file fails with one sentence and never crashes.
 *
 * Writing fills a temporary file beside the target, flushes it to the disk and renames it over the target:
 * the final name always refers to the old file or to the complete new one. A write that fails removes its
 * temporary file.
 *
 *     ra_safetensors *file = NULL;
 *     ra_tensor C;
 *     RA_TRY(ra_safetensors_open("model.safetensors", &file, err));
 *     RA_TRY(ra_safetensors_get(file, "dictionary.C", &C, err));
 *     printf("%zu points\n", C.shape[0]);
 *     ra_safetensors_free(file);
 *
 * Thread safety: an open file is immutable and may be read from any thread; a writer belongs to one thread.
 * Formats: safetensors (huggingface/safetensors README, "Format"), npy 1.0 to 3.0 (NumPy's NEP 1), npz, and the files of
 * torch.save (io/torch/torch.h).
 */
#ifndef RA_IO_H
#define RA_IO_H

#include "ra_digest.h"
#include "ra_settings.h"
#include "ra_tensor.h"
#include "ra_text.h"

#include <sys/types.h>

/* ---- mapped files ------------------------------------------------------------------------------------- */

typedef struct ra_mapping {
    const void *data; /* NULL: an empty file */
    size_t size;
    struct ra_mapped *file; /* private; NULL: no check is possible or needed */
    bool copied;            /* private: memory of its own */
} ra_mapping;

/* Maps a regular file for reading. A missing file is RA_ERR_NOT_FOUND; a directory or a device is
 * RA_ERR_ARGUMENT. The file may be replaced (renamed over) while it is mapped. If it is written or shortened in
 * place, the mapping shows it, and ra_mapping_check() fails. */
ra_status ra_mapping_open(const char *path, ra_mapping *mapping, ra_error *err);

/* For content that must stay the same although others may write the file. A file of at most `most` bytes is copied
 * into memory of its own, where nothing can happen to it. A larger one is mapped, keeps a descriptor, and has its
 * digest taken, a pass over it; ra_mapping_check() then notices every change of a local file, that of a byte whose
 * time was set back, too. What mounts of a network tell late, it notices late. Waits for the clock of the file system
 * to pass the last change, at most some milliseconds. RA_ERR_CHANGED if the file is being written, or is open for it where
 * that can be known (ra_mapping_guard()). */
ra_status ra_mapping_open_steady(const char *path, size_t most, ra_mapping *mapping, ra_error *err);
void ra_mapping_close(ra_mapping *mapping); /* leaves {0} */

/* Whether all that was read from a mapping so far is what the file held when it was opened: call it before a result
 * is used. RA_ERR_CHANGED if not. Costs one stat(), or nothing while a lease on a steady file holds. A new name, owner or permission of the file changes nothing; if
 * it only may have been written, the digest of a steady mapping decides. Any thread may call it. */
ra_status ra_mapping_check(const ra_mapping *mapping, ra_error *err);

/* The same for all files that are mapped, and for those whose mapping, not a steady one, was closed after a change. */
ra_status ra_mapping_check_all(ra_error *err);

/* digest <- that of all bytes (ra_digest.h), as they were when the mapping was opened. Known for a file that is mapped
 * steadily, else a pass over it. */
void ra_mapping_digest(const ra_mapping *mapping, char digest[RA_DIGEST_SIZE]);

/* Reading a page that the file has lost ends the process (SIGBUS). After this call, which is for main(), it reads
 * zeros, and ra_mapping_check() fails. Other users of SIGBUS get what is theirs. SIGIO, if it is free, is taken for
 * leases on steady files. */
void ra_mapping_guard(void);

/* Tells the system how `size` bytes of a mapping will be read, so that it can read ahead. SOON starts to read
 * them from the disk and does not wait. DONE gives back the memory of what will not be read again soon, so that a pass over a
 * file larger than the memory does not keep all of it; bytes that are in no mapping stay as they are. A hint: it changes no
 * result and cannot fail. */
typedef enum ra_access { RA_ACCESS_NORMAL, RA_ACCESS_SEQUENTIAL, RA_ACCESS_SOON, RA_ACCESS_DONE } ra_access;
void ra_mapping_advise(const void *data, size_t size, ra_access access);

/* ---- atomic writing ----------------------------------------------------------------------------------- */

/* The new content of `path`, written to `.NAME.XXXXXX` in the same directory, with the permissions that the
 * umask leaves. Exactly one of commit and abort ends it; both free it, and a commit that fails leaves the old
 * file as it was. A symbolic link to a file is followed; a directory or a device as the target is
 * RA_ERR_ARGUMENT; a directory that does not exist is RA_ERR_NOT_FOUND. */
typedef struct ra_atomic_file ra_atomic_file;

ra_status ra_atomic_file_begin(const char *path, ra_atomic_file **file, ra_error *err);
ra_status ra_atomic_file_write(ra_atomic_file *file, const void *data, size_t size, ra_error *err);
ra_status ra_atomic_file_commit(ra_atomic_file *file, ra_error *err); /* flush, rename, flush the directory */
void ra_atomic_file_abort(ra_atomic_file *file);                      /* NULL is fine */

/* For programs whose files all come from what they read: each commit calls this first (ra_mapping_check_all()), and
 * fails with its error. NULL, the default: nothing is checked. Call it before there are threads. */
void ra_atomic_file_require(ra_status (*check)(ra_error *err));

/* ---- npy ---------------------------------------------------------------------------------------------- */

typedef struct ra_npy ra_npy;

/* Arrays of every ra_dtype but bf16, which npy cannot hold. Little-endian numbers in C order are read in place;
 * big-endian ones, Fortran order and misaligned data are copied. A file that is longer or shorter than its
 * header says fails. */
ra_status ra_npy_open(const char *path, ra_npy **npy, ra_error *err);
void ra_npy_free(ra_npy *npy);
const ra_tensor *ra_npy_tensor(const ra_npy *npy);

/* The array at the start of `size` bytes of memory, little-endian and in C order; `where` names them in
 * messages ("the body"). *used <- how many bytes it takes; if used is NULL, the array must take all of them. The view
 * points into the bytes, and its alignment is that of the caller's bytes. */
ra_status ra_npy_parse(const void *bytes, size_t size, const char *where, ra_tensor *tensor, size_t *used,
                       ra_error *err);

/* *header <- the npy 1.0 header for a tensor, padded so that the data starts at a multiple of 64; the caller
 * frees it with ra_free(). */
ra_status ra_npy_header(const ra_tensor *tensor, void **header, size_t *size, ra_error *err);
ra_status ra_npy_write(const char *path, const ra_tensor *tensor, ra_error *err);

/* ---- files of other programs -------------------------------------------------------------------------- */

/* Whether the bytes of a file are those of a file of torch.save. */
bool ra_torch_is(const void *bytes, size_t size);

/* *file <- path itself, or the one file of weights in the folder that it is, as hubs lay them out; the caller frees it
 * with ra_free(). RA_ERR_ARGUMENT, with their names, if the folder has none or several. */
ra_status ra_source_find(const char *path, char **file, ra_error *err);

/* ---- npz ---------------------------------------------------------------------------------------------- */

/* The arrays of a .npz, an archive of npy files that numpy.savez or numpy.savez_compressed wrote, by their
 * names in it. */
typedef struct ra_npz ra_npz;

ra_status ra_npz_open(const char *path, ra_npz **npz, ra_error *err);
void ra_npz_free(ra_npz *npz);
size_t ra_npz_count(const ra_npz *npz);
const char *ra_npz_name(const ra_npz *npz, size_t i); /* NULL past the end */

/* Type and shape of the i-th array, without its data; and the whole array, as ra_npy_open() reads it: the view
 * is valid as long as the file is open and *copy, which may be NULL, is not freed with ra_free(). */
ra_status ra_npz_describe(const ra_npz *npz, size_t i, ra_tensor *tensor, ra_error *err);
ra_status ra_npz_read(const ra_npz *npz, size_t i, ra_tensor *tensor, void **copy, ra_error *err);

/* Writes arrays under their names, as numpy.savez does: each stored as it is, also beyond 4 GiB. */
ra_status ra_npz_write(const char *path, const char *const *names, const ra_tensor *tensors, size_t count,
                       ra_error *err);

/* ---- safetensors -------------------------------------------------------------------------------------- */

typedef struct ra_safetensors ra_safetensors;

/* RA_ERR_FORMAT for every file that the reference implementation refuses, and for repeated names. A tensor that
 * cannot be returned as a view is foreign and does not keep the others from being read: one of a type that
 * ra_dtype lacks (BOOL, F8_E4M3, ...), or of more than RA_MAX_RANK dimensions. Misaligned tensors are copied.
 *
 * Names are those of the file without `module.` and without the prefix that the tensors of a state dict have
 * in common (`_orig_mod.`, `net.`). A tensor that safetensors.torch.save_model left out is found as the one
 * that it shares memory with, and `encoder.weight` and `encoder.bias` also as those of `final_block.0`. */
ra_status ra_safetensors_open(const char *path, ra_safetensors **file, ra_error *err);

/* The same opens a file of torch.save, a state dict or a whole module, and presents it as what
 * safetensors.torch.save_file(module.state_dict()) would have written; nothing in the file is run. What overcomplete's
 * modules keep as attributes is its metadata, and so is what only a config.json beside the file has (`top_k`, `delta`,
 * `running_threshold`, `threshold_momentum`, `bandwidth`, `kernel`, `use_multiplier`). A path may be that of a folder
 * (ra_source_find()). RA_ERR_UNSUPPORTED, by its name, for what such a file may not have in it. The layouts of SAELens,
 * sparsify, dictionary_learning and OpenAI, in files of either kind, get the names and axes of ours (proto/artifact.md).
 *
 * The same with ra_mapping_open_steady(). */
ra_status ra_safetensors_open_steady(const char *path, size_t most, ra_safetensors **file, ra_error *err);

/* ra_mapping_check() of its mapping. */
ra_status ra_safetensors_check(const ra_safetensors *file, ra_error *err);
bool ra_safetensors_mapped(const ra_safetensors *file); /* rather than copied */
void ra_safetensors_free(ra_safetensors *file);
const char *ra_safetensors_path(const ra_safetensors *file);
const char *ra_safetensors_prefix(const ra_safetensors *file); /* what was removed; NULL: nothing */

/* Whether all bytes of the file are those that its writer wrote. Opening a file of at most 128 MiB, which takes less than a
 * tenth of a second more, verifies it, and fails with RA_ERR_FORMAT where the digest in it is that of other bytes; of a larger one
 * that is what verify does. A file without a digest is taken as it is. Not while others use the file. */
typedef enum ra_integrity {
    RA_INTEGRITY_UNKNOWN,    /* the file has no digest */
    RA_INTEGRITY_UNVERIFIED, /* it has one that was not compared */
    RA_INTEGRITY_VERIFIED
} ra_integrity;
ra_integrity ra_safetensors_integrity(const ra_safetensors *file);
ra_status ra_safetensors_verify(ra_safetensors *file, ra_error *err);

/* Makes float32 copies of the parameters of a model (dictionary, encoder, thresholds) that are float64. Call it
 * before any view of them is taken. */
ra_status ra_safetensors_narrow(ra_safetensors *file, ra_error *err);

/* The readable tensors, in the order of their data; NULL past the end. */
size_t ra_safetensors_count(const ra_safetensors *file);
const char *ra_safetensors_name(const ra_safetensors *file, size_t i);
const ra_tensor *ra_safetensors_at(const ra_safetensors *file, size_t i);

/* The i-th foreign tensor: its name, and "BOOL [3, 4]" into *description (if not NULL). NULL past the end. */
const char *ra_safetensors_foreign(const ra_safetensors *file, size_t i, const char **description);

/* NULL if there is no such tensor or it is foreign. */
const ra_tensor *ra_safetensors_find(const ra_safetensors *file, const char *name);

/* The same with an error that names the file: RA_ERR_NOT_FOUND for a missing tensor (the message lists those
 * that the file holds), RA_ERR_DTYPE or RA_ERR_SHAPE for a foreign one. */
ra_status ra_safetensors_get(const ra_safetensors *file, const char *name, ra_tensor *tensor, ra_error *err);

/* A string of `__metadata__`, NULL if absent; and the keys by position, NULL past the end. */
const char *ra_safetensors_metadata(const ra_safetensors *file, const char *key);
const char *ra_safetensors_metadata_key(const ra_safetensors *file, size_t i);

/* A file to be written: add metadata and tensors, then write. Texts are copied; names and data must stay valid
 * until the write. Tensors with larger elements come first, those of one element size in the order in which
 * they were added. The format forbids gaps; this order aligns every tensor to its element size, and the first
 * one to 64 bytes. The same calls give the same bytes. A repeated name or key is RA_ERR_ARGUMENT. */
typedef struct ra_safetensors_writer ra_safetensors_writer;

ra_status ra_safetensors_writer_new(ra_safetensors_writer **writer, ra_error *err);
void ra_safetensors_writer_free(ra_safetensors_writer *writer);
ra_status ra_safetensors_writer_metadata(ra_safetensors_writer *writer, const char *key, const char *text,
                                         ra_error *err);
ra_status ra_safetensors_writer_count(ra_safetensors_writer *writer, const char *key, size_t count,
                                      ra_error *err); /* metadata as well */
ra_status ra_safetensors_writer_tensor(ra_safetensors_writer *writer, const char *name,
                                       const ra_tensor *tensor, ra_error *err);
/* The file gets a digest of itself, by which ra_safetensors_verify() finds every changed byte. data: a tensor whose digest
 * (ra_digest.h) is known, which saves a pass over it; NULL: none. */
void ra_safetensors_writer_seal(ra_safetensors_writer *writer, const void *data, const char *digest);
ra_status ra_safetensors_writer_write(const ra_safetensors_writer *writer, const char *path, ra_error *err);

/* The file without writing it. *parts [*count] <- its bytes, in order: the header, then each tensor where it is, which
 * must live as long as they are used. One ra_free(*parts) gives back the list and the header. */
typedef struct ra_bytes {
    const void *data;
    size_t size;
} ra_bytes;
ra_status ra_safetensors_writer_image(const ra_safetensors_writer *writer, ra_bytes **parts, size_t *count,
                                      ra_error *err);

/* Settings as metadata (ra_settings.h). Reading takes the keys of the table and leaves others alone; writing gives
 * what is known. */
ra_status ra_settings_read(const ra_settings_table *table, const ra_safetensors *file, void *settings,
                           ra_error *err);
/* The same from a file of JSON, of the keys above that a config.json has. A malformed file is RA_ERR_FORMAT. */
ra_status ra_settings_read_json(const ra_settings_table *table, const char *path, void *settings,
                                ra_error *err);
ra_status ra_settings_write(const ra_settings_table *table, const void *settings,
                            ra_safetensors_writer *writer, ra_error *err);

/* ---- one array from a file of any kind ---------------------------------------------------------------- */

/* A .npy file (tensor_name NULL), or a tensor of a .safetensors or .npz file or one of torch.save (by name; NULL if it holds exactly
 * one). The content tells which kind of file it is. A file of another kind is named, with the line of Python
 * that converts it. */
typedef struct ra_array ra_array;

ra_status ra_array_open(const char *path, const char *tensor_name, ra_array **array, ra_error *err);
void ra_array_free(ra_array *array);
const ra_tensor *ra_array_tensor(const ra_array *array);
const char *ra_array_path(const ra_array *array);

/* *offset <- where the numbers begin in the file, for those who read it themselves; false if they are a copy
 * (compressed, big-endian, in Fortran order, misaligned). */
bool ra_array_offset(const ra_array *array, size_t *offset);

/* ---- labels ------------------------------------------------------------------------------------------- */

/* Lines of text: one label per line, UTF-8, "\n" or "\r\n", the last newline optional. An empty line is an
 * empty label; a byte order mark at the start is removed. Malformed UTF-8 and NUL are RA_ERR_FORMAT. */
typedef struct ra_labels ra_labels;

ra_status ra_labels_open(const char *path, ra_labels **labels, ra_error *err);
/* From the bytes of a U8 tensor of an artifact; copies them. `where` names the source in messages. */
ra_status ra_labels_parse(const void *text, size_t size, const char *where, ra_labels **labels,
                          ra_error *err);
/* Texts that each end with a NUL and may hold line ends. */
ra_status ra_labels_parse_texts(const void *texts, size_t size, const char *where, ra_labels **labels,
                                ra_error *err);
size_t ra_labels_lines(const char *text, size_t size); /* how many labels ra_labels_parse() would find */
void ra_labels_free(ra_labels *labels);
size_t ra_labels_count(const ra_labels *labels);
const char *ra_labels_at(const ra_labels *labels, size_t i); /* NULL past the end */

/* Texts of several lines among labels: a tab is written as "\\t", a line end as "\\n" and a backslash as "\\\\". Unescaping is
 * for once after parsing; another character behind a backslash is RA_ERR_FORMAT, `where` as in ra_labels_parse(). */
void ra_labels_escape(ra_text *out, const char *text);
ra_status ra_labels_unescape(ra_labels *labels, const char *where, ra_error *err);

/* The words of the label of an atom: its explanation, who wrote it, how good it is. Its texts live as long as what they come from. */
typedef struct ra_label_words {
    const char *explanation, *source; /* source: who or what said it; NULL: unknown */
    float score;                      /* of the explanation, by whatever measure; NaN: unknown */
} ra_label_words;

/* The most bytes of a label, an explanation and a source, in files of labels and in what clients of rasaed set. */
enum { RA_LABEL_BYTES = 1024, RA_EXPLANATION_BYTES = 16384, RA_LABEL_SOURCE_BYTES = 256 };

/* Labels of the atoms of a dictionary, in a file that its name's ending tells:
 *
 *   .txt             one line for each atom
 *   .csv             a line that names the columns: atom (or index), label (or description) and, if there are any, explanation,
 *                    source (or explanationModelName) and score (or scoreV1); RFC 4180
 *   .jsonl, .ndjson  an object per line with these members, as rasaed and Neuronpedia export them
 *
 * An empty label (or null) takes the label of an atom and its words away. Tabs and line ends in a label become
 * blanks; an explanation keeps them. Other columns and members are passed over. RA_ERR_FORMAT for malformed text, a text that
 * is too long or has control characters, a score that is no number, and an atom that is named twice (but with Neuronpedia's
 * modelId the one with the highest score is taken, or the first); RA_ERR_SHAPE for a .txt of
 * another number of lines; RA_ERR_ARGUMENT for an atom from `atoms` on, and another ending. Messages name the file
 * and the line. */
typedef struct ra_atom_labels ra_atom_labels;

ra_status ra_atom_labels_open(const char *path, size_t atoms, ra_atom_labels **labels, ra_error *err);
void ra_atom_labels_free(ra_atom_labels *labels); /* NULL is fine */
size_t ra_atom_labels_atoms(const ra_atom_labels *labels);
/* NULL if the file does not name the atom; "" if it takes its label away. */
const char *ra_atom_labels_at(const ra_atom_labels *labels, size_t atom);
/* False if the file says nothing with the label; *words is then all unknown. */
bool ra_atom_labels_words(const ra_atom_labels *labels, size_t atom, ra_label_words *words);

/* ---- tokens ------------------------------------------------------------------------------------------- */

/* The tokens of texts: one line per text, a JSON array of strings, "\n" or "\r\n", the last newline optional. A token may
 * be empty; it holds no NUL, no half of a surrogate pair, and at most RA_TOKEN_MOST bytes. The tokens of a line belong to the
 * rows of a text in order. The first `skip` rows (class and register tokens) may be left out, in all lines or in some. */
enum { RA_TOKEN_MOST = 4096 };
typedef struct ra_token_lines ra_token_lines;

/* Checks all of the file, which stays mapped: `texts` lines of `rows` tokens, or of rows - skip. RA_ERR_SHAPE for other
 * numbers, RA_ERR_FORMAT for what is no list of strings, RA_ERR_TOO_LARGE for a longer token; messages name the file and
 * the line. */
ra_status ra_token_lines_open(const char *path, size_t texts, size_t rows, size_t skip,
                              ra_token_lines **lines, ra_error *err);
void ra_token_lines_free(ra_token_lines *lines); /* NULL is fine */
size_t ra_token_lines_texts(const ra_token_lines *lines);
size_t ra_token_lines_rows(const ra_token_lines *lines);

/* Called for each token of a text in order, with its row, from 0; `token` ends with a NUL and lives for this call only. */
typedef ra_status ra_token_reader(void *context, size_t row, const char *token, ra_error *err);

/* Reads text < texts. Rows whose tokens the line leaves out are passed over. The file is checked again, since others may have
 * written it. One thread at a time. */
ra_status ra_token_lines_read(ra_token_lines *lines, size_t text, ra_token_reader *token, void *context,
                              ra_error *err);

/* Whether the bytes are well-formed UTF-8 (RFC 3629: nothing overlong, no surrogates, up to U+10FFFF). */
bool ra_utf8_valid(const void *text, size_t size);

#endif
