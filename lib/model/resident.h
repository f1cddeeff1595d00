/* resident.h - what the computations read of a model, in the memory of its backend.
 *
 * In ordinary memory these are the model's own tensors. On a device they are copies, in one block that is
 * allocated when the model is opened; the model's own stay for what is done by the host: atoms, norms,
 * provenance, and the scores of a search as they are answered. */
#ifndef RA_MODEL_RESIDENT_H
#define RA_MODEL_RESIDENT_H

#include "ra_model.h"
#include "sae/activation.h"
#include "sae/encoder.h"

typedef struct ra_resident {
    const void *dictionary; /* D [K,d] as the model holds it */
    ra_encoder_weights encoder;
    ra_activation activation;
    /* on a device, for a search by cosine: columns of scores over the norms of the atoms */
    const float *zeros, *ones, *inverse_norm; /* [K] */
    void *block;
} ra_resident;

/* Of a model that is complete. Fails with RA_ERR_MEMORY, before anything is allocated, when the device lacks
 * the memory for the model and the workspaces that compute with it. */
ra_status ra_model_make_resident(ra_model *model, size_t workspaces, ra_error *err);
void ra_model_release_resident(ra_model *model);

#endif
