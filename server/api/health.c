#include "api/api.h"
#include "codec/oip/reply.h"

#include <string.h>

/* The process runs and answers. */
ra_status api_live(api_call *call, ra_error *err) {
    (void)err;
    json_state(api_json(call), "live", NULL);
    return RA_OK;
}

/* Ready means that all dictionaries are loaded (before that nothing is answered), no stop is under way, and
 * the device works. *reason <- why the device failed, or NULL. */
static const char *readiness(const api_call *call, const char **reason) {
    *reason = device_watch_reason(&call->server->device);
    return *reason ? "failed" : atomic_load(&call->server->draining) ? "draining" : "ready";
}

static bool is_ready(const char *state) {
    return strcmp(state, "ready") == 0;
}

ra_status api_ready(api_call *call, ra_error *err) {
    (void)err;
    const char *reason, *state = readiness(call, &reason);
    json_state(api_json(call), state, reason);
    if (!is_ready(state)) call->response->status = 503;
    return RA_OK;
}

/* ---- the same for the Open Inference Protocol, whose clients expect true or false ---------------------- */

ra_status api_oip_live(api_call *call, ra_error *err) {
    (void)err;
    oip_put_health(api_json(call), "live", true);
    return RA_OK;
}

ra_status api_oip_server_ready(api_call *call, ra_error *err) {
    (void)err;
    const char *reason, *state = readiness(call, &reason);
    oip_put_health(api_json(call), "ready", is_ready(state));
    if (!is_ready(state)) call->response->status = 503;
    return RA_OK;
}
