/* Dictionaries: the list, one of them, and all of its numbers as a file. loading.c loads and unloads them.
 *
 * The safetensors form is the whole model as a fused artifact (proto/artifact.md): served again, it gives the same
 * answers, to the bit. It was put together when the dictionary was loaded (ra_artifact_new()), and its numbers are sent
 * from where they are, without a copy. Its entity tag is the revision of the dictionary. The other forms have D alone;
 * their tag joins the digest that the model has of D with that of the header: making it reads no numbers.
 */
#include "api/forms.h"
#include "api/limits.h"
#include "api/page.h"
#include "ra_digest.h"
#include "ra_io.h"

#include <stdio.h>
#include <string.h>

void api_write_dictionary(const api_call *call, text *out, const served *dictionary, size_t requests,
                          bool whole) {
    registry_status known = {.reason = ""};
    registry_status_of(call->server->dictionaries, dictionary->name, &known);
    const data_source *rows = rows_of(call->server->rows, dictionary->name);
    const media_source *source = media_of(call->server->media, dictionary->name);
    text url = {0};
    if (source)
        media_write_template(source, call->request->target.base ? call->request->target.base : "", &url);
    text_append(&url, "", 1);
    json_dictionary(out, &(dictionary_reply){.name = dictionary->name,
                                             .reason = known.reason[0] ? known.reason : NULL,
                                             .loaded_at = dictionary->loaded,
                                             .revision = ra_artifact_digest(dictionary->artifact),
                                             .generation = dictionary->generation,
                                             .requests = requests,
                                             .info = ra_model_get_info(dictionary->model),
                                             .media_url = source && !url.failed ? url.data : NULL,
                                             .row_count = rows ? rows_count(rows) : 0,
                                             .with_settings = whole});
    text_release(&url);
}

/* A weak tag: two descriptions that differ only in counters of requests count as equal. constant: the description
 * without them. */
static void tag_description(http_response *response, text *constant) {
    char digest[RA_DIGEST_SIZE];
    ra_digest(constant->data, constant->size, digest);
    if (!constant->failed) snprintf(response->tag, sizeof response->tag, "W/\"%s\"", digest);
    response->cacheable = !constant->failed;
    text_release(constant);
}

/* ---- the list ------------------------------------------------------------------------------------------ */

static ra_status query_state(const api_call *call, bool *all, ra_error *err) {
    static const char *const names[] = {"loaded", "all", NULL};
    int chosen;
    RA_TRY(api_choose_name(call, "state", names, -1, 0, &chosen, err));
    *all = chosen == 1;
    return RA_OK;
}

static size_t count_loaded(registry *dictionaries) {
    registry_status known;
    size_t count = 0;
    for (size_t i = 0; registry_status_at(dictionaries, i, &known); i++) count += known.ready;
    return count;
}

static void write_loaded(const api_call *call, text *out, const page *here, bool with_requests) {
    registry *dictionaries = call->server->dictionaries;
    json_array(out, "dictionaries");
    for (size_t i = 0, at = 0, count = registry_count(dictionaries); i < count && at < here->end; i++) {
        served *dictionary = registry_acquire_at(dictionaries, i);
        if (!dictionary) continue; /* known, but not loaded */
        if (at++ >= here->offset)
            api_write_dictionary(call, out, dictionary, with_requests ? atomic_load(dictionary->requests) : 0,
                                 false);
        served_release(dictionary);
    }
    json_array_end(out);
}

static void write_unavailable(const api_call *call, text *out) {
    registry_status known;
    json_array(out, "unavailable");
    for (size_t i = 0; registry_status_at(call->server->dictionaries, i, &known); i++)
        if (!known.ready) api_write_unavailable(out, &known);
    json_array_end(out);
}

static void write_list(const api_call *call, text *out, const page *here, bool all, bool with_requests) {
    json_object(out, NULL);
    write_loaded(call, out, here, with_requests);
    if (all) write_unavailable(call, out);
    page_members(out, here);
    json_object_end(out);
}

ra_status api_dictionaries(api_call *call, ra_error *err) {
    page here;
    bool all;
    text constant = {0};
    RA_TRY(query_state(call, &all, err));
    RA_TRY(page_query(call, LIMIT_PAGE, count_loaded(call->server->dictionaries), &here, err));
    RA_TRY(page_link(call, &here, "state", err));
    write_list(call, &constant, &here, all, false);
    tag_description(call->response, &constant);
    write_list(call, api_json(call), &here, all, true);
    return RA_OK;
}

/* ---- one of them --------------------------------------------------------------------------------------- */

ra_status api_dictionary(api_call *call, ra_error *err) {
    (void)err;
    text constant = {0};
    api_write_dictionary(call, &constant, call->dictionary, 0, true);
    tag_description(call->response, &constant);
    api_write_dictionary(call, api_json(call), call->dictionary, atomic_load(call->dictionary->requests),
                         true);
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

static void tag_file(api_call *call) {
    char header[RA_DIGEST_SIZE], both[2 * RA_DIGEST_SIZE];
    const text *body = &call->response->body;
    if (call->request->reply_form == FORM_SAFETENSORS) {
        snprintf(call->response->tag, sizeof call->response->tag, "\"%s\"",
                 ra_artifact_digest(call->dictionary->artifact));
        return;
    }
    ra_digest(body->data, body->size, header);
    int size = snprintf(both, sizeof both, "%s%s", header, api_info(call)->digest);
    ra_digest(both, (size_t)size, header);
    snprintf(call->response->tag, sizeof call->response->tag, "\"%s\"", header);
}

ra_status api_dictionary_file(api_call *call, ra_error *err) {
    static const char *const suffix[] = {
        [FORM_JSON] = "json", [FORM_RAW] = "bin", [FORM_NPY] = "npy", [FORM_SAFETENSORS] = "safetensors"};
    const ra_tensor *D = ra_model_dictionary(api_model(call));
    char disposition[160], sentence[192];
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
        forms_reply_artifact(call);
    else
        RA_TRY(forms_reply_in_place(call, D, err));
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%s.%s\"", call->dictionary->name,
             suffix[wanted]);
    http_response_header(call->response, "Content-Disposition", disposition);
    call->response->cacheable = call->response->ranges = true;
    tag_file(call);
    return RA_OK;
}
