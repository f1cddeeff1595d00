/* The Open Inference Protocol's model repository: what there is, load, unload. Its clients take any status
 * but 200 for a failure. */
#include "api/api.h"
#include "codec/oip/reply.h"
#include "codec/oip/request.h"

/* Every dictionary that is known, with the version that answers: a generation that was replaced is gone. */
ra_status api_oip_index(api_call *call, ra_error *err) {
    bool ready_only;
    registry_status known;
    ra_status status = oip_index_parse(call->request->body, call->request->body_size, &ready_only, err);
    if (status != RA_OK) return status;
    text *out = api_json(call);
    json_array(out, NULL);
    for (size_t i = 0; registry_status_at(call->server->dictionaries, i, &known); i++)
        if (known.ready || !ready_only)
            oip_put_index_entry(out, known.name, known.generation, known.ready, known.reason);
    json_array_end(out);
    return RA_OK;
}

/* What a failure to open a file looks like from outside: the request was good, what it named is not. */
static ra_status fail_load(api_call *call, const char *name, ra_error *err) {
    registry_status known;
    if (err->code == RA_ERR_MEMORY || !registry_status_of(call->server->dictionaries, name, &known))
        return err->code;
    if (!known.ready)
        RA_FAIL(err, RA_ERR_FORMAT, "dictionary %s was not loaded: %s", known.name, known.reason);
    RA_FAIL(err, RA_ERR_FORMAT, "dictionary %s was not loaded, version %zu goes on serving: %s", known.name,
            known.generation, known.reason);
}

ra_status api_oip_load(api_call *call, ra_error *err) {
    const char *name = call->request->captures[0];
    ra_status status = oip_control_check(call->request->body, call->request->body_size, err);
    if (status != RA_OK) return status;
    status = registry_load(call->server->dictionaries, name, err);
    if (status != RA_OK) return fail_load(call, name, err);
    call->response->status = 200;
    return RA_OK;
}

ra_status api_oip_unload(api_call *call, ra_error *err) {
    ra_status status = oip_control_check(call->request->body, call->request->body_size, err);
    if (status == RA_OK)
        status = registry_unload(call->server->dictionaries, call->request->captures[0], err);
    if (status == RA_OK) call->response->status = 200;
    return status;
}
