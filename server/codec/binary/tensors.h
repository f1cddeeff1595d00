/* tensors.h - request and reply bodies in binary: raw little-endian tensors, and npy. proto/tensors.md
 * specifies both.
 *
 * A body is a list of up to TENSORS_MAX tensors. Raw tensors follow each other without gaps, and two headers
 * describe them, "3; 5; 5" and "I64; I32; F32"; npy arrays follow each other, each after its own header. A
 * matrix is one tensor [rows, width]; sparse codes are three: start [rows + 1], index [entries], value
 * [entries].
 *
 *     tensor_list list;
 *     RA_TRY(tensors_parse_raw(body, size, shape_header, dtype_header, width, &list, err));
 *     RA_TRY(tensors_to_matrix(&list, "inputs", width, "dimensions", max_rows, &inputs, err));
 *
 * Everything is checked: byte counts, types, shapes, indices, and that numbers are finite. Errors are those
 * of codec/json/requests.h, and RA_ERR_DTYPE for a type that is not accepted.
 *
 * Ownership: a list points into the body, whose bytes need no alignment; the results own their memory. Thread
 * safety: no state.
 */
#ifndef RASAED_CODEC_BINARY_TENSORS_H
#define RASAED_CODEC_BINARY_TENSORS_H

#include "codec/json/requests.h"
#include "app/text.h"
#include "ra_tensor.h"

enum { TENSORS_MAX = 3, TENSORS_HEADER_SIZE = 256 };

typedef struct tensor_list {
    size_t count;
    ra_tensor at[TENSORS_MAX]; /* data may be unaligned */
} tensor_list;

/* shape and dtype: the headers, NULL when absent. Without dtype all tensors are F32; without shape the body
 * is one matrix with rows of `width` numbers. */
ra_status tensors_parse_raw(const void *body, size_t size, const char *shape, const char *dtype, size_t width,
                            tensor_list *list, ra_error *err);
ra_status tensors_parse_npy(const void *body, size_t size, tensor_list *list, ra_error *err);

/* One tensor [rows, width] of floats (or F64), 1 <= rows <= max_rows. what: "inputs"; unit: "dimensions". */
ra_status tensors_to_matrix(const tensor_list *list, const char *what, size_t width, const char *unit,
                            size_t max_rows, ra_matrix *matrix, ra_error *err);

/* Dense [rows, latents], or sparse. */
ra_status tensors_to_latents(const tensor_list *list, size_t latents, size_t max_rows, latents_request *out,
                             ra_error *err);

/* The two headers of a raw body. */
void tensors_headers(const tensor_list *list, char shape[TENSORS_HEADER_SIZE],
                     char dtype[TENSORS_HEADER_SIZE]);

/* Appends a tensor: its bytes, or its npy header and its bytes. */
void tensors_append_raw(text *body, const ra_tensor *tensor);
ra_status tensors_append_npy(text *body, const ra_tensor *tensor, ra_error *err);

#endif
