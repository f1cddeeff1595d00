/* Dictionaries: the list, one of them, all of its numbers as a file, and its reload.
 *
 * The file is a header made here, followed by the numbers from where they are, without a copy. Its
 * safetensors form is a fused artifact without encoder (proto/artifact.md), so a downloaded file can be
 * served again. The header ends at a multiple of 64 bytes, so that a program that maps the file finds the
 * numbers aligned. The entity tag joins the digest that the model has of its numbers with that of the header:
 * making it reads no numbers.
 *
 * A reload of a file that does not open changes nothing, and the reply has the reason: 422 when the file
 * cannot be served, 409 when it cannot be read. Clients never learn where the file is: the registry keeps the
 * reason without its folder.
 */
#include "api/forms.h"
#include "ra_digest.h"
#include "ra_io.h"

#include <stdio.h>
#include <string.h>

static void write_dictionary(text *out, const served *dictionary, size_t requests, bool with_settings) {
    json_dictionary(out, &(dictionary_reply){.name = dictionary->name,
                                             .generation = dictionary->generation,
                                             .requests = requests,
                                             .info = ra_model_get_info(dictionary->model),
                                             .with_settings = with_settings});
}

ra_status api_dictionaries(api_call *call, ra_error *err) {
    (void)err;
    text *out = api_json(call);
    size_t count = registry_count(call->server->dictionaries);
    json_object(out, NULL);
    json_array(out, "dictionaries");
    for (size_t i = 0; i < count; i++) {
        served *dictionary = registry_acquire_at(call->server->dictionaries, i);
        if (!dictionary) continue; /* known, but not loaded */
        write_dictionary(out, dictionary, atomic_load(dictionary->requests), false);
        served_release(dictionary);
    }
    json_array_end(out);
    json_object_end(out);
    return RA_OK;
}

/* A weak tag: two descriptions that differ only in the counter of requests count as equal. */
static void tag_description(http_response *response, const served *dictionary) {
    text constant = {0};
    char digest[RA_DIGEST_SIZE];
    write_dictionary(&constant, dictionary, 0, true);
    ra_digest(constant.data, constant.size, digest);
    if (!constant.failed) snprintf(response->tag, sizeof response->tag, "W/\"%s\"", digest);
    response->cacheable = !constant.failed;
    text_release(&constant);
}

ra_status api_dictionary(api_call *call, ra_error *err) {
    (void)err;
    tag_description(call->response, call->dictionary);
    write_dictionary(api_json(call), call->dictionary, atomic_load(call->dictionary->requests), true);
    return RA_OK;
}

/* ---- standardization ----------------------------------------------------------------------------------- */

/* Without one it is known, too: the one that changes nothing. So a client computes the same for every dictionary. */
ra_status api_standardization(api_call *call, ra_error *err) {
    const float *mean, *scale;
    float *unity;
    size_t d = api_info(call)->dimensions;
    bool standardized = ra_model_standardization(api_model(call), &mean, &scale);
    if (!standardized) {
        RA_TRY(scratch_numbers(2 * d, &unity, err));
        for (size_t j = 0; j < d; j++) unity[j] = 0, unity[d + j] = 1;
        mean = unity;
        scale = unity + d;
    }
    call->response->cacheable = true;
    if (call->request->reply_form != FORM_JSON)
        return forms_reply_tensors(
            call, &(tensor_list){2, {ra_tensor_1d(RA_F32, mean, d), ra_tensor_1d(RA_F32, scale, d)}}, err);
    text *out = api_json(call);
    json_object(out, NULL);
    json_bool(out, "standardized", standardized);
    json_floats(out, "mean", mean, d);
    json_floats(out, "scale", scale, d);
    json_object_end(out);
    return RA_OK;
}

/* ---- all of D ------------------------------------------------------------------------------------------ */

enum { ALIGNMENT = 64, HEADER_SIZE = 512 };

static void tag_file(api_call *call) {
    char header[RA_DIGEST_SIZE], both[2 * RA_DIGEST_SIZE];
    const text *body = &call->response->body;
    ra_digest(body->data, body->size, header);
    int size = snprintf(both, sizeof both, "%s%s", header, api_info(call)->digest);
    ra_digest(both, (size_t)size, header);
    snprintf(call->response->tag, sizeof call->response->tag, "\"%s\"", header);
}

/* 8 bytes of length, little-endian, then the JSON, padded with spaces; returns the size of all. */
static size_t write_safetensors_header(const ra_model_info *info, const ra_tensor *D,
                                       char header[HEADER_SIZE]) {
    char points[64] = "";
    if (info->points) snprintf(points, sizeof points, ",\"points\":\"%zu\"", info->points);
    size_t used =
        8 + (size_t)snprintf(header + 8, HEADER_SIZE - 8,
                             "{\"__metadata__\":{\"format\":\"rasae.fused.v1\"%s},\"dictionary\":{\"dtype\":"
                             "\"%s\",\"shape\":[%zu,%zu],\"data_offsets\":[0,%zu]}}",
                             points, ra_dtype_name(D->dtype), D->shape[0], D->shape[1], ra_tensor_bytes(D));
    size_t size = (used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    memset(header + used, ' ', size - used);
    for (size_t i = 0; i < 8; i++) header[i] = (char)((size - 8) >> (8 * i));
    return size;
}

ra_status api_dictionary_file(api_call *call, ra_error *err) {
    static const char *const suffix[] = {
        [FORM_JSON] = "json", [FORM_RAW] = "bin", [FORM_NPY] = "npy", [FORM_SAFETENSORS] = "safetensors"};
    const ra_tensor *D = ra_model_dictionary(api_model(call));
    char header[HEADER_SIZE], disposition[160], sentence[192];
    form wanted = call->request->reply_form;
    if (wanted == FORM_NPY && D->dtype == RA_BF16) {
        snprintf(sentence, sizeof sentence,
                 "dictionary %s is in BF16, which npy cannot hold; ask for safetensors or raw",
                 call->dictionary->name);
        http_problem(call->request, call->response, PROBLEM_NOT_ACCEPTABLE, sentence,
                     &(ra_error_facts){.where = "format"});
        return RA_OK;
    }
    if (wanted == FORM_SAFETENSORS)
        forms_reply_after(call, header, write_safetensors_header(api_info(call), D, header), D);
    else
        RA_TRY(forms_reply_in_place(call, D, err));
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%s.%s\"", call->dictionary->name,
             suffix[wanted]);
    http_response_header(call->response, "Content-Disposition", disposition);
    call->response->cacheable = call->response->ranges = true;
    tag_file(call);
    return RA_OK;
}

/* ---- reload -------------------------------------------------------------------------------------------- */

/* PROBLEM_NONE: the ordinary one of the code. */
static problem_kind problem_of_file(ra_status reason) {
    switch (reason) {
    case RA_ERR_NOT_FOUND:
    case RA_ERR_IO:
    case RA_ERR_CHANGED:
        return PROBLEM_FILE_UNREADABLE;
    case RA_ERR_ARGUMENT:
    case RA_ERR_SETTING:
    case RA_ERR_SHAPE:
    case RA_ERR_DTYPE:
    case RA_ERR_FORMAT:
    case RA_ERR_NOT_FINITE:
    case RA_ERR_UNSUPPORTED:
        return PROBLEM_FILE_NOT_SERVABLE;
    default:
        return PROBLEM_NONE;
    }
}

/* The new generation becomes that of the call: the old one may be lost. */
static ra_status reply_loaded(api_call *call, const char *name, ra_error *err) {
    served *fresh = registry_acquire(call->server->dictionaries, name);
    if (!fresh)
        RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_NOT_LOADED, .where = "dictionary"),
                      "dictionary %s is not loaded any more", name);
    write_dictionary(api_json(call), fresh, atomic_load(fresh->requests), true);
    served_release(call->dictionary);
    call->dictionary = fresh;
    return RA_OK;
}

ra_status api_reload(api_call *call, ra_error *err) {
    ra_error why = {0};
    registry_status kept = {0};
    char sentence[RA_ERROR_MESSAGE_SIZE + 128];
    const char *name = call->request->captures[0];
    RA_TRY(json_nothing_parse(call->request->body, call->request->body_size, err));
    ra_status status =
        registry_reload_since(call->server->dictionaries, name, call->request->stages.queued, &why);
    if (status == RA_OK) return reply_loaded(call, name, err);
    if (!problem_of_file(status)) RA_FAIL(err, status, "%s", why.message);
    registry_status_of(call->server->dictionaries, name, &kept);
    snprintf(sentence, sizeof sentence, "dictionary %s was not reloaded and %s: %s", name,
             kept.ready ? "keeps serving" : "is not available", kept.reason);
    http_problem(call->request, call->response, problem_of_file(status), sentence, NULL);
    return RA_OK;
}
