/* moments.h - Adam's moments of every trained parameter, and its steps.
 *
 * Thread safety: one thread at a time; inside, it uses the threads of its backend.
 */
#ifndef RA_TRAIN_MOMENTS_H
#define RA_TRAIN_MOMENTS_H

#include "ra_train.h"

enum { RA_MOMENTS_SLOTS = 16, RA_MOMENTS_NAME = 80 };

/* One trained parameter. */
typedef struct ra_moments_slot {
    size_t index; /* in ra_sae_parameters() */
    const ra_parameter *parameter;
    float *first, *second;          /* the moments, of the parameter's size; backend memory */
    void *copies[2];                /* of the moments in host memory, for a writer */
    uint8_t *touched;               /* [rows] of a matrix: 1 if the row ever had a gradient; NULL: a vector */
    char names[2][RA_MOMENTS_NAME]; /* of the moments' tensors */
} ra_moments_slot;

typedef struct ra_moments {
    ra_sae *sae;                       /* not owned */
    const ra_train_settings *settings; /* not owned */
    size_t count;
    ra_moments_slot slots[RA_MOMENTS_SLOTS];
    double squares[RA_MOMENTS_SLOTS]; /* of the gradients */
    int32_t *position;                /* [K] the row of each atom in a packed gradient, or ra_row_position */
    int32_t *device_position;         /* the same in backend memory */
    bool positions_sent;
} ra_moments;

/* The moments start at zero. Call ra_moments_release() even if it fails. */
ra_status ra_moments_init(ra_moments *moments, ra_sae *sae, const ra_train_settings *settings, ra_error *err);
void ra_moments_release(ra_moments *moments);

/* The norm of the gradient over all parameters, in two halves: it is known after the next wait for the default
 * stream, until when `moments` has to stay. */
ra_status ra_moments_ask_norm(ra_moments *moments, const ra_sae_pass *pass, ra_error *err);
double ra_moments_gradient_norm(const ra_moments *moments);

/* Updates the parameters in step 1, 2, ... with a learning rate; norm is that of the gradient, for the
 * clipping that the settings ask for. */
ra_status ra_moments_step(ra_moments *moments, const ra_sae_pass *pass, size_t step, double rate, double norm,
                          ra_error *err);

/* Write and read the moments: the tensors `optimizer.PARAMETER.exp_avg` and `.exp_avg_sq`, torch's names. */
ra_status ra_moments_store(ra_moments *moments, ra_safetensors_writer *writer, ra_error *err);
ra_status ra_moments_restore(ra_moments *moments, const ra_safetensors *file, ra_error *err);

#endif
