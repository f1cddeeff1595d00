/* reply.h - what the server answers under /v2, in the words of the Open Inference Protocol.
 *
 * One function per reply. A dictionary is a model there, which reconstructs, and another one where it has an encoder,
 * which encodes: NAME and NAME.encode. Its generation is the version of the model, as text,
 * because versions are strings. Shapes have -1 where the request decides. Thread safety: a text belongs to
 * one thread.
 *
 * Source: KServe's Open Inference Protocol; Triton's extensions binary_tensor_data, statistics,
 * model_repository and model_configuration.
 */
#ifndef RASAED_CODEC_OIP_REPLY_H
#define RASAED_CODEC_OIP_REPLY_H

#include "app/json.h"
#include "codec/json/string.h"
#include "ra_model.h"

/* {"error": "..."} */
void oip_put_error(text *out, const char *sentence);

/* {"live": true} */
void oip_put_health(text *out, const char *name, bool value);

/* {"name": "rasaed", "version": "...", "extensions": [...]} */
void oip_put_server(text *out, const char *version);

#define OIP_ENCODE_SUFFIX ".encode"

typedef struct oip_model {
    const char *name; /* of the model */
    size_t generation;
    const ra_model_info *info;
    size_t max_rows; /* of a batch */
    bool encodes;
} oip_model;

/* {"name", "versions", "platform", "inputs": [{"name", "datatype", "shape", "optional"}], "outputs"} */
void oip_put_model(text *out, const oip_model *model);

/* The same as a configuration, where shapes leave out the dimension of the batch. */
void oip_put_config(text *out, const oip_model *model);

typedef struct oip_stage {
    const char *name;
    uint64_t count, ns;
} oip_stage;

/* Over all generations of a dictionary. */
typedef struct oip_statistics {
    const char *name;
    size_t generation;
    uint64_t last_ms; /* since the epoch; 0: no inference yet */
    uint64_t inferences, executions;
    const oip_stage *stages; /* [stage_count] */
    size_t stage_count;
} oip_statistics;

/* One entry of "model_stats". */
void oip_put_statistics(text *out, const oip_statistics *counted);

/* One entry of the index of the repository. generation 0: no version yet. */
void oip_put_index_entry(text *out, const char *name, size_t generation, bool ready, const char *reason);

typedef struct oip_infer_reply {
    const char *name;
    size_t generation;
    json_string id;     /* raw NULL: none */
    bool binary;        /* the tensor as bytes after the JSON */
    const float *x_hat; /* [rows, dimensions], all finite */
    size_t rows, dimensions;
} oip_infer_reply;

/* Returns the number of bytes that are JSON: all of them, unless the reply is binary. */
size_t oip_put_infer(text *out, const oip_infer_reply *reply);

/* A reply of the model that encodes: rows of different lengths, padded with the index -1 and the value 0. */
typedef struct oip_encode_reply {
    const char *name; /* of the model */
    size_t generation;
    json_string id;
    const bool *wanted, *binary; /* [OIP_MOST_OUTPUTS] of codec/oip/request.h */
    const int64_t *indices;      /* [rows, width] */
    const float *values;         /* [rows, width] */
    size_t rows, width;
} oip_encode_reply;

size_t oip_put_encode(text *out, const oip_encode_reply *reply);

#endif
