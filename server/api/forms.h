/* forms.h - reads bodies in the form that they have, and writes replies in the form that the client asks for.
 *
 * Handlers say what they want to read or send; this decides by call->request->body_form and reply_form
 * whether it travels as JSON, raw or npy. proto/tensors.md has the layouts.
 *
 * Thread safety: as in api.h.
 */
#ifndef RASAED_API_FORMS_H
#define RASAED_API_FORMS_H

#include "api/api.h"
#include "codec/json/requests.h"
#include "codec/binary/tensors.h"

/* ---- bodies; errors as in codec/json/requests.h and codec/binary/tensors.h ----------------------------- */

/* inputs [rows, d], released with ra_matrix_release(). */
ra_status forms_inputs(const api_call *call, ra_matrix *inputs, ra_error *err);
ra_status forms_latents(const api_call *call, latents_request *latents, ra_error *err);

/* k: the most concepts of an explanation; 0: all. */
ra_status forms_explain(const api_call *call, ra_matrix *inputs, size_t *k, ra_error *err);

/* Completes the request with the query and with the defaults. Afterwards `vectors` are in the space of the dictionary,
 * whatever they were sent as. */
ra_status forms_search(const api_call *call, search_request *search, ra_error *err);

/* The tensors of a body that is not JSON. width: of a row, where no header gives a shape. */
ra_status forms_tensors(const api_call *call, size_t width, tensor_list *list, ra_error *err);

/* ---- replies ------------------------------------------------------------------------------------------- */

/* *values <- room for so many numbers of the reply, until the end of the call: many are in memory of their own
 * (serving/replies.h), from where forms_reply_matrix() sends them as they are. */
ra_status forms_reply_numbers(api_call *call, size_t count, float **values, ra_error *err);

/* {"<key>":[[...], ...]} or one tensor [rows, cols]. RA_ERR_TOO_LARGE, see api_check_reply(). */
ra_status forms_reply_matrix(api_call *call, const char *key, const float *values, size_t rows, size_t cols,
                             ra_error *err);

/* A list of objects, in JSON {"<key>":[...], ...}, and in NDJSON one object per line:
 *
 *     text *out = forms_list_begin(call, "atoms");
 *     ... one object, then RA_TRY(forms_list_next(call, err)); for each
 *     forms_list_end(call, count);      ... more members, which NDJSON has in its last line, then
 *     json_object_end(out);
 *
 * The last line begins with {"complete":true,"lines":<count>}: without it a reply is cut off. */
text *forms_list_begin(api_call *call, const char *key);
ra_status forms_list_next(api_call *call, ra_error *err);
void forms_list_end(api_call *call, size_t count);

/* Whether the reply is text: JSON or NDJSON. */
bool forms_reply_is_text(const api_call *call);

/* Tensors one after another, in raw or npy, not in JSON. They are copied. */
ra_status forms_reply_tensors(api_call *call, const tensor_list *list, ra_error *err);

/* One tensor of the model of call->dictionary, without a copy; the model is held until it is sent. */
ra_status forms_reply_in_place(api_call *call, const ra_tensor *tensor, ra_error *err);

/* The dictionary of the call as a file, likewise. */
void forms_reply_artifact(api_call *call);

/* Bytes of its own file, likewise. */
void forms_reply_bytes(api_call *call, const ra_bytes *bytes, const char *content_type);

#endif
