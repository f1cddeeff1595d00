#include "api/api.h"

static void write_one(text *out, const served *dictionary, bool with_settings) {
    json_dictionary(out, &(dictionary_reply){.name = dictionary->name,
                                             .generation = dictionary->generation,
                                             .requests = atomic_load(dictionary->requests),
                                             .info = ra_model_get_info(dictionary->model),
                                             .with_settings = with_settings});
}

ra_status api_dictionaries(api_call *call, ra_error *err) {
    (void)err;
    text *out = api_json(call);
    served *dictionary;
    put_open(out, '{');
    put_key(out, "dictionaries");
    put_open(out, '[');
    for (size_t i = 0; (dictionary = registry_acquire_at(call->engine->dictionaries, i)); i++) {
        write_one(out, dictionary, false);
        served_release(dictionary);
    }
    put_close(out, ']');
    put_close(out, '}');
    return RA_OK;
}

ra_status api_dictionary(api_call *call, ra_error *err) {
    (void)err;
    write_one(api_json(call), call->dictionary, true);
    return RA_OK;
}
