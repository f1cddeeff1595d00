/* moments.h - Adam's state of every trained parameter, and its steps.
 *
 * Thread safety: one thread at a time; it uses the backend's threads inside.
 */
#ifndef RA_TRAIN_MOMENTS_H
#define RA_TRAIN_MOMENTS_H

#include "ra_train.h"

enum { RA_MOMENTS_SLOTS = 16, RA_MOMENTS_NAME = 80 };

/* One trained parameter. */
typedef struct ra_moments_slot {
    size_t index; /* among ra_sae_parameters() */
    const ra_parameter *parameter;
    float *first, *second; /* the moments, of the parameter's size; backend memory */
    void *mirrors[2];      /* of them, while a writer reads them */
    uint8_t *touched;      /* [rows] of a matrix: whether a row ever had a gradient; NULL: a vector */
    char names[2][RA_MOMENTS_NAME]; /* of the moments in a file */
} ra_moments_slot;

typedef struct ra_moments {
    ra_sae *sae;                       /* not owned */
    const ra_train_settings *settings; /* not owned */
    size_t count;
    ra_moments_slot slots[RA_MOMENTS_SLOTS];
    int32_t *place;       /* [K] where the gradient of an atom's row is in this step */
    int32_t *place_block; /* the same in backend memory */
} ra_moments;

/* Moments of zero. On failure ra_moments_release() still has to follow. */
ra_status ra_moments_init(ra_moments *moments, ra_sae *sae, const ra_train_settings *settings, ra_error *err);
void ra_moments_release(ra_moments *moments);

/* The norm of the gradient over all parameters. */
ra_status ra_moments_gradient_norm(const ra_moments *moments, const ra_sae_pass *pass, double *norm,
                                   ra_error *err);

/* Moves the parameters: step 1, 2, ... with this learning rate; norm is that of the gradient, which is
 * clipped by the settings. */
ra_status ra_moments_step(ra_moments *moments, const ra_sae_pass *pass, size_t step, double rate, double norm,
                          ra_error *err);

/* The moments to and from a file: `optimizer.PARAMETER.exp_avg` and `.exp_avg_sq`, as torch calls them. */
ra_status ra_moments_store(ra_moments *moments, ra_safetensors_writer *writer, ra_error *err);
ra_status ra_moments_restore(ra_moments *moments, const ra_safetensors *file, ra_error *err);

#endif
