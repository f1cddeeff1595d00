/* sae.h - the SAE's members, shared by sae.c (forward, backward) and checkpoint.c (files). */
#ifndef RA_SAE_SAE_H
#define RA_SAE_SAE_H

#include "sae/activation.h"
#include "sae/encoder.h"
#include "sae/pursuit.h"

enum { RA_SAE_PARAMETERS = 16, RA_SAE_SETTING_TEXTS = 32 };

struct ra_sae {
    ra_sae_settings settings;
    ra_backend *backend;
    ra_dictionary *dictionary;
    ra_encoder encoder;
    ra_activation activation;
    bool training;
    float *thresholds; /* jumprelu: exp(theta) [K] */
    float *dD;         /* [K,d], made by the first backward pass */
    /* the encoder's tensors, then theta, then the dictionary's parameters (copies of its rows) */
    ra_parameter parameters[RA_SAE_PARAMETERS];
    size_t count, owned; /* the first `owned` belong to the SAE, the rest to the dictionary */
    char texts[RA_SAE_SETTING_TEXTS][40]; /* settings as metadata, while a writer uses them */
};

/* The parameter named `thresholds`, NULL unless jumprelu. */
const ra_parameter *ra_sae_theta(const ra_sae *sae);

#endif
