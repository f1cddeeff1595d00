/* The Open Inference Protocol's questions: the server, a dictionary, its configuration, its statistics. */
#include "api/api.h"
#include "codec/oip/reply.h"
#include "ra.h"

ra_status api_oip_server(api_call *call, ra_error *err) {
    (void)err;
    oip_put_server(api_json(call), RA_VERSION);
    return RA_OK;
}

static oip_model model_of(const api_call *call) {
    return (oip_model){.name = call->dictionary->name,
                       .generation = call->dictionary->generation,
                       .info = api_info(call),
                       .max_rows = call->server->max_rows};
}

ra_status api_oip_model(api_call *call, ra_error *err) {
    (void)err;
    oip_model model = model_of(call);
    oip_put_model(api_json(call), &model);
    return RA_OK;
}

ra_status api_oip_config(api_call *call, ra_error *err) {
    (void)err;
    oip_model model = model_of(call);
    oip_put_config(api_json(call), &model);
    return RA_OK;
}

/* The route has found it, so it is ready; the body is empty. */
ra_status api_oip_ready(api_call *call, ra_error *err) {
    (void)err;
    call->response->status = 200;
    return RA_OK;
}

/* 
 * ---- statistics
 * ----------------------------------------------------------------------------------------- */

static void put_one(text *out, const served *dictionary) {
    oip_put_statistics(out, dictionary->name, dictionary->generation, dictionary->inference);
}

static text *open_list(api_call *call) {
    text *out = api_json(call);
    put_open(out, '{');
    put_key(out, "model_stats");
    put_open(out, '[');
    return out;
}

static void close_list(text *out) {
    put_close(out, ']');
    put_close(out, '}');
}

ra_status api_oip_statistics(api_call *call, ra_error *err) {
    (void)err;
    text *out = open_list(call);
    put_one(out, call->dictionary);
    close_list(out);
    return RA_OK;
}

ra_status api_oip_all_statistics(api_call *call, ra_error *err) {
    (void)err;
    registry *dictionaries = call->server->dictionaries;
    text *out = open_list(call);
    for (size_t i = 0, count = registry_count(dictionaries); i < count; i++) {
        served *dictionary = registry_acquire_at(dictionaries, i);
        if (dictionary) put_one(out, dictionary);
        served_release(dictionary);
    }
    close_list(out);
    return RA_OK;
}
