#include "api/api.h"
#include "codec/oip_reply.h"

/* The process runs and answers. */
ra_status api_live(api_call *call, ra_error *err) {
    (void)err;
    json_state(api_json(call), "live", NULL);
    return RA_OK;
}

/* Requests are welcome: all dictionaries are loaded (nothing is answered before), no stop is under way, and
 * the device answers. */
ra_status api_ready(api_call *call, ra_error *err) {
    (void)err;
    const char *lost = device_watch_reason(&call->engine->device);
    bool draining = atomic_load(&call->engine->draining);
    json_state(api_json(call), lost ? "failed" : draining ? "draining" : "ready", lost);
    if (lost || draining) call->response->status = 503;
    return RA_OK;
}

/* ---- the same for the Open Inference Protocol, whose clients look for a truth value -----------------------
 */

ra_status api_oip_live(api_call *call, ra_error *err) {
    (void)err;
    oip_put_health(api_json(call), "live", true);
    return RA_OK;
}

ra_status api_oip_server_ready(api_call *call, ra_error *err) {
    ra_status status = api_ready(call, err);
    text *out = &call->response->body;
    text_release(out);
    oip_put_health(out, "ready", call->response->status == 200);
    return status;
}
