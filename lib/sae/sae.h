/* sae.h - the inside of ra_sae, for the files of this folder:
 *
 *   sae.c                    the object: parameters, settings, group
 *   forward.c backward.c     its passes
 *   start.c                  an encoder that starts along its atoms
 *   checkpoint.c             reads and writes it; tensors.c: what a file may hold beside it
 *   settings.c               the table of settings; requirements.c: what they require of each other
 *   standardization.c        the standardization of a file
 *   activation.c batchtopk.c jumprelu.c pursuit.c
 *                            the activations
 *   encoder.c encoder_train.c
 *                            the encoders
 */
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
    const ra_group *group; /* not owned; NULL: this process alone */
    bool training;
    float *thresholds; /* jumprelu: exp(theta) [K], backend memory */
    bool thresholds_known;
    double theta_rate;               /* in units of the learning rate */
    void *copies[RA_SAE_PARAMETERS]; /* parameters in host memory, for a writer */
    /* the encoder's tensors, then theta, then copies of the dictionary's ra_parameters */
    ra_parameter parameters[RA_SAE_PARAMETERS];
    size_t count, owned;            /* the SAE owns the first `owned`, the dictionary the others */
    bool packed[RA_SAE_PARAMETERS]; /* the gradient holds the rows of the active atoms only */
    ra_mixture_points points;       /* of a dictionary with a source, while a writer reads them */
};

/* *array <- backend memory for n numbers, in place of what it was. */
ra_status ra_sae_pass_grow(ra_sae_pass *pass, float **array, size_t n, ra_error *err);

/* The codes with latents numbered like the rows of pass->D. */
static inline const ra_codes *ra_sae_pass_codes(const ra_sae_pass *pass) {
    return pass->atoms ? &pass->packed : &pass->codes;
}

/* sae->thresholds <- exp(theta), if theta has changed. */
ra_status ra_sae_thresholds(ra_sae *sae, ra_error *err);

/* The parameter theta; NULL: the activation has no thresholds. */
const ra_parameter *ra_sae_theta(const ra_sae *sae);

#endif
