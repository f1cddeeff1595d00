/* codes.h - sparse codes and their values, uploaded into the scratch memory of an entered stream. */
#ifndef RA_BACKEND_CUDA_CODES_H
#define RA_BACKEND_CUDA_CODES_H

#include "backend/cuda/context.h"

/* value: codes->value, which is uploaded, too, or device memory, or NULL. *behind (unless NULL) <- `extra`
 * bytes of scratch memory behind the codes, aligned to 16. */
ra_status cuda_codes_upload(ra_backend_stream *entered, const ra_codes *codes, const float *value,
                            size_t extra, cuda_codes *on_device, void **behind, ra_error *err);

/* The same by latent; value is not NULL. *partial (unless NULL) <- scratch memory for rows of d numbers, one for
 * each partial sum. */
ra_status cuda_codes_upload_by_latent(ra_backend_stream *entered, const ra_codes *codes, const float *value,
                                      size_t d, cuda_by_latent *on_device, const float **value_on_device,
                                      float **partial, ra_error *err);

#endif
