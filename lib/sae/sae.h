/* sae.h - the SAE's members, shared by sae.c (forward, backward) and checkpoint.c (files). */
#ifndef RA_SAE_SAE_H
#define RA_SAE_SAE_H

#include "sae/activation.h"
#include "sae/encoder.h"
#include "sae/pursuit.h"

enum { RA_SAE_PARAMETERS = 16 };

struct ra_sae {
    ra_sae_settings settings;
    ra_backend *backend;
    ra_dictionary *dictionary;
    ra_encoder encoder;
    ra_activation activation;
    const ra_group *group; /* not owned; NULL: alone */
    bool training;
    float *thresholds; /* jumprelu: exp(theta) [K], backend memory */
    bool thresholds_known;
    void *mirrors[RA_SAE_PARAMETERS]; /* parameters where the host can read them, while a writer does */
    /* the encoder's tensors, then theta, then the dictionary's parameters (copies of its rows) */
    ra_parameter parameters[RA_SAE_PARAMETERS];
    size_t count, owned;            /* the first `owned` belong to the SAE, the rest to the dictionary */
    bool packed[RA_SAE_PARAMETERS]; /* gradients that hold the rows of the active atoms only */
    ra_mixture_points points;       /* of a dictionary with a source, while a writer reads them */
};

/* Makes room for n numbers of backend memory, keeping nothing. */
ra_status ra_sae_pass_grow(ra_sae_pass *pass, float **block, size_t n, ra_error *err);

/* The codes as the rows of pass->D are numbered. */
const ra_codes *ra_sae_pass_codes(const ra_sae_pass *pass);

/* sae->thresholds follow theta. */
ra_status ra_sae_thresholds(ra_sae *sae, ra_error *err);

/* The parameter named `thresholds`, NULL unless jumprelu. */
const ra_parameter *ra_sae_theta(const ra_sae *sae);

#endif
