#include "api/api.h"
#include "ra_digest.h"

#include <stdio.h>

static void write_one(text *out, const served *dictionary, size_t requests, bool with_settings) {
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
        write_one(out, dictionary, atomic_load(dictionary->requests), false);
        served_release(dictionary);
    }
    json_array_end(out);
    json_object_end(out);
    return RA_OK;
}

/* A weak tag: two descriptions that differ in the counter alone are the same to whoever asks again. */
static void set_tag(http_response *response, const served *dictionary) {
    text still = {0};
    char digest[RA_DIGEST_SIZE];
    write_one(&still, dictionary, 0, true);
    ra_digest(still.data, still.size, digest);
    if (!still.failed) snprintf(response->tag, sizeof response->tag, "W/\"%s\"", digest);
    response->cacheable = !still.failed;
    text_release(&still);
}

ra_status api_dictionary(api_call *call, ra_error *err) {
    (void)err;
    set_tag(call->response, call->dictionary);
    write_one(api_json(call), call->dictionary, atomic_load(call->dictionary->requests), true);
    return RA_OK;
}
