/* All of D, as a file: a header made here, and behind it the numbers from where they lie, without a copy.
 *
 * The safetensors form is a fused artifact without encoder (proto/artifact.md): what is downloaded can be
 * served again. Its header ends at a multiple of 64 bytes, so that who maps the file finds the numbers
 * aligned. The entity tag joins the digest that the model has of its numbers with that of the header before
 * them: nothing is read to make it. */
#include "api/forms.h"
#include "ra_digest.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 64, HEADER_ROOM = 512 };

static void set_tag(api_call *call) {
    char header[RA_DIGEST_SIZE], both[2 * RA_DIGEST_SIZE];
    const text *body = &call->response->body;
    ra_digest(body->data, body->size, header);
    int size = snprintf(both, sizeof both, "%s%s", header, api_info(call)->digest);
    ra_digest(both, (size_t)size, header);
    snprintf(call->response->tag, sizeof call->response->tag, "\"%s\"", header);
}

/* 8 bytes of length, little-endian, and the JSON with spaces behind it; returns the size of both. */
static size_t write_safetensors_header(const ra_model_info *info, const ra_tensor *D, char *header,
                                       size_t room) {
    char points[64] = "";
    if (info->points) snprintf(points, sizeof points, ",\"points\":\"%zu\"", info->points);
    size_t used =
        8 + (size_t)snprintf(header + 8, room - 8,
                             "{\"__metadata__\":{\"format\":\"rasae.fused.v1\"%s},\"dictionary\":{\"dtype\":"
                             "\"%s\",\"shape\":[%zu,%zu],\"data_offsets\":[0,%zu]}}",
                             points, ra_dtype_name(D->dtype), D->shape[0], D->shape[1], ra_tensor_bytes(D));
    size_t size = (used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    memset(header + used, ' ', size - used);
    for (size_t i = 0; i < 8; i++) header[i] = (char)((size - 8) >> (8 * i));
    return size;
}

ra_status api_dictionary_file(api_call *call, ra_error *err) {
    const ra_tensor *D = ra_model_dictionary(api_model(call));
    char header[HEADER_ROOM], disposition[160], sentence[192];
    form wanted = call->request->reply_form;
    ra_status status = RA_OK;
    if (wanted == FORM_NPY && D->dtype == RA_BF16) {
        snprintf(sentence, sizeof sentence,
                 "dictionary %s is held in BF16, for which npy has no type; ask for safetensors or raw",
                 call->dictionary->name);
        http_problem(call->request, call->response, 406, sentence);
        return RA_OK;
    }
    if (wanted == FORM_SAFETENSORS)
        forms_reply_behind(call, header, write_safetensors_header(api_info(call), D, header, sizeof header),
                           D);
    else
        status = forms_reply_in_place(call, D, err);
    if (status != RA_OK) return status;
    static const char *const suffix[] = {
        [FORM_JSON] = "json", [FORM_RAW] = "bin", [FORM_NPY] = "npy", [FORM_SAFETENSORS] = "safetensors"};
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%s.%s\"", call->dictionary->name,
             suffix[wanted]);
    http_response_header(call->response, "Content-Disposition", disposition);
    call->response->cacheable = call->response->ranges = true;
    set_tag(call);
    return RA_OK;
}
