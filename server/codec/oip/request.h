/* request.h - requests of the Open Inference Protocol (version 2) to C structs.
 *
 *   infer   {"id": "7", "parameters": {"binary_data_output": true},
 *            "inputs": [{"name": "latents", "datatype": "FP32", "shape": [1, 4000], "data": [0, 1.5, ...]}],
 *            "outputs": [{"name": "reconstructions", "parameters": {"binary_data": false}}]}
 *   index   {"ready": true}, or nothing
 *   load    {"parameters": {...}}, or nothing; likewise unload
 *
 * An infer request has the input latents [rows, K], or indices and values [rows, k]; one for the model that encodes has
 * inputs [rows, d], and its outputs are indices and values. tensor.h has the datatypes. The data of an input is a JSON array, `data`, flat or nested, or bytes after the JSON in the
 * order of the inputs, as many as its parameter binary_data_size says; then the header
 * Inference-Header-Content-Length says where the JSON ends. When that header is 0, the body is only the bytes
 * of latents in FP32.
 *
 * Members and parameters that the protocol does not have are skipped, because clients of other servers send
 * them; null means absent. A parameter that would change the result and is not offered (shared memory,
 * classification) is RA_ERR_UNSUPPORTED; other errors are those of codec/json/requests.h.
 *
 * Source: KServe's Open Inference Protocol; Triton's extensions binary_tensor_data, model_repository and
 * parameters. Ownership: the request owns its codes; its id points into the body. Thread safety: no state.
 */
#ifndef RASAED_CODEC_OIP_REQUEST_H
#define RASAED_CODEC_OIP_REQUEST_H

#include "codec/json/string.h"
#include "ra_tensor.h"

#define OIP_OUTPUT_NAME "reconstructions"
#define OIP_INDICES_NAME "indices"
#define OIP_VALUES_NAME "values"

typedef struct oip_infer_request {
    json_string id; /* raw NULL when there is none */
    ra_codes codes; /* sorted by index, without zeros */
    bool binary;    /* how the reply carries its tensor */
} oip_infer_request;

/* Of the model that encodes: inputs [rows, d] in, indices and values [rows, k] out. */
enum { OIP_ENCODED_INDICES, OIP_ENCODED_VALUES, OIP_MOST_OUTPUTS };

typedef struct oip_encode_request {
    json_string id;                /* raw NULL when there is none */
    ra_matrix inputs;              /* [rows, d] */
    bool wanted[OIP_MOST_OUTPUTS]; /* which outputs the reply has */
    bool binary[OIP_MOST_OUTPUTS]; /* how it carries each */
} oip_encode_request;

/* header: the value of Inference-Header-Content-Length; NULL when absent. *json_size <- how many bytes of the
 * body are JSON; all of them without the header. */
ra_status oip_json_size(const char *header, size_t body_size, size_t *json_size, ra_error *err);

/* latents: K of the dictionary. json_size: from oip_json_size(); 0 is the raw form. On failure *out is
 * {0}. */
ra_status oip_infer_parse(const char *body, size_t size, size_t json_size, size_t latents, size_t max_rows,
                          oip_infer_request *out, ra_error *err);
void oip_infer_request_release(oip_infer_request *request); /* leaves {0} */

/* The same for the model that encodes; dimensions: d of the dictionary. */
ra_status oip_encode_parse(const char *body, size_t size, size_t json_size, size_t dimensions,
                           size_t max_rows, oip_encode_request *out, ra_error *err);
void oip_encode_request_release(oip_encode_request *request); /* leaves {0} */

/* *ready_only <- whether the client wants only models that are ready. */
ra_status oip_index_parse(const char *body, size_t size, bool *ready_only, ra_error *err);

/* Load and unload. They have no options; a configuration or files from the client are refused. */
ra_status oip_control_check(const char *body, size_t size, ra_error *err);

#endif
