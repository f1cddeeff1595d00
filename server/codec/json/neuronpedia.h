/* neuronpedia.h - the bodies of two calls of Neuronpedia's inference server, which its clients can send here
 * as well.
 *
 *   sae-vector                   {"model": "gpt2", "source": "words", "index": 5}
 *   sae-topk-by-decoder-cossim   {"feature": {"model": ..., "source": ..., "index": 5}  or  "vector": [...],
 *                                 "model": "gpt2", "source": "words", "num_results": 10}
 *
 * Its older clients write num_results, its newer ones numResults, and each expects the reply in its own
 * spelling. null means absent. Errors are those of requests.h. Source: Neuronpedia's OpenAPI,
 * inference/paths/util. Thread safety: no state.
 */
#ifndef RASAED_CODEC_JSON_NEURONPEDIA_H
#define RASAED_CODEC_JSON_NEURONPEDIA_H

#include "app/text.h"
#include "ra_status.h"
#include "ra_tensor.h"

enum { NEURONPEDIA_NAME_CHARACTERS = 127, NEURONPEDIA_NAME_SIZE = 4 * NEURONPEDIA_NAME_CHARACTERS + 1 };

/* Longer names are refused. */
typedef struct neuronpedia_feature {
    char model[NEURONPEDIA_NAME_SIZE], source[NEURONPEDIA_NAME_SIZE];
    size_t index;
} neuronpedia_feature;

typedef struct neuronpedia_request {
    neuronpedia_feature of; /* model and source; the index of sae-vector */
    bool has_feature, has_vector;
    neuronpedia_feature feature;
    float *vector; /* [dimensions], owned */
    size_t dimensions;
    size_t results;
    bool camel_case;
} neuronpedia_request;

ra_status json_sae_vector_parse(const char *body, size_t size, neuronpedia_request *out, ra_error *err);
ra_status json_sae_topk_parse(const char *body, size_t size, neuronpedia_request *out, ra_error *err);
void neuronpedia_request_release(neuronpedia_request *request); /* leaves {0} */

void json_neuronpedia_feature(text *out, const char *key, const neuronpedia_feature *feature);

#endif
