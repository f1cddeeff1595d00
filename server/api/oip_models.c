/* The Open Inference Protocol without infer: the server, its models (dictionaries) with their configuration
 * and statistics, and the model repository. Its clients take any status but 200 for a failure. */
#include "api/api.h"
#include "codec/oip/reply.h"
#include "codec/oip/request.h"
#include "ra.h"

#include <stdio.h>

ra_status api_oip_server(api_call *call, ra_error *err) {
    (void)err;
    oip_put_server(api_json(call), RA_VERSION);
    return RA_OK;
}

static oip_model model_of(const api_call *call, char name[OIP_MODEL_NAME_SIZE]) {
    return (oip_model){.name = api_oip_name(call, name),
                       .encodes = call->encodes,
                       .generation = call->dictionary->generation,
                       .info = api_info(call),
                       .max_rows = call->server->max_rows};
}

ra_status api_oip_model(api_call *call, ra_error *err) {
    (void)err;
    char name[OIP_MODEL_NAME_SIZE];
    oip_model model = model_of(call, name);
    oip_put_model(api_json(call), &model);
    return RA_OK;
}

ra_status api_oip_config(api_call *call, ra_error *err) {
    (void)err;
    char name[OIP_MODEL_NAME_SIZE];
    oip_model model = model_of(call, name);
    oip_put_config(api_json(call), &model);
    return RA_OK;
}

/* A dictionary that the path leads to is ready; the body is empty. */
ra_status api_oip_ready(api_call *call, ra_error *err) {
    (void)err;
    call->response->status = 200;
    return RA_OK;
}

/* ---- statistics ---------------------------------------------------------------------------------------- */

static uint64_t value_of(_Atomic uint64_t *from) {
    return atomic_load_explicit(from, memory_order_relaxed);
}

static void put_statistics(text *out, const served *dictionary, bool encodes) {
    statistics *counted = encodes ? dictionary->encoding : dictionary->inference;
    char name[OIP_MODEL_NAME_SIZE];
    const oip_stage stages[] = {
#define X(stage) {#stage, value_of(&counted->stage.count), value_of(&counted->stage.ns)},
        STATISTICS_STAGE_LIST(X)
#undef X
    };
    snprintf(name, sizeof name, "%s%s", dictionary->name, encodes ? OIP_ENCODE_SUFFIX : "");
    oip_put_statistics(out, &(oip_statistics){.name = name,
                                              .generation = dictionary->generation,
                                              .last_ms = value_of(&counted->last_ms),
                                              .inferences = value_of(&counted->inferences),
                                              .executions = value_of(&counted->executions),
                                              .stages = stages,
                                              .stage_count = sizeof stages / sizeof *stages});
}

static bool has_encoder(const served *dictionary) {
    return ra_model_get_info(dictionary->model)->has_encoder;
}

/* One model, or all of them. */
static ra_status reply_statistics(api_call *call, const served *wanted) {
    registry *dictionaries = call->server->dictionaries;
    text *out = api_json(call);
    json_object(out, NULL);
    json_array(out, "model_stats");
    if (wanted) put_statistics(out, wanted, call->encodes);
    for (size_t i = 0, count = wanted ? 0 : registry_count(dictionaries); i < count; i++) {
        served *dictionary = registry_acquire_at(dictionaries, i);
        if (!dictionary) continue;
        put_statistics(out, dictionary, false);
        if (has_encoder(dictionary)) put_statistics(out, dictionary, true);
        served_release(dictionary);
    }
    json_array_end(out);
    json_object_end(out);
    return RA_OK;
}

ra_status api_oip_statistics(api_call *call, ra_error *err) {
    (void)err;
    return reply_statistics(call, call->dictionary);
}

ra_status api_oip_all_statistics(api_call *call, ra_error *err) {
    (void)err;
    return reply_statistics(call, NULL);
}

/* ---- the repository ------------------------------------------------------------------------------------ */

/* The model that encodes comes and goes with its dictionary. */
static void put_encoder(text *out, const api_call *call, size_t i) {
    char name[OIP_MODEL_NAME_SIZE], other[REGISTRY_NAME_SIZE];
    served *dictionary = registry_acquire_at(call->server->dictionaries, i);
    if (dictionary && has_encoder(dictionary)) {
        snprintf(name, sizeof name, "%s%s", dictionary->name, OIP_ENCODE_SUFFIX);
        if (api_oip_encoder_of(call->server->dictionaries, name, other))
            oip_put_index_entry(out, name, dictionary->generation, true, "");
    }
    served_release(dictionary);
}

/* An unknown name may be that of an encoder, which is no file of its own. */
static ra_status explain_unknown(const api_call *call, const char *name, ra_error *err) {
    char base[REGISTRY_NAME_SIZE];
    bool unknown = err->code == RA_ERR_NOT_FOUND;
    if (!unknown || !api_oip_encoder_of(call->server->dictionaries, name, base)) return err->code;
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "the model %.80s is the encoder of %s, and comes and goes with it: name that one", name, base);
}

/* Every known dictionary with its current version: earlier generations are gone. */
ra_status api_oip_index(api_call *call, ra_error *err) {
    bool ready_only;
    registry_status known;
    RA_TRY(oip_index_parse(call->request->body, call->request->body_size, &ready_only, err));
    text *out = api_json(call);
    json_array(out, NULL);
    for (size_t i = 0; registry_status_at(call->server->dictionaries, i, &known); i++) {
        if (known.ready || !ready_only)
            oip_put_index_entry(out, known.name, known.generation, known.ready, known.reason);
        put_encoder(out, call, i);
    }
    json_array_end(out);
    return RA_OK;
}

/* To a client, a file that does not open is an error in the request that named it. */
static ra_status fail_load(api_call *call, const char *name, ra_error *err) {
    registry_status known;
    if (err->code == RA_ERR_MEMORY) return err->code;
    if (!registry_status_of(call->server->dictionaries, name, &known))
        return explain_unknown(call, name, err);
    if (!known.ready)
        RA_FAIL(err, RA_ERR_FORMAT, "dictionary %s was not loaded: %s", known.name, known.reason);
    RA_FAIL(err, RA_ERR_FORMAT, "dictionary %s was not loaded, version %zu keeps serving: %s", known.name,
            known.generation, known.reason);
}

ra_status api_oip_load(api_call *call, ra_error *err) {
    const char *name = call->request->captures[0];
    RA_TRY(oip_control_check(call->request->body, call->request->body_size, err));
    uint64_t asked = call->request->stages.queued;
    if (registry_load_since(call->server->dictionaries, name, asked, err) != RA_OK)
        return fail_load(call, name, err);
    call->response->status = 200;
    return RA_OK;
}

ra_status api_oip_unload(api_call *call, ra_error *err) {
    RA_TRY(oip_control_check(call->request->body, call->request->body_size, err));
    const char *name = call->request->captures[0];
    if (registry_unload(call->server->dictionaries, name, err) != RA_OK)
        return explain_unknown(call, name, err);
    call->response->status = 200;
    return RA_OK;
}
