/* forms.h - bodies read from, and replies written in, the form that the request is in and asks for.
 *
 * Handlers say what they want; whether it travels as JSON, raw or npy is decided here, by
 * call->request->body_form and reply_form. proto/tensors.md has the layouts.
 *
 * Thread safety: as of api.h.
 */
#ifndef RASAED_API_FORMS_H
#define RASAED_API_FORMS_H

#include "api/api.h"
#include "codec/json/requests.h"
#include "codec/binary/tensors.h"

/* ---- bodies. Errors as of json_requests.h
 * and tensors.h. ------------------------------------------------ */

/* inputs [rows, d], released with ra_matrix_release(). */
ra_status forms_inputs(const api_call *call, ra_matrix *inputs, ra_error *err);
ra_status forms_latents(const api_call *call, latents_request *latents, ra_error *err);

/* k and metric of the query hold over those of the body. */
ra_status forms_search(const api_call *call, search_request *search, ra_error *err);

/* The tensors of a body that is not JSON; width: of a row, when no header says so. */
ra_status forms_tensors(const api_call *call, size_t width, tensor_list *list, ra_error *err);

/* 
 * ---- replies -------------------------------------------------------------------------------------------- */

/* {"<key>":[[...], ...]} or one tensor [rows, cols]. RA_ERR_TOO_LARGE, see api_check_reply(). */
ra_status forms_reply_matrix(api_call *call, const char *key, const float *values, size_t rows, size_t cols,
                             ra_error *err);

/* In raw or npy, not JSON: tensors one behind the other. They are copied. */
ra_status forms_reply_tensors(api_call *call, const tensor_list *list, ra_error *err);

/* One tensor of the model of call->dictionary, from where it lies; the model is held until it is sent. */
ra_status forms_reply_in_place(api_call *call, const ra_tensor *tensor, ra_error *err);

/* The same behind `size` bytes of header, for forms of a file's kind. */
void forms_reply_behind(api_call *call, const void *header, size_t size, const ra_tensor *tensor);

#endif
