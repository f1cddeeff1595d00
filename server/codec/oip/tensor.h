/* tensor.h - the tensors of an Open Inference Protocol request, straight into what computes.
 *
 * A name, a datatype and a shape [rows, width] describe an input; its data comes as a JSON array, flat or
 * nested like the shape, or as bytes, row-major and little-endian. Latents become sparse rows while they are
 * read: their dense form never exists. Indices and values are kept as they come, and joined into sparse rows
 * once both are there.
 *
 *     oip_spec_check(&tensor.spec, &limits, err)                    name, datatype and shape fit
 *     oip_tensor_scan(&tensor, &limits, &scan)                      either this
 *     oip_tensor_take(&tensor, &limits, bytes, size, err)           or this
 *     oip_tensors_join(tensors, &limits, &codes, err)
 *
 * Inputs of the model that encodes are kept dense: oip_tensors_rows() in place of the last.
 *
 * Ownership: a tensor owns its arrays until oip_tensors_join() moves them or oip_tensor_release() frees them.
 * Memory is bounded by a small multiple of the body. Thread safety: plain data.
 */
#ifndef RASAED_CODEC_OIP_TENSOR_H
#define RASAED_CODEC_OIP_TENSOR_H

#include "codec/json/scan.h"
#include "ra_tensor.h"

/* The inputs. To add one, add a row in tensor.c. */
typedef enum oip_input { OIP_LATENTS, OIP_INDICES, OIP_VALUES, OIP_ROWS, OIP_INPUT_COUNT } oip_input;

const char *oip_input_name(oip_input input);

/* The description of an input. */
typedef struct oip_spec {
    oip_input input; /* OIP_INPUT_COUNT: not named yet */
    ra_dtype dtype;  /* RA_DTYPE_COUNT: not given yet */
    size_t rank;     /* 0: no shape yet */
    size_t shape[2];
} oip_spec;

typedef struct oip_limits {
    size_t latents;      /* K of the dictionary */
    size_t dimensions;   /* d; 0: of the model that reconstructs, which takes no inputs */
    size_t max_rows;     /* of a batch */
    size_t max_elements; /* of one tensor: at most the bytes of the body */
} oip_limits;

/* {0} is a tensor that was not sent. */
typedef struct oip_tensor {
    bool given;
    oip_spec spec;
    ra_codes codes;   /* OIP_LATENTS: grows row by row */
    int32_t *indices; /* OIP_INDICES: [elements], -1 for padding */
    float *values;    /* OIP_VALUES, OIP_ROWS: [elements] */
} oip_tensor;

/* "FP32", as the protocol names it; false for a type that no input accepts. */
bool oip_datatype_from_name(json_string name, ra_dtype *dtype);

/* Whether the spec, which is complete, fits its input: datatype, rank, width, rows. */
ra_status oip_spec_check(const oip_spec *spec, const oip_limits *limits, ra_error *err);

/* Reads the next value, a JSON array. The spec is checked. */
bool oip_tensor_scan(oip_tensor *tensor, const oip_limits *limits, json_scan *scan);

/* Reads bytes of any alignment. */
ra_status oip_tensor_take(oip_tensor *tensor, const oip_limits *limits, const char *bytes, size_t size,
                          ra_error *err);

/* *codes <- the rows of the tensors [OIP_INPUT_COUNT]: latents, or indices with values. */
ra_status oip_tensors_join(oip_tensor *tensors, const oip_limits *limits, ra_codes *codes, ra_error *err);

/* *rows <- the tensor OIP_ROWS of [OIP_INPUT_COUNT]. */
ra_status oip_tensors_rows(oip_tensor *tensors, ra_matrix *rows, ra_error *err);

void oip_tensor_release(oip_tensor *tensor); /* leaves {0} */

#endif
