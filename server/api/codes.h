/* codes.h - the codes of a whole batch, which is encoded chunk after chunk (encode.c).
 *
 * Thread safety: as in api.h.
 */
#ifndef RASAED_API_CODES_H
#define RASAED_API_CODES_H

#include "api/api.h"

/* The bytes of three tensors: start [rows + 1] int64_t, index [entries] int32_t, value [entries] float. In JSON, `start` is
 * not used and indices go straight to the reply. */
typedef struct code_texts {
    text start, index, value;
} code_texts;

/* texts, which are {0} at first, <- those of the codes of inputs [rows, d]. The caller releases them, after a failure,
 * too. RA_ERR_TOO_LARGE, see api_check_size(). */
ra_status code_texts_encode(api_call *call, const ra_matrix *inputs, code_texts *texts, ra_error *err);
void code_texts_release(code_texts *texts);

#endif
